"""How a headless run speaks with its kernel: through sockets in a folder of the user's own.

A port that Jupyter chose is free until the kernel binds it, a second later. Where many runs start
at once, or others work on the machine, another process takes one now and then, and the run ends
with "Address already in use". A port is open to everybody on the machine, too: what a kernel
prints goes over it unencrypted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nextaim_kit.errors import RunError
from nextaim_kit.runs.warm.place import own_folder

_OWNER = "kernel-of-{}-"  # a folder says which process uses it


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
        yield Config(KernelManager=chosen)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder of this process alone; those of processes that were killed go."""
    place = own_folder()
    for left in place.glob(_OWNER.format("*") + "*"):
        if not Path("/proc", left.name.split("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    prefix = _OWNER.format(os.getpid())
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=place, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _try_socket(folder: Path) -> None:
    """Bind a socket whose name is as long as the kernel's will be."""
    with socket.socket(socket.AF_UNIX) as trial:
        trial.bind(str(folder / "kernel-ipc-0"))
