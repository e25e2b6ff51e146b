"""What the contours of an RTSTRUCT mean: unions, holes, repeats, and what is no region."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.data.images.reading import read_image, read_mask
from nextaim_kit.errors import DataError

BIG = ((0.5, 9.5), (0.5, 8.5))  # 9 x 8 voxels
SMALL = ((3.5, 5.5), (3.5, 5.5))  # 2 x 2 voxels within it


@pytest.fixture
def drawn(tmp_path, dicom_files, stored):
    """Voxels of an ROI of boxes on slices 1, 2 and so on, a list of boxes each; and warnings."""

    def draw(*planes, change=None, **options) -> tuple[np.ndarray, str]:
        contours = [dicom_files.box(z, *box) for z, boxes in enumerate(planes, 1) for box in boxes]
        path = dicom_files.rtstruct(tmp_path / "rs.dcm", {"GTV": contours}, change=change)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            mask = read_mask(path, like=dicom_files.volume(stored), **options)
        array = sitk.GetArrayFromImage(mask)
        return array.sum(axis=(1, 2)), "; ".join(str(w.message) for w in caught)

    return draw


def contours_of(data) -> list:
    return data.ROIContourSequence[0].ContourSequence


def closed_alike(data):
    """Write the same contour from another corner, backwards and a hundredth of a mm off."""
    points = np.array(contours_of(data)[1].ContourData, float).reshape(-1, 3)
    points[:, 0] += 0.01
    contours_of(data)[1].ContourData = list(np.roll(points, 2, 0)[::-1].ravel())


@pytest.mark.parametrize("change", [None, closed_alike])
def test_a_repeated_contour_counts_once_and_is_told(drawn, change):
    counts, told = drawn([BIG, BIG], [BIG], change=change)
    assert counts.tolist() == [0, 72, 72, 0, 0, 0]
    assert "rs.dcm, ROI GTV: contours repeat" in told
    assert "holes 1.296 ml, xor 0.648 ml, union 1.296 ml" in told


@pytest.mark.parametrize(
    ("boxes", "holes", "xor", "union"),
    [
        ([BIG], 72, 72, 72),
        ([BIG, SMALL], 68, 68, 72),
        ([SMALL, BIG], 68, 68, 72),
        ([BIG, SMALL, SMALL], 68, 72, 72),
        ([BIG, ((2.5, 6.5), (2.5, 6.5)), SMALL], 60, 60, 72),  # an island in the hole
        ([((0.5, 3.5), (0.5, 3.5)), ((2.5, 5.5), (0.5, 3.5))], 15, 12, 15),  # overlap
        ([((0.5, 3.5), (0.5, 3.5)), ((3.5, 5.5), (0.5, 3.5))], 15, 15, 15),  # share an edge
        ([BIG, ((3.1, 3.4), (3.1, 3.4))], 72, 72, 72),  # too small for a voxel
    ],
)
def test_each_reading_has_its_voxels_and_a_difference_is_told(drawn, boxes, holes, xor, union):
    for reading, voxels in (("holes", holes), ("xor", xor), ("union", union)):
        counts, told = drawn(boxes, contours=reading)
        assert counts.sum() == voxels
        assert (f"read as {reading}" in told) == (len({holes, xor, union}) > 1)


def test_contours_of_the_xor_type_are_read_so(drawn):
    def change(data):
        for contour in contours_of(data):
            contour.ContourGeometricType = "CLOSEDPLANAR_XOR"

    counts, told = drawn([BIG, SMALL, ((5.5, 7.5), (3.5, 5.5))], change=change)
    assert counts.sum() == 72 - 4 - 4
    assert "read as xor" in told


def test_a_hole_that_may_be_a_repeat_has_to_be_decided(drawn):
    twice = [((-0.5, 11.5), (-0.5, 9.5)), ((-0.5, 11.5), (0.5, 9.5))]
    with pytest.raises(DataError, match=r"slice 1 are nearly the same(.|\n)*92 %"):
        drawn([twice[0], ((-0.5, 10.5), (-0.5, 9.5))])
    assert drawn(twice, contours="union")[0].sum() == 120
    assert drawn(twice, contours="xor")[0].sum() == 12


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("OPEN_PLANAR", "1 OPEN_PLANAR"),
        ("OPEN_NONPLANAR", "1 OPEN_NONPLANAR"),
        (None, "1 contour of no type"),
    ],
)
def test_a_contour_that_is_not_closed_is_refused(drawn, kind, says):
    def change(data):
        contours_of(data)[1].ContourGeometricType = kind

    with pytest.raises(
        DataError, match=rf"ROI GTV: not all of its contours are closed(.|\n)*{says}"
    ):
        drawn([BIG], [BIG], [BIG], change=change)


def as_point(data):
    point = contours_of(data)[-1]
    point.ContourGeometricType, point.NumberOfContourPoints = "POINT", 1
    point.ContourData = point.ContourData[:3]


def of_two_points(data):
    line = contours_of(data)[-1]
    line.NumberOfContourPoints, line.ContourData = 2, line.ContourData[:6]


@pytest.mark.parametrize(
    ("change", "says"), [(as_point, "1 POINT"), (of_two_points, "1 contour of fewer than 3 points")]
)
def test_points_beside_closed_contours_are_named(drawn, change, says):
    counts, told = drawn([BIG], [BIG, SMALL], change=change)
    assert counts.tolist() == [0, 72, 72, 0, 0, 0]
    assert f"without its {says}, which enclose nothing" in told
    with pytest.raises(DataError, match=says):
        drawn([BIG], change=change)


def test_slices_without_a_contour_between_others_are_told(drawn):
    counts, told = drawn([BIG], [], [], [BIG])
    assert counts.tolist() == [0, 72, 0, 0, 72, 0]
    assert "no contour on 2 slices between others (2, 3)" in told


@pytest.mark.parametrize(
    ("shift", "says"),
    [([0, 0, 0, 3], r"across slices, from 1\.00 to 2\.00"), ([1.5] * 4, r"at slice 1\.50")],
)
def test_contours_off_the_slices_are_refused(drawn, shift, says):
    def change(data):
        points = np.array(contours_of(data)[0].ContourData, float).reshape(-1, 3)
        points[:, 2] += shift
        contours_of(data)[0].ContourData = list(points.ravel())

    with pytest.raises(DataError, match=rf"does not lie on its image(.|\n)*{says}"):
        drawn([BIG], change=change)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: setattr(contours_of(data)[0], "ContourData", [1, 2, 3, 4]),
        lambda data: setattr(contours_of(data)[0], "NumberOfContourPoints", 5),
        lambda data: delattr(data.ROIContourSequence[0], "ReferencedROINumber"),
    ],
)
def test_a_broken_contour_is_refused(drawn, change):
    with pytest.raises(DataError, match=r"rs\.dcm cannot be read"):
        drawn([BIG], change=change)


def test_an_unknown_reading_is_refused(drawn):
    with pytest.raises(DataError, match=r"no such reading(.|\n)*holes, xor, union"):
        drawn([BIG], contours="even")


def test_a_seg_made_of_the_contours_is_the_same_mask(tmp_path, dicom_files, stored):
    slices = dicom_files.series(tmp_path / "ct", stored)
    image = read_image(tmp_path / "ct")
    contours = [dicom_files.box(z, *box) for z in (1, 2, 4) for box in (BIG, SMALL)]
    path = dicom_files.rtstruct(tmp_path / "rs.dcm", {"GTV": contours})
    mask = sitk.GetArrayFromImage(read_mask(path, like=image))
    seg = dicom_files.seg(tmp_path / "seg.dcm", slices, {"GTV": mask})
    bare = tmp_path / "seg"
    bare.write_bytes(seg.read_bytes()[132:])
    for path in (seg, bare):
        assert np.array_equal(sitk.GetArrayFromImage(read_mask(path, like=image)), mask)
    assert mask.sum() == 3 * 68
