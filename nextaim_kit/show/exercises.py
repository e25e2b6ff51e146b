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
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from nextaim_kit.errors import DataError, RunError
from nextaim_kit.show.mistakes import mistake

_HINTED, _OFFERED = 2, 3  # wrong answers from which the hint is shown, and the solution offered
_wrong: Counter[str] = Counter()  # wrong answers in this kernel, by hint


def check(answer: Any, hint: str, /, *, tolerance: float = 1e-3) -> None:
    """Say whether an answer is right, and if not, what kind of wrong it is.

    What is right is what the solution leaves in `answer`: the cell tagged ``solution`` right after
    this one in the notebook's file. It runs in a copy of the reader's variables, and must change
    none of them in place. The hint is shown with the second wrong answer, the solution offered
    with the third.

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
    source = solution(_notebook(namespace), hint)
    try:
        expected = solve(source, namespace, tolerance)
    except DataError as error:
        if os.environ.get("NEXTAIM_PROVE"):
            raise RunError(f"the exercise '{hint}' has no answer", found=error.found) from error
        print(f"{error.what} ({error.found})")
        return
    print("Not answered yet." if answer is ... else _judgment(answer, expected, hint, tolerance))


def solution(notebook: Path, hint: str) -> str:
    """Source of the solution to the exercise of a notebook that has this hint.

    Raises
    ------
    RunError
        If there is no such exercise, more than one, or no solution right after it.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    below = [cell for exercise, cell in pairwise(cells) if hint_of(exercise) == hint]
    if len(below) != 1 or not _has_tag(below[0], "solution"):
        raise RunError(
            "the solution of an exercise is not found",
            expected=f"a cell tagged exercise with the hint {hint!r}, before one tagged solution",
            found=f"{len(below)} such exercises in {notebook.name}",
            mend="write the hint as the notebook's file has it, in one cell only, and save",
        )
    return "".join(below[0]["source"])


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
    refused = mistake(one, expected, tolerance)
    if refused is not None:
        raise _no_answer(f"the solution's own answer is refused: {refused}")
    return expected


def _no_answer(why: str) -> DataError:
    return DataError(
        "These data have no answer to this exercise; the synthetic ones have.", found=why
    )


def _judgment(answer: Any, expected: Any, hint: str, tolerance: float) -> str:
    wrong = mistake(answer, expected, tolerance)
    if wrong is None:
        return "Correct."
    _wrong[hint] += 1
    said = [f"Not yet. {wrong}".rstrip()]
    if _wrong[hint] >= _HINTED:
        said.append(f"Hint: {hint}")
    if _wrong[hint] >= _OFFERED:
        said.append("A solution is folded in the cell below: unfold it and compare.")
    return "\n".join(said)


def _has_tag(cell: Mapping[str, Any], tag: str) -> bool:
    return tag in cell["metadata"].get("tags", [])


def _notebook(namespace: Mapping[str, Any]) -> Path:
    """File of the notebook whose `run` a namespace holds."""
    try:
        return namespace["run"].notebook.path
    except (KeyError, AttributeError) as error:
        raise RunError(
            "this exercise belongs to no run",
            expected="`run`, as start(...) at the notebook's beginning gives it",
            mend="run the notebook's cells in order, from the first",
        ) from error
