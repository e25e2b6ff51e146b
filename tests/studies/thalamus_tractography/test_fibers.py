"""A cohort's fibers: one sick subject loses no other, and files that do not fit are refused."""

from __future__ import annotations

import nibabel
import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.diffusion import Steps
from nextaim_kit.studies.thalamus_tractography.fibers import fibers_of, prepare_cohort
from nextaim_kit.studies.thalamus_tractography.layouts import COLUMNS

QUICK = Steps(denoise=False, distortion=False, motion="none")


def test_where_the_first_subject_cannot_be_read_the_next_one_is_the_example(made, tmp_path):
    row = made(edge=5.0)
    broken = row | {"subject": "broken", "bval": str(tmp_path / "none.bval")}
    people = prepare_cohort("synthetic", QUICK, twin=lambda: pd.DataFrame([broken, row]))
    assert [one.subject for one in people.found] == [row["subject"]]
    assert people.found[0].made is not None
    assert people.failures["subject"].tolist() == ["broken"]


def test_without_the_phase_s_axis_what_was_taken_is_said(made):
    row = made(edge=5.0, snr=2000.0, motion=0.0, distortion=0.0, eddy=0.0) | {"json": ""}
    notes = fibers_of(row, steps=Steps(denoise=False)).notes
    assert "front to back was taken as the phase's axis of the distortion" in notes
    assert "rigid motion alone was looked for, without the phase's axis" in notes


def peaks(folder, **beside):
    """The row of a bundle along y, with maps beside it: their affines by name."""
    values = np.zeros((8, 40, 8, 9), np.float32)
    values[2:6, :, 2:6, 1] = 1
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "peaks.nii.gz")
    row = dict.fromkeys(COLUMNS, "") | {"subject": "a", "kind": "peaks"}
    for name, affine in beside.items():
        image = nibabel.Nifti1Image((values[..., 1] / 2), affine)
        nibabel.save(image, folder / f"{name}.nii.gz")
        row[name] = str(folder / f"{name}.nii.gz")
    return row | {"peaks": str(folder / "peaks.nii.gz")}


def test_a_map_in_another_place_than_the_peaks_is_refused(tmp_path):
    moved = np.eye(4)
    moved[0, 3] = 5
    assert fibers_of(peaks(tmp_path, fa=np.eye(4))).fa.max() == 0.5
    with pytest.raises(DataError, match=r"(?s)fa\.nii\.gz does not lie.*in another place"):
        fibers_of(peaks(tmp_path, fa=moved))


def test_that_peaks_have_no_fa_is_said(tmp_path):
    found = fibers_of(peaks(tmp_path))
    assert found.fa.max() == 1
    assert "the length of the first peak stands for it" in found.notes[0]
