"""Layouts that people have: which files are a subject's, and what is said of the others."""

from __future__ import annotations

import os
import time

import pytest

from nextaim_kit import files as walking
from nextaim_kit.data.cohort.folders import subjects_in

TWO = ("1", "2")


@pytest.fixture
def touch(tmp_path):
    def make(*names):
        for name in names:
            path = tmp_path / "cohort" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"no volume, only a name")
        return tmp_path / "cohort"

    return make


def told(folder, *needed):
    """Subjects as ``{name: (image, mask)}`` with paths from the folder, problems, what is said."""
    found = subjects_in(folder, needed or ("image", "mask"))
    rows = {
        row["subject"]: tuple(
            os.path.relpath(row[role], folder) for role in ("image", "mask", "lungs") if role in row
        )
        for row in found.subjects
    }
    return rows, {row["subject"]: row["problem"] for row in found.problems}, found.seen


@pytest.mark.parametrize(
    ("image", "mask", "subject", "layout"),
    [
        ("P{}/ct.nii.gz", "P{}/lesion.nii.gz", "P{}", "a folder for each subject"),
        ("P{}/ct.nii.gz", "P{}/liver.nii.gz", "P{}", "a folder for each subject"),
        ("s{}/ct.nii.gz", "s{}/segmentations/liver.nii.gz", "s{}", "a folder for each subject"),
        ("imagesTr/X_{}_0000.nii.gz", "labelsTr/X_{}.nii.gz", "X_{}", "nnU-Net"),
        ("imagesTr/lung_{}.nii.gz", "labelsTr/lung_{}.nii.gz", "lung_{}", "folders of their own"),
        ("images/p_000{}.nii", "masks/p_000{}.nii", "p_000{}", "folders of their own"),
        ("images/p{}.nii", "masks/p{}_mask.nii", "p{}", "folders of their own"),
        ("CT/P{}/vol.nii", "SEG/P{}/vol.nii", "P{}", "a folder for each subject"),
        ("sub-{}/anat/sub-{}_T1w.nii.gz", "derivatives/m/sub-{}/anat/sub-{}_mask.nii.gz", "sub-{}",
         "BIDS"),
        ("sub-{}/ses-a/anat/sub-{}_ses-a_ct.nii", "derivatives/sub-{}/ses-a/sub-{}_dseg.nii",
         "sub-{}_ses-a", "BIDS"),
        ("P {}/CT.nrrd", "P {}/GTV.nrrd", "P {}", "a folder for each subject"),
        ("P{}/CT.nrrd", "P{}/GTV-1.nrrd", "P{}", "a folder for each subject"),
        ("P{}/{} CHEST 1.0.nrrd", "P{}/Segmentation.seg.nrrd", "P{}", "a folder for each"),
        ("P{}/{}_THORAX.nii", "P{}/tumor_mask.nii", "P{}", "a folder for each subject"),
        ("P{}/image.nii", "P{}/label.nii", "P{}", "a folder for each subject"),
        ("A{}/case_image.nii", "A{}/case_mask.nii", "A{}_case", "files named by subject"),
        ("x/y/P{}/ct.nii.gz", "x/y/P{}/roi.nii.gz", "P{}", "a folder for each subject"),
        ("{}_ct.nii.gz", "{}_seg.nii.gz", "{}", "files named by subject"),
        ("{}.nii.gz", "{}-label.nrrd", "{}", "files named by subject"),
        ("{}_CT_image.nii", "{}_CT_mask.nii", "{}_CT", "files named by subject"),
        ("volume-{}.nii", "segmentation-{}.nii", "{}", "files named by subject"),
        ("Bö {}_IMAGE.NII.GZ", "Bö {}_Mask.NRRD", "Bö {}", "files named by subject"),
        ("a{}.mhd", "a{}_seg.mha", "a{}", "files named by subject"),
    ],
)  # fmt: skip
def test_image_and_mask_of_each_subject_are_found(touch, image, mask, subject, layout):
    def each(pattern):
        return [pattern.replace("{}", n) for n in TWO]

    folder = touch(*each(image), *each(mask))
    rows, problems, seen = told(folder)
    assert rows == dict(zip(each(subject), zip(each(image), each(mask), strict=True), strict=True))
    assert problems == {}
    assert layout in seen
    assert "left out" not in seen
    assert told(folder, "image")[0] == rows


