"""Stored numbers of DICOM files become HU by each file's own header, or the file is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from nextaim_kit.data.images.reading import read_image
from nextaim_kit.errors import DataError


@pytest.fixture
def hu() -> np.ndarray:
    """HU of a small CT, (z, y, x): air around a body."""
    values = np.full((4, 16, 20), -1000)
    values[:, 2:8, 3:10] = np.random.default_rng(2).integers(-100, 300, (4, 6, 7))
    return values


@pytest.fixture
def read(tmp_path, dicom_files, hu):
    """Write the CT with each slice's dataset changed, read it, and give values and warnings."""

    def write_and_read(change) -> tuple[np.ndarray, str]:
        dicom_files.series(tmp_path / "ct", hu + 1000, change=change)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            image = read_image(tmp_path / "ct")
        told = "; ".join(str(w.message) for w in caught if w.category is UserWarning)
        return sitk.GetArrayFromImage(image), told

    return write_and_read


def store(data: Dataset, numbers: np.ndarray, kind: str = "<u2", bits: int = 0, **tags) -> None:
    """Put numbers into a dataset as they are, with the tags that say how to read them."""
    cells = np.asarray(numbers).astype(kind)
    data.BitsAllocated = 8 * cells.itemsize
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int("i" in kind)
    data.PixelData = cells.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)


def signed_after_the_first(data, numbers, z):
    if z == 0:
        store(data, numbers, RescaleIntercept=-1000)
    else:
        store(data, numbers - 1000, "<i2", RescaleIntercept=0)


def a_slope_for_each(data, numbers, z):
    store(data, (numbers - 1000 * z) * 2, "<i2", RescaleSlope=0.5, RescaleIntercept=1000 * (z - 1))


def fewer_bits(data, numbers, z):
    store(data, numbers + 100, bits=12 - z % 2, RescaleIntercept=-1100)


def overlay_in_high_bits(data, numbers, z):
    store(data, numbers | 0x8000, bits=12)
    data.add_new(0x60000100, "US", 16)
    data.add_new(0x60000102, "US", 15)


def left_justified(data, numbers, z):
    store(data, numbers << 4, bits=12, HighBit=15)


def no_sign_bits(data, numbers, z):
    store(data, (numbers - 1000) & 0xFFF, "<u2", bits=12, PixelRepresentation=1, RescaleIntercept=0)


def empty_high_bit(data, numbers, z):
    data.HighBit = None


def in_32_bits(data, numbers, z):
    store(data, numbers - 1000, "<i4", RescaleIntercept=0)


def in_32_unsigned_bits(data, numbers, z):
    store(data, numbers + 70_000, "<u4", RescaleIntercept=-71_000)


def in_floats(data, numbers, z):
    del data.PixelData, data.BitsStored, data.HighBit, data.PixelRepresentation
    data.BitsAllocated = 32
    data.FloatPixelData = (numbers - 1000).astype("<f4").tobytes()
    data.RescaleIntercept = 0


def in_doubles(data, numbers, z):
    in_floats(data, numbers, z)
    del data.FloatPixelData
    data.BitsAllocated, data.DoubleFloatPixelData = 64, (numbers - 1000).astype("<f8").tobytes()


def falling(data, numbers, z):
    store(data, 4000 - numbers, RescaleSlope=-1, RescaleIntercept=3000)


def modified_unit(data, numbers, z):
    data.RescaleType = "HU_MOD"


@pytest.mark.parametrize(
    "how",
    [
        signed_after_the_first, a_slope_for_each, fewer_bits, overlay_in_high_bits, left_justified,
        no_sign_bits, empty_high_bit, in_32_bits, in_32_unsigned_bits, in_floats, in_doubles,
        falling, modified_unit,
    ],
)  # fmt: skip
def test_a_ct_has_the_same_hu_however_its_numbers_are_stored(read, hu, how):
    values, told = read(lambda data, z: how(data, hu[z] + 1000, z))
    assert np.array_equal(values, hu)
    assert told == ""


