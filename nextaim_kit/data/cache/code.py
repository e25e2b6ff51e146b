"""What a function does, as text: its compiled code and the names of what that refers to.

The compiled code is what runs. A source file may have been edited since it was imported, and
comments, layout and the text of documentation make no difference.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import importlib
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any


@functools.cache
def library(module: str | None) -> str | None:
    """Version of the installed package that a module belongs to; None for one's own code."""
    top = (module or "__main__").partition(".")[0]
    if top == "__main__":
        return None
    if top in sys.stdlib_module_names:
        return platform.python_version()
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # made on the fly
        return None
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    parts = {part for place in places if place for part in Path(place).parts}
    return _version(top) if parts & {"site-packages", "dist-packages"} else None


def _version(top: str) -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(top)
    owners = _owners().get(top, [])
    return " ".join(f"{name} {importlib.metadata.version(name)}" for name in owners)


@functools.cache
def _owners() -> Any:
    return importlib.metadata.packages_distributions()


def code_text(function: FunctionType) -> str:
    """The compiled code of a function with its constants, without the documentation."""
    return _text(function.__code__, function.__doc__)


def _text(code: CodeType, doc: str | None) -> str:
    constants = list(code.co_consts)
    if doc is not None and constants and constants[0] == doc:
        constants[0] = None
    held = [_text(c, None) if isinstance(c, CodeType) else _constant(c) for c in constants]
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_argcount, code.co_flags
    return f"{code.co_code.hex()} {names} {held}"


def _constant(value: Any) -> str:
    """A constant as text; a set of them has no order of its own."""
    return str(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)


Place = tuple[dict[str, Any], str]  # a name space and a name in it


def references(function: FunctionType) -> Iterator[tuple[Place, Any]]:
    """What a function refers to by name outside of itself, in a fixed order.

    Of one's own modules the members that are used, of an installed one the module.
    """
    used = _used(function.__code__)
    seen: set[str] = set()
    for name in sorted(used["global"]):
        if name in function.__globals__:
            yield from _followed((function.__globals__, name), used["member"], seen)
    for name in sorted(used["import"]):
        if library(name) is not None:
            yield ({name: name}, name), name  # not imported for this alone
            continue
        with contextlib.suppress(ImportError):
            place = {name: importlib.import_module(name)}, name
            yield from _followed(place, used["member"], seen)


def _followed(place: Place, names: Collection[str], seen: set[str]) -> Iterator[tuple[Place, Any]]:
    space, name = place
    value = space[name]
    if not isinstance(value, ModuleType) or library(value.__name__) is not None:
        yield place, value
    elif value.__name__ not in seen:
        seen.add(value.__name__)
        for member in sorted(names):
            if member in vars(value):
                yield from _followed((vars(value), member), names, seen)


_OPERATIONS = {
    "LOAD_GLOBAL": "global", "LOAD_NAME": "global", "LOAD_ATTR": "member", "LOAD_METHOD": "member",
    "IMPORT_FROM": "member", "IMPORT_NAME": "import",
}  # fmt: skip


def _used(code: CodeType) -> dict[str, set[str]]:
    """Names that code reads: of its module, of what it read, of modules that it imports."""
    found: dict[str, set[str]] = {"global": set(), "member": set(), "import": set()}
    for part in _codes(code):
        for instruction in dis.get_instructions(part):
            if instruction.opname in _OPERATIONS:
                found[_OPERATIONS[instruction.opname]].add(instruction.argval)
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code and that of the functions inside of it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
