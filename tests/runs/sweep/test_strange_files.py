"""Files of a sweep that are strange cost the sweep nothing but themselves."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.runs.sweep.controller import Engine
from nextaim_kit.runs.sweep.plan import expand, freeze, load, sweep_folder
from nextaim_kit.runs.sweep.scripts import SYSTEMS, submit_file
from nextaim_kit.runs.sweep.state import Ending, ending_path, progress, read_ending, write_ending

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("change", [{"metrics": "x"}, {"run": "../.."}, {"seconds": "long"}])
def test_a_row_with_a_strange_ending_has_not_ended(toy, sweep, change):
    toy()
    freeze(plan := expand(sweep(grid={"size": [4, 5]})))
    good, other = plan.rows
    write_ending(plan.folder, good.id, Ending("failed", error="torn"))
    said = json.dumps(asdict(Ending("failed")) | change)
    ending_path(plan.folder, other.id).write_text(said)
    assert read_ending(plan.folder, other.id) is None
    assert dict(progress(plan).counts) == {"failed": 1, "waiting": 1}


@pytest.mark.parametrize("text", ["{}", "[]", DEEP, '{"table": 1, "sources": {}, "sweep": {}}'])
def test_a_strange_plan_is_refused_and_says_how_to_freeze_it_anew(toy, sweep, text):
    toy()
    freeze(plan := expand(sweep(grid={"size": [4]})))
    (plan.folder / "plan.json").write_text(text)
    with pytest.raises(RequestError, match=r"is damaged(.|\n)*freeze it anew"):
        load(plan.folder)


@pytest.mark.parametrize("name", ["one\ntouch mine", "one\r", "one\x1b[2J", "one\x85"])
def test_a_control_character_in_a_sweep_s_name_is_refused(toy, sweep, name):
    toy()
    with pytest.raises(RequestError, match=r"the sweep's name holds a control character"):
        expand(sweep(name, grid={"size": [4]}))


def test_a_control_character_in_a_folder_or_variable_reaches_no_script(toy, sweep, monkeypatch):
    toy()
    plan = expand(sweep(grid={"size": [4]}))
    monkeypatch.setenv("NEXTAIM_DASK_WAIT", "30\ntouch mine")
    for system in SYSTEMS:
        with pytest.raises(RequestError, match="NEXTAIM_DASK_WAIT holds a control character"):
            submit_file(plan, system)
    monkeypatch.setenv("NEXTAIM_RUNS", "/runs\n#SBATCH --wrap=mine")
    with pytest.raises(RequestError, match="a path holds a control character"):
        sweep_folder(sweep())
    with pytest.raises(RequestError, match="a resource holds a control character"):
        Engine.named("slurm", resources=("slurm_partition=gpu\nmine",))


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_password_in_the_mirrors_address_stands_in_no_script(toy, sweep, monkeypatch, system):
    toy()
    monkeypatch.setenv("NEXTAIM_MIRROR", "https://ada:s3cret@example.org/sets")
    text = submit_file(expand(sweep(grid={"size": [4]})), system)
    assert "s3cret" not in text
    assert "a password stands in it: NEXTAIM_MIRROR." in text
