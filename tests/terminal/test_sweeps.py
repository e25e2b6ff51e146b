"""A sweep's plan as the command line shows it."""

from __future__ import annotations

import pytest

from nextaim_kit.cli import main


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
