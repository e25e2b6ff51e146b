"""Files of tables as programs write them: text with any separator, packed or not, and Excel's."""

from __future__ import annotations

import csv
import io
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import pandas as pd

from nextaim_kit.data.bounds import (
    memory_free,
    most_text,
    require_members,
    require_room,
    unpacked,
    whole,
)
from nextaim_kit.data.cohort.cells import unguarded
from nextaim_kit.errors import DataError
from nextaim_kit.files import require_file

TEXTS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
SHEETS = (*TEXTS, ".xlsx", ".parquet")
# Groups of three behind a comma: thousands in one country, three decimals in another.
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")
_COMMA = re.compile(r"[+-]?\d+(?:\.\d{3})*,\d+(?:[eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
NO_VALUE = ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "None", "<NA>"]

_CELL, _XML = 100, 5  # bytes that a cell takes, and how much more than its text a sheet does

Rows = list[list[str]]


def kind_of(path: Path) -> str:
    """Suffix of a table's file in lower case, that of a packed one with its ``.gz``."""
    name = path.name.lower()
    return next((kind for kind in SHEETS if name.endswith(kind)), path.suffix.lower())


def read_sheet(path: Path, text: Collection[str], names: Collection[str]) -> pd.DataFrame:
    """Read the file of a table.

    Parameters
    ----------
    path : Path
        Of a kind in `SHEETS`.
    text : collection of str
        Columns that stay as they are written: a name may look like a number.
    names : collection of str
        Those among them in which NA is a name, and no empty cell.

    Raises
    ------
    ValueError, OSError
        If it is damaged, a row is longer or shorter than the header, or two columns have one
        name.
    """
    require_file(path)
    kind = kind_of(path)
    if kind == ".parquet":
        import pyarrow.parquet as pq

        told = pq.read_metadata(path)
        groups = (told.row_group(k).total_byte_size for k in range(told.num_row_groups))
        require_room(_CELL * told.num_rows * told.num_columns + sum(groups), path)
        pq.read_table(path, partitioning=None).validate(full=True)  # pandas reads text only later
        table = pd.read_parquet(path, partitioning=None)
        _refuse_repeated([str(column) for column in table])
        return table.reset_index() if table.index.name else table
    written = _excel(path) if kind == ".xlsx" else _split(_decoded(path), kind)
    rows = [[unguarded(cell) for cell in row] for row in written]
    filled = [(number, row) for number, row in enumerate(rows, 1) if any(row)]
    if not filled:
        raise ValueError("the file is empty")
    header = _header(filled[0][1])
    _refuse_repeated(header)
    return _typed(header, [_as_long(row, header, n) for n, row in filled[1:]], text, names)


def header_of(path: Path) -> list[str]:
    """Names of a table's columns, read without the rest; none where that cannot be done."""
    try:
        if kind_of(path) == ".xlsx":
            rows = _excel(path)
        else:
            with unpacked(path) as stream:
                start = stream.read(1 << 20)
            code = "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
            lines = start.decode(code, "replace").lstrip("\r\n").splitlines()
            rows = _split("\n".join(lines[:2]), kind_of(path))
    except (OSError, ValueError, EOFError, zlib.error, DataError):
        return []
    return _header([unguarded(cell) for cell in next((row for row in rows if any(row)), [])])


def _header(cells: list[str]) -> list[str]:
    """Names of the columns; one without has its position, whatever others are called."""
    names = [cell.strip() for cell in cells]
    own = [f"Unnamed: {k}" for k in range(len(names))]
    return [
        name or f"{mine}{' here' * (mine in names)}" for name, mine in zip(names, own, strict=True)
    ]


def _decoded(path: Path) -> str:
    try:
        with unpacked(path) as stream:
            content = whole(stream, most_text())
    except (EOFError, zlib.error) as error:
        raise ValueError(f"the packed file is damaged: {error}") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # Excel's "Unicode text"
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if b"\0" in content:  # no text at all
            raise
    decoded = content.decode("cp1252")
    word = next(w for w in re.split(r"[\s,;]+", decoded) if not w.isascii())
    said = f"{path.name} is not UTF-8: read as Windows-1252, where it says {word[:40]!r}"
    warnings.warn(said, stacklevel=2)
    return decoded


