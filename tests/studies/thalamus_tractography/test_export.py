"""Files of a plan: valid, placed, and the same when they are read back."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pydicom
import pytest
from scipy.spatial.transform import Rotation

from nextaim_kit.data.images.reading import read_image
from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography import dicom_export as dicom
from nextaim_kit.studies.thalamus_tractography import export
from nextaim_kit.studies.thalamus_tractography.series import read_map
from tests.conftest import validator_says


def oblique():
    affine = np.diag([2.0, 2.0, 2.5, 1.0])
    affine[:3, :3] = Rotation.from_euler("xyz", [5, -8, 12], degrees=True).as_matrix() @ np.diag(
        [2.0, 2.0, 2.5]
    )
    affine[:3, 3] = -60, -55, -30
    return np.random.default_rng(0).integers(0, 900, (38, 44, 30)).astype(np.int16), affine


LINES = {"precentral": [np.array([[-10.0, -10, 5], [-14, -8, 20]])], "frontal": []}


@pytest.fixture
def written(planned, tmp_path):
    """A plan on an oblique T1, in files; the table of what was read back."""
    plan = planned(t1=oblique())
    table = export.export(plan, "t1.nii.gz", LINES, tmp_path, synthetic=True)
    return plan, tmp_path, table.set_index("what")["largest"]


def test_what_is_read_back_is_what_was_written(written):
    _, _, largest = written
    assert largest["seven fractional segments"] <= 0.5 / 255 + 1e-6
    assert largest["six maps on T1's grid"] == 0
    assert largest["target"] == 0
    assert largest["thalamus, read as a mask"] == 0
    assert largest["outline of the target"] == 0
    assert (largest.filter(like="streamlines") < 1e-4).all()
    assert len(largest.filter(like="1 streamlines")) == 2


def test_a_t1_of_nifti_becomes_a_series_at_its_place(written):
    plan, folder, _ = written
    values, affine = read_map(folder / "t1")
    np.testing.assert_allclose(affine, plan.head.t1_affine, atol=1e-6)
    assert (values == plan.head.t1).all()


def test_dicom_has_no_errors_and_says_what_it_is_not_for(written):
    plan, folder, _ = written
    for path in ("t1/0001.dcm", "maps_seg.dcm", "t1_target/0012.dcm"):
        assert "Error" not in validator_says(folder / path), path
    marked = pydicom.dcmread(folder / "t1_target" / "0012.dcm")
    source = pydicom.dcmread(folder / "t1" / "0012.dcm")
    assert marked.ImageComments == dicom.NOT_CLINICAL
    assert (marked.ImageType[0], marked.BurnedInAnnotation) == ("DERIVED", "YES")
    assert marked.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert marked.SeriesInstanceUID != source.SeriesInstanceUID
    told = json.loads((folder / "target.json").read_text())
    assert told["not_for_clinical_use"]
    np.testing.assert_allclose(np.multiply(told["dicom_lps_mm"], [-1, -1, 1]), plan.target.center)


def test_the_target_is_drawn_where_it_is(written):
    plan, folder, _ = written
    image = read_image(folder / "t1_target")
    center = plan.target.center * [-1, -1, 1]
    index = image.TransformPhysicalPointToIndex(center.tolist())
    values = np.asarray(dicom.read_slices(folder / "t1_target")[index[2]].pixel_array)
    rim = np.argwhere(values == values.max())
    near = rim[np.linalg.norm(rim - np.array(index[1::-1]), axis=1) < 8]
    np.testing.assert_allclose(near.mean(0), index[1::-1], atol=1.0)


def test_a_series_of_one_s_own_is_written_upon_and_the_same_plan_makes_the_same_files(
    planned, tmp_path
):
    values, affine = oblique()
    dicom.write_series(values, affine, tmp_path / "mine", "P1")
    plan = planned(t1=read_map(tmp_path / "mine"))
    for name in ("one", "two"):
        export.export(plan, tmp_path / "mine", {}, tmp_path / name)
    assert not (tmp_path / "one" / "t1").exists()
    files = ["maps_seg.dcm", "t1_target/0003.dcm", "target.json"]
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes()
               for f in files)  # fmt: skip
    seg = pydicom.dcmread(tmp_path / "one" / "maps_seg.dcm", stop_before_pixels=True)
    own = pydicom.dcmread(tmp_path / "mine" / "0001.dcm")
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == own.SeriesInstanceUID


def test_a_sagittal_series_is_placed_by_its_headers(tmp_path):
    values, affine = oblique()
    for one in dicom.write_series(values, affine, tmp_path / "t1", "P1"):
        path = tmp_path / "t1" / f"{one.InstanceNumber:04d}.dcm"
        position = np.array(one.ImagePositionPatient, float)[[2, 0, 1]]
        turned = np.array(one.ImageOrientationPatient, float).reshape(2, 3)[:, [2, 0, 1]]
        one.ImagePositionPatient = [f"{x:.8g}" for x in position]
        one.ImageOrientationPatient = [f"{x:.8g}" for x in turned.ravel()]
        one.save_as(path, enforce_file_format=True)
    slices = dicom.read_slices(tmp_path / "t1")
    shape, place = dicom.place_of(slices)
    maps = {"thalamus": np.random.default_rng(0).random(shape).astype(np.float32)}
    dicom.write_seg(slices, maps, tmp_path / "seg.dcm", made_by="test")
    found, there = dicom.read_fractions(tmp_path / "seg.dcm")
    np.testing.assert_allclose(there, place, atol=1e-5)
    assert np.abs(found["thalamus"] - maps["thalamus"]).max() < 0.51 / 255


def test_two_series_in_one_folder_are_refused(tmp_path):
    for name in ("P1", "P2"):
        dicom.write_series(*oblique(), tmp_path / name, name)
    with pytest.raises(DataError, match=r"(?s)no T1 to write upon.*2 series"):
        dicom.read_slices(tmp_path)


def test_nothing_is_not_written_as_seg(tmp_path):
    dicom.write_series(*oblique(), tmp_path / "t1", "P1")
    slices = dicom.read_slices(tmp_path / "t1")
    empty = {"thalamus": np.zeros(dicom.place_of(slices)[0])}
    with pytest.raises(DataError, match="nothing to write"):
        dicom.write_seg(slices, empty, tmp_path / "seg.dcm", made_by="test")


def test_nifti_of_the_maps_lies_upon_t1(written):
    plan, folder, _ = written
    image = nibabel.load(folder / "maps.nii.gz")
    np.testing.assert_allclose(image.affine, plan.head.t1_affine, atol=1e-5)
    assert image.shape == (*plan.head.t1.shape, 6)
