"""What is packed is unpacked alike by ISA-L and by zlib, whole or not at all."""

from __future__ import annotations

import gzip
import sys
import zlib

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.data import bounds
from nextaim_kit.data.images.blank import blank_image
from nextaim_kit.data.images.reading import read_image
from nextaim_kit.errors import DataError


@pytest.fixture(params=["isal", "zlib"])
def by(request, monkeypatch):
    """Which library unpacks."""
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal", None)
    else:
        pytest.importorskip("isal")
    bounds._unpacker.cache_clear()
    yield request.param
    bounds._unpacker.cache_clear()


@pytest.fixture
def packed(tmp_path):
    """A packed volume of 3 MB, which no cache of a processor's first floor holds."""
    values = np.random.default_rng(0).integers(-1000, 1000, (120, 110, 115), np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 2, 3, 1])), tmp_path / "v.nii.gz")
    return tmp_path / "v.nii.gz"


def test_a_packed_volume_is_that_of_itk(by, packed):
    read, theirs = read_image(packed), sitk.ReadImage(str(packed))
    assert np.array_equal(sitk.GetArrayViewFromImage(read), sitk.GetArrayViewFromImage(theirs))
    for name in ("Spacing", "Origin", "Direction", "Size", "PixelID"):
        assert getattr(read, f"Get{name}")() == getattr(theirs, f"Get{name}")()


def middle(content):
    return content[:1000] + bytes([content[1000] ^ 255]) + content[1001:]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c[:-1],
        lambda c: c[:-8],
        lambda c: c[: len(c) // 2],
        lambda c: c[:5],
        lambda c: c[:-8] + bytes([c[-8] ^ 1]) + c[-7:],
        lambda c: c[:-1] + bytes([c[-1] ^ 1]),
        lambda c: c + b"more",
        middle,
    ],
)
def test_a_damaged_packed_volume_is_refused(by, packed, change):
    packed.write_bytes(change(packed.read_bytes()))
    with pytest.raises(DataError, match=r"v\.nii\.gz cannot be read"):
        read_image(packed)


def test_several_packed_parts_are_one_file(by, packed):
    content = gzip.decompress(packed.read_bytes())
    whole = sitk.GetArrayFromImage(read_image(packed))
    packed.write_bytes(
        gzip.compress(content[:70_000]) + gzip.compress(content[70_000:]) + b"\0" * 9
    )
    assert np.array_equal(sitk.GetArrayViewFromImage(read_image(packed)), whole)


def test_what_is_damaged_is_an_error_of_zlib_whoever_unpacks(by, tmp_path):
    (tmp_path / "t.gz").write_bytes(gzip.compress(b"")[:10] + b"\xff" * 90)
    with pytest.raises(zlib.error), bounds.unpacked(tmp_path / "t.gz") as stream:
        stream.read()


def test_no_more_is_unpacked_than_is_promised(by, packed):
    content = gzip.decompress(packed.read_bytes())
    packed.write_bytes(gzip.compress(content + bytes(40 << 20)))
    with pytest.raises(DataError, match=r"more than the 1,048,576 bytes"):
        read_image(packed)


def test_a_blank_image_is_filled_in_its_place():
    image, voxels = blank_image((2, 3, 4), np.uint16)
    voxels[:] = np.arange(24).reshape(2, 3, 4)
    assert image.GetSize() == (4, 3, 2)
    assert image[3, 2, 1] == 23
    del image
    assert voxels.sum() == 276  # it keeps the memory


def test_a_kind_that_itk_does_not_have_is_no_image():
    with pytest.raises(TypeError):
        blank_image((2, 3, 4), np.longdouble)
