"""What a value or a function is, as text: equal where using the one or the other is the same."""

from __future__ import annotations

import enum
import functools
import re
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nextaim_kit.data.cache.arrays import array_text, bytes_digest, digest
from nextaim_kit.data.cache.code import code_text, library, references
from nextaim_kit.data.cache.inputs import Content, as_input, content
from nextaim_kit.errors import RequestError

_CHANGEABLE = (list, dict, set, np.ndarray)
_known: dict[Any, tuple[str, list[Callable[[], bool]]]] = {}
_MOST_KNOWN = 256
_PLAIN = (type(None), bool, int, float, complex, str, bytes, types.EllipsisType, slice, range)


class Tokens:
    """Describes values; keeps the contents of files and stored steps that it met on the way.

    Attributes
    ----------
    sources : dict of str to int
        Bytes of each input, by the hash of its content.
    """

    def __init__(self) -> None:
        self.sources: dict[str, int] = {}
        self._met: dict[int, tuple[int, Any]] = {}
        self._watched: list[Callable[[], bool]] = []
        self._inside_code = 0

    def of(self, value: Any) -> str:
        """Describe a value by all that it holds.

        Raises
        ------
        RequestError
            If two values of its kind cannot be told apart: a lock, an open file.
        """
        if isinstance(value, _PLAIN) and not isinstance(value, enum.Enum):
            return f"{type(value).__name__} {value!r}"
        for describe in (_scalar, self._content, array_text, self._members, self._callable):
            found = describe(value)
            if found is not None:
                return found
        return self._object(value)

    def step(self, step: Any) -> str:
        """Describe a step; a function of which nothing has changed is not looked through again."""
        if not isinstance(step, types.FunctionType):
            return self.of(step)
        text, watched = _known.get(step, ("", []))
        if not text or not all(same() for same in watched):
            if len(_known) >= _MOST_KNOWN:  # functions that are defined again and again
                _known.clear()
            alone = Tokens()
            text = digest(alone.of(step))
            _known[step] = text, alone._watched
        return text

    def inputs(self, given: tuple) -> str:
        """Describe the positional arguments of a step, and note their bytes."""
        texts = []
        for one in map(as_input, given):
            texts.append(self.of(one))
            if isinstance(one, np.ndarray):
                self.sources[bytes_digest(one)] = one.nbytes
        return digest(*texts)

    def count(self, found: Content) -> str:
        """Note an input and give what stands for it."""
        self.sources[found.sha256] = found.bytes
        return f"content {found.sha256} {found.choice}"

    def _content(self, value: Any) -> str | None:
        if isinstance(value, Path):
            # A constant such as Path("/") is no input.
            return f"path {value}" if self._inside_code else self.count(content(value))
        if hasattr(type(value), "cache_sources"):
            self.sources |= value.cache_sources
            return f"step {value.cache_key}"
        return None

    def _members(self, value: Any) -> str | None:
        if isinstance(value, Mapping):
            pairs = sorted(f"{self.of(k)}: {self.of(v)}" for k, v in value.items())
            return f"{_name(type(value))} {{{', '.join(pairs)}}}"
        if isinstance(value, set | frozenset):
            return f"set {sorted(map(self.of, value))}"
        if isinstance(value, list | tuple):
            return f"{_name(type(value))} [{', '.join(map(self.of, value))}]"
        return None

    def _callable(self, value: Any) -> str | None:
        if isinstance(value, functools.partial):
            parts = value.func, value.args, value.keywords
            return f"partial {self.of(list(parts))}"
        if isinstance(value, types.MethodType):
            return f"method {self.of(value.__func__)} of {self.of(value.__self__)}"
        if isinstance(value, types.ModuleType):
            return f"module {value.__name__} {library(value.__name__)}"
        if isinstance(value, types.FunctionType | type):
            self._inside_code += 1
            try:
                how = self._class if isinstance(value, type) else self._function
                return self._once(value, how)
            finally:
                self._inside_code -= 1
        if hasattr(value, "py_func"):  # compiled by numba
            return f"compiled {self.of(value.py_func)}"
        named = callable(value) and getattr(value, "__qualname__", None)
        if named and library(value.__module__) is not None:
            return f"function {_name(value)} {library(value.__module__)}"
        if isinstance(value, types.BuiltinFunctionType | types.MethodDescriptorType | np.ufunc):
            module = getattr(value, "__module__", None) or "numpy"
            return f"builtin {module}.{value.__name__} {library(module)}"
        return None

    def _once(self, value: Any, describe: Any) -> str:
        """Describe what may refer to itself; met again, its number stands for it."""
        if id(value) in self._met:
            return f"again {self._met[id(value)][0]}"
        self._met[id(value)] = len(self._met), value
        return describe(value)

    def _function(self, function: types.FunctionType) -> str:
        name, version = _name(function), library(function.__module__)
        if version is not None:
            return f"function {name} {version}"
        code, defaults = function.__code__, function.__defaults__
        self._watched.append(
            lambda: function.__code__ is code and function.__defaults__ is defaults
        )
        held = [self.of(defaults), self.of(function.__kwdefaults__)]
        held += [self._referred(_contents(cell)) for cell in function.__closure__ or ()]
        for where, found in references(function):
            space, key = where
            self._watched.append(lambda s=space, k=key, f=found: s.get(k) is f)  # type: ignore[misc]
            if not _memory(function, key, found):
                held.append(f"{key}={self._referred(found)}")
        return f"function {name} {code_text(function)} {held}"

    def _referred(self, value: Any) -> str:
        """Describe what code refers to; loggers and the like do not make it another code."""
        try:
            text = self.of(value)
        except RequestError:
            return _name(type(value))
        if isinstance(value, _CHANGEABLE):
            before = _snapshot(value)
            self._watched.append(lambda: _snapshot(value) == before)
        return text

    def _class(self, kind: type) -> str:
        version = library(kind.__module__)
        if version is not None:
            return f"class {_name(kind)} {version}"
        members = {n: v for n, v in sorted(vars(kind).items()) if n not in _UNTOLD}
        self._watched.append(lambda: all(vars(kind).get(n) is v for n, v in members.items()))
        held = [f"{name}={self._referred(_plain(value))}" for name, value in members.items()]
        return f"class {_name(kind)} {list(map(self.of, kind.__bases__))} {held}"

    def _object(self, value: Any) -> str:
        if isinstance(value, enum.Enum):
            return f"{_name(type(value))} {value.name}"
        if isinstance(value, re.Pattern | np.dtype) or type(value).__module__ == "torch":
            return f"{_name(type(value))} {value!r}"
        state = getattr(value, "__dict__", None)
        if state is None:
            raise RequestError(
                f"whether two values of the type {_name(type(value))} are alike cannot be told",
                expected="numbers, texts, arrays, paths, functions, or objects made of them",
                mend="make it inside the step, from such parameters",
            )
        return self._once(value, lambda v: f"{self.of(type(v))} {self.of(dict(state))}")


_UNTOLD = {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "_abc_impl"}


def _name(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


def _memory(function: types.FunctionType, name: str, value: Any) -> bool:
    """Whether a name stands for what the kit notes as it runs; its constants are in capitals.

    In the user's own code a list or dict counts always: at worst a step is done once more.
    """
    kit = function.__module__.startswith("nextaim_kit.")
    return kit and isinstance(value, _CHANGEABLE) and not name.strip("_").isupper()


def _snapshot(value: Any) -> Any:
    """What to compare later on, to see whether a list, mapping, set or array has changed."""
    if isinstance(value, dict):
        return [(key, _snapshot(one)) for key, one in value.items()]
    if isinstance(value, list | tuple):
        return [_snapshot(one) for one in value]
    if isinstance(value, set):
        return frozenset(value)
    if isinstance(value, np.ndarray):
        return array_text(value) or value.tolist()
    return value


def _plain(member: Any) -> Any:
    """The function behind a member of a class."""
    if isinstance(member, property):
        return [member.fget, member.fset]
    return getattr(member, "__func__", member)


def _scalar(value: Any) -> str | None:
    if isinstance(value, np.generic):
        return f"{value.dtype.str} {value!r}"
    return None
