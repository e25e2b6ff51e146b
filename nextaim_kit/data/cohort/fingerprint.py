"""Fingerprints of data: what a run was made from, the same wherever the data lie."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nextaim_kit.data.cohort.sheets import SHEETS, kind_of
from nextaim_kit.data.cohort.tables import read_table
from nextaim_kit.data.datasets.source import Source, find_source
from nextaim_kit.data.hashes import below, content_hashes
from nextaim_kit.data.paths import files_of, place_of, split_choice
from nextaim_kit.errors import KitError

MARK = "provenance_synthetic"


def fingerprint(spec: str | Source) -> dict[str, Any]:
    """Identify the data a spec stands for by their content.

    Parameters
    ----------
    spec : str or Source
        As for `load_cohort`; a feature table or any other file is taken by its bytes.

    Returns
    -------
    dict
        ``name``; ``sha256`` of all content, None for the synthetic twin; ``licence``, and of an
        encrypted store ``agreement`` and ``until`` where they are given; ``synthetic``, which a
        table made from a twin says in the column ``provenance_synthetic``.
        No absolute path enters it.

    Raises
    ------
    RequestError
        If the spec stands for nothing.
    """
    source = find_source(spec)
    if source.synthetic:
        return {"name": source.name, "sha256": None, "licence": "Apache-2.0", "synthetic": True}
    licence = source.manifest.licence if source.manifest else "unknown"
    terms = {"licence": licence, **source.terms}
    digest = _of_path(source.path)
    if source.manifest and (outside := _outside(source.path, source.manifest.layout.get("cohort"))):
        digest = hashlib.sha256(f"{digest} {_of_files(outside)}".encode()).hexdigest()
    if source.manifest:  # what the columns mean is a part of the data
        layout = json.dumps(source.manifest.layout, sort_keys=True, default=str)
        digest = hashlib.sha256(f"{digest} {layout}".encode()).hexdigest()
    synthetic = made_from_a_twin(source.path)
    return {"name": source.name, "sha256": digest, "synthetic": synthetic, **terms}


def made_from_a_twin(path: Path) -> bool:
    """Whether a table says that it was made from synthetic patients (``provenance_synthetic``)."""
    if kind_of(path) not in SHEETS or not path.is_file():
        return False
    with contextlib.suppress(KitError):  # a damaged table is refused where it is read
        table = read_table(path)
        return MARK in table and bool(table[MARK].astype(str).str.lower().eq("true").any())
    return False


def _of_path(path: Path) -> str:
    if path.is_file() and kind_of(path) in SHEETS:
        return _of_files([(path.name, path), *_named_files(path)])
    if path.is_file():
        return _of_files([(part.name, part) for part in files_of(path)])
    if (path / "cohort.csv").is_file():
        return _of_path(path / "cohort.csv")
    return _of_files(below(path))


def _named_files(table: Path) -> list[tuple[str, Path]]:
    """Files that the cells of a table name, by what the cell says; folders with all they hold.

    An absolute cell counts by its last part alone, so that moved data stay the same: several of
    one name are told apart by their content.
    """
    cells = {cell for cell in _cells(table) if _like_a_path(cell)}
    files: list[tuple[str, Path]] = []
    for cell in cells:
        place, _ = split_choice(place_of(cell, table.parent))
        name = place.name if os.path.isabs(os.path.expanduser(cell.strip())) else cell
        if os.path.isfile(place):
            files += [(name, part) for part in files_of(place)]
        elif os.path.isdir(place) and place.resolve() not in [*table.resolve().parents]:
            files += [(f"{name}/{below}", path) for below, path in below(place)]
    return files


def _outside(folder: Path, cohort: str | None) -> list[tuple[str, Path]]:
    """Files that the cells of a data set's table name and that do not lie in its folder."""
    home = folder.resolve()
    files = _named_files(folder / cohort) if cohort else []
    return [(name, path) for name, path in files if home not in path.resolve().parents]


def _cells(table: Path) -> Iterator[str]:
    """Cells of text, header and all; none of what is no table, whose bytes alone count."""
    with contextlib.suppress(KitError), warnings.catch_warnings(action="ignore"):
        read = read_table(table)
        for name, values in read.select_dtypes(exclude="number").items():
            yield from (str(name), *values.dropna().astype(str).unique())


def _like_a_path(cell: str) -> bool:
    if not cell.strip() or len(cell) > 1000 or "\0" in cell or "\n" in cell:
        return False
    with contextlib.suppress(ValueError):
        float(cell)
        return False
    return True


def _of_files(files: Sequence[tuple[str, Path]]) -> str:
    digests = content_hashes(path for _, path in files)
    lines = [f"{digest} {name}\n" for (name, _), digest in zip(files, digests, strict=True)]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
