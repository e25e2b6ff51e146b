"""Reports and their values from a table, two tables, or text files, all as cells of text."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from nextaim_kit.data.bounds import most_text, unpacked, whole
from nextaim_kit.data.cohort.joining import some
from nextaim_kit.data.cohort.sheets import SHEETS, header_of, kind_of
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.data.cohort.tables import read_table
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import files_below
from nextaim_kit.studies.report_structuring.reading import identifiers
from nextaim_kit.studies.report_structuring.reading.columns import (
    CONCLUSIONS,
    FINDINGS,
    ROLES,
    SECTIONS,
    Named,
    is_header,
    named,
    plain,
    split_of,
)
from nextaim_kit.studies.report_structuring.schema import (
    TEMPLATES,
    Field,
    Template,
    read_template,
    read_words,
)

TEMPLATE = "template.yaml"
CUTS = read_words("exports")["cuts"]
_LONG = 24  # signs; a shorter section may stand in another by chance
_ABOUT = re.compile(r"(read[ _-]?me|leggimi|licen[sz][ae]|changelog)", re.I)  # no reports
_SECOND = re.compile(r"2|second|_b$")
# Accented letters of other code pages, read as Windows-1252: marks inside or after a word.
_NO_WINDOWS = re.compile(r"[A-Za-z][ŽŠ…‚•—ˆ‰˜][a-z,.; ]")  # noqa: RUF001


class Given(NamedTuple):
    """What lies there.

    Attributes
    ----------
    rows : DataFrame
        All cells as text: ``subject``, ``patient``, ``site``, ``split``, ``language``, ``text``
        (each empty where not said), the fields by their keys and ``second_`` keys, and ``codes``
        of the Indiana reports.
    template : Template
    labeled : bool
        Whether there are values.
    problems : dict of str to str
        Why a report is left out, by subject.
    said : tuple of str
        What was taken for what, and what is not read.
    personal : frozenset of str
        What columns of names and the like hold: not kept, but covered wherever it is shown.
    """

    rows: pd.DataFrame
    template: Template
    labeled: bool
    problems: dict[str, str]
    said: tuple[str, ...]
    personal: frozenset[str]


_Rows = tuple[pd.DataFrame, dict[str, str]]  # and why others are left out, by subject


def look(path: Path, template: str | Template) -> Given:
    """Gather what a path holds.

    Raises
    ------
    RequestError
        If no template is known, or it is not clear which of several files are meant.
    DataError
        If there is no report, a file is damaged, or columns are unclear.
    """
    folder = path if path.is_dir() else path.parent
    files = files_below(folder) if path.is_dir() else [path]
    cells = {f: _cells(f) for f in files if kind_of(f) in SHEETS and f.parent == folder}
    if not path.is_dir() and not cells:
        read_table(path)  # says what it is instead
    notes = [f for f in files if f.suffix.lower() == ".txt" and not _ABOUT.match(f.stem)]
    if not cells and not notes:
        raise DataError(
            f"{folder.name} holds no reports",
            expected="a table (" + ", ".join(SHEETS) + "), or .txt files",
            found=some([file.name for file in files]) or "nothing",
        )
    chosen = _template(template, folder, cells)
    what = {file: named(table, chosen, file.name) for file, table in cells.items()}
    tables = {
        file: pd.DataFrame({name: table[column] for name, column in what[file].columns.items()})
        for file, table in cells.items()
    }
    said = _unread(files, [*cells, *notes])
    reports, unread = _reports(tables, what, notes, folder, said)
    keys = {"codes", *(field.key for field in chosen.fields)}
    labels = {f: t for f, t in tables.items() if "text" not in t and keys & {*t}}
    said += [f"{f.name} is not used: it has neither a text nor the template's fields"
             for f, t in tables.items() if "text" not in t and f not in labels]  # fmt: skip
    rows, problems = _joined(reports, labels, keys)
    problems |= (cut := _cut(rows))
    rows = rows[~rows["subject"].isin(cut)].reset_index(drop=True)
    told = [cell for file, of in what.items() for name in of.personal for cell in cells[file][name]]
    told += [name for column in ("subject", "patient") if column in rows for name in rows[column]
             if name != identifiers.pseudonymous(name)]  # fmt: skip
    personal = frozenset(identifiers.telling_words(told))
    return Given(rows, chosen, bool(keys & {*rows}), problems | unread, tuple(said), personal)


def _cells(file: Path) -> pd.DataFrame:
    """A table with all its cells as text, nothing taken for a number or for missing."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        header = [] if kind_of(file) == ".parquet" else header_of(file)
        table = read_table(file, header)
    table = table.astype(object).where(table.notna(), "").astype(str)
    table = table.replace(r'(?s)^="(.*)"$', r"\1", regex=True)  # text that Excel is to leave alone
    for said in dict.fromkeys(str(one.message) for one in told if one.category is UserWarning):
        if "Windows-1252" in said:  # its words may name a patient
            _check_page("\n".join(table.to_numpy().ravel()), file.name)
            print(f"{file.name} is not UTF-8: read as Windows-1252")
        else:
            print(identifiers.mask(said))
    names = [str(column) for column in table]
    if 2 * sum(name.startswith("Unnamed: ") for name in names) > len(names):
        raise DataError(
            f"{file.name}: the first row names few of the columns", expected="a row of names",
            found=some([name for name in names if not name.startswith("Unnamed: ")]) or "none",
            mend="take out what stands above the row of names",
        )  # fmt: skip
    return table.set_axis(names, axis=1)


