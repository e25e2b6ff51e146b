"""Jobs on the workers of a Dask scheduler; `workers` says how it is used, and alone imports this.

joblib has a backend for Dask, but waits in it without end for a task whose worker was killed.
"""

from __future__ import annotations

import atexit
import math
import os
import platform
import socket
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any
from uuid import uuid4

from cloudpickle import dumps, loads
from dask.utils import funcname
from distributed import CancelledError, Client, Future, KilledWorker, Security, get_worker, wait
from distributed.comm import connect
from distributed.utils import LoopRunner, sync
from threadpoolctl import threadpool_limits

from nextaim_kit.errors import RequestError, RunError
from nextaim_kit.machine.jobs import Job, WorkerKilled
from nextaim_kit.machine.kit import kit_version

_PAUSE = 5.0  # seconds between two looks whether there are workers
_clients: dict[str, Client] = {}


def in_order(address: str, jobs: Iterable[Job]) -> list[Any]:
    """Results in the order of the jobs; a killed worker ends it at once."""
    pairs = _spread(connected(address), jobs, at_once=True)
    return [result for _, result in sorted(pairs, key=itemgetter(0))]


def run(address: str, jobs: Iterable[Job]) -> Iterator[Any]:
    """Results as they come; if a worker was killed, that is told after all others."""
    pairs = _spread(connected(address), jobs, at_once=False)
    return (result for _, result in pairs)


def connected(address: str) -> Client:
    """The connection of this process, made once, to a scheduler that has workers."""
    client = _clients.get(address)
    if client is None or client.status != "running":
        client = _clients[address] = _connect(address)
    _await_workers(client)
    return client


@atexit.register
def disconnect() -> None:
    """Close this process's connections; of use before a cluster that it started itself ends."""
    while _clients:
        _clients.popitem()[1].close()


def _spread(client: Client, jobs: Iterable[Job], at_once: bool) -> Iterator[tuple[int, Any]]:
    """Number and result of each job, as they come; what is left when that ends is canceled."""
    left = {_submit(client, job): number for number, job in enumerate(jobs)}
    killed = None
    try:
        while left:
            for future in _done(client, list(left)):
                number = left.pop(future)
                try:
                    result = _result(client, future)
                except KilledWorker as error:
                    killed = error
                else:
                    yield number, result
            if killed and (at_once or not left):
                raise WorkerKilled.since(str(killed).partition(" Inspecting")[0]) from killed
    finally:
        if left and client.status == "running":
            client.cancel(list(left))


def _submit(client: Client, job: Job) -> Future:
    # Pickled here, and opened by the worker only when it is known to have the same kit.
    key = f"{funcname(job[0])}-{uuid4().hex}"
    return client.submit(_on_worker, _environment(1), dumps(job), key=key, pure=False)


def _on_worker(expected: str, pickled: bytes) -> Any:
    found = _environment(get_worker().state.nthreads)
    if found != expected:
        raise _unlike(expected, f"{found}, on {socket.gethostname()}")
    # As in joblib's processes: sums in another order would change the last digits.
    with threadpool_limits(1):
        work, args, keywords = loads(pickled)
        return work(*args, **keywords)


def _environment(threads: int) -> str:
    """What must be the same on both sides for the numbers to be the same."""
    python = ".".join(platform.python_version_tuple()[:2])
    return f"nextaim_kit {kit_version()}, Python {python}, threads of a worker: {threads}"


def _done(client: Client, futures: list[Future]) -> set[Future]:
    """Those that are done; empty where there was only a look at the workers."""
    try:
        with client.as_current():
            return wait(futures, timeout=_PAUSE, return_when="FIRST_COMPLETED").done
    except TimeoutError:
        _await_workers(client)
        return set()
    except CancelledError as error:
        raise _lost(client) from error


def _result(client: Client, future: Future) -> Any:
    try:
        while True:
            try:
                return future.result(timeout=_PAUSE)
            except TimeoutError:
                if future.status == "error":  # of the work itself
                    raise
                _await_workers(client)  # the worker that had the result was lost
    except CancelledError as error:
        raise _lost(client) from error
    except ImportError as error:
        if not (error.name or "").startswith("nextaim_kit"):
            raise
        raise _unlike(_environment(1), f"no {error.name}, or another version of it") from error


def _connect(address: str) -> Client:
    patience = _patience()
    try:
        _greet(address, patience)
        return Client(address, timeout=patience, set_as_default=False, name="nextaim_kit")
    except (OSError, ValueError, MemoryError) as error:
        other = isinstance(error, MemoryError)  # an answer of another kind, read as a huge number
        raise RunError(
            f"the Dask scheduler at {address} (NEXTAIM_DASK) cannot be reached",
            expected=f"an answer within {patience:g} s (NEXTAIM_DASK_WAIT)",
            found="another server" if other else f"{type(error).__name__}: {error}",
            mend="start it with `dask scheduler`, open its port, or unset NEXTAIM_DASK",
        ) from error


def _greet(address: str, patience: float) -> None:
    # Dask's client would wait without end where something takes the connection and says nothing.
    async def greet() -> None:
        options = Security().get_connection_args("client")
        (await connect(address, timeout=patience, **options)).abort()

    runner = LoopRunner()
    runner.start()
    try:
        sync(runner.loop, greet, callback_timeout=patience)
    finally:
        runner.stop()


def _await_workers(client: Client) -> None:
    patience = _patience()
    try:
        client.wait_for_workers(1, timeout=patience)
    except TimeoutError as error:
        raise RunError(
            f"the Dask scheduler at {client.scheduler.address} (NEXTAIM_DASK) has no workers",
            expected=f"one within {patience:g} s (NEXTAIM_DASK_WAIT)",
            found="none",
            mend="start some with `dask worker`, look whether their jobs still wait in the queue, "
            "or set NEXTAIM_DASK_WAIT to more seconds",
        ) from error


def _patience() -> float:
    """Seconds to wait for the scheduler, and for a worker of it."""
    given = os.environ.get("NEXTAIM_DASK_WAIT", "").strip() or "30"
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise RequestError(
            "NEXTAIM_DASK_WAIT is not a time", expected="seconds, such as 30", found=given
        )
    return seconds


def _unlike(expected: str, found: str) -> RunError:
    return RunError(
        "a Dask worker is not like this process",
        expected=expected,
        found=found,
        mend="start all workers from this environment, with --nthreads 1 and as many --nworkers "
        "as cores (dask-jobqueue: processes equal to cores)",
    )


def _lost(client: Client) -> RunError:
    return RunError(
        f"the Dask scheduler at {client.scheduler.address} (NEXTAIM_DASK) was lost",
        expected="a scheduler that lives until the work is done",
        found="tasks that it no longer knows",
        mend="start it again and repeat the call; what is in the kit's cache is not done again",
    )
