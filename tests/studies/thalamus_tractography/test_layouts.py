"""Subjects in the layouts people keep them in, and BIDS out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.layouts import load_subjects, save_bids
from nextaim_kit.studies.thalamus_tractography.series import (
    read_map,
    read_peaks,
    read_reversed,
    read_series,
)
from nextaim_kit.studies.thalamus_tractography.truth import read_truth


def test_what_is_saved_as_bids_is_read_as_it_was(made, tmp_path):
    row = made("south", edge=5.0)
    twin = load_subjects("synthetic", twin=lambda: pd.DataFrame([row]))
    found = load_subjects(str(save_bids(twin, tmp_path))).iloc[0]
    assert found["subject"] == "sub-south001"
    one, other = read_series(row), read_series(found)
    assert np.array_equal(one.values, other.values)
    assert np.array_equal(one.directions, other.directions)
    assert read_reversed(found, other).phase == "j-"
    assert np.array_equal(read_truth(row["truth"]).tensor, read_truth(found["truth"]).tensor)
    fa, affine = read_map(tmp_path / "derivatives" / "truth" / "sub-south001" / "fa.nii.gz")
    assert np.allclose(affine, one.affine)
    assert np.allclose(fa, read_truth(row["truth"]).fa)


def test_a_series_without_its_table_is_left_out_by_name(written, tmp_path):
    written(name="a_dwi")
    shutil.copy(tmp_path / "a_dwi.nii.gz", tmp_path / "b_dwi.nii.gz")
    found = load_subjects(str(tmp_path))
    assert found["subject"].tolist() == ["a_dwi"]
    assert found.attrs["problems"] == [
        {"subject": "b_dwi", "problem": "b_dwi.nii.gz: no .bval and no .bvec beside it"}
    ]


def test_series_named_ap_and_pa_are_a_pair(written, tmp_path):
    for name in ("x_AP", "x_PA", "y_AP"):
        written(name=name)
    found = load_subjects(str(tmp_path)).set_index("subject")
    assert found["reversed"].map(lambda p: Path(p).name).to_dict() == {
        "x_AP": "x_PA.nii.gz", "y_AP": "",
    }  # fmt: skip


def test_a_table_names_files_too(written, tmp_path):
    row = written() | {"thalamus_left": "masks/thalamus.nii.gz"}
    pd.DataFrame([{"subject": "P1", **row}]).to_csv(tmp_path / "cohort.csv", index=False)
    found = load_subjects(str(tmp_path)).iloc[0]
    assert found["thalamus_left"] == str(tmp_path / "masks/thalamus.nii.gz")
    assert (found["subject"], found["kind"]) == ("P1", "series")
    assert read_series(found).values.shape == (6, 5, 4, 35)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="no diffusion series"):
        load_subjects(str(tmp_path))


def test_the_uih_series_come_with_their_pair(real):
    found = load_subjects(str(real / "thalamus_tractography" / "uih")).set_index("subject")
    row = found.loc["uih_dwi_AP"]
    series = read_series(row)
    assert series.values.shape == (64, 64, 20, 17)
    assert series.table.shells == [928]
    assert series.phase == "j?"
    assert read_reversed(row, series).values.shape == (64, 64, 20, 17)
    assert not found.loc["uih_dwi_PArot", "reversed"]


def test_turned_slices_have_turned_directions(real):
    found = load_subjects(str(real / "thalamus_tractography" / "uih")).set_index("subject")
    one, other = (read_series(found.loc[f"uih_dwi_{n}"]) for n in ("AP", "PArot"))
    apart = np.degrees(np.arccos(np.clip((one.directions * other.directions).sum(1)[1:], -1, 1)))
    assert apart.max() < 1  # the same of the patient, however the slices were turned
    voxels = (one.voxel_directions * other.voxel_directions).sum(1)[1:]
    assert np.degrees(np.arccos(np.clip(voxels, -1, 1))).max() > 10


def test_tractsegs_peaks_follow_its_bundles_without_a_flip(real):
    row = load_subjects(str(real / "thalamus_tractography" / "tractseg")).iloc[0]
    assert row["kind"] == "peaks"
    peaks, _ = read_peaks(row["peaks"])
    bundle, _ = read_map(Path(row["bundles"]) / "CST_left.nii.gz")
    first = peaks[..., 0, :]
    length = np.linalg.norm(first, axis=-1)
    index = np.argwhere((bundle > 0) & (length > 0.3))
    way = first[tuple(index.T)] / length[tuple(index.T)][:, None]
    inside = [_stays(bundle, index, way * turn) for turn in ([1, 1, 1], [-1, 1, 1])]
    assert inside[0] > inside[1] + 0.02


def _stays(bundle, index, way):
    """Share of steps of four voxels, either way, that end in the bundle."""
    there = [np.rint(index + step * way).astype(int) for step in (-4, 4)]
    return np.mean([bundle[tuple(np.clip(t, 0, np.array(bundle.shape) - 1).T)] > 0 for t in there])


def test_the_human_connectome_projects_folders_are_found(written, tmp_path):
    row, home = written(), tmp_path / "hcp" / "100307" / "T1w" / "Diffusion"
    home.mkdir(parents=True)
    for column, name in (("dwi", "data.nii.gz"), ("bval", "bvals"), ("bvec", "bvecs")):
        shutil.copy(row[column], home / name)
    found = load_subjects(str(tmp_path / "hcp")).iloc[0]
    assert found["subject"] == "100307"
    assert read_series(found).values.shape == (6, 5, 4, 35)
