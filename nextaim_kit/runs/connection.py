"""How a headless run speaks with its kernel: through sockets in a folder of the user's own.

A port that Jupyter chose is free until the kernel binds it, a second later. Where many runs start
at once, or others work on the machine, another process takes one now and then, and the run ends
with "Address already in use". A port is open to everybody on the machine, too: what a kernel
prints goes over it unencrypted.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nextaim_kit.errors import RunError
from nextaim_kit.runs.warm.place import own_folder

_PREFIX, _LOCK = "kernel-", "in use"
_CLIENT = "nextaim_kit.runs.kernel_client.ReadyClient"


@contextlib.contextmanager
def kernel_connection() -> Iterator[Any]:
    """What a kernel's manager is to be told, as a configuration of traitlets.

    Where no socket can be made, as in a folder whose path is too long for one, it says nothing and
    Jupyter chooses ports.
    """
    from traitlets.config import Config

    with contextlib.ExitStack() as stack:
        chosen = {}
        with contextlib.suppress(OSError, RunError):
            folder = stack.enter_context(_folder())
            _try_socket(folder)
            chosen = {"transport": "ipc", "connection_file": str(folder / "kernel.json")}
        yield Config(KernelManager=chosen, AsyncKernelManager={"client_class": _CLIENT})


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder of this run alone, locked while it is used; those of runs that were killed go."""
    place = own_folder()
    with contextlib.ExitStack() as stack:
        with open(place / "kernels.lock", "w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)  # a folder that is just made is not locked yet
            for left in place.glob(_PREFIX + "*"):
                _remove_unused(left)
            made = tempfile.TemporaryDirectory(
                prefix=_PREFIX, dir=place, ignore_cleanup_errors=True
            )
            folder = Path(stack.enter_context(made))
            held = stack.enter_context(open(folder / _LOCK, "w"))
            fcntl.flock(held, fcntl.LOCK_EX)
        yield folder


def _remove_unused(folder: Path) -> None:
    """Remove the folder of a run that has ended, which no longer holds its lock."""
    with contextlib.suppress(OSError), open(folder / _LOCK, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an error where it is in use
        shutil.rmtree(folder, ignore_errors=True)


def _try_socket(folder: Path) -> None:
    """Bind a socket whose name is as long as the kernel's will be."""
    with socket.socket(socket.AF_UNIX) as trial:
        trial.bind(str(folder / "kernel-ipc-0"))
