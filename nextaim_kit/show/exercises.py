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
from typing import Any, NamedTuple

import pandas as pd

from nextaim_kit.catalog import Notebook
from nextaim_kit.errors import DataError, RunError
from nextaim_kit.show.conditions import condition_missed
from nextaim_kit.show.mistakes import mistake
from nextaim_kit.show.tries import keep_try

_HINTED, _OFFERED = 2, 3  # wrong answers from which the hint is shown, and a solution offered
_HINT = "\n# Hint: "  # ends a solution's cell
_wrong: Counter[int] = Counter()  # wrong answers in this kernel, by the exercise's number


class Exercise(NamedTuple):
    """An exercise of a notebook: the id of its cell, and what the cell below it holds."""

    number: int
    name: str
    solution: str
    hint: str


def check(answer: Any, number: int, /, *, tolerance: float = 1e-3, show: bool = False) -> None:
    """Say whether an answer is right, and if not, what kind of wrong it is.

    What is right is what the solution leaves in `answer`: the cell tagged ``solution`` right after
    this one in the kit's own notebook, also where the reader's is a copy without it. It runs in a
    copy of the reader's variables, and must change none of them in place. With the second wrong
    answer comes the hint that ends the solution's cell; from the third on a solution is shown to
    who asks. Each try is counted (`show.tries`).

    Parameters
    ----------
    answer : any
        ``...`` means not answered yet.
    number : int
        The exercise's number, a literal; its solution is found by it.
    tolerance : float
        Relative tolerance of numbers. Whole numbers, such as counts, have none.
    show : bool
        Whether to show a solution, which counts as a try.

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
    >>> check(answer, 1)  # doctest: +SKIP
    """
    namespace = sys._getframe(1).f_globals
    notebook = _notebook(namespace)
    exercise = find_exercise(notebook.path, number)
    try:
        expected = solve(exercise.solution, namespace, tolerance)
    except DataError as error:
        if os.environ.get("NEXTAIM_PROVE"):
            raise RunError(f"exercise {number} has no answer", found=error.found) from error
        print(f"{error.what} ({error.found})")
        return
    wrong = "" if answer is ... else _wrong_so(answer, expected, exercise, namespace, tolerance)
    misses, right = _wrong[exercise.number], wrong is None
    shown = show and not right and misses >= _OFFERED
    print("Not answered yet." if answer is ... else _told(wrong, misses, exercise.hint, number))
    if (right and show) or shown:
        print(f"A solution, to read and compare:\n\n{exercise.solution}")
    elif show:
        print(f"A solution is shown after {_OFFERED} wrong answers; there were {misses}.")
    if (answer is not ... or shown) and not os.environ.get("NEXTAIM_RUN"):  # there nobody learns
        _keep(notebook.id, exercise.name, right, shown)


def find_exercise(notebook: Path, number: int) -> Exercise:
    """The exercise of a notebook that has this number in its check.

    Raises
    ------
    RunError
        If there is no such exercise, more than one, or no solution right after it.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    found = [pair for pair in pairwise(cells) if number_of(pair[0]) == number]
    if len(found) != 1 or not _has_tag(found[0][1], "solution"):
        raise RunError(
            "the solution of an exercise is not found",
            expected=f"a cell tagged exercise with check(answer, {number!r}), before one tagged "
            "solution",
            found=f"{len(found)} such exercises in {notebook.name}",
            mend="write the number as the kit's notebook has it, in one cell only, and save; of a "
            "copy from an earlier version make another: nextaim course copy",
        )
    ((stub, folded),) = found
    solution, _, hint = "".join(folded["source"]).partition(_HINT)
    return Exercise(number, stub["id"], solution, hint.replace("\n# ", " "))


def number_of(cell: Mapping[str, Any]) -> int | None:
    """The literal number in an exercise's check; None of any other cell."""
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


def _wrong_so(
    answer: Any, expected: Any, exercise: Exercise, namespace: Mapping[str, Any], tolerance: float
) -> str | None:
    """What kind of wrong an answer is, which is counted; None of a right one."""
    wrong = mistake(answer, expected, tolerance)
    if wrong is None:
        return None
    _wrong[exercise.number] += 1
    given = partial(_gives, answer, namespace, tolerance)
    return f"{wrong} {condition_missed(exercise.solution, given)}".strip()


def _told(wrong: str | None, misses: int, hint: str, number: int) -> str:
    """What is said to an answer: the more, the more wrong ones there were."""
    if wrong is None:
        return "Correct."
    said = [f"Not yet. {wrong}".rstrip()]
    if misses >= _HINTED and hint:
        said.append(f"Hint: {hint}")
    if misses >= _OFFERED:
        said.append(f"To see a solution: check(answer, {number}, show=True)")
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
