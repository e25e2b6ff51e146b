"""What kind of wrong an answer is: its type, sign, unit, rounding, spelling, shape."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sized
from difflib import SequenceMatcher
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.errors import DataError

_UNITS = "Which unit is asked for, and which do you have?"
_FACTORS = {
    10: "",
    100: "Is a share asked for, or percent?",
    1000: _UNITS,
    10**6: _UNITS,
    10**9: _UNITS,
    1.024**3: "Is it GB of 1000**3 bytes, or GiB of 1024**3?",
}
_CLOSE = 0.01  # share of a number up to which another may come of rounding on the way
_NEARLY = 0.92  # likeness of two names from which one may be a slip of the other


def mistake(answer: Any, expected: Any, tolerance: float = 1e-3) -> str | None:
    """Say what is wrong about an answer, as far as can be told.

    Parameters
    ----------
    answer : any
    expected : number, text, bool, array, list, tuple, set, pandas.Interval or function
        A list is compared without regard to order, a tuple part by part. Of a set, every member
        is right, and of an interval, as for what is read off a figure, every number. A function
        has an attribute ``inputs``, a list of tuples: for each of them both have to give the same.
    tolerance : float
        Relative tolerance of numbers. Whole numbers, such as counts, have none.

    Returns
    -------
    str or None
        None if the answer is right; empty if it is wrong in no way that can be told.

    Raises
    ------
    DataError
        If the expected function has no inputs, or fails with one of them.

    Examples
    --------
    >>> mistake(93.0, 0.93)
    'It is 100 times too large. Is a share asked for, or percent?'
    >>> import pandas as pd
    >>> mistake(0.3, pd.Interval(20, 40))
    'It is 100 times too small. Is a share asked for, or percent?'
    """
    try:
        return _mistake(answer, expected, tolerance)
    except (TypeError, ValueError, ArithmeticError) as error:  # of a kind nobody thought of
        return f"It cannot be compared with the solution: {error}."


def _mistake(answer: Any, expected: Any, tolerance: float) -> str | None:
    if callable(expected):
        return _function(answer, expected, tolerance)
    if answer is None or callable(answer):
        return f"It is {_kind(answer)}."
    if isinstance(expected, set | frozenset):
        return _member(answer, expected, tolerance)
    if isinstance(expected, pd.Interval):
        return _reading(answer, expected)
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
        return "text (in quotes)"
    if isinstance(answer, bool | np.bool_):
        return "True or False"
    if isinstance(answer, pd.DataFrame):
        return f"a whole table of {len(answer)} rows"
    name = type(answer).__name__
    if np.ndim(answer) or isinstance(answer, Sized):
        many = np.size(answer) if np.ndim(answer) else len(answer)
        if many > 1 and isinstance(answer, pd.Series | np.ndarray):
            return f"a whole column of {many} values ({name})"
        return f"{many} value{'s' if many != 1 else ''} in a {name}"
    return f"one value ({name})"


def _function(answer: Any, expected: Any, tolerance: float) -> str | None:
    """What is wrong about a function, by the first input with which it gives something else."""
    if not callable(answer):
        return f"A function is asked for, and this is {_kind(answer)}."
    try:
        pairs = [(given, expected(*copy.deepcopy(given))) for given in expected.inputs]
    except Exception as error:  # whatever the author of an exercise overlooked
        raise DataError("the solution's function has no values", found=str(error)) from error
    for given, wanted in pairs:
        of = f"With {', '.join(map(_short, given))}"
        try:
            found = answer(*copy.deepcopy(given))
        except Exception as error:  # a reader's code
            return f"{of} it fails: {type(error).__name__}: {error}"
        if found is None:
            return f"{of} it gives nothing: does it return its value?"
        wrong = mistake(found, wanted, tolerance)
        if wrong is not None:
            return f"{of} it gives {_short(found)}. {wrong}".rstrip()
    return None


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."


def _member(answer: Any, expected: Iterable, tolerance: float) -> str | None:
    """What is wrong about an answer of which several would do."""
    found = [mistake(answer, one, tolerance) for one in sorted(expected, key=str)]
    if None in found:
        return None
    if isinstance(answer, list | tuple | set | frozenset) and any(
        mistake(one, expected, tolerance) is None for one in answer
    ):
        return f"One of them is asked for, and this is {_kind(answer)}."
    return next(filter(None, found), "")


def _reading(answer: Any, expected: pd.Interval) -> str | None:
    """What is wrong about a number that is read off a figure."""
    if not _is_number(answer) or not math.isfinite(answer):
        return _number(answer, expected.mid, 0)
    given = float(answer)
    if expected.left <= given <= expected.right:
        return None
    for factor in (-1, *_FACTORS):
        for right in (given * factor, given / factor):
            if expected.left <= right <= expected.right:
                return _relation(given, right, partial(math.isclose, given))
    return f"It is too {'high' if given > expected.right else 'low'}: look at the axis again."


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
    if not _is_number(answer):
        return f"A number is asked for, and this is {_kind(answer)}."
    given, wanted, whole = float(answer), float(expected), isinstance(expected, Integral)
    near = partial(math.isclose, given, rel_tol=0 if whole else tolerance, abs_tol=1e-12)
    if near(wanted):
        return None
    if not math.isfinite(given):
        return f"It is {given}: is a value missing, or something divided by 0?"
    if whole and abs(given - wanted) == 1:
        return "It is off by one."
    said = _relation(given, wanted, near) if given and wanted else ""
    if not said and not whole and abs(given - wanted) < _CLOSE * abs(wanted):
        return "It is close: is something rounded on the way?"
    return said


def _is_number(answer: Any) -> bool:
    truth = isinstance(answer, bool | np.bool_)
    return not truth and not np.ndim(answer) and hasattr(answer, "__float__")


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
    if any(given in _shortened(wanted, digits) for digits in range(-9, 7)):
        return "It is rounded too much: give more digits."
    return ""


def _shortened(value: float, digits: int) -> tuple[float, float]:
    """A number rounded to so many digits after the point, and cut there."""
    return round(value, digits), round(math.trunc(value * 10.0**digits) / 10.0**digits, digits)
