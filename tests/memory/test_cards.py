"""Cards by name: what fits, with which build of torch, in how many hours, and the least one."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nextaim_kit import catalog
from nextaim_kit.catalog import Notebook, Resources
from nextaim_kit.commands import app
from nextaim_kit.errors import RequestError
from nextaim_kit.memory.cards import (
    CARDS,
    chosen,
    every_notebook,
    hours,
    obstacle,
    on_cards,
    serving,
)


def notebook(**gb):
    made = {k: Resources(minutes=60, memory_gb=4, vram_gb=v) for k, v in gb.items()}
    return Notebook(id="toy/draw", title="Draw", path=Path("none"), resources=made)


def test_the_declared_minutes_are_those_of_a_slice_of_10_gb():
    takes = Resources(minutes=90, memory_gb=4, vram_gb=9)
    assert hours(takes, CARDS["mig-10"]) == (1.5, 1.5)
    low, high = hours(takes, CARDS["a100-40"])
    assert low == pytest.approx(1.5 * 14 / 108)
    assert high == pytest.approx(1.5 * 2039 / 8 / 1555)


def test_a_slice_is_its_share_of_the_whole_card():
    one, two = CARDS["mig-10"], CARDS["mig-20"]
    assert (two.tflops, two.bandwidth) == pytest.approx((2 * one.tflops, 2 * one.bandwidth))


def test_a_k80_runs_nothing_and_a_v100_needs_an_older_build():
    takes = Resources(minutes=1, memory_gb=1, vram_gb=1)
    assert "not runnable" in obstacle(takes, CARDS["k80"])
    assert CARDS["v100-16"].build.startswith("CUDA 12.6")
    assert CARDS["t4"].build.startswith("any")
    assert (CARDS["t4"].precision, CARDS["rtx3060"].precision) == ("float16", "bfloat16")


def test_what_does_not_fit_is_said_and_the_least_card_that_serves_is_named():
    found = on_cards([notebook(tutorial=0, slice=9, paper=18)]).set_index(["profile", "card"])
    assert found.loc[("paper", "v100-16"), "why"] == "no: 18 GB, it has 16"
    assert found.loc[("paper", "v100-16"), ["hours_low", "hours_high"]].isna().all()
    assert found["fits"].loc["paper"].pipe(lambda f: set(f.index[f])) == {
        "v100-32", "rtx3090", "a100-40", "mig-20"}  # fmt: skip
    least = found[found["least"]].reset_index()[["profile", "card"]].to_numpy().tolist()
    assert least == [["slice", "mig-10"], ["paper", "mig-20"]]


def test_no_card_serves_what_is_larger_than_all():
    found = on_cards([notebook(paper=50)], ["v100-16", "mig-10"])
    assert not found["fits"].any()
    assert not found["least"].any()


def test_an_unknown_card_is_refused_with_the_near_miss():
    with pytest.raises(RequestError, match="did you mean v100-16"):
        chosen(["v100_16"])


def test_every_notebook_with_a_gpu_profile_has_a_card_that_serves():
    notebooks = [n for study in catalog.studies() for n in study.notebooks.values()]
    found = on_cards(notebooks)
    assert len(found) > 20
    assert found.groupby(["notebook", "profile"])["least"].sum().eq(1).all()


def test_the_terminal_tells_the_cards_that_were_asked_for():
    run = CliRunner().invoke(app, ["plan", "challenges", "--on", "k80,mig-10"])
    assert run.exit_code == 0, run.output
    said = " ".join(run.output.split())
    assert "slice, 9.5 GB k80 " in said
    assert "12 none not runnable mig-10" in said
    assert "1.5 h * " in said
    assert "estimates, nothing was run" in said


def test_a_notebook_that_takes_no_gpu_says_so():
    run = CliRunner().invoke(app, ["plan", "lessons"])
    assert "no profile of these takes a GPU" in run.output


def test_the_reverse_counts_what_each_card_runs_and_names_the_least_that_runs_most():
    table = serving(on_cards([notebook(slice=9, paper=18)])).set_index("card")
    assert table.loc["k80", "runs"] == 0
    assert table.loc["k80", "torch"] == "none"
    assert table.loc["mig-10", "runs"] == 1
    assert table.loc["mig-20", ["runs", "of"]].tolist() == [2, 2]
    assert table.index[table["least"]].tolist() == ["mig-20"]
    assert table.loc["mig-20", "hours_high"] == pytest.approx(0.5 * 2)


def test_the_kit_s_own_trainings_are_all_asked_and_a_group_of_a_k80_alone_is_served_by_none():
    found = on_cards(every_notebook(), ["k80"])
    assert "challenges/memory_budget" in set(found["notebook"])
    assert not serving(found)["least"].any()