@pytest.fixture
def coded(tmp_path):
    """Code a dataset's pixels anew."""

    def change(data: Dataset, syntax: str) -> None:
        if syntax in (RLELossless, JPEGLSLossless):
            data.compress(UID(syntax), generate_instance_uid=False)
            return
        numbers = np.frombuffer(data.PixelData, "<u2").reshape(data.Rows, data.Columns)
        writer = sitk.ImageFileWriter()
        writer.SetFileName(str(tmp_path / "coded.dcm"))
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG2000" if syntax == JPEG2000Lossless else "JPEG")
        writer.Execute(sitk.GetImageFromArray(numbers[None]))
        done = pydicom.dcmread(tmp_path / "coded.dcm")
        assert done.file_meta.TransferSyntaxUID == syntax
        data.file_meta.TransferSyntaxUID, data["PixelData"] = UID(syntax), done["PixelData"]

    return change


CODINGS = [RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1]


@pytest.mark.parametrize("syntax", CODINGS, ids=lambda uid: UID(uid).keyword)
@pytest.mark.parametrize("signed", [False, True])
def test_compressed_pixels_are_the_same(read, hu, coded, syntax, signed):
    def change(data, z):
        if signed:  # the very bits of 12-bit numbers below zero
            no_sign_bits(data, hu[z] + 1000, z)
        coded(data, syntax)

    values, told = read(change)
    assert np.array_equal(values, hu)
    assert told == ""


@pytest.mark.parametrize("syntax", CODINGS[1:], ids=lambda uid: UID(uid).keyword)
def test_a_truncated_compressed_picture_is_refused(read, coded, syntax):
    def change(data, z):
        coded(data, syntax)
        if z == 2:
            picture = pydicom.encaps.get_frame(data.PixelData, 0, number_of_frames=1)
            data.PixelData = pydicom.encaps.encapsulate([picture[: len(picture) * 3 // 4]])
            data["PixelData"].is_undefined_length = True

    with pytest.raises(DataError, match=r"_2\.dcm cannot be read"):
        read(change)


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"]
)
def test_every_order_of_bytes_is_read(tmp_path, dicom_files, hu, syntax):
    for path in dicom_files.series(tmp_path, hu + 1000):
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = UID(syntax)
        if syntax.endswith(".2.2"):
            data.PixelData = np.frombuffer(data.PixelData, "<u2").astype(">u2").tobytes()
        implicit, little = syntax.endswith("1.2"), not syntax.endswith(".2.2")
        pydicom.dcmwrite(path, data, implicit_vr=implicit, little_endian=little)
    assert np.array_equal(sitk.GetArrayFromImage(read_image(tmp_path)), hu)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d, n, z: store(d, n | 0x5000, bits=12), "bits are set beyond the 12 of"),
        (lambda d, n, z: setattr(d, "PhotometricInterpretation", "MONOCHROME1"), "not turned"),
        (lambda d, n, z: setattr(d, "LossyImageCompression", "01"), "compressed with loss"),
        (lambda d, n, z: setattr(d, "RescaleType", "US"), "does not say the unit"),
    ],
)
def test_what_makes_values_doubtful_is_told_once(read, hu, change, says):
    values, told = read(lambda data, z: change(data, hu[z] + 1000, z) if z else None)
    assert np.array_equal(values, hu)
    assert told.count(says) == 1
    assert told.startswith("ct: ")


