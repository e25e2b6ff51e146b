"""Tables of who was scanned, as ABIDE, its preprocessed version, RAMP and others write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.data.cohort.joining import some
from nextaim_kit.data.cohort.sheets import SHEETS, header_of
from nextaim_kit.data.cohort.tables import read_table
from nextaim_kit.errors import DataError
from nextaim_kit.studies.asd_fusion.brains import WHO, institution_of

TABLES = (*(kind for kind in SHEETS if kind != ".parquet"), ".txt")
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
_NOTHING = {"", "-9999", "n/a", "na", "nan", "none", ".", "#", "#null!", "no_filename"}
_WORDS = {
    **dict.fromkeys(("asd", "autism", "autistic", "patient", "aut"), 1),
    **dict.fromkeys(("autism spectrum disorder", "autism spectrum"), 1),
    **dict.fromkeys(("td", "tc", "tdc", "control", "controls", "typical", "hc", "con"), 0),
    **dict.fromkeys(("typically developing", "typical development", "healthy control"), 0),
}
_SEX = {"1": "M", "2": "F", "m": "M", "f": "F", "male": "M", "female": "F"}
_EYES = {"1": "open", "2": "closed", "open": "open", "closed": "closed"}
# FreeSurfer's tables begin with a column that is named after what they hold.
_TABLE_OF_STATS = re.compile(r"^(lh\.|rh\.)?(aparc|aseg|Measure:(?P<measure>\w*))", re.I)
PARCEL = re.compile(r"^(lh|rh)[_.].+[_.](area|thickness|volume|thicknessstd|meancurv)$")
_ASEG = re.compile(r"^(Left|Right)-|^CC_|^(3rd|4th|5th)-Ventricle$|IntraCranialVol$|^eTIV$"
                   r"|Vol$|VolNotVent|^Brain-Stem$|^CSF$|Optic-Chiasm|hypointensities|SurfaceHoles"
                   r"|-to-eTIV$")  # fmt: skip


def same_name(name: object) -> str:
    """A subject's name whatever surrounds its digits: ``sub-0050003`` and 50003.0 are 50003."""
    text = re.sub(r"^sub-", "", str(name).strip(), flags=re.I)
    text = re.sub(r"^(\d+)\.0+$", r"\1", text)
    return text.lstrip("0") or text if text.isdigit() else text


def is_table_of_people(header: list[str]) -> bool:
    """Whether a table has a subject's column, or FreeSurfer's, by its header."""
    known = {name.lower() for name in header} & {*_NAMES["subject"]}
    return bool(known) or sum(map(is_structural, header)) > 1


def read_who(path: Path) -> tuple[pd.DataFrame, list[dict[str, str]], str]:
    """Read a table of phenotypes or of FreeSurfer's features.

    Returns
    -------
    table : DataFrame
        ``subject`` and those of ``site``, ``label``, ``age``, ``sex``, ``fiq``, ``eyes``,
        ``motion``, ``tr``, ``volumes``, ``file`` that are there; then FreeSurfer's features.
    problems : list of dict
        Subjects that are there twice, none of whose rows is used; rows without a name.
    said : str
        How the diagnosis was read, which columns were not, and cells no feature can have.

    Raises
    ------
    DataError
        If no column names the subject, or a name, diagnosis, sex or number cannot be read.
    """
    header = header_of(path)
    lower = {name.lower(): name for name in reversed(header)}
    of = {what: next((lower[n] for n in names if n in lower), None)
          for what, names in _NAMES.items()}  # fmt: skip
    stats = _TABLE_OF_STATS.match(header[0]) if header else None
    of["subject"] = header[0] if stats else of["subject"]
    raw = read_table(path, text=[of[w] or "" for w in ("subject", "site", "file")], kinds=TABLES)
    if of["subject"] is None:
        raise DataError(
            f"{path.name} does not say whose rows it has",
            expected="a column " + ", ".join(_NAMES["subject"]),
            found=", ".join(header[:6]),
            mend="name the column of the subjects so",
        )
    found = {what: raw[name] for what, name in of.items() if name is not None}
    features = raw[[c for c in raw if is_structural(str(c)) and c not in of.values()]]
    table, said = _known(found, path)
    numbers, beyond = _structure(features, path)
    if stats and stats["measure"] not in (None, "volume"):
        numbers = numbers.add_suffix(f"_{stats['measure']}")
    unused = [str(c) for c in raw if c not in features and c not in of.values()]
    said += [f"{len(unused)} columns not used: {some(unused, 8)}"] if unused else []
    if beyond.any():
        names = beyond.index[beyond > 0].tolist()
        said.append(f"{beyond.sum()} cells not above 0 taken as missing: {some(names)}")
    return *_once(pd.concat([table, numbers], axis=1), path), "; ".join(said)


