"""Typed parameters, read from the one notebook cell that declares them.

The cell tagged ``parameters`` holds only annotated assignments, each with a comment, after
the import of ``Literal`` where one needs it::

    from typing import Literal

    epochs: int = 20  # training epochs [1, 1000]
    selector: Literal["mrmr", "xgboost"] = "mrmr"  # feature selection

Bounds may stand in the comment's last brackets. For a list they hold for each item. A list whose
comment ends in "x, y, z" has three.
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
import tokenize
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from nextaim_kit.catalog import Notebook, near_miss
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.places import CONTROL
from nextaim_kit.runs.typed import Unreadable, read_value

_NUMBER = r"([-+]?(?:inf|\d+\.?\d*(?:e[-+]?\d+)?))"
_BOUNDS = re.compile(rf"\s*\[\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\]\s*$")
_IMPORT = "from typing import Literal"
_EXACT = 2**53  # whole numbers beyond are rounded by readers of JSON
_SCALARS = {"int": int, "float": float, "bool": bool, "str": str}


@dataclass(frozen=True)
class Parameter:
    """One typed parameter of a notebook."""

    name: str
    annotation: str
    default: Any
    help: str
    low: float | None = None
    high: float | None = None

    @property
    def kind(self) -> Any:
        """The Python type that the annotation stands for."""
        return _kind_of(self.annotation)

    @property
    def choices(self) -> tuple:
        """Values of a ``Literal``; empty for other types."""
        return typing.get_args(self.kind) if typing.get_origin(self.kind) is Literal else ()

    @property
    def expected(self) -> str:
        """Type and bounds in words."""
        if self.choices:
            return f"one of {', '.join(map(repr, self.choices))}"
        three = " of three" if self.along_axes else ""
        kind = re.sub(r"Literal\[([^]]*)\]", r"\1", self.annotation)
        return kind + three + (f" in [{self.low:.9g}, {self.high:.9g}]" if self.bounded else "")

    @property
    def along_axes(self) -> bool:
        """Whether the value is a list with an item for each axis."""
        return typing.get_origin(self.kind) is list and self.help.endswith("x, y, z")

    @property
    def bounded(self) -> bool:
        return self.low is not None and self.high is not None

    def check(self, value: Any) -> Any:
        """Give `value` in the declared type, or say why it cannot be.

        Raises
        ------
        RequestError
            On a wrong type, a value that is no choice, or one out of bounds.
        """
        try:
            value = _checker(self.annotation).validate_python(value, strict=True)
        except ValidationError:
            raise self._refusal(value) from None
        if value in ("", []) and self.default not in ("", [], None):
            raise self._refusal(value)
        if self.along_axes and len(value) != 3:
            raise self._refusal(value)
        for item in value if isinstance(value, list) else [value]:
            if item is not None and not self._holds(item):
                raise self._refusal(value)
        return value

    def _holds(self, item: Any) -> bool:
        """Whether an item is within bounds, and one that every reader of a record reads alike."""
        if isinstance(item, str):
            return not CONTROL.search(item) and not any("\ud800" <= c <= "\udfff" for c in item)
        readable = abs(item) <= _EXACT if isinstance(item, int) else math.isfinite(item)
        return readable and not (self.bounded and not self.low <= item <= self.high)

    def parse(self, text: str) -> Any:
        """Read a value typed on a command line, and check it."""
        try:
            value = read_value(text, self.kind)
        except Unreadable as error:
            raise self._refusal(text, error.form, error.near) from None
        return self.check(value)

    def text(self, value: Any) -> str:
        """What one would type on a command line for a value: `parse` gives it back."""
        if isinstance(value, list):
            return ", ".join(map(str, value))
        if value is None or isinstance(value, bool):
            return {None: "null", True: "true", False: "false"}[value]
        return str(value)

    def _refusal(self, value: Any, form: str = "", meant: str = "") -> RequestError:
        near = near_miss(str(value), map(str, self.choices))
        meant = repr(near) if near else meant
        mend = f"did you mean {meant}?" if meant else f"{self.name} is: {self.help}"
        if self.kind is str and not isinstance(value, str):
            mend = f'in a file text that looks like something else stands in quotes: "{value}"'
        return RequestError(
            f"parameter {self.name!r} cannot take this value",
            expected=f"{self.expected}, written as {form}" if form else self.expected,
            found=said if len(said := repr(value)) < 80 else f"{said[:77]}...",
            mend=mend,
        )


def read_parameters(path: Path, *, commented: bool = True) -> dict[str, Parameter]:
    """Parameters that a notebook declares, in their order, each with a comment if it must.

    Raises
    ------
    DataError
        If the file is no notebook, has no such cell, or the cell holds anything but declarations.
    """
    return dict(_read(path, path.stat().st_mtime_ns, commented))


@cache
def _read(path: Path, _changed: int, commented: bool) -> dict[str, Parameter]:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path.name} is no notebook that can be read",
            found=str(error),
            mend="save it again in JupyterLab, or take it from the project anew",
        ) from error
    tagged = [c for c in cells if "parameters" in c.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise DataError(
            f"{path.name}: parameters cannot be read",
            expected="one cell tagged 'parameters'",
            found=f"{len(tagged)} of them",
        )
    return parse_cell("".join(tagged[0]["source"]), path.name, commented=commented)


def parse_cell(source: str, where: str, *, commented: bool = True) -> dict[str, Parameter]:
    """Parameters declared by the source of a parameters cell, each with a comment if it must."""
    try:
        comments, nodes = _comments(source), ast.parse(source, "the cell").body
    except (SyntaxError, tokenize.TokenError) as error:
        raise DataError(
            f"{where}: the parameters cell is not Python",
            expected="lines such as `epochs: int = 20  # training epochs`",
            found=str(error),
            mend="mend the line and save the notebook",
        ) from error
    body = [node for node in nodes if ast.unparse(node) != _IMPORT]
    declared = [_declaration(node, comments, where, commented) for node in body]
    return {p.name: p for p in declared}


def resolve(notebook: Notebook, profile: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of all parameters: the cell's defaults, then the profile's, then those given.

    Parameters
    ----------
    notebook : Notebook
    profile : str
        ``tutorial`` is the cell's own defaults unless the study file says more.
    given : mapping
        Text values are parsed by the parameter's type, others checked as they are.

    Raises
    ------
    RequestError
        On an unknown profile or name, a wrong type, or a value out of bounds.
    """
    declared = read_parameters(notebook.path)
    if profile != "tutorial" and profile not in notebook.profiles:
        known = ["tutorial", *(p for p in notebook.profiles if p != "tutorial")]
        near = near_miss(profile, known)
        raise RequestError(
            f"{notebook.id} has no profile {profile!r}",
            expected=f"one of {', '.join(known)}",
            mend=f"did you mean {near!r}?" if near else "see `nextaim show`",
        )
    overrides = notebook.profiles.get(profile, {})
    refuse_unknown([*overrides, *given], declared, notebook.id)
    values = {name: p.default for name, p in declared.items()}
    values |= {name: declared[name].check(value) for name, value in overrides.items()}
    return values | {
        name: declared[name].parse(v) if isinstance(v, str) else declared[name].check(v)
        for name, v in given.items()
    }


