"""The trial hub as a person sees it: a real browser, from the login page to a result."""

import io
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import kubernetes_validate
import nbformat
import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv, to_rgb
from PIL import Image
from playwright.sync_api import Error

from nextaim_kit.show.style import ORANGE, SKY
from tests.binder.visit import Visit
from tests.browser import chromium, clipped, launch, violations

pytestmark = [pytest.mark.browser, pytest.mark.rest]
PARTS = ("nextaim_kit", "notebooks", "binder", "docs", "data_manifests")
START = "notebooks/start_here.ipynb"
PROGRESS = "document.querySelector('.nextaim-job progress')"
MOVED = f"({PROGRESS}?.value ?? 0) > "
LUNG_HUE, LESION_HUE = (360 * rgb_to_hsv(to_rgb(color))[0] for color in (SKY, ORANGE))
CT = """import SimpleITK as sitk
from nextaim_kit.show import volume
from nextaim_kit.studies.ct_lungquant.twin import make_twin

ct = make_twin(12, size=(96, 72, 60), workers=1).iloc[0]
masks = {name: sitk.ReadImage(ct[name]) for name in ("lungs", "lesions")}"""
RATE = """from nextaim_kit.studies.breast_masses.reading.questions import page_for
from nextaim_kit.studies.breast_masses.simulated_readers import made_up_pairs

page_for(made_up_pairs("pairs.npz", 8), "ada", "answers.json")"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory, project):
    """A copy of the project, as a clone is: what is run and saved in it harms nobody."""
    folder = tmp_path_factory.mktemp("clone")
    for part in PARTS:
        shutil.copytree(project / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    cells = [
        nbformat.v4.new_code_cell(source)
        for source in (CT, "volume(ct.image, masks, viewer='slices')", "volume(ct.image, masks)")
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    look = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    # Two, since browsers that show one notebook share its kernel, which asks any of them for WebGL.
    for name in ("look.ipynb", "look_without_webgl.ipynb"):
        nbformat.write(look, folder / "notebooks" / name)
    rate = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(RATE)], metadata=kernel)
    nbformat.write(rate, folder / "notebooks" / "rate.ipynb")
    return folder


@pytest.fixture(scope="module")
def ada(copy, start_hub, shared_cache, tmp_path_factory):
    """Somebody who logged in, chose a slice, ran the start page and a notebook from its form."""
    screens = Path(os.environ.get("NEXTAIM_SCREENS") or tmp_path_factory.mktemp("screens"))
    screens.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    places = {"NEXTAIM_RUNS": str(copy / "runs"), "NEXTAIM_CACHE": str(shared_cache)}
    with start_hub(project=copy, **places) as hub, chromium() as browser:
        visit = Visit(browser, hub, screens)
        visit.log_in()
        visit.choose("GPU slice of 10 GB MIG")
        visit.run_all()
        visit.button("Start").wait_for()
        choose(visit, "smoke")  # by the clicks of any other run, but a shorter one
        visit.click(visit.button("Start"))
        visit.page.wait_for_function(MOVED + "0")
        visit.shot("running", visit.page.locator(".nextaim-job").first)
        visit.page.locator(".nextaim-comparison").wait_for()
        print(f"{visit.clicks} clicks and {time.monotonic() - began:.0f} s to the first result")
        visit.to_result = visit.clicks
        visit.shot("result", visit.page.locator(".nextaim-comparison tbody").first)
        yield visit
        print(f"{len(visit.asked)} requests, {len(visit.foreign)} to other machines")
        assert visit.foreign == []


def choose(visit, profile):
    """Choose a profile in the form."""
    profiles = visit.page.get_by_label("profile", exact=True)
    profiles.select_option(label=profiles.locator("option", has_text=profile).text_content())


def test_a_result_beside_the_published_one_is_six_clicks_from_the_login_page(ada):
    assert ada.to_result <= 6


def test_the_pod_of_the_profile_chosen_in_the_form_is_a_slice_with_shared_memory(ada):
    pod = ada.hub.manifest()
    kubernetes_validate.validate(pod, "1.32", strict=True)
    (container,) = pod["spec"]["containers"]
    limits = container["resources"]["limits"]
    assert limits == {"cpu": 4, "memory": 16 * 2**30, "nvidia.com/mig-1g.10gb": "1"}
    assert {"name": "shared-memory", "mountPath": "/dev/shm"} in container["volumeMounts"]
    (shared,) = [v for v in pod["spec"]["volumes"] if v["name"] == "shared-memory"]
    assert shared["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}


def test_a_slice_that_was_promised_and_did_not_come_is_told(ada):
    ada.open(START)
    told = ada.page.get_by_role("row", name="promised by the hub")
    told.filter(has_text="1g.10gb, but no GPU can be used").first.wait_for()


def test_the_report_opens_in_jupyterlab(ada):
    ada.open(START)
    ada.click(ada.link("report of"))
    report = ada.page.frame_locator(".jp-HTMLViewer iframe")
    report.get_by_role("heading", name="Severe or not").first.wait_for()
    ada.shot("report")


def test_a_run_goes_on_while_the_page_is_loaded_anew_and_the_kernel_started_again(ada):
    ada.open(START)
    choose(ada, "paper")
    ada.click(ada.button("Start"))
    ada.page.wait_for_function(MOVED + "0")
    ada.reload()
    ada.page.wait_for_function(MOVED + "0")
    ada.restart()
    ada.page.wait_for_function(f"{PROGRESS} === null")
    ada.page.wait_for_function(MOVED + "0")
    ada.click(ada.button("Cancel"))
    ada.page.get_by_text("■ cancelled").first.wait_for()


def test_the_slider_moves_the_slice(ada):
    ada.open("notebooks/look.ipynb")
    picture = ada.page.get_by_role("img", name="axial slice").first
    before = picture.get_attribute("alt"), picture.get_attribute("src")
    ada.page.get_by_role("slider").first.press("ArrowRight")
    ada.page.wait_for_function("src => !document.querySelector(`img[src='${src}']`)", arg=before[1])
    assert picture.get_attribute("alt") != before[0]


def test_a_volume_with_its_masks_turns(ada, wait_until):
    ada.open("notebooks/look.ipynb")
    canvas = ada.page.locator(".jp-OutputArea canvas").last
    wait_until(lambda: colored(pixels(canvas)) > 0.01)
    planes = at_rest(canvas, wait_until)
    ada.shot("planes")
    found = hues(planes)
    assert (np.abs(found - LESION_HUE) < 12).mean() > 0.1
    assert (np.abs(found - LUNG_HUE) < 12).mean() > 0.02
    others = np.minimum(np.abs(found - LESION_HUE), np.abs(found - LUNG_HUE)) >= 20
    assert others.mean() < 0.02  # no third color, such as a blend of the two
    ada.page.get_by_label("View", exact=True).last.select_option("3-D, turn it with the mouse")
    wait_until(lambda: apart(pixels(canvas), planes) > 10)
    before = at_rest(canvas, wait_until)
    ada.shot("volume")
    ada.page.get_by_text("Seen from the front at first").last.wait_for()
    assert (before[:40].mean(axis=2) < 8).mean() > 0.9  # no block of air around the body
    here, there = {"x": 200, "y": 200}, {"x": 320, "y": 230}
    canvas.drag_to(canvas, source_position=here, target_position=there)
    wait_until(lambda: apart(pixels(canvas), before) > 1)
    assert colored(at_rest(canvas, wait_until)) > 0.01


def test_without_webgl_the_slices_stay_and_the_reason_is_told(ada):
    with launched(ada, "--disable-3d-apis") as other:
        other.open("notebooks/look_without_webgl.ipynb")
        other.page.get_by_text("This browser has no WebGL, which niivue needs").wait_for()
        assert other.page.get_by_role("img", name="axial slice").count() == 2
        assert other.page.locator("canvas").count() == 0
        other.shot("without_webgl")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_the_start_page_has_no_barrier(ada, theme):
    ada.open(START)
    ada.theme(theme)
    ada.page.set_viewport_size({"width": 1440, "height": 3000})  # JupyterLab draws what is seen
    ada.shot(theme)
    found = violations(ada.page, ".jp-OutputArea")
    print(f"{theme}: {len(violations(ada.page)) - len(found)} barriers of JupyterLab's own")
    assert found == []
    for width in (1440, 1100):
        ada.page.set_viewport_size({"width": width, "height": 3000})
        ada.shot(f"{theme}_{width}")
        assert clipped(ada.page, ".jp-Notebook") == []


def test_explanations_are_rated_without_a_barrier_by_keys_alone(ada):
    ada.open("notebooks/rate.ipynb")
    ada.page.get_by_text("0 rated").wait_for()
    ada.shot("rating")
    assert violations(ada.page, ".jp-OutputArea") == []
    for question in ("similar", "specific", "meaning"):
        ada.page.get_by_role("radio", name=f"{question}: partly").press("Space")
    ada.page.get_by_text("1 rated").wait_for()
    ada.page.get_by_role("button", name="Next unrated").press("Enter")
    ada.page.get_by_text("Picture 2 of").wait_for()
    assert violations(ada.page, ".jp-OutputArea") == []


def test_a_request_to_another_machine_would_be_seen_and_goes_nowhere(ada):
    with launched(ada) as other:
        failed = other.page.evaluate("fetch('https://example.org/x').catch(e => 'failed')")
        assert failed == "failed"
        assert other.foreign == ["https://example.org/x"]


@contextmanager
def launched(visit, *flags):
    """The same person at another browser."""
    browser = launch(visit.page.context.browser.browser_type, *flags)
    other = Visit(browser, visit.hub, visit.screens)
    other.log_in()
    yield other
    browser.close()


def pixels(place, tries=5):
    """A picture of a place, taken once more where the page draws it anew meanwhile."""
    try:
        shot = place.screenshot()
    except Error:
        if tries == 1:
            raise
        return pixels(place, tries - 1)
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), float)


def at_rest(place, wait_until):
    """Its pixels, once two pictures of it are the same."""
    pictures = [pixels(place)]

    def same():
        pictures.append(pixels(place))
        return apart(*pictures[-2:]) == 0

    wait_until(same)
    return pictures[-1]


def apart(one, other):
    """Mean difference of two pictures, in gray levels; of unlike sizes, as far as can be."""
    return np.abs(one - other).mean() if one.shape == other.shape else 255.0


def hues(picture):
    """Hue in degrees of the pixels that are not gray."""
    strong = picture[np.ptp(picture, axis=2) > 60] / 255
    return 360 * rgb_to_hsv(strong)[:, 0]


def colored(picture):
    """Share of the pixels that are not gray."""
    return float((np.ptp(picture, axis=2) > 40).mean())
