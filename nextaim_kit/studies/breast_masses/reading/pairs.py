"""Pairs of a case and the prototype that explains it, blinded, in one file for readers to rate.

A pair is true, or a *wrong aid*: the same case beside a patch that is not the prototype's. Readers
who rate both alike do not look at the explanation.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.data.bounds import require_members
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.errors import DataError
from nextaim_kit.files import atomic_path

FILE = "pairs.npz"
COLUMNS = {
    "subject": "U", "image": "U", "prototype": "i", "source": "U", "contribution": "f",
    "label": "i", "prototype_label": "i", "wrong_aid": "b",
}  # fmt: skip
_DRAWN = 100  # orders, until no case follows itself
_PICTURES = ("test", "source_picture", "boxes", "source_boxes")


@dataclass(frozen=True)
class Pairs:
    """Pairs to rate; row k of each array is row k of the table.

    Attributes
    ----------
    table : DataFrame
        ``pair`` (the name that readers' answers are kept under), ``subject`` (patient of the
        case), ``image``, ``prototype``, ``source`` (crop beside it), ``contribution``, ``label``,
        ``prototype_label``, ``wrong_aid``.
    test, source : uint8 arrays of shape (n, rows, columns)
        Crops of the cases, and those beside them.
    boxes, source_boxes : int arrays of shape (n, 4)
        First and last row and column + 1 of the patch: row, column, row, column (px).
    """

    table: pd.DataFrame
    test: NDArray[np.uint8]
    source: NDArray[np.uint8]
    boxes: NDArray[np.int64]
    source_boxes: NDArray[np.int64]

    @cached_property
    def key(self) -> str:
        """Twelve digits that these pairs alone have: answers to others do not pass for theirs."""
        found = hashlib.sha256(self.table.to_csv(index=False).encode())
        for array in (self.test, self.source, self.boxes, self.source_boxes):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()[:12]


def save_pairs(
    path: str | Path,
    table: pd.DataFrame,
    *,
    test: NDArray,
    source: NDArray,
    boxes: NDArray,
    source_boxes: NDArray,
    seed: int,
) -> Pairs:
    """Shuffle pairs, so that neither name nor place tells the wrong aid, and keep them in a file.

    Parameters
    ----------
    path : path
        Ends in ``.npz``.
    table : DataFrame
        A row per pair: the columns of `Pairs.table` but ``pair``.
    test, source, boxes, source_boxes : array
        As in `Pairs`.
    seed : int

    Raises
    ------
    DataError
        If they are not as `Pairs` says, a box has less than 2 px a side, or there is no true pair
        or no wrong aid.
    """
    name = Path(path).name
    order = np.random.default_rng(seed).permutation(len(table))
    mixed = table.iloc[order].reset_index(drop=True)
    mixed.insert(0, "pair", [f"P{k:03d}" for k in range(1, len(table) + 1)])
    _check_rows(len(table), [test, source, boxes, source_boxes], name)
    pairs = Pairs(mixed, test[order], source[order], boxes[order], source_boxes[order])
    _check(pairs, name)
    kept: dict[str, Any] = {column: mixed[column].to_numpy() for column in ("pair", *COLUMNS)}
    texts = {column: kept[column].astype(str) for column in ("pair", *_texts())}
    arrays = dict(
        zip(_PICTURES, (pairs.test, pairs.source, pairs.boxes, pairs.source_boxes), strict=True)
    )
    with atomic_path(path) as partial:
        np.savez_compressed(partial, **(kept | texts | arrays))
    return load_pairs(path)


def load_pairs(spec: str | Path) -> Pairs:
    """Read the pairs that a run of ``breast_masses/prototypes`` left: its folder, or the file.

    Raises
    ------
    RequestError
        If there is no such file or folder.
    DataError
        If the file is not there, damaged, or not as `Pairs` says.
    """
    place = find_source(str(spec)).path
    path = _found_in(place) if place.is_dir() else place
    try:
        require_members(path)
        with np.load(path, allow_pickle=False) as stored:
            kept = {name: stored[name] for name in ("pair", *COLUMNS, *_PICTURES)}
    except Exception as error:  # zip, zlib and NumPy raise what they like at damaged files
        raise DataError(
            f"{path.name} holds no pairs that can be read",
            expected=f"{FILE} of a run of breast_masses/prototypes",
            found=" ".join(str(error).split())[:200] or type(error).__name__,
            mend="run breast_masses/prototypes again, or copy its file again",
        ) from error
    arrays = [kept.pop(name) for name in _PICTURES]
    _check_rows(len(kept["pair"]), [*arrays, *kept.values()], path.name)
    table = pd.DataFrame(kept).astype({name: str for name in ("pair", *_texts())})
    pairs = Pairs(table, *arrays)
    _check(pairs, path.name)
    return pairs


def blinded_order(pairs: Pairs, reader: str, seed: int) -> list[str]:
    """Names of the pairs in the order in which this reader, and no other, sees them.

    The true pair and the wrong aid of a case stand apart: one after the other they would be told
    by comparing. Of very few cases this may not be possible.
    """
    rng = np.random.default_rng([seed, zlib.crc32(reader.encode())])
    images = pairs.table["image"].to_numpy(str)
    for _ in range(_DRAWN):
        order = rng.permutation(len(images))
        if (images[order][1:] != images[order][:-1]).all():
            break
    return pairs.table["pair"].to_numpy(str)[order].tolist()


def _texts() -> list[str]:
    return [name for name, kind in COLUMNS.items() if kind == "U"]


def _found_in(folder: Path) -> Path:
    there = [path for path in (folder / FILE, folder / "files" / FILE) if path.is_file()]
    if not there:
        raise DataError(
            f"{folder.name} has no pairs",
            expected=f"{FILE}, as breast_masses/prototypes leaves it",
            found=", ".join(sorted(p.name for p in folder.iterdir())[:5]) or "nothing",
            mend="give the folder of a run of breast_masses/prototypes, or its file",
        )
    return there[0]


def _require(right: bool, name: str, expected: str, found: str) -> None:
    if not right:
        raise DataError(
            f"{name}: these are no pairs to rate",
            expected=expected,
            found=found,
            mend="leave pairs as breast_masses/prototypes makes them: run it again",
        )


def _check_rows(n: int, arrays: list[NDArray], name: str) -> None:
    rows = sorted({len(array) for array in arrays})
    _require(rows == [n], name, f"{n} rows in each array", f"{rows} rows")


def _check(pairs: Pairs, name: str) -> None:
    table = pairs.table
    odd = sorted(set(map(str, table)) ^ {"pair", *COLUMNS})
    _require(not odd, name, "the columns " + ", ".join(COLUMNS), f"missing or unknown: {odd}")
    odd = [column for column, kind in COLUMNS.items() if not _is_of(table[column], kind)]
    _require(not odd, name, "text, numbers, yes or no, none missing", f"another kind in {odd}")
    named, kinds = table["pair"].nunique(), table["wrong_aid"].nunique()
    _require(named == len(table), name, "a name of its own for each pair", f"{named} names")
    _require(kinds == 2, name, "true pairs and wrong aids", "only one of the two")
    for crops in (pairs.test, pairs.source):
        right = crops.dtype == np.uint8 and crops.ndim == 3 and crops.shape == pairs.test.shape
        expected = "crops as uint8 of one size, (pairs, rows, columns)"
        _require(right, name, expected, f"{crops.dtype} {crops.shape}")
    for boxes in (pairs.boxes, pairs.source_boxes):
        right = boxes.dtype.kind == "i" and boxes.shape == (len(table), 4)
        _require(right, name, "boxes as whole numbers, (pairs, 4)", f"{boxes.dtype} {boxes.shape}")
        first, last = boxes[:, :2], boxes[:, 2:]
        outside = (first < 0) | (last > pairs.test.shape[1:]) | (last - first < 2)
        bad = boxes[outside.any(axis=1)]
        expected = f"boxes of 2 px or more inside {pairs.test.shape[1:]} px"
        _require(not len(bad), name, expected, f"{bad[:1].tolist()}")


def _is_of(column: pd.Series, kind: str) -> bool:
    if kind == "U":
        return bool(column.map(lambda value: isinstance(value, str) and value != "").all())
    finite = kind != "f" or bool(np.isfinite(column.to_numpy(float)).all())
    return finite and column.to_numpy().dtype.kind == kind
