"""A radiograph in DICOM is shown as its header asks, whatever its coding, or refused by name."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from nextaim_kit.data.images.films import read_film
from nextaim_kit.errors import DataError

FILM = (np.arange(64 * 48).reshape(64, 48) * 7 % 4001).astype(np.uint16)  # bones bright
NEGATIVE = 4095 - FILM


def lut(name, values, first=0):
    item = Dataset()
    item.LUTDescriptor = [len(values), first, 16]
    item.LUTData = values.astype("<u2").tobytes()
    return {name: [item]}


DOWN = np.arange(4095, -1, -1)


def turned(film):
    """1 if it is shown with bones bright, -1 if with bones dark."""
    return np.sign(np.corrcoef(film.shown.ravel(), FILM.ravel())[0, 1])


@pytest.mark.parametrize(
    ("values", "says", "tags"),
    [
        (FILM, "MONOCHROME2", {}),
        (NEGATIVE, "MONOCHROME1", {}),
        (NEGATIVE, "MONOCHROME1", {"PresentationLUTShape": "INVERSE"}),
        (NEGATIVE, "MONOCHROME2", {"PresentationLUTShape": "INVERSE"}),
        (FILM, "MONOCHROME2", {"PresentationLUTShape": "IDENTITY"}),
        (NEGATIVE, "MONOCHROME2", {"RescaleSlope": "-1", "RescaleIntercept": "4095"}),
        (FILM, "MONOCHROME1", {"RescaleSlope": "-2.5", "RescaleIntercept": "0"}),
        (NEGATIVE, "MONOCHROME2", lut("VOILUTSequence", DOWN)),
        (FILM, "MONOCHROME1", lut("VOILUTSequence", DOWN)),
        (NEGATIVE, "MONOCHROME2", lut("ModalityLUTSequence", DOWN)),
        (FILM, "MONOCHROME2", lut("ModalityLUTSequence", DOWN) | lut("VOILUTSequence", DOWN)),
        (FILM, "MONOCHROME2", {"WindowCenter": "2000", "WindowWidth": "400"}),
    ],
)
def test_bones_are_bright_however_the_header_says_it(tmp_path, save_dicom, values, says, tags):
    film = read_film(
        save_dicom(tmp_path / "f.dcm", values, says, BitsStored=12, HighBit=11, **tags)
    )
    assert abs(np.corrcoef(film.shown.ravel(), FILM.ravel())[0, 1]) > 0.999999
    assert turned(film) == 1
    np.testing.assert_array_equal(film.pixels, values)


def test_a_voi_lut_takes_what_the_rescale_gives(tmp_path, save_dicom):
    tags = lut("VOILUTSequence", DOWN, first=100) | {"RescaleSlope": "1", "RescaleIntercept": "100"}
    film = read_film(save_dicom(tmp_path / "f.dcm", FILM, "MONOCHROME2", **tags))
    np.testing.assert_array_equal(film.shown, 4095.0 - FILM)


@pytest.mark.parametrize(
    ("stored", "tags"),
    [
        (FILM | 0x5000, {"BitsStored": 12, "HighBit": 11}),  # an overlay in the bits above
        ((FILM << 4) | 5, {"BitsStored": 12, "HighBit": 15}),  # and in those below
        ((FILM.astype(np.int32) - 2048) & 0xFFF, {"BitsStored": 12, "HighBit": 11,
                                                  "PixelRepresentation": 1}),
    ],
)  # fmt: skip
def test_only_the_bits_that_are_stored_count(tmp_path, save_dicom, stored, tags):
    film = read_film(save_dicom(tmp_path / "f.dcm", stored, "MONOCHROME2", **tags))
    np.testing.assert_array_equal(np.diff(film.shown), np.diff(FILM.astype(float)))


def test_padding_is_as_dark_as_what_is_darkest(tmp_path, save_dicom):
    values = NEGATIVE.copy()
    values[:10] = 0
    tags = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 3}
    shown = read_film(save_dicom(tmp_path / "f.dcm", values, "MONOCHROME1", **tags)).shown
    assert (shown[:10] == shown[10:].min()).all()
    assert shown[:10].max() < np.median(shown[10:])


def compressed(path, coder):
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(path))
    writer.UseCompressionOn()
    writer.SetCompressor(coder)
    writer.Execute(sitk.GetImageFromArray(NEGATIVE))
    return pydicom.dcmread(path)


@pytest.mark.parametrize("coder", ["JPEG", "JPEG2000", "JPEGLS", "RLE"])
def test_a_lossless_coding_changes_no_value_and_no_polarity(tmp_path, coder):
    header = compressed(tmp_path / "f.dcm", coder)
    header.PhotometricInterpretation = "MONOCHROME1"
    header.RescaleSlope, header.RescaleIntercept = "2", "-100"
    header.save_as(tmp_path / "f.dcm")
    film = read_film(tmp_path / "f.dcm")
    np.testing.assert_array_equal(film.pixels, NEGATIVE)
    np.testing.assert_array_equal(film.shown, 100 - 2.0 * NEGATIVE)


def test_a_jpeg_of_twelve_bits_is_read_and_turned(tmp_path):
    header = pydicom.dcmread(pydicom.data.get_testdata_file("JPEG-lossy.dcm"))
    assert header.file_meta.TransferSyntaxUID == pydicom.uid.JPEGExtended12Bit
    shown = {}
    for says in ("MONOCHROME1", "MONOCHROME2"):
        header.Modality, header.PhotometricInterpretation = "CR", says
        header.save_as(tmp_path / "f.dcm")
        shown[says] = read_film(tmp_path / "f.dcm").shown
    assert np.ptp(shown["MONOCHROME2"]) == 264
    np.testing.assert_array_equal(shown["MONOCHROME1"], -shown["MONOCHROME2"])


def test_a_file_without_preamble_or_suffix_is_read(tmp_path, save_dicom):
    whole = save_dicom(tmp_path / "f.dcm", NEGATIVE, "MONOCHROME1")
    header = pydicom.dcmread(whole)
    bare = Dataset(header)
    for name, implicit in (("IMPLICIT.dcm", True), ("EXPLICIT.dcm", False)):
        bare.save_as(tmp_path / name, implicit_vr=implicit, little_endian=True)
        assert turned(read_film(tmp_path / name)) == 1
    whole.rename(tmp_path / "IM0001")
    assert turned(read_film(tmp_path / "IM0001")) == 1


@pytest.mark.parametrize("says", ["RGB", "YBR_FULL", "PALETTE COLOR"])
def test_a_gray_picture_in_color_is_a_film_and_a_colored_one_is_not(tmp_path, save_dicom, says):
    gray = (FILM // 16).astype(np.uint8)
    if says == "PALETTE COLOR":
        stored, tags = 255 - gray, {"SamplesPerPixel": 1}
        for color in ("Red", "Green", "Blue"):
            tags[f"{color}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
            tags[f"{color}PaletteColorLookupTableData"] = (DOWN[::16].astype("<u2") * 16).tobytes()
    else:
        rest = gray if says == "RGB" else np.full_like(gray, 128)
        stored = np.stack([gray, rest, rest], axis=2)
        tags = {"SamplesPerPixel": 3, "PlanarConfiguration": 0}
    tags |= {"PixelData": stored.tobytes(), "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    path = save_dicom(tmp_path / "f.dcm", FILM, says, **tags)
    assert turned(read_film(path)) == 1
    if says == "RGB":
        stored[:20, :20, 0] = 255
        path = save_dicom(path, FILM, says, **tags | {"PixelData": stored.tobytes()})
        with pytest.raises(DataError, match=r"f\.dcm is a color picture"):
            read_film(path)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, "is no radiograph\n.*modality CT"),
        ({"NumberOfFrames": "2", "PixelData": FILM.tobytes() * 2}, "is a stack of pictures"),
        ({"Rows": 65535, "Columns": 65535}, "is too large for a radiograph"),
        ({"Rows": 640}, "cannot be read as DICOM"),
        ({"PixelData": FILM.tobytes()[:-100]}, "cannot be read as DICOM"),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"},
         "contradicts itself"),
        ({"RescaleSlope": "0", "RescaleIntercept": "3"}, "is one gray all over"),
        ({"HighBit": None}, "cannot be read as DICOM"),
        ({"PhotometricInterpretation": "HSV"}, "is not one gray picture"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_right_is_refused_by_name(tmp_path, save_dicom, tags, reason):
    path = save_dicom(tmp_path / "odd.dcm", FILM, "MONOCHROME2", **tags)
    with pytest.raises(DataError, match=rf"odd\.dcm.* {reason}|odd\.dcm {reason}"):
        read_film(path)


def test_a_torn_jpeg_in_dicom_is_refused(tmp_path):
    header = compressed(tmp_path / "f.dcm", "JPEG")
    frame = next(pydicom.encaps.generate_frames(header.PixelData, number_of_frames=1))
    header.PixelData = encapsulate([frame[: len(frame) // 2]])
    header.save_as(tmp_path / "torn.dcm")
    with pytest.raises(DataError, match=r"torn\.dcm cannot be read as DICOM"):
        read_film(tmp_path / "torn.dcm")


def test_a_damaged_file_is_refused_and_nothing_else_happens(tmp_path, save_dicom):
    """Bytes of a header and of a coded picture, changed by chance."""
    plain = save_dicom(tmp_path / "f.dcm", FILM, "MONOCHROME2", **lut("VOILUTSequence", DOWN))
    coded = tmp_path / "g.png"
    Image.fromarray((FILM // 16).astype(np.uint8)).save(coded)
    rng = np.random.default_rng(0)
    for path in [plain, coded] * 40:
        damaged = np.frombuffer(path.read_bytes(), np.uint8).copy()
        damaged[rng.integers(0, min(len(damaged), 700), 3)] = rng.integers(0, 256, 3)
        odd = tmp_path / f"odd{path.suffix}"
        odd.write_bytes(damaged.tobytes())
        with suppress(DataError):  # and no other exception
            assert np.isfinite(read_film(odd).shown).all()
