from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import MRImageStorage

from nextaim_kit.data.privacy.defacing import Cut
from nextaim_kit.data.privacy.deidentify import Report, deidentify
from nextaim_kit.data.privacy.faces import body_part
from nextaim_kit.data.privacy.head_volumes import voxels_of
from nextaim_kit.data.privacy.profile import Profile
from nextaim_kit.data.privacy.volumes import write_volume
from tests.data.privacy.phantom import EDGE, MATRIX, SHAPE, head
from tests.data.privacy.planted import base

NAME = "sub-01_T1w.nii.gz"


def _series(folder: Path, values: NDArray, part: str) -> None:
    folder.mkdir(parents=True)
    for number, plane in enumerate(values):
        data = base(f"1.2.3.{number + 1}")
        data.SeriesInstanceUID, data.BodyPartExamined = "1.2.3", part
        data.Rows, data.Columns = plane.shape
        data.PixelSpacing, data.SliceThickness = [EDGE, EDGE], EDGE
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [0, 0, number * EDGE]
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        data.PixelData = (plane + 1024).clip(0, 4095).astype("<u2").tobytes()
        data.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)


def _cleaned(tmp_path: Path, profile: Profile | None = None) -> Report:
    return deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key", profile)


def _volume(out: Path) -> NDArray:
    found = sorted(map(dcmread, out.rglob("*.dcm")), key=lambda d: d.ImagePositionPatient[2])
    return np.stack([data.pixel_array for data in found])


def _nifti(tmp_path: Path, values: NDArray, affine: NDArray, name: str = NAME) -> None:
    (tmp_path / "in").mkdir()
    nibabel.Nifti1Image(values, affine).to_filename(tmp_path / "in" / name)


def test_a_face_is_cut_off_a_tilted_head_in_any_order_of_axes(tmp_path: Path) -> None:
    values, brain, face = head()
    turn = nibabel.affines.from_matvec(nibabel.eulerangles.euler2mat(0.2, 0.1, 0.15), [9, -4, 70])
    lps = np.vstack([MATRIX, [0, 0, 0, 1]])
    affine = turn @ np.diag([-1, -1, 1, 1]) @ lps[:, [1, 0, 2, 3]]  # y, z, x as they are stored
    order = (1, 0, 2)
    _nifti(tmp_path, values.transpose(order)[:, ::-1], _flipped(affine, 1, SHAPE[0]))
    report = _cleaned(tmp_path)
    done = nibabel.load(next((tmp_path / "out").glob("*T1w.nii.gz")))
    after = np.asarray(done.dataobj)[:, ::-1].transpose(order)
    assert report.written["without its face"] == 1
    assert np.array_equal(after[brain], values[brain])
    assert (after[face] == values.min()).mean() > 0.95
    assert (after[face] == values.min()).sum() > 50 * (values[face] == values.min()).sum()


def _flipped(affine: NDArray, axis: int, count: int) -> NDArray:
    affine = affine.copy()
    affine[:3, 3] += affine[:3, axis] * (count - 1)
    affine[:3, axis] *= -1
    return affine


@pytest.mark.rest
def test_a_head_in_dicom_is_told_by_its_form_cut_and_stamped(tmp_path: Path) -> None:
    values, brain, face = head(ct=True)
    _series(tmp_path / "in", values, "")
    _cleaned(tmp_path)
    after, before = _volume(tmp_path / "out"), (values + 1024).clip(0, 4095)
    data = dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert np.array_equal(after[brain], before[brain])
    assert (np.abs(after[face].astype(int) - 24) < 40).mean() > 0.95  # air
    assert "113102" in {item.CodeValue for item in data.DeidentificationMethodCodeSequence}
    assert data.RecognizableVisualFeatures == "NO"


