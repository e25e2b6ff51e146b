"""Reading volumes and label images, and refusing what is not whole."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.data.images.reading import check_geometry, read_image, read_mask
from nextaim_kit.errors import DataError


def values(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "nrrd", "mha"])
def test_a_volume_comes_back_as_it_was_written(tmp_path, dicom_files, stored, suffix):
    path = tmp_path / f"image.{suffix}"
    sitk.WriteImage(dicom_files.volume(stored), str(path))
    image = read_image(path)
    assert np.array_equal(values(image), stored)
    check_geometry(dicom_files.volume(stored), image)


@pytest.mark.parametrize("kind", ["u1", "i1", "<i2", ">i2", "<u2", "i4", "f4", ">f4", "f8"])
@pytest.mark.parametrize("slope", [None, 0.5])
def test_a_nifti_is_the_same_as_through_itk(tmp_path, stored, kind, slope):
    import nibabel

    turned = [[0, 2, 0.1, 5], [-1.5, 0, 0, 6], [0, -0.15, 3, 7], [0, 0, 0, 1]]
    image = nibabel.Nifti1Image((stored % 100).T.astype(kind), None)
    image.header.set_data_dtype(np.dtype(kind))
    image.set_qform(turned, 1)
    image.header.set_slope_inter(slope, None if slope is None else 3.0)
    nibabel.save(image, tmp_path / "i.nii.gz")
    ours, itks = read_image(tmp_path / "i.nii.gz"), sitk.ReadImage(str(tmp_path / "i.nii.gz"))
    assert ours.GetPixelID() == itks.GetPixelID()
    assert np.array_equal(values(ours), values(itks))
    check_geometry(itks, ours, tolerance=1e-8)


@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "nrrd", "mha"])
@pytest.mark.parametrize("kept", [0, 0.02, 0.5, 0.98])
def test_a_truncated_volume_is_refused_by_name(tmp_path, dicom_files, stored, suffix, kept):
    path = tmp_path / f"image.{suffix}"
    sitk.WriteImage(dicom_files.volume(stored), str(path))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(DataError, match=f"image.{suffix} cannot be read"):
        read_image(path)


def test_an_altered_byte_in_a_packed_nifti_is_noticed(tmp_path, dicom_files, stored):
    path = tmp_path / "image.nii.gz"
    sitk.WriteImage(dicom_files.volume(stored), str(path))
    body = bytearray(path.read_bytes())
    body[-20] ^= 0x10
    path.write_bytes(bytes(body))
    with pytest.raises(DataError, match="cannot be read"):
        read_image(path)


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz", "image.nrrd", "image.dcm", "image"])
def test_text_in_place_of_a_volume_is_refused(tmp_path, name):
    text = b"<html>not found</html>" * 40
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    with pytest.raises(DataError, match="cannot be read") as caught:
        read_image(tmp_path / name)
    assert str(tmp_path) not in str(caught.value)
    assert "0x" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere.nii.gz is missing"):
        read_image(tmp_path / "nowhere.nii.gz")
    with pytest.raises(DataError, match=r"nowhere.nii.gz is missing"):
        read_mask(tmp_path / "nowhere.nii.gz")


def test_a_series_over_time_is_no_volume(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5, 6)), False), str(tmp_path / "t.nii"))
    with pytest.raises(DataError, match="4 axes"):
        read_image(tmp_path / "t.nii")


def test_a_color_image_is_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6, 3)), True), str(tmp_path / "c.nrrd"))
    with pytest.raises(DataError, match="3 values per voxel"):
        read_image(tmp_path / "c.nrrd")


@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "nrrd"])
def test_values_that_are_not_finite_survive_reading(tmp_path, dicom_files, suffix):
    array = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    array[1, 2, 3], array[2, 0, 1] = np.nan, np.inf
    sitk.WriteImage(dicom_files.volume(array), str(tmp_path / f"n.{suffix}"))
    image = read_image(tmp_path / f"n.{suffix}")
    assert np.array_equal(values(image), array, equal_nan=True)
    check_geometry(dicom_files.volume(array), image)


@pytest.fixture
def write_labels(tmp_path, dicom_files):
    def write(array: np.ndarray):
        sitk.WriteImage(dicom_files.volume(array), str(tmp_path / "mask.nrrd"))
        return tmp_path / "mask.nrrd"

    return write


def test_a_single_label_of_any_value_is_the_mask(write_labels, lesion):
    mask = read_mask(write_labels(lesion * np.uint8(4)))
    assert mask.GetPixelID() == sitk.sitkUInt8
    assert np.array_equal(values(mask), lesion)


def test_a_mask_stored_in_floating_point_is_read(write_labels, lesion):
    assert np.array_equal(values(read_mask(write_labels(lesion * np.float32(1)))), lesion)


def test_one_of_two_labels_has_to_be_chosen(write_labels, lesion):
    two = lesion.copy()
    two[0, 0, 0] = 3
    path = write_labels(two)
    with pytest.raises(DataError, match=r"more than one label(.|\n)*1, 3"):
        read_mask(path)
    assert values(read_mask(path, label=3)).sum() == 1
    with pytest.raises(DataError, match=r"no such label 2(.|\n)*1, 3"):
        read_mask(path, label=2)


def test_an_empty_mask_is_refused(write_labels, lesion):
    with pytest.raises(DataError, match=r"mask.nrrd is an empty mask"):
        read_mask(write_labels(lesion * np.uint8(0)))


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_an_image_given_as_a_mask_is_refused(write_labels, lesion, value):
    with pytest.raises(DataError, match="not a label image"):
        read_mask(write_labels(lesion * np.float32(value)))


def test_a_flat_nifti_keeps_its_axes(tmp_path, stored):
    sitk.WriteImage(sitk.GetImageFromArray(stored[0]), str(tmp_path / "flat.nii"))
    assert np.array_equal(values(read_image(tmp_path / "flat.nii")).squeeze(), stored[0])


def test_the_same_grid_passes_and_rounding_is_forgiven(dicom_files, stored, lesion):
    image, mask = dicom_files.volume(stored), dicom_files.volume(lesion)
    mask.SetOrigin([value + 5e-5 for value in mask.GetOrigin()])
    check_geometry(image, mask)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("spacing, up to 0.1 mm", lambda mask: mask.SetSpacing((2.0, 1.6, 3.0))),
        ("origin, up to 0.001 mm", lambda mask: mask.SetOrigin((-10.0, 20.0, 5.001))),
        ("direction, up to 2", lambda mask: mask.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))),
    ],
)
def test_a_mask_of_another_geometry_is_refused(dicom_files, stored, lesion, what, change):
    mask = dicom_files.volume(lesion)
    change(mask)
    with pytest.raises(DataError, match=rf"differ in {what} apart \(subject s1\)(.|\n)*Resample"):
        check_geometry(dicom_files.volume(stored), mask, subject="s1")


def test_a_mask_of_another_size_is_refused(dicom_files, stored, lesion):
    with pytest.raises(DataError, match=r"size, up to 1 voxels(.|\n)*\(12, 10, 5\)"):
        check_geometry(dicom_files.volume(stored), dicom_files.volume(lesion[1:]))


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("ibsi_sts/STS_002_CT_image.nii.gz", "ibsi_sts/STS_002_CT_mask.nii.gz"),
        ("pyradiomics/brain1_image.nrrd", "pyradiomics/brain1_label.nrrd"),
    ],
)
def test_real_images_and_masks_share_a_grid(real, image, mask):
    folder = real / "ct_radiomics"
    volume, region = read_image(folder / image), read_mask(folder / mask)
    check_geometry(volume, region)
    assert 0 < values(region).sum() < values(volume).size


def test_the_real_prostate_labels_have_to_be_chosen_from(real):
    folder = real / "ct_radiomics/pyradiomics"
    path = folder / "prostate_phantom_subvolume-label.nrrd"
    with pytest.raises(DataError, match="1, 7, 8, 9"):
        read_mask(path)
    check_geometry(read_image(folder / "prostate_phantom_subvolume.nrrd"), read_mask(path, label=1))


@pytest.mark.parametrize("kind", ["mhd", "nhdr", "hdr"])
def test_a_volume_whose_voxels_lie_in_another_file_is_read(tmp_path, dicom_files, stored, kind):
    path = tmp_path / f"P1_image.{kind}"
    sitk.WriteImage(dicom_files.volume(stored), str(path))
    image = read_image(path)
    assert np.array_equal(values(image), stored)
    check_geometry(dicom_files.volume(stored), image)
    (voxels,) = {*tmp_path.iterdir()} - {path}
    voxels.write_bytes(voxels.read_bytes()[:-50])
    with pytest.raises(DataError, match=f"P1_image.{kind} cannot be read"):
        read_image(path)
    voxels.unlink()
    with pytest.raises(DataError, match=rf"P1_image.{kind} is but a part(.|\n)*{voxels.name}"):
        read_image(path)
