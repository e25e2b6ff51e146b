"""Films are read from any gray picture, and what is no film is refused by name."""

from __future__ import annotations

import struct
import zlib
from contextlib import nullcontext

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image

from nextaim_kit.data.images.films import film_table, read_film, read_mask, read_picture
from nextaim_kit.errors import DataError

GRAY = (np.arange(64 * 48).reshape(64, 48) % 251).astype(np.uint8)


def save(path, values, **options):
    Image.fromarray(values).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["f.png", "f.tif", "f.bmp"])
def test_an_eight_bit_picture_keeps_its_values(tmp_path, name):
    film = read_film(save(tmp_path / name, GRAY))
    np.testing.assert_array_equal(film.pixels, GRAY)
    assert film.photometric is None


def test_a_sixteen_bit_picture_keeps_its_values(tmp_path):
    values = GRAY.astype(np.uint16) * 257
    np.testing.assert_array_equal(read_film(save(tmp_path / "f.png", values)).pixels, values)


def test_three_equal_channels_and_an_opaque_alpha_are_gray(tmp_path):
    for channels in (3, 4):
        values = np.repeat(GRAY[..., None], channels, axis=2)
        if channels == 4:
            values[..., 3] = 255
        found = read_film(save(tmp_path / f"{channels}.png", values)).pixels
        np.testing.assert_array_equal(found, GRAY)


@pytest.mark.parametrize("name", ["skin.png", "slide.tif", "skin.bmp"])
def test_a_picture_in_color_keeps_its_values(tmp_path, name):
    color = np.stack([GRAY, GRAY[::-1], GRAY // 2], axis=-1)
    found = read_picture(save(tmp_path / name, color))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, color)


def test_a_picture_by_palette_or_in_gray_has_three_channels_too(tmp_path):
    Image.fromarray(GRAY).convert("P").save(tmp_path / "p.png")
    Image.fromarray(GRAY).convert("LA").save(tmp_path / "la.png")
    for path in (save(tmp_path / "g.png", GRAY), tmp_path / "p.png", tmp_path / "la.png"):
        np.testing.assert_array_equal(read_picture(path), np.dstack([GRAY] * 3))
    deep = GRAY.astype(np.uint16) * 257
    found = read_picture(save(tmp_path / "d.png", deep))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.dstack([deep] * 3))
    found = read_picture(save(tmp_path / "b.png", GRAY > 99))
    np.testing.assert_array_equal(found, np.dstack([(GRAY > 99) * 255] * 3))


def test_what_is_no_picture_in_color_is_refused_by_name(tmp_path, save_dicom):
    clear = np.repeat(GRAY[..., None], 4, axis=2)
    with pytest.raises(DataError, match="transparent"):
        read_picture(save(tmp_path / "clear.png", clear))
    with pytest.raises(DataError, match=r"f\.dcm is DICOM(.|\n)*export it as PNG"):
        read_picture(save_dicom(tmp_path / "f.dcm", GRAY * 10, "MONOCHROME2"))
    with pytest.raises(DataError, match=r"no\.png is not there"):
        read_picture(tmp_path / "no.png")
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match=r"torn\.jpg cannot be read"):
        read_picture(tmp_path / "torn.jpg")


@pytest.mark.parametrize("says", ["MONOCHROME1", "MONOCHROME2"])
def test_dicom_says_how_it_is_meant_and_keeps_its_values(tmp_path, save_dicom, says):
    film = read_film(save_dicom(tmp_path / "f.dcm", GRAY * 10, says))
    assert film.photometric == says
    np.testing.assert_array_equal(film.pixels, GRAY * 10)


def refused():
    color = np.repeat(GRAY[..., None], 3, axis=2)
    color[:10, :10, 0] = 255
    clear = np.repeat(GRAY[..., None], 4, axis=2)
    return {
        "color picture": color,
        "a part that is transparent": clear,
        "too small to be used": GRAY[:8, :8],
        "one gray all over": np.full((64, 64), 7, np.uint8),
    }


@pytest.mark.parametrize("problem", refused())
def test_what_is_no_film_is_refused_by_name(tmp_path, problem):
    with pytest.raises(DataError, match=rf"odd.png .*{problem}"):
        read_film(save(tmp_path / "odd.png", refused()[problem]))


def test_a_damaged_an_absent_and_a_stacked_file_are_refused(tmp_path):
    (tmp_path / "torn.png").write_bytes(save(tmp_path / "f.png", GRAY).read_bytes()[:200])
    with pytest.raises(DataError, match=r"torn.png cannot be read"):
        read_film(tmp_path / "torn.png")
    with pytest.raises(DataError, match=r"none.png is not there"):
        read_film(tmp_path / "none.png")
    pages = [Image.fromarray(GRAY), Image.fromarray(GRAY)]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=r"two.tif is a stack of pictures"):
        read_film(tmp_path / "two.tif")


