"""Tables of a cohort as users write them: read, their columns checked, their paths made whole."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nextaim_kit.data.cohort.sheets import SHEETS, kind_of, read_sheet
from nextaim_kit.data.paths import place_of, split_choice
from nextaim_kit.errors import DataError, RequestError

FIRST = ["subject", "site", "label"]
# Columns that hold paths wherever they occur; those a study asks for are added to them.
PATHS = ["image", "mask", "lungs", "lesions"]
_PATIENT = ("patient", "patientid", "patient_id")  # a name, though it may look like a number


def read_table(
    path: Path, text: Collection[str] = (), kinds: Collection[str] = SHEETS
) -> pd.DataFrame:
    """Read a table; its subjects, sites, labels, paths and the columns `text` stay text.

    Its file ends in one of `kinds`. One of text may have commas, semicolons or tabs between its
    cells, decimal commas, and be packed by gzip; of a spreadsheet the first sheet counts.

    Raises
    ------
    RequestError
        If it is another kind of file.
    DataError
        If it is not there or damaged, or two columns have one name.
    """
    if kind_of(path) not in kinds:
        raise RequestError(
            f"{path.name} is no table",
            expected="a file " + ", ".join(kinds),
            found="a folder" if path.is_dir() else f"a {path.suffix or 'suffixless'} file",
            mend="save it as CSV; a cohort has the columns subject, image, mask, and site and "
            "label where known",
        )
    if not path.is_file():
        raise DataError(
            f"{path.name} is not there",
            expected=f"it in {path.parent.name}",
            mend="see how the data set is laid out: nextaim data show NAME",
        )
    names = {"subject", "site", *text}  # they may well be called NA
    try:
        return read_sheet(path, {*names, *FIRST, *PATHS, *_PATIENT}, names)
    except DataError:
        raise
    except Exception as error:  # a damaged file can make the parsers raise anything
        raise DataError(
            f"{path.name} cannot be read",
            expected="one header and rows as long as it, in CSV, xlsx or parquet",
            found=" ".join(str(error).replace(str(path), path.name).split())[:200],
            mend="correct what was found, or save it anew (in a spreadsheet program: Save as, "
            "CSV UTF-8)",
        ) from error


def check_columns(there: list[str], columns: Sequence[str], path: Path) -> None:
    """Refuse a table without `subject` or one of `columns`, naming the near miss."""
    lacking = [name for name in ("subject", *columns) if name not in there]
    # "Site" or "label " would pass for a column nobody asked for, and be lost without a word.
    misspelt = [n for n in FIRST if n not in there and n in {str(t).strip().lower() for t in there}]
    if not lacking and not misspelt:
        return
    name = (lacking or misspelt)[0]
    near = difflib.get_close_matches(
        name, {str(t).strip().lower(): t for t in there}, n=1, cutoff=0.7
    )
    meant = [t for t in there if near and str(t).strip().lower() == near[0]]
    mend = f"rename the column {meant[0]!r} to {name!r}" if meant else f"add the column {name!r}"
    raise DataError(
        f"{path.name} has no column {name!r}",
        expected="the columns " + ", ".join(("subject", *columns)) + "; site and label if known",
        found=", ".join(map(str, there[:12]))
        + (f" and {len(there) - 12} more" if there[12:] else ""),
        mend=mend,
    )


def resolved(table: pd.DataFrame, folder: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Paths of a table made to count from its folder; an empty cell becomes an empty string."""

    def place(cell: Any) -> str:
        text = "" if pd.isna(cell) else str(cell).strip()
        return str(place_of(text, folder)) if text else ""

    paths = {name: table[name].map(place) for name in table if name in {*columns, *PATHS}}
    return table.assign(**paths)


def missing_files(table: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, str]]:
    """Subject and problem of each path that is not given or leads nowhere."""
    found = []
    for row in table.to_dict("records"):
        for name in columns:
            path, _ = split_choice(row.get(name) or "")
            if not row.get(name):
                found.append({"subject": str(row["subject"]), "problem": f"no {name} given"})
            elif not os.path.exists(path):
                problem = f"{name} {path.name} is missing"
                found.append({"subject": str(row["subject"]), "problem": problem})
    return found
