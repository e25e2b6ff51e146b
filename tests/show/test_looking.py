"""A volume to look at: the viewer that can work, a reason where none of them can, the figure."""

from __future__ import annotations

import subprocess
import sys

import nbformat
import numpy as np
import pytest
import SimpleITK as sitk
from nbclient import NotebookClient

from nextaim_kit.errors import RequestError
from nextaim_kit.runs.connection import kernel_connection
from nextaim_kit.show import looking as module
from nextaim_kit.show.looking import choose, volume
from nextaim_kit.show.style import alt_of
from nextaim_kit.show.viewers import available


def pixels(axis) -> np.ndarray:
    return np.asarray(axis.images[0].get_array())


@pytest.fixture
def watched(monkeypatch):
    monkeypatch.setattr(module, "somebody_looks", lambda: True)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "LAS", "PIR", "SAL"])
def test_the_mark_is_at_the_upper_left_of_every_plane_whatever_the_files_axes(phantom, axes):
    image, _ = (sitk.DICOMOrient(each, axes) for each in phantom)
    scene = volume(image).scene
    for name, index in (("axial", 9), ("coronal", 2), ("sagittal", 2)):
        plane = scene.plane(name, index)
        seen = plane.pixels[::-1] if plane.upward else plane.pixels
        assert seen[0, 0] == 500
        assert seen[-1, -1] == -1000


def test_the_figure_goes_where_most_is_marked_and_names_the_masks(phantom):
    figure = volume(phantom[0], {"truth": phantom[1]}, title="CT").still()
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["axial", "coronal", "sagittal"]
    assert [len(axis.collections) for axis in figure.axes] == [1, 1, 1]
    assert [axis.yaxis_inverted() for axis in figure.axes] == [True, False, False]
    assert [axis.get_aspect() for axis in figure.axes] == [2.0, 5.0, 2.5]
    assert "truth (0.7 ml) outlined" in alt_of(figure)
    assert "-1350 to 150 HU from black to white" in alt_of(figure)


def test_masks_are_told_apart_by_line_as_well_as_by_color(phantom):
    figure = volume(phantom[0], {"truth": phantom[1], "network": phantom[1]}).still()
    lines = [line.get_linestyle() for line in figure.legends[0].get_lines()]
    assert len(set(lines)) == 2


def test_plain_python_gets_the_figure_and_waits_for_nobody(phantom):
    view = volume(*phantom)
    assert view.viewer == "static"
    assert view.live() is None


def test_a_viewer_that_nobody_could_see_is_refused_with_the_reason():
    with pytest.raises(RequestError, match="no browser is behind it"):
        choose("niivue")


def test_itkwidgets_is_refused_with_the_step_that_makes_it_work(watched, monkeypatch):
    monkeypatch.setattr(available, "itk_script", lambda: None)
    assert choose("auto")[0] == "niivue"
    with pytest.raises(RequestError, match="nextaim viewer install"):
        choose("itkwidgets")


def test_itkwidgets_comes_first_where_its_viewer_is_installed(watched, monkeypatch, tmp_path):
    monkeypatch.setattr(available, "itk_script", lambda: tmp_path)
    assert choose() == ["itkwidgets", "niivue", "slices", "static"]
    assert choose("slices")[0] == "slices"


def test_the_environment_chooses_but_never_stops_a_run_that_nobody_looks_at(monkeypatch):
    monkeypatch.setenv("NEXTAIM_VIEWER", "niivue")
    assert choose() == ["static"]
    monkeypatch.setattr(module, "somebody_looks", lambda: True)
    assert choose()[0] == "niivue"


def test_unknown_viewers_and_windows_are_refused(phantom):
    with pytest.raises(RequestError, match="no viewer 'vtk'"):
        volume(phantom[0], viewer="vtk")
    with pytest.raises(RequestError, match="no window 'lungs'"):
        volume(phantom[0], window="lungs")
    with pytest.raises(RequestError, match="width"):
        volume(phantom[0], window=(0, 0))


@pytest.mark.rest
@pytest.mark.notebook
def test_a_notebook_that_is_run_by_a_program_shows_the_figure():
    code = (
        "import numpy as np\nfrom nextaim_kit.show.looking import volume\n"
        "volume((np.eye(4)[:, :, None] * np.ones(4), (1, 1, 1)), window=None)"
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    with kernel_connection() as config:
        NotebookClient(book, timeout=600, kernel_name="python3", config=config).execute()
    (shown,) = book.cells[0].outputs
    assert "image/png" in shown["data"]
    assert "patient's right on the left" in shown["metadata"]["image/png"]["alt"]


def test_a_real_ct_is_shown_with_its_tumor(real):
    folder = real / "ct_radiomics" / "ibsi_ct_phantom"
    figure = volume(folder / "image.nii.gz", folder / "mask_gtv.nii.gz", title="phantom").still()
    assert "mask (358.7 ml)" in alt_of(figure)


def test_the_function_costs_no_heavy_import():
    code = "import sys, nextaim_kit.show.viewers.available; print('matplotlib' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
