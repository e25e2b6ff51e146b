"""Streamlines: counted right on a made-up bundle, and against TractSeg's subject."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.series import read_map, read_peaks
from nextaim_kit.studies.thalamus_tractography.space import grid
from nextaim_kit.studies.thalamus_tractography.tracking import Walk, connectivity, odf_of_peaks

AFFINE = np.diag([2.0, 2, 2, 1])


@pytest.fixture(scope="module")
def tube():
    """One straight bundle along y: its ODF, the seed in its middle, where one may go, its ends."""
    peaks = np.zeros((9, 40, 9, 3, 3), np.float32)
    peaks[3:6, :, 3:6, 0, 1] = 1
    inside = np.zeros((9, 40, 9), bool)
    inside[3:6, :, 3:6] = True
    places = np.arange(40)[None, :, None] * np.ones((9, 1, 9))
    seed = inside & (places == 20)
    ends = {"front": inside & (places > 36), "back": inside & (places < 3),
            "aside": ~inside & (places > 30)}  # fmt: skip
    return odf_of_peaks(peaks, AFFINE), seed, inside, ends


def test_streamlines_of_a_bundle_reach_its_ends_and_nothing_beside_it(tube):
    odf, seed, inside, ends = tube
    found = connectivity(odf, AFFINE, seed, inside, ends, Walk(per_voxel=20, angle=20))
    assert found.launched == 20 * seed.sum()
    share = found.maps[seed].mean(0)
    assert share[0] > 0.15
    assert share[1] > 0.15
    assert share[2] == 0
    assert not found.maps[~seed].any()


def test_lost_streamlines_count_as_launched(tube):
    odf, seed, inside, ends = tube
    found = connectivity(odf, AFFINE, seed, inside & ~ends["back"], ends, Walk(shortest=40))
    assert found.kept < found.launched
    assert found.maps[..., 1].max() == 0


def test_the_same_seed_gives_the_same_maps(tube):
    odf, seed, inside, ends = tube
    one, two = (connectivity(odf, AFFINE, seed, inside, ends, Walk(per_voxel=3)) for _ in range(2))
    assert (one.maps == two.maps).all()


def test_what_is_not_finite_never_reaches_the_tracking(tube):
    odf, seed, inside, ends = tube
    peaks = np.full((2, 2, 2, 3, 3), np.nan)
    with pytest.raises(DataError, match="peaks have values that are not finite"):
        odf_of_peaks(peaks, AFFINE)
    with pytest.raises(DataError, match=r"(?s)nothing to track.*NaN"):
        connectivity(np.where(odf > 0.5, np.nan, odf), AFFINE, seed, inside, ends)


def test_an_empty_seed_or_target_is_named(tube):
    odf, seed, inside, _ = tube
    with pytest.raises(DataError, match="none in seed, front"):
        connectivity(odf, AFFINE, 0 * seed > 0, inside, {"front": 0 * seed > 0})


# Mean in the left thalamus, and the map's center in mm, as the same method gave them elsewhere.
KNOWN = {
    "T_PREC_left_b": (0.123, (-14.5, -17.6, 6.3)),
    "T_POSTC_left_e": (0.070, (-15.2, -18.8, 6.2)),
    "T_PREF_left_e": (0.158, (-11.2, -13.9, 7.0)),
}


@pytest.mark.rest
def test_tractseg_s_thalamus_is_wired_as_known_and_less_so_in_the_wrong_frame(real):
    folder = real / "thalamus_tractography" / "tractseg"
    seed = read_map(folder / "derived_thalamus_left.nii.gz")[0] > 0
    inside = read_map(folder / "nodif_brain_mask.nii.gz")[0] > 0
    ends = folder / "endings_segmentations"
    targets = {name: read_map(ends / f"{name}.nii.gz")[0] > 0 for name in KNOWN}
    found = {}
    for frame in ("patient", "voxel"):
        peaks, affine = read_peaks(folder / "peaks.nii.gz", frame=frame)
        brain = inside & (np.linalg.norm(peaks[..., 0, :], axis=-1) > 0.1)
        odf, walk = odf_of_peaks(peaks, affine), Walk(per_voxel=3, longest=500)
        found[frame] = connectivity(odf, affine, seed, brain, targets, walk).maps[seed]
    places = grid(seed.shape, affine)[seed]
    for k, (mean, center) in enumerate(KNOWN.values()):
        share = found["patient"][:, k]
        assert share.mean() == pytest.approx(mean, rel=0.25)
        assert (places * share[:, None]).sum(0) / share.sum() == pytest.approx(center, abs=1.5)
        assert found["voxel"][:, k].mean() < 0.6 * share.mean()
