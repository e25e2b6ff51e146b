"""Where the warm servers of this environment listen, and how they are spoken to."""

from __future__ import annotations

import hashlib
import json
import os
import site
import socket
import stat
import sys
import sysconfig
from pathlib import Path
from typing import Any

import nextaim_kit
from nextaim_kit import errors

KERNEL = "nextaim-warm"  # the kernel's name, and its provisioner's
_MOST = 3  # servers of one user at a time, each for another kind of caller


def socket_paths() -> list[Path]:
    """Sockets of the servers for this interpreter and its installed packages.

    Raises
    ------
    RunError
        If the folder that holds them is another user's, or open to others.
    """
    packages = filter(os.path.exists, [sysconfig.get_path("purelib"), site.getusersitepackages()])
    files = [*packages, *own_files()]
    states = sorted(f"{file} {os.stat(file).st_mtime_ns}" for file in map(str, files))
    name = hashlib.sha256(json.dumps([sys.executable, *states]).encode()).hexdigest()[:12]
    folder = own_folder()
    return [folder / f"{name}-{number}.sock" for number in range(_MOST)]


def own_files() -> list[str | Path]:
    """Files of the kit that a server imports: who has others has another server."""
    here = Path(__file__).parent
    pages = here.parent / "pages" / "__init__.py"
    return [nextaim_kit.__file__, errors.__file__, pages, *here.glob("*.py")]


def say(connection: socket.socket, **words: Any) -> None:
    """Send one message."""
    connection.sendall(json.dumps(words).encode() + b"\n")


def _temporary() -> str:
    import tempfile  # takes as long as all else that a client imports

    return tempfile.gettempdir()


def own_folder() -> Path:
    """A folder for sockets that nobody else enters.

    Raises
    ------
    RunError
        If it is another user's, or open to others.
    """
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or _temporary()) / f"nextaim-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise errors.RunError(
            f"{folder} is not this user's alone",
            expected="a folder with the rights 0700",
            mend="remove it, or set XDG_RUNTIME_DIR",
        )
    return folder
