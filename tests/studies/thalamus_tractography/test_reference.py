"""Maps of synthetic heads and of folders as TractSeg writes them."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography import reference
from nextaim_kit.studies.thalamus_tractography.accuracy import angles
from nextaim_kit.studies.thalamus_tractography.definitions import TARGETS
from nextaim_kit.studies.thalamus_tractography.reference import Tracking, track_subject
from nextaim_kit.studies.thalamus_tractography.tracking import Walk

FEW = Tracking(walk=Walk(10))


@pytest.fixture(scope="module")
def wired(tmp_path_factory):
    """A folder of one straight bundle along y, its seed, its ends, and its row."""
    folder = tmp_path_factory.mktemp("subject")
    (folder / "endings").mkdir()
    peaks = np.zeros((9, 40, 9, 9), np.float32)
    peaks[3:6, :, 3:6, 1] = 1
    y = np.arange(40)[None, :, None] * np.ones((9, 1, 9))
    inside = peaks.any(-1)
    masks = {"thalamus": inside & (y > 18) & (y < 22), "endings/T_PREC_left_b": inside & (y > 36),
             "endings/T_PREC_left_e": inside & (y > 15) & (y < 20),
             "endings/temporal_left": inside & (y < 3)}  # fmt: skip
    for name, values in {"peaks": peaks, **masks}.items():
        image = nibabel.Nifti1Image(values.astype(np.float32), np.diag([2.0, 2, 2, 1]))
        nibabel.save(image, folder / f"{name}.nii.gz")
    return {
        "subject": "a",
        "kind": "peaks",
        "peaks": str(folder / "peaks.nii.gz"),
        "truth": "",
        "thalamus_left": str(folder / "thalamus.nii.gz"),
        "endings": str(folder / "endings"),
    }


def test_of_an_ending_s_two_masks_the_one_farther_from_the_thalamus_is_the_target(wired):
    found = track_subject(wired, FEW)
    assert found.names == ("precentral", "temporal")
    assert (found.maps[found.thalamus].mean(0) > 0.4).all()
    assert next(note for note in found.notes if "left out" in note).startswith("no target postc")


def widened(row, folder, *where):
    """The row with a thalamus that has further voxels."""
    image = nibabel.load(row["thalamus_left"])
    mask = np.asarray(image.dataobj).copy()
    mask[where] = 1
    nibabel.save(nibabel.Nifti1Image(mask, image.affine), folder / "thalamus.nii.gz")
    return row | {"thalamus_left": str(folder / "thalamus.nii.gz")}


def test_how_much_of_a_target_lies_in_the_seed_is_said_and_does_not_count(wired, tmp_path):
    row = widened(wired, tmp_path, slice(3, 6), slice(30, 38), slice(3, 6))
    said = " ".join(track_subject(row, FEW).notes)
    assert "precentral: 9 of 27 voxels of the target lie in the thalamus" in said


def test_seeds_outside_of_where_streamlines_may_go_are_told_and_lost(wired, tmp_path):
    found = track_subject(widened(wired, tmp_path, slice(6, 8), 20, 4), FEW)
    assert "2 of 29 voxels of the thalamus lie where no streamline may go" in " ".join(found.notes)
    assert not found.maps[6:8].any()
    assert found.launched == 290


def test_what_is_needed_to_track_is_named_where_it_is_not_there(wired):
    with pytest.raises(DataError, match=r"(?s)no mask of the left thalamus and no folder of"):
        track_subject(wired | {"thalamus_left": "", "endings": ""}, FEW)
    with pytest.raises(DataError, match="no mask of the right thalamus"):
        track_subject(wired, FEW, side="right")


def test_the_thalamus_of_a_still_head_is_wired_as_the_truth_says(still):
    row, truth = still
    found = track_subject({**row, "kind": "series"}, Tracking(walk=Walk(20), error=0.0))
    assert found.names == TARGETS
    assert found.affine == pytest.approx(truth.affine)
    one, true = found.maps[found.thalamus], truth.connectivity[found.thalamus]
    assert np.corrcoef(one.ravel(), true.ravel())[0, 1] > 0.6
    assert (one.argmax(1) == true.argmax(1)).mean() > 0.6
    assert one.sum(1).max() <= 6
    again = track_subject({**row, "kind": "series"}, Tracking(walk=Walk(20), error=0.0))
    assert again.seconds == found.seconds  # it was kept


@pytest.mark.parametrize("error", [0.0, 8.0, 15.0])
def test_directions_are_off_by_the_angle_that_is_asked_for(still, error):
    _, truth = still
    peaks = reference.noisy_peaks(truth, error, np.random.default_rng(0))
    length = np.linalg.norm(peaks, axis=-1)
    some = length > 0
    off = angles(peaks[some] / length[some][:, None], truth.directions[some])
    assert np.median(off) == pytest.approx(error, abs=0.5)
    assert length[some] == pytest.approx(truth.fractions[some], abs=0.01)


def test_a_thalamus_that_the_image_cuts_off_is_refused(still):
    with pytest.raises(DataError, match=r"(?s)right thalamus is cut off.*voxels on the border"):
        track_subject({**still[0], "kind": "series"}, FEW, side="right")
