"""What viewers show: turned to the patient, whole or coarser, refused when it does not fit."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.show.viewers.scene import read_scene

ORDERS = [a + b + c for a in "LR" for b in "AP" for c in "IS"]
ORDERS += [o[i] + o[j] + o[k] for o in ORDERS for i, j, k in ((0, 2, 1), (1, 0, 2), (2, 1, 0))]


@settings(max_examples=25, deadline=None)
@given(axes=st.sampled_from(ORDERS), place=st.tuples(*[st.integers(0, n) for n in (5, 6, 7)]))
def test_a_mark_is_where_it_is_in_the_patient_whatever_the_files_axes(axes, place):
    values = np.zeros((6, 7, 8), np.int16)
    values[place] = 1
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1.0, 2.0, 3.0))
    turned = sitk.DICOMOrient(image, axes)
    scene = read_scene(turned, {"mark": turned})
    assert np.argwhere(scene.pixels).tolist() == [list(place)]
    assert np.argwhere(scene.masks["mark"]).tolist() == [list(place)]
    assert scene.spacing == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("axes", ["RAS", "LPI", "PSR"])
def test_an_array_with_nibabels_affine_is_turned_as_its_file(phantom, tmp_path, axes):
    import nibabel

    paths = [tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz"]
    for image, path in zip(phantom, paths, strict=True):
        sitk.WriteImage(sitk.DICOMOrient(image, axes), path)
    image, mask = (nibabel.load(path) for path in paths)
    given = read_scene((np.asarray(image.dataobj), image.affine), np.asarray(mask.dataobj))
    read = read_scene(*paths)
    assert np.array_equal(given.pixels, read.pixels)
    assert np.array_equal(given.masks["mask"], read.masks["mask"])
    assert given.origin == pytest.approx(read.origin)


def test_a_coarser_scene_fits_the_budget_and_keeps_place_and_volume(phantom):
    scene = read_scene(*phantom)
    coarse = scene.within(4000)
    assert coarse.pixels.size * 3 <= 4000
    assert coarse.milliliters()["mask"] == pytest.approx(scene.milliliters()["mask"], rel=0.35)
    there = [np.argwhere(s.masks["mask"])[:, ::-1] * s.spacing + s.origin for s in (scene, coarse)]
    assert np.abs(there[0].mean(axis=0) - there[1].mean(axis=0)).max() < 1.5
    assert "the scan has 1 x 2 x 5 mm" in coarse.note
    assert scene.within(10**9) is scene


def test_blocks_are_means():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    coarse = read_scene((values, (1, 1, 1))).within(12 * 4)
    assert coarse.pixels.mean() == pytest.approx(values.mean(), rel=0.1)
    assert coarse.pixels.size <= 12


def test_a_tilted_scan_says_so(phantom):
    image, _ = phantom
    angle = np.radians(20)
    c, s = np.cos(angle), np.sin(angle)
    image.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
    assert "20° off the patient's" in read_scene(image).note


def test_values_that_are_no_numbers_are_black():
    values = np.ones((2, 2, 2))
    values[0, 0, 0] = np.nan
    assert read_scene((values, (1, 1, 1))).pixels.tolist() == np.ones((2, 2, 2)).tolist()
    with pytest.raises(DataError, match="holds no number"):
        read_scene((values * np.nan, (1, 1, 1)))


def test_of_a_label_file_all_that_is_marked_is_inside_and_an_empty_one_is_shown(phantom, tmp_path):
    image = phantom[0]
    labels = np.zeros((12, 20, 30), np.uint8)
    path = tmp_path / "labels.nii.gz"
    for found in ([], [1, 2]):
        labels.ravel()[: len(found)] = found
        drawn = sitk.GetImageFromArray(labels)
        drawn.CopyInformation(image)
        sitk.WriteImage(drawn, path)
        assert read_scene(image, path).masks["mask"].sum() == len(found)


def test_a_mask_on_another_grid_is_refused(phantom):
    image, mask = phantom
    with pytest.raises(DataError, match="differ in size"):
        read_scene(image, mask[:10])
    mask.SetOrigin((0, 0, 0))
    with pytest.raises(DataError, match=r"differ in origin.*subject CT, mask"):
        read_scene(image, mask, title="CT")


def test_probabilities_are_no_mask(phantom):
    with pytest.raises(DataError, match="threshold it"):
        read_scene(phantom[0], np.full((12, 20, 30), 0.3))


def test_what_is_no_volume_is_refused():
    with pytest.raises(DataError, match="no volume with a place"):
        read_scene((np.zeros((4, 4)), (1, 1, 1)))
    with pytest.raises(DataError, match="no place in space"):
        read_scene((np.zeros((4, 4, 4)), np.zeros((4, 4))))
    with pytest.raises(DataError, match="is no volume"):
        read_scene(sitk.Image([4, 4], sitk.sitkInt16))


def test_more_masks_than_lines_are_refused(phantom):
    with pytest.raises(RequestError, match="7 masks at once cannot be told apart"):
        read_scene(phantom[0], {str(k): phantom[1] for k in range(7)})


def test_colors_and_edges_of_nothing_are_refused():
    with pytest.raises(DataError, match="3 per voxel"):
        read_scene(sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.int16), isVector=True))
    with pytest.raises(DataError, match="mm above 0"):
        read_scene((np.zeros((4, 5, 6), np.int16), (0, 1, 1)))
