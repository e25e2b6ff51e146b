"""Several volumes in one file: their values, place and time, set beside nibabel."""

from __future__ import annotations

import gzip
import warnings

import nibabel
import numpy as np
import pytest

from nextaim_kit.data.images.image_4d import read_image_4d
from nextaim_kit.data.images.reading import read_image
from nextaim_kit.errors import DataError

AFFINE = np.array([[-2.0, 0.1, 0, 30], [0, 2.5, 0, -20], [0, 0, 3, 10], [0, 0, 0, 1]])
VALUES = np.arange(4 * 5 * 6 * 3, dtype=np.int16).reshape(4, 5, 6, 3)


@pytest.fixture
def write(tmp_path):
    """Write a NIfTI of these values; gives its path."""

    def make(values=VALUES, *, unit="sec", seconds=2.0, name="bold.nii.gz", **raw):
        image = nibabel.Nifti1Image(values, AFFINE)
        image.header.set_xyzt_units("mm", unit)
        image.header["pixdim"][4] = seconds
        for field, value in raw.items():
            image.header[field] = value
        nibabel.save(image, tmp_path / name)
        return tmp_path / name

    return make


@pytest.mark.parametrize("name", ["bold.nii", "bold.nii.gz", "bold.img"])
def test_values_and_their_place_are_nibabel_s(write, name):
    found, theirs = read_image_4d(write(name=name)), nibabel.load(write(name=name))
    assert found.values.dtype == np.int16
    assert np.array_equal(found.values, np.asanyarray(theirs.dataobj))
    np.testing.assert_allclose(found.affine, theirs.affine, rtol=1e-6)
    np.testing.assert_allclose(found.spacing, theirs.header.get_zooms()[:3], rtol=1e-6)


def test_a_slope_scales_to_single_precision(write):
    path = write(VALUES.astype(np.uint8))
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[112:120] = np.array([0.5, -3], "<f4").tobytes()  # scl_slope, scl_inter
    path.write_bytes(content)
    found = read_image_4d(path)
    assert found.values.dtype == np.float32
    np.testing.assert_allclose(found.values, VALUES.astype(np.uint8) * 0.5 - 3)


@pytest.mark.parametrize(
    ("unit", "step", "seconds", "says"),
    [
        ("sec", 2.5, 2.5, ""), ("msec", 2500, 2.5, ""), ("usec", 2.5e6, 2.5, ""),
        (0, 2.5, 2.5, "no unit of time: 2.5 s taken"),
        ("sec", 0, None, r"no time between volumes .pixdim 0"), (0, np.nan, None, "no time"),
        ("hz", 3, None, "the fourth axis is no time"),
    ],
)  # fmt: skip
def test_the_time_between_volumes_is_in_seconds_and_a_missing_one_is_warned_of(
    write, unit, step, seconds, says
):
    path = write(unit=unit, seconds=step)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read_image_4d(path).seconds
    assert found == (seconds and pytest.approx(seconds))
    told = "; ".join(str(one.message) for one in caught)
    assert says.split(" .")[0] in told
    assert bool(told) == bool(says)


def test_one_volume_and_more_than_four_axes_are_refused(write):
    with pytest.raises(DataError, match=r"bold.nii.gz has 3 axes(.|\n)*volume by read_image"):
        read_image_4d(write(VALUES[..., 0]))
    with pytest.raises(DataError, match=r"has 5 axes\n.*four axes"):
        read_image_4d(write(VALUES[..., None, :]))
    assert read_image_4d(write(VALUES[..., None])).values.shape == VALUES.shape
    assert read_image_4d(write(VALUES[..., :1])).values.shape == (4, 5, 6, 1)
    with pytest.raises(DataError, match=r"has 4 axes\n.*one volume(.|\n)*by read_image_4d"):
        read_image(write())


def test_values_that_are_not_finite_are_refused_unless_what_nan_stands_for_is_said(write):
    values = VALUES.astype(np.float32)
    values[0, 0, 0, 1] = values[1, 0, 0, 1] = np.nan
    with pytest.raises(DataError, match=r"2 of 360, in 1 of 3 volumes, .* 1 \(from 0\)"):
        read_image_4d(write(values))
    found = read_image_4d(write(values), nan=0).values
    assert found.dtype == np.float32
    assert found[0, 0, 0, 1] == 0
    values[0, 0, 0, 0] = np.inf
    with pytest.raises(DataError, match="1 of 360"):
        read_image_4d(write(values), nan=0)


def test_a_damaged_a_missing_and_another_file_are_refused(write, tmp_path):
    path = write(name="bold.nii")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"bold.nii cannot be read(.|\n)*truncated"):
        read_image_4d(path)
    with pytest.raises(DataError, match=r"nowhere\.nii is missing"):
        read_image_4d(tmp_path / "nowhere.nii")
    with pytest.raises(DataError, match=r"is no NIfTI(.|\n)*dcm2niix"):
        read_image_4d(tmp_path)


def test_real_diffusion_has_the_volumes_of_its_gradients_and_its_repetition_time(real):
    folder = real / "thalamus_tractography"
    found = read_image_4d(folder / "uih/uih_dwi_AP.nii.gz")
    weights = np.loadtxt(folder / "uih/uih_dwi_AP.bval")
    assert found.values.shape == (64, 64, 20, len(weights))
    assert found.seconds == pytest.approx(5.865)
    signal = found.values.mean(axis=(0, 1, 2), dtype=float)
    assert signal[weights < 50].min() > signal[weights > 50].max()
    with pytest.raises(DataError, match="not finite"):
        read_image_4d(folder / "tractseg/peaks.nii.gz")
    with pytest.warns(UserWarning, match="no unit of time: 1 s taken"):
        read_image_4d(folder / "dipy_bundled/small_64D.nii")
