"""Volumes in a folder without masks: a subject each, by file or by folder."""

from __future__ import annotations

import pytest

from nextaim_kit.data.cohort.folders import subjects_in


@pytest.fixture
def touch(tmp_path):
    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"no volume, only a name")
        return tmp_path

    return make


def found(folder):
    rows, problems, _ = subjects_in(folder, ["image"])
    return {row["subject"]: row["image"] for row in rows}, problems


def test_each_volume_is_a_subject_named_by_its_file(touch):
    folder = touch("b.nii.gz", "a.nii", "c.NRRD", "d.mha", "notes.txt", ".hidden.nii.gz")
    rows, problems = found(folder)
    assert list(rows) == ["a", "b", "c", "d"]
    assert rows["b"] == str(folder / "b.nii.gz")
    assert problems == []


def test_masks_beside_a_volume_are_no_subjects(touch):
    folder = touch(
        "p1.nii.gz", "p1_lungs.nii.gz", "p1_lesions.nii.gz", "p2.nii.gz", "p2_mask.nii.gz",
        "p2_seg.nrrd", "p2_label.nii",
    )  # fmt: skip
    assert list(found(folder)[0]) == ["p1", "p2"]


def test_a_volume_alone_in_a_folder_has_the_folder_s_name(touch):
    rows, _ = found(touch("P7/ct.nii.gz", "P8/ct.nii.gz", "P9/a.nii.gz", "P9/b.nii.gz"))
    assert sorted(rows) == ["P7", "P8", "a", "b"]


def test_two_volumes_of_one_name_are_two_subjects_named_by_their_folders(touch):
    rows, problems = found(touch("x/p.nii.gz", "x/q.nii.gz", "y/p.nii.gz", "y/r.nii.gz", "p.nii"))
    assert list(rows) == ["p", "q", "r", "x_p", "y_p"]
    assert problems == []


def test_pairs_come_first_and_need_no_mask(touch):
    rows, problems, _ = subjects_in(
        touch("p_image.nii.gz", "p_mask.nii.gz", "q_image.nii.gz"), ["image"]
    )
    assert [row["subject"] for row in rows] == ["p", "q"]
    assert "mask" in rows[0]
    assert problems == []


def test_where_masks_are_needed_lone_volumes_are_no_subjects(touch):
    assert subjects_in(touch("a.nii.gz")).subjects == []
    assert subjects_in(touch("a.nii.gz")).problems == [{"subject": "a", "problem": "no mask"}]


def test_an_empty_folder_has_nobody(tmp_path):
    assert found(tmp_path) == ({}, [])
