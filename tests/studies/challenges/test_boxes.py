"""CTs become boxes of one size: the lungs, in HU, with their lesions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.challenges.boxes import hounsfield, load_boxes


def patient(folder, subject, *, axes="LPS", shift=0.0, empty=False):
    """A chest of 0 HU with two lungs of -800 HU; in one a lesion of -300 HU."""
    hu = np.zeros((20, 24, 32), np.int16)
    lungs = np.zeros_like(hu)
    if not empty:
        lungs[4:16, 6:18, 4:12], lungs[4:16, 6:18, 20:28] = 1, 2
    lesions = np.zeros_like(hu)
    lesions[4:10, 6:12, 4:12] = 1
    hu[lungs > 0], hu[(lesions > 0) & (lungs > 0)] = -800, -300
    row = {"subject": subject}
    for name, voxels in {"image": hu, "lungs": lungs, "lesions": lesions}.items():
        volume = sitk.GetImageFromArray(voxels)
        volume.SetSpacing((2.0, 2.0, 3.0))
        volume.SetOrigin((shift if name == "lesions" else 0.0, 0.0, 0.0))
        row[name] = str(folder / f"{subject}_{name}.nii.gz")
        sitk.WriteImage(sitk.DICOMOrient(volume, axes), row[name])
    return row


def test_the_box_is_the_lungs_and_all_else_is_air(tmp_path):
    boxes = load_boxes(pd.DataFrame([patient(tmp_path, "a")]), (24, 12, 12))
    image, mask = boxes.pairs[0]
    assert image.shape == mask.shape == (1, 24, 12, 12)  # the box itself, not resized
    assert hounsfield(float(image[0, 20, 8, 8])) == pytest.approx(-800)
    assert hounsfield(float(image[0, 0, 0, 0])) == pytest.approx(-300)
    assert hounsfield(float(image[0, 12, 5, 5])) == pytest.approx(-1000)  # between the lungs
    assert mask.sum() == 8 * 6 * 6
    assert boxes.lungs[0].sum() == 2 * 8 * 12 * 12


def test_another_size_keeps_the_share_of_the_lesions(tmp_path):
    boxes = load_boxes(pd.DataFrame([patient(tmp_path, "a")]), (12, 6, 6))
    assert float(boxes.pairs[0][1].mean()) == pytest.approx(8 * 36 / (24 * 144))


def test_the_axes_of_the_file_do_not_matter(tmp_path):
    rows = [patient(tmp_path, "a"), patient(tmp_path, "b", axes="RAS")]
    first, second = load_boxes(pd.DataFrame(rows), (24, 12, 12)).pairs
    assert first[0].equal(second[0])
    assert first[1].equal(second[1])


def test_who_cannot_be_read_is_named_and_the_others_stay(tmp_path):
    rows = [
        patient(tmp_path, "good"),
        patient(tmp_path, "shifted", shift=5.0),
        patient(tmp_path, "no lungs", empty=True),
        patient(tmp_path, "gone") | {"image": str(tmp_path / "nothing.nii.gz")},
    ]
    boxes = load_boxes(pd.DataFrame(rows), (24, 12, 12))
    assert boxes.table["subject"].tolist() == ["good"]
    problems = boxes.failures.set_index("subject")["problem"]
    assert list(problems.index) == ["shifted", "no lungs", "gone"]
    assert "origin" in problems["shifted"]
    assert "no voxel of lung" in problems["no lungs"]


def test_a_cohort_of_which_nobody_can_be_read_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no patient's CT could be read"):
        load_boxes(pd.DataFrame([patient(tmp_path, "a", empty=True)]), (24, 12, 12))


def test_a_size_of_two_edges_is_refused(tmp_path):
    with pytest.raises(RequestError, match="a volume has three edges"):
        load_boxes(pd.DataFrame([patient(tmp_path, "a")]), (24, 12))
