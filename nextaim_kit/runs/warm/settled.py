"""What a process takes from its caller once, at its start: there a fork must equal a cold process.

The server took these from its own caller, so it serves only callers that are alike; another has
another server or, where there are enough of them, a cold process. What is not settled here is
handed over to each fork by the server: files, folder, environment, chance, threads, time zone.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType
from typing import Any

# Read by the interpreter, by libraries in C, or by prefix: never asked for by name in Python.
_AT_START = re.compile(
    "PYTHON|LANG|LC_|LD_|GLIBC_|MALLOC_|GCONV|LOCPATH|OPENSSL|ACC_|ARROW_|JE_ARROW|DNNL_|ONEDNN_|"
    "FREETYPE_|FSSPEC_|GFORTRAN_|GOMP_|GOTO_|HDF5_|ITK_|KINETO_|KMP_|MKL|NPY_|OMP_|OPENBLAS_|"
    "PYTORCH_|RUST|SLURM_JOB_ID|THP_|TOKENIZERS_|TORCH_|TQDM_|NEXTAIM_WARM_IMPORTS"
)
# Read at import too, but again when needed, without a trace (a terminal's), or handed over to
# each fork. Libraries set the last four by themselves, so a caller that imported them has them.
_HANDED_OVER = re.compile(
    r"COLUMNS|LINES|TERM|PATH|_|JPY_\w+|JUPYTER_PREFER_ENV_PATH|LC_TERMINAL\w*|MPLBACKEND|"
    r"(OMP|MKL|OPENBLAS|GOTO)_NUM_THREADS|TE?MP|TMPDIR|KMP_DUPLICATE_LIB_OK|KMP_INIT_AT_FORK|"
    r"CUBLAS_WORKSPACE_CONFIG|TORCHINDUCTOR_CACHE_DIR"
)
_BAIT = "NEXTAIM_WARM_BAIT"  # nobody asks for it by name
_OF_STATUS = ("Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "CapInh", "CapPrm", "CapBnd",
              "CapAmb", "NoNewPrivs", "Seccomp", "Cpus_allowed", "Mems_allowed")  # fmt: skip
_OF_PROCESS = ("cgroup", "limits", "oom_score_adj", "personality", "timerslack_ns", "attr/current")


def inherited() -> dict[str, str]:
    """What a new process inherits from this one: umask, limits, niceness, groups and the like."""
    own = Path("/proc/thread-self")
    lines = [line.partition(":") for line in _text(own / "status").splitlines()]
    state = {name: value.strip() for name, _, value in lines if name in _OF_STATUS}
    # Python ignores these two by itself, and lets the processes that it starts hear them.
    deaf = int(state.get("SigIgn", "0"), 16)
    state["SigIgn"] = f"{deaf & ~(1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1):x}"
    state |= {name: _text(Path("/proc/self", name)) for name in _OF_PROCESS}
    state["niceness"] = str(os.getpriority(os.PRIO_PROCESS, 0))
    state["scheduling"] = str(os.sched_getscheduler(0))
    return state | {f"ns/{one.name}": os.readlink(one) for one in sorted((own / "ns").iterdir())}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # not of this kernel
        return ""


def read_by(work: Callable[[], None]) -> set[str]:
    """Names of the environment's variables that some work reads, be they there or not.

    Code that goes through all of them, as to copy them, reads none.
    """
    kind: Any = type(os.environ)
    read, readers = kind.__getitem__, defaultdict[str, set[CodeType]](set)

    def noted(self: Any, name: str) -> str:
        frame: Any = sys._getframe(1)
        while frame.f_globals.get("__name__") in ("_collections_abc", "os"):
            frame = frame.f_back
        readers[os.fsdecode(name)].add(frame.f_code)  # who looks for a program asks in bytes
        return read(self, name)

    os.environ[_BAIT], kind.__getitem__ = "", noted
    try:
        work()
    finally:
        kind.__getitem__ = read
        del os.environ[_BAIT]
    walkers = readers.pop(_BAIT, set())
    return {name for name, who in readers.items() if who - walkers}


def difference(
    here: tuple[Mapping[str, str], Mapping[str, str]],
    there: tuple[Mapping[str, str], Mapping[str, str]],
    read: set[str],
) -> str:
    """Name what settles two processes otherwise; empty where they are alike.

    Parameters
    ----------
    here, there : tuple of two mappings
        What each inherited, and its environment.
    read : set of str
        Variables that `here` read at its imports.
    """
    for name in sorted(here[0].keys() | there[0].keys()):
        if here[0].get(name) != there[0].get(name):
            return name
    for name in sorted(read | set(filter(_AT_START.match, {*here[1], *there[1]}))):
        if here[1].get(name) != there[1].get(name) and not _HANDED_OVER.fullmatch(name):
            return name
    return ""
