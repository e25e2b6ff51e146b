"""The command line, in process: what it prints and how it exits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from nextaim_kit.cli import main
from nextaim_kit.runs.record import runs_folder


def test_list_names_studies_and_notebooks(toy, capsys):
    toy()
    assert main(["list"]) == 0
    assert "toy/draw" in capsys.readouterr().out


def test_show_gives_parameters_profiles_outputs_and_the_published(toy, capsys):
    toy()
    assert main(["show", "toy/draw"]) == 0
    shown = capsys.readouterr().out
    for part in ("int in [1, 100]", "'mean', 'sum'", "smoke", "size=2", "numbers.txt", "[pub]"):
        assert part in shown


def test_a_run_prints_sections_and_the_report_and_exits_with_0(toy, capsys):
    toy()
    assert main(["run", "toy/draw", "--profile", "smoke", "-p", "kind=sum"]) == 0
    printed = capsys.readouterr().out
    assert "Drawing" in printed
    assert "report.html" in printed
    assert main(["run", "toy/draw", "--profile", "smoke", "-p", "kind=sum"]) == 0
    assert "done already" in capsys.readouterr().out


def test_parameters_come_from_a_file_and_the_command_line_has_the_last_word(toy, tmp_path, capsys):
    toy()
    (tmp_path / "set.yaml").write_text("size: 4\nseed: 9\n")
    main(["run", "toy/draw", "-f", str(tmp_path / "set.yaml"), "-p", "size=6"])
    (record,) = runs_folder().glob("toy/draw/*/run.json")
    assert '"size": 6' in record.read_text()
    assert '"seed": 9' in record.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "toy/draw", "-p", "sise=3"], "did you mean 'size'"),
        (["run", "toy/draw", "-p", "size=0"], "int in [1, 100]"),
        (["run", "toy/draw", "-p", "size"], "-p name=value"),
        (["run", "toy/draw", "-p", "size=010"], "did you mean 10?"),
        (["run", "toy/draw", "-p", "limit=nan"], "a decimal number"),
        (["run", "toy/draw", "-p", "size=4", "-p", "size=5"], "'size' is given twice"),
        (["run", "toy/draw", "--out", ""], "cannot be resolved"),
        (["run", "toy/draw", "--profile", "smoky"], "did you mean 'smoke'"),
        (["run", "toy/draw", "-f", "absent.yaml"], "no parameter file"),
        (["run", "toy/drow"], "did you mean toy/draw"),
        (["run", "toy/draw", "--profile", "interactive"], "no profile 'interactive'"),
        (["run", "toy/draw", "-p", "rates=[]"], "rates is: learning rates"),
        (["run", "toy/draw", "-p", "cohort="], "parameter 'cohort' cannot take this value"),
        (["run", "toy/draw", "--out", "/proc/none"], "--out or NEXTAIM_RUNS"),
        (["show", "toy/drow"], "did you mean toy/draw"),
        (["run", "toy/draw", "--porfile", "smoke"], "--porfile"),
        (["data", "show", "ibsi_ct_fantom"], "ibsi_ct_phantom"),
    ],
)
def test_a_wrong_request_exits_with_2_and_names_the_near_miss(toy, capsys, arguments, said):
    toy()
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err


def test_a_failed_run_exits_with_1_and_the_next_one_still_runs(toy, capsys):
    toy("assert kind == 'sum', 'not a sum'")
    assert main(["run", "toy/draw", "--profile", "smoke"]) == 1
    assert "not a sum" in capsys.readouterr().err
    assert main(["run", "toy/draw", "--profile", "smoke", "-p", "kind=sum"]) == 0


def test_a_killed_kernel_exits_with_138(toy):
    toy("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert main(["run", "toy/draw", "--profile", "smoke"]) == 138


def test_missing_data_are_named_before_a_kernel_starts(toy, capsys):
    toy()
    assert main(["run", "toy/draw", "-p", "cohort=/no/such/cohort.csv"]) in (1, 2)
    assert "cohort.csv" in capsys.readouterr().err
    assert not runs_folder().exists()


@pytest.mark.rest
def test_ctrl_c_exits_with_130_ends_the_kernel_and_leaves_no_record(toy, tmp_path):
    pid = str(tmp_path / "pid")
    toy(f"import os, time; open({pid!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    command = [sys.executable, "-m", "nextaim_kit.cli", "run", "toy/draw"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "goes on from here" in said
    assert "Traceback" not in said
    (folder,) = runs_folder().glob("toy/draw/*")
    assert {path.name for path in folder.iterdir()} <= {".lock"}
    assert not list(runs_folder().rglob("run.json"))
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


@pytest.mark.parametrize(
    "line", ["size: 010", "seed: 1:30", "limit: .inf", "kind: on", "size: 5.0"]
)
def test_a_parameter_file_is_as_strict_as_the_command_line(toy, tmp_path, capsys, line):
    toy()
    (tmp_path / "set.yaml").write_text(line)
    assert main(["run", "toy/draw", "-f", str(tmp_path / "set.yaml")]) == 2
    assert "cannot take this value" in capsys.readouterr().err


def test_paths_count_from_where_the_user_stands_and_what_was_understood_is_said(
    toy, tmp_path, monkeypatch, capsys
):
    toy()
    here = tmp_path / "it's {here} é"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("NEXTAIM_NOTEBOOKS", "../notebooks")
    (here / "c.csv").write_text("subject\n1\n")
    (here / "set.yaml").write_text("cohort: c.csv")
    asked = ["run", "toy/draw", "--profile", "smoke", "-f", "set.yaml", "-p", "rates=.5,1e-2"]
    assert main([*asked, "--out", "my runs"]) == 0
    assert "size=2  rates=0.5, 0.01" in capsys.readouterr().out
    assert len(list((here / "my runs" / "toy" / "draw").glob("*/run.json"))) == 1
    monkeypatch.setenv("NEXTAIM_RUNS", "my runs")
    assert main([*asked]) == 0
    assert "done already" in capsys.readouterr().out
    assert main(["board", "--html", "board.html"]) == 0
    assert (here / "board.html").is_file()


def test_names_beyond_ascii_hold_in_a_locale_that_has_none(toy, tmp_path):
    toy()
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "nextaim_kit.cli", "run", "toy/draw", "-f", "Größe.yaml"]
    (tmp_path / "Größe.yaml").write_text("kind: Übersicht", encoding="utf-8")
    ended = subprocess.run(command, cwd=tmp_path, env={**os.environ, **poor}, capture_output=True)
    assert ended.returncode == 2
    assert "'Übersicht'" in ended.stderr.decode()
    command[-2:] = ["-p", "kind=Größe"]
    ended = subprocess.run(command, cwd=tmp_path, env={**os.environ, **poor}, capture_output=True)
    assert "'Größe'" in ended.stderr.decode()


@pytest.mark.parametrize("text", ["a: [1", "1: 3", "- size", "\xff", "size: 4\nsize: 5"])
def test_a_parameter_file_that_holds_none_is_a_wrong_request(toy, tmp_path, capsys, text):
    toy()
    (tmp_path / "set.yaml").write_bytes(text.encode("latin-1"))
    assert main(["run", "toy/draw", "-f", str(tmp_path / "set.yaml")]) == 2
    assert "set.yaml" in capsys.readouterr().err


def test_a_study_s_name_stands_for_all_its_notebooks(toy, capsys):
    toy()
    assert main(["show", "toy"]) == 0
    assert "toy/draw" in capsys.readouterr().out
    assert main(["run", "toy", "--profile", "smoke"]) == 0
    assert len(list(runs_folder().glob("toy/draw/*/run.json"))) == 1


def test_the_board_lists_this_run_beside_the_published_number(toy, tmp_path, capsys):
    toy()
    main(["run", "toy/draw", "--profile", "smoke"])
    capsys.readouterr()
    assert main(["board", "--html", str(tmp_path / "board.html")]) == 0
    shown = capsys.readouterr().out
    assert "0.1" in shown
    assert "synthetic" in (tmp_path / "board.html").read_text().lower()


def test_data_list_show_and_where_answer(capsys):
    assert main(["data", "list"]) == 0
    assert "mosmed" in capsys.readouterr().out
    assert main(["data", "show", "mosmed"]) == 0
    assert "NC-ND" in capsys.readouterr().out
    assert main(["data", "where", "mosmed"]) == 0
    assert capsys.readouterr().out.strip().endswith("mosmed")


def test_restricted_data_are_not_fetched_but_the_steps_are_told(capsys):
    assert main(["data", "fetch", "aiforcovid"]) == 2
    assert "1." in capsys.readouterr().err


def test_the_doctor_gives_a_verdict_per_line(capsys):
    main(["doctor"])
    shown = capsys.readouterr().out
    for what in ("Python", "memory", "shared memory", "folder", "GPU", "viewer"):
        assert what.lower() in shown.lower()


def test_the_face_in_a_terminal_imports_nothing_heavy():
    code = (
        "import sys, nextaim_kit.commands; from nextaim_kit.runs import parameters, record;"
        "heavy = {'torch','monai','transformers','radiomics','shap','pandas','scipy','matplotlib'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_a_notebook_does_not_run_on_something_else_when_its_source_failed(toy, tmp_path, capsys):
    toy("raise ValueError('broken')")
    folder = tmp_path / "notebooks" / "toy"
    (folder / "2_look.ipynb").write_text((folder / "1_draw.ipynb").read_text())
    study = yaml.safe_load((folder / "study.yaml").read_text())
    look = {**study["notebooks"]["draw"], "needs": {"cohort": "draw/numbers.txt"}}
    study["notebooks"]["look"] = {**look, "title": "Look"}
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    assert main(["run", "toy", "--profile", "smoke"]) == 1
    said = capsys.readouterr().err
    assert "toy/look is not run" in said
    assert "that notebook failed" in said
    assert not list(runs_folder().glob("toy/look/*"))


def sized(toy, **resources):
    """The toy study with resources for its profiles: (memory, GPU memory) in GB."""
    made = {k: {"minutes": 1, "memory_gb": m, "vram_gb": v} for k, (m, v) in resources.items()}
    draw = {"title": "Draw", "data": ["cohort"], "profiles": {"smoke": {"size": 2}, "paper": {}}}
    draw["outputs"] = {"metrics": ["mean"], "files": ["numbers.txt"]}
    toy(notebooks={"draw": draw | {"resources": made}})


def test_a_profile_that_cannot_fit_is_refused_with_the_next_before_a_kernel_starts(
    toy, capsys, monkeypatch
):
    monkeypatch.setattr("nextaim_kit.memory.fitting.device_sizes", lambda: [int(10e9)])
    sized(toy, smoke=(1, 0), paper=(2, 30))
    assert main(["run", "toy/draw", "--profile", "paper"]) == 2
    said = capsys.readouterr().err
    assert "30 GB of GPU memory" in said
    assert "--profile smoke fits" in said
    assert not runs_folder().exists()


def test_a_profile_for_a_gpu_runs_without_one_only_if_it_is_forced_and_says_so(
    toy, capsys, monkeypatch
):
    monkeypatch.setattr("nextaim_kit.memory.fitting.device_sizes", list)
    sized(toy, smoke=(1, 9))
    assert main(["run", "toy/draw", "--profile", "smoke"]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["run", "toy/draw", "--profile", "smoke", "--force"]) == 0
    assert "trains on the CPU" in capsys.readouterr().out
    monkeypatch.setattr("nextaim_kit.memory.fitting.memory_limit", lambda: 10**6)
    assert main(["run", "toy/draw", "--profile", "smoke"]) == 0  # done already: nothing to refuse
