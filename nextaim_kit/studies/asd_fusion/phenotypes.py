"""Tables of who was scanned, as ABIDE, its preprocessed version, RAMP and others write them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.data.cohort.tables import read_table
from nextaim_kit.errors import DataError
from nextaim_kit.studies.asd_fusion.brains import institution_of

# What the columns are called, by what they hold; the first name that is there counts.
_NAMES = {
    "subject": ("sub_id", "subject", "participant_id", "subject_id", "subid"),
    "site": ("site_id", "site"),
    "label": ("dx_group", "asd", "label", "diagnosis", "dx"),
    "age": ("age_at_scan", "age"),
    "sex": ("sex", "gender"),
    "fiq": ("fiq",),
    "eyes": ("eye_status_at_scan", "eyes"),
    "motion": ("func_mean_fd", "mean_fd", "motion"),
    "tr": ("repetition_time", "tr"),
    "volumes": ("n_timepoints", "volumes"),
    "file": ("file_id",),
}
_IDS = ("SUB_ID", "subject", "participant_id", "subject_id", "subid", "FILE_ID", "SUBJECT",
        "Subject")  # fmt: skip
_MISSING = -9999
_WORDS = {
    **dict.fromkeys(("asd", "autism", "autistic", "patient", "aut"), 1),
    **dict.fromkeys(("td", "tc", "tdc", "control", "controls", "typical", "hc", "con"), 0),
}
# FreeSurfer's tables begin with a column that is named after what they hold.
_TABLE_OF_STATS = re.compile(r"^(lh\.|rh\.)?(aparc|Measure:|aseg)", re.I)
PARCEL = re.compile(r"^(lh|rh)[_.].+[_.](area|thickness|volume|thicknessstd|meancurv)$")
_ASEG = re.compile(r"^(Left|Right)-|^CC_|^(3rd|4th|5th)-Ventricle$|IntraCranialVol$|^eTIV$"
                   r"|Vol$|VolNotVent|^Brain-Stem$|^CSF$|Optic-Chiasm|hypointensities|SurfaceHoles"
                   r"|-to-eTIV$")  # fmt: skip


def same_name(name: object) -> str:
    """A subject's name whatever zeros a table or a file puts before it: ``0050003`` is 50003."""
    text = str(name).strip().removeprefix("sub-")
    return text.lstrip("0") or text if text.isdigit() else text


def read_who(path: Path) -> tuple[pd.DataFrame, list[dict[str, str]], str]:
    """Read a table of phenotypes or of FreeSurfer's features.

    Returns
    -------
    table : DataFrame
        ``subject`` and those of ``site``, ``label``, ``age``, ``sex``, ``fiq``, ``eyes``,
        ``motion``, ``tr``, ``volumes``, ``file`` that are there; then FreeSurfer's features.
    problems : list of dict
        Subjects that are there twice, none of whose rows is used.
    said : str
        How the diagnosis was read.

    Raises
    ------
    DataError
        If no column names the subject, or a diagnosis, sex or number cannot be read.
    """
    raw = read_table(path, text=_IDS)
    if len(raw.columns) and _TABLE_OF_STATS.match(str(raw.columns[0])):
        raw = raw.rename(columns={raw.columns[0]: "subject_id"})
    lower = {str(name).strip().lower(): name for name in reversed(raw.columns)}
    columns = {what: next((lower[n] for n in names if n in lower), None)
               for what, names in _NAMES.items()}  # fmt: skip
    if columns["subject"] is None:
        raise DataError(
            f"{path.name} does not say whose rows it has",
            expected="a column " + ", ".join(_NAMES["subject"]),
            found=", ".join(map(str, raw.columns[:6])),
        )
    found = {what: raw[name] for what, name in columns.items() if name is not None}
    table = pd.DataFrame({"subject": found["subject"].map(same_name)})
    said = ""
    if "label" in found:
        table["label"], said = _diagnosis(found["label"], str(columns["label"]), path)
    for what in ("site", "file"):
        if what in found:
            table[what] = found[what].fillna("").astype(str).str.strip()
    for what in ("age", "fiq", "motion", "tr", "volumes"):
        if what in found:
            table[what] = _numbers(found[what], path)
    if "sex" in found:
        table["sex"] = _coded(found["sex"], {"1": "M", "2": "F", "m": "M", "f": "F", "male": "M",
                                             "female": "F"}, path)  # fmt: skip
    if "eyes" in found:
        table["eyes"] = _coded(found["eyes"], {"1": "open", "2": "closed", "open": "open",
                                               "closed": "closed"}, path)  # fmt: skip
    features = [c for c in raw if is_structural(str(c))]
    table = pd.concat([table, _structure(raw[features], path)], axis=1)
    return *_once(table), said


