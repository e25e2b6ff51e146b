"""The films that a notebook starts from: the twin's, a folder's, or a table's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.data.cohort.fingerprint import MARK
from nextaim_kit.data.cohort.loading import load_cohort
from nextaim_kit.data.cohort.tables import PATHS, read_table
from nextaim_kit.data.datasets.source import SYNTHETIC, shown
from nextaim_kit.data.images.films import film_table
from nextaim_kit.errors import DataError

# What public tables of chest films call the columns of this study (AIforCOVID, doi:10.1016/
# j.media.2021.102216; covid-chestxray-dataset, arXiv:2006.11988).
ALIASES = {
    "ImageFile": "image",
    "filename": "image",
    "Hospital": "site",
    "location": "site",
    "patientid": "patient",
    "patient_id": "patient",
    "age": "Age",
    "sex": "Sex",
    "temperature": "Temp_C",
    "leukocyte_count": "WBC",
    "pO2_saturation": "SaO2",
}
_OUTCOMES = ("severity", "Prognosis")
_SEVERE = {"severe": 1, "mild": 0, "lieve": 0, "unknown": None, "": None}
# The end of a mask's name after its film's, and the column that it belongs to.
_ENDINGS = dict.fromkeys(("mask", "masks", "label", "seg"), "mask")
_ENDINGS |= {"lung": "lungs", "lungs": "lungs", "lesion": "lesions", "lesions": "lesions"}
_SEEN = "a patient of this name is in the first cohort: not tested"
_ENDING = rf"[_-]({'|'.join(_ENDINGS)})$"
_OF_FILM = r"[_-](film|image|cxr)$"
_FOLDERS = {"images": "image", "masks": "mask", "lungs": "lungs", "lesions": "lesions"}
_NOT_FRONTAL = dict.fromkeys(("l", "ll", "rl", "llat", "rlat"), "a lateral film")
_NOT_FRONTAL |= dict.fromkeys(("axial", "coronal", "sagittal"), "a slice of a CT, not a film")


def load_films(spec: str, *, twin: Callable[[], pd.DataFrame]) -> tuple[pd.DataFrame, bool]:
    """Load a cohort of films.

    Parameters
    ----------
    spec : str
        As for `load_cohort`, with the column ``image``; a table may have the column names of
        `ALIASES`, and its outcome as severe, mild or unknown. Or a folder of films without a
        table, or one with the sub-folders ``images`` and ``masks``, ``lungs`` or ``lesions``,
        whose files have the films' names, perhaps with ``_mask`` behind, and perhaps a table that
        tells each film's patient.
    twin : callable
        Makes the synthetic twin.

    Returns
    -------
    table : DataFrame
        ``subject`` (unique, a film), ``patient``, ``site``, ``label`` where known, ``image``, and
        what else there is. ``attrs["problems"]`` names what cannot be used, and lateral films,
        which are left out; ``attrs["renamed"]`` the columns that were called otherwise.
    synthetic : bool

    Raises
    ------
    DataError
        If no film of the table is there, or the outcome has another word.
    """
    folder = shown(Path(spec).expanduser())[0]
    if spec != SYNTHETIC and folder.is_dir() and not (folder / "cohort.csv").is_file():
        table = _folder(folder)
    else:
        table = load_cohort(spec, twin=twin, columns=("image",), adapt=_adapted)
        table.attrs["problems"] += _strangers(table, folder)
    if "patient" not in table:
        table["patient"] = table["subject"]
    table["patient"] = table["patient"].fillna(table["subject"]).astype(str)
    marked = MARK in table and table[MARK].astype(str).str.lower().eq("true").any()
    table = _frontal(table[_is_there(table)].reset_index(drop=True))
    if table.empty:
        raise DataError("no frontal film can be used", mend="check the column image, and the view")
    return table, bool(spec == SYNTHETIC or marked)


def given(table: pd.DataFrame, column: str) -> list[str]:
    """Paths of a column, empty where there is none."""
    if column not in table:
        return [""] * len(table)
    return [str(path) if pd.notna(path) else "" for path in table[column]]


def usable(table: pd.DataFrame, *failures: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows are in none of the failures; these are added to the table's problems.

    Raises
    ------
    DataError
        If none is left.
    """
    named = pd.concat(failures)[["subject", "problem"]].drop_duplicates("subject")
    named = table[["subject"]].merge(named, on="subject")  # in the table's order
    table.attrs["problems"] = [*table.attrs.get("problems", []), *named.to_dict("records")]
    keep = ~table["subject"].isin(named["subject"]).to_numpy()
    if not keep.any():
        raise DataError(
            "no film of the cohort can be used",
            found="; ".join(f"{row.subject}: {row.problem}" for row in named.head(3).itertuples()),
            mend="a mask has the name of its film, or stands in the table's column lungs; "
            "cxr_severity/lung_segmentation makes masks of lungs",
        )
    return keep


def never_seen(others: pd.DataFrame, patients: Iterable[str]) -> pd.DataFrame:
    """The films of an external cohort but those of patients who are in the first one too.

    These are named in the table's problems: a name tells a patient, whatever the folder.

    Raises
    ------
    DataError
        If none is left.
    """
    known = others.loc[others["patient"].isin(set(patients)), ["subject"]].assign(problem=_SEEN)
    return others[usable(others, known)].reset_index(drop=True)


def doubtful(table: pd.DataFrame) -> pd.DataFrame:
    """Films of which something strange is said in ``doubts``: ``subject``, ``doubts``."""
    return table.loc[table["doubts"].fillna("") != "", ["subject", "doubts"]]