@pytest.mark.parametrize(
    ("stored", "kind", "bits", "ends"),
    [
        (-2000, "<i2", 16, [63536]),  # written unsigned, meant signed
        (63536, "<u2", 16, [63536]),
        (-32768, "<i2", 16, [32768]),
        (63536, "<u2", 12, [63536]),  # beyond the bits of a number
        (-1900, "<i2", 16, [63536, 64536]),
    ],
)
def test_padding_is_air(read, hu, stored, kind, bits, ends):
    def change(data, z):
        numbers = hu[z] + 1000
        numbers[0, :3] = stored
        store(data, numbers, kind, bits)
        for tag, end in zip((0x00280120, 0x00280121), ends, strict=False):
            data.add_new(tag, "US", end)

    values, told = read(change)
    hu[:, 0, :3] = -1024
    assert np.array_equal(values, hu)
    assert told == ""


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("RescaleSlope", None, "what its stored numbers mean"),
        ("RescaleIntercept", None, "what its stored numbers mean"),
        ("RescaleSlope", 0, "rescale slope 0"),
        ("RescaleSlope", "nan", "rescale slope nan"),
        ("RescaleType", "MGML", "HU(?s:.)*values in MGML"),
        ("PhotometricInterpretation", "PALETTE COLOR", "PALETTE COLOR"),
        ("PhotometricInterpretation", None, "interpretation missing"),
        ("PixelRepresentation", None, "cannot be read"),
        ("BitsStored", None, "cannot be read"),
        ("BitsStored", 20, "cannot be read"),
        ("PixelData", b"\0" * 100, "cannot be read"),
    ],
)
def test_a_ct_slice_whose_numbers_mean_nothing_is_refused_by_name(read, name, value, says):
    with pytest.raises(DataError, match=rf"_2\.dcm {says}|_2\.dcm (?s:.)*{says}"):
        read(lambda data, z: setattr(data, name, value) if z == 2 else None)


def test_a_ct_without_any_rescale_is_refused(read):
    with pytest.raises(DataError, match=r"how its values become HU(?s:.)*no RescaleSlope and no R"):
        read(lambda data, z: (delattr(data, "RescaleSlope"), delattr(data, "RescaleIntercept")))


def test_values_that_no_tissue_has_are_refused(read, hu):
    with pytest.raises(DataError, match=r"no HU(?s:.)*above 10000 HU"):  # the sign was lost
        read(lambda data, z: store(data, (hu[z]) & 0xFFFF, RescaleIntercept=0))


def test_a_ct_without_air_is_doubted(read, hu):
    _, told = read(lambda data, z: setattr(data, "RescaleIntercept", 0))
    assert "no air: the lowest value is 0 HU" in told


def lookup_table(data: Dataset, z: int) -> None:
    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [2000, 0, 16], "US"
    item.add_new(0x00283006, "US", list(range(0, 6000, 3)))
    data.ModalityLUTSequence = [item]
    del data.RescaleSlope, data.RescaleIntercept


def test_a_lookup_table_is_applied_but_cannot_give_hu(read, hu):
    with pytest.raises(DataError, match=r"become HU(?s:.)*Modality LUT"):
        read(lookup_table)


def as_mr(data: Dataset, z: int) -> None:
    data.Modality = "MR"


def test_an_mr_may_have_a_lookup_table(read, hu):
    values, _ = read(lambda data, z: (as_mr(data, z), lookup_table(data, z)))
    assert np.array_equal(values, 3 * (hu + 1000))


def test_an_mr_without_rescale_keeps_its_numbers(read, hu):
    def change(data, z):
        as_mr(data, z)
        del data.RescaleSlope, data.RescaleIntercept

    assert np.array_equal(read(change)[0], hu + 1000)


def test_an_mr_of_which_one_slice_lacks_its_slope_is_refused(read):
    def change(data, z):
        as_mr(data, z)
        if z == 1:
            data.RescaleSlope = None

    with pytest.raises(DataError, match=r"_1\.dcm does not say what its stored numbers mean"):
        read(change)


def test_a_pet_keeps_the_slope_of_each_slice(read, hu):
    def change(data, z):
        data.Modality, data.RescaleSlope, data.RescaleIntercept = "PT", 0.25 * (z + 1), 0

    expected = (hu + 1000) * 0.25 * np.arange(1, 5)[:, None, None]
    assert np.array_equal(read(change)[0], expected)


def test_a_coding_that_nothing_here_decodes_is_named_with_the_way_out(read):
    def change(data, z):
        data.PixelData = pydicom.encaps.encapsulate([b"\xff\x0a" + b"\1" * 40 + b"\xff\xd9"])
        data["PixelData"].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.201")

    with pytest.raises(DataError, match=r"High-Throughput JPEG 2000(?s:.)*gdcmconv --raw"):
        read(change)