def test_color_of_16_bits_is_refused_since_half_of_them_would_be_lost(tmp_path):
    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    rows = b"".join(b"\0" + bytes(range(240)) for _ in range(40))  # 40 pixels of three 16 bits
    header = struct.pack(">IIBBBBB", 40, 40, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    whole = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    (tmp_path / "deep.png").write_bytes(whole)
    with pytest.raises(DataError, match=r"deep.png has 16 bits in each color"):
        read_film(tmp_path / "deep.png")


def test_a_file_that_is_no_dicom_or_a_color_one_is_refused(tmp_path, save_dicom):
    (tmp_path / "no.dcm").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"no.dcm cannot be read as DICOM"):
        read_film(tmp_path / "no.dcm")
    path = save_dicom(tmp_path / "odd.dcm", GRAY, "MONOCHROME2")
    header = pydicom.dcmread(path)
    header.PhotometricInterpretation = "PALETTE COLOR"
    header.save_as(path)
    with pytest.raises(DataError, match=r"odd.dcm cannot be read as DICOM\n(.|\n)*Palette"):
        read_film(path)


def test_a_folder_s_films_come_in_order_and_twins_of_a_name_stay_apart(tmp_path):
    for name in ("b.png", "a.png", "a.bmp"):
        save(tmp_path / name, GRAY)
    (tmp_path / "notes.txt").write_text("x")
    assert film_table(tmp_path)["subject"].tolist() == ["a.bmp", "a.png", "b"]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no film in"):
        film_table(tmp_path / "none")


def test_films_of_any_suffix_and_of_sub_folders_are_found_and_the_rest_is_named(
    tmp_path, save_dicom
):
    for name in ("p1/film.jfif", "p2/film.jfif", "p2/other.JPG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(GRAY).save(tmp_path / name, format="JPEG")
    save_dicom(tmp_path / "p2" / "IM0001", GRAY, "MONOCHROME2")
    for name in ("sheet.csv", "scan.nii.gz", "p1/._film.jfif"):
        (tmp_path / name).write_bytes(b"x")
    table = film_table(tmp_path)
    assert table["subject"].tolist() == ["p1_film.jfif", "IM0001", "p2_film.jfif", "other"]
    assert [p["problem"] for p in table.attrs["problems"]] == [
        "1 files left out that are no films: scan.nii.gz"
    ]


def test_a_film_is_shown_as_its_header_says_and_stored_as_it_was(tmp_path, save_dicom):
    values = GRAY.astype(np.uint16) * 10
    for says, sign in (("MONOCHROME1", -1), ("MONOCHROME2", 1)):
        film = read_film(save_dicom(tmp_path / f"{says}.dcm", values, says))
        np.testing.assert_array_equal(film.shown, sign * values.astype(float))
        np.testing.assert_array_equal(film.pixels, values)


def test_channels_that_jpeg_has_parted_a_little_are_gray(tmp_path):
    values = np.repeat(np.clip(GRAY, 6, 255)[..., None], 3, axis=2)
    values[:10, :10, 0] -= 6
    values[0, 0] = 255
    found = read_film(save(tmp_path / "f.png", values)).pixels
    np.testing.assert_allclose(found, values.mean(axis=2), atol=1e-3)


@pytest.mark.parametrize("bits", [1, 8, 16, 32])
def test_a_tiff_in_which_white_is_zero_is_shown_with_bones_bright(tmp_path, bits):
    values = {1: GRAY < 120, 8: 255 - GRAY, 16: 65535 - GRAY.astype(np.uint16) * 200,
              32: (1 - GRAY / 255).astype(np.float32)}[bits]  # fmt: skip
    tifffile.imwrite(tmp_path / "f.tif", values, photometric="miniswhite")
    shown = read_film(tmp_path / "f.tif").shown
    assert np.corrcoef(shown.ravel(), GRAY.ravel())[0, 1] > 0.85
    with pytest.raises(DataError, match="white is zero") if bits > 1 else nullcontext():
        assert read_mask(tmp_path / "f.tif").any()


def test_the_real_tiff_in_which_white_is_zero_is_turned(real):
    path = real / "odd" / "white_is_zero_16.tif"
    stored = tifffile.imread(path).astype(float)
    np.testing.assert_array_equal(read_film(path).shown, -stored)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("name", ["f.jpg", "f.png", "f.tif"])
def test_a_picture_is_turned_as_its_header_says_or_refused(tmp_path, name, orientation):
    smooth = np.add.outer(np.arange(64) * 2, np.arange(48)).astype(np.uint8)
    if name == "f.tif":
        tag = (274, 3, 1, orientation, True)
        tifffile.imwrite(tmp_path / name, smooth, photometric="minisblack", extratags=[tag])
    else:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(smooth).save(tmp_path / name, exif=exif)
    turned = np.rot90(smooth, {1: 0, 3: 2, 6: 3, 8: 1}[orientation])
    if name == "f.tif" and orientation > 4:
        with pytest.raises(DataError, match="to be turned by 90°"):
            read_film(tmp_path / name)
    else:
        np.testing.assert_allclose(read_film(tmp_path / name).shown, turned, atol=3)


def bomb(width, height):
    """A PNG of a few bytes that says it is huge."""

    def chunk(kind, data):
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 0, 0, 0, 0])
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("bomb.png", bomb(60000, 60000), "too large for a radiograph"),
        ("large.png", bomb(12000, 12000), "too large for a radiograph"),
        ("empty.png", b"", "cannot be read"),
        ("text.jpg", b"no picture", "cannot be read"),
        ("script.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "cannot be read"),
    ],
)
def test_a_file_that_would_fill_the_memory_or_is_no_picture_is_refused(
    tmp_path, name, data, reason
):
    (tmp_path / name).write_bytes(data)
    for reader in (read_film, read_mask):
        with pytest.raises(DataError, match=f"{name} .*{reason}"):
            reader(tmp_path / name)


