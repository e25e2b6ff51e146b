"""Every subject gets a result or a reason, whatever happens to the others."""

from __future__ import annotations

import doctest
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import deque
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from cloudpickle import register_pickle_by_value

import nextaim_kit.data.cohort.subjects as module
from nextaim_kit import errors
from nextaim_kit.data.cache import space
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.machine.time_limit import OutOfTime, time_limit

register_pickle_by_value(sys.modules[__name__])  # tests are no package that a worker could import
calls: deque[str] = deque()


@pytest.fixture(autouse=True)
def nothing_done():
    calls.clear()
    errors._warned.clear()


@pytest.fixture
def table(tmp_path):
    """Six subjects, each with a file that holds a number; the last is first."""
    rows = []
    for number in (5, 0, 1, 2, 3, 4):
        path = tmp_path / f"{number}.txt"
        path.write_text(str(number))
        rows.append((f"s{number}", "AB"[number % 2], str(path), number))
    return pd.DataFrame(rows, columns=["subject", "site", "image", "value"], index=range(10, 16))


def squared(row, *, times=1):
    calls.append(row["image"])
    with open(row["image"]) as stream:
        return {"square": times * int(stream.read()) ** 2}


def sick(row):
    if row["subject"] == "s1":
        raise DataError("no lung", expected="two", found="none", mend="look at\nit")
    if row["subject"] == "s3":
        raise ZeroDivisionError("by zero")
    if row["subject"] == "s4":
        raise MemoryError
    return row["value"]


def deadly(row):
    if row["subject"] == "s1":
        os.kill(os.getpid(), signal.SIGKILL)
    return row["value"]


def entries():
    return [one.path for one in space.held()]


def kept(table, step=squared, **options):
    return each(table, step, columns=["image"], **{"keep": True, "workers": 1, **options})


@pytest.mark.parametrize("workers", [1, 2, None])
def test_results_are_in_the_table_s_order_whatever_the_number_of_workers(table, workers):
    found = each(table, squared, workers=workers)
    assert [one["square"] for one in found.results] == [25, 0, 1, 4, 9, 16]
    assert found.failures.empty
    assert list(found.failures) == ["subject", "site", "problem"]
    whole = found.table("subject", "label")
    assert list(whole) == ["subject", "label", "square"]
    assert whole["subject"].tolist() == table["subject"].tolist()
    assert whole["label"].isna().all()


@pytest.mark.parametrize("workers", [1, 2])
def test_one_sick_subject_is_named_and_the_others_are_kept(table, workers):
    found = each(table, sick, workers=workers)
    assert found.results == [5, 0, 2]
    assert found.rows["subject"].tolist() == table["subject"][found.done].tolist()
    assert found.failures["subject"].tolist() == ["s1", "s3", "s4"]
    assert found.failures["site"].tolist() == ["B", "B", "A"]
    said = "no lung expected: two found: none to mend: look at it"
    assert found.failures["problem"][0] == said


def test_an_unforeseen_error_is_told_with_its_type_and_a_way_to_mend_it(table):
    problems = each(table, sick, workers=1).failures["problem"]
    assert problems[1].startswith("ZeroDivisionError: by zero to mend: look at the files")
    assert problems[2] == "not enough memory to mend: fewer workers, or more memory"


def test_a_cohort_of_the_sick_gives_empty_but_whole_tables(table):
    found = each(table.assign(subject=["s1", *"abcde"]).head(1), sick, workers=1)
    assert found.results == []
    assert list(found.table("subject", "site")) == ["subject", "site"]
    assert len(found.failures) == 1
    nobody = each(table.head(0), squared)
    assert (nobody.results, len(nobody.failures)) == ([], 0)


@pytest.mark.rest
def test_a_killed_worker_loses_only_its_subject(table):
    found = each(table, deadly, workers=2)
    assert found.results == [5, 0, 2, 3, 4]
    assert found.failures["subject"].tolist() == ["s1"]
    assert "a worker process was killed, most often for memory" in found.failures["problem"][0]


def test_progress_counts_every_subject_once(table):
    seen = []
    kept(table.tail(2))
    kept(table, progress=lambda *told: seen.append(told))
    assert [(done, total) for done, total, _ in seen] == [(k, 6) for k in range(1, 7)]
    assert {subject for _, _, subject in seen} == set(table["subject"])


