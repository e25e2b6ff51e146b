"""CTs as they come: read in HU and turned, refused with the reason, or mended with a warning."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.data.images.reading import check_geometry, read_image
from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_lungquant import scans
from nextaim_kit.studies.ct_lungquant.scans import AIR, DENSE, read_ct, save_mask


@pytest.fixture
def write(tmp_path):
    def nifti(image):
        path = tmp_path / "ct.nii.gz"
        sitk.WriteImage(image, str(path))
        return path

    return nifti


def hu(image):
    return sitk.GetArrayFromImage(image)


def test_a_dicom_series_and_a_nifti_of_the_same_ct_have_the_same_voxels(
    ct, write, write_series, tmp_path
):
    series, nifti = read_ct(write_series(ct, tmp_path / "series")), read_ct(write(ct))
    assert np.array_equal(hu(series.image), hu(nifti.image))
    assert series.spacing == pytest.approx(nifti.spacing, abs=1e-3)
    assert series.warnings == nifti.warnings == ()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"leave_out": [11]}, "1 missing between 1_010.dcm and 1_012.dcm"),
        ({"tilt": 0.2}, "slices shifted against each other"),
        ({"rescale": False}, "does not say how its values become HU"),
        ({"modality": "MR"}, "is no CT.*(?s:.)*modality MR"),
        ({"leave_out": range(2, 40)}, "no volume of a chest(?s:.)*48 x 2"),
    ],
)
def test_a_series_that_cannot_be_measured_is_refused_with_the_reason(
    ct, write_series, tmp_path, options, says
):
    with pytest.raises(DataError, match=says):
        read_ct(write_series(ct, tmp_path / "series", **options))


def test_a_tilted_gantry_is_named_as_such(ct, write_series, tmp_path):
    with pytest.raises(DataError, match="tilted gantry"):
        read_ct(write_series(ct, tmp_path / "series", tilt=0.2))


def test_a_slice_that_is_there_twice_is_named(ct, write_series, tmp_path):
    folder = write_series(ct, tmp_path / "series")
    (folder / "copy.dcm").write_bytes((folder / "1_007.dcm").read_bytes())
    with pytest.raises(DataError, match="same place"):
        read_ct(folder)


def test_of_mixed_series_one_must_be_chosen(ct, write_series, tmp_path):
    folder = write_series(ct, tmp_path / "series", series="1")
    write_series(ct, folder, series="2")
    with pytest.raises(DataError, match="which series is not clear"):
        read_ct(folder)
    assert read_ct(f"{folder}#498.2").image.GetSize() == ct.GetSize()


def test_padding_and_values_beyond_12_bits_are_cut_and_padding_is_said(ct, write, with_voxels):
    voxels = hu(ct).copy()
    voxels[:, :2], voxels[:, -2:] = -3024, 9000
    scan = read_ct(write(with_voxels(ct, voxels)))
    assert (hu(scan.image).min(), hu(scan.image).max()) == (AIR, DENSE)
    assert scan.warnings == ("voxels of -3024 HU, as scanners pad with: taken as air",)


def test_voxels_without_a_value_are_counted_and_taken_as_air(ct, write, with_voxels):
    voxels = hu(ct).astype(np.float32)
    voxels[:4] = np.nan
    scan = read_ct(write(with_voxels(ct, voxels)))
    assert (hu(scan.image)[:4] == AIR).all()
    assert scan.warnings == ("10 % of the voxels have no value (NaN): taken as air",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda v: (255 * np.clip((v + 1350) / 1500, 0, 1)).astype(np.uint8), "not in HU"),
        (lambda v: (v + 1024).astype(np.int16), "not in HU(?s:.)*rescale slope"),
        (lambda v: np.full(v.shape, -1000, np.int16), "one value only"),
        (lambda v: np.full(v.shape, np.nan, np.float32), "one value only"),
    ],
)
def test_what_is_not_in_hu_is_refused(ct, write, with_voxels, change, says):
    with pytest.raises(DataError, match=says):
        read_ct(write(with_voxels(ct, change(hu(ct)))))


def test_a_few_slices_are_no_chest(ct, write):
    with pytest.raises(DataError, match=r"no volume of a chest(?s:.)*64 x 48 x 2"):
        read_ct(write(ct[:, :, :2]))


@pytest.mark.parametrize("kind", ["nifti", "series"])
def test_a_volume_too_large_for_the_memory_is_refused_before_it_is_read(
    ct, write, write_series, tmp_path, monkeypatch, kind
):
    path = write(ct) if kind == "nifti" else write_series(ct, tmp_path / "series")
    monkeypatch.setattr(scans, "memory_available", lambda: 1e9)
    monkeypatch.setattr(scans, "read_image", None)
    with pytest.raises(DataError, match=r"too large for this machine(?s:.)*1.0 GB"):
        read_ct(path)


def test_masks_lie_on_the_ct(ct, tmp_path):
    mask = (hu(ct) > 0).astype(np.uint8)
    save_mask(mask, ct, tmp_path / "mask.nii.gz")
    back = sitk.ReadImage(str(tmp_path / "mask.nii.gz"))
    assert np.array_equal(hu(sitk.DICOMOrient(back, "LPS")), mask)
    assert back.GetOrigin() == pytest.approx(ct.GetOrigin(), abs=1e-3)


@pytest.mark.parametrize("name", ["mask.nii", "mask.nii.gz"])
def test_a_mask_of_a_turned_grid_lies_on_that_grid(tmp_path, name):
    like = sitk.Image([5, 4, 3], sitk.sitkInt16)
    like.SetSpacing((0.7, 0.8, 2.5))
    like.SetOrigin((-120.5, 33.25, 1000.0))
    turn = sitk.VersorTransform((1.0, 2.0, 3.0), 0.4)
    like.SetDirection(turn.GetMatrix())
    mask = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    save_mask(mask, like, tmp_path / name)
    for back in (read_image(tmp_path / name), sitk.ReadImage(str(tmp_path / name))):
        check_geometry(like, back)
        assert np.array_equal(hu(back), mask)
        assert back.GetPixelID() == sitk.sitkUInt8
