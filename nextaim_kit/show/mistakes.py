"""What kind of wrong an answer is: its type, sign, unit, rounding, spelling, shape."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sized
from difflib import SequenceMatcher
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np

_UNITS = "Which unit is asked for, and which do you have?"
_FACTORS = {
    10: "",
    100: "Is a share asked for, or percent?",
    1000: _UNITS,
    10**6: _UNITS,
    10**9: _UNITS,
    1.024**3: "Is it GB of 1000**3 bytes, or GiB of 1024**3?",
}
_NEARLY = 0.92  # likeness of two names from which one may be a slip of the other


def mistake(answer: Any, expected: Any, tolerance: float = 1e-3) -> str | None:
    """Say what is wrong about an answer, as far as can be told.

    Parameters
    ----------
    answer : any
    expected : number, text, bool, array, list, tuple or set
        A list is compared without regard to order, a tuple part by part. Of a set, every member
        is right.
    tolerance : float
        Relative tolerance of numbers. Whole numbers, such as counts, have none.

    Returns
    -------
    str or None
        None if the answer is right; empty if it is wrong in no way that can be told.

    Examples
    --------
    >>> mistake(93.0, 0.93)
    'It is 100 times too large. Is a share asked for, or percent?'
    """
    try:
        return _mistake(answer, expected, tolerance)
    except (TypeError, ValueError, ArithmeticError) as error:  # of a kind nobody thought of
        return f"It cannot be compared with the solution: {error}."


def _mistake(answer: Any, expected: Any, tolerance: float) -> str | None:
    if answer is None or callable(answer):
        return f"It is {_kind(answer)}."
    if isinstance(expected, set | frozenset):
        found = [mistake(answer, one, tolerance) for one in sorted(expected, key=str)]
        return None if None in found else next(filter(None, found), "")
    if isinstance(expected, str):
        return _text(answer, expected)
    if isinstance(expected, bool | np.bool_):
        return _truth(answer, expected)
    if isinstance(expected, tuple):
        return _parts(answer, expected, tolerance)
    if isinstance(expected, list):
        return _items(answer, expected, tolerance)
    return (_array if np.ndim(expected) else _number)(answer, expected, tolerance)


def _kind(answer: Any) -> str:
    """What an answer is, in a reader's words."""
    if answer is None:
        return "None: nothing was computed"
    if callable(answer):
        return "a function that was not called: add ()"
    if isinstance(answer, str | bytes):
        return "text"
    if isinstance(answer, bool | np.bool_):
        return "True or False"
    several = np.ndim(answer) or isinstance(answer, Sized)
    return f"{'several values' if several else 'one value'} ({type(answer).__name__})"


def _text(answer: Any, expected: str) -> str | None:
    if not isinstance(answer, str):
        return f"Text is asked for, and this is {_kind(answer)}."
    given, small = answer.strip(), answer.strip().lower()
    if given == expected or (expected in ("yes", "no") and small == expected):
        return None
    if expected in ("yes", "no"):
        return "" if small in ("yes", "no") else "'yes' or 'no' is asked for."
    if small == expected.lower():
        return "Small and capital letters count here."
    # Another number is another subject, and no slip.
    numbers = [[c for c in text if c.isdigit()] for text in (given, expected)]
    alike = SequenceMatcher(None, small, expected.lower()).ratio()
    near = numbers[0] == numbers[1] and alike >= _NEARLY
    return "It is nearly the right name: look at its spelling." if near else ""


def _truth(answer: Any, expected: bool | np.bool_) -> str | None:
    if not isinstance(answer, bool | np.bool_):
        return f"True or False is asked for, and this is {_kind(answer)}."
    return None if answer == expected else ""


def _parts(answer: Any, expected: tuple, tolerance: float) -> str | None:
    given = _listed(answer)
    if len(given) != len(expected):
        return f"{len(expected)} values in order are asked for, and this is {_kind(answer)}."
    found = map(partial(mistake, tolerance=tolerance), given, expected)
    wrong = [
        f"Part {k}: {said or 'not yet.'}" for k, said in enumerate(found, 1) if said is not None
    ]
    return " ".join(wrong) or None


def _items(answer: Any, expected: list, tolerance: float) -> str | None:
    given, missing, strange = _listed(answer), list(expected), 0
    for one in given:
        same = [k for k, e in enumerate(missing) if mistake(one, e, tolerance) is None]
        if same:
            del missing[same[0]]
        else:
            strange += 1
    if not missing and not strange:
        return None
    added = f", {strange} that {'does' if strange == 1 else 'do'} not belong" if strange else ""
    return f"{len(expected) - len(missing)} of {len(expected)} right{added}."


def _listed(answer: Any) -> list:
    """The values of an answer; text and a number are one."""
    many = isinstance(answer, Iterable) and not isinstance(answer, str)
    return list(answer) if many else [answer]


def _array(answer: Any, expected: Any, tolerance: float) -> str | None:
    given, wanted = np.asarray(answer), np.asarray(expected)
    if given.shape != wanted.shape:
        return f"Its shape is {given.shape}, and {wanted.shape} is asked for."
    if wanted.dtype == bool:
        if (given != wanted).all():
            return "It is inverted: what is True has to be False."
        return _share(given == wanted)
    given, wanted = given.astype(float), wanted.astype(float)
    near = partial(np.isclose, given, rtol=tolerance, equal_nan=True)
    if near(wanted).all():
        return None
    if near(-wanted).all():
        return "The sign of each value is wrong."
    if np.allclose(given - wanted, given.flat[0] - wanted.flat[0]):
        return "Each value is off by the same amount."
    return _share(near(wanted))


def _share(right: Any) -> str | None:
    return None if right.all() else f"{int(100 * right.mean())} % of its values are right."


def _number(answer: Any, expected: Any, tolerance: float) -> str | None:
    truth = isinstance(answer, bool | np.bool_)
    if truth or np.ndim(answer) or not hasattr(answer, "__float__"):
        return f"A number is asked for, and this is {_kind(answer)}."
    given, wanted, whole = float(answer), float(expected), isinstance(expected, Integral)
    near = partial(math.isclose, given, rel_tol=0 if whole else tolerance, abs_tol=1e-12)
    if near(wanted):
        return None
    if not math.isfinite(given):
        return f"It is {given}: is a value missing, or something divided by 0?"
    if whole and abs(given - wanted) == 1:
        return "It is off by one."
    return _relation(given, wanted, near) if given and wanted else ""


def _relation(given: float, wanted: float, near: Any) -> str:
    """How a wrong number follows from the right one; neither is 0."""
    if near(-wanted):
        return "The sign is wrong."
    for factor, why in _FACTORS.items():
        if near(wanted * factor) or near(wanted / factor):
            way = "large" if abs(given) > abs(wanted) else "small"
            return f"It is {factor:,.4g} times too {way}. {why}".rstrip()
    if near(1 / wanted):
        return "It is the reciprocal: 1 over the right one."
    for whole in (1, 100):
        if 0 < wanted < whole and near(whole - wanted):
            return f"It is the complement: {whole} minus the right one."
    if any(round(wanted, digits) == given for digits in range(7)):
        return "It is rounded too much: give more digits."
    return ""
