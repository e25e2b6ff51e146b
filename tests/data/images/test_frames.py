"""Enhanced multi-frame DICOM: frames are placed by what each says of itself."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.data.images.reading import check_geometry, read_image, read_mask
from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_lungquant.scans import read_ct

SHUFFLED = [3, 0, 5, 1, 4, 2]


def values(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "volume.dcm"


def shared(data) -> None:
    """Move what all frames say alike to where it stands once."""
    for name in ("PlaneOrientation", "PixelMeasures", "PixelValueTransformation"):
        for frame in data.PerFrameFunctionalGroupsSequence:
            group = frame.pop(f"{name}Sequence")
        data.SharedFunctionalGroupsSequence[0].add(group)


@pytest.mark.parametrize("order", [range(6), range(5, -1, -1), SHUFFLED])
@pytest.mark.parametrize("change_all", [None, shared])
def test_frames_are_ordered_by_position(path, dicom_files, stored, order, change_all):
    dicom_files.enhanced(path, stored, order, change_all=change_all)
    image = read_image(path)
    assert np.array_equal(values(image), stored - 1000.0)
    check_geometry(dicom_files.volume(stored), image)
    check_geometry(image, read_image(path.parent))


def test_each_frame_has_its_own_slope_and_intercept(path, dicom_files, stored):
    def change(frame, z):
        frame.PixelValueTransformationSequence[0].RescaleSlope = 1 + z
        frame.PixelValueTransformationSequence[0].RescaleIntercept = -500 * z

    dicom_files.enhanced(path, stored, SHUFFLED, change=change)
    z = np.arange(6)[:, None, None]
    assert np.array_equal(values(read_image(path)), stored * (1 + z) - 500 * z)


def test_one_frame_is_as_thick_as_it_says(path, dicom_files, stored):
    image = read_image(dicom_files.enhanced(path, stored, [2]))
    assert np.array_equal(values(image)[0], stored[2] - 1000.0)
    assert image.GetSpacing() == (2.0, 1.5, 3.0)
    assert image.GetOrigin() == (-10.0, 20.0, 11.0)


def test_a_volume_in_several_files_is_put_together(tmp_path, dicom_files, stored):
    for name, order in (("a", [4, 0, 2]), ("b", [5, 3, 1])):
        dicom_files.enhanced(
            tmp_path / f"{name}.dcm",
            stored,
            order,
            change_all=lambda data: setattr(data, "SeriesInstanceUID", "1.2.3"),
        )
    assert np.array_equal(values(read_image(tmp_path)), stored - 1000.0)


def drop(group: str, tag: str = ""):
    def change(frame, z):
        if z == 3:
            delattr(frame[group][0] if tag else frame, tag or group)

    return change


def told(group: str, tag: str, of):
    return lambda frame, z: setattr(frame[group][0], tag, of(z))


@pytest.mark.parametrize(
    ("order", "change", "says"),
    [
        ([0, 1, 2, 4, 5], None, r"1 missing between volume.dcm frame 3 and volume.dcm frame 4"),
        ([0, 1, 2, 2, 3, 4], None, "volume.dcm frame 3 and volume.dcm frame 4 lie at the same pl"),
        (
            range(6),
            told("PlanePositionSequence", "ImagePositionPatient", lambda z: [0, 0, z + z * z / 9]),
            "uneven step between",
        ),
        (range(6), drop("PlanePositionSequence"), "frame 4 does not say.*ImagePositionPatient"),
        (range(6), drop("PlaneOrientationSequence"), "frame 4 does not.*ImageOrientationPatient"),
        (range(6), drop("PixelMeasuresSequence"), "frame 4 does not say.*PixelSpacing"),
        (range(6), drop("PixelMeasuresSequence", "PixelSpacing"), "frame 4 does.*PixelSpacing"),
        (range(6), drop("PixelValueTransformationSequence"), "what its stored numbers mean"),
        (
            range(6),
            told("PixelMeasuresSequence", "PixelSpacing", lambda z: [1.5, 2.0 + (z == 2)]),
            "differs from volume.dcm frame 1 in size or pixel spacing",
        ),
        (
            range(6),
            told("FrameContentSequence", "StackID", lambda z: str(1 + z // 3)),
            "2 volumes in one: StackID 1, 2",
        ),
        (
            range(6),
            told("FrameContentSequence", "TemporalPositionIndex", lambda z: 1 + z % 2),
            "2 volumes in one: TemporalPositionIndex 1, 2",
        ),
    ],
)
def test_frames_that_are_no_volume_are_refused_by_name(
    path, dicom_files, stored, order, change, says
):
    dicom_files.enhanced(path, stored, order, change=change)
    with pytest.raises(DataError, match=says):
        read_image(path)


@pytest.mark.parametrize(
    ("change_all", "says"),
    [
        (lambda data: data.PerFrameFunctionalGroupsSequence.pop(), "6 frames, of which 5 say"),
        (lambda data: data.pop("PerFrameFunctionalGroupsSequence"), "6 frames, of which 0 say"),
    ],
)
def test_frames_without_a_place_are_refused(path, dicom_files, stored, change_all, says):
    dicom_files.enhanced(path, stored, range(6), change_all=change_all)
    with pytest.raises(DataError, match=says):
        read_image(path)


def test_the_image_is_blamed_and_not_its_mask(path, dicom_files, stored):
    from nextaim_kit.studies.ct_radiomics.settings import Settings
    from nextaim_kit.studies.ct_radiomics.subject import extract_subject

    dicom_files.enhanced(path, stored, [0, 1, 2, 4, 5])
    contour = dicom_files.box(1, (2, 5), (2, 5))
    mask = dicom_files.rtstruct(path.parent / "rs.dcm", {"GTV": [contour]})
    with pytest.raises(DataError, match="1 missing between"):
        extract_subject({"image": str(path), "mask": str(mask)}, Settings())


def test_contours_fall_on_the_slices_of_shuffled_frames(path, dicom_files, stored):
    image = read_image(dicom_files.enhanced(path, stored, SHUFFLED))
    contour = dicom_files.box(4, (2.5, 6.5), (3.5, 5.5))
    mask = read_mask(dicom_files.rtstruct(path.parent / "r.dcm", {"A": [contour]}), like=image)
    assert values(mask)[4].sum() == values(mask).sum() == 4 * 2


def test_an_enhanced_chest_is_quantified_like_any_other(path, dicom_files):
    chest = np.full((10, 24, 24), 0)
    chest[:, 4:20, 4:20], chest[:, 6:18, 6:11] = 1000, 200
    dicom_files.enhanced(path, chest, [9, 3, 1, 0, 2, 4, 8, 6, 7, 5])
    scan = read_ct(path)
    assert np.array_equal(values(scan.image), chest - 1000)
    assert scan.warnings == ()
