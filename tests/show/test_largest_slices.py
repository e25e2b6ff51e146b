"""Volumes to look at: the right slice, the right way round, in true proportion."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.errors import RequestError
from nextaim_kit.show.largest_slices import mosaic
from nextaim_kit.show.style import alt_of


@pytest.fixture
def case() -> tuple[sitk.Image, sitk.Image]:
    """A volume in LPS, bright at the patient's right and front; an ROI largest in slice 3."""
    volume = np.full((6, 20, 30), -1000.0, np.float32)
    volume[:, :5, :5] = 500
    roi = np.zeros(volume.shape, np.uint8)
    roi[2, 9:11, 14:16] = roi[3, 8:12, 12:18] = 1
    image, mask = sitk.GetImageFromArray(volume), sitk.GetImageFromArray(roi)
    for each in (image, mask):
        each.SetSpacing((1.0, 2.0, 5.0))
    return image, mask


def pixels(axis) -> np.ndarray:
    return np.asarray(axis.images[0].get_array())


@pytest.mark.parametrize("axes", ["LPS", "RAS", "LAS", "PIR", "SAL"])
def test_the_patient_s_right_is_left_and_front_is_up_whatever_the_file_s_axes(case, axes):
    turned = [sitk.DICOMOrient(each, axes) for each in case]
    shown = pixels(mosaic([(*turned, "a")]).axes[0])
    assert shown.shape == (20, 30)
    assert shown[0, 0] == 500
    assert shown[-1, -1] == -1000


def test_the_slice_with_the_largest_roi_is_outlined(case):
    axis = mosaic([(*case, "a")]).axes[0]
    (outline,) = [c for c in axis.collections if len(c.get_paths()[0].vertices)]
    box = outline.get_paths()[0].get_extents()
    assert (box.x0, box.x1, box.y0, box.y1) == (11.5, 17.5, 7.5, 11.5)


def test_large_slices_are_thinned_out_and_keep_their_proportion():
    image = sitk.Image([1000, 500, 2], sitk.sitkInt16)
    image.SetSpacing((0.5, 0.5, 1.0))
    axis = mosaic([(image, image > 0, "a")]).axes[0]
    height, width = pixels(axis).shape
    assert max(height, width) <= 320
    assert height * axis.get_aspect() / width == pytest.approx(0.5, rel=0.02)


def test_a_subject_that_cannot_be_read_keeps_its_tile_with_the_reason(case, tmp_path):
    figure = mosaic([(*case, "good"), (tmp_path / "no.nii.gz", tmp_path / "no.nii.gz", "sick")])
    assert pixels(figure.axes[0]).size
    assert "no.nii.gz" in " ".join(t.get_text() for t in figure.axes[1].texts).replace("\n", " ")
    assert "Could not be shown: sick" in alt_of(figure)


def test_an_empty_mask_is_said_to_be_empty(case):
    figure = mosaic([(case[0], case[1] * 0, "a")])
    assert [t.get_text() for t in figure.axes[0].texts] == ["no ROI here"]


def test_files_and_images_give_the_same_picture(case, tmp_path):
    paths = [tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz"]
    for image, path in zip(case, paths, strict=True):
        sitk.WriteImage(image, path)
    shown = [pixels(mosaic([(*pair, "a")]).axes[0]) for pair in (case, paths)]
    assert np.array_equal(*shown)


@pytest.mark.parametrize(("window", "limits"), [("lung", (-1350, 150)), ((0, 400), (-200, 200))])
def test_the_window_sets_black_and_white(case, window, limits):
    assert mosaic([(*case, "a")], window=window).axes[0].images[0].get_clim() == limits


def test_an_unknown_window_is_refused(case):
    with pytest.raises(RequestError, match="no window 'lungs'"):
        mosaic([(*case, "a")], window="lungs")
