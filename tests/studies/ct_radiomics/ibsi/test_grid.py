"""Grids: aligned by centers, interpolated as a whole or in part."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.studies.ct_radiomics.ibsi.grid import Grid, squared_distances
from nextaim_kit.studies.ct_radiomics.region import as_box


def test_the_new_grid_has_the_old_ones_center_and_covers_it(volume):
    grid = Grid.of(volume(np.zeros((4, 5, 6)), (1.0, 1.0, 3.0)), (2.0, 0.0, 1.5))
    assert grid.size == (6, 5, 4)
    assert grid.spacing == (2.0, 1.0, 1.5)
    middle = [f + (n - 1) / 2 * s for f, n, s in zip(grid.first, grid.size, grid.step, strict=True)]
    assert middle == pytest.approx([1.5, 2.0, 2.5])


@pytest.mark.parametrize("order", [1, 3])
def test_interpolation_gives_a_ramp_back_and_a_part_equals_the_whole(volume, tissue, order):
    z, y, x = np.indices((40, 30, 30), dtype=float)
    image = volume(3 * z - 2 * y + x)
    grid = Grid.of(image, (1.6, 1.6, 1.6))
    box = as_box((slice(8, 16), slice(6, 12), slice(6, 12)))
    found = grid.interpolate(image, box, order)
    at = [
        f + np.arange(b.start, b.stop) * s
        for f, s, b in zip(grid.first, grid.step, box, strict=True)
    ]
    want = 3 * at[0][:, None, None] - 2 * at[1][:, None] + at[2]
    assert found == pytest.approx(want, abs=0.02 if order == 3 else 1e-9)
    rough = volume(tissue((90, 30, 30)))
    grid = Grid.of(rough, (1.6, 1.6, 1.6))
    whole = grid.interpolate(rough, as_box(slice(0, n) for n in grid.size), order)
    assert grid.interpolate(rough, box, order) == pytest.approx(whole[box], abs=1e-9)


def test_a_cubic_spline_goes_through_the_voxels_it_was_given(volume, tissue):
    image = volume(tissue((12, 12, 12)))
    grid = Grid.of(image, (0.5, 1.0, 0.0))
    found = grid.interpolate(image, as_box(slice(0, n) for n in grid.size), 3)
    assert found.shape == (24, 12, 12)
    there = sitk.GetArrayViewFromImage(image)
    assert (found[::2] + found[1::2]) / 2 == pytest.approx(there, abs=60)
    same = Grid.of(image, (0, 0, 0)).interpolate(image, as_box(slice(0, 12) for _ in "zyx"), 3)
    assert same == pytest.approx(there, abs=1e-6)


def test_displacements_wrap_around():
    found = squared_distances((3, 4, 1), (2.0, 1.0, 5.0))
    assert found[:, 0, 0].tolist() == [0, 4, 4]
    assert found[0, :, 0].tolist() == [0, 1, 4, 1]
