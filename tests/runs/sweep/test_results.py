"""What came out of a sweep is ranked, averaged over seeds, and told without a user's path."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from nextaim_kit.cli import main
from nextaim_kit.files import sha256_of
from nextaim_kit.runs.sweep import results
from nextaim_kit.runs.sweep.plan import expand, freeze
from nextaim_kit.runs.sweep.state import Ending, progress, write_ending
from tests.browser import barriers
from tests.conftest import WHOLE


def ended(plan, row, value, synthetic=False, **more):
    """Write the ending of a row whose run gave this mean, and the run's record."""
    run = plan.runs / "toy/draw" / row.id
    run.mkdir(parents=True)
    data = [{"name": "synthetic", "sha256": None, "licence": "x", "synthetic": True}]
    record = WHOLE | {"schema": 1, "data": data if synthetic else []}
    (run / "run.json").write_text(json.dumps(record))
    metric = {"name": "mean", "value": value, "low": value - 0.1, "high": value + 0.1, "n": 3}
    ending = Ending("complete", run=f"toy/draw/{row.id}", record=sha256_of(run / "run.json"),
                    seconds=1.5, peak_mb=200.0, metrics=[metric | {"unit": "", "note": ""}],
                    **more)  # fmt: skip
    write_ending(plan.folder, row.id, ending)


def swept(file, values, **more):
    """A frozen plan whose rows gave these means."""
    plan = expand(file)
    freeze(plan)
    for row, value in zip(plan.rows, values, strict=False):
        ended(plan, row, value, **more)
    return progress(plan)


def test_runs_are_ranked_by_the_sweep_s_metric_and_by_what_is_better(toy, sweep):
    toy()
    state = swept(sweep(grid={"size": [4, 5, 6]}), [0.2, 0.9, 0.5])
    best = results.ranked(results.results(state), state.plan)
    assert [r.settings["size"] for r in best] == [5, 6, 4]
    assert best[0].text("mean") == "0.90 [0.80, 1]"
    best[0].metric("mean")["high"] = None  # as a slope's may be, that no resample bounds
    assert best[0].text("mean") == "0.90"
    state = swept(sweep("two", grid={"size": [7, 8]}, better="lower"), [0.2, 0.9])
    best = results.ranked(results.results(state), state.plan)
    assert [r.settings["size"] for r in best] == [7, 8]


def test_runs_that_differ_in_the_seed_alone_are_averaged(toy, sweep):
    toy()
    state = swept(sweep(grid={"size": [4, 5]}, seeds=[1, 2]), [0.2, 0.4, 0.9, 0.5])
    groups = results.over_seeds(results.results(state), state.plan)
    assert [g.settings for g in groups] == [{"size": 5}, {"size": 4}]
    assert groups[0].values == [0.9, 0.5]
    assert groups[0].text == "0.70 (0.50 to 0.90)"
    without = swept(sweep("two", grid={"size": [7, 8]}), [0.2, 0.9])
    assert results.over_seeds(results.results(without), without.plan) == []


def test_the_table_has_settings_metrics_and_intervals_of_all_runs_also_of_those_to_come(toy, sweep):
    toy()
    state = swept(sweep(grid={"size": [4, 5, 6]}), [0.2, 0.9])
    table, _ = results.write(state, {})
    read = pd.read_csv(table)
    assert list(read["size"]) == [4, 5, 6]
    assert list(read["outcome"]) == ["complete", "complete", "not run yet"]
    assert read.loc[1, ["mean", "mean_low", "mean_high"]].tolist() == pytest.approx([0.9, 0.8, 1.0])


def test_the_page_escapes_what_failed_and_says_when_data_are_synthetic(toy, sweep):
    toy()
    state = swept(sweep(grid={"size": [4, 5]}), [0.2], synthetic=True)
    wrong = Ending("failed", error="<script>alert(1)</script>", traceback=["ValueError: torn"])
    write_ending(state.plan.folder, state.plan.rows[1].id, wrong)
    _, page = results.write(progress(state.plan), {"A figure": ("data:image/png;base64,", "told")})
    text = page.read_text()
    assert "SYNTHETIC DATA" in text
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "ValueError: torn" in text
    assert 'alt="told"' in text


def test_a_path_of_the_user_s_data_is_on_no_page(toy, sweep, tmp_path):
    toy()
    (tmp_path / "ward").mkdir()
    for name in ("a", "b"):
        (tmp_path / "ward" / f"{name}.csv").write_text(f"subject\n{name}\n")
    state = swept(sweep(grid={"cohort": ["ward/a.csv", "ward/b.csv"]}), [0.2, 0.9])
    table, page = results.write(state, {})
    for text in (table.read_text(), page.read_text()):
        assert "a.csv" in text
        assert str(tmp_path) not in text
        assert "ward" not in text


def test_cohorts_of_one_file_name_stay_apart(toy, sweep, tmp_path):
    toy()
    for site in ("a", "b"):
        (tmp_path / site).mkdir()
        (tmp_path / site / "cohort.csv").write_text(f"subject\n{site}\n")
    cohorts = ["a/cohort.csv", "b/cohort.csv"]
    state = swept(sweep(grid={"cohort": cohorts}, seeds=[1, 2]), [0.1, 0.2, 0.8, 0.9])
    groups = results.over_seeds(results.results(state), state.plan)
    assert [(g.settings, g.values) for g in groups] == [
        ({"cohort": "cohort.csv (2)"}, [0.9, 0.8]), ({"cohort": "cohort.csv"}, [0.2, 0.1])
    ]  # fmt: skip


def test_the_page_says_so_where_only_some_data_are_synthetic(toy, sweep):
    toy()
    state = swept(sweep(grid={"size": [4, 5]}), [0.2])
    ended(state.plan, state.plan.rows[1], 0.1, synthetic=True)
    _, page = results.write(progress(state.plan), {})
    assert "SYNTHETIC DATA in some runs" in page.read_text()
    assert page.read_text().count("; synthetic") == 1


def test_the_report_has_figures_once_there_is_something_to_compare(toy, sweep, capsys):
    toy()
    file = sweep(grid={"size": [4, 5], "kind": ["mean", "sum"]})
    state = swept(file, [0.2])
    assert main(["sweep", "report", str(file)]) == 0
    assert "<img" not in (state.plan.folder / "report.html").read_text()
    for row, value in zip(state.plan.rows[1:], [0.4, 0.1, 0.8], strict=True):
        ended(state.plan, row, value)
    assert main(["sweep", "report", str(file)]) == 0
    assert (state.plan.folder / "report.html").read_text().count("<img") == 2
    assert "1. mean 0.8" in capsys.readouterr().out


@pytest.mark.rest
@pytest.mark.browser
def test_the_page_with_figures_and_failures_has_no_barrier(toy, sweep):
    toy()
    file = sweep(grid={"size": [4, 5], "kind": ["mean", "sum"]}, seeds=[1, 2])
    state = swept(file, [0.2, 0.4, 0.1, 0.8, 0.3, 0.5, 0.6], synthetic=True)
    wrong = Ending("failed", error="torn " * 60, traceback=["ValueError: torn"])
    write_ending(state.plan.folder, state.plan.rows[7].id, wrong)
    assert main(["sweep", "report", str(file)]) == 0
    assert (state.plan.folder / "report.html").read_text().count("<img") == 2
    assert barriers([state.plan.folder / "report.html"]) == []
