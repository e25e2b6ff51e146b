"""Files of one array of numbers as programs write them: series, matrices, with names or without."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.data.bounds import most_text
from nextaim_kit.errors import DataError
from nextaim_kit.files import require_file

NUMBERS = (".1d", ".tsv", ".csv", ".txt", ".npy")


def read_numbers(path: Path) -> tuple[tuple[str, ...], NDArray]:
    """Names of the columns, none where there are none, and the numbers below them.

    A first row of words, or of whole numbers that only rise, is one of names (also behind a
    ``#``); a first column of words, or of numbers in equal steps, counts the rows and is no data.

    Raises
    ------
    DataError
        If it is damaged, holds anything but numbers, or a matrix' rows and columns are in
        different orders.
    """
    require_file(path)
    try:
        if path.suffix.lower() == ".npy":
            # Mapped, since otherwise room is made for whatever the header promises.
            values = np.array(np.load(path, mmap_mode="r", allow_pickle=False))
            return (), values if values.dtype.kind == "f" else values.astype(float, casting="safe")
        if path.stat().st_size > most_text():
            raise ValueError(f"more than the {most_text():,} bytes that fit into memory")
        with path.open(encoding="utf-8-sig") as stream:
            head = stream.readline().strip("\r\n")
        mark = next((mark for mark in "\t;," if mark in head), r"\s+")
        cells = [cell.strip(" #\"'") for cell in re.split(mark, head.strip(" "))]
        named = _are_names(head, cells)
        table = pd.read_csv(path, sep=mark, header=None, skiprows=int(named), comment="#")
        if named and len(cells) == len(table.columns) - 1:
            cells = ["", *cells]
        if _is_index(table[0]):
            rows = table[0].astype(str).tolist()
            if rows != cells[1:] and sorted(rows) == sorted(cells[1:]):
                raise ValueError("rows and columns are in another order")
            table, cells = table.iloc[:, 1:], cells[1:]
        fit = named and len(cells) == len(table.columns)
        return tuple(cells) if fit else (), table.to_numpy(float)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise DataError(
            f"{path.name} cannot be read",
            expected="rows of numbers, all as long",
            found=" ".join(str(error).split())[:120],
        ) from error


def _are_names(head: str, cells: list[str]) -> bool:
    """Whether a first row is one of names: words, or whole numbers that only rise."""
    given = [cell for cell in cells if cell.lower() not in ("", "n/a", "nan", "na")]
    numbers = pd.to_numeric(pd.Series(given, dtype=object), errors="coerce")
    if head.lstrip().startswith("#") or numbers.isna().any():
        return True
    rising = len(given) > 2 and bool((numbers.diff()[1:] > 0).all())
    return rising and all(cell.isdigit() for cell in given)


def _is_index(column: pd.Series) -> bool:
    """Whether a first column names or counts the rows: words alone, or equal steps."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(float)
    steps = np.diff(values)
    even = len(steps) > 1 and steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-6, atol=0)
    return bool(even or (np.isnan(values).all() and not pd.api.types.is_numeric_dtype(column)))
