"""A model's numbers in one file, with who trained it: nothing in it is ever run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.files import atomic_path
from nextaim_kit.learn.final import Seen
from nextaim_kit.machine.kit import kit_version

_SAID = "nextaim_kit arrays 1"
_COHORT = ("name", "sha256", "synthetic")


@dataclass(frozen=True)
class ArrayFile:
    """What a file of `save_arrays` holds.

    Attributes
    ----------
    arrays : dict of str to array
    said : dict
        What else the writer said of them.
    trained_on : dict
        ``name``, ``sha256``, ``synthetic`` and ``patients`` of the training cohort.
    seen : Seen
        The training patients.
    version : str
        Of the kit that wrote it.
    """

    arrays: dict[str, NDArray]
    said: dict[str, Any]
    trained_on: dict[str, Any]
    seen: Seen
    version: str

    def __str__(self) -> str:
        cohort = self.trained_on
        made_up = " (SYNTHETIC)" if cohort["synthetic"] else ""
        return f"trained on {cohort['patients']} patients of {cohort['name']}{made_up}"


def save_arrays(
    arrays: Mapping[str, NDArray],
    path: Path,
    *,
    said: Mapping[str, Any],
    trained_on: Mapping[str, Any],
    subjects: Iterable[Any],
) -> str:
    """Write arrays of numbers and what they are, whole or not at all, and give the path.

    Parameters
    ----------
    arrays : mapping of str to array
        Of numbers.
    path : Path
        Ends in ``.npz``.
    said : mapping
        Of what JSON has.
    trained_on : mapping
        ``name``, ``sha256`` and ``synthetic`` of the cohort, as `data.fingerprint` gives them.
    subjects : iterable
        Names of the training patients, kept as hashes.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> cohort = {"name": "table.csv", "sha256": "0" * 64, "synthetic": False}
    >>> place, who = Path(mkdtemp()) / "model.npz", ["P1", "P2"]
    >>> _ = save_arrays({"w": np.ones(3)}, place, said={}, trained_on=cohort, subjects=who)
    >>> found = load_arrays(place)
    >>> print(found, found.seen.among(["P2", "P3"]), found.arrays["w"].sum())
    trained on 2 patients of table.csv ['P2'] 3.0
    """
    seen = Seen.of(subjects)
    cohort = {name: trained_on[name] for name in _COHORT} | {"patients": len(seen.subjects)}
    told = {"said": dict(said), "trained_on": cohort, "version": kit_version(),
            "salt": seen.salt, "subjects": sorted(seen.subjects)}  # fmt: skip
    text = np.frombuffer(json.dumps(told).encode(), np.uint8)
    with atomic_path(path) as unfinished, open(unfinished, "wb") as file:
        np.savez(file, allow_pickle=False, **{_SAID: text, **arrays})
    return str(path)


def load_arrays(path: Path) -> ArrayFile:
    """Read what `save_arrays` wrote.

    Raises
    ------
    DataError
        If it is no such file, or is damaged.

    Examples
    --------
    >>> load_arrays(Path("nothing.npz"))
    Traceback (most recent call last):
    ...
    nextaim_kit.errors.DataError: nothing.npz holds no models
      expected: a file of models that an earlier run left
      found:    No such file or directory
      to mend:  give the file that a run left, unchanged
    """
    try:
        with np.load(path, allow_pickle=False) as packed:
            arrays = {name: packed[name] for name in packed.files}
        told = json.loads(arrays.pop(_SAID).tobytes())
        wrong = [name for name, one in arrays.items() if not _is_of_numbers(one)]
        if wrong:
            raise ValueError(f"no numbers in {wrong[0]}")
        cohort = {name: told["trained_on"][name] for name in (*_COHORT, "patients")}
        seen = Seen(told["salt"], frozenset(told["subjects"]))
        return ArrayFile(arrays, dict(told["said"]), cohort, seen, told["version"])
    except OSError as error:
        raise no_models(path.name, error.strerror or str(error)) from error
    except Exception as error:  # a damaged file can make the parser raise anything
        raise no_models(path.name, str(error)) from error


def _is_of_numbers(array: NDArray) -> bool:
    return array.dtype.kind in "fiu" and not np.isnan(array).any()


def no_models(name: str, found: str) -> DataError:
    """The error that says that a file holds no models, and why."""
    return DataError(
        f"{name} holds no models",
        expected="a file of models that an earlier run left",
        found=" ".join(found.split())[:200],
        mend="give the file that a run left, unchanged",
    )