def refuse_unknown(names: typing.Iterable[str], declared: typing.Iterable[str], where: str) -> None:
    """Raise `RequestError` for the first name that is not declared, naming the near miss."""
    declared = list(declared)
    for name in names:
        if name not in declared:
            near = near_miss(name, declared)
            raise RequestError(
                f"{where} has no parameter {name!r}",
                expected=f"one of {', '.join(declared)}",
                mend=f"did you mean {near!r}?" if near else "see `nextaim show`",
            )


def _declaration(
    node: ast.stmt, comments: dict[int, str], where: str, commented: bool
) -> Parameter:
    comment = comments.get(node.lineno) or comments.get(node.end_lineno or 0) or ""
    if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)) or (
        commented and not comment
    ):
        raise DataError(
            f"{where}: line {node.lineno} of the parameters cell is not a parameter",
            expected="name: type = default  # what it means",
            found=ast.unparse(node),
        )
    bounds = _BOUNDS.search(comment)
    low, high = (float(b) for b in bounds.groups()) if bounds else (None, None)
    name, annotation = node.target.id, ast.unparse(node.annotation)
    try:
        _kind(node.annotation)
        default = ast.literal_eval(node.value) if node.value else None
        parameter = Parameter(name, annotation, default, _BOUNDS.sub("", comment), low, high)
        parameter.check(default)
    except (ValueError, RequestError) as error:
        raise DataError(f"{where}: parameter {name!r} is ill declared", found=str(error)) from error
    return parameter


@cache
def _checker(annotation: str) -> TypeAdapter:
    return TypeAdapter(_kind_of(annotation))


@cache
def _kind_of(annotation: str) -> Any:
    return _kind(ast.parse(annotation, mode="eval").body)


def _kind(node: ast.expr) -> Any:
    match node:
        case ast.Name(id=name) if name in _SCALARS:
            return _SCALARS[name]
        case ast.Constant(value=None):
            return None
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[_kind(item)]  # type: ignore[misc]  # built at run time on purpose
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            values = ast.literal_eval(choices)
            return Literal[values if isinstance(values, tuple) else (values,)]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return typing.Union[_kind(left), _kind(right)]  # noqa: UP007  # from values
    raise ValueError(
        f"type {ast.unparse(node)!r}: use int, float, bool, str, Literal[...], list[...] or | None"
    )


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        t.start[0]: t.string.lstrip("# ").rstrip() for t in tokens if t.type == tokenize.COMMENT
    }
