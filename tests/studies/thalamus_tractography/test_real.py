"""The real series and peaks."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.studies.thalamus_tractography import fibers
from nextaim_kit.studies.thalamus_tractography.coherence import fiber_coherence
from nextaim_kit.studies.thalamus_tractography.diffusion import Steps, prepare
from nextaim_kit.studies.thalamus_tractography.layouts import load_subjects
from nextaim_kit.studies.thalamus_tractography.reference import Tracking, mirrored, track_subject
from nextaim_kit.studies.thalamus_tractography.series import (
    read_map,
    read_peaks,
    read_reversed,
    read_series,
)
from nextaim_kit.studies.thalamus_tractography.space import grid
from nextaim_kit.studies.thalamus_tractography.tracking import Walk


@pytest.fixture(scope="module")
def uih(real):
    """The AP series with its PA pair, undistorted; not denoised, since seconds count."""
    table = load_subjects(str(real / "thalamus_tractography" / "uih"))
    row = table[table["reversed"] != ""].iloc[0].to_dict()
    series = read_series(row)
    reverse = read_reversed(row, series)
    made = prepare(series, reverse, Steps(denoise=False, motion="none"))
    return series, reverse, made


def test_the_gradient_table_of_the_real_series_is_right(uih):
    found = fibers.checked(uih[2])
    assert found.verdict == "right"
    assert found.scores["x y z"] > 1.2


def test_a_spoiled_table_of_the_real_series_is_told_and_mended(uih):
    for name in ("x y z, -x", "z x y, -y"):
        assert fibers.checked(fibers.spoiled(uih[2], name)).verdict == name


def test_the_two_phases_of_the_real_b0_become_one_image(uih):
    series, reverse, made = uih
    field, mask = made.field, made.mask
    before = np.corrcoef(series.b0[mask], reverse.b0[mask])[0, 1]
    images = field.correct(series.b0, 1)[mask], field.correct(reverse.b0, -1)[mask]
    after = np.corrcoef(*images)[0, 1]
    assert 1 - after < 0.4 * (1 - before)
    assert 2 < np.abs(field.shift[mask]).max() * series.spacing[1] < 15  # mm


def test_where_the_real_head_s_fibers_cross_the_midline_they_are_red(uih):
    tensors, mask = uih[2].tensors, uih[2].mask
    middle = int(np.rint(np.argwhere(mask)[:, 0].mean()))
    slab = np.zeros_like(mask)
    slab[middle - 1 : middle + 2] = True
    callosum = slab & mask & (tensors.fa > 0.6)
    assert callosum.sum() > 30
    assert (tensors.direction[callosum] ** 2).mean(0)[0] > 0.7


def test_the_peaks_of_tractseg_lead_on_only_if_they_are_read_in_the_patient_s_frame(real):
    folder = real / "thalamus_tractography" / "tractseg"
    fa, _ = read_map(folder / "FA.nii.gz")
    verdicts = {}
    for frame in ("patient", "voxel"):
        peaks = read_peaks(folder / "peaks.nii.gz", frame=frame)[0][..., 0, :]
        length = np.linalg.norm(peaks, axis=-1)
        along = peaks / np.maximum(length, 1e-6)[..., None]
        edges = np.array([2.5, 2.5, 2.5])
        verdicts[frame] = fiber_coherence(along, fa, length > 0.1, edges).verdict
    assert verdicts == {"patient": "right", "voxel": "x y z, -x"}


# Mean in the left thalamus, and the map's center in mm, as the same method gave them elsewhere.
KNOWN = {
    "precentral": (0.123, (-14.5, -17.6, 6.3)),
    "postcentral": (0.070, (-15.2, -18.8, 6.2)),
    "prefrontal": (0.158, (-11.2, -13.9, 7.0)),
    "premotor": (0.034, (-11.5, -14.3, 7.6)),
    "parietal": (0.112, (-14.5, -18.9, 7.1)),
    "occipital": (0.032, (-11.2, -21.3, 7.6)),
}


@pytest.mark.rest
def test_tractseg_s_thalamus_is_wired_as_known_and_less_so_in_the_wrong_frame(real):
    table = load_subjects(str(real / "thalamus_tractography" / "tractseg"))
    row, how = table.iloc[0].to_dict(), Tracking(walk=Walk(10))
    found, wrong = track_subject(row, how), mirrored(row, how)
    assert found.names == tuple(KNOWN)
    assert found.thalamus.sum() == 661
    places = grid(found.thalamus.shape, found.affine)[found.thalamus]
    for k, (mean, center) in enumerate(KNOWN.values()):
        share = found.shares[:, k]
        assert share.mean() == pytest.approx(mean, rel=0.2)
        assert (places * share[:, None]).sum(0) / share.sum() == pytest.approx(center, abs=1.5)
    less = wrong.shares.mean(0) / found.shares.mean(0)
    assert less.mean() < 0.7
    assert less[found.names.index("precentral")] < 0.5
    assert less[found.names.index("prefrontal")] < 0.5
