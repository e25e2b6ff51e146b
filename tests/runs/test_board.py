"""The board: the latest whole runs, synthetic and real apart, beside what was published."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from nextaim_kit import catalog
from nextaim_kit.catalog import Notebook, Published, Study
from nextaim_kit.errors import RequestError
from nextaim_kit.runs.board import collect, render_board
from nextaim_kit.runs.record import write_record
from nextaim_kit.runs.side_by_side import asked_for, newest_of
from nextaim_kit.terminal.board import terminal_table, waiting_text
from tests.conftest import WHOLE

HEAVY = ("pandas", "numpy", "matplotlib", "nbconvert", "nbformat", "torch", "sklearn")


@pytest.fixture
def study() -> Study:
    numbers = [
        Published(metric="AUC", value=v, tag="slides", where=w, notebook="fit", matches="auc")
        for v, w in ((0.85, "a talk"), (0.83, "<b>another</b>"))
    ]
    notebooks = {s: Notebook(id=f"s/{s}", title=f"To {s}", path=Path(s)) for s in ("fit", "look")}
    return Study(id="s", title="A study", question="?", published=numbers, notebooks=notebooks)


@pytest.fixture
def run(tmp_path):
    """Leave a run in ``runs``, later than those before it."""
    made = []

    def make(
        identity,
        *,
        value=0.8,
        synthetic=True,
        outcome="complete",
        report=True,
        stage="fit",
        profile="tutorial",
        **more,
    ):
        folder = tmp_path / "runs" / "s" / stage / identity
        (folder / "files").mkdir(parents=True)
        (folder / "files" / "x.txt").write_text("x")
        if report:
            (folder / "report.html").write_text("a report")
        metric = {"name": "auc", "value": value, "low": value - 0.1, "high": value + 0.1}
        name = "synthetic" if synthetic else "mine"
        write_record(folder, WHOLE | {
            "id": identity, "notebook": f"s/{stage}", "stage": stage, "profile": profile,
            "metrics": [metric | {"n": 9, "unit": "", "note": ""}], "outcome": outcome,
            "data": [{"name": name, "sha256": None, "licence": "MIT", "synthetic": synthetic}],
        } | more)  # fmt: skip
        made.append(identity)
        os.utime(folder / "run.json", (len(made), len(made)))
        return folder

    return make


def measured(rows) -> list[tuple]:
    return [(r.data, r.comparison.measured["value"]) for r in rows if r.comparison.measured]


def shown(rows) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(terminal_table(rows))
    return console.file.getvalue()


def test_before_any_run_every_published_number_waits(tmp_path, study):
    rows = collect(tmp_path / "runs", [study])
    assert [r.comparison.name for r in rows] == ["auc"]
    assert [ref.words for ref in rows[0].comparison.references] == ["not run yet"] * 2


def test_the_latest_run_counts(tmp_path, study, run):
    run("b", value=0.7)
    run("a", value=0.8)
    assert measured(collect(tmp_path / "runs", [study])) == [("SYNTHETIC", 0.8)]


def test_a_smoke_run_hides_no_other(tmp_path, study, run):
    run("a", value=0.7)
    run("b", value=0.9, profile="smoke")
    values = [value for _, value in measured(collect(tmp_path / "runs", [study]))]
    assert values == [0.7]


def test_a_run_in_jupyterlab_hides_no_headless_one(tmp_path, study, run):
    run("a", value=0.7)
    run("b", value=0.9, profile="interactive")
    assert [value for _, value in measured(collect(tmp_path / "runs", [study]))] == [0.7]


def test_the_newest_run_comes_first_and_what_was_not_run_is_one_line(tmp_path, study, run):
    other = study.model_copy(update={"id": "s2", "published": study.published})
    run("a", stage="fit")
    run("b", stage="look")
    rows = collect(tmp_path / "runs", [study])
    assert [row.notebook.id for row in rows] == ["s/look", "s/fit"]
    assert waiting_text(rows) == ""
    waiting = waiting_text(collect(tmp_path / "elsewhere", [study, other]))
    assert waiting == "not run yet (1): s/fit"
    render_board(collect(tmp_path / "none", [study]), tmp_path / "board.html", tmp_path)
    assert "Not run yet: 1 notebooks" in (tmp_path / "board.html").read_text()


def test_a_terminal_shows_a_few_of_many_numbers_that_nothing_was_published_for(
    tmp_path, study, run
):
    many = [{"name": f"n{k}", "value": k, "low": None, "high": None, "n": None, "unit": "",
             "note": ""} for k in range(12)]  # fmt: skip
    run("a", stage="look", metrics=many)
    assert "and 7 more in its report" in shown(collect(tmp_path / "runs", [study]))


def test_a_run_that_ended_early_hides_no_other(tmp_path, study, run):
    run("a", value=0.7, profile="smoke")
    run("b", value=0.9, ended="nothing to measure")
    assert [value for _, value in measured(collect(tmp_path / "runs", [study]))] == [0.7]


def test_synthetic_and_real_data_have_rows_of_their_own(tmp_path, study, run):
    run("a", value=0.7, synthetic=False)
    run("b", value=0.8)
    rows = collect(tmp_path / "runs", [study])
    assert measured(rows) == [("SYNTHETIC", 0.8), ("real: mine", 0.7)]


def test_the_terms_of_real_data_stand_on_the_board(tmp_path, study, run):
    data = {"name": "ward", "sha256": "0" * 64, "licence": "research only", "synthetic": False}
    run("a", data=[data | {"agreement": "DTA 7 <b>", "until": "2999-12-31"}])
    rows = collect(tmp_path / "runs", [study])
    said = "terms of ward: research only; DTA 7 <b>; until 2999-12-31"
    assert said in shown(rows)
    render_board(rows, tmp_path / "board.html", tmp_path / "runs")
    assert said.replace("<b>", "&lt;b&gt;") in (tmp_path / "board.html").read_text()
    run("b")
    synthetic = [row.terms for row in collect(tmp_path / "runs", [study]) if row.synthetic]
    assert set(synthetic) == {""}


def test_a_failed_run_does_not_hide_an_earlier_one(tmp_path, study, run):
    run("a", value=0.7)
    run("b", value=0.8, outcome="failed")
    assert measured(collect(tmp_path / "runs", [study])) == [("SYNTHETIC", 0.7)]


def test_a_damaged_run_does_not_count(tmp_path, study, run):
    run("a", value=0.7)
    (run("b", value=0.8) / "files" / "x.txt").write_text("changed")
    assert measured(collect(tmp_path / "runs", [study])) == [("SYNTHETIC", 0.7)]


def test_a_record_that_is_no_record_is_passed_over(tmp_path, study, run):
    (run("a") / "run.json").write_text("{")
    assert measured(collect(tmp_path / "runs", [study])) == []


def test_an_incomplete_run_says_so(tmp_path, study, run):
    run("a", outcome="incomplete")
    assert collect(tmp_path / "runs", [study])[0].run == "tutorial, incomplete"


def test_a_complete_run_says_how_many_of_its_subjects_are_warned(tmp_path, study, run):
    run("a", warned={"subjects": 3, "of": 4, "table": "warnings"})
    rows = collect(tmp_path / "runs", [study])
    assert rows[0].run == "tutorial, complete, 3 of 4 subjects warned"
    assert "3 of 4 subjects warned" in shown(rows)


def test_what_a_run_found_is_seen_where_the_published_number_needs_a_truth(tmp_path, study, run):
    found = {"name": "share", "value": 24.3, "low": None, "high": None, "n": 3, "unit": "%",
             "note": "median"}  # fmt: skip
    run("a", synthetic=False, metrics=[found])
    rows, page = collect(tmp_path / "runs", [study]), tmp_path / "board.html"
    text = shown(rows)
    assert "24.30 %" in text
    assert "published, not in this run: AUC" in text
    render_board(rows, page, tmp_path / "runs")
    assert "<details open>" in page.read_text()
    assert "Published for this notebook, not in this run: AUC 0.85" in page.read_text()


def test_a_run_that_ended_early_says_why_and_what_it_left(tmp_path, study, run):
    run("a", metrics=[], ended="predictions only",
        tables=[{"name": "told", "file": "told.csv", "rows": 7}])  # fmt: skip
    rows = collect(tmp_path / "runs", [study])
    assert "ended early: predictions only" in shown(rows)
    render_board(rows, tmp_path / "board.html", tmp_path / "runs")
    assert "<code>told.csv</code> (7 rows)" in (tmp_path / "board.html").read_text()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_word_is_broken_in_a_terminal(tmp_path, study, run, width):
    long = study.model_copy(
        update={
            "published": [
                study.published[0].model_copy(update={"metric": "a yardstick of interpretability"})
            ]
        }
    )
    run("a", outcome="incomplete", failures=2)
    console = Console(file=io.StringIO(), width=width)
    console.print(terminal_table(collect(tmp_path / "runs", [long])))
    words = {"interpretability", "incomplete,", "SYNTHETIC", "[0.700,", "0.900]", "published"}
    assert words <= set(console.file.getvalue().split())


def test_runs_of_a_notebook_stand_side_by_side_with_what_differs(tmp_path, study, run):
    for name, seed in (("aa1", 1), ("ab2", 2)):
        run(name, value=0.6 + seed / 10, parameters={"seed": seed, "folds": 5})
    found = newest_of(tmp_path / "runs", [study])["s/fit"]
    assert found.runs == ["ab2", "aa1"]
    assert found.settings == [("data", ["SYNTHETIC", "SYNTHETIC"]), ("seed", ["2", "1"])]
    assert found.metrics == [("AUC", ["0.800 [0.700, 0.900]", "0.700 [0.600, 0.800]"])]


def test_the_page_shows_runs_side_by_side_and_another_data_set_of_the_same_name(
    tmp_path, study, run
):
    def mine(digits):
        return [{"name": "t.csv", "sha256": digits, "licence": "", "synthetic": False}]

    run("a", data=mine("1" * 64))
    run("b", data=mine("2" * 64))
    several = newest_of(tmp_path / "runs", [study])
    assert several["s/fit"].settings == [("data", ["t.csv (222222)", "t.csv (111111)"])]
    rows = collect(tmp_path / "runs", [study])
    render_board(rows, tmp_path / "b.html", tmp_path / "runs", several)
    assert "2 runs of this notebook beside each other" in (tmp_path / "b.html").read_text()


def test_runs_that_cannot_be_compared_are_refused(tmp_path, study, run, monkeypatch):
    run("aa1")
    run("aa2")
    run("ba1", stage="look")
    monkeypatch.setattr(catalog, "study_of", lambda _: study)
    assert asked_for(tmp_path / "runs", ["aa1", "aa2"]).runs == ["aa1", "aa2"]
    for names, why in {
        ("a", "b"): "several runs",
        ("c", "b"): "no run 'c'",
        ("aa1", "b"): "cannot be put",
        ("b",): "cannot be put",
    }.items():
        with pytest.raises(RequestError, match=why):
            asked_for(tmp_path / "runs", names)


def test_the_terminal_shows_value_interval_data_tag_and_difference(tmp_path, study, run):
    run("a")
    text = shown(collect(tmp_path / "runs", [study]))
    for part in ("this kit [interval]", "0.800 [0.700, 0.900]", "SYNTHETIC", "0.85 [slides]",
                 "0.05 below, inside our interval", "tutorial"):  # fmt: skip
        assert part in text


def test_the_page_links_to_each_report_relatively(tmp_path, study, run):
    run("a")
    render_board(collect(tmp_path / "runs", [study]), tmp_path / "board.html", tmp_path / "runs")
    assert 'href="runs/s/fit/a/report.html"' in (tmp_path / "board.html").read_text()


def test_a_run_without_a_report_has_no_link(tmp_path, study, run):
    run("a", report=False)
    render_board(collect(tmp_path / "runs", [study]), tmp_path / "board.html", tmp_path / "runs")
    assert "Open the report" not in (tmp_path / "board.html").read_text()


def test_the_page_letters_synthetic_data_escapes_and_loads_nothing(tmp_path, study, run):
    run("a")
    render_board(collect(tmp_path / "runs", [study]), tmp_path / "board.html", tmp_path / "runs")
    text = (tmp_path / "board.html").read_text()
    assert "SYNTHETIC DATA" in text
    assert "<b>another" not in text
    assert text.count("<h1") == 1
    assert not any(mark in text for mark in (" src=", "url(", "@import", "<script"))


def test_the_page_without_runs_says_how_to_begin(tmp_path, study):
    render_board(collect(tmp_path / "runs", [study]), tmp_path / "board.html", tmp_path / "runs")
    assert "Nothing was run yet" in (tmp_path / "board.html").read_text()


def test_the_board_needs_no_heavy_package(tmp_path):
    program = (
        "import json, sys; from pathlib import Path; from nextaim_kit import catalog;"
        "from nextaim_kit.runs.board import collect, render_board;"
        "from nextaim_kit.terminal.board import terminal_table;"
        "rows = collect(Path('runs'), []); terminal_table(rows);"
        "render_board(rows, Path('b.html'), Path('runs'));"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert not set(HEAVY) & set(json.loads(done.stdout))