def test_a_head_without_a_brain_is_left_out_by_name(tmp_path: Path) -> None:
    block = np.zeros(SHAPE, np.int16)
    block[10:70, 20:64, 16:50] = 700
    block[20:60, 30:54, 26:40] += np.arange(14, dtype=np.int16) * 3
    _nifti(tmp_path, block * 1.0, np.diag([EDGE, EDGE, EDGE, 1]), "head.nii.gz")
    report = _cleaned(tmp_path)
    assert [name for name, _ in report.left_out] == ["head.nii.gz"]
    assert "its brain is not found" in report.left_out[0][1]
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def test_a_chest_is_never_cut(tmp_path: Path) -> None:
    values, *_ = head(ct=True)
    _series(tmp_path / "in", values, "CHEST")
    report = _cleaned(tmp_path)
    assert np.array_equal(_volume(tmp_path / "out"), (values + 1024).clip(0, 4095))
    data = dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert "113102" not in {item.CodeValue for item in data.DeidentificationMethodCodeSequence}
    assert "RecognizableVisualFeatures" not in data
    assert report.faces == []


def test_a_wide_body_that_no_word_tells_of_is_not_cut(tmp_path: Path) -> None:
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (60, 90, 120)), indexing="ij")
    values = np.where(x**2 + y**2 < 0.9, 40, -1000).astype(np.int16)
    _nifti(tmp_path, values.T, np.diag([EDGE, EDGE, EDGE, 1]), "image.nii.gz")
    report = _cleaned(tmp_path)
    after = nibabel.load(tmp_path / "out" / "image.nii.gz")
    assert np.array_equal(np.asarray(after.dataobj), values.T)
    assert (report.faces, report.written["without its face"]) == ([], 0)


def test_a_head_whose_sides_are_unknown_is_left_out(tmp_path: Path) -> None:
    values, *_ = head()
    (tmp_path / "in").mkdir()
    image = nibabel.Nifti1Image(values.T, None)
    image.header.set_zooms([EDGE] * 3)
    image.to_filename(tmp_path / "in" / NAME)
    report = _cleaned(tmp_path)
    assert "which side is left" in report.left_out[0][1]


def test_faces_stay_where_asked(tmp_path: Path) -> None:
    values, *_ = head()
    _nifti(tmp_path, values.T, np.diag([EDGE, EDGE, EDGE, 1]))
    _cleaned(tmp_path, Profile(faces=True))
    after = nibabel.load(next((tmp_path / "out").glob("*.nii.gz")))
    assert np.array_equal(np.asarray(after.dataobj), values.T)


def test_sections_of_a_head_that_are_no_volume_are_left_out(tmp_path: Path) -> None:
    values, *_ = head()
    _series(tmp_path / "in", values[:1], "BRAIN")
    path = next((tmp_path / "in").glob("*.dcm"))
    data = dcmread(path)
    data.SOPClassUID, data.Modality = MRImageStorage, "MR"
    data.save_as(path)
    assert "no volume" in _cleaned(tmp_path).left_out[0][1]


def test_what_lies_beyond_a_plane_is_set_to_the_lowest_value() -> None:
    values = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    cut = Cut(np.array([0, -1.0, 0]), -0.5)  # in front of y = 0.5
    assert cut.apply(values, np.column_stack([np.eye(3)[:, ::-1], np.zeros(3)]))
    assert values.tolist() == [[[0, 0], [2, 3]], [[0, 0], [6, 7]]]


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ("TC cranio senza mdc", "head"), ("sub-01_ses-1_T1w", "head"), ("RM ENCEFALO", "head"),
        ("CT CHEST", "elsewhere"), ("RX torace", "elsewhere"), ("ginocchio dx", "elsewhere"),
        ("femoral head", ""), ("TC testa e torace", ""), ("series 4", ""), ("protesta", ""),
    ],
)  # fmt: skip
def test_the_part_of_the_body_is_told_by_words(said: str, part: str) -> None:
    assert body_part(said) == part


@pytest.mark.parametrize("name", ["head.nrrd", "head.mha", "head.nii", "packed.nrrd", "packed.mha"])
def test_each_format_gives_its_own_voxels_back_but_for_what_is_cut(
    tmp_path: Path, name: str
) -> None:
    values = np.random.default_rng(0).integers(0, 999, (6, 5, 4)).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1, 2, 3))
    sitk.WriteImage(image, str(tmp_path / name), useCompression=name.startswith("packed"))
    cut = Cut(np.array([0, 0, -1.0]), -7.0)  # below z = 7 mm
    change = voxels_of(tmp_path / name).change(cut, name)
    write_volume(tmp_path / name, tmp_path / "out" / name, str, str, change)
    after = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / name)))
    assert np.array_equal(after[3:], values[3:])
    assert np.all(after[:3] == values.min())
