"""Feedback to an exercise: correct, not yet, and a hint, without any network."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from nextaim_kit.errors import RunError


def feedback(answer: Any, expected: Any, *, hint: str, tolerance: float = 0.0) -> None:
    """Compare an answer to an exercise with what is expected, and say what to look at.

    Parameters
    ----------
    answer : number, text or list
        ``...`` means not answered yet.
    expected : number, text or list
        A list is compared without regard to order. None or NaN: these data have no answer, as a
        cohort without lesions has none to a question about them; it is said, and nothing is wrong.
    hint : str
        Shown until the answer is correct.
    tolerance : float
        Relative tolerance for numbers.

    Raises
    ------
    RunError
        If an answer was given and is wrong in a headless run on the twin: its solutions are proven.
    """
    if expected is None or (isinstance(expected, float) and np.isnan(expected)):
        print("These data have no answer to this exercise; the synthetic ones have.")
        return
    if answer is Ellipsis:
        print(f"Not answered yet. Hint: {hint}")
        return
    right = _same(answer, expected, tolerance)
    if not right and os.environ.get("NEXTAIM_PROVE"):
        raise RunError("the solution of an exercise is wrong", found=repr(answer))
    print("Correct." if right else f"Not yet. Hint: {hint}")


def _same(answer: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, str):
        return str(answer).strip().lower() == expected.lower()
    if isinstance(expected, list | tuple | set):
        return sorted(map(str, answer)) == sorted(map(str, expected))
    try:
        return bool(
            np.isclose(float(answer), float(expected), rtol=tolerance, atol=1e-12, equal_nan=True)
        )
    except (TypeError, ValueError):
        return False
