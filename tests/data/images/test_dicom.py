"""DICOM series, RTSTRUCT and SEG."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.data.images.reading import check_geometry, read_image, read_mask
from nextaim_kit.data.images.rtstruct import fill
from nextaim_kit.errors import DataError


def values(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def test_slices_are_ordered_by_position_and_rescaled(tmp_path, dicom_files, stored):
    dicom_files.series(tmp_path, stored, slope=2.0, intercept=-1024.0)
    image = read_image(tmp_path)
    assert np.array_equal(values(image), stored * 2.0 - 1024.0)
    check_geometry(dicom_files.volume(stored), image)


def test_a_sagittal_series_keeps_its_directions(tmp_path, dicom_files, stored):
    dicom_files.series(tmp_path, stored, orientation=(0, 1, 0, 0, 0, -1))
    image = read_image(tmp_path)
    assert np.array_equal(values(image), stored - 1000.0)
    assert image.GetSpacing() == (2.0, 1.5, 3.0)
    # x of the image runs to the back, y downwards, z to the right
    assert np.allclose(
        np.reshape(image.GetDirection(), (3, 3)).T, [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]
    )


def test_a_slope_of_its_own_in_each_slice_is_applied(tmp_path, dicom_files, stored):
    dicom_files.series(tmp_path, stored[:3], uid="1.2.3")
    lower = dicom_files.series(tmp_path / "x", stored[:5], uid="1.2.3", slope=0.5, intercept=0.25)
    for path in lower[3:]:
        path.rename(tmp_path / f"late_{path.name}")
    for path in lower[:3]:
        path.unlink()
    expected = np.concatenate([stored[:3] - 1000.0, stored[3:5] * 0.5 + 0.25])
    assert np.array_equal(values(read_image(tmp_path)), expected)


def test_a_missing_slice_is_noticed(tmp_path, dicom_files, stored):
    paths = dicom_files.series(tmp_path, stored)
    paths[3].unlink()
    with pytest.raises(DataError, match=rf"1 missing between {paths[2].name} and {paths[4].name}"):
        read_image(tmp_path)


def test_two_slices_at_one_place_are_noticed(tmp_path, dicom_files, stored):
    dicom_files.series(tmp_path, stored, uid="1.2.3")
    dicom_files.series(tmp_path / "again", stored[:1], uid="1.2.3")
    with pytest.raises(DataError, match="lie at the same place"):
        read_image(tmp_path)


def test_a_tilted_gantry_is_noticed(tmp_path, dicom_files, stored):
    import pydicom

    for z, path in enumerate(dicom_files.series(tmp_path, stored)):
        data = pydicom.dcmread(path)
        data.ImagePositionPatient[1] += 0.8 * z
        data.save_as(path)
    with pytest.raises(DataError, match="shifted against each other"):
        read_image(tmp_path)


def test_one_of_several_series_has_to_be_chosen(tmp_path, dicom_files, stored):
    dicom_files.series(tmp_path, stored, uid="1.2.840.111111")
    dicom_files.series(tmp_path, stored + 1, uid="1.2.840.222222")
    with pytest.raises(DataError, match=r"0\.111111, 0\.222222(.|\n)*write .*#0\.111111"):
        read_image(tmp_path)
    assert np.array_equal(values(read_image(f"{tmp_path}#2222")), stored - 999.0)
    with pytest.raises(DataError, match="UID ends in 9"):
        read_image(f"{tmp_path}#9")


def test_a_damaged_slice_is_named(tmp_path, dicom_files, stored):
    paths = dicom_files.series(tmp_path, stored)
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    with pytest.raises(DataError, match=paths[2].name):
        read_image(tmp_path)
    paths[2].write_bytes(b"not DICOM")
    with pytest.raises(DataError, match=paths[2].name):
        read_image(tmp_path)


def test_a_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(DataError, match="holds no DICOM image"):
        read_image(tmp_path)


def test_a_structure_set_is_not_an_image(tmp_path, dicom_files):
    path = dicom_files.rtstruct(tmp_path / "rs.dcm", {"GTV": [dicom_files.box(1, (2, 5), (2, 5))]})
    with pytest.raises(DataError, match=r"not an image(.|\n)*RTSTRUCT"):
        read_image(path)


def test_voxels_with_their_center_inside_a_contour_belong_to_it(tmp_path, dicom_files, stored):
    contour = dicom_files.box(2, (2.5, 6.5), (3.5, 5.5))
    path = dicom_files.rtstruct(tmp_path / "rs.dcm", {"GTV": [contour]})
    mask = read_mask(path, like=dicom_files.volume(stored))
    expected = np.zeros(stored.shape)
    expected[2, 4:6, 3:7] = 1
    assert np.array_equal(values(mask), expected)
    check_geometry(dicom_files.volume(stored), mask)


def test_an_inner_contour_cuts_a_hole(tmp_path, dicom_files, stored):
    rings = [dicom_files.box(1, (0.5, 9.5), (0.5, 8.5)), dicom_files.box(1, (3.5, 5.5), (3.5, 5.5))]
    path = dicom_files.rtstruct(tmp_path / "rs.dcm", {"GTV": rings})
    mask = values(read_mask(path, like=dicom_files.volume(stored)))
    assert mask.sum() == 9 * 8 - 2 * 2
    assert mask[1, 4:6, 4:6].sum() == 0


def test_a_keyhole_cuts_the_same_hole_as_an_inner_contour():
    outer = np.array([[0.3, 0.3], [9.7, 0.3], [9.7, 8.7], [0.3, 8.7]])
    inner = np.array([[3.2, 3.2], [3.2, 5.6], [5.6, 5.6], [5.6, 3.2]])
    keyhole = np.concatenate([outer, outer[:1], inner, inner[:1]])
    assert np.array_equal(fill([keyhole], (10, 12)), fill([outer, inner], (10, 12)))


def test_polygons_that_share_an_edge_share_no_voxel_and_leave_no_gap():
    corners = np.array([[1, 1], [8, 1], [8, 7], [1, 7]])
    left = np.array([[1, 1], [5, 1], [3, 7], [1, 7]])
    right = np.array([[5, 1], [8, 1], [8, 7], [3, 7]])
    assert np.array_equal(fill([left, right], (10, 12)), fill([corners], (10, 12)))
    assert fill([corners], (10, 12)).sum() == 7 * 6


def test_one_of_several_rois_is_chosen_by_name(tmp_path, dicom_files, stored):
    rois = {
        "GTV-1": [dicom_files.box(1, (2, 5), (2, 5))],
        "Lung": [dicom_files.box(1, (1, 9), (1, 9))],
    }
    path = dicom_files.rtstruct(tmp_path / "rs.dcm", rois)
    like = dicom_files.volume(stored)
    with pytest.raises(DataError, match=r"more than one ROI(.|\n)*1 GTV-1, 2 Lung"):
        read_mask(path, like=like)
    with pytest.raises(DataError, match=r"no such ROI Heart(.|\n)*1 GTV-1, 2 Lung"):
        read_mask(path, like=like, roi="Heart")
    assert values(read_mask(path, like=like, roi="GTV-1")).sum() == 9
    assert values(read_mask(path, like=like, label=2)).sum() == 64


def test_contours_of_another_series_are_refused(tmp_path, dicom_files, stored):
    like = dicom_files.volume(stored)
    for z in (1.5, 6, -1):
        path = dicom_files.rtstruct(
            tmp_path / "rs.dcm", {"A": [dicom_files.box(z, (2, 5), (2, 5))]}
        )
        with pytest.raises(DataError, match="does not lie on its image"):
            read_mask(path, like=like)


def test_a_structure_set_without_its_image_or_contours_is_refused(tmp_path, dicom_files, stored):
    path = dicom_files.rtstruct(tmp_path / "rs.dcm", {"GTV": []})
    with pytest.raises(DataError, match="no voxel grid"):
        read_mask(path)
    with pytest.raises(DataError, match="empty mask"):
        read_mask(path, like=dicom_files.volume(stored))


def test_a_damaged_structure_set_is_named(tmp_path, dicom_files, stored):
    path = dicom_files.rtstruct(tmp_path / "rs.dcm", {"A": [dicom_files.box(1, (2, 5), (2, 5))]})
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"rs\.dcm"):
        read_mask(path, like=dicom_files.volume(stored))


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1)])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_seg_lands_on_its_image(tmp_path, dicom_files, stored, lesion, orientation, backwards):
    slices = dicom_files.series(tmp_path / "ct", stored, orientation=orientation)
    if backwards:
        slices, flipped = slices[::-1], lesion[::-1]
    else:
        flipped = lesion
    path = dicom_files.seg(tmp_path / "seg.dcm", slices, {"lesion": flipped})
    image = read_image(tmp_path / "ct")
    mask = read_mask(path, like=image)
    assert np.array_equal(values(mask), lesion)
    check_geometry(image, mask)


def test_a_seg_on_a_volume_stored_the_other_way_round_is_turned(
    tmp_path, dicom_files, stored, lesion
):
    path = dicom_files.seg(
        tmp_path / "seg.dcm", dicom_files.series(tmp_path / "ct", stored), {"l": lesion}
    )
    turned = sitk.Flip(
        sitk.PermuteAxes(read_image(tmp_path / "ct"), [1, 0, 2]), [False, True, True]
    )
    mask = read_mask(path, like=turned)
    assert np.array_equal(values(mask), np.swapaxes(lesion, 1, 2)[::-1, ::-1])


def test_one_of_several_segments_is_chosen(tmp_path, dicom_files, stored, lesion):
    slices = dicom_files.series(tmp_path / "ct", stored)
    other = np.roll(lesion, 1, axis=2)
    path = dicom_files.seg(tmp_path / "seg.dcm", slices, {"lesion": lesion, "lung": other})
    image = read_image(tmp_path / "ct")
    with pytest.raises(DataError, match=r"more than one segment(.|\n)*1 lesion, 2 lung"):
        read_mask(path, like=image)
    assert np.array_equal(values(read_mask(path, like=image, roi="lung")), other)
    assert np.array_equal(values(read_mask(path, like=image, label=1)), lesion)


def test_a_seg_of_another_grid_is_refused(tmp_path, dicom_files, stored, lesion):
    path = dicom_files.seg(
        tmp_path / "seg.dcm", dicom_files.series(tmp_path / "ct", stored), {"l": lesion}
    )
    image = read_image(tmp_path / "ct")
    for change in (
        lambda x: x.SetSpacing((1.0, 1.5, 3.0)),
        lambda x: x.SetOrigin((-9.0, 20.0, 5.0)),
        lambda x: x.SetOrigin((30.0, 20.0, 5.0)),
    ):
        like = sitk.Image(image)
        change(like)
        with pytest.raises(DataError, match="does not lie on its image"):
            read_mask(path, like=like)


def test_the_ibsi_phantom_is_the_same_from_dicom_and_from_nifti(real, ibsi_dicom):
    folder = real / "ct_radiomics/ibsi_ct_phantom"
    image = read_image(ibsi_dicom / "image")
    mask = read_mask(ibsi_dicom / "mask/DCM_RS_00060.dcm", like=image)
    assert np.array_equal(values(image), values(read_image(folder / "image.nii.gz")))
    assert np.array_equal(values(mask), values(read_mask(folder / "mask_gtv.nii.gz")))
    check_geometry(read_image(folder / "image.nii.gz"), mask)


def test_real_slices_are_in_hounsfield_units(real):
    for number in (0, 1):
        image = read_image(real / f"ct_lungquant/lungmask_slices/lungmask_{number}.dcm")
        assert image.GetSize() == (512, 512, 1)
        assert values(image).min() <= -1000
        assert 1000 < values(image).max() < 4000
