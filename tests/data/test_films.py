"""Films are read from any gray picture, and what is no film is refused by name."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from PIL import Image

from nextaim_kit.data.films import Film, film_table, read_film, read_mask
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
        "too small for a radiograph": GRAY[:8, :8],
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


def test_a_file_that_is_no_dicom_or_a_color_one_is_refused(tmp_path, save_dicom):
    (tmp_path / "no.dcm").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"no.dcm cannot be read as DICOM"):
        read_film(tmp_path / "no.dcm")
    path = save_dicom(tmp_path / "odd.dcm", GRAY, "MONOCHROME2")
    header = pydicom.dcmread(path)
    header.PhotometricInterpretation = "PALETTE COLOR"
    header.save_as(path)
    with pytest.raises(DataError, match=r"odd.dcm is not one gray picture"):
        read_film(path)


def test_a_folder_s_films_come_in_order_and_twins_of_a_name_stay_apart(tmp_path):
    for name in ("b.png", "a.png", "a.bmp"):
        save(tmp_path / name, GRAY)
    (tmp_path / "notes.txt").write_text("x")
    assert film_table(tmp_path)["subject"].tolist() == ["a.bmp", "a.png", "b"]
    with pytest.raises(DataError, match="no film in"):
        film_table(tmp_path.parent / tmp_path.name / "..")


def test_a_film_is_shown_as_its_header_says_and_stored_as_it_was(tmp_path, save_dicom):
    values = GRAY.astype(np.uint16) * 10
    for says, sign in (("MONOCHROME1", -1), ("MONOCHROME2", 1)):
        film = read_film(save_dicom(tmp_path / f"{says}.dcm", values, says))
        np.testing.assert_array_equal(film.shown, sign * values.astype(float))
        np.testing.assert_array_equal(film.pixels, values)
    np.testing.assert_array_equal(Film(GRAY.astype(np.float32)).shown, GRAY)


def test_channels_that_jpeg_has_parted_a_little_are_gray(tmp_path):
    values = np.repeat(np.clip(GRAY, 6, 255)[..., None], 3, axis=2)
    values[:10, :10, 0] -= 6
    values[0, 0] = 255
    found = read_film(save(tmp_path / "f.png", values)).pixels
    np.testing.assert_allclose(found, values.mean(axis=2), atol=1e-3)


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
