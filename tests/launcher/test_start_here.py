"""The start page shows what is here, runs headless, and finds what runs or ran."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from nbclient import NotebookClient

from nextaim_kit.errors import RequestError
from nextaim_kit.launcher import later, overview, result
from nextaim_kit.launcher.look import style
from nextaim_kit.launcher.watch import Watch
from nextaim_kit.machine.gpu import Gpu
from nextaim_kit.runs.background import Job, State, begin, jobs, read
from nextaim_kit.runs.connection import kernel_connection
from nextaim_kit.runs.record import read_record, runs_folder, write_record
from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.runner import execute
from tests.browser import chromium
from tests.conftest import WHOLE

pytestmark = pytest.mark.rest


@pytest.fixture(autouse=True)
def cold(monkeypatch):
    """A kernel for so little a notebook is there before a warm server would be."""
    monkeypatch.setenv("NEXTAIM_WARM", "0")


def html_of(output) -> str:
    return "".join(one["data"]["text/html"] for one in output.outputs)


@pytest.fixture
def in_project(toy, monkeypatch, tmp_path):
    """Runs that lie where the server shows them."""
    monkeypatch.setattr(result, "project_folder", lambda: runs_folder().parent.resolve())
    monkeypatch.chdir(tmp_path)
    return toy()


def test_the_start_page_runs_headless_and_leaves_all_its_parts(project, monkeypatch):
    monkeypatch.chdir(project / "notebooks")
    document = nbformat.read("start_here.ipynb", as_version=4)
    with kernel_connection() as config:
        NotebookClient(document, timeout=300, kernel_name="python3", config=config).execute()
    parts = {c.id: c.outputs for c in document.cells if c.cell_type == "code"}
    assert {name: len(outputs) for name, outputs in parts.items() if len(outputs) != 1} == {
        "way": 2
    }
    assert "lessons/1_image.ipynb" in parts["way"][0].data["text/html"]
    cards = parts["studies"][0].data["text/html"]
    assert "COVID-19 severity from CT radiomics" in cards
    assert '<a href="ct_radiomics/1_extraction.ipynb">ct_radiomics/<wbr>extraction</a>' in cards
    assert "cores may be used" in parts["machine"][0].data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in parts["form"][0].data
    assert str(project) not in json.dumps(document)


def test_the_start_page_imports_nothing_heavy():
    heavy = "{'torch', 'monai', 'shap', 'sklearn', 'transformers', 'SimpleITK', 'dask'}"
    lines = f"import sys; from nextaim_kit import launcher; print({heavy} & set(sys.modules))"
    asked = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, check=True
    )
    assert asked.stdout.strip() == "set()"


def test_a_run_that_ended_shows_its_result_and_links_and_the_list_names_it(in_project):
    request = prepare("toy/draw", "smoke", {})
    execute(request)
    job = Job(runs_folder() / ".background" / "x", ["toy/draw"], "smoke", {}, 0.0, 1, 1, "", 0,
              State("done", folders=[f"toy/draw/{request.id}"]))  # fmt: skip
    watch = Watch(job)
    shown = html_of(watch.result)
    assert "nextaim-comparison" in shown
    assert f"toy/draw/{request.id}/report.html" in shown
    watch.read.value = True
    assert "<iframe" in html_of(watch.report)
    assert [line["notebook"] for line in overview._recorded(runs_folder())] == ["toy/draw"]
    left_out = read_record(request.folder) | {"outcome": "incomplete", "failures": 2}
    write_record(request.folder, left_out)
    assert "incomplete, 2 left out" in Watch(job).progress.value


def test_a_result_shows_the_figure_of_the_study_s_card(toy):
    draw = "from matplotlib.figure import Figure\n"
    draw += "for name in ('one', 'two'):\n    run.figure(Figure(), name, alt=f'{name} <plot>')"
    for figure, shown in (("draw/two.png", "two"), ("other/two.png", "one")):
        toy(draw, thumbnail={"figure": figure, "alt": "a card"})
        request = prepare("toy/draw", "smoke", {})
        execute(request)
        (picture,) = re.findall("<img class=.nextaim-figure.*?>", result.result(request.folder))
        assert f'alt="{shown} &lt;plot&gt;"' in picture
        assert "data:image/jpeg;base64," in picture


def test_runs_that_no_server_shows_are_read_in_the_page_and_not_linked(toy):
    toy()
    request = prepare("toy/draw", "smoke", {})
    execute(request)
    shown = result.links(request.folder)
    assert "<a " not in shown
    assert str(runs_folder()) not in shown
    assert "<iframe" in result.report(request.folder)


def board_shown(monkeypatch) -> str:
    shown = []
    monkeypatch.setattr(overview, "display", lambda html: shown.append(html.data))
    overview.board()
    return shown[0]


def test_the_boards_links_stand_outside_its_frame_where_they_lead_somewhere(
    in_project, monkeypatch
):
    request = prepare("toy/draw", "smoke", {})
    execute(request)
    ways, board = board_shown(monkeypatch).split("<iframe")
    assert f"toy/draw/{request.id}/report.html" in ways
    assert 'board.html">the board as a page</a>' in ways
    assert "report.html" not in board


def test_the_board_is_shown_where_nothing_can_be_written_and_says_why(toy, monkeypatch):
    toy()
    runs_folder().write_text("")  # holds for root too, whom no right stops
    shown = board_shown(monkeypatch)
    assert "the board cannot be kept as a page: " in shown.partition("<iframe")[0]
    assert "Result board" in shown


def test_runs_anywhere_below_what_the_server_shows_are_linked(tmp_path, monkeypatch):
    home = tmp_path / "home"
    (tmp_path / "jpserver-4711.json").write_text(json.dumps({"root_dir": str(home)}))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    assert result.reachable(home / "nextaim_runs")
    assert not result.reachable(tmp_path / "elsewhere")
    monkeypatch.setenv("JPY_PARENT_PID", "4712")
    assert not result.reachable(home / "nextaim_runs")
    assert result.reachable(result.project_folder() / "runs")


@pytest.mark.parametrize("outcome", ["", "done"])
def test_a_run_whose_notebook_was_renamed_meanwhile_does_not_break_the_page(toy, outcome):
    toy()
    folder = runs_folder() / "toy" / "before" / "x"
    write_record(folder, WHOLE | {"notebook": "toy/before", "stage": "before", "id": "x"})
    state = State(outcome, folders=["toy/before/x"])
    job = Job(runs_folder() / ".background" / "x", ["toy/before"], "smoke", {}, 0.0, 1, 1, "", 0,
              state, alive=True)  # fmt: skip
    assert "toy/before" in Watch(job).progress.value


def test_a_run_that_failed_is_listed_once_with_or_without_a_record(toy, monkeypatch):
    toy()
    folder = runs_folder() / ".background" / "x"
    job = Job(folder, ["toy/draw"], "smoke", {}, 1.0, 1, 1, "", 0,
              State("failed", error="it broke", folders=["toy/draw/y"]))  # fmt: skip
    monkeypatch.setattr(overview, "jobs", lambda: [job])
    assert [(line["ended"], line["why"]) for line in overview._background()] == [
        ("✗ failed", "it broke")
    ]
    write_record(runs_folder() / "toy" / "draw" / "y", WHOLE | {"outcome": "failed"})
    assert overview._background() == []


def test_a_run_is_followed_to_its_end_and_looked_at_no_longer(in_project):
    async def follow() -> Watch:
        watch = Watch(begin(["toy/draw"], "smoke", {}))
        assert watch.stop in watch.buttons.children
        assert "<progress" in watch.progress.value
        while watch.job.outcome == "running":
            await asyncio.sleep(0.2)
        await asyncio.sleep(1.5)
        assert len(asyncio.all_tasks()) == 1
        return watch

    watch = asyncio.run(follow())
    assert "done" in watch.progress.value
    assert watch.stop not in watch.buttons.children
    assert "nextaim-comparison" in html_of(watch.result)


def test_a_run_that_was_killed_is_listed_with_the_reason(toy):
    toy("import time; time.sleep(60)")
    job = begin(["toy/draw"], "smoke", {})
    os.killpg(job.process, signal.SIGKILL)
    while read(job.folder).alive:
        time.sleep(0.1)
    (line,) = overview._background()
    assert line["ended"] == "✗ killed"
    assert line["why"] == "the run's process ended without a message"
    assert "killed" in Watch(jobs()[0]).progress.value


def test_a_cancel_that_is_refused_says_why_and_can_be_asked_again(toy, monkeypatch):
    def refuse(_job):
        raise RequestError("the run cannot be cancelled from here", found="it runs in another pod")

    toy()
    monkeypatch.setattr("nextaim_kit.launcher.watch.cancel", refuse)
    folder = runs_folder() / ".background" / "x"
    watch = Watch(Job(folder, ["toy/draw"], "smoke", {}, 0.0, 1, 1, "", 0, alive=True))
    watch._cancel()
    watch._show()  # as it does every second
    assert "it runs in another pod" in watch.refused.value
    assert (watch.stop.disabled, watch.stop.description) == (False, "Cancel")


@pytest.mark.parametrize("said", ["", "no JSON"])
def test_a_gpu_that_cannot_be_asked_is_told_and_the_page_goes_on(monkeypatch, said):
    told = []
    monkeypatch.setattr(later, "FIND_GPU", f"print({said!r})")
    monkeypatch.setattr(later, "_found", [])

    async def ask():
        later.when_gpu_is_found(lambda: told.append(later.gpu_found()))
        await asyncio.gather(*later._tasks)

    asyncio.run(ask())
    assert [gpu.problem for gpu in told] == ["the GPU could not be asked: see nextaim doctor"]


def test_what_fits_is_told_by_profile_and_a_small_slice_is_named():
    by_profile = {profile: (fit, notes) for profile, fit, notes in overview._what_fits(5 * 10**9)}
    assert "ct_radiomics/severity" in by_profile["smoke"][0]
    assert any("a GPU or slice with 5.0 GB" in note for note in by_profile["slice"][1])
    (found,) = overview.doctor.graphics(Gpu("mig", "MIG 1g.5gb", 5 * 2**30, 2**30))
    assert "1.0 of 5.0 GiB free" in found.detail


@pytest.mark.browser
@pytest.mark.parametrize(
    ("light", "color"), [("true", "rgb(255, 255, 255)"), ("false", "rgb(1, 1, 1)")]
)
def test_a_page_in_a_frame_has_the_theme_of_jupyterlab(light, color):
    css = "body{background:#fff}@media (prefers-color-scheme:dark){body{background:#010101}}"
    page = f'<meta name="color-scheme" content="light dark"><style>{css}</style>'
    with chromium() as browser:
        shown = browser.new_context(color_scheme="null").new_page()
        shown.set_content(
            f"<body data-jp-theme-light={light}>{style()}{result.frame(page, 'a page')}"
        )
        shown.frames[1].wait_for_load_state()
        say = "getComputedStyle(document.body).backgroundColor"
        assert shown.frames[1].evaluate(say) == color
