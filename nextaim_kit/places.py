"""Paths that a user names, by an option or a variable: resolved once, where the user stands."""

from __future__ import annotations

import os
from pathlib import Path

from nextaim_kit.errors import RequestError

# Variables that name folders; the mirror may be an address as well.
VARIABLES = (
    "NEXTAIM_CACHE", "NEXTAIM_DATA", "NEXTAIM_MANIFESTS", "NEXTAIM_MIRROR", "NEXTAIM_NOTEBOOKS",
    "NEXTAIM_PROGRESS", "NEXTAIM_REAL", "NEXTAIM_RUNS",
)  # fmt: skip


def placed(path: str | Path) -> Path:
    """A path as an absolute one, ``~`` written out; a relative one counts from `here`.

    Raises
    ------
    RequestError
        If it is empty, or the home that it speaks of is not known.
    """
    whole = os.path.expanduser(path)
    if not str(path).strip() or whole.startswith("~"):
        raise RequestError(
            "a path cannot be resolved",
            expected="a file or folder; ~ where this user has a home",
            found=repr(str(path)),
            mend="give the whole path, from / on",
        )
    return Path(whole) if os.path.isabs(whole) else Path(here(), whole)


def here() -> str:
    """Folder in which the user stands.

    A kernel's own folder is its notebook's: there it is that of the shell Jupyter was started in.
    """
    shell = os.environ.get("PWD", "") if "JPY_PARENT_PID" in os.environ else ""
    try:
        return shell if os.path.isdir(shell) else os.getcwd()
    except OSError as error:
        raise RequestError("the current folder is gone", mend="cd to one that is there") from error


def folder(variable: str, default: Path) -> Path:
    """Folder that an environment variable names, or the default where it is not set."""
    return placed(os.environ.get(variable) or default)


def absolute() -> dict[str, str]:
    """Those of `VARIABLES` that are set, as absolute paths, for processes that stand elsewhere."""
    known = {name: os.environ[name] for name in VARIABLES if os.environ.get(name, "").strip()}
    return {n: value if "://" in value else str(placed(value)) for n, value in known.items()}
