"""Settings are refused before an image is read where pyradiomics would fail on each."""

from __future__ import annotations

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.ct_radiomics.settings import Settings


@pytest.mark.parametrize(
    "extra",
    [{"binCount": 0}, {"binCount": 2.5}, {"binCount": "many"}, {"voxelArrayShift": "a"},
     {"interpolator": "sitkCubic"}, {"distances": [0]}, {"weightingNorm": "none of them"},
     {"wavelet": "coif99"}, {"force2D": "yes"}, {"force2Ddimension": 3}, {"padDistance": -1},
     {"resampledPixelSpacing": [1, 1, -1]}, {"removeOutliers": float("nan")}, {"level": 0}],
)  # fmt: skip
def test_a_value_that_pyradiomics_does_not_take_is_refused_by_name(extra):
    with pytest.raises(RequestError, match="cannot have its value"):
        Settings(extra=extra)


@pytest.mark.parametrize(
    "extra",
    [{"distances": (1, 2)}, {"normalize": True, "normalizeScale": 100}, {"interpolator": None},
     {"resegmentRange": [-500, 300]}, {"wavelet": "haar", "start_level": 1}],
)  # fmt: skip
def test_values_that_pyradiomics_takes_stand(extra):
    assert dict(Settings(extra=extra).extra) == extra