def test_odd_pictures_of_the_real_samples_are_refused_by_name(tmp_path, real):
    (tmp_path / "fuzz.dcm").write_bytes((real / "odd" / "fuzzraw_1.bin").read_bytes())
    with pytest.raises(DataError, match=r"fuzz\.dcm cannot be read as DICOM"):
        read_film(tmp_path / "fuzz.dcm")
    with pytest.raises(DataError, match=r"badwidth\.bmp is too large"):
        read_film(real / "odd" / "badwidth.bmp")


def test_pixels_that_are_no_numbers_or_have_a_sign_that_is_lost_are_refused(tmp_path):
    values = GRAY.astype(np.float32)
    values[3, 3] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", values)
    with pytest.raises(DataError, match=r"nan\.tif has pixels that are no numbers\n.*1 of 3072"):
        read_film(tmp_path / "nan.tif")
    tifffile.imwrite(tmp_path / "signed.tif", (GRAY.astype(int) - 128).astype(np.int8))
    with pytest.raises(DataError, match="signed bytes"):
        read_film(tmp_path / "signed.tif")


def test_palettes_and_inks_are_films_by_what_they_show(tmp_path):
    dark = Image.fromarray(255 - GRAY)
    dark.putpalette([255 - k // 3 for k in range(768)])
    dark.save(tmp_path / "f.png")
    np.testing.assert_array_equal(read_film(tmp_path / "f.png").shown, GRAY)
    Image.fromarray(GRAY).convert("CMYK").save(tmp_path / "f.tif")
    np.testing.assert_allclose(read_film(tmp_path / "f.tif").shown, GRAY, atol=1)


def test_a_mask_with_fractions_or_in_a_jpeg_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", (GRAY / 255).astype(np.float32))
    save(tmp_path / "m.jpg", np.where(GRAY > 100, 255, 0).astype(np.uint8))
    for name, reason in (("m.tif", "fractions"), ("m.jpg", "a JPEG")):
        with pytest.raises(DataError, match=rf"mask {name} has no plain numbers\n(.|\n)*{reason}"):
            read_mask(tmp_path / name)


LABELS = np.repeat(np.array([[0, 1, 2]], np.uint8), 40, axis=0)


@pytest.mark.parametrize("mode", ["gray", "palette", "sixteen bits", "one bit"])
def test_a_mask_keeps_its_whole_numbers_in_any_encoding(tmp_path, mode):
    labels = LABELS * 200 if mode == "sixteen bits" else LABELS
    picture = Image.fromarray(labels.astype(np.uint16) if mode == "sixteen bits" else labels)
    if mode == "palette":  # its colors say nothing of its numbers
        picture.putpalette([200, 200, 200, 255, 0, 0, 0, 0, 255])
    elif mode == "one bit":
        labels, picture = labels > 0, Image.fromarray(labels > 0)
    picture.save(tmp_path / "m.png")
    found = read_mask(tmp_path / "m.png")
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, labels)


def test_a_colored_an_absent_a_damaged_and_no_mask_are_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"mask red.png is a color picture"):
        read_mask(save(tmp_path / "red.png", np.repeat(LABELS[..., None], 3, axis=2)))
    with pytest.raises(DataError, match=r"mask none.png cannot be read\n +found: +no such file"):
        read_mask(tmp_path / "none.png")
    (tmp_path / "torn.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"mask torn.png cannot be read\n +found: +cannot identify"):
        read_mask(tmp_path / "torn.png")
    with pytest.raises(DataError, match=r"mask \(none\) cannot be read"):
        read_mask("")
