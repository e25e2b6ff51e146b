"""One color for each structure, on rendered pixels of every picture and viewer."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.colors import rgb_to_hsv, to_hex, to_rgb
from PIL import Image

from nextaim_kit.show import Segmented, gallery, overlays, volume
from nextaim_kit.show.style import ORANGE, SKY, close_rows, looks, new_figure
from nextaim_kit.show.viewers.frame import legend
from nextaim_kit.show.viewers.itk import ItkViewer
from nextaim_kit.show.viewers.niivue import Niivue
from nextaim_kit.show.viewers.scene import read_scene
from nextaim_kit.show.viewers.slices import Slices

GRAY = (-1350.0, 150.0)
HUES = {name: 360 * rgb_to_hsv(to_rgb(color))[0] for name, color in
        (("lungs", SKY), ("lesions", ORANGE))}  # fmt: skip


@pytest.fixture
def chest():
    """A CT of healthy lung with a ground glass in it, and both masks."""
    hu = np.full((12, 40, 60), -850, np.int16)
    lungs, lesions = np.zeros(hu.shape, np.uint8), np.zeros(hu.shape, np.uint8)
    lungs[1:11, 5:35, 5:28], lungs[1:11, 5:35, 32:55] = 1, 2
    lesions[3:9, 12:24, 10:22] = 1
    hu[lungs == 0], hu[lesions > 0] = 40, -500
    return sitk.GetImageFromArray(hu), lungs, lesions


def rendered(figure) -> np.ndarray:
    shown = io.BytesIO()
    figure.savefig(shown, format="png")
    return np.asarray(Image.open(shown).convert("RGB"), float)


def sliced(image, masks) -> np.ndarray:
    code = Slices(read_scene(image, masks), GRAY, set(masks)).picture.value
    data = base64.b64decode(re.search(r"base64,([^\"]+)", code)[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)


DRAWN = {
    "overlay": lambda i, a, b: rendered(overlays([Segmented(i, a, b, "P1")])),
    "still": lambda i, a, b: rendered(volume(i, {"lungs": a, "lesions": b}).still()),
    "gallery": lambda i, a, b: rendered(
        gallery([sitk.GetArrayFromImage(i)[5]], ["P1"], outlines=[{"lungs": a[5], "lesions": b[5]}])
    ),
    "slices": lambda i, a, b: sliced(i, {"lungs": a, "lesions": b}),
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_lungs_have_one_color_and_lesions_another_in_every_picture(chest, draw):
    picture = draw(*chest)
    strong = picture[np.ptp(picture, axis=2) > 60] / 255
    hues = 360 * rgb_to_hsv(strong)[:, 0]
    near = {name: np.abs(hues - hue) < 12 for name, hue in HUES.items()}
    assert min(there.mean() for there in near.values()) > 0.05
    # No third color; edges that are smoothed lie between the two.
    assert (near["lungs"] | near["lesions"]).mean() > 0.97


def test_healthy_lung_keeps_its_gray_and_a_lesion_is_filled_to_its_middle(chest):
    picture = sliced(chest[0], {"lungs": chest[1], "lesions": chest[2]})
    rows, columns = picture.shape[:2]
    well = picture[int(20 / 40 * rows), int(43 / 60 * columns)]
    sick = picture[int(18 / 40 * rows), int(16 / 60 * columns)]
    assert np.ptp(well) < 3
    assert 360 * rgb_to_hsv(sick / 255)[0] == pytest.approx(HUES["lesions"], abs=6)


def test_viewers_paint_the_rim_of_lungs_and_all_of_lesions_and_never_both(chest):
    image, lungs, lesions = chest
    scene = read_scene(image, {"lungs": lungs, "lesions": lesions})
    painted = scene.marks()
    assert not (painted["lungs"] & painted["lesions"]).any()
    assert np.array_equal(painted["lesions"], lesions > 0)
    assert not painted["lungs"][5, 20, 43]
    assert painted["lungs"][5, 4, 43]


def test_niivue_itk_and_the_legend_have_the_pictures_colors(chest):
    image, lungs, lesions = chest
    scene = read_scene(image, {"lungs": lungs, "lesions": lesions})
    layers = Niivue(scene, GRAY, set(scene.masks)).masks.values()
    tables = [layer.colormap_label.lut for layer in layers]
    assert [to_hex(np.array(t[4:7]) / 255).upper() for t in tables] == [SKY, ORANGE]
    colors = ItkViewer(scene, GRAY, set(scene.masks)).widget.colors
    assert [to_hex(c).upper() for c in colors[1:]] == [SKY, ORANGE, ORANGE]  # both: the lesion's
    assert re.findall(r"color:(#\w+)", legend(scene)) == [SKY, ORANGE]


@pytest.mark.parametrize("names", [["Lesion", "LUNGS"], ["a", "lungs", "lesions", "b"]])
def test_a_structure_has_its_color_whatever_its_place_and_its_neighbors(names):
    found = looks(names)
    assert {found[n].color for n in names if n.lower().startswith("lesion")} == {ORANGE}
    assert {found[n].color for n in names if n.lower().startswith("lung")} == {SKY}
    assert len({look.color for look in found.values()}) == len(names)


@pytest.mark.parametrize(("shape", "height"), [((30, 60), 2.5), ((60, 60), 4.5), ((90, 60), 4.5)])
def test_rows_of_flat_pictures_have_no_gaps(shape, height):
    figure, axes = new_figure(4, 4.5, 2, 2)
    axes[0, 0].imshow(np.zeros(shape))
    close_rows(figure, axes, 2.0, 0.25)
    assert figure.get_figheight() == pytest.approx(height)
