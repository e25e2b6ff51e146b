"""Streamlines: counted right on made-up bundles, however many workers follow them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography import orientations, tracking
from nextaim_kit.studies.thalamus_tractography.tracking import Regions, Walk, track

AFFINE = np.diag([2.0, 2, 2, 1])


@pytest.fixture(scope="module")
def tube():
    """One straight bundle along y, its middle as the seed, its two ends and a place beside it."""
    peaks = np.zeros((9, 40, 9, 3, 3), np.float32)
    peaks[3:6, :, 3:6, 0, 1] = 1
    inside = np.zeros((9, 40, 9), bool)
    inside[3:6, :, 3:6] = True
    places = np.arange(40)[None, :, None] * np.ones((9, 1, 9))
    ends = {"front": inside & (places > 36), "back": inside & (places < 3),
            "aside": ~inside & (places > 30)}  # fmt: skip
    along = orientations.of_peaks(peaks, inside, AFFINE)
    return along, Regions(inside & (places == 20), ends)


def test_streamlines_of_a_bundle_reach_its_ends_and_nothing_beside_it(tube):
    along, regions = tube
    found = track(along, regions, Walk(20, angle=20))
    assert found.launched == 20 * regions.seed.sum()
    front, back, aside = found.shares.mean(0)
    assert front > 0.5
    assert back > 0.5
    assert aside == 0
    assert not found.maps[~regions.seed].any()
    assert (found.maps[regions.seed] == found.shares).all()


def test_the_maps_are_the_same_for_one_worker_and_two(tube, monkeypatch):
    monkeypatch.setattr(tracking, "_CHUNK", 50)
    one, two = (track(*tube, Walk(20), workers=n) for n in (1, 2))
    monkeypatch.setattr(tracking, "_CHUNK", 70)
    three = track(*tube, Walk(20))
    for other in (two, three):
        assert (one.touched == other.touched).all()
        assert (one.density == other.density).all()


def test_another_seed_gives_other_streamlines(tube):
    one, two = (track(*tube, Walk(5), seed=n) for n in (1, 2))
    assert (one.touched != two.touched).any()


def test_what_is_too_short_too_long_or_excluded_is_lost_and_counts_as_launched(tube):
    along, regions = tube
    for walk, barred in ((Walk(5, shortest=200), None), (Walk(5), along.inside)):
        found = track(along, replace(regions, excluded=barred), walk)
        assert (found.kept, found.launched) == (0, 5 * regions.seed.sum())
        assert found.shares.max() == found.density.max() == 0
    whole = track(along, regions, Walk(5)).touched[..., :2].all(-1)
    assert whole.any()  # from end to end, 80 mm
    assert not track(along, regions, Walk(5, longest=60)).touched[..., :2].all(-1).any()


def test_streamlines_count_only_if_they_touch_every_waypoint(tube):
    along, regions = tube
    there, nowhere = regions.targets["back"], ~along.inside
    walk = Walk(10, angle=20)
    free = track(along, regions, walk)
    through = track(along, replace(regions, waypoints=(there,)), walk)
    assert (through.touched[..., 0] == free.touched[..., 0] & free.touched[..., 1]).all()
    assert track(along, replace(regions, waypoints=(there, nowhere)), walk).kept == 0


def test_a_sample_of_each_target_s_streamlines_is_kept_in_mm(tube):
    found = track(*tube, Walk(30))
    assert len(found.lines["front"]) == 40
    assert found.lines["aside"] == []
    assert all(line[:, 1].max() > 72 for line in found.lines["front"])


def test_where_two_bundles_cross_streamlines_start_along_either():
    peaks = np.zeros((31, 31, 5, 3, 3), np.float32)
    peaks[:, 13:18, :, 0, 0] = 1
    peaks[13:18, :, :, 1, 1] = 0.5
    inside = peaks.any((-1, -2))
    seed = np.zeros_like(inside)
    seed[15, 15, 2] = True
    x, y, _ = np.indices(inside.shape)
    ends = {"across": inside & (x > 28), "up": inside & (y > 28)}
    found = track(orientations.of_peaks(peaks, inside, AFFINE), Regions(seed, ends), Walk(300))
    across, up = found.shares[0]
    assert 0.4 < up / across < 0.7  # as their shares are: 0.5


def test_what_is_not_finite_never_reaches_the_tracking(tube):
    along, _ = tube
    peaks = np.full((2, 2, 2, 3, 3), np.nan)
    with pytest.raises(DataError, match="peaks have values that are not finite"):
        orientations.of_peaks(peaks, np.ones((2, 2, 2), bool), AFFINE)
    with pytest.raises(DataError, match="fiber directions have values that are not finite"):
        replace(along, values=np.where(along.values > 0.5, np.nan, along.values))


def test_an_empty_seed_target_or_waypoint_and_another_grid_are_named(tube):
    along, regions = tube
    none = np.zeros_like(regions.seed)
    with pytest.raises(DataError, match="none in seed, front, waypoint 1"):
        track(along, Regions(none, {"front": none}, waypoints=(none,)))
    with pytest.raises(DataError, match="no targets"):
        track(along, replace(regions, targets={}))
    with pytest.raises(DataError, match="the seed lies where none may go"):
        track(along, replace(regions, seed=~along.inside))
    with pytest.raises(DataError, match=r"(?s)do not lie on the grid.*found: +\(3, 3, 3\)"):
        track(along, replace(regions, excluded=np.ones((3, 3, 3), bool)))