def _split(text: str, kind: str) -> Rows:
    """Cells of a text; the separator is the one that divides its header most often."""
    if "\0" in text:
        raise ValueError("a zero byte: no text, or a damaged one")
    first, _, rest = text.partition("\n")
    told = re.fullmatch(r"sep=(.)\s*", first)  # Excel's own line before the header
    text = rest if told else text
    header = text.lstrip("\r\n").partition("\n")[0]
    likely = "\t,;|" if kind.startswith(".tsv") else ",;\t|"
    mark = (
        told[1] if told else max(likely, key=lambda m: len(_cells(header, m)[0]) if header else 0)
    )
    return _cells(text, mark)


def _cells(text: str, mark: str) -> Rows:
    try:
        source = io.StringIO(text, newline="")
        return list(csv.reader(source, delimiter=mark, skipinitialspace=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _excel(path: Path) -> Rows:
    """Cells of the first sheet; others that hold something are named, and not read."""
    from openpyxl import load_workbook

    try:
        require_members(path, times=_XML)
        book = load_workbook(path, read_only=True, data_only=True)
        sheets = {s.title: _rows_of(s) for s in book.worksheets}
        formulas = _rows_of(load_workbook(path, read_only=True).worksheets[0])
        pairs = zip(next(iter(sheets.values())), formulas, strict=True)
        bare = [f for row in pairs for value, f in zip(*row, strict=True) if value is None and f]
    except (BadZipFile, KeyError, AttributeError, TypeError, IndexError) as error:
        raise ValueError(f"no sound spreadsheet: {error}") from error
    if bare:
        raise ValueError(f"{len(bare)} formulas without their values, such as {str(bare[0])[:60]}")
    first, *others = [name for name, rows in sheets.items() if any(map(any, rows))] or [""]
    if others:
        said = f"{path.name}: the sheet {first!r} is read, and not {', '.join(map(repr, others))}"
        warnings.warn(said, stacklevel=2)
    return [["" if c is None else str(c) for c in row] for row in sheets.get(first, [])]


def _rows_of(sheet: Any) -> list[tuple[Any, ...]]:
    """Rows of a sheet; one that is said to be at its far end fills all before it."""
    rows, cells, most = [], 0, memory_free() // _CELL
    for row in sheet.iter_rows(values_only=True):
        cells += len(row)
        if cells > most:
            raise ValueError(f"more than {most:,} cells, which this machine cannot hold")
        rows.append(row)
    return rows


def _refuse_repeated(header: Sequence[str]) -> None:
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise ValueError(f"several columns of one name: {', '.join(map(repr, twice[:5]))}")


def _as_long(row: list[str], header: Sequence[str], number: int) -> list[str]:
    if len(row) < len(header) or any(row[len(header) :]):
        raise ValueError(f"row {number} has {len(row)} cells, the header {len(header)}")
    return row[: len(header)]


def _typed(
    header: list[str], rows: Rows, text: Collection[str], names: Collection[str]
) -> pd.DataFrame:
    source = io.StringIO(newline="")
    csv.writer(source).writerows([header, *_pointed(header, rows, text)])
    source.seek(0)
    table = pd.read_csv(
        source,
        dtype={name: str for name in text if name in header},
        keep_default_na=False,
        na_values={name: NO_VALUE for name in header if name not in names},
        low_memory=False,
    )
    unnamed = [c for c in table if str(c).startswith("Unnamed: ") and table[c].isna().all()]
    return table.drop(columns=unnamed)


def _pointed(header: Sequence[str], rows: Rows, text: Collection[str]) -> Rows:
    """Decimal commas made points, where some are clear and no number of the table has a point."""
    columns = [k for k, name in enumerate(header) if name not in text]
    cells = {row[k].strip() for row in rows for k in columns}
    commas = {cell for cell in cells if _COMMA.fullmatch(cell)}
    if not any(not THOUSANDS.fullmatch(cell) for cell in commas) or any(
        _POINT.fullmatch(cell) for cell in cells
    ):
        return rows
    made = {cell: cell.replace(".", "").replace(",", ".") for cell in commas}
    return [[made.get(cell.strip(), cell) for cell in row] for row in rows]
