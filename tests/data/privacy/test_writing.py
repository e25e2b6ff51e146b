import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from nextaim_kit.data.privacy.writing import covered, lines_of
from nextaim_kit.studies.ct_lungquant.twin import make_twin, size_of


def body(top: int, dtype: str = "<u2") -> np.ndarray:
    """A bright blob with noise, as a film or a slice is."""
    y, x = np.mgrid[:256, :256] / 256
    noise = np.random.default_rng(0).normal(0, 0.02, (256, 256))
    image = 0.2 + 0.5 * np.exp(-((x - 0.5) ** 2 + (y - 0.5) ** 2) / 0.1) + noise
    return np.clip(image * top, 0, top * 0.9).astype(dtype)


def written(image: np.ndarray, text: str, at: tuple[int, int], size: int, level: int) -> np.ndarray:
    """The strokes of a text drawn into an image: where they are."""
    stroke = Image.new("L", image.shape[::-1])
    ImageDraw.Draw(stroke).text(at, text, fill=255, font=ImageFont.load_default(size))
    share = np.asarray(stroke) / 255
    image[:] = image * (1 - share) + level * share
    return share > 0.9


@pytest.mark.parametrize("size", [14, 24, 40])
@pytest.mark.parametrize("at", [(1, 1), (40, 100), (60, 200)])
def test_a_name_is_covered_wherever_it_stands(size: int, at: tuple[int, int]) -> None:
    image = body(4095)
    strokes = written(image, "Zanfre OL", at, size, 4095)
    assert covered(image, color=False)
    assert np.mean(image[strokes] > 4000) < 0.02


def test_a_turned_line_is_covered() -> None:
    image = body(4095)
    strokes = written(image, "ZANFREGAN", (20, 100), 16, 4095).T
    image = image.T.copy()
    assert covered(image, color=False)
    assert np.mean(image[strokes] > 4000) < 0.02


def test_dark_writing_of_one_value_is_covered() -> None:
    image = body(4095)
    strokes = written(image, "ZANFREGAN", (40, 100), 30, 0)
    assert covered(image, color=False)
    assert np.mean(image[strokes] < 100) < 0.02


def test_writing_in_color_is_covered() -> None:
    image = np.repeat(body(255, "u1")[..., None], 3, axis=2)
    stroke = Image.fromarray(image)
    ImageDraw.Draw(stroke).text((5, 5), "ZANFREGAN", fill=(255, 255, 0), font_size=16)
    image = np.array(stroke)
    assert covered(image, color=True)
    assert (image[..., 0] == 255).sum() == 0


@pytest.mark.parametrize("text", ["R", "L", "AP"])
def test_marks_of_the_film_stay(text: str) -> None:
    image = body(4095)
    written(image, text, (200, 20), 20, 4095)
    before = image.copy()
    assert not covered(image, color=False)
    assert np.array_equal(image, before)


def test_vessels_in_a_row_are_no_writing() -> None:
    image = np.full((128, 128), 100, "<u2")
    y, x = np.mgrid[:128, :128]
    for number, level in enumerate((900, 840, 1010, 950, 880)):
        image[(y - 60) ** 2 + (x - 20 - 14 * number) ** 2 < 16] = level
    image[:20, :20] = 2000
    assert lines_of(image) == []


def test_an_image_of_one_value_holds_nothing() -> None:
    assert lines_of(np.zeros((64, 64), "<u2")) == []


@pytest.mark.parametrize("across", [64, 96, 128])
def test_no_slice_of_a_chest_without_writing_is_covered(across: int) -> None:
    twin = make_twin(12, size=size_of(across), slice_mm=5.0, kernel="sharp", workers=1)
    slices = [
        (plane.astype(np.int32) + 1024).clip(0).astype("<u2")
        for path in twin["image"]
        for plane in sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    ]
    assert len(slices) >= 200
    assert sum(bool(lines_of(plane)) for plane in slices) == 0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("across", [64, 128, 256])
def test_noise_holds_no_writing(across: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    waves = random.normal(0, 20, (2, across, across))
    for image in (random.normal(1000, 100, (across, across)), np.hypot(*waves)):
        assert lines_of(image.clip(0).astype("<u2")) == []


def test_a_name_is_found_among_thousands_of_strokes_of_noise() -> None:
    image = np.random.default_rng(0).normal(1000, 60, (512, 512)).clip(0).astype("<u2")
    stroke = Image.new("1", image.shape[::-1])
    ImageDraw.Draw(stroke).text((40, 200), "ZANFREGAN", fill=1, font_size=24)
    image[np.asarray(stroke)] = 1600
    assert covered(image, color=False)
    assert np.mean(image[np.asarray(stroke)] == 1600) < 0.02


@pytest.mark.parametrize("level", [0, 60])
def test_small_dark_letters_drawn_in_grays_are_covered(level: int) -> None:
    image = body(255, "u1")
    strokes = written(image, "Zanfregan Oldrada", (60, 110), 10, level)
    assert covered(image, color=False)
    assert np.mean(image[strokes] < level + 20) < 0.02


def test_a_line_that_hardly_stands_out_is_covered_where_it_stands_alone() -> None:
    image = body(4095)
    strokes = written(image, "ZANFREGAN OLDRADA", (60, 10), 14, 1800)
    before = image[strokes].astype(float)
    assert covered(image, color=False)
    assert np.mean(image[strokes] < before - 400) > 0.98


def test_letters_that_touch_each_other_are_covered() -> None:
    image = np.full((200, 200), 20, "u1")
    strokes = written(image, "ZANFREGAN", (60, 90), 12, 250)
    image[100:102, 60:140] = 250  # an underline through their feet joins them
    assert covered(image, color=False)
    assert np.mean(image[strokes] > 200) < 0.02


@pytest.mark.parametrize("seed", range(8))
def test_speckle_of_a_picture_of_256_levels_is_no_writing(seed: int) -> None:
    speckle = np.random.default_rng(seed).rayleigh(1, (320, 320))
    smooth = 45 * ndimage.gaussian_filter(speckle, (0.6, 1.2))
    assert lines_of(smooth.clip(0, 230).astype("u1")) == []


def test_what_is_not_covered_stays_as_it_was() -> None:
    image = body(4095)
    written(image, "ZANFREGAN", (60, 10), 14, 4095)
    before, boxes = image.copy(), lines_of(image)
    covered(image, color=False)
    outside = np.ones(image.shape, bool)
    for top, left, bottom, right in boxes:
        outside[top:bottom, left:right] = False
    assert outside.mean() > 0.9
    assert np.array_equal(image[outside], before[outside])


def test_lines_of_a_block_that_stand_close_are_all_covered() -> None:
    image = body(255, "u1")
    lines = ["RX TORACE", "Zanfregan O.", "Serie 1001", "26/03/2020"]
    strokes = [written(image, line, (150, 4 + 12 * n), 12, 250) for n, line in enumerate(lines)]
    assert covered(image, color=False)
    assert all(np.mean(image[one] > 240) < 0.1 for one in strokes)
