"""What tells one step, parameter or input from another, said in JSON."""

from __future__ import annotations

import enum
import functools
import hashlib
import importlib.metadata
import inspect
import json
import os
import types
from pathlib import Path
from typing import Any

import numpy as np

from nextaim_kit.data.hashes import below, content_hashes
from nextaim_kit.data.paths import files_of, split_choice
from nextaim_kit.errors import DataError, RequestError


def digest(said: Any) -> str:
    """SHA-256, as 64 hexadecimal digits, of what can be said in JSON."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode(errors="replace")).hexdigest()


def code_of(step: Any, key: str = "") -> list[str]:
    """Name, source and package version of a function or class; `key` stands for other callables."""
    name = f"{getattr(step, '__module__', '')}.{getattr(step, '__qualname__', type(step).__name__)}"
    versions = _versions(name.partition(".")[0])
    source = _source(step) or (key and f"key {key}")
    if source or (versions and isinstance(step, type)):
        return [name, source, *versions]
    raise RequestError(
        f"{name} has no source that tells what it does",
        expected="a function by its name: no lambda, closure, method or functools.partial",
        mend="write it with def, or give key= and change that when the function changes",
    )


def _source(step: Any) -> str:
    named = isinstance(step, types.FunctionType) and step.__name__ != "<lambda>"
    return _of_file(step) if isinstance(step, type) or (named and not step.__closure__) else ""


@functools.cache  # as first seen: a file edited later on is not what runs here
def _of_file(step: Any) -> str:
    try:
        return hashlib.sha256(inspect.getsource(step).encode()).hexdigest()
    except (OSError, TypeError):
        return ""


@functools.cache
def _versions(package: str) -> list[str]:
    try:  # most are called as they are imported; to look through all that is installed takes 0.5 s
        return [f"{package} {importlib.metadata.version(package)}"]
    except importlib.metadata.PackageNotFoundError:
        owners = sorted(set(importlib.metadata.packages_distributions().get(package, ())))
        return [f"{owner} {importlib.metadata.version(owner)}" for owner in owners]


def said(value: Any, key: str = "") -> Any:
    """Say a value in JSON: a path by its content, an array by its numbers, else it is `key`."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list | tuple):
        return {type(value).__name__: [said(one, key) for one in value]}
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {"dict": {name: said(one, key) for name, one in value.items()}}
    if isinstance(value, Path):
        return {"content": content(value)}
    if hasattr(type(value), "cache_key"):
        return {"step": value.cache_key}
    if isinstance(value, types.FunctionType | type):
        return {"code": code_of(value, key)}
    if isinstance(value, enum.Enum | np.dtype):
        return {type(value).__qualname__: str(value)}
    if isinstance(value, np.generic) or type(value) in (np.ndarray, np.memmap):
        array = np.asarray(value)
        if not array.dtype.hasobject:
            sha256 = hashlib.sha256(array.tobytes()).hexdigest()
            return {type(value).__name__: [str(array.dtype.descr), array.shape, sha256]}
    if key:
        return {"key": key}
    raise RequestError(
        f"a {type(value).__module__}.{type(value).__qualname__} has no name of its own in JSON",
        expected="numbers, texts, arrays, paths, functions, or lists and dicts of these",
        mend="give key= and change that when the value changes",
    )


def content(path: str | Path) -> str:
    """Hash of what a file or folder holds, wherever it lies."""
    place, choice = split_choice(path)
    if not place.exists():
        raise DataError(
            f"{place.name or place} is not there",
            expected="a file or folder; what is no path is given by its name, as a parameter",
            mend="check the path",
        )
    try:
        parts = [("", part) for part in files_of(place)]
        files = sorted(below(place)) if place.is_dir() else parts
        hashes = content_hashes([file for _, file in files])
        return digest([choice, [[name, h] for (name, _), h in zip(files, hashes, strict=True)]])
    except OSError as error:
        raise DataError(f"{place.name} cannot be read", found=str(error.strerror)) from error


def as_input(value: Any, alone: bool = True) -> Any:
    """An input with its paths told from other text: a text alone, in a dict or list where one is.

    >>> as_input("ct.nii.gz"), as_input({"age": "60"})
    (PosixPath('ct.nii.gz'), {'age': '60'})
    """
    if isinstance(value, dict):
        return {key: as_input(one, False) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_input(one, False) for one in value]
    return Path(value) if isinstance(value, str) and (alone or names_file(value)) else value


def names_file(text: str) -> bool:
    """Whether a text is the path of a file, or one with a slash of a folder."""
    place, _ = split_choice(text) if text and "\0" not in text else (Path(), "")
    return os.path.isfile(place) or (os.sep in text and os.path.isdir(place))
