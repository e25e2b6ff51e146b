"""The scanner: slice thickness, kernel, noise, and what a CT can store."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from nextaim_kit.errors import RequestError
from nextaim_kit.twins.chest_ct.acquisition import Scan, acquire
from nextaim_kit.twins.chest_ct.grid import Grid

GRID = Grid.of((64, 48, 60))  # slices 5.7 mm apart
FINE = Grid.of((320, 240, 16))  # pixels of 1.25 mm


def scanned(hu, slice_mm=3.0, kernel="smooth", noise_hu=0.0, seed=0, grid=GRID):
    scan = Scan(slice_mm, kernel, noise_hu)
    return acquire(hu.astype(np.float32), grid, scan, np.random.default_rng(seed))


def flat(value=0.0, grid=GRID):
    return np.full(grid.shape, value, np.float32)


def step(axis, grid=GRID):
    hu = flat(-800, grid)
    hu[(slice(None),) * axis + (slice(hu.shape[axis] // 2, None),)] = 0
    return hu


def test_without_noise_what_is_flat_stays_as_it_is():
    for kernel in ("smooth", "sharp"):
        assert (scanned(flat(-850), 5.0, kernel) == -850).all()


def test_thick_slices_blur_along_the_body_and_nowhere_else():
    thin, thick = (scanned(step(0), mm)[:, 20, 20] for mm in (1.0, 12.0))
    assert ((thin > -790) & (thin < -10)).sum() == 0
    assert ((thick > -790) & (thick < -10)).sum() >= 2
    np.testing.assert_array_equal(scanned(step(2), 1.0), scanned(step(2), 12.0))


def test_a_slice_of_two_distances_is_half_itself_and_a_quarter_each_neighbor():
    hu = flat(0)
    hu[30] = 300
    seen = scanned(hu, 2 * GRID.edges[2])[:, 20, 20]
    np.testing.assert_array_equal(seen[28:33], [0, 75, 150, 75, 0])


def test_a_sharp_kernel_keeps_edges_and_overshoots():
    smooth, sharp = (
        scanned(step(2, FINE), 3.0, k, grid=FINE)[8, 20].astype(int) for k in ("smooth", "sharp")
    )
    assert np.diff(sharp).max() > np.diff(smooth).max()
    assert sharp.max() > 20
    assert sharp.min() < -820
    assert smooth.max() == 0


def test_noise_is_that_of_the_scan_and_finer_with_a_sharp_kernel():
    smooth, sharp = (
        scanned(flat(0, FINE), 3.0, k, 15.0, grid=FINE).astype(float) for k in ("smooth", "sharp")
    )
    assert smooth.std() == pytest.approx(15, rel=0.02)
    assert sharp.std() == pytest.approx(2.6 * 15, rel=0.02)
    coarse = [gaussian_filter(s, (0, 2, 2)).std() / s.std() for s in (smooth, sharp)]
    assert coarse[0] > 1.5 * coarse[1]


def test_thicker_slices_are_less_noisy():
    assert scanned(flat(), 12.0, "smooth", 20.0).std() == pytest.approx(10, rel=0.02)


def test_hu_are_what_a_ct_can_store():
    low, high = scanned(flat(-1000), 1.0, "sharp", 60.0), scanned(flat(9000))
    assert low.dtype == np.int16
    assert low.min() == -1024
    assert (high == 3071).all()


@pytest.mark.parametrize(("slices", "expected"), [(0.5, 0.0), (3, 2 / 3)])
def test_overlapping_slices_share_their_noise_and_others_do_not(slices, expected):
    grid = Grid.of((64, 48, 120))
    slice_mm = slices * grid.edges[2]
    noise = scanned(flat(grid=grid), slice_mm, noise_hu=15.0, grid=grid).astype(float)
    found = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairwise(noise)])
    assert found == pytest.approx(expected, abs=0.05)
    assert noise.std() == pytest.approx(15 * np.sqrt(3 / slice_mm), rel=0.02)


def test_the_same_seed_makes_the_same_noise():
    one, same, other = (scanned(flat(), noise_hu=9.0, seed=k) for k in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("scan", "says"),
    [
        ((0.1, "smooth", 9.0), "no slice is so thick"),
        ((3.0, "soft", 9.0), "no such kernel"),
        ((3.0, "smooth", -1.0), "no scan has such noise"),
    ],
)
def test_scans_that_cannot_be_are_refused(scan, says):
    with pytest.raises(RequestError, match=says):
        Scan(*scan)
