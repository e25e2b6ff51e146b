"""Where the warm server of this environment listens, and how it is spoken to."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import nextaim_kit
from nextaim_kit import errors

KERNEL = "nextaim-warm"  # the kernel's name, and its provisioner's
# What a process cannot change after its start: for other values there is another server.
_FIXED = (
    "PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONWARNINGS", "PYTHONOPTIMIZE",
    "NEXTAIM_WARM_IMPORTS", "SLURM_JOB_ID",
)  # fmt: skip


def socket_path() -> Path:
    """Socket of the server for this interpreter, its installed packages and fixed environment.

    Raises
    ------
    RunError
        If the folder that holds it is another user's, or open to others.
    """
    own = [nextaim_kit.__file__, errors.__file__, *Path(__file__).parent.glob("*.py")]
    files = [sysconfig.get_path("purelib"), *own]
    states = sorted(f"{file} {os.stat(file).st_mtime_ns}" for file in map(str, files))
    cores = str(sorted(os.sched_getaffinity(0)))  # a fork keeps the server's
    parts = [sys.executable, cores, *states, *(os.environ.get(name, "") for name in _FIXED)]
    name = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
    return _own_folder() / f"{name}.sock"


def say(connection: socket.socket, **words: Any) -> None:
    """Send one message."""
    connection.sendall(json.dumps(words).encode() + b"\n")


def _own_folder() -> Path:
    root = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    folder = root / f"nextaim-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise errors.RunError(
            f"{folder} is not this user's alone",
            expected="a folder with the rights 0700",
            mend="remove it, or set XDG_RUNTIME_DIR",
        )
    return folder