def _check_page(text: str, file: str) -> None:
    if _NO_WINDOWS.search(text):
        raise DataError(
            f"{file}: the code of its letters is not known", expected="UTF-8, or Windows-1252",
            found="marks where letters with accents belong",
            mend="save it anew (in a spreadsheet program: Save as, CSV UTF-8)",
        )  # fmt: skip


def _template(asked: str | Template, folder: Path, tables: Mapping[Path, pd.DataFrame]) -> Template:
    """The template that is asked for, else the folder's, else the one whose fields are there."""
    if isinstance(asked, Template):
        return asked
    columns = {plain(column) for table in tables.values() for column in table}
    own = str(folder / TEMPLATE) if (folder / TEMPLATE).is_file() else ""
    if name := asked or own or ("indiana" if "mesh" in columns else ""):
        return read_template(name)
    known = [read_template(name) for name in TEMPLATES]
    fits = [t for t in known if all(_there(field, columns) for field in t.fields)]
    if not fits:
        raise RequestError(
            "no template says which fields these reports have",
            expected=f"a {TEMPLATE} beside the table, or all columns of {', '.join(TEMPLATES)}",
            found=some(sorted(columns)) or "no table",
            mend="give one with template=, or put it into the folder",
        )
    return max(fits, key=lambda t: len(t.fields))


def _there(field: Field, columns: set[str]) -> bool:
    return bool({plain(field.key), *map(plain, field.label.values())} & columns)


def _unread(files: list[Path], read: list[Path]) -> list[str]:
    others = [f.name for f in files if f not in read and f.name != TEMPLATE]
    return [f"{len(others)} files are not read: {some(others)}"] if others else []


