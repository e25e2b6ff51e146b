"""Tables without identity: columns by their names, cells by what they hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from nextaim_kit.data.privacy.dates import find_dates
from nextaim_kit.data.privacy.folding import fold, pieces, words_of
from nextaim_kit.data.privacy.headers import full_of_names, headless, without_header
from nextaim_kit.data.privacy.learning import kind_of, learn_value
from nextaim_kit.data.privacy.lexicon import Lexicon
from nextaim_kit.data.privacy.patterns import OLDEST
from nextaim_kit.data.privacy.scrubbing import Scrubber
from nextaim_kit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".xlsx", ".parquet")
_PATIENT = re.compile(
    r"(?:patient|paziente|subject|participant|soggetto|mrn|pz|cartella)[\s_-]*(?:id|code|codice"
    r"|n|number)?$|^(?:id|pid|idpaziente)[\s_-]*(?:patient|paziente|subject)?$"
)
_SITE = re.compile(r"\b(?:site|center|centre|centro|sede|hospital|reparto|ward)\b")
_AGE = re.compile(r"\b(?:age|eta|anni)\b")
_NUMBER = re.compile(r"\d+(?:\.\d+)?$")
_YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d")
_SHORT_YEAR = re.compile(r"\d\d(?!\d)(?!.*\d)")
TAKEN_OUT = ("name", "phrase", "contact", "birth")  # kinds of columns
_GROWN, _DIGITAL = 15, 1990  # years between births and all else; before it no image was a file
_NOW = 30  # a year of two digits up to it is of this century
_ROWS = 1000  # that are looked at to tell what the first one is


def read_tables(path: Path) -> dict[str, pd.DataFrame]:
    """Tables of a file, as text, by the names of their sheets; one without a name otherwise.

    Raises
    ------
    DataError
        If rows are longer than the first, or it is not told whether that one names the columns.
    """
    import pandas as pd

    suffix = path.suffix.lower()
    if suffix == ".xlsx":
        sheets = pd.read_excel(
            path, sheet_name=None, header=None, dtype=str, keep_default_na=False, na_filter=False
        )
        return {str(name): _named(table.fillna("").astype(str)) for name, table in sheets.items()}
    if suffix == ".parquet":
        table = pd.read_parquet(path).reset_index(drop=True)
        cells = table.astype(object).where(table.notna(), "").astype(str)
        first = pd.DataFrame([[str(name) for name in table.columns]])
        return {"": _named(pd.concat([first, cells.set_axis(first.columns, axis=1)]))}
    text = path.read_bytes()
    encoding = "utf-8-sig" if _is_utf8(text) else "latin-1"
    rows = text.decode(encoding).splitlines()
    comments = _comments(rows)
    apart = "\t" if suffix == ".tsv" else _separator(rows[comments:])
    try:
        table = pd.read_csv(
            path,
            sep=apart,
            header=None,
            dtype=str,
            keep_default_na=False,
            encoding=encoding,
            skiprows=comments,
        )
    except pd.errors.ParserError as error:
        raise DataError(
            f"{path.suffix[1:].upper()} with rows of other lengths",
            expected="no row longer than the first",
            mend="name each column, in the first row",
        ) from error
    return {"": _named(table.fillna(""))}


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """A table whose first row names its columns, each once; numbers name them where it is data."""
    names = [str(cell).strip() for cell in rows.iloc[0]] if len(rows) else []
    below = rows.iloc[1:].reset_index(drop=True)
    if headless(names, below.iloc[:_ROWS].astype(str).to_numpy().tolist()):
        return without_header(rows.reset_index(drop=True))
    return below.set_axis(_each_once(names), axis=1)


def _each_once(names: list[str]) -> list[str]:
    """Names of columns, of which one that is there already is told by a number."""
    done: list[str] = []
    for at, name in enumerate(names, 1):
        plain = name or f"column_{at}"
        number, once = 1, plain
        while once in done:
            number += 1
            once = f"{plain}_{number}"
        done.append(once)
    return done


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _comments(rows: list[str]) -> int:
    """How many lines before the columns' names are comments, which are not kept."""
    count = next((at for at, row in enumerate(rows) if not row.startswith("#")), 0)
    apart = _separator(rows[count:])
    named = count and rows[count - 1].count(apart) == rows[count].count(apart) > 0
    return count - 1 if named else count


def _separator(lines: list[str]) -> str:
    first = lines[0] if lines else ""
    return max(",;\t|", key=first.count)


def learn_table(lexicon: Lexicon, table: pd.DataFrame) -> None:
    """Learn the people whom a table's columns tell of."""
    own = patient_column(table)
    names = [str(column) for column in table.columns]
    given = [n for n in names if re.search(r"\bnome\b|first name|given name|firstname", _said(n))]
    family = [
        n for n in names if re.search(r"cognome|surname|last name|family name|lastname", _said(n))
    ]
    strange = [
        name
        for name in names
        if not kind_of(name) and full_of_names([str(cell) for cell in table[name]])
    ]
    born = births(table)
    for _, row in table.iterrows():
        patient = str(row[own]).strip() if own else ""
        if patient:
            lexicon.patients.add(patient)
            lexicon.add_id(patient, patient)
        if given and family:
            lexicon.add_name(f"{row[family[0]]}^{row[given[0]]}", patient)
        for name in strange:
            lexicon.add_name(str(row[name]), patient)
        for name in names:
            kind = kind_of(name) or ("birth" if name in born else "")
            text = str(row[name]).strip()
            if kind and text and name != own:
                of_person = patient if kind in ("id", "birth") or name in given + family else ""
                learn_value(lexicon, kind, text, of_person)


