"""A run that is asked for in a terminal is left to a warm process, and is as one started cold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nextaim_kit.runs import pages
from nextaim_kit.runs.record import runs_folder
from nextaim_kit.runs.warm.client import hand_over, hold, stop

pytestmark = pytest.mark.rest

COMMAND = [sys.executable, "-m", "nextaim_kit.cli", "run", "toy/draw"]
# As the program `nextaim` starts.
PROGRAM = """\
import sys
sys.argv = ["nextaim", *sys.argv[1:]]
sys.orig_argv = [sys.executable, *sys.argv]
from nextaim_kit.cli import main
code = main()
print("imported", sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
sys.exit(code)
"""
HEAVY = {"numpy", "pandas", "typer", "rich", "pydantic", "nbformat", "jsonschema", "yaml",
         "papermill", "jinja2", "zmq", "torch", "jupyter_client"}  # fmt: skip


@pytest.fixture
def server(toy, tmp_path_factory, monkeypatch):
    """A toy study, and a warm server of its own for it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("h")))
    toy()
    with hold():
        yield
    stop()


def ran(command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_a_run_imports_nothing_heavy_where_a_server_is_there(server):
    done = ran([sys.executable, "-c", PROGRAM, "run", "toy/draw"])
    assert done.returncode == 0, done.stderr
    assert "done" in done.stdout
    imported = done.stderr.rpartition("imported ")[2]
    assert imported
    assert not {name for name in HEAVY if f"'{name}'" in imported}
    assert len(list(runs_folder().glob("toy/draw/*/run.json"))) == 1


def test_it_records_what_a_cold_one_records(server, monkeypatch):
    assert ran(COMMAND).returncode == 0
    (path,) = runs_folder().glob("toy/draw/*/run.json")
    warm = json.loads(path.read_text())
    monkeypatch.setenv("NEXTAIM_WARM", "0")
    assert ran([*COMMAND, "--force"]).returncode == 0
    cold = json.loads(path.read_text())
    told = ("id", "parameters", "metrics", "packages", "hardware", "environment", "kit", "outcome")
    assert {name: warm[name] for name in told} == {name: cold[name] for name in told}


def test_its_exit_code_and_what_it_refuses_are_those_of_a_cold_one(server, monkeypatch):
    wrong = [[*COMMAND, "-p", "sise=3"], [*COMMAND, "--no-such"], [*COMMAND, "-p", "size"]]
    warm = [(done.returncode, done.stderr) for done in map(ran, wrong)]
    monkeypatch.setenv("NEXTAIM_WARM", "0")
    assert warm == [(done.returncode, done.stderr) for done in map(ran, wrong)]
    assert {code for code, _ in warm} == {2}


def test_no_module_of_the_current_folder_is_imported_by_the_program(server, tmp_path):
    (tmp_path / "shadow").mkdir()
    for name in ("csv", "difflib", "nbclient", "typer"):
        (tmp_path / "shadow" / f"{name}.py").write_text("raise SystemExit('taken from here')")
    command = [sys.executable, "-P", "-c", PROGRAM, "run", "toy/draw"]
    done = ran(command, cwd=tmp_path / "shadow")
    assert done.returncode == 0, done.stderr


def test_without_a_server_none_is_started_for_it(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert hand_over([sys.executable, "-m", "nextaim_kit.commands", "list"]) is None
    toy()
    assert ran([*COMMAND, "-p", "sise=3"]).returncode == 2
    assert not list(tmp_path.glob("nextaim-*/*.sock"))


def test_ctrl_c_ends_it_with_its_kernel_and_leaves_no_record(server, toy, tmp_path):
    pid = tmp_path / "pid"
    toy(f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    process = subprocess.Popen(COMMAND, stderr=subprocess.PIPE, text=True)
    while not pid.exists() or not pid.read_text():
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "goes on from here" in said
    assert not list(runs_folder().rglob("run.json"))
    assert not Path(f"/proc/{pid.read_text()}").exists()


def test_ctrl_z_stops_it_until_it_goes_on(server, toy, tmp_path):
    toy(f"import time; time.sleep(2); open({str(tmp_path / 'over')!r}, 'w')")
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline()
    process.send_signal(signal.SIGTSTP)
    assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
    process.send_signal(signal.SIGCONT)
    assert process.wait(60) == 0
    process.stdout.close()


HELD = """\
import os, sys
from nextaim_kit.runs.warm import own_modules, place, server
states = server._import()
own = {n: m.__file__ for n, m in sys.modules.items() if n.startswith("nextaim_kit.")}
named = {os.path.realpath(file) for file in place.own_files()}
assert own.keys() - states.keys() == {n for n, f in own.items() if os.path.realpath(f) in named}
from nextaim_kit.runs import context, record
own_modules.forget_changed(states)
print("nextaim_kit.runs.context" in sys.modules, end=" ")
states[sys.argv[1]] = (1, *states[sys.argv[1]][1:])
own_modules.forget_changed(states)
print(sorted(states.keys() & sys.modules.keys()), end=" ")
from nextaim_kit.runs import context as anew
print(anew is context, sys.modules["nextaim_kit.runs.record"] is record)
"""


@pytest.mark.parametrize("changed", ["nextaim_kit.files"])
def test_a_fork_takes_no_module_of_the_kit_whose_file_changed(changed):
    environment = {n: v for n, v in os.environ.items() if n != "NEXTAIM_WARM_IMPORTS"}
    command = [sys.executable, "-W", "ignore", "-c", HELD, changed]
    done = ran(command, env=environment)
    assert done.stdout == "True [] False False\n", done.stderr


def test_a_template_that_changed_is_compiled_anew(tmp_path, monkeypatch):
    (tmp_path / "leaves").mkdir()
    (tmp_path / "leaves" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    for text in ("one {{ x }}", "two {{ x }}", "one {{ x }}"):
        (tmp_path / "leaves" / "a.html.j2").write_text(text)
        pages._environment.cache_clear()
        assert pages.render("a.html.j2", package="leaves", x="<") == text[:4] + "&lt;"