def _reports(
    tables: Mapping[Path, pd.DataFrame],
    what: Mapping[Path, Named],
    notes: list[Path],
    folder: Path,
    said: list[str],
) -> _Rows:
    """The texts with what stands beside them, of one table, of one for each split, or of files."""
    texts = {file: table for file, table in tables.items() if "text" in table}
    if texts and notes:
        said.append(f"{len(notes)} text files are not read beside {next(iter(texts)).name}")
    if not texts and notes:
        return _of_files(notes, folder)
    splits = {file: _split_named(file) for file in texts}
    if not texts or (len(texts) > 1 and not all(splits.values())):
        raise (RequestError if texts else DataError)(
            f"{folder.name}: {len(texts)} tables of reports",
            expected="one table with a column text, one for each split (train.csv, ...), or .txt "
            "files",
            found=some([file.name for file in texts or tables]) or "no table",
            mend="name the one that is meant" if texts else "name the column of the reports text",
        )
    parts = [_of_table(table, what[file], file.name, said) for file, table in texts.items()]
    if len(parts) > 1:
        parts = [p.assign(split=s) for p, s in zip(parts, splits.values(), strict=True)]
    return pd.concat(parts, ignore_index=True), {}


def _split_named(file: Path) -> str:
    try:
        return split_of(file.name.split(".")[0])
    except DataError:
        return ""


def _of_table(rows: pd.DataFrame, what: Named, file: str, said: list[str]) -> pd.DataFrame:
    known = {**what.columns, "end": "end", "codes": "codes"}
    took = [f"{known[role]} read as {role}" for role in ROLES if known.get(role, role) != role]
    if took:
        said.append(f"{file}: {', '.join(took)}")
    if what.personal:
        said.append(f"{file}: {some(what.personal)} not kept, since they tell a person")
    if what.others:
        said.append(f"{file}: not used: {some(what.others)}")
    own = {FINDINGS: "text", CONCLUSIONS: "end"}
    parts = [part for code in SECTIONS if (part := own.get(code, code)) in rows]
    if len(parts) > 1:
        names = [what.columns[part] for part in parts]
        said.append(f"{file}: text is made of {', '.join(names[:-1])} and {names[-1]}")
        rows["text"] = [_of_sections(row, names) for row in rows[parts].to_numpy()]
    if "subject" not in rows:
        said.append(f"{file} has no column of subjects: they are called by their row")
        rows["subject"] = [f"row-{k:05d}" for k in range(1, len(rows) + 1)]
    return rows.drop(columns=[part for part in parts if part != "text"])


def _of_sections(cells: Iterable[str], names: list[str]) -> str:
    """Sections as reports write them, each under its own heading; no long one twice."""
    told = [cell.strip() for cell in cells]
    kept = []
    for k, (name, cell) in enumerate(zip(names, told, strict=True)):
        others = [other for j, other in enumerate(told) if other != cell or j < k]
        if cell and (len(cell) <= _LONG or not any(cell in other for other in others)):
            kept.append(f"{name.replace('_', ' ').upper()}:\n{cell}")
    return "\n\n".join(kept)


def _cut(rows: pd.DataFrame) -> dict[str, str]:
    """Texts that some program has cut: the longest ones end at the same sign, amid a sentence."""
    sizes = rows["text"].map(len)
    if (most := sizes.max()) not in CUTS:
        return {}
    longest = rows[sizes == most]
    torn = longest[longest["text"].str.contains(r"[\w,;(]\s*$")]
    if torn["text"].nunique() < 2:
        return {}
    problem = f"cut: this and other texts end at the {most}th sign, which no text is longer than"
    return dict.fromkeys(torn["subject"], problem)


def _of_files(notes: list[Path], folder: Path) -> _Rows:
    """Files named after their subject, in sub-folders of a split, of a site, or of patients."""
    parts = [note.relative_to(folder).parts[:-1] for note in notes]
    twice = pd.Series([note.stem for note in notes]).duplicated(keep=False)
    table = pd.DataFrame({
        "subject": [
            "/".join([*of, note.stem]) if both else note.stem
            for note, of, both in zip(notes, parts, twice, strict=True)
        ],
        "split": [_split_named(Path(of[0])) if of else "" for of in parts],
        "patient": [of[-1] if len(of) > 1 else "" for of in parts],
        "site": [of[0] if len(of) == 1 and not _split_named(Path(of[0])) else "" for of in parts],
    })  # fmt: skip
    table["file"] = [str(note) for note in notes]
    found = each(table, _read_text, columns=("file",), workers=1)
    rows = table[found.done].drop(columns="file").assign(text=found.results)
    unread = dict(zip(found.failures["subject"], found.failures["problem"], strict=True))
    return rows.reset_index(drop=True), unread


