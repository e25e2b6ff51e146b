"""Work spread over Dask's workers gives the local numbers, and says what is wrong with them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial

import dask
import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster
from joblib import delayed

from nextaim_kit.errors import DataError, RequestError, RunError
from nextaim_kit.files import sha256_of
from nextaim_kit.learn import nested
from nextaim_kit.learn.harmonization import ComBat
from nextaim_kit.learn.method import Method
from nextaim_kit.learn.nested import nested_cv
from nextaim_kit.learn.splits import leave_one_site_out
from nextaim_kit.machine import cluster as remote
from nextaim_kit.machine.jobs import WorkerKilled
from nextaim_kit.machine.workers import parallel, parallel_when_long, scheduler
from nextaim_kit.studies.ct_radiomics import extraction, twin
from nextaim_kit.studies.ct_radiomics.extraction import extract_cohort
from nextaim_kit.studies.ct_radiomics.subject import extract_subject

pytestmark = pytest.mark.rest

UNORDERED = "generator_unordered"


@contextmanager
def scheduled(**options) -> Iterator[LocalCluster]:
    """A scheduler with workers; the kit's connection to it ends first."""
    quietly = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(**quietly, **options) as cluster:
        yield cluster
        remote.disconnect()


@pytest.fixture
def small(monkeypatch):
    """Schedulers whose workers are threads of this process, to which the work goes."""
    with ExitStack() as stack:

        def start(n_workers=1, threads_per_worker=1):
            size = {"n_workers": n_workers, "threads_per_worker": threads_per_worker}
            cluster = scheduled(processes=False, protocol="tcp", **size)
            started = stack.enter_context(cluster)
            monkeypatch.setenv("NEXTAIM_DASK", started.scheduler_address)
            return started

        yield start


@pytest.fixture(scope="module")
def address():
    """Scheduler of two worker processes; a task may cost two of them before it is blamed."""
    soon = {"scheduler.allowed-failures": 1, "comm.timeouts.connect": "5s"}
    soon = {f"distributed.{name}": value for name, value in soon.items()}
    with dask.config.set(soon), scheduled(n_workers=2, threads_per_worker=1) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def spread(address, monkeypatch):
    """Work goes to the two workers."""
    monkeypatch.setenv("NEXTAIM_DASK", address)


