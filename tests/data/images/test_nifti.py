"""Where a NIfTI's voxels lie and what they say, set beside nibabel; what is refused, and why."""

from __future__ import annotations

import warnings

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.data.images.reading import read_image
from nextaim_kit.errors import DataError

SIZE = (4, 5, 6)
Q = np.diag([-2.0, -2.0, 5.0, 1.0])
S = np.diag([2.0, 2.0, 5.0, 1.0])
Q[:3, 3], S[:3, 3] = (10, 20, 30), (1, 2, 3)
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = np.round(nibabel.eulerangles.euler2mat(0.3, 0.2, 0.1) * [0.7, 0.7, 2.5], 3)


@pytest.fixture
def write(tmp_path):
    """Write a NIfTI with these matrices, then set fields of its header as they are given."""

    def make(
        q=None, s=None, *, kind="<i2", shape=SIZE, of=nibabel.Nifti1Image, name="i.nii", **raw
    ):
        header = of.header_class(endianness=kind[0] if kind[0] in "<>" else "<")
        header.set_data_dtype(np.dtype(kind))
        values = (np.arange(np.prod(shape)) % 90).reshape(shape).astype(kind)
        image = of(values, None, header)
        image.set_qform(q, 0 if q is None else 1)
        image.set_sform(s, 0 if s is None else 2)
        edges = S if q is None else q
        raw = {"pixdim": [1, *np.linalg.norm(edges[:3, :3], axis=0), 0, 0, 0, 0], **raw}
        nibabel.save(image, tmp_path / name)
        place = tmp_path / name.replace(".img", ".hdr")
        content = bytearray(place.read_bytes())
        header = of.header_class(bytes(content[: header.sizeof_hdr]), check=False)
        for field, value in raw.items():
            header[field] = value
        content[: header.sizeof_hdr] = header.binaryblock
        place.write_bytes(content)
        return place

    return make


def placed(image: sitk.Image) -> np.ndarray:
    """3 x 4 matrix of an image towards right, front and head, as nibabel has it."""
    axes = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    return np.diag([-1, -1, 1]) @ np.c_[axes, image.GetOrigin()]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"q": Q}, ""),
        ({"s": S}, ""),
        ({"q": Q, "s": Q}, ""),
        ({"q": Q, "s": S}, "sform and qform lie up to 33.7 mm apart: the sform is used"),
        ({"s": S, "pixdim": [1] * 8}, "1 x 1 x 1 mm in pixdim, 2 x 2 x 5 in the sform, used"),
        ({"s": S, "pixdim": [0] * 8}, "0 x 0 x 0 mm in pixdim"),
        ({"s": np.diag([-2, 2, 5, 1])}, ""),
        ({"s": S[[2, 0, 1, 3]]}, ""),
        ({"q": np.diag([2, 2, -5, 1])}, ""),
        ({"q": Q, "pixdim": [0, 2, 2, 5, 0, 0, 0, 0]}, ""),
        ({"q": Q, "pixdim": [1, -2, 2, 5, 0, 0, 0, 0]}, "below 0 in pixdim: taken without"),
        ({"q": Q, "qform_code": 0}, "neither sform nor qform: which side is left is a guess"),
        ({"q": Q, "s": Q, "quatern_b": 3}, "up to inf mm apart"),
        ({"q": Q, "xyzt_units": 7}, "no unit 7: mm taken"),
        ({"q": Q, "of": nibabel.Nifti2Image}, ""),
        ({"s": S, "of": nibabel.Nifti2Image}, ""),
        ({"q": Q, "of": nibabel.Nifti1Pair, "name": "i.img"}, ""),
        ({"s": S, "kind": ">i2"}, ""),
    ],
)
def test_voxels_lie_where_nibabel_has_them_and_what_disagrees_is_said(write, given, says):
    path = write(**given)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = read_image(path)
    told = "; ".join(str(w.message) for w in caught)
    assert says in told
    assert bool(says) == bool(told)
    theirs = nibabel.load(path)
    np.testing.assert_allclose(placed(image), theirs.affine[:3], atol=1e-6)
    assert np.array_equal(sitk.GetArrayFromImage(image).T, np.asanyarray(theirs.dataobj))