def _read_text(row: Mapping[str, str]) -> str:
    with unpacked(Path(row["file"])) as stream:
        content = whole(stream, most_text())
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
        _check_page(text, "the file")
    if "\ufffd" in text or "\0" in text:
        raise DataError("the file is no text", expected="UTF-8, or Windows-1252")
    if is_header(text.lstrip().partition("\n")[0]):
        raise DataError("the file is a table of reports", expected="the text of one report",
                        mend="call it .csv, or .tsv where tabs part its cells")  # fmt: skip
    return text


def _joined(reports: pd.DataFrame, labels: Mapping[Path, pd.DataFrame], keys: set[str]) -> _Rows:
    """Reports with the values of their row in the other table, and a second annotator's."""
    own = bool(keys & {*reports})
    several = len(labels) + own > 1
    second = {f: t for f, t in labels.items() if several and _SECOND.search(plain(f.stem))}
    first = {file: table for file, table in labels.items() if file not in second}
    if len(first) + own > 1 or len(second) > 1:
        raise RequestError(
            f"{len(labels) + own} tables of values", found=some([file.name for file in labels]),
            expected="one, and perhaps a second annotator's (labels_2.csv)",
        )  # fmt: skip
    rows, problems = _once(reports, "the table of reports")
    for file, table in {**first, **second}.items():
        if "subject" not in table:
            raise DataError(f"{file.name} has no column of subjects", expected="subject, or id",
                            found=some([*table]))  # fmt: skip
        table = table.assign(subject=table["subject"].str.removesuffix(".txt"))
        kept = keys | {"subject"} | ({"split"} if file in first else set())
        table, twice = _once(table[[name for name in table if name in kept]], file.name)
        problems = _unmatched(rows, table, file.name, file in first) | twice | problems
        if file in second:
            named = {key: f"second_{key}" for key in keys}
            rows = rows.merge(table.rename(columns=named), on="subject", how="left")
        else:
            rows = rows.merge(table, on="subject", suffixes=(" before", ""))
    return rows, problems


def _once(rows: pd.DataFrame, file: str) -> _Rows:
    """Rows of one name once where they are the same; none where they differ, or may go on."""
    rows = rows.assign(subject=rows["subject"].str.strip()).drop_duplicates()
    nameless = rows["subject"] == ""
    goes_on = nameless.shift(-1, fill_value=False) & ~nameless
    twice = rows["subject"].duplicated(keep=False) & ~nameless
    names = rows["subject"].where(~nameless, [f"row {k + 1}" for k in rows.index])
    problems = dict.fromkeys(names[nameless], f"no name in {file}")
    problems |= dict.fromkeys(
        names[goes_on], f"may go on in the next row of {file}, without a name"
    )
    problems |= dict.fromkeys(names[twice], f"stands in several rows of {file} that differ")
    return rows[~twice & ~nameless & ~goes_on].reset_index(drop=True), problems


def _unmatched(
    reports: pd.DataFrame, values: pd.DataFrame, file: str, needed: bool
) -> dict[str, str]:
    here, there = set(reports["subject"]), set(values["subject"])
    if here and there and not here & there:
        one, other = (identifiers.pseudonymous(min(names)) for names in (here, there))
        raise DataError(
            f"{file} and the reports share no subject", expected="the same names in both",
            found=f"{one!r} here and {other!r} there",
            mend="see whether a program took away zeros in front of numbers",
        )  # fmt: skip
    alone = dict.fromkeys(sorted(there - here), f"a row of {file} without a report")
    without = dict.fromkeys(sorted(here - there), f"a report without a row of {file}")
    return alone | (without if needed else {})
