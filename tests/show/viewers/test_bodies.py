"""Slices, niivue and itk-vtk-viewer are given the same patient, the same way round."""

from __future__ import annotations

import gzip
import io

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from nextaim_kit.show.viewers.frame import Frame
from nextaim_kit.show.viewers.itk import ItkViewer
from nextaim_kit.show.viewers.niivue import Niivue
from nextaim_kit.show.viewers.scene import read_scene
from nextaim_kit.show.viewers.slices import Slices, picture

GRAY = (-1350.0, 150.0)


@pytest.fixture
def scene(phantom):
    turned = [sitk.DICOMOrient(each, "PIR") for each in phantom]
    return read_scene(turned[0], {"truth": turned[1], "network": turned[1]}, title="A & B")


def drawn(plane) -> np.ndarray:
    """Gray values as they appear on the screen, from the top."""
    shown = io.BytesIO()
    picture(plane, GRAY, "  ").savefig(shown, format="png")
    return np.asarray(Image.open(shown).convert("L"))


@pytest.mark.parametrize(("name", "index"), [("axial", 9), ("coronal", 2), ("sagittal", 2)])
def test_slices_put_the_mark_at_the_upper_left(scene, name, index):
    shown = drawn(scene.plane(name, index))
    rows, columns = (n // 2 for n in shown.shape)
    assert shown[:rows, :columns].max() > 250
    assert shown[rows + 8 :, :].max() < 120
    assert shown[:, columns + 8 :].max() < 120


def test_slices_are_in_true_proportion(scene):
    figure = picture(scene.plane("coronal", 2), GRAY, "RL")
    assert figure.get_figheight() / figure.get_figwidth() == pytest.approx(12 * 5 / 30)


def test_the_slider_moves_the_slice_and_each_plane_remembers_its_own(scene):
    slices = Slices(scene, GRAY, set(scene.masks))
    assert slices.slider.value == 3
    assert "axial slice 4 of 12" in slices.picture.value
    slices.slider.value = 7
    slices.plane.value = "sagittal"
    assert slices.slider.max == 29
    slices.plane.value = "axial"
    assert slices.slider.value == 7


def test_niivue_gets_a_file_that_is_the_patient(scene, phantom):
    body = Niivue(scene, GRAY, {"truth"})
    held = nibabel.Nifti1Image.from_bytes(gzip.decompress(body.image.data))
    at = np.argwhere(np.asarray(held.dataobj) == 500)
    where = nibabel.affines.apply_affine(held.affine, at.mean(axis=0))
    index = np.argwhere(sitk.GetArrayFromImage(phantom[0]) == 500).mean(axis=0)
    x, y, z = phantom[0].TransformContinuousIndexToPhysicalPoint(index[::-1].tolist())
    assert where == pytest.approx((-x, -y, z))
    assert [layer.opacity > 0 for layer in body.masks.values()] == [True, False]


def test_itk_gets_values_x_fastest_and_a_bit_for_each_mask(scene, phantom):
    program = ItkViewer(scene, GRAY, {"network"}).widget
    values = np.frombuffer(program.pixels, np.int16).reshape(program.size[::-1])
    assert np.array_equal(values, sitk.GetArrayFromImage(phantom[0]))
    assert set(np.frombuffer(program.bits, np.uint8)) == {0, 3}
    assert program.shown == 2
    assert len(program.colors) == 4


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float64])
def test_what_is_sent_stays_within_the_budget_and_is_no_coarser_than_it_must(kind):
    values = np.full((40, 50, 60), 60000).astype(kind)
    program = ItkViewer(read_scene((values, (1, 1, 1))).within(200_000), (0.0, 1.0), set()).widget
    assert 100_000 / 3 < len(program.pixels) <= 200_000


def test_values_that_are_no_whole_numbers_are_the_same_in_itk():
    values = np.linspace(0, 1, 8).reshape(2, 2, 2)
    program = ItkViewer(read_scene((values, (1, 1, 1))), (0.0, 1.0), set()).widget
    assert program.kind == "float32"
    assert np.frombuffer(program.pixels, np.float32) == pytest.approx(values.ravel())
    assert program.range == [0, 1]


def test_slices_are_there_until_the_browser_says_that_it_has_webgl(scene):
    frame = Frame(scene, "lung", ["niivue", "slices", "static"])
    assert frame.viewer.value == "slices"
    frame.probe.webgl = "yes"
    assert frame.viewer.value == "niivue"


def test_without_webgl_slices_stay_and_the_reason_is_said(scene):
    frame = Frame(scene, "lung", ["niivue", "slices", "static"])
    frame.probe.webgl = "no"
    assert frame.viewer.options == ("slices",)
    assert "no WebGL, which niivue needs" in frame.children[-1].value


def test_every_control_has_a_label_and_names_are_escaped(scene):
    frame = Frame(scene, None, ["slices", "static"])
    labels = [frame.viewer.description, frame.window.description]
    labels += [box.description for box in frame.masks]
    assert labels == ["Viewer", "Window", "truth", "network"]
    assert "A &amp; B" in frame.children[-2].value


def test_window_and_masks_reach_the_viewer_that_is_shown(scene):
    frame = Frame(scene, (0, 100), ["niivue", "slices"])
    frame.probe.webgl = "yes"
    frame.window.value = "mediastinum"
    frame.masks[0].value = False
    body = frame._body
    assert (body.image.cal_min, body.image.cal_max) == (-160, 240)
    assert body.masks["truth"].opacity == 0
    frame.viewer.value = "slices"
    assert frame._body.visible == {"network"}


def test_every_viewer_that_is_offered_can_be_chosen(scene):
    frame = Frame(scene, "lung", ["niivue", "slices", "static"])
    assert frame.viewer.options == ("slices", "niivue")
    for name in frame.viewer.options:
        frame.viewer.value = name


def test_a_viewer_that_is_left_is_let_go_with_all_it_holds(scene):
    frame = Frame(scene, "lung", ["niivue", "slices", "static"])
    frame.viewer.value = "niivue"
    left = frame._body
    frame.viewer.value = "slices"
    held = [left.widget, left.viewer, left.image, *left.masks.values()]
    assert [widget.comm for widget in held] == [None] * len(held)
    assert frame._body.picture.comm is not None
