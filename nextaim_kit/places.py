"""Paths that a user names, by an option or a variable: resolved once, where the user stands."""

from __future__ import annotations

import os
import re
from pathlib import Path

from nextaim_kit.errors import RequestError

# Variables that name folders, and one a file; the mirror may be an address as well.
VARIABLES = (
    "NEXTAIM_CACHE", "NEXTAIM_DATA", "NEXTAIM_MANIFESTS", "NEXTAIM_MIRROR", "NEXTAIM_NOTEBOOKS",
    "NEXTAIM_PROGRESS", "NEXTAIM_REAL", "NEXTAIM_RUNS", "NEXTAIM_STORE_PASSPHRASE_FILE",
)  # fmt: skip

# Characters that end a line of a script, or that a terminal obeys.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def plain(text: str, what: str) -> str:
    """A name or path as it is, if it can stand in a script and in a terminal.

    Raises
    ------
    RequestError
        If a control character is in it, such as a new line.
    """
    if CONTROL.search(text):
        raise RequestError(
            f"{what} holds a control character",
            expected="letters, digits, signs and spaces",
            found=repr(text),
            mend="give it another name",
        )
    return text


def placed(path: str | Path) -> Path:
    """A path as an absolute one, ``~`` written out; a relative one counts from `here`.

    Raises
    ------
    RequestError
        If it is empty, holds a control character, or the home that it speaks of is not known.
    """
    whole = os.path.expanduser(plain(str(path), "a path"))
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