def _adapted(table: pd.DataFrame) -> pd.DataFrame:
    """A public table with this study's column names, outcomes and subjects."""
    renamed = {old: new for old, new in ALIASES.items() if old in table and new not in table}
    table = table.rename(columns=renamed)
    outcome = next((name for name in _OUTCOMES if name in table), None)
    if outcome and "label" not in table:
        table["label"] = _labels(table[outcome], outcome)
    if "subject" not in table and "image" in table:
        table.insert(0, "subject", [Path(str(cell)).stem for cell in table["image"]])
    if "Sex" in table:
        codes = {"m": 1, "male": 1, "f": 0, "female": 0, "w": 0}
        table["Sex"] = [codes.get(str(value).strip().lower(), value) for value in table["Sex"]]
    table.attrs["renamed"] = renamed
    return table


def _labels(words: pd.Series, column: str) -> pd.Series:
    text = words.fillna("").astype(str).str.strip().str.lower()
    strange = sorted(set(text) - set(_SEVERE))
    if strange:
        raise DataError(
            f"the column {column} has an outcome that is not known: {', '.join(strange[:5])}",
            expected="severe, mild or unknown",
            mend="write the outcome as label: 1 for severe, 0 for mild, empty for unknown",
        )
    return text.map(_SEVERE).astype("Int64")


def _folder(folder: Path) -> pd.DataFrame:
    """Films of a folder, or of its sub-folder ``images``, with the masks of the others."""
    images = folder / "images" if (folder / "images").is_dir() else folder
    beside = {folder / n: c for n, c in _FOLDERS.items() if n != "images" and (folder / n).is_dir()}
    table = film_table(images, without=beside)
    problems = table.attrs["problems"]
    table = _with_masks(table).assign(site="unknown")
    table["label"] = pd.Series(pd.NA, index=table.index, dtype="Int64")
    for where, column in beside.items():
        masks = film_table(where).set_index("subject")["image"]
        masks.index = masks.index.str.replace(_ENDING, "", regex=True)
        table[column] = table["subject"].map(masks).fillna(table.get(column, ""))
        problems += [
            {"subject": subject, "problem": f"in {where.name}, but no film of that name"}
            for subject in sorted(set(masks.index) - set(table["subject"]))
        ]
    for path in sorted(folder.glob("*.csv"))[:1]:
        table = _with_patients(table, _adapted(read_table(path)))
    table.attrs["problems"] = problems
    return table


def _with_masks(table: pd.DataFrame) -> pd.DataFrame:
    """The films of a table; those that are named as the masks of others become columns."""
    roles = _mask_roles(table["subject"])
    films = table[roles.isna()].reset_index(drop=True)
    keys = films["subject"].str.replace(_OF_FILM, "", regex=True)
    for column, masks in table["image"].groupby(roles):
        stems = table["subject"][masks.index].str.replace(_ENDING, "", regex=True)
        own = dict(zip(stems, masks, strict=True))
        films[column] = films["subject"].map(own).fillna(keys.map(own)).fillna("")
    films.attrs = table.attrs
    return films


def _mask_roles(names: pd.Series) -> pd.Series:
    """By a film's name the column that it is a mask for; NaN where no film has the name before."""
    ends = names.str.extract(_ENDING)[0]
    films = set(names) | set(names[ends.isna()].str.replace(_OF_FILM, "", regex=True))
    stems = names.str.replace(_ENDING, "", regex=True)
    return ends.map(_ENDINGS).where(stems.isin(films))


def _with_patients(table: pd.DataFrame, beside: pd.DataFrame) -> pd.DataFrame:
    if not {"subject", "patient"} <= set(beside):
        return table
    known = beside.drop_duplicates("subject").set_index("subject")["patient"]
    return table.assign(patient=table["subject"].map(known))


def _strangers(table: pd.DataFrame, source: Path) -> list[dict[str, str]]:
    """Films that lie beside those of the table without a row in it."""
    if not source.exists():
        return []
    folders = {Path(path).parent for path in table["image"] if path}
    named = {str(path) for column in PATHS if column in table for path in table[column]}
    there = pd.Series([p for f in sorted(folders) if f.is_dir() for p in _films_of(f)], dtype=str)
    roles = _mask_roles(there.map(lambda path: Path(path).stem))
    return [
        {"subject": Path(path).stem, "problem": "a film without a row in the table"}
        for path in there[roles.isna() & ~there.isin(named)]
    ]


def _films_of(folder: Path) -> list[str]:
    try:
        return [str(p) for p in film_table(folder)["image"] if Path(p).parent == folder]
    except DataError:  # none at all: the table's own files are named as missing
        return []


def _is_there(table: pd.DataFrame) -> list[bool]:
    # os.path answers False to a cell that is too long for a name.
    return [bool(path) and os.path.isfile(path) for path in table["image"]]


def _frontal(table: pd.DataFrame) -> pd.DataFrame:
    """Without lateral films and slices of CT, which are named."""
    if "view" not in table:
        return table
    view = table["view"].fillna("").astype(str).str.strip().str.lower()
    other = ["a lateral film" if v.startswith("lat") else _NOT_FRONTAL.get(v, "") for v in view]
    named = [
        {"subject": subject, "problem": problem}
        for subject, problem in zip(table["subject"], other, strict=True)
        if problem
    ]
    kept = table[[not problem for problem in other]].reset_index(drop=True)
    kept.attrs = {**table.attrs, "problems": [*table.attrs.get("problems", []), *named]}
    return kept