def _known(found: Mapping[str, pd.Series], path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The columns that a cohort has, each checked, and how the diagnosis was read."""
    table = pd.DataFrame({"subject": _subjects(found["subject"], path)})
    said = []
    for what, values in found.items():
        if what == "label":
            table[what], code = _diagnosis(values, path)
            said.append(code)
        elif what in ("site", "file"):
            text = values.astype(str).str.strip().str.replace(r"^(\d+)\.0+$", r"\1", regex=True)
            table[what] = text.mask(values.map(_text) == "")
        elif what in ("sex", "eyes"):
            table[what] = _coded(values, _SEX if what == "sex" else _EYES, path)
        elif what != "subject":
            table[what] = _numbers(values, path, least=0)
    return table, said


def is_structural(name: str) -> bool:
    """Whether a column is named as FreeSurfer names its measures."""
    return bool(PARCEL.search(name) or _ASEG.search(name))


def completed(table: pd.DataFrame) -> pd.DataFrame:
    """A table with all columns that `Brains` has, and no other; what is not known is missing."""
    whole = table.copy()
    for name, empty in (("site", "unknown"), ("sex", ""), ("eyes", "")):
        whole[name] = whole[name].fillna(empty).astype(str) if name in whole else empty
    for name in ("age", "fiq", "motion", "tr", "volumes"):
        whole[name] = whole[name].astype(float) if name in whole else np.nan
    whole["label"] = whole.get("label", pd.NA)
    return whole.astype({"label": "Int64"}).assign(institution=whole["site"].map(institution_of))[
        WHO
    ]


def _subjects(values: pd.Series, path: Path) -> pd.Series:
    lost = values[values.astype(str).str.fullmatch(r"\s*\d\.\d+[eE]\+\d+\s*")]
    if len(lost):
        raise DataError(
            f"{path.name}: {len(lost)} subjects' names have lost digits",
            expected="names written in full",
            found=some(lost.tolist()),
            mend="save the table anew from its source, that column as text",
        )
    return values.map(lambda cell: "" if pd.isna(cell) else same_name(cell))


def _numbers(values: pd.Series, path: Path, least: float = -np.inf) -> pd.Series:
    given = values.mask(values.map(_text) == "")
    numbers = pd.to_numeric(given, errors="coerce")
    wrong = given.notna() & ~(np.isfinite(numbers) & (numbers >= least))
    if wrong.any():
        raise DataError(
            f"{path.name}: {values.name} has {int(wrong.sum())} cells that are no such numbers",
            expected=f"numbers{' from 0 on' if least == 0 else ''}, -9999 or nothing where it is "
            "not known",
            found=some(values[wrong].astype(str).unique().tolist()),
        )
    return numbers.astype(float)


def _coded(values: pd.Series, codes: Mapping[str, str], path: Path) -> pd.Series:
    text = values.map(_text)
    wrong = ~text.isin([*codes, ""])
    if wrong.any():
        raise DataError(
            f"{path.name}: {values.name} has other codes",
            expected=", ".join(f"{code} = {means}" for code, means in codes.items()),
            found=some(text[wrong].unique().tolist()),
            mend="write one of these, or nothing where it is not known",
        )
    return text.map(codes)


def _diagnosis(values: pd.Series, path: Path) -> tuple[pd.Series, str]:
    """Outcomes, and by which code they were read."""
    text = values.map(_text)
    there = {*text} - {""}
    codes: Mapping[str, int]
    if str(values.name).lower() == "dx_group" and there <= {"1", "2"}:
        codes, said = {"1": 1, "2": 0}, "1 = autism, 2 = typical development (ABIDE's code)"
    elif there <= {"0", "1"}:
        codes, said = {"1": 1, "0": 0}, "1 = autism, 0 = typical development"
    elif there <= set(_WORDS):
        codes, said = _WORDS, "by words"
    else:
        raise DataError(
            f"{path.name}: the diagnosis {values.name} cannot be read",
            expected="1 and 2 as ABIDE's DX_GROUP, 0 and 1, or words such as ASD and TD",
            found=some(sorted(there)),
            mend="write 1 for autism, 0 for typical development, nothing where it is not known; "
            "or name it DX_GROUP if 1 is autism and 2 typical development",
        )
    return text.map(codes).astype("Int64"), f"{values.name}: {said}"


def _text(cell: Any) -> str:
    """A code as text: 1, 1.0 and "1 " are one; nothing where it is not known."""
    text = "" if pd.isna(cell) else re.sub(r"\.0+$", "", str(cell).strip().lower())
    return "" if text in _NOTHING else text


def _structure(features: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, pd.Series]:
    """FreeSurfer's numbers; what cannot be, such as a parcel without extent, is missing."""
    numbers = features.apply(_numbers, path=path) if len(features.columns) else features
    parcel = numbers.columns.astype(str).str.match(PARCEL)
    beyond = (numbers < 0) | ((numbers == 0) & parcel)
    return numbers.mask(beyond), beyond.sum()


def _once(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """The subjects of one row; the others by name, with their sites."""
    named = table[table["subject"] != ""]
    twice = named["subject"].duplicated(keep=False)
    problems = [
        {"subject": str(name), "problem": f"{len(rows)} rows" + _sites(rows) + ": none is used"}
        for name, rows in named[twice].groupby("subject")
    ]
    if len(named) < len(table):
        said = f"{len(table) - len(named)} rows without a subject's name are not used"
        problems.append({"subject": path.name, "problem": said})
    return named[~twice].reset_index(drop=True), problems


def _sites(rows: pd.DataFrame) -> str:
    return f", of the sites {some(sorted({*rows['site'].astype(str)}))}" if "site" in rows else ""
