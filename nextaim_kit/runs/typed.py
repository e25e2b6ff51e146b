"""A value as it is typed: one small reader for each type, which takes what has one meaning only."""

from __future__ import annotations

import contextlib
import re
import types
import typing
from typing import Any, Literal

_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_SAID = {"yes": "true", "y": "true", "on": "true", "1": "true", "t": "true"}
_SAID |= {"no": "false", "n": "false", "off": "false", "0": "false", "f": "false"}


class Unreadable(ValueError):
    """Text that is no value of a type: how one is written, and what was perhaps meant."""

    def __init__(self, form: str, near: str = "") -> None:
        super().__init__(form)
        self.form, self.near = form, near


def read_value(text: str, kind: Any) -> Any:
    """The value of a type that a text stands for.

    Parameters
    ----------
    text : str
    kind : type
        ``int``, ``float``, ``bool``, ``str``, a ``Literal``, a list of these, or one of them
        ``| None``.

    Raises
    ------
    Unreadable
    """
    inner = typing.get_args(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        *first, last = (k for k in inner if k is not type(None))
        for one in first:
            with contextlib.suppress(Unreadable):
                return read_value(text, one)
        return None if text.strip() == "null" else read_value(text, last)
    if typing.get_origin(kind) is list:
        return [read_value(item, inner[0]) for item in _items(text)]
    if typing.get_origin(kind) is Literal:
        return {str(choice): choice for choice in inner}.get(text.strip(), text)
    return text if kind is str else _READERS[kind](text.strip())


def _items(text: str) -> list[str]:
    """Items between commas, with or without brackets around all and quotes around each."""
    text = text.strip()
    if text.startswith("[") != text.endswith("]"):
        raise Unreadable("items between commas, brackets around all or none")
    items = [item.strip() for item in text.removeprefix("[").removesuffix("]").split(",")]
    if "" in items and len(items) > 1:
        raise Unreadable("items between commas, none empty", ", ".join(filter(None, items)))
    quoted = [len(i) > 1 and i[0] == i[-1] and i[0] in "'\"" for i in items]
    return [i[1:-1] if q else i for i, q in zip(items, quoted, strict=True) if i]


def _whole(text: str) -> int:
    if _WHOLE.fullmatch(text) and len(text) < 400:
        return int(text)
    meant = _meant(text)
    raise Unreadable(
        "digits, as 10", f"{meant:.0f}" if meant is not None and meant % 1 == 0 else ""
    )


def _decimal(text: str) -> float:
    if _DECIMAL.fullmatch(text):
        return float(text)
    meant = _meant(text.replace(",", "."))
    raise Unreadable("a decimal number, as 0.5 or 1e-3", "" if meant is None else f"{meant:g}")


def _truth(text: str) -> bool:
    if text in _TRUTH:
        return _TRUTH[text]
    raise Unreadable("true or false", _SAID.get(text.lower(), ""))


def _meant(text: str) -> float | None:
    """What a person may have meant by 010, 1_000, 1e3 or 5.0; None of what says nothing."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= 2**53 else None  # not of inf and NaN either


_READERS: dict[Any, Any] = {int: _whole, float: _decimal, bool: _truth}
