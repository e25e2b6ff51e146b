"""A notebook is a function: asked once, run once, and its record can be trusted."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from jupyter_client import KernelManager
from matplotlib.figure import Figure
from papermill.iorw import write_ipynb

from nextaim_kit.errors import DataError, KernelDied, RequestError, RunError
from nextaim_kit.files import write_json
from nextaim_kit.runs import record as records
from nextaim_kit.runs.connection import kernel_connection
from nextaim_kit.runs.context import Run, _laid
from nextaim_kit.runs.execution import UNHEARD_IS_KEPT, Observer
from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.runner import execute


def ask(**given):
    return prepare("toy/draw", "smoke", given)


def test_a_run_leaves_record_notebook_report_and_files(toy):
    toy()
    request = ask()
    record, fresh = execute(request)
    assert fresh
    assert record["outcome"] == "complete"
    assert [m["name"] for m in record["metrics"]] == ["mean"]
    assert set(record["files"]) == {"notebook.ipynb", "report.html", "files/numbers.txt"}
    assert records.is_done(request.folder)
    assert sorted(p.name for p in request.folder.iterdir()) == [
        ".lock", "files", "notebook.ipynb", "report.html", "run.json"
    ]  # fmt: skip


def test_a_run_that_is_done_is_not_run_again_unless_forced(toy):
    toy()
    first, _ = execute(ask())
    again, fresh = execute(ask())
    assert not fresh
    assert again == first
    assert execute(ask(), force=True)[1]


def test_the_same_request_gives_the_same_numbers(toy):
    toy()
    first, _ = execute(ask())
    second, _ = execute(ask(), force=True)
    assert second["metrics"] == first["metrics"]
    assert second["files"]["files/numbers.txt"] == first["files"]["files/numbers.txt"]


def test_the_identity_follows_parameters_and_source_but_not_outputs(toy):
    path = toy()
    before = ask().id
    assert ask(size=5).id != before
    document = nbformat.read(path, 4)
    document.cells[3].outputs = [nbformat.v4.new_output("stream", text="seen")]
    nbformat.write(document, path)
    assert ask().id == before
    document.cells[3].source += "\n# another thought"
    nbformat.write(document, path)
    assert ask().id != before


def test_the_identity_follows_the_content_of_data_and_not_their_place(toy, tmp_path):
    toy()
    ids = []
    for place, content in [("a", "x"), ("b", "x"), ("c", "y")]:
        (tmp_path / place).mkdir()
        (tmp_path / place / "table.csv").write_text(f"subject\n{content}\n")
        ids.append(ask(cohort=str(tmp_path / place / "table.csv")).id)
    assert ids[0] == ids[1] != ids[2]


def exercise_of(path, solved):
    """Put an exercise with this solution into a toy notebook, before its end."""
    stub = "from nextaim_kit.show.exercises import check\n\nanswer = ...\ncheck(answer, 1)"
    document = nbformat.read(path, 4)
    document.cells[5:5] = [
        nbformat.v4.new_code_cell(stub, metadata={"tags": ["exercise"]}, id="stub"),
        nbformat.v4.new_code_cell(solved, metadata={"tags": ["solution"]}, id="folded"),
    ]
    nbformat.write(document, path)


def test_a_solution_without_an_answer_ends_a_profile_on_the_twin_and_no_run_of_a_users_own(
    toy, tmp_path
):
    exercise_of(toy(), "answer = float('nan') * size")
    (tmp_path / "own.csv").write_text("subject\nx\n")
    assert execute(ask(cohort=str(tmp_path / "own.csv")))[0]["outcome"] == "complete"
    assert execute(ask(size=5))[0]["outcome"] == "complete"
    with pytest.raises(RunError, match="exercise 1 has no answer"):
        execute(ask())


def test_a_headless_run_runs_solutions_beside_its_names_and_nothing_depends_on_them(toy):
    exercise_of(toy("assert answer is ... and size == 2"), "size = 5\nanswer = size")
    request = ask()
    assert execute(request)[0]["outcome"] == "complete"
    ran = {c.id: c for c in nbformat.read(request.folder / "notebook.ipynb", 4).cells}
    assert ran["stub"].outputs[0].text == "Not answered yet.\n"
    assert ran["folded"].outputs == []


@pytest.mark.parametrize("harm", ["missing", "changed", "record cut"])
def test_a_damaged_run_is_run_again(toy, harm):
    toy()
    request = ask()
    execute(request)
    numbers, record = request.folder / "files/numbers.txt", request.folder / "run.json"
    if harm == "missing":
        numbers.unlink()
    elif harm == "changed":
        numbers.write_text("0")
    else:
        record.write_text(record.read_text()[:40])
    assert not records.is_done(request.folder)
    assert execute(request)[1]
    assert records.is_done(request.folder)


def test_a_failing_cell_is_named_by_its_heading_and_kept_in_the_report(toy):
    toy("raise ValueError('no lungs here')")
    request = ask()
    with pytest.raises(RunError, match=r"'More'\n.*ValueError: no lungs here"):
        execute(request)
    record = records.read_record(request.folder)
    assert record["outcome"] == "failed"
    assert not records.is_done(request.folder)
    assert "no lungs here" in (request.folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("outputs", "missing"),
    [({"metrics": ["auc"]}, "metric 'auc'"), ({"files": ["a.csv"]}, "file 'a.csv'")],
)
def test_a_run_without_a_declared_output_fails(toy, outputs, missing):
    toy(outputs=outputs)
    with pytest.raises(RunError, match=missing):
        execute(ask())


def test_a_run_may_end_early_without_what_the_cells_below_would_leave(toy):
    toy("run.end('nothing to measure')", outputs={"metrics": ["mean", "auc"], "files": []})
    request = ask()
    record, _ = execute(request)
    assert (record["outcome"], record["ended"]) == ("complete", "nothing to measure")
    assert [m["name"] for m in record["metrics"]] == ["mean"]
    assert records.is_done(request.folder)
    text = (request.folder / "notebook.ipynb").read_text()
    assert "the run ends here: nothing to measure" in text
    assert "Traceback" not in text
    assert '"error"' not in text


def test_a_notebook_that_never_finishes_its_record_fails(toy):
    path = toy()
    document = nbformat.read(path, 4)
    document.cells[-1].source = "pass"
    nbformat.write(document, path)
    with pytest.raises(RunError, match=r"run\.finish"):
        execute(ask())


def test_a_metric_that_is_no_number_is_refused(toy):
    toy("run.metric('auc', float('nan'))")
    with pytest.raises(RunError, match="metric 'auc' is not a finite number"):
        execute(ask())


def test_an_interval_that_could_not_be_computed_is_none(toy):
    toy("run.metric('share', 1.0, interval=(float('nan'), float('nan')), n=3)")
    record, _ = execute(ask())
    (found,) = (m for m in record["metrics"] if m["name"] == "share")
    assert (found["value"], found["low"], found["high"], found["n"]) == (1.0, None, None, 3)


def test_the_rows_of_a_table_are_metrics_and_one_without_a_value_is_none(toy):
    toy("""
