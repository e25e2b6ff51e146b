"""What lies beside a sound DICOM series is left aside and named; what spoils it is refused."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from nextaim_kit.data.images.dicom import is_dicom, read_header
from nextaim_kit.data.images.headers import scan
from nextaim_kit.data.images.reading import read_image
from nextaim_kit.errors import DataError

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def values(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


@pytest.fixture
def series(tmp_path, dicom_files, stored):
    """A sound series, and what writes changed copies of a slice beside it."""

    def beside(change, name: str = "other.dcm", **options):
        (path,) = dicom_files.series(tmp_path / "x", stored[:1], **options)
        data = pydicom.dcmread(path)
        path.unlink()
        change(data)
        data.save_as(tmp_path / name)

    dicom_files.series(tmp_path, stored, uid="1.2.3")
    return beside


def screenshot(data):
    data.SOPClassUID, data.ImageType = SECONDARY_CAPTURE, ["DERIVED", "SECONDARY"]
    del data.ImagePositionPatient, data.ImageOrientationPatient, data.PixelSpacing


def color(data):
    screenshot(data)
    data.SamplesPerPixel, data.PhotometricInterpretation = 3, "RGB"


def scout(data):
    data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def derived(data):
    data.ImageType = ["DERIVED", "SECONDARY", "MPR"]


def as_modality(name):
    def change(data):
        data.Modality, data.SOPClassUID = name, "1.2.840.10008.5.1.4.1.1.88.22"
        del data.Rows, data.Columns, data.PixelData

    return change


def larger_without_place(data):
    data.Rows, data.PixelData = 20, data.PixelData * 2
    del data.ImagePositionPatient


SAME, OTHER = "1.2.3", "1.2.4"


@pytest.mark.parametrize(
    ("change", "says", "turned", "uid"),
    [
        *((screenshot, "secondary capture", False, uid) for uid in (SAME, OTHER)),
        *((color, "color picture", False, uid) for uid in (SAME, OTHER)),
        *((scout, "localizer", True, uid) for uid in (SAME, OTHER)),
        *((as_modality("SR"), "SR", False, uid) for uid in (SAME, OTHER)),
        *((as_modality("PR"), "PR", False, uid) for uid in (SAME, OTHER)),
        (lambda data: None, "turned against the others", True, SAME),
        (larger_without_place, "a screenshot, maybe", False, SAME),
        (derived, "another series", False, OTHER),
    ],
)
def test_what_is_no_slice_is_left_aside_and_named(
    tmp_path, series, stored, change, says, turned, uid
):
    orientation = (0, 1, 0, 0, 0, -1) if turned else (1, 0, 0, 0, 1, 0)
    series(change, uid=uid, orientation=orientation)
    with pytest.warns(UserWarning, match=rf"left aside: other.dcm \({says}\)"):
        image = read_image(tmp_path)
    assert np.array_equal(values(image), stored - 1000.0)


def test_masks_and_other_series_that_were_not_asked_for_are_not_named(
    tmp_path, series, stored, dicom_files, recwarn
):
    dicom_files.rtstruct(tmp_path / "rs.dcm", {"A": [dicom_files.box(1, (2, 5), (2, 5))]})
    assert np.array_equal(values(read_image(tmp_path)), stored - 1000.0)
    series(scout, uid="1.2.4")
    assert np.array_equal(values(read_image(f"{tmp_path}#2.3")), stored - 1000.0)
    assert not recwarn


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: setattr(d, "ImagePositionPatient", None), "other.dcm.*no ImagePositionPatient"),
        (lambda d: setattr(d, "PixelSpacing", None), "other.dcm.*no PixelSpacing"),
        (
            lambda d: (delattr(d, "PixelSpacing"), setattr(d, "ImagerPixelSpacing", [1.5, 2])),
            "other.dcm.*no PixelSpacing",
        ),
        (lambda d: setattr(d, "ImageOrientationPatient", [1, 0, 0, 1, 0, 0]), "orientation"),
        (lambda d: setattr(d, "ImagePositionPatient", [0, 0]), "no ImagePositionPatient"),
        (lambda d: setattr(d, "Rows", 9), "differs from"),
        (lambda d: setattr(d, "Rows", None), "differs from"),
    ],
)
def test_a_slice_that_cannot_be_placed_is_refused_by_name(tmp_path, series, change, says):
    series(change, uid="1.2.3")
    with pytest.raises(DataError, match=says):
        read_image(tmp_path)


def test_a_three_plane_localizer_is_no_volume(tmp_path, dicom_files, stored):
    for k, turn in enumerate([(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)]):
        dicom_files.series(tmp_path / f"{k}", stored[:2], uid="1.2.3", orientation=turn)
    with pytest.raises(DataError, match="is turned against"):
        read_image(tmp_path)


def acquisition(of):
    return lambda data, z: setattr(data, "AcquisitionNumber", of(z))


def test_acquisitions_one_after_the_other_are_one_volume(tmp_path, dicom_files, stored, recwarn):
    dicom_files.series(tmp_path, stored, change=acquisition(lambda z: 1 + z // 3))
    assert np.array_equal(values(read_image(tmp_path)), stored - 1000.0)
    assert not recwarn


def test_acquisitions_between_one_another_are_refused(tmp_path, dicom_files, stored):
    dicom_files.series(tmp_path, stored, change=acquisition(lambda z: 1 + z % 2))
    with pytest.raises(DataError, match="2 volumes in one: AcquisitionNumber 1, 2"):
        read_image(tmp_path)


def test_two_phases_at_one_place_are_named(tmp_path, dicom_files, stored):
    for k in (1, 2):
        change = acquisition(lambda z, k=k: k)
        dicom_files.series(tmp_path / f"{k}", stored, uid="1.2.3", change=change)
    with pytest.raises(DataError, match="same place: AcquisitionNumber 1, AcquisitionNumber 2"):
        read_image(tmp_path)


def test_slices_are_ordered_by_position_and_not_by_number(tmp_path, dicom_files, stored):
    numbers = [4, 1, 6, 2, 5, 3]
    dicom_files.series(
        tmp_path, stored, change=lambda data, z: setattr(data, "InstanceNumber", numbers[z])
    )
    assert np.array_equal(values(read_image(tmp_path)), stored - 1000.0)


@pytest.mark.parametrize("cut", [0, 128, 132])
@pytest.mark.parametrize("suffix", ["", ".dcm", ".0012"])
def test_dicom_without_suffix_or_preamble_is_dicom(tmp_path, dicom_files, stored, cut, suffix):
    for k, path in enumerate(dicom_files.series(tmp_path, stored)):
        content = path.read_bytes()
        path.unlink()
        (tmp_path / f"IM{k}{suffix}").write_bytes(content[cut and 132 :])
    assert np.array_equal(values(read_image(tmp_path)), stored - 1000.0)
    assert read_image(tmp_path / f"IM3{suffix}").GetSize() == (12, 10, 1)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_a_bare_data_set_is_read_in_the_order_of_its_bytes(tmp_path, dicom_files, stored, syntax):
    (path,) = dicom_files.series(tmp_path, stored[:1])
    data = pydicom.dcmread(path)
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    if not little:
        data.PixelData = stored[:1].astype(">u2").tobytes()
    data.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(path, data, implicit_vr=implicit, little_endian=little)
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    path.with_name("bare").write_bytes(content[start:])
    path.unlink()
    assert np.array_equal(values(read_image(tmp_path / "bare")), stored[:1] - 1000.0)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG" + b"\0" * 200, b"II*\0" * 60])
def test_other_files_are_not_taken_for_dicom(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert not is_dicom(tmp_path / "file")


EMPTY = [
    "Modality", "PatientID", "ImageType", "NumberOfFrames", "SliceThickness", "AcquisitionNumber",
    "SeriesInstanceUID", "InstanceNumber", "SpacingBetweenSlices", "StudyDate", "HighBit",
]  # fmt: skip


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_value_is_missing_and_nothing_is_damaged(tmp_path, dicom_files, stored, name):
    dicom_files.series(tmp_path, stored, change=lambda data, z: setattr(data, name, None))
    assert scan(tmp_path)[1] == []
    assert np.array_equal(values(read_image(tmp_path)), stored - 1000.0)


def test_the_kind_of_object_stands_in_for_a_missing_modality(tmp_path, dicom_files, stored):
    paths = dicom_files.series(tmp_path, stored, change=lambda data, z: delattr(data, "Modality"))
    assert read_header(paths[0]).modality == "CT"


def test_one_slice_without_thickness_has_no_volume(tmp_path, dicom_files, stored):
    (path,) = dicom_files.series(
        tmp_path, stored[:1], change=lambda data, z: delattr(data, "SliceThickness")
    )
    with pytest.raises(DataError, match="is alone and has no SliceThickness"):
        read_image(path)


def test_a_localizer_alone_is_not_an_image(tmp_path, series, dicom_files, stored):
    (path,) = dicom_files.series(tmp_path / "s", stored[:1], change=lambda data, z: scout(data))
    with pytest.raises(DataError, match=r"not an image(.|\n)*DICOM localizer"):
        read_image(path)
    with pytest.raises(DataError, match=r"holds no DICOM image(.|\n)*localizer"):
        read_image(path.parent)


def test_the_damaged_file_s_own_reason_is_given(tmp_path, series):
    (tmp_path / "bad.dcm").write_bytes(b"not DICOM" * 40)
    with pytest.raises(DataError, match=r"bad\.dcm cannot be read(.|\n)*prefix"):
        read_image(tmp_path)


@pytest.mark.parametrize("cut", [1, 100])
def test_a_slice_whose_pixels_end_too_soon_is_refused(tmp_path, dicom_files, stored, cut):
    path = dicom_files.series(tmp_path, stored)[2]
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError, match=rf"{path.name} cannot be read"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("name", "other", "says"),
    [("PatientID", "Bruni^Eva", "of one patient"), ("Modality", "PT", "of one kind of scan")],
)
def test_slices_of_several_patients_or_modalities_are_no_volume(
    tmp_path, dicom_files, stored, name, other, says
):
    def change(data, z):
        if z in (2, 4):
            setattr(data, name, other)

    paths = dicom_files.series(tmp_path, stored, change=change)
    named = rf"not {says}(.|\n)*2 in 6 slices; ({paths[2].name}|{paths[4].name}) is of another"
    with pytest.raises(DataError, match=named) as caught:
        read_image(tmp_path)
    assert "Rossi" not in str(caught.value)
    assert "Bruni" not in str(caught.value)


def test_a_patient_who_is_not_named_everywhere_is_one(tmp_path, dicom_files, stored):
    def change(data, z):
        data.PatientID = "" if z == 3 else "P"

    dicom_files.series(tmp_path, stored, change=change)
    assert np.array_equal(values(read_image(tmp_path)), stored - 1000.0)


@pytest.mark.parametrize(("every", "warned"), [(1, False), (2, True)])
def test_gaps_between_slices_are_said(tmp_path, dicom_files, stored, every, warned, recwarn):
    for z, path in enumerate(dicom_files.series(tmp_path, stored)):
        if z % every:
            path.unlink()
    image = read_image(tmp_path)
    assert np.array_equal(values(image), stored[::every] - 1000.0)
    said = [str(one.message) for one in recwarn]
    assert any("slices of 3 mm lie 6 mm apart" in one for one in said) == warned


@pytest.mark.parametrize(("off", "sound"), [(1e-6, True), (1e-2, False)])
def test_a_pixel_spacing_that_is_rounded_otherwise_is_the_same(
    tmp_path, dicom_files, stored, off, sound
):
    def change(data, z):
        data.PixelSpacing = [1.5 + off * (z % 2), 2.0]

    dicom_files.series(tmp_path, stored, change=change)
    if sound:
        assert np.array_equal(values(read_image(tmp_path)), stored - 1000.0)
    else:
        with pytest.raises(DataError, match=r"differs from .* in size or pixel spacing"):
            read_image(tmp_path)


def test_a_folder_without_dicom_is_said_to_be(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(DataError, match=r"holds no DICOM image(.|\n)*no DICOM file"):
        read_image(tmp_path)