def test_the_real_file_with_edges_of_1_mm_has_the_volume_of_its_matrix(real):
    with pytest.warns(UserWarning, match="1 x 1 x 1 mm in pixdim"):
        image = read_image(real / "odd/q0s1_pixdim1.nii")
    assert image.GetSpacing() == pytest.approx((0.7, 0.7, 2.5))
    assert read_image(real / "odd/nifti2.nii").GetSpacing() == pytest.approx((0.7, 0.7, 2.5))


@pytest.mark.parametrize(("unit", "scale", "name"), [(1, 1e-3, "m"), (3, 1e3, "micron")])
def test_lengths_in_other_units_become_mm_everywhere(write, unit, scale, name):
    with pytest.warns(UserWarning, match=f"lengths in {name}: taken as such"):
        image = read_image(
            write(s=np.diag([scale] * 3 + [1]) @ S, xyzt_units=unit,
                  pixdim=[1, *(scale * np.array([2, 2, 5])), 0, 0, 0, 0])
        )  # fmt: skip
    np.testing.assert_allclose(placed(image), S[:3], rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "slope", "inter", "found"),
    [
        ("<i2", 1, -1024, "float32"), ("<i2", np.nan, np.nan, "int16"), ("<i2", 0, 9, "int16"),
        ("u1", 0.5, 3, "float32"), (">i2", 2, 0, "float32"), ("<i8", 0.5, 0, "float64"),
        ("<u8", 1, 0, "uint64"), (">f8", 2, 1, "float64"), ("<u2", -1, 0, "float32"),
    ],
)  # fmt: skip
def test_values_are_scaled_as_nibabel_scales_them(write, kind, slope, inter, found):
    path = write(Q, kind=kind, scl_slope=slope, scl_inter=inter)
    values = sitk.GetArrayFromImage(read_image(path))
    assert values.dtype == found
    np.testing.assert_allclose(values.T, nibabel.load(path).get_fdata(), rtol=1e-6)


def test_values_that_are_not_finite_survive_scaling(write):
    path = write(Q, kind="<f4", scl_slope=2, scl_inter=1)
    content = bytearray(path.read_bytes())
    content[352:356] = np.float32(np.nan).tobytes()
    path.write_bytes(content)
    values = sitk.GetArrayFromImage(read_image(path)).ravel()
    assert np.isnan(values[0])
    assert values[1] == 2 * 30 + 1


@pytest.mark.parametrize("shape", [(4, 5, 6, 1), (4, 5, 6, 1, 1), (4, 5), (4, 5, 1)])
def test_one_frame_or_one_slice_is_a_volume(write, shape):
    assert read_image(write(Q, shape=shape)).GetSize() == (*shape, 1, 1)[:3]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "<c8"}, "more or less than a number(.|\n)*complex64(.|\n)*magnitude"),
        ({"datatype": 128, "bitpix": 24}, "voxels of type RGB"),
        ({"datatype": 1, "bitpix": 1}, "voxels of type binary"),
        ({"shape": (4, 5, 6, 3)}, "4 axes(.|\n)*time series"),
        ({"shape": (4, 5, 6, 1, 3)}, "5 axes"),
        ({"pixdim": [1, 0, 0, 0, 0, 0, 0, 0]}, "a qform that makes no grid"),
        ({"pixdim": [1, np.nan, 2, 5, 0, 0, 0, 0]}, "a qform that makes no grid"),
        ({"pixdim": [0] * 8, "qform_code": 0}, "a pixdim that makes no grid"),
        ({"quatern_b": 0.9, "quatern_c": 0.9}, "quaternion is no rotation"),
        ({"quatern_b": np.nan}, "a qform that makes no grid"),
        ({"sform_code": 1}, r"a sform that makes no grid(.|\n)*\['sform_code'\] = 0"),
        ({"scl_slope": 2, "scl_inter": np.nan}, "invalid intercept nan"),
        ({"scl_slope": np.inf, "scl_inter": 0}, "infinite slope"),
        ({"dim": [3, -4, 5, 6, 1, 1, 1, 1]}, "promises a size of"),
        ({"dim": [3, 4, 0, 6, 1, 1, 1, 1]}, "promises a size of"),
        ({"dim": [0, 4, 5, 6, 1, 1, 1, 1]}, "promises a size of"),
        ({"dim": [3, *[32767] * 3, 1, 1, 1, 1]}, "too large for this machine"),
        ({"vox_offset": 100}, "voxels at byte 100"),
        ({"vox_offset": np.inf}, "cannot be read"),
        ({"magic": b"zzz"}, "this is not NIfTI"),
    ],
)
def test_what_cannot_be_read_right_is_refused_with_the_reason(write, given, says):
    with pytest.raises(DataError, match=says):
        read_image(write(Q, **given))


