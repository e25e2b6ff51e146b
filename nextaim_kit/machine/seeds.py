"""Same seed, same machine, same numbers; and no more threads than cores."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nextaim_kit.errors import RequestError
from nextaim_kit.machine.limits import cpu_count

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and, if it is imported already, torch; size the thread pools.

    A notebook that imports torch later calls this again after the import. torch is set to
    deterministic algorithms, with a warning where an operation has none.

    Parameters
    ----------
    seed : int
        From 0 to 2**32 - 1.

    Raises
    ------
    RequestError
        If the seed is out of bounds.
    """
    if not 0 <= seed < 2**32:
        raise RequestError(
            "the seed is out of bounds", expected="an integer from 0 to 4294967295", found=str(seed)
        )
    random.seed(seed)
    np.random.seed(seed)
    # For processes started later: hashing and matrix products that repeat.
    os.environ["PYTHONHASHSEED"] = str(seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    size_threads()
    if "torch" in sys.modules:
        _seed_torch(sys.modules["torch"], seed)


def thread_count() -> int:
    """Threads that this process may have: the cores, or a lower ``OMP_NUM_THREADS``."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(cpu_count(), int(asked)) if asked.isdigit() and int(asked) > 0 else cpu_count()


def size_threads() -> int:
    """Hold thread pools, here and in processes started later, to the cores; give their size.

    Libraries ask the operating system, which in a container answers with the host's cores:
    many more threads than cores then wait for each other. A lower ``OMP_NUM_THREADS`` is kept.
    """
    from threadpoolctl import threadpool_limits

    threads = thread_count()
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    threadpool_limits(limits=threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    return threads


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread for a while: small sums end sooner, and are added in the same order.

    torch and SimpleITK have pools that `threadpoolctl` does not see; they are held too if they are
    imported. Of SimpleITK only the global number reaches what a registration is made of.
    """
    from threadpoolctl import threadpool_limits

    torch, itk = sys.modules.get("torch"), sys.modules.get("SimpleITK")
    pools = [(torch.get_num_threads, torch.set_num_threads)] if torch else []
    if itk:
        own = itk.ProcessObject
        pools.append((own.GetGlobalDefaultNumberOfThreads, own.SetGlobalDefaultNumberOfThreads))
    before = [(put, get()) for get, put in pools]
    try:
        for put, _ in before:
            put(1)
        with threadpool_limits(1):
            yield
    finally:
        for put, number in before:
            put(number)


def _seed_torch(torch: Any, seed: int) -> None:
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