import pandas as pd
rows = [("auc", "", 0.8, 0.7, "M"), ("auc", "Logistic, L2", 0.6, 0.5, ""),
        ("ece", "", None, None, ""), ("brier", "", 0.2, 0.1, "")]
table = pd.DataFrame(rows, columns=["metric", "name", "value", "low", "note"]).assign(high=0.9)
run.metrics(table, only=["auc", "ece"], n=5)""")
    record, _ = execute(ask())
    found = {m["name"]: m for m in record["metrics"] if m["name"] != "mean"}
    assert list(found) == ["auc", "auc_logistic_l2"]
    assert found["auc"] | {"low": 0.7, "high": 0.9, "n": 5, "note": "M"} == found["auc"]
    assert found["auc_logistic_l2"]["value"] == 0.6


def test_a_killed_kernel_is_told_apart_and_has_its_own_exit_code(toy):
    toy("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(KernelDied, match="was killed") as caught:
        execute(ask())
    assert caught.value.exit_code == 138


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), RunError, "free space"),
        (OSError(errno.EROFS, "Read-only file system"), RunError, "only be read"),
        (TimeoutError("Cell execution timed out"), RunError, "nothing answered in time"),
        (BlockingIOError(errno.EAGAIN, "Try again"), RunError, "close other kernels"),
        (RuntimeError("Kernel didn't respond in 60 seconds"), RunError, "less busy"),
        (RuntimeError("Kernel died before replying to kernel_info"), KernelDied, "doctor"),
    ],
)
def test_a_run_that_cannot_be_carried_out_is_told_its_own_mend(
    toy, monkeypatch, error, kind, words
):
    def fail(*_, **__):
        raise error

    toy()
    monkeypatch.setattr("papermill.execute_notebook", fail)
    with pytest.raises(kind, match=words) as raised:
        execute(ask())
    assert ("free space" in raised.value.mend) == (error.args[0] == errno.ENOSPC)


@pytest.mark.parametrize("full", ["write_documents", "records.write_record"])
@pytest.mark.parametrize("error", [None, OSError(errno.ENOSPC, "No space left on device")])
def test_a_disk_that_is_full_at_the_end_of_a_run_leaves_nothing_half_written(
    toy, monkeypatch, full, error
):
    def run(source, target, *_, **__):
        request.folder.joinpath("files").mkdir()
        Path(target).write_bytes(Path(source).read_bytes()[: 100 if error else None])
        write_json(request.folder / "result.json", {"metrics": [], "sections": [], "failures": 0,
                                                    "ended": "early"})  # fmt: skip
        if error:
            raise error

    def no_room(*_, **__):
        raise DataError("cannot write", mend="free space on that disk")

    toy()
    request = ask()
    monkeypatch.setattr("papermill.execute_notebook", run)
    monkeypatch.setattr(f"nextaim_kit.runs.runner.{full}", no_room)
    with pytest.raises(RunError if error else DataError, match="free space"):
        execute(request)
    assert [path.name for path in request.folder.iterdir()] == [".lock"]


def test_what_a_link_in_a_runs_folder_leads_to_is_left_alone(toy, monkeypatch, tmp_path):
    toy()
    request = ask()
    request.folder.mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "scan").write_text("kept")
    (request.folder / "files").symlink_to(tmp_path / "mine")
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **__: None)
    with pytest.raises(RunError, match=r"ended without .* file 'numbers.txt'"):
        execute(request)
    assert not (request.folder / "files").exists()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["scan"]


def test_a_caption_is_text_in_the_notebook(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda one, **_: shown.append(one))
    run = object.__new__(Run)
    run.files, run._result = tmp_path, {"figures": []}
    run.figure(Figure(), "roc", alt="a curve", caption="<img src=x onerror=alert(1)>")
    assert "<em>&lt;img src=x onerror=alert(1)&gt;</em>" in shown[-1].data


def test_a_record_is_json_without_nan(toy):
    toy("run.metric('more', 1, n=float('nan')); run.metric('n', 1, n=np.int64(3))")
    request = ask()
    execute(request)
    text = (request.folder / records.RECORD).read_text()
    assert [m["n"] for m in json.loads(text)["metrics"]] == [None, None, 3]
    assert "NaN" not in text


def test_subjects_that_failed_make_the_run_incomplete_but_done(toy):
    toy(
        "import pandas as pd; run.failures(pd.DataFrame({'subject': ['P1'], 'problem': ['empty']}))"
    )
    request = ask()
    record, _ = execute(request)
    assert (record["outcome"], record["failures"]) == ("incomplete", 1)
    assert records.is_done(request.folder)


def test_warned_subjects_are_counted_and_their_warnings_are_whole_in_the_report(toy):
    long = "the scan ends within the lungs, " * 9
    rows = f"[['P1', {long!r}], ['P1', 'it is dark'], ['P2', 'it is bright']]"
    toy(
        "import pandas as pd\n"
        f"run.warnings(pd.DataFrame({rows}, columns=['subject', 'said']), of=3)"
    )
    record, _ = execute(request := ask())
    assert records.outcome_text(record) == "complete, 2 of 3 subjects warned"
    page = (request.folder / "report.html").read_text()
    assert long.strip() in page
    assert "Of 3 subjects 2 are to be looked at" in page
    assert (request.folder / "files" / "warnings.csv").is_file()


def test_a_table_wider_than_a_page_lies_on_its_side_and_a_long_one_does_not():
    wide = pd.DataFrame(
        {"subject": ["P1", "P2"]} | {f"volume_of_part_{k}": [k, k] for k in range(9)}
    )
    lying = _laid(wide)
    assert lying.columns.tolist() == ["P1", "P2"]
    assert lying.index[0] == "volume_of_part_0"
    many = pd.concat([wide.assign(subject=[f"P{k}", f"Q{k}"]) for k in range(20)])
    assert _laid(many) is many
    assert _laid(wide[["subject"]]).columns.tolist() == ["subject"]


def test_no_path_token_or_time_is_left_in_a_run(toy, tmp_path, monkeypatch):
    toy("print(cohort, run.files); import os; print(sorted(os.environ)[:0])")
    monkeypatch.setenv("ACCESS_TOKEN", "s3cret")
    (tmp_path / "ward").mkdir()
    (tmp_path / "ward" / "table.csv").write_text("subject\nP1\n")
    request = ask(cohort=str(tmp_path / "ward" / "table.csv"))
    execute(request)
    for name in ("run.json", "notebook.ipynb", "report.html"):
        text = (request.folder / name).read_text()
        assert "ward" not in text
        assert "s3cret" not in text
        assert str(request.folder) not in text
    assert "start_time" not in (request.folder / "notebook.ipynb").read_text()


def test_an_observer_hears_cells_headings_and_printed_lines(toy):
    toy()
    heard = []

    class Ears(Observer):
        def cell(self, number, total, heading):
            heard.append(heading)

        def printed(self, line):
            heard.append(line)

    execute(ask(), observer=Ears())
    printed = next(i for i, said in enumerate(heard) if said.startswith("mean = "))
    assert heard.index("Drawing") < printed < heard.index("Record")


def test_sections_have_seconds_and_peak_memory(toy):
    toy("import time; time.sleep(0.3); big = b'0' * 80_000_000; del big")
    record, _ = execute(ask())
    section = {s["title"]: s for s in record["sections"]}
    assert section["More"]["seconds"] >= 0.3
    assert record["seconds"] > sum(s["seconds"] for s in record["sections"])  # the kernel's start
    assert section["More"]["peak_mb"] >= section["Record"]["peak_mb"] + 60


def test_two_processes_do_not_make_the_same_run(toy):
    toy()
    request = ask()
    with records.locked(request.folder), pytest.raises(RunError, match="another process"):
        execute(request)


def test_a_parameter_is_refused_before_anything_is_written(toy):
    toy()
    with pytest.raises(RequestError):
        ask(size="0")
    assert not records.runs_folder().exists()


def test_force_forgets_the_checkpoints_too(toy):
    toy("(run.checkpoints / 'seen').is_file() and print('old'); "
        "run.checkpoints.mkdir(exist_ok=True); (run.checkpoints / 'seen').touch()")  # fmt: skip
    request = ask()
    execute(request)
    (request.folder / "run.json").unlink()
    execute(request)
    assert "old" in (request.folder / "notebook.ipynb").read_text()
    execute(request, force=True)
    assert '"old' not in (request.folder / "notebook.ipynb").read_text()


@pytest.mark.rest
def test_a_home_that_is_the_root_leaves_texts_and_figures_alone(toy, monkeypatch):
    monkeypatch.setenv("HOME", "/")
    toy("from IPython.display import Image; import matplotlib.pyplot as plt; "
        "f, a = plt.subplots(); run.figure(f, 'empty', alt='nothing'); print('a/b')")  # fmt: skip
    request = ask()
    execute(request)
    assert "<img" in (request.folder / "report.html").read_text()
    assert "a/b" in (request.folder / "notebook.ipynb").read_text()


@pytest.mark.rest
def test_a_run_told_to_end_leaves_no_path_behind(toy, tmp_path):
    toy("import time; print('ready', flush=True); time.sleep(60)")
    command = [sys.executable, "-m", "nextaim_kit.cli", "run", "toy/draw", "--profile", "smoke"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = ask().folder
    while not (folder / "files" / "numbers.txt").exists():
        time.sleep(0.1)
    process.terminate()
    assert process.wait(30) == 130
    assert {p.name for p in folder.iterdir()} <= {".lock"}


def test_a_record_names_the_machine_but_no_gpu_that_nothing_asked_for(toy):
    toy()
    record, _ = execute(ask())
    assert record["hardware"]["gpu"] is None
    assert record["hardware"]["cores"] >= 1
    assert "gpu" not in record


@pytest.mark.rest
def test_a_cell_that_prints_faster_than_it_is_heard_runs_to_its_end_and_is_whole(toy):
    toy("for number in range(500): print('line', number, flush=True)")

    class Slow(Observer):
        def printed(self, line):
            time.sleep(0.01)

    record, _ = execute(request := ask(), observer=Slow())
    assert record["outcome"] == "complete"
    outputs = nbformat.read(request.folder / "notebook.ipynb", 4).cells[-3].outputs
    printed = "".join(one["text"] for one in outputs).splitlines()
    assert printed == [f"line {number}" for number in range(500)]


def test_a_notebook_is_not_written_anew_at_every_cell(toy, monkeypatch):
    written = []

    def write(document, path):
        written.append(len(document.cells))
        write_ipynb(document, path)

    monkeypatch.setattr("papermill.engines.write_ipynb", write)
    toy("print('here')")
    _, fresh = execute(request := ask())
    assert fresh
    assert 1 <= len(written) <= 2
    assert "here" in (request.folder / "notebook.ipynb").read_text()


@contextmanager
def started_kernel(*arguments):
    with kernel_connection() as config:
        manager = KernelManager(kernel_name="python3", config=config)
        manager.start_kernel(extra_arguments=list(arguments))
        kernel = manager.client()
        kernel.start_channels()
        kernel.wait_for_ready(60)
        yield kernel
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_kernel_keeps_all_that_nobody_has_heard_yet():
    count = 2300  # more than the queues of both sides hold by themselves
    with started_kernel(UNHEARD_IS_KEPT) as kernel:
        asked = kernel.execute(f"for n in range({count}): print(n, '.' * 20_000, flush=True)")
        while kernel.get_shell_msg(timeout=60)["parent_header"].get("msg_id") != asked:
            pass
        heard = []
        while not heard or heard[-1].get("execution_state") != "idle":
            said = kernel.get_iopub_msg(timeout=60)
            heard += [said["content"]] * (said["parent_header"].get("msg_id") == asked)
    printed = "".join(content.get("text", "") for content in heard)
    assert [int(line.split()[0]) for line in printed.splitlines()] == list(range(count))


def test_an_area_of_output_sends_nothing_on_the_socket_that_a_reply_is_awaited_on(toy, monkeypatch):
    def send(self, *given, **more):
        pytest.fail("sent while the reply may arrive, which is then never noticed")

    monkeypatch.setattr("nbclient.output_widget.OutputWidget._publish_msg", send)
    toy("from ipywidgets import interact\ninteract(lambda x: print(f'seen {x}'), x=(0, 4, 1));")
    record, _ = execute(ask())
    assert record["outcome"] == "complete"
    assert "seen 2" in (ask().folder / "notebook.ipynb").read_text()


def test_a_run_in_jupyterlab_leaves_its_report_with_what_the_cells_showed(toy):
    path = toy("print('said', size)\nprint('more')\n1 + size")
    cells = nbformat.read(path, 4).cells
    with started_kernel() as kernel:
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        for source in (*code[:-1], "print('of my own')", code[-1]):
            kernel.execute_interactive(source, output_hook=lambda _: None, timeout=60)
    (folder,) = (records.runs_folder() / "toy" / "draw").iterdir()
    record = records.read_record(folder)
    assert record["profile"] == "interactive"
    assert records.is_done(folder)
    kept = nbformat.read(folder / "notebook.ipynb", 4)
    nbformat.validate(kept)
    printed, value = next(c for c in kept.cells if c.source.startswith("print")).outputs
    assert printed["text"] == f"said {record['parameters']['size']}\nmore\n"
    assert value["data"]["text/plain"] == str(1 + record["parameters"]["size"])
    own = next(c for c in kept.cells if c.source == "print('of my own')")
    assert own.outputs[0]["text"] == "of my own\n"
    assert kept.cells[kept.cells.index(own) - 1].source.startswith("print('said'")
    assert "said" in (folder / "report.html").read_text()
