"""Tries at exercises and questions: in a file of the user's own, which nothing sends anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nextaim_kit import catalog
from nextaim_kit.places import folder


class Progress(NamedTuple):
    """How far a learner got with one exercise."""

    notebook: str
    exercise: int  # its number in the notebook, from 1
    tries: int  # answers until the first right one, that one counted
    solved: bool
    shown: bool  # whether the solution was shown before


def progress() -> list[Progress]:
    """How far the user got with each exercise of each notebook, tried or not.

    Returns
    -------
    list of Progress
        In the order of `catalog.studies`, their notebooks and the exercises in these.
    """
    tried = _read()
    return [
        Progress(notebook.id, number, *_summary(tried.get((notebook.id, name), [])))
        for notebook in _notebooks()
        for number, name in enumerate(_exercises(notebook.path) or [], 1)
    ]


def unreadable() -> list[str]:
    """Notebooks that `progress` leaves out, as their files cannot be read."""
    return [notebook.id for notebook in _notebooks() if _exercises(notebook.path) is None]


def first_choices(notebook: str) -> dict[str, dict[int, bool]]:
    """Whether the first choice at each question was right, ``before`` the lesson and ``after``."""
    found: dict[str, dict[int, bool]] = {"before": {}, "after": {}}
    for one in _lines("question", "when", "right"):
        when, question = str(one["when"]), one["question"]
        if one["notebook"] == notebook and when in found and isinstance(question, int):
            found[when].setdefault(question, bool(one["right"]))
    return found


def keep_choice(notebook: str, question: int, when: str, *, right: bool) -> None:
    """Keep whether a choice at a question, by its number from 1, was right.

    Raises
    ------
    OSError
    """
    _append({"notebook": notebook, "question": question, "when": when, "right": right})


def keep_try(notebook: str, exercise: str, *, right: bool, shown: bool) -> None:
    """Keep that an exercise, which is named by its cell, was tried, and whether it went well.

    Raises
    ------
    OSError
    """
    _append({"notebook": notebook, "exercise": exercise, "right": right, "shown": shown})


def _append(what: dict[str, Any]) -> None:
    path = tries_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # One write at the end of the file: two notebooks that are open lose nothing of each other. It
    # begins a line, so that one which a full disk cut short spoils no other.
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as stream:
        stream.write(f"\n{json.dumps(what)}".encode())


def tries_file() -> Path:
    """The user's file of tries: in ``NEXTAIM_PROGRESS``, else where programs keep their data."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return folder("NEXTAIM_PROGRESS", Path(home) / "nextaim_kit") / "tries.jsonl"


def _read() -> dict[tuple[str, str], list[dict]]:
    """The tries at each exercise, in order."""
    found: dict[tuple[str, str], list[dict]] = {}
    for one in _lines("exercise", "right", "shown"):
        kept = {name: bool(one[name]) for name in ("right", "shown")}
        found.setdefault((str(one["notebook"]), str(one["exercise"])), []).append(kept)
    return found


def _lines(*names: str) -> Iterator[dict[str, Any]]:
    """The lines that have a notebook and these names, in order."""
    path = tries_file()
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError:  # another user's, left by a command that ran as root
        text = ""
    for line in text.splitlines():
        try:
            one = json.loads(line)
        except (ValueError, RecursionError):  # empty, strange, or cut short by a full disk
            continue
        if isinstance(one, dict) and {"notebook", *names} <= one.keys():
            yield one


def _notebooks() -> Iterator[catalog.Notebook]:
    return (one for study in catalog.studies() for one in study.notebooks.values())


def _summary(tries: list[dict]) -> tuple[int, bool, bool]:
    """Number of tries up to the first right one, whether there is one, whether shown before it."""
    right = next((k for k, one in enumerate(tries) if one["right"]), None)
    until = tries if right is None else tries[: right + 1]
    return len(until), right is not None, any(one["shown"] for one in until)


def _exercises(path: Path) -> list[str] | None:
    """Names of the exercises' cells in a notebook, in order; None if it cannot be read."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError):  # cut off; whoever runs it or chooses it is told so
        return None
    return [c["id"] for c in cells if "exercise" in c["metadata"].get("tags", [])]
