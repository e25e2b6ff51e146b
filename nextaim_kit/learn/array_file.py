"""Arrays of numbers in one file with what has to be known of them: nothing in it is ever run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.files import atomic_path, require_file
from nextaim_kit.learn.model_file import UNREADABLE, no_models

_KEY = "nextaim_kit"


def save_arrays(arrays: Mapping[str, NDArray], path: Path, *, told: Mapping[str, Any]) -> str:
    """Write arrays and what is told of them, whole or not at all, and give the file's path.

    Parameters
    ----------
    arrays : mapping of str to array
        Of numbers.
    path : Path
        A safetensors file, by its suffix.
    told : mapping
        What JSON can hold: settings, and who the models were trained on.

    Raises
    ------
    ValueError
        If a number that is told is not finite.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> place = Path(mkdtemp()) / "line.safetensors"
    >>> path = save_arrays({"slope": np.ones(3)}, place, told={"threshold": 0.5})
    >>> told, arrays = load_arrays(Path(path), expected="a line")
    >>> told["threshold"], arrays["slope"].sum()
    (0.5, np.float64(3.0))
    """
    from safetensors.numpy import save_file

    whole = {name: np.asarray(one, order="C") for name, one in arrays.items()}
    text = json.dumps(told, allow_nan=False)
    said = json.dumps({"told": json.loads(text), "check": _check(text, whole)})
    with atomic_path(path) as unfinished:
        save_file(whole, unfinished, metadata={_KEY: said})
    return str(path)


def load_arrays(path: Path, *, expected: str) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """Read what was told of arrays, and the arrays by their names.

    Parameters
    ----------
    path : Path
    expected : str
        What the file should be, in the words of an error.

    Raises
    ------
    DataError
        If `save_arrays` did not write it, or it was changed since.

    Examples
    --------
    >>> load_arrays(Path("nothing.safetensors"), expected="models of an earlier run")
    Traceback (most recent call last):
    ...
    nextaim_kit.errors.DataError: nothing.safetensors holds no models
      expected: models of an earlier run
      found:    No such file or directory
      to mend:  give the file that a run left, unchanged
    """
    from safetensors import SafetensorError, safe_open

    require_file(path)
    try:
        with open(path, "rb"), safe_open(path, framework="numpy") as file:
            said = json.loads(dict(file.metadata() or {})[_KEY])
            arrays = {str(key): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if said["check"] != _check(json.dumps(said["told"]), arrays):
            raise ValueError("other numbers than were written")
    except KeyError as error:
        raise no_models(path, ValueError(f"no entry {error}"), expected) from error
    except (*UNREADABLE, SafetensorError) as error:
        raise no_models(path, error, expected) from error
    return said["told"], arrays


def _check(text: str, arrays: Mapping[str, NDArray]) -> str:
    """A hash of all that is in a file."""
    found = hashlib.sha256(text.encode())
    for name, one in sorted(arrays.items()):
        found.update(f"{name} {one.dtype.name} {one.shape}\n".encode())
        found.update(one.tobytes())
    return found.hexdigest()