def is_structural(name: str) -> bool:
    """Whether a column is named as FreeSurfer names its measures."""
    return bool(PARCEL.search(name) or _ASEG.search(name))


def completed(table: pd.DataFrame) -> pd.DataFrame:
    """A table with all columns that `Brains` has; what is not known is missing."""
    whole = table.copy()
    for name, empty in (("site", "unknown"), ("sex", ""), ("eyes", "")):
        whole[name] = whole[name].replace("", empty).fillna(empty) if name in whole else empty
    for name in ("age", "fiq", "motion", "tr", "volumes"):
        whole[name] = whole[name].astype(float) if name in whole else np.nan
    whole["label"] = whole.get("label", pd.NA)
    return whole.astype({"label": "Int64"}).assign(institution=whole["site"].map(institution_of))


def _numbers(values: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = numbers.isna() & values.notna() & ~values.astype(str).str.strip().isin(["", "n/a", "#"])
    if wrong.any():
        raise DataError(
            f"{path.name}: {values.name} has {int(wrong.sum())} cells that are no numbers",
            expected=f"numbers, {_MISSING} or nothing where it is not known",
            found=", ".join(values[wrong].astype(str).unique()[:5]),
        )
    return numbers.mask(numbers == _MISSING).astype(float)


def _coded(values: pd.Series, codes: dict[str, str], path: Path) -> pd.Series:
    text = values.map(_text)
    wrong = ~text.isin([*codes, "", "0", str(_MISSING), "n/a"])
    if wrong.any():
        raise DataError(
            f"{path.name}: {values.name} has other codes",
            expected=", ".join(codes),
            found=", ".join(text[wrong].unique()[:5]),
            mend="write one of these, or nothing where it is not known",
        )
    return text.map(codes).fillna("")


def _diagnosis(values: pd.Series, column: str, path: Path) -> tuple[pd.Series, str]:
    """Outcomes, and by which code they were read."""
    text = values.map(_text)
    given = ~text.isin(["", str(_MISSING), "n/a"])
    there = set(text[given])
    of_abide = column.strip().lower() in ("dx_group", "dx", "diagnosis")
    if there <= {"1", "2"} and ("2" in there or of_abide) and of_abide:
        codes, said = {"1": 1, "2": 0}, "1 = autism, 2 = typical development (ABIDE's code)"
    elif there <= {"0", "1"}:
        codes, said = {"1": 1, "0": 0}, "1 = autism, 0 = typical development"
    elif there <= set(_WORDS):
        codes, said = _WORDS, "by words"
    else:
        wrong = there - {"0", "1", *_WORDS}
        raise DataError(
            f"{path.name}: the diagnosis {column} cannot be read",
            expected="1 and 2 as ABIDE's DX_GROUP, 0 and 1, or words such as ASD and TD",
            found=", ".join(sorted(wrong or there)[:5]),
            mend="write 1 for autism, 0 for typical development, nothing where it is not known",
        )
    return text.map(codes).astype("Int64"), f"{column}: {said}"


def _text(cell: Any) -> str:
    """A code as text: 1, 1.0 and "1 " are one."""
    text = "" if pd.isna(cell) else str(cell).strip().lower()
    return text.removesuffix(".0")


def _structure(features: pd.DataFrame, path: Path) -> pd.DataFrame:
    """FreeSurfer's numbers; what cannot be, such as a parcel without extent, is missing."""
    numbers = features.apply(_numbers, path=path) if len(features.columns) else features
    parcel = [str(c) for c in numbers if PARCEL.search(str(c))]
    beyond = numbers < 0
    beyond[parcel] |= numbers[parcel] == 0
    return numbers.mask(beyond)


def _once(table: pd.DataFrame) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """The subjects of one row; the others by name, with their sites."""
    twice = table["subject"].duplicated(keep=False)
    problems = [
        {"subject": str(name), "problem": f"{len(rows)} rows" + _sites(rows) + ": none is used"}
        for name, rows in table[twice].groupby("subject")
    ]
    return table[~twice].reset_index(drop=True), problems


def _sites(rows: pd.DataFrame) -> str:
    return f", of the sites {', '.join(sorted(set(rows['site'])))}" if "site" in rows else ""