def test_one_subject_in_the_folder_itself_has_its_name(touch):
    rows, _, _ = told(touch("image.nii.gz", "mask_gtv.nii.gz"))
    assert rows == {"cohort": ("image.nii.gz", "mask_gtv.nii.gz")}


def test_of_many_masks_one_must_be_named_where_one_is_needed(touch):
    organs = ("aorta", "liver", "lung_upper_lobe_left", "spleen")
    folder = touch("s1/ct.nii.gz", *(f"s1/segmentations/{organ}.nii.gz" for organ in organs))
    _, problems, _ = told(folder)
    assert problems["s1"].startswith("4 masks: aorta.nii.gz, liver.nii.gz, lung_upper_lobe_left")
    assert "name one in a cohort.csv" in problems["s1"]
    rows, problems, seen = told(folder, "image")
    assert rows == {"s1": ("s1/ct.nii.gz",)}
    assert problems == {}
    assert "left out: volumes: 4 (s1/segmentations/aorta.nii.gz" in seen


def test_further_channels_and_images_without_labels_are_named(touch):
    channels = [f"imagesTr/X_{n}_000{c}.nii.gz" for n in "12" for c in "01"]
    folder = touch(*channels, "labelsTr/X_1.nii.gz", "labelsTr/X_2.nii.gz", "dataset.json",
                   "imagesTs/X_9_0000.nii.gz", "labelsTr/._X_1.nii.gz")  # fmt: skip
    rows, problems, seen = told(folder)
    assert list(rows) == ["X_1", "X_2"]
    assert problems == {"X_9": "no mask"}
    assert "volumes: 2 (imagesTr/X_1_0001.nii.gz, imagesTr/X_2_0001.nii.gz)" in seen
    assert "other files: 1 (dataset.json)" in seen


def test_names_that_do_not_fit_are_never_paired(touch):
    folder = touch("s/p7.nii.gz", "s/p8_mask.nii.gz", "c_image.nii.gz", "d_mask.nii.gz")
    rows, problems, _ = told(folder)
    assert rows == {}
    assert problems == {"c": "no mask", "d": "no image", "p7": "no mask", "p8": "no image"}


def test_two_images_of_a_subject_are_named(touch):
    files = [f"B1/B1_{kind}.nii.gz" for kind in ("flair", "t1", "seg")]
    _, problems, _ = told(touch(*files))
    assert problems["B1"].startswith("2 images: B1_flair.nii.gz, B1_t1.nii.gz")


def test_lungs_are_a_role_of_their_own(touch):
    files = ("p_ct.nii", "p_lesions.nii", "p_lung_mask.nii")
    assert told(touch(*files))[0] == {"p": files}


def test_what_was_derived_is_no_second_image(touch):
    folder = touch("sub-1/anat/sub-1_T1w.nii", "derivatives/f/sub-1/anat/sub-1_desc-x_T1w.nii",
                   "derivatives/f/sub-1/anat/sub-1_desc-brain_mask.nii")  # fmt: skip
    rows, _, seen = told(folder)
    assert rows["sub-1"][0] == "sub-1/anat/sub-1_T1w.nii"
    assert "left out: volumes: 1 (derivatives/f/sub-1/anat/sub-1_desc-x_T1w.nii)" in seen


def test_what_systems_leave_is_nobody_s_and_the_rest_is_counted_and_named(touch):
    folder = touch(
        "a_image.nii", "a_mask.nii", "Thumbs.db", ".DS_Store", "__MACOSX/._a_image.nii",
        "more.zip", "a.pdf", "notes.txt", "old_image.nii.part", "x.tar.gz", "z.txt",
    )  # fmt: skip
    assert told(folder)[2] == (
        "cohort: files named by subject; left out: packed: 2 (more.zip, x.tar.gz); "
        "other files: 4 (a.pdf, notes.txt, old_image.nii.part and 1 more)"
    )


