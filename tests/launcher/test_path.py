"""The path leads from the lessons through all studies, on the page as in the catalog."""

from __future__ import annotations

import json

import pytest

from nextaim_kit import catalog
from nextaim_kit.launcher.path import _path, path_markdown, reading_minutes, steps
from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.runner import execute

PAGES = {"english": "start_here", "italian": "inizia_qui"}


def cells(project, language):
    path = project / f"notebooks/{PAGES[language]}.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("language", PAGES)
def test_the_start_page_holds_the_path_of_the_catalog(project, language):
    (told,) = ("".join(c["source"]) for c in cells(project, language) if c["id"] == "path")
    assert path_markdown(language) in told, "write it anew: python .ci/path.py"


def test_the_italian_start_page_does_what_the_english_one_does(project):
    english, italian = (cells(project, language) for language in PAGES)
    assert [c["id"] for c in english] == [c["id"] for c in italian]
    for one, other in zip(english, italian, strict=True):
        assert (one["source"] == other["source"]) == (one["cell_type"] == "code"), one["id"]
        assert one.get("attachments") == other.get("attachments")


def test_every_step_has_an_italian_title():
    assert all(step.italian for step in steps())


def test_all_notebooks_are_on_the_path_lessons_first_and_memory_last():
    every = [n.id for step in steps() for n in step.notebooks]
    assert sorted(every) == sorted(n.id for s in catalog.studies() for n in s.notebooks.values())
    assert every[:3] == ["lessons/image", "lessons/few_patients", "lessons/network"]
    assert every[-1].startswith("challenges/")


def test_what_is_to_be_read_before_comes_before():
    seen: set[str] = set()
    for step in steps():
        assert set(step.after) <= seen, step.name
        seen |= {n.id for n in step.notebooks}


def test_links_of_the_path_lead_to_files(project):
    ways = path_markdown().split("](")[1:]
    assert all((project / "notebooks" / way.partition(")")[0]).is_file() for way in ways)


def test_a_lesson_is_short_to_read_and_has_few_cells():
    for notebook in map(catalog.find, catalog.expand("lessons")):
        cells = json.loads(notebook.path.read_text())["cells"]
        folded = [c for c in cells if "solution" in c["metadata"].get("tags", [])]
        assert len(cells) - len(folded) <= 20
        assert reading_minutes(notebook) <= 20


def test_what_was_run_is_marked_and_what_comes_next_is_named(toy):
    toy()
    assert "<b>Next:</b> <code>toy/<wbr>draw</code>" in _path()
    execute(prepare("toy/draw", "smoke", {}))
    assert "✓ toy" in _path()
    assert "All of it was run here." in _path()
