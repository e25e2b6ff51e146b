"""Exercises: an answer is held against the folded solution below it, without any network."""

from __future__ import annotations

import ast
import io
import json
import os
import sys
import warnings
from collections import Counter
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from nextaim_kit.catalog import Notebook
from nextaim_kit.errors import DataError, RunError
from nextaim_kit.show.conditions import condition_missed
from nextaim_kit.show.mistakes import mistake
from nextaim_kit.show.tries import keep_try

_HINTED, _SHOWN = 2, 3  # wrong answers from which the hint is shown, and the solution
_wrong: Counter[str] = Counter()  # wrong answers in this kernel, by hint


def check(answer: Any, hint: str, /, *, tolerance: float = 1e-3) -> None:
    """Say whether an answer is right, and if not, what kind of wrong it is.

    What is right is what the solution leaves in `answer`: the cell tagged ``solution`` right after
    this one in the kit's own notebook, also where the reader's is a copy without it. It runs in a
    copy of the reader's variables, and must change none of them in place. With the second wrong
    answer comes the hint, with the third the solution. Each try is counted (`show.tries`).

    Parameters
    ----------
    answer : any
        ``...`` means not answered yet.
    hint : str
        A literal text that one exercise of the notebook has; its solution is found by it.
    tolerance : float
        Relative tolerance of numbers. Whole numbers, such as counts, have none.

    Raises
    ------
    RunError
        If the notebook has no such exercise, or several; and if the solution gives no answer in a
        headless run of a profile on the twin, where solutions are proven.

    Notes
    -----
    A solution that fails, or gives None, NaN or an empty set, says that these data have no answer,
    as a cohort without lesions has none to a question about them. Nothing is wrong then.

    Examples
    --------
    >>> check(answer, "a share is a mean of zeros and ones")  # doctest: +SKIP
    """
    namespace = sys._getframe(1).f_globals
    notebook = _notebook(namespace)
    name, source = _exercise(notebook.path, hint)
    try:
        expected = solve(source, namespace, tolerance)
    except DataError as error:
        if os.environ.get("NEXTAIM_PROVE"):
            raise RunError(f"the exercise '{hint}' has no answer", found=error.found) from error
        print(f"{error.what} ({error.found})")
        return
    if answer is ...:
        print("Not answered yet.")
        return
    wrong = mistake(answer, expected, tolerance)
    if wrong is not None:
        _wrong[hint] += 1
        given = partial(_gives, answer, namespace, tolerance)
        wrong = f"{wrong} {condition_missed(source, given)}".strip()
    print("Correct." if wrong is None else _told(wrong, _wrong[hint], hint, source))
    if not os.environ.get("NEXTAIM_RUN"):  # in a headless run nobody learns
        _keep(notebook.id, name, wrong is None, wrong is not None and _wrong[hint] >= _SHOWN)


def solution(notebook: Path, hint: str) -> str:
    """Source of the solution to the exercise of a notebook that has this hint.

    Raises
    ------
    RunError
        If there is no such exercise, more than one, or no solution right after it.
    """
    return _exercise(notebook, hint)[1]


def _exercise(notebook: Path, hint: str) -> tuple[str, str]:
    """The name of an exercise's cell, and the source of its solution."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    found = [pair for pair in pairwise(cells) if hint_of(pair[0]) == hint]
    if len(found) != 1 or not _has_tag(found[0][1], "solution"):
        raise RunError(
            "the solution of an exercise is not found",
            expected=f"a cell tagged exercise with the hint {hint!r}, before one tagged solution",
            found=f"{len(found)} such exercises in {notebook.name}",
            mend="write the hint as the kit's notebook has it, in one cell only, and save; of a "
            "copy from an earlier version make another: nextaim course copy",
        )
    exercise, below = found[0]
    return exercise["id"], "".join(below["source"])


def hint_of(cell: Mapping[str, Any]) -> str | None:
    """The literal hint in an exercise's check; None of any other cell."""
    # Read from the check on: a reader's answer above it may be half written, or hold a magic.
    _, call, rest = "".join(cell["source"]).rpartition("\ncheck(")
    if not call or not _has_tag(cell, "exercise"):
        return None
    try:
        checked: Any = ast.parse((call + rest).strip()).body[0]
        return ast.literal_eval(checked.value.args[1])
    except (SyntaxError, AttributeError, IndexError, ValueError):  # a check that a reader changed
        return None


def solve(source: str, namespace: Mapping[str, Any], tolerance: float = 1e-3) -> Any:
    """The `answer` that a solution leaves in a copy of a namespace; what it prints is dropped.

    Raises
    ------
    DataError
        If it fails, leaves no answer, or one that nobody could give.
    """
    scope = {k: value for k, value in namespace.items() if k not in ("answer", "check")}
    unheard = io.StringIO()
    try:
        with redirect_stdout(unheard), redirect_stderr(unheard), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(source, "<solution>", "exec", dont_inherit=True), scope)
    except Exception as error:  # whatever data that it was not made for may lead to
        raise _no_answer(f"{type(error).__name__}: {error}") from error
    return _sound(scope.get("answer"), tolerance)


def _sound(expected: Any, tolerance: float) -> Any:
    """An expected answer, if it can be given."""
    if expected is ... or (pd.api.types.is_scalar(expected) and pd.isna(expected)):
        raise _no_answer(f"the solution gives {expected}")
    if isinstance(expected, set) and not expected:
        raise _no_answer("the solution gives an empty set")
    one = next(iter(expected)) if isinstance(expected, set) else expected
    one = expected.mid if isinstance(expected, pd.Interval) else one
    refused = mistake(one, expected, tolerance)
    if refused is not None:
        raise _no_answer(f"the solution's own answer is refused: {refused}")
    return expected


def _no_answer(why: str) -> DataError:
    return DataError(
        "These data have no answer to this exercise; the synthetic ones have.", found=why
    )


def _told(wrong: str, tries: int, hint: str, source: str) -> str:
    """What is said to so many wrong answers: more with each."""
    said = [f"Not yet. {wrong}".rstrip()]
    if tries >= _HINTED:
        said.append(f"Hint: {hint}")
    if tries >= _SHOWN:
        said.append(f"A solution, to read and compare:\n\n{source}")
    return "\n".join(said)


def _gives(answer: Any, namespace: Mapping[str, Any], tolerance: float, source: str) -> bool:
    """Whether a source leaves this answer."""
    try:
        return mistake(answer, solve(source, namespace, tolerance), tolerance) is None
    except DataError:
        return False


def _keep(notebook: str, exercise: str, right: bool, shown: bool) -> None:
    try:
        keep_try(notebook, exercise, right=right, shown=shown)
    except OSError as error:  # a disk that is full or shut is no reason to stop learning
        print(f"(This try is not counted: {error.strerror}.)")


def _has_tag(cell: Mapping[str, Any], tag: str) -> bool:
    return tag in cell["metadata"].get("tags", [])


def _notebook(namespace: Mapping[str, Any]) -> Notebook:
    """The notebook whose `run` a namespace holds."""
    try:
        return namespace["run"].notebook
    except (KeyError, AttributeError) as error:
        raise RunError(
            "this exercise belongs to no run",
            expected="`run`, as start(...) at the notebook's beginning gives it",
            mend="run the notebook's cells in order, from the first",
        ) from error
