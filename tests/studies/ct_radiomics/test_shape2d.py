"""Shape within one slice, in each of the three directions, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_radiomics.engine import extract
from nextaim_kit.studies.ct_radiomics.settings import Settings

SPACING = (0.5, 1.5, 2.0)  # x, y, z


def rectangle(volume, tissue, axis):
    """A rectangle of 6 x 9 voxels in one slice across an axis (z, y, x) of a volume."""
    marked = np.zeros((14, 14, 14), np.uint8)
    sides = iter([slice(3, 9), slice(2, 11)])
    marked[tuple(slice(6, 7) if a == axis else next(sides) for a in range(3))] = 1
    return volume(tissue((14, 14, 14)), SPACING), volume(marked, SPACING)


def flat(axis, **more):
    setting = {"force2D": True, "force2Ddimension": axis}
    return Settings(file={"setting": setting, "featureClass": {"shape2D": None}, **more})


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_rectangle_has_its_area_and_its_middle_axes_in_any_plane(volume, tissue, axis):
    found = extract(*rectangle(volume, tissue, axis), flat(axis))
    first, second = np.delete(np.array(SPACING[::-1]), axis)
    assert found["original_shape2D_PixelSurface"] == pytest.approx(54 * first * second)
    axes = sorted(4 * np.sqrt([(36 - 1) / 12 * first**2, (81 - 1) / 12 * second**2]))
    assert found["original_shape2D_MinorAxisLength"] == pytest.approx(axes[0])
    assert found["original_shape2D_MajorAxisLength"] == pytest.approx(axes[1])
    assert len(found) == 9


def test_a_region_of_several_slices_has_none_and_is_refused_if_it_was_asked_for(
    volume, tissue, ball
):
    image, mask = volume(tissue((9, 9, 9))), volume(ball((9, 9, 9), (4, 4, 4), (2, 3, 3)))
    with pytest.raises(DataError, match="no two-dimensional shape"):
        extract(image, mask, flat(0))
    every = Settings(file={"setting": {"force2D": True}})
    with pytest.warns(UserWarning, match="shape2D is left out: the region has several slices"):
        found = extract(image, mask, every)
    assert not [name for name in found if "shape2D" in name]


def test_without_in_plane_extraction_it_is_left_out_and_said(volume, tissue, ball):
    image, mask = volume(tissue((9, 9, 9))), volume(ball((9, 9, 9), (4, 4, 4), (2, 3, 3)))
    with pytest.warns(UserWarning, match="shape2D is left out: force2D is off"):
        assert extract(image, mask, Settings(file={"featureClass": {"shape2D": None}})) == {}