@pytest.fixture
def here(monkeypatch):
    """Calls a function without Dask, in this process."""

    def call(work, *args, **options):
        with monkeypatch.context() as patch:
            patch.delenv("NEXTAIM_DASK", raising=False)
            return work(*args, **options)

    return call


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Four patients of the synthetic twin, made in this process."""
    return made(tmp_path_factory.mktemp("twin"), workers=1)


def made(folder, **options) -> pd.DataFrame:
    few = replace(twin.twin(1), counts={"Milan": (1, 1), "Pisa": (1, 1)})
    return few.make(4, folder=folder, progress=quiet, **options)


def quiet(done, total, subject):
    pass


def table(n=60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    label = np.arange(n) % 2
    values = rng.normal(size=(n, 6)) + 0.8 * label[:, None] * (np.arange(6) < 2)
    beside = {"subject": [f"P{k:02d}" for k in range(n)], "label": label}
    sites = [f"S{k % 3}" for k in range(n)]
    return pd.DataFrame(values, columns=[f"f{k}" for k in range(6)]).assign(site=sites, **beside)


def validate(**options):
    how = {name: options.pop(name) for name in ("model", "combat") if name in options}
    method = Method(selectors=("mrmr", "xgboost"), ks=(1, 3), inner=2, **how)
    return nested_cv(table(), [f"f{k}" for k in range(6)], method, **{"outer": 3, **options})


def pid_after(seconds=0.0) -> int:
    time.sleep(seconds)
    return os.getpid()


def pids(**options) -> set[int]:
    return set(parallel([delayed(os.getpid)() for _ in range(4)], **options))


def test_short_jobs_are_done_here_and_longer_ones_by_processes_after_two(monkeypatch):
    jobs = [delayed(os.getpid)() for _ in range(8)]
    assert list(parallel_when_long(jobs)) == [os.getpid()] * 8
    assert os.getpid() not in parallel_when_long(jobs, n_jobs=2)
    monkeypatch.delenv("CPU_LIMIT", raising=False)
    monkeypatch.setattr("nextaim_kit.machine.workers._START", -1.0)
    found = list(parallel_when_long(jobs))
    assert [pid == os.getpid() for pid in found] == [True] * 2 + [False] * 6


@pytest.mark.parametrize("model", ["xgboost", "logistic"])
def test_nested_cross_validation_gives_the_local_numbers(model, spread, here):
    ours, theirs = (
        validate(model=model, repeats=2),
        here(validate, model=model, repeats=2, n_jobs=1),
    )
    pd.testing.assert_frame_equal(ours.predictions, theirs.predictions, check_exact=True)
    pd.testing.assert_frame_equal(ours.chosen, theirs.chosen, check_exact=True)
    assert ours.selected == theirs.selected


def test_extraction_gives_the_local_tables(cohort, spread, here):
    options = {"progress": quiet, "cache": False}
    ours = extract_cohort(cohort, **options)
    theirs = here(extract_cohort, cohort, workers=1, **options)
    assert len(ours[0]) == 4
    pd.testing.assert_frame_equal(ours[0], theirs[0], check_exact=True)
    pd.testing.assert_frame_equal(ours[1], theirs[1])


def test_twins_are_the_same_files(cohort, spread, tmp_path):
    ours = made(tmp_path)
    for name in ("image", "mask", "lungs"):
        assert [*map(sha256_of, ours[name])] == [*map(sha256_of, cohort[name])]


def test_twins_that_lie_where_this_machine_does_not_see_them_are_refused(spread, tmp_path):
    def nothing(drawn, rng, paths):
        pass

    unseen = replace(twin.twin(1), counts={"Milan": (1, 1)}, write=partial(nothing))
    with pytest.raises(DataError, match=r"does not see it\n.*2 files in(.|\n)*set NEXTAIM_CACHE"):
        unseen.make(2, folder=tmp_path, progress=quiet)


def test_a_killed_worker_costs_only_its_own_subject(cohort, spread, monkeypatch):
    culprit = cohort["subject"].iloc[1]

    def kills(row, settings):  # nested: sent to the workers by value
        if culprit in row["image"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return extract_subject(row, settings)

    monkeypatch.setattr(extraction, "extract_subject", kills)
    features, failures = extract_cohort(cohort, progress=quiet, cache=False)
    assert [*features["subject"]] == [*cohort["subject"].drop(cohort.index[1])]
    assert failures["subject"].tolist() == [culprit]
    assert failures["problem"].str.startswith("a worker process was killed, most often").all()


@pytest.mark.parametrize("where", ["spread", "here"])
def test_a_killed_worker_ends_nested_cross_validation_with_a_clear_error(
    where, request, monkeypatch
):
    request.getfixturevalue(where)

    def outer(*task):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(nested, "outer_fold", outer)
    with pytest.raises(RunError, match=r"a worker process was killed(.|\n)*give each worker more"):
        validate(n_jobs=2)


def test_all_other_results_come_before_a_killed_worker_is_told(spread):
    def work(number):
        if number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    found = []
    with pytest.raises(WorkerKilled):
        found.extend(parallel([delayed(work)(n) for n in (0, 1, 2, 3, 4, 5)], return_as=UNORDERED))
    assert len(found) >= 3  # those that waited at the same worker may be blamed with it


def test_workers_end_with_a_process_that_is_killed(tmp_path):
    code = (
        "import os, sys, time; from pathlib import Path; from joblib import delayed\n"
        "from nextaim_kit.machine.workers import parallel\n"
        "def work(here): Path(here, str(os.getpid())).touch(); time.sleep(60)\n"
        "parallel([delayed(work)(sys.argv[1])] * 2, n_jobs=2)"
    )
    clean = {name: value for name, value in os.environ.items() if name != "NEXTAIM_DASK"}
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env=clean, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: len(list(tmp_path.iterdir())) == 2)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    parent.kill()
    parent.wait()
    until(lambda: not any(map(alive, workers)))


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def until(met, seconds=20.0) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


def test_an_error_of_the_work_itself_is_raised_as_it_is(spread):
    def work():
        raise TimeoutError("of the work")

    with pytest.raises(TimeoutError, match="of the work"):
        list(parallel([delayed(work)()], return_as=UNORDERED))
    with pytest.raises(DataError, match=r"has not seen the site 'S\d'"):
        validate(splits=leave_one_site_out(table()), combat=ComBat())


def test_what_is_left_is_canceled_when_one_fails(spread, address, tmp_path):
    def work(number):
        if number == 0:
            raise ValueError("first")
        time.sleep(0.2)
        (tmp_path / str(number)).touch()

    with pytest.raises(ValueError, match="first"):
        parallel([delayed(work)(number) for number in range(200)])
    parallel([delayed(time.sleep)(0.4) for _ in range(2)])
    assert len(list(tmp_path.iterdir())) < 100


def test_results_keep_the_order_of_the_jobs_or_come_as_they_are_done(spread):
    jobs = [delayed(pow)(n, 2) for n in range(20)]
    assert parallel(jobs) == [n * n for n in range(20)]
    assert sorted(parallel(jobs, return_as=UNORDERED)) == [n * n for n in range(20)]


def test_workers_do_the_work_unless_one_process_is_asked_for(spread):
    assert os.getpid() not in pids()
    assert os.getpid() not in pids(n_jobs=2)
    assert pids(n_jobs=1) == {os.getpid()}


def test_a_worker_computes_with_one_thread(spread):
    def threads():
        from threadpoolctl import threadpool_info

        np.ones((2, 2)) @ np.ones((2, 2))
        return max(pool["num_threads"] for pool in threadpool_info())

    assert parallel([delayed(threads)() for _ in range(2)]) == [1, 1]


def test_processes_of_this_machine_share_its_threads(monkeypatch):
    def threads():
        from scipy.linalg import solve
        from threadpoolctl import threadpool_info

        solve(np.eye(2), np.ones(2))
        return max(pool["num_threads"] for pool in threadpool_info())

    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # as a run sets them
        monkeypatch.setenv(variable, "2")
    monkeypatch.setattr("nextaim_kit.machine.seeds.cpu_count", lambda: 2)
    assert parallel([delayed(threads)() for _ in range(2)], n_jobs=2) == [1, 1]


def test_one_connection_serves_all_calls(spread, address):
    assert remote.connected(address) is remote.connected(address)


def test_after_disconnecting_the_next_call_connects_anew(spread, address):
    client = remote.connected(address)
    remote.disconnect()
    assert client.status == "closed"
    assert parallel([delayed(abs)(-1)]) == [1]


def test_dask_is_not_imported_unless_it_is_asked_for():
    code = (
        "import sys; from joblib import delayed; from nextaim_kit.machine.workers import parallel;"
        "parallel([delayed(abs)(1)], n_jobs=1); assert not {'dask', 'distributed'} & {*sys.modules}"
    )
    clean = {name: value for name, value in os.environ.items() if name != "NEXTAIM_DASK"}
    subprocess.run([sys.executable, "-c", code], check=True, env=clean)


@pytest.mark.parametrize(
    "text", ["scheduler", "http://host:1", "tcp://host", "tcp://host:99999", "tcp://host:1/path"]
)
def test_what_is_no_address_is_refused(text, monkeypatch):
    monkeypatch.setenv("NEXTAIM_DASK", text)
    with pytest.raises(RequestError, match=rf"tcp://host:port or tls(.|\n)*found: +{text}\n"):
        validate()


@pytest.mark.parametrize("text", ["tcp://me:secret@host:1", "tcp://host:1?token=secret"])
def test_a_secret_in_the_address_is_not_told(text, monkeypatch):
    monkeypatch.setenv("NEXTAIM_DASK", text)
    with pytest.raises(RequestError, match="name, password or token") as said:
        scheduler()
    assert "secret" not in str(said.value)


@pytest.mark.parametrize("text", ["soon", "-1", "0", "inf"])
def test_a_wait_that_is_no_time_is_refused(text, spread, monkeypatch):
    monkeypatch.setenv("NEXTAIM_DASK_WAIT", text)
    with pytest.raises(RequestError, match=rf"NEXTAIM_DASK_WAIT is not a time\n.*\n.*{text}"):
        parallel([delayed(abs)(1)])


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch):
    monkeypatch.setenv("NEXTAIM_DASK", "tcp://127.0.0.1:1")
    monkeypatch.setenv("NEXTAIM_DASK_WAIT", "0.5")
    with pytest.raises(RunError, match=r"127.0.0.1:1 .* cannot be reached\n.*within 0.5 s"):
        parallel([delayed(abs)(1)])


@pytest.mark.parametrize(("says", "found"), [(b"", "TimeoutError"), (b"SSH-2.0-x\r\n", "another")])
def test_another_server_at_the_address_is_told(says, found, monkeypatch):
    monkeypatch.setenv("NEXTAIM_DASK_WAIT", "0.5")
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
        monkeypatch.setenv("NEXTAIM_DASK", f"tcp://127.0.0.1:{server.getsockname()[1]}")
        told = pool.submit(pytest.raises, RunError, parallel, [delayed(abs)(1)])
        with server.accept()[0] as visitor:
            visitor.sendall(says)
            assert f"found:    {found}" in str(told.result().value)


def test_a_scheduler_without_workers_is_told_after_a_bounded_wait(small, monkeypatch):
    monkeypatch.setenv("NEXTAIM_DASK_WAIT", "0.5")
    small(n_workers=0)
    with pytest.raises(RunError, match=r"has no workers\n.*one within 0.5 s"):
        parallel([delayed(abs)(1)])


def test_workers_that_all_go_are_told(small, monkeypatch):
    monkeypatch.setenv("NEXTAIM_DASK_WAIT", "0.5")
    monkeypatch.setattr(remote, "_PAUSE", 0.5)
    cluster = small()
    slow = parallel([delayed(pid_after)(s) for s in (0, 2, 2)], return_as=UNORDERED)
    next(slow)
    cluster.scale(0)
    with pytest.raises(RunError, match="has no workers"):
        list(slow)


def test_a_scheduler_that_goes_is_told(small):
    cluster = small()
    slow = parallel([delayed(pid_after)(s) for s in (0, 1, 1)], return_as=UNORDERED)
    next(slow)
    cluster.close()
    with pytest.raises(RunError, match="was lost"):
        list(slow)


def test_a_worker_with_several_threads_is_refused(small):
    small(threads_per_worker=2)
    with pytest.raises(RunError, match=r"worker: 1\n.*worker: 2, on (.|\n)*--nthreads 1"):
        parallel([delayed(abs)(1)])


def test_a_worker_with_another_kit_is_refused(spread, monkeypatch):
    there = re.escape(remote.kit_version())
    monkeypatch.setattr(remote, "kit_version", lambda: "99.1")
    with pytest.raises(RunError, match=rf"not like this.*\n.*kit 99\.1,.*\n.*kit {there}, Python"):
        parallel([delayed(abs)(1)])


def test_a_worker_with_another_python_is_refused(spread, monkeypatch):
    monkeypatch.setattr(remote.platform, "python_version_tuple", lambda: ("3", "99", "0"))
    there = ".".join(map(str, sys.version_info[:2]))
    with pytest.raises(RunError, match=rf"Python 3\.99,.*\n.*Python {there},"):
        parallel([delayed(abs)(1)])


def test_a_worker_without_the_kit_is_refused():
    class Failed:
        def result(self, timeout):
            raise ModuleNotFoundError("No module named 'nextaim_kit'", name="nextaim_kit")

    with pytest.raises(RunError, match=r"not like this process\n(.|\n)*found: +no nextaim_kit"):
        remote._result(None, Failed())


def test_a_result_that_was_lost_with_its_worker_is_not_waited_for_without_workers(monkeypatch):
    class Lost:
        status = "pending"  # again: the scheduler knows nobody who has it

        def result(self, timeout):
            raise TimeoutError

    def none(client):
        raise RunError("the Dask scheduler has no workers")

    monkeypatch.setattr(remote, "_await_workers", none)
    with pytest.raises(RunError, match="has no workers"):
        remote._result(None, Lost())


def test_without_dask_the_error_says_what_to_install(spread, monkeypatch):
    monkeypatch.setitem(sys.modules, "nextaim_kit.machine.cluster", None)
    monkeypatch.delattr("nextaim_kit.machine.cluster")
    with pytest.raises(
        RunError, match=r"cannot be imported\n(.|\n)*pip install .nextaim_kit\[dask\]"
    ):
        parallel([delayed(abs)(1)])
