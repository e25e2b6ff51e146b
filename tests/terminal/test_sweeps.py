"""A sweep's plan as the command line shows it."""

from __future__ import annotations

import pytest

from nextaim_kit.cli import main
from nextaim_kit.runs.record import runs_folder, write_record
from tests.conftest import WHOLE


def test_a_plan_says_what_was_understood_and_counts_paths_from_the_file(
    toy, tmp_path, monkeypatch, capsys
):
    toy()
    (tmp_path / "it's here").mkdir()
    said = "notebook: toy/draw\nprofile: smoke\ngrid: {limit: [.5, 1e-1]}\nseeds: [1, 2]"
    (tmp_path / "it's here" / "two.yaml").write_text(said)
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", "plan", "it's here/two.yaml", "--out", "mine"]) == 0
    shown = capsys.readouterr().out
    assert "limit: 0.5, 0.1" in shown
    assert "seed: 1, 2" in shown
    assert (tmp_path / "mine" / "sweeps" / "two" / "plan.csv").is_file()
    assert main(["sweep", "report", "it's here/two.yaml"]) == 2
    assert "sweep plan '" in capsys.readouterr().err  # quoted as a shell needs it


def test_a_plan_tells_minutes_of_such_data_and_says_where_they_are_the_twins(toy, tmp_path, capsys):
    sizes = {"smoke": {"minutes": 3, "memory_gb": 1}}
    toy(notebooks={"draw": {"title": "Draw", "data": ["cohort"], "profiles": {"smoke": {}},
                            "resources": sizes}})  # fmt: skip
    (tmp_path / "own.csv").write_text("subject\nP1\n")
    run = WHOLE | {"outcome": "complete", "profile": "smoke", "parameters": {"cohort": "synthetic"},
           "sections": [{"title": "t", "seconds": 6, "peak_mb": 1}], "seconds": 60}  # fmt: skip
    folder = runs_folder() / "toy" / "draw"
    (folder / "a").mkdir(parents=True)
    write_record(folder / "a", run)
    (tmp_path / "s.yaml").write_text("notebook: toy/draw\nprofile: smoke\nseeds: [1, 2]\n"
                                     "grid: {cohort: [synthetic, own.csv]}")  # fmt: skip
    assert main(["sweep", "plan", str(tmp_path / "s.yaml")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "toy/draw 2 1 min 1 1 earlier run" in shown.replace("0.001", "1")
    assert "toy/draw 2 3 min 1 study.yaml, for the synthetic twin" in shown
    assert "about 8 min of work" in shown


@pytest.mark.parametrize("value", ["010", "1_0", ".nan", "on", "5.0", "1:30"])
def test_a_sweep_s_values_are_as_strict_as_the_command_line(toy, tmp_path, capsys, value):
    toy()
    (tmp_path / "s.yaml").write_text(f"notebook: toy/draw\ngrid: {{size: [3, {value}]}}")
    assert main(["sweep", "plan", str(tmp_path / "s.yaml")]) == 2
    assert "'size' cannot take this value" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["nan", "inf", "1_0", "010", "-1", "\uff11"])
def test_numbers_of_options_are_as_strict(capsys, number):
    assert main(["data", "cache", "prune", "--to", number, "--yes"]) == 2
    assert main(["sweep", "run", "s.yaml", "--jobs", number]) == 2
    assert capsys.readouterr().err.count("expected:") == 2
