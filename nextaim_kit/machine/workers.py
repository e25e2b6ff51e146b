"""Many like tasks at once: on this machine's cores, or on the workers of a Dask scheduler.

Without further ado they run in processes of this machine. Where ``NEXTAIM_DASK`` holds the address
of a scheduler, the same calls run on its workers and give the same numbers::

    dask scheduler                                            # says its address
    dask worker tcp://host:8786 --nworkers 8 --nthreads 1     # on each machine
    NEXTAIM_DASK=tcp://host:8786 nextaim run ct_radiomics/severity

Under Slurm or HTCondor, dask-jobqueue (not a part of the kit) starts both::

    cluster = SLURMCluster(cores=8, processes=8, memory="32GB")   # or HTCondorCluster(..., disk=…)
    cluster.scale(jobs=4)
    os.environ["NEXTAIM_DASK"] = cluster.scheduler_address

Workers have this kit, this Python and one thread each. They open and write files by their paths:
images, and for synthetic twins the kit's cache (``NEXTAIM_CACHE``), must lie in a file system that
is shared. ``NEXTAIM_DASK_WAIT`` is how many seconds to wait for the scheduler's answer, and for
the first worker or for another when all are gone: 30.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any, Literal

from nextaim_kit.errors import RequestError, RunError
from nextaim_kit.machine.jobs import Job, WorkerKilled
from nextaim_kit.machine.limits import process_count
from nextaim_kit.machine.seeds import size_threads, thread_count

_LOOK = 0.2  # seconds from one look at the parent to the next
_START = 2.0  # seconds that processes take until they have imported what they need


def parallel(
    jobs: Iterable[Job],
    *,
    n_jobs: int | None = None,
    return_as: Literal["list", "generator_unordered"] = "list",
    batch_size: int | Literal["auto"] = "auto",
) -> Iterable[Any]:
    """Results of all jobs, by joblib's ``Parallel`` or by the workers of ``NEXTAIM_DASK``.

    Parameters
    ----------
    jobs : iterable of delayed calls
        As ``joblib.delayed`` makes them.
    n_jobs : int, optional
        Processes of this machine, by default its cores. They share the threads of this one, and
        end with it even where it is killed; 1 stays in this process. With ``NEXTAIM_DASK`` any
        other number stands for all workers of the scheduler.
    return_as : {"list", "generator_unordered"}
        In the order of the jobs, or as they come.
    batch_size : int or "auto"
        Jobs that one of this machine's processes takes at a time; a Dask worker takes one.

    Raises
    ------
    WorkerKilled
        If a worker died with its job. As they come, Dask gives the results of all others first.
    RunError
        If the scheduler cannot be reached, has no workers, is lost, or has a worker of another
        kit, Python or number of threads.
    RequestError
        If an environment variable is not what it should be.

    Examples
    --------
    >>> from joblib import delayed
    >>> parallel((delayed(abs)(n) for n in (-1, 2)), n_jobs=1)
    [1, 2]
    """
    address = scheduler()
    if address and n_jobs != 1:
        cluster = _cluster()
        return (
            cluster.in_order(address, jobs) if return_as == "list" else cluster.run(address, jobs)
        )
    from joblib import Parallel

    how: dict[str, Any] = {"return_as": return_as, "batch_size": batch_size}
    n_jobs = n_jobs or process_count()
    share = max(1, thread_count() // abs(n_jobs))
    how |= {"initializer": begin_under, "initargs": (os.getpid(), share)}
    pool = Parallel(n_jobs=n_jobs, **how)
    results = _here(pool, jobs)
    return list(results) if return_as == "list" else results


def parallel_when_long(jobs: Sequence[Job], *, n_jobs: int | None = None) -> Iterator[Any]:
    """Results of like jobs, as they come: by processes only where these are sooner.

    By default two jobs are done in this process, and all others too where starting processes
    would take longer than what they save.

    Parameters
    ----------
    jobs : sequence of delayed calls
    n_jobs : int, optional
        As for `parallel`, which says what is raised: so many from the first job on.
    """
    quickest, processes = float("inf"), process_count()
    for number, (work, args, keywords) in enumerate(jobs):
        saved = (len(jobs) - number) * quickest * (1 - 1 / processes)
        if n_jobs or scheduler() or (number > 1 and saved > _START):
            yield from parallel(jobs[number:], n_jobs=n_jobs, return_as="generator_unordered")
            return
        began = time.perf_counter()
        found = work(*args, **keywords)
        quickest = min(quickest, time.perf_counter() - began)
        yield found


def isolated(jobs: Sequence[Job], n_jobs: int) -> Iterator[tuple[int, Any]]:
    """Number and result of each job, as they come; a `WorkerKilled` for one that killed its worker.

    Parameters
    ----------
    jobs : sequence of delayed calls
    n_jobs : int
        As for `parallel`, which says what else is raised; 1 cannot survive a job that kills.
    """
    left = dict(enumerate(jobs))
    while left:
        with suppress(WorkerKilled):  # what is left then tells of whom
            for number, result in _numbered(left, n_jobs):
                del left[number]
                yield number, result
        # If any are left, a worker died. Its job is among the first ones, since they are handed
        # out in order: each of these gets a pool of its own, the others go on together.
        for number in list(left)[: 2 * n_jobs]:
            try:
                yield from _numbered({number: left.pop(number)}, 2)
            except WorkerKilled as error:
                yield number, error


def _numbered(jobs: Mapping[int, Job], n_jobs: int) -> Iterable[tuple[int, Any]]:
    numbered: list[Job] = [(_with_number, (number, *job), {}) for number, job in jobs.items()]
    return parallel(numbered, n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)


def _with_number(
    number: int, work: Callable[..., Any], args: tuple, keywords: dict[str, Any]
) -> tuple[int, Any]:
    return number, work(*args, **keywords)


def scheduler() -> str:
    """Address of the scheduler whose workers do the work; empty where it is this machine.

    Raises
    ------
    RequestError
        If it is no address.
    """
    address = os.environ.get("NEXTAIM_DASK", "").strip()
    port = re.fullmatch(r"(?:tcp|tls)://[^/@?\s]+:(\d{1,5})", address)
    if address and (port is None or not 0 < int(port[1]) < 2**16):
        secret = set("@?") & set(address)
        raise RequestError(
            "NEXTAIM_DASK is not the address of a Dask scheduler",
            expected="tcp://host:port or tls://host:port",
            found="something with a name, password or token" if secret else address,
            mend="give the address that `dask scheduler` says, or unset NEXTAIM_DASK",
        )
    return address


def begin_under(parent: int, threads: int) -> None:
    """Compute in so many threads, and end soon after the parent, which may be killed untold.

    Pools of as many threads as there are cores, in each of several processes, wait for one another
    and take many times as long. A worker that goes on after its parent would write into the
    folders of the run that takes the killed one's place.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(1)

    if os.getpid() != parent:  # a thread of it ends anyway
        os.environ["OMP_NUM_THREADS"] = str(threads)
        size_threads()
        threading.Thread(target=watch, daemon=True).start()


def _here(pool: Any, jobs: Iterable[Job]) -> Iterator[Any]:
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        yield from pool(jobs)
    except TerminatedWorkerError as error:
        raise WorkerKilled.since("a process of this machine ended before its task did") from error


def _cluster() -> ModuleType:
    try:
        from nextaim_kit.machine import cluster
    except ImportError as error:
        raise RunError(
            "NEXTAIM_DASK is set, but Dask cannot be imported",
            expected="the packages dask and distributed",
            found=str(error),
            mend='pip install "nextaim_kit[dask]", here and on the workers; or unset NEXTAIM_DASK',
        ) from error
    return cluster
