"""A study's card: light data that a page or a form can show, measured where it was run here."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from nextaim_kit import catalog
from nextaim_kit.errors import DataError
from nextaim_kit.runs.cards import cards
from nextaim_kit.runs.parameters import read_parameters
from nextaim_kit.runs.record import hardware, runs_folder, write_record
from nextaim_kit.runs.run_cost import Expected, expect, machine_pace, minutes_text
from tests.conftest import WHOLE

PICTURE = {"figure": "draw/roc.png", "alt": "a curve"}
DRAW = {
    "title": "Draw",
    "data": ["cohort"],
    "profiles": {"smoke": {}},
    "resources": {"tutorial": {"minutes": 3, "memory_gb": 2}},
}


@pytest.fixture
def study(toy):
    """The toy study with a thumbnail and declared resources."""
    toy(thumbnail=PICTURE, notebooks={"draw": DRAW})
    return catalog.studies()


def leave_run(folder, **changes):
    """Write the record of a run of a minute."""
    record = {
        "id": folder.name, "stage": "draw", "profile": "tutorial", "outcome": "complete",
        "metrics": [], "parameters": {"cohort": "synthetic"}, "hardware": hardware(),
        "data": [{"name": "synthetic", "sha256": None, "licence": "x", "synthetic": True}],
        "sections": [{"title": "t", "seconds": 20, "peak_mb": 500}],
        "seconds": 60,  # from the request on: the kernel has to come up first
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder, WHOLE | record | changes)


@pytest.fixture
def ran():
    """Leave a run of `toy/draw` of so many seconds, with a wide red figure."""

    def make(identity="a", seconds=60.0, **changes):
        folder = runs_folder() / "toy/draw" / identity
        (folder / "files").mkdir(parents=True)
        Image.new("RGB", (1000, 100), "red").save(folder / "files" / "roc.png")
        leave_run(folder, **{"seconds": seconds} | changes)
        return folder

    return make


def opened(picture):
    kind, _, code = picture.uri.partition(";base64,")
    assert kind == "data:image/jpeg"
    return Image.open(io.BytesIO(base64.b64decode(code)))


def test_before_any_run_the_declared_numbers_stand_and_are_called_so(study):
    (card,) = cards(runs_folder(), study)
    assert card.entries[0].takes == Expected(3, 2, 0)
    assert card.picture is None
    assert [c for _, c in card.comparisons] == card.entries[0].comparisons
    assert not card.synthetic


def test_after_runs_here_the_median_of_their_minutes_stands(study, ran):
    for identity, seconds in (("a", 60), ("b", 90), ("c", 600)):
        ran(identity, seconds)
    (card,) = cards(runs_folder(), study)
    assert card.entries[0].takes == Expected(1.5, 2, 3)  # memory: without a run's own processes


def test_runs_with_other_parameters_tell_nothing_of_the_profile_s_own_and_the_seed_does_not_count(
    study, ran
):
    ran("a", 6, parameters={"size": 100})
    ran("b", 7, parameters={"cohort": "a folder"})
    ran("c", 90, parameters={"seed": 5})
    notebook = study[0].notebooks["draw"]
    assert expect(notebook, "tutorial", runs_folder()) == Expected(1.5, 2, 1)
    assert expect(notebook, "tutorial", runs_folder(), {"size": 100}) == Expected(0.1, 2, 1)
    elsewhere = expect(notebook, "tutorial", runs_folder(), {"cohort": "another folder"})
    assert elsewhere == Expected(7 / 60, 2, 1)


def test_minutes_of_the_twin_are_not_told_of_other_data(study, ran):
    notebook = study[0].notebooks["draw"]
    ran("a", 90)
    others = expect(notebook, "tutorial", runs_folder(), {"cohort": "a folder"})
    assert (others.runs, others.text) == (0, "3 min for the synthetic twin, not for these data")


def test_what_was_not_run_is_told_at_the_pace_of_what_was(toy):
    declared = {"tutorial": {"minutes": 4, "memory_gb": 1}}
    names = ("first", "second", "third", "last")
    first = toy(notebooks={name: DRAW | {"resources": declared} for name in names})
    for number, name in enumerate(names):
        shutil.copy(first, first.with_name(f"{number}_{name}.ipynb"))
    notebooks = catalog.studies()[0].notebooks
    for name, seconds in zip(names, (60, 100, 200), strict=False):
        assert expect(notebooks["last"], "tutorial", runs_folder()) == Expected(4, 1, 0)
        leave_run(runs_folder() / f"toy/{name}/a", stage=name, seconds=seconds)
    assert machine_pace(runs_folder()) == pytest.approx(0.5)
    assert expect(notebooks["last"], "tutorial", runs_folder()) == Expected(2, 1, 0, paced=True)
    leave_run(runs_folder() / "toy/third/b", stage="third", seconds=9e9, parameters={"size": 9})
    assert machine_pace(runs_folder()) == pytest.approx(0.5)


def test_short_runs_tell_no_pace(toy):
    names = ("first", "second", "third")
    short = {"tutorial": {"minutes": 0.3, "memory_gb": 1}}
    first = toy(notebooks={name: DRAW | {"resources": short} for name in names})
    for number, name in enumerate(names):
        shutil.copy(first, first.with_name(f"{number}_{name}.ipynb"))
        leave_run(runs_folder() / f"toy/{name}/a", stage=name, seconds=600)
    assert machine_pace(runs_folder()) == 1


@pytest.mark.parametrize("line", ["size = 3", "size: int = ", "size: int = (3"])
def test_a_notebook_whose_parameters_a_reader_made_unreadable_has_its_declared_minutes(study, line):
    path = study[0].notebooks["draw"].path
    path.write_text(path.read_text().replace("size: int = 3", line))
    assert cards(runs_folder(), study)[0].entries[0].takes == Expected(3, 2, 0)


@pytest.mark.parametrize("text", ["", '{"cells": [', "[]", "{}"])
def test_a_notebook_that_is_cut_off_has_its_declared_minutes_and_says_so_when_it_is_run(
    study, text
):
    path = study[0].notebooks["draw"].path
    path.write_text(text)
    with pytest.raises(DataError, match=r"1_draw\.ipynb is no notebook that can be read"):
        read_parameters(path)
    assert cards(runs_folder(), study)[0].entries[0].takes == Expected(3, 2, 0)


def test_of_a_profile_that_a_notebook_does_not_have_nothing_is_known(study):
    assert cards(runs_folder(), study, "slice")[0].entries[0].takes is None


def test_what_an_earlier_notebook_left_has_minutes_of_its_own(toy):
    fed = {"resources": {"tutorial": {"minutes": 3, "fed": 8, "memory_gb": 2}},
           "needs": {"cohort": "make/cohort.csv"}}  # fmt: skip
    toy(notebooks={"draw": DRAW | fed})
    notebook = catalog.studies()[0].notebooks["draw"]
    assert expect(notebook, "tutorial", runs_folder()).minutes == 3
    assert expect(notebook, "tutorial", runs_folder(), {"cohort": "given"}).minutes == 8


def test_runs_of_another_machine_tell_nothing_of_this_one(study, ran):
    ran(hardware=hardware() | {"cores": 999})
    assert cards(runs_folder(), study)[0].entries[0].takes.minutes == 3


def test_the_thumbnail_is_a_small_picture_of_the_run_s_figure_on_white(study, ran):
    ran()
    (card,) = cards(runs_folder(), study)
    small = opened(card.picture)
    assert card.picture.alt == "a curve"
    assert small.size == (560, 315)
    assert small.getpixel((280, 157))[0] > 240 > small.getpixel((280, 157))[1] + 200
    assert min(small.getpixel((280, 10))) > 240
    assert len(card.picture.uri) < 50_000


def test_a_failed_run_is_not_shown_for_an_earlier_one_that_is_whole(study, ran):
    ran("a")
    ran("b", outcome="failed")
    assert cards(runs_folder(), study)[0].entries[0].folder.name == "a"


def test_every_study_has_a_thumbnail_of_a_declared_figure_and_a_picture_until_then(project):
    for study in catalog.studies():
        stage, _, name = study.thumbnail.figure.partition("/")
        assert name in study.notebooks[stage].outputs.files
        assert study.thumbnail.alt
        assert (project / study.thumbnail.until_run).is_file()


def test_cards_need_no_heavy_package():
    program = (
        "import json, sys; from nextaim_kit import catalog;"
        "from nextaim_kit.runs.cards import cards; from nextaim_kit.runs.record import runs_folder;"
        "found = cards(runs_folder(), catalog.studies());"
        "print(json.dumps([len(found), sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          check=True)  # fmt: skip
    count, modules = json.loads(done.stdout)
    assert count == len(catalog.studies())
    heavy = {"numpy", "pandas", "torch", "matplotlib", "jinja2", "nbformat", "IPython"}
    assert not heavy & set(modules)


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (0.001, "1 s"),
        (0.5, "30 s"),
        (2.5, "2.5 min"),
        (45, "45 min"),
        (600, "10 h"),
        (100, "1.67 h"),
    ],
)
def test_a_time_is_told_as_a_person_would(minutes, text):
    assert minutes_text(minutes) == text