def test_analyze_is_refused_since_it_has_no_sides(tmp_path):
    nibabel.save(nibabel.AnalyzeImage(np.zeros(SIZE, np.int16), np.eye(4)), tmp_path / "a.img")
    with pytest.raises(DataError, match=r"Analyze 7\.5, which does not say where right and left"):
        read_image(tmp_path / "a.hdr")


def test_a_rounded_matrix_is_set_right_and_said(write):
    with pytest.warns(UserWarning, match="axes 0.039 degrees off right angles"):
        image = read_image(write(s=OBLIQUE, pixdim=[1, 0.7, 0.7, 2.5, 0, 0, 0, 0]))
    axes = np.reshape(image.GetDirection(), (3, 3))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(placed(image), OBLIQUE[:3], atol=1e-3)


def test_the_mend_of_a_damaged_sform_mends(write, tmp_path):
    damaged = nibabel.load(write(Q, sform_code=1))
    damaged.header["sform_code"] = 0
    nibabel.save(nibabel.Nifti1Image(damaged.dataobj, None, damaged.header), tmp_path / "m.nii")
    np.testing.assert_allclose(placed(read_image(tmp_path / "m.nii")), Q[:3], atol=1e-6)


def test_a_sheared_volume_is_refused_and_its_mend_mends(write, tmp_path):
    from nibabel.processing import resample_to_output

    sheared = S.copy()
    sheared[0, 2] = 0.5
    path = write(s=sheared, pixdim=[1, 2, 2, 5.0249, 0, 0, 0, 0])
    with pytest.raises(DataError, match=r"sheared(.|\n)*5.71 degrees(.|\n)*resample_to_output"):
        read_image(path)
    nibabel.save(resample_to_output(nibabel.load(path)), tmp_path / "upright.nii")
    assert read_image(tmp_path / "upright.nii").GetSpacing() == (1, 1, 1)


@pytest.mark.parametrize("name", ["packed.nii", "PACKED.NII.GZ", "plain.nii.gz"])
def test_packed_or_not_is_told_by_the_content(write, name):
    import gzip

    path = write(Q)
    content = path.read_bytes()
    other = path.with_name(name)
    other.write_bytes(content if name.startswith("plain") else gzip.compress(content))
    assert read_image(other).GetSize() == SIZE


def test_damaged_headers_end_in_the_family_s_error_alone(write):
    path = write(Q)
    content, random = path.read_bytes(), np.random.default_rng(14)
    refused = 0
    for _ in range(300):
        odd = bytearray(content)
        for place in random.integers(0, 352, random.integers(1, 6)):
            odd[place] = random.integers(256)
        path.write_bytes(odd)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read_image(path)
            except DataError:
                refused += 1
    assert 30 < refused < 300
