"""Cohorts: one row per subject, from the synthetic twin, a table, a folder or a data set."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pandas as pd

from nextaim_kit.data.cohort.cells import write_csv
from nextaim_kit.data.cohort.fingerprint import fingerprint
from nextaim_kit.data.cohort.schema import BINARY, Classes, check, class_names, typed
from nextaim_kit.data.cohort.tables import (
    FIRST,
    PATHS,
    check_columns,
    missing_files,
    read_table,
    resolved,
)
from nextaim_kit.data.datasets.source import Source, find_source
from nextaim_kit.errors import DataError, KitError, RequestError
from nextaim_kit.files import atomic_path

if TYPE_CHECKING:
    from nextaim_kit.data.datasets.manifest import Layout

__all__ = ["fingerprint", "load_cohort", "problems", "require_labels", "save_cohort"]

Adapt = Callable[[pd.DataFrame], pd.DataFrame]


def load_cohort(
    spec: str | Source,
    *,
    twin: Callable[[], pd.DataFrame] | None = None,
    columns: Sequence[str] = ("image", "mask"),
    classes: Classes = BINARY,
    adapt: Adapt | None = None,
) -> pd.DataFrame:
    r"""Load a cohort.

    Parameters
    ----------
    spec : str or Source
        ``synthetic``; a ``cohort.csv`` (or parquet); a folder with one, or with images and masks
        in a layout that `folders.subjects_in` knows; or the name of a data set.
    twin : callable, optional
        Makes the study's synthetic twin, called for ``synthetic``.
    columns : sequence of str, optional
        Columns of paths the study needs; none for a table of features.
    classes : sequence of str or of int, or float
        What labels are: names of classes, such as ``("benign", "malignant")``, which may also be
        numbered from 0 in the table; whole numbers, such as ``(1, 2, 3)``, as they stand there;
        or ``float``, for a number to be predicted.
    adapt : callable, optional
        Brings the columns of public tables that the study knows to the cohort's.

    Returns
    -------
    pandas.DataFrame
        ``subject`` (str, unique), ``site`` (str), ``label``, `columns`, and what else there is.
        A label is the place of its class among `classes` (Int64; 0 or 1 by default), whose names
        are in ``attrs["classes"]`` if they are given; or a finite number (Float64); or missing.
        Relative paths of a table count from the table's folder.
        ``attrs["problems"]``, shown by `problems`, names subjects left out and files that are
        not there; rows with a missing file stay. Of a folder, ``attrs["seen"]`` says which layout
        it has and which files were left out; it is printed too.

    Raises
    ------
    RequestError
        If the spec stands for nothing, for no images, or for a twin the study does not have, or
        if a label could mean two of the classes.
    DataError
        If the table is damaged, lacks a column, repeats a subject or has a label of no class, or
        if no subject is left.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> _ = (folder / "cohort.csv").write_text("subject,site,label\nP1,A,0\nP2,B,1\n")
    >>> load_cohort(str(folder), columns=())["label"].tolist()
    [0, 1]
    """
    source = find_source(spec)
    if source.synthetic:
        return _finished(_from_twin(twin), columns, source.name, [], classes)
    layout: Layout = source.manifest.layout if source.manifest else {}
    table, known = _from_layout(source, layout, columns, adapt or (lambda table: table))
    seen = table.attrs.get("seen", "")
    if table.empty:
        raise _nobody(source, known, seen)
    if seen:
        print(seen)
    return _finished(table, columns, source.name, known, classes)


def no_twin() -> NoReturn:
    """Stands for a twin where another cohort is asked for, and refuses it."""
    raise DataError(
        "the synthetic twin is no other cohort than itself", mend="give a folder or a cohort.csv"
    )


def problems(cohort: pd.DataFrame) -> pd.DataFrame:
    """Subjects that were left out or lack a file: columns ``subject`` and ``problem``.

    Examples
    --------
    >>> problems(pd.DataFrame({"subject": ["P1"]})).columns.tolist()
    ['subject', 'problem']
    """
    return pd.DataFrame(cohort.attrs.get("problems", []), columns=["subject", "problem"])


def require_labels(cohort: pd.DataFrame) -> pd.DataFrame:
    """Rows of a cohort that have a label; the others are named in its problems.

    Raises
    ------
    DataError
        If one of the classes has no subject, or labels that are numbers are all the same.

    Examples
    --------
    >>> cohort = pd.DataFrame({"subject": ["P1", "P2", "P3"]})
    >>> cohort["label"] = pd.array([1, 0, None], "Int64")
    >>> labeled = require_labels(cohort)
    >>> labeled["subject"].tolist(), problems(labeled)["subject"].tolist()
    (['P1', 'P2'], ['P3'])
    """
    there = cohort["label"].notna()
    kept = cohort[there].copy()
    if str(kept["label"].dtype) == "Float64":
        expected = "two different numbers or more"
        enough, found = kept["label"].nunique() > 1, f"{kept['label'].nunique()} different"
    else:
        names = cohort.attrs.get("classes", BINARY)
        counts = [int((kept["label"] == place).sum()) for place in range(len(names))]
        expected = "subjects of each class, " + " and ".join(f"label {name}" for name in names)
        of_each = [f"{n} with {name}" for n, name in zip(counts, names, strict=True)]
        enough, found = min(counts) > 0, ", ".join(of_each)
    if not enough:
        raise DataError(
            "the cohort's labels cannot be learned from",
            expected=expected,
            found=f"{found}, {int((~there).sum())} without a label",
            mend="fill the column label of the cohort's table",
        )
    kept.attrs["problems"] = [
        *cohort.attrs.get("problems", []),
        *({"subject": s, "problem": "no label"} for s in cohort.loc[~there, "subject"]),
    ]
    return kept


def save_cohort(
    table: pd.DataFrame, folder: Path, files: Mapping[str, Iterable[Any]], *, synthetic: bool
) -> Path:
    """Write a cohort that can be moved: its files in `folder`, and ``cohort.csv``, written last.

    Parameters
    ----------
    table : DataFrame
        With ``subject``. Other columns of paths are not carried along.
    folder : Path
    files : mapping of str to iterable
        By column, for each row a gray picture (array), the path of a file to copy, or None.
    synthetic : bool
        Kept as the column ``provenance_synthetic``.

    Returns
    -------
    Path
        The table.
    """
    paths = {c for c in PATHS if c in table} | {"provenance_synthetic"}
    saved = table.drop(columns=[c for c in paths if c in table])
    if "label" in table and "classes" in table.attrs:
        saved["label"] = table["label"].map(dict(enumerate(table.attrs["classes"])))
    names = [str(subject).replace("%", "%25").replace("/", "%2F") for subject in table["subject"]]
    for column, contents in files.items():
        saved[column] = [
            ""
            if content is None or (isinstance(content, str) and not content)
            else _saved(content, folder, f"{column}/{name}")
            for name, content in zip(names, contents, strict=True)
        ]
    saved["provenance_synthetic"] = synthetic
    write_csv(saved, folder / "cohort.csv")
    return folder / "cohort.csv"


def _saved(content: Any, folder: Path, name: str) -> str:
    if isinstance(content, str | Path):
        if Path(content).is_dir():
            raise RequestError(
                f"{Path(content).name} is a folder, which is not copied into a cohort",
                expected="one file for each subject",
                mend="save the series as .nii.gz first, or name its folder in a cohort.csv",
            )
        ends = Path(content).suffixes
        name += "".join(ends[-2:] if ends[-1:] == [".gz"] else ends[-1:])  # .nii.gz is one end
        with atomic_path(folder / name) as unfinished:
            shutil.copyfile(content, unfinished)
        return name
    from PIL import Image

    with atomic_path(folder / f"{name}.png") as unfinished:
        Image.fromarray(content).save(unfinished, format="PNG")
    return f"{name}.png"


def _from_twin(twin: Callable[[], pd.DataFrame] | None) -> pd.DataFrame:
    if twin is None:
        raise RequestError(
            "this study has no synthetic twin",
            expected="a path or a data set's name",
            found="'synthetic'",
            mend="nextaim data list shows the data sets",
        )
    return twin()


def _from_layout(
    source: Source, layout: Layout, columns: Sequence[str], adapt: Adapt
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    if "table" in layout:
        from nextaim_kit.data.cohort.feature_tables import feature_table

        _refuse_images(source, layout["table"], columns)
        return feature_table(source.path, layout)
    if "subjects" in layout:
        table = resolved(pd.DataFrame(layout["subjects"]), source.path, columns)
        return table, missing_files(table, columns)
    return _from_path(source.path / layout.get("cohort", ""), columns, adapt)


def _refuse_images(source: Source, table: str, columns: Sequence[str]) -> None:
    if columns:
        raise RequestError(
            f"{source.name} is a table of features without images",
            expected=f"a cohort with {', '.join(columns)}",
            found=table,
            mend="give it to a notebook that starts from features",
        )


def _from_path(
    path: Path, columns: Sequence[str], adapt: Adapt
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    from nextaim_kit.data.cohort import folders  # pydicom takes its time

    if path.is_dir() and not (path / "cohort.csv").is_file():
        found = folders.subjects_in(path, columns)
        table = pd.DataFrame(found.subjects).fillna("")
        table.attrs["seen"] = found.seen
        return table, found.problems
    if path.name == "DICOMDIR":
        raise RequestError(
            f"{path.parent.name}/DICOMDIR is the index of a medium, no cohort",
            expected="the folder that it lies in",
            mend=f"give {path.parent}",
        )
    file = path / "cohort.csv" if path.is_dir() else path
    table = adapt(read_table(file))
    check_columns(list(table.columns), columns, file)
    table = resolved(table, file.parent, columns)
    known = missing_files(table, columns)
    if columns and path.is_dir():
        paths = [table[name] for name in table if name in {*columns, *PATHS}]
        table.attrs["seen"] = folders.without_row(path, [p for of in paths for p in of if p])
    if columns and len({row["subject"] for row in known}) == len(table):
        return table.iloc[:0], known
    return table, known


def _nobody(source: Source, known: Collection[dict[str, str]], seen: str) -> KitError:
    first = [f"{row['subject']}: {row['problem']}" for row in list(known)[:5]]
    more = [f"and {len(known) - 5} more"] if len(known) > 5 else []
    return DataError(
        f"{source.name} holds no subject that can be used",
        expected="a cohort.csv whose files are there, or images with their masks in one of the "
        "layouts of docs/reading.md",
        found="; ".join([*first, *more, *filter(None, [seen])]),
        mend="name the files in a cohort.csv with the columns subject, image, mask; unpack what "
        "is packed",
    )


def _finished(
    table: pd.DataFrame,
    columns: Sequence[str],
    name: str,
    known: list[dict[str, str]],
    classes: Classes,
) -> pd.DataFrame:
    """Typed, ordered and checked: the form every study relies on."""
    check_columns(list(table.columns), columns, Path(name))
    table = typed(table, name, classes)
    rest = [c for c in table.columns if c not in (*FIRST, *columns)]
    table = table[[*FIRST, *columns, *rest]].reset_index(drop=True)
    check(table, name, classes)
    # Records, not a table: pandas compares and stores attrs, which a table in them breaks.
    table.attrs["problems"] = known
    if not isinstance(classes, type) and tuple(classes) != BINARY:
        table.attrs["classes"] = class_names(classes)
    return table
