"""Gray levels that no memory holds are refused with their number, before they are counted."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_radiomics.engine import extract
from nextaim_kit.studies.ct_radiomics.region import check_levels
from nextaim_kit.studies.ct_radiomics.settings import Settings


def image_up_to(high: float):
    values = np.linspace(-1000, high, 6**3, dtype=np.float32).reshape(6, 6, 6)
    mask = np.ones((6, 6, 6), np.uint8)
    mask[0] = 0
    return sitk.GetImageFromArray(values), sitk.GetImageFromArray(mask)


@pytest.mark.parametrize(
    ("high", "settings", "mend"),
    [
        (2.5e9, Settings(), "wider bins"),
        (3e38, Settings(), "wider bins"),
        (400.0, Settings(bin_width=1e-5), "wider bins"),
        (400.0, Settings(extra={"binCount": 10**8}), "fewer bins"),
    ],
)
def test_a_region_with_too_many_gray_levels_is_refused_with_their_number(high, settings, mend):
    with pytest.raises(DataError, match=r"(?s)gray levels.*at most [\d,]+.*" + mend):
        extract(*image_up_to(high), settings)


def test_the_levels_that_fit_follow_the_free_memory(monkeypatch):
    monkeypatch.setattr(
        "nextaim_kit.studies.ct_radiomics.region.memory_available", lambda: 208 * 2000**2
    )
    check_levels(0, 1999, {"binWidth": 1})
    with pytest.raises(DataError, match=r"(?s)2,001 gray levels.*at most 2,000"):
        check_levels(0, 2000, {"binWidth": 1})
    check_levels(0, 50_000, {"binWidth": 1}, 1500)  # no more of them occur than there are voxels