def test_links_are_followed_but_not_in_circles(touch, tmp_path):
    folder = touch("P1/ct.nii.gz", "P1/mask.nii.gz")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "P1").symlink_to(folder / "P1")
    (tmp_path / "links" / "circle").symlink_to(tmp_path / "links")
    rows, _, seen = told(tmp_path / "links")
    assert rows == {"P1": ("P1/ct.nii.gz", "P1/mask.nii.gz")}
    assert "folders shut or linked twice: 1 (circle)" in seen


def test_a_folder_that_cannot_be_opened_is_named(touch, monkeypatch):
    folder = touch("a_image.nii", "a_mask.nii", "shut/b_image.nii")
    walk = os.walk

    def refused(top, followlinks, onerror):
        onerror(PermissionError(13, "Permission denied", str(folder / "shut")))
        yield from ((p, [], n) for p, _, n in walk(top) if not p.endswith("shut"))

    monkeypatch.setattr(walking.os, "walk", refused)
    rows, _, seen = told(folder)
    assert list(rows) == ["a"]
    assert "folders shut or linked twice: 1 (shut)" in seen


def test_an_empty_folder_and_one_with_packed_files_say_so(touch):
    assert told(touch("P1.zip", "P2.zip"))[2] == (
        "cohort: no volume and no DICOM; left out: packed: 2 (P1.zip, P2.zip)"
    )


def test_a_thousand_files_are_looked_at_in_less_than_a_second(touch):
    folder = touch(*(f"p{n}_{role}.nii" for n in range(500) for role in ("image", "mask")))
    start = time.process_time()
    assert len(told(folder)[0]) == 500
    assert time.process_time() - start < 1


def test_volumes_beside_a_series_are_its_masks(touch, dicom_files, stored):
    folder = touch("P1/lesion.nii.gz", "P2/segmentations/lesion.nii.gz")
    for subject in ("P1", "P2"):
        dicom_files.series(folder / subject / "ct", stored, patient="ANON")
    rows, problems, seen = told(folder)
    assert rows == {
        "P1": ("P1/ct", "P1/lesion.nii.gz"), "P2": ("P2/ct", "P2/segmentations/lesion.nii.gz")
    }  # fmt: skip
    assert problems == {}
    assert "cohort: DICOM" in seen


def test_the_export_of_an_archive_has_its_patients_by_folder(touch, dicom_files, stored):
    folder = touch("DICOMDIR", "README")
    for patient in ("PAT0", "PAT1"):
        place = folder / "DICOM" / patient / "STU0" / "SER0"
        for number, path in enumerate(dicom_files.series(place, stored, patient=patient)):
            path.rename(place / f"IM{number:04d}")
    rows, _, seen = told(folder, "image")
    assert rows == {f"PAT{n}": (f"DICOM/PAT{n}/STU0/SER0",) for n in (0, 1)}
    assert seen == "cohort: DICOM; left out: other files: 1 (README)"


def test_images_and_masks_of_patients_in_folders_apart_are_one_subject(touch, dicom_files, stored):
    folder = touch("x")
    dicom_files.series(folder / "CT", stored)
    dicom_files.rtstruct(folder / "RT" / "rs.dcm", {"A": [dicom_files.box(2, (2, 5), (2, 5))]})
    for needed in (("image",), ("image", "mask")):
        assert told(folder, *needed)[0] == {"cohort": ("CT", "RT/rs.dcm")}


def test_dicom_and_volumes_in_one_folder_are_both_found(touch, dicom_files, stored):
    folder = touch("a_image.nii.gz", "a_mask.nii.gz")
    dicom_files.series(folder / "P9", stored)
    rows, problems, _ = told(folder)
    assert list(rows) == ["a"]
    assert problems == {"P9": "no mask"}
    assert list(told(folder, "image")[0]) == ["P9", "a"]


def test_several_series_are_named_with_what_they_are(touch, dicom_files, stored):
    folder = touch("x")
    for number in (1, 2):
        dicom_files.series(folder / "P1", stored[: 3 * number], uid=f"1.2.3.{number}")
    _, problems, _ = told(folder, "image")
    assert problems["P1"].startswith("2 image series (CT of 3 …1.2.3.1, CT of 6 …1.2.3.2); name")
