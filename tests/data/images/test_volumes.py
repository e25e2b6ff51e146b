"""NRRD and MetaImage: refused where the header does not say what ITK would make up."""

from __future__ import annotations

import warnings

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.data.images.reading import read_image
from nextaim_kit.data.images.volumes import stored_size
from nextaim_kit.errors import DataError

NRRD_EDGES = b"space directions: (2,0,0) (0,1.5,0) (0,0,3)\n"
NO_SPACE = [(b"space: left-posterior-superior\n", b""), (b"space origin: (-10,20,5)\n", b"")]
MHA_EDGES = b"ElementSpacing = 2 1.5 3\n"


@pytest.fixture
def write(tmp_path, dicom_files, stored):
    def make(suffix, *changes, direction=None):
        path = tmp_path / f"v.{suffix}"
        image = dicom_files.volume(stored)
        if direction:
            image.SetDirection(direction)
        sitk.WriteImage(image, str(path))
        content = path.read_bytes()
        for old, new in changes:
            assert old in content
            content = content.replace(old, new)
        path.write_bytes(content)
        return path

    return make


@pytest.mark.parametrize(
    ("suffix", "changes"),
    [
        ("nrrd", [(NRRD_EDGES, b""), *NO_SPACE]),
        ("nrrd", [(NRRD_EDGES, b"spacings: nan nan nan\n"), *NO_SPACE]),
        ("nrrd", [(NRRD_EDGES, NRRD_EDGES + b'space units: "m" "m" "m"\n')]),
        ("mha", [(MHA_EDGES, b"")]),
        ("mhd", [(MHA_EDGES, b"")]),
    ],
)
def test_a_volume_without_edges_in_mm_is_refused(write, suffix, changes):
    with pytest.raises(DataError, match=f"v.{suffix} does not say how large its voxels are"):
        read_image(write(suffix, *changes))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_picture_is_no_volume(tmp_path, suffix):
    sitk.WriteImage(sitk.Image(40, 50, sitk.sitkUInt8), str(tmp_path / f"p.{suffix}"))
    with pytest.raises(DataError, match="does not say how large"):
        read_image(tmp_path / f"p.{suffix}")


@pytest.mark.parametrize(
    ("suffix", "changes", "says"),
    [
        ("nrrd", [(NRRD_EDGES, b"spacings: 2 1.5 3\n"), *NO_SPACE], "which side is left"),
        ("nrrd", [(NRRD_EDGES, NRRD_EDGES + b'space units: "mm" "mm" "mm"\n')], ""),
        ("mha", [(MHA_EDGES, b"ElementSize = 2 1.5 3\n")], ""),
    ],
)
def test_a_sound_header_is_read_and_what_it_leaves_open_is_said(write, suffix, changes, says):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = read_image(write(suffix, *changes))
    assert image.GetSpacing() == (2.0, 1.5, 3.0)
    assert bool(says) == bool(caught)
    assert says in "".join(str(w.message) for w in caught)


@pytest.mark.parametrize("suffix", ["nrrd", "mha", "mhd"])
def test_sheared_axes_are_refused_in_every_format(write, suffix):
    with pytest.raises(DataError, match="sheared: its axes are not at right angles"):
        read_image(write(suffix, direction=(1, 0, 0.2, 0, 1, 0, 0, 0, 1)))


@pytest.mark.parametrize("suffix", ["NRRD", "MHA"])
def test_capitals_in_a_suffix_make_no_difference(write, stored, suffix):
    path = write(suffix.lower())
    image = read_image(path.rename(path.with_name(f"V.{suffix}")))
    assert np.array_equal(sitk.GetArrayFromImage(image), stored)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_the_size_of_a_volume_is_known_from_its_header(tmp_path, write, stored, kind):
    path = tmp_path / "a.nii.gz"
    nibabel.save(kind(np.zeros((4, 5, 6), np.float32), np.eye(4)), path)
    assert stored_size(path) == (120, np.float32)
    assert stored_size(write("nrrd")) == (stored.size, np.uint16)
    path.write_bytes(b"no header")
    assert stored_size(path)[0] == 0