def _said(name: str) -> str:
    return fold(re.sub(r"[_\W]+", " ", name))


def patient_column(table: pd.DataFrame) -> str | None:
    """The column that tells patients apart, by its name."""
    for column in table.columns:
        if _PATIENT.search(_said(str(column)).replace(" ", "_")) or _PATIENT.search(
            _said(str(column))
        ):
            return str(column)
    return None


def births(table: pd.DataFrame) -> set[str]:
    """Columns that are dates of birth by their values, whatever they are called.

    Half of the dates lie fifteen years before those of another column, or before there were images
    in files: moved by the same weeks as the others they would tell each patient's age.
    """
    from statistics import median

    years = {str(name): _years([str(cell) for cell in table[name]]) for name in table.columns}
    middle = {name: median(found) for name, found in years.items() if found}
    latest = max(middle.values(), default=0)
    return {name for name, year in middle.items() if year <= max(latest - _GROWN, _DIGITAL)}


def _years(cells: list[str]) -> list[int]:
    """Years of a column that holds dates, and hardly anything else."""
    said = [cell.strip() for cell in cells if cell.strip()][:_ROWS]
    found = [year for cell in said if (year := _year(cell))]
    return found if len(found) > 0.8 * len(said) else []


def _year(cell: str) -> int:
    """Year of a cell that begins with a date, in any way that one is written; 0 of any other."""
    date = next((one for one in find_dates(cell, set(), None) if one.start == 0), None)
    text = cell[: date.end] if date else ""
    if long := _YEAR.search(text):
        return int(long[0])
    short = _SHORT_YEAR.search(text)
    return 0 if short is None else 1900 + int(short[0]) + 100 * (int(short[0]) <= _NOW)


def clean_table(table: pd.DataFrame, scrubber: Scrubber, patient: str = "") -> pd.DataFrame:
    """A table without names, births, addresses; numbers of patients are pseudonyms.

    Parameters
    ----------
    table : pandas.DataFrame
        All of it text.
    scrubber : Scrubber
    patient : str
        Whom a table without a column of patients is of.
    """
    import pandas as pd

    own, kinds = patient_column(table), kinds_of(table)
    owners = [_owner(row, own, scrubber) or patient for _, row in table.iterrows()]
    kept: list[str] = []
    clean: list[list[str]] = []
    for name, kind in kinds.items():
        if kind in TAKEN_OUT:
            scrubber.counts["column"] += 1
            continue
        kept.append(scrubber.column(name))
        cells = zip(table[name], owners, strict=True)
        clean.append([_cell(str(cell), kind, name, owner, scrubber) for cell, owner in cells])
    columns = dict(zip(_each_once(kept), clean, strict=True))
    return pd.DataFrame(columns, index=table.index)


def kinds_of(table: pd.DataFrame) -> dict[str, str]:
    """What each column holds, by its name, else by its cells; ``own``: it tells patients apart."""
    own, born, kinds = patient_column(table), births(table), {}
    for column in table.columns:
        name, cells = str(column), [str(cell) for cell in table[column]]
        told = kind_of(name) or ("name" if full_of_names(cells) else "")
        kinds[name] = "own" if name == own else told or ("birth" if name in born else "")
    return kinds


def _owner(row: pd.Series, own: str | None, scrubber: Scrubber) -> str:
    if own and str(row[own]).strip():
        return str(row[own]).strip()
    return scrubber.lexicon.owner(" ; ".join(str(cell) for cell in row))


def _cell(cell: str, kind: str, column: str, owner: str, scrubber: Scrubber) -> str:
    text = cell.strip()
    if not text:
        return cell
    if kind == "own":
        return scrubber.key.pseudonym(owner)
    if kind == "id" and text in scrubber.lexicon.patients:
        return scrubber.key.pseudonym(text)
    if kind == "id":
        return (
            scrubber.key.uid(text)
            if re.fullmatch(r"\d+(?:\.\d+){4,}", text)
            else scrubber.key.code(column, text)
        )
    if _SITE.search(_said(column)) and _is_place(text):
        return f"site {scrubber.key.code('site', text)[:4]}"
    if _NUMBER.match(text) and _AGE.search(_said(column)) and float(text) > OLDEST:
        return str(OLDEST + 1)
    if _NUMBER.match(text) and len(text.split(".")[0]) < 8:
        return cell
    return scrubber.text(cell, owner)


def _is_place(text: str) -> bool:
    found = [piece.folded for piece in pieces(text) if piece.folded.isalpha()]
    return any(len(word) > 3 and word not in words_of("vocabulary") for word in found)