def test_progress_is_a_line_of_text_where_it_has_a_beginning(table, capsys):
    each(table, sick, workers=1)
    assert capsys.readouterr().out == ""
    each(table, sick, workers=1, progress="squares")
    assert "squares: 6 of 6 subjects" in capsys.readouterr().out


# --- what is kept -------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_call_does_nothing_again(table, workers):
    first = kept(table, workers=workers)
    calls.clear()
    again = kept(table.assign(subject=[*"abcdef"], site="C"), workers=1)
    assert not calls
    assert again.results == first.results
    assert len(entries()) == 6


def test_another_file_or_parameter_or_version_is_not_taken_for_the_same(table):
    kept(table)
    calls.clear()
    with open(table["image"].iloc[2], "w") as stream:
        stream.write("12")
    assert kept(table).results[2] == {"square": 144}
    assert [*calls] == [table["image"].iloc[2]]
    assert kept(table, times=2).results[2] == {"square": 288}
    kept(table, keep="2")
    assert len(entries()) == 7 + 6 + 6


def test_other_code_of_the_step_is_not_taken_for_the_same(table, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for text in ("1", "2"):
        (tmp_path / "own_step.py").write_text(f"def step(row):\n    return {text}\n")
        sys.modules.pop("own_step", None)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        assert kept(table, __import__("own_step").step).results == [int(text)] * 6


def test_a_folder_without_a_slash_counts_by_what_is_in_it(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "P1").mkdir()
    one = pd.DataFrame({"subject": ["a"], "image": ["P1"]})
    for text in ("one", "another"):
        (tmp_path / "P1" / "slice").write_text(text)
        assert kept(one, listed).results == [text]


def listed(row):
    with open(f"{row['image']}/slice") as stream:
        return stream.read()


def test_failures_are_not_kept(table):
    os.remove(table["image"].iloc[1])
    found = kept(table)
    assert found.failures["problem"][0].startswith("FileNotFoundError: ")
    with open(table["image"].iloc[1], "w") as stream:
        stream.write("7")
    assert kept(table).results[1] == {"square": 49}


def test_a_damaged_result_is_made_again(table):
    first = kept(table)
    for path in entries():
        path.write_bytes(path.read_bytes()[:40])
    with pytest.warns(UserWarning, match="damaged"):
        assert kept(table).results == first.results
    assert len(calls) == 12


def test_a_full_disk_does_not_lose_what_was_computed(table, monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE", "/proc/nowhere")
    with pytest.warns(UserWarning, match="not kept"):
        assert len(kept(table).results) == 6


@pytest.mark.rest
def test_a_killed_call_goes_on_where_it_was(table, tmp_path, project):
    table.to_parquet(tmp_path / "table.parquet")
    (tmp_path / "own_step.py").write_text(
        "def step(row):\n    print('called')\n    return open(row['image']).read()\n"
    )
    script = """
        import os, signal, sys
        import pandas as pd
        from own_step import step
        from nextaim_kit.data.cohort.subjects import each

        def kill(done, total, subject):
            if done == int(sys.argv[1]):
                os.kill(os.getpid(), signal.SIGKILL)

        table = pd.read_parquet("table.parquet")
        print(each(table, step, columns=["image"], keep=True, workers=1, progress=kill).results)
    """
    told = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": f"{project}:{tmp_path}"}}
    ends = [
        subprocess.run([sys.executable, "-c", textwrap.dedent(script), at], **told,
                       capture_output=True, text=True)
        for at in ("2", "0")
    ]  # fmt: skip
    assert ends[0].returncode == -signal.SIGKILL
    assert ends[1].stdout.splitlines() == ["called"] * 4 + [str([*"501234"])]


# --- what does not end ---


def waiting(row, how):
    if row["value"] != 2:
        return row["value"]
    with suppress(Exception):  # as a reader does, which tells of damage
        if how == "pipe":
            return open(row["image"]).read()
        while True:
            time.sleep(0.01)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", ["pipe", "loop"])
def test_a_subject_that_takes_too_long_is_named_and_loses_no_other(
    tmp_path, monkeypatch, how, workers
):
    monkeypatch.setenv("NEXTAIM_SUBJECT_MINUTES", "0.02")
    os.mkfifo(tmp_path / "pipe")
    table = pd.DataFrame({"subject": list("abc"), "value": [1, 2, 3]})
    found = each(table.assign(image=str(tmp_path / "pipe")), waiting, workers=workers, how=how)
    assert found.results == [1, 3]
    assert found.failures["subject"].tolist() == ["b"]
    assert "not done in 0.02 minutes" in found.failures["problem"][0]


def deaf(row):
    if row["value"] == 2:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # as a library's own loop is
        time.sleep(60)
    return row["value"]


def test_a_worker_that_hears_nothing_is_ended_after_twice_the_time(monkeypatch):
    monkeypatch.setenv("NEXTAIM_SUBJECT_MINUTES", "0.01")
    table = pd.DataFrame({"subject": list("abc"), "value": [1, 2, 3]})
    found = each(table, deaf, workers=2)
    assert found.results == [1, 3]
    assert "or it took twice the minutes" in found.failures["problem"][0]


def test_minutes_that_are_no_time_are_refused(table, monkeypatch):
    monkeypatch.setenv("NEXTAIM_SUBJECT_MINUTES", "soon")
    with pytest.raises(RequestError, match="NEXTAIM_SUBJECT_MINUTES is no time"):
        each(table, squared, workers=1)


def test_an_alarm_that_was_set_before_still_comes():
    before = signal.signal(signal.SIGALRM, lambda *_: calls.append("came"))
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    with time_limit(10, expendable=False):
        pass
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    with time_limit(0.05, expendable=False), suppress(OutOfTime):
        time.sleep(0.2)
    time.sleep(0.3)
    signal.signal(signal.SIGALRM, before)
    assert list(calls) == ["came"]


# --- what is refused ----------------------------------------------------------------------------


def test_a_closure_is_a_step_and_one_that_cannot_be_pickled_is_refused(table):
    lock, more = threading.Lock(), 3
    assert each(table, lambda row: row["value"] + more, workers=2).results[0] == 8
    assert each(table, lambda row: (lock, 1)[1], workers=1).results == [1] * 6
    for step in (lambda row: (lock, 1)[1], lambda row: threading.Lock()):
        with pytest.raises(
            RequestError, match=r"cannot be sent to another process(.|\n)*workers=1"
        ):
            each(table, step, workers=2)


def test_a_closure_is_not_kept_unless_a_key_stands_for_it(table):
    with pytest.raises(RequestError, match="give key="):
        kept(table, lambda row: calls.append("called"))
    for _ in range(2):
        kept(table, lambda row: calls.append("called"), key="appends")
    assert len(calls) == 6


def test_a_table_without_a_column_or_with_a_subject_twice_is_refused(table):
    with pytest.raises(DataError, match="no column 'mask'"):
        each(table, squared, columns=["image", "mask"])
    with pytest.raises(DataError, match="no column 'subject'"):
        each(table.drop(columns="subject"), squared)
    with pytest.raises(RequestError, match="subject s5 is in the cohort twice"):
        each(pd.concat([table, table.head(1)]), squared)


def test_workers_are_bounded_by_memory_cores_and_subjects(table, monkeypatch):
    rows = [{"value": size} for size in (100, 500, 200)]
    monkeypatch.setattr(module.limits, "cpu_count", lambda: 8)
    monkeypatch.setattr(module.limits, "memory_available", lambda: 1100)
    assert module._count(rows, None, None) == 3
    assert module._count(rows, None, lambda row: row["value"]) == 2
    assert module._count(rows, None, lambda row: 10_000) == 1
    assert module._count(rows, 1, lambda row: pytest.fail("not asked for")) == 1
    with pytest.raises(RequestError, match="workers is out of bounds"):
        each(table, squared, workers=0)


def test_a_missing_value_is_none_and_numbers_are_python_s_own(table):
    table["value"] = pd.array([1, None, 3, 4, 5, 6], dtype="Int64")
    found = each(table, lambda row: row["value"], columns=["value"], workers=1)
    assert found.results == [1, None, 3, 4, 5, 6]
    assert not any(isinstance(one, np.generic) for one in found.results)


def test_the_example_is_true():
    assert doctest.testmod(module).failed == 0
