"""Mammograms in folders of one's own: a table of images with masks or boxes, or files alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from nextaim_kit.data.cohort.joining import some
from nextaim_kit.data.cohort.loading import load_cohort
from nextaim_kit.data.cohort.tables import check_columns, read_table
from nextaim_kit.data.images.films import PICTURES, film_table
from nextaim_kit.errors import DataError

TABLES = ("cohort.csv", "labels.csv")
BOXES = "boxes.csv"
_COLUMNS = ["subject", "patient", "site", "label", "view", "side", "density", "image", "spacing",
            "turned"]  # fmt: skip
_CORNERS = ["x0", "y0", "x1", "y1"]
_LABELS = {
    "malignant": 1, "m": 1, "1": 1, "1.0": 1, "benign": 0, "b": 0, "normal": 0, "0": 0, "0.0": 0,
    "benign_without_callback": 0, "": None, "nan": None, "unknown": None,
}  # fmt: skip
_SIDES = {"L": "L", "LEFT": "L", "R": "R", "RIGHT": "R", "": "", "NAN": ""}
_SIDE = re.compile(r"(?:^|[_\W])(L|R|LEFT|RIGHT)(?:[_\W]|$)", re.IGNORECASE)
_VIEW = re.compile(r"(?:^|[_\W]|L|R)(CC|MLO)(?:[_\W]|$)", re.IGNORECASE)
_PATIENT = re.compile(r"(?:^|_)(P_?\d+)_", re.IGNORECASE)
_SUBTRACTED = re.compile(r"subtracted|recombined|(?:^|_)CM(?:_|$)", re.IGNORECASE)
_NO_MAMMOGRAM = "a subtracted contrast-enhanced image: another contrast than a mammogram's"
# Parts of masks, by size from 0, that outline no mass, of 9 images of the CDD-CESM data set that
# were looked at one by one; None: no part of the image's mask does.
NO_MASSES: dict[tuple[str, int | None], str] = {
    ("flipped_P108_L_DM_CC", 1): "the skin, thickened",
    ("flipped_P121_L_DM_CC", 1): "a calcification",
    ("flipped_P121_L_DM_CC", 2): "a calcification",
    ("flipped_P137_L_DM_MLO", None): "tissue drawn together, without a mass",
    ("flipped_P139_R_DM_MLO", None): "the skin, thickened",
    ("flipped_P149_R_DM_MLO", 0): "a coarse calcification",
    ("flipped_P149_R_DM_MLO", 2): "calcifications",
    ("flipped_P152_L_DM_MLO", 1): "strands of tissue",
    ("flipped_P152_L_DM_MLO", 2): "strands of tissue",
    ("flipped_P165_R_DM_MLO", 1): "a line along the skin",
    ("flipped_P191_R_DM_MLO", None): "most of the breast's tissue",
}


class Given(NamedTuple):
    """Images to be looked at.

    Attributes
    ----------
    images : DataFrame
        ``subject``, ``patient``, ``site``, ``label``, ``view``, ``side``, ``density``, ``image``,
        ``spacing``, ``turned`` (None where not known), further columns, and ``marks``: a list of
        dicts with ``mask`` or ``box`` (of the file's pixels) and what is known of the mass.
    left_out : list of dict
        ``subject``, ``problem``.
    """

    images: pd.DataFrame
    left_out: list[dict[str, str]]


def read_folder(path: Path) -> Given:
    """Read a table of images, or a folder with one, or with the sub-folders images and masks.

    Columns of the table beside those of a cohort: ``patient``, ``view``, ``side``, ``density``,
    ``spacing`` (mm), ``turned``, ``mask``. Where there is a ``boxes.csv`` beside it, its rows are
    the masses: ``subject, x0, y0, x1, y1`` in pixels of the file, and perhaps ``label``, ``shape``,
    ``margin``, ``density``, ``subtlety``, ``lesion``. What a table does not say is taken from names
    such as ``P108_L_DM_CC.png``.
    """
    folder = path if path.is_dir() else path.parent
    tables = [path] if path.is_file() else [folder / t for t in TABLES if (folder / t).is_file()]
    if tables:
        table = load_cohort(str(tables[0]), columns=("image",), adapt=lambda t: _adapted(t, folder))
    else:
        table = film_table(folder / "images" if (folder / "images").is_dir() else folder)
        table = table.assign(site="unknown", label=pd.array([None] * len(table), "Int64"))
    left_out = list(table.attrs.get("problems", []))
    missing = {row["subject"] for row in left_out}
    table = _completed(table[~table["subject"].isin(missing)].reset_index(drop=True))
    subtracted = _said(table, "modality") + " " + table["image"].map(lambda p: Path(p).stem)
    aside = subtracted.str.contains(_SUBTRACTED)
    left_out += [{"subject": s, "problem": _NO_MAMMOGRAM} for s in table.loc[aside, "subject"]]
    table = table[~aside].reset_index(drop=True)
    marks, strangers = _marks(table, folder)
    table = table[_COLUMNS].assign(marks=pd.Series(marks, index=table.index, dtype=object))
    return Given(table, left_out + strangers)


def _adapted(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """A table with this study's words: labels as numbers, images as paths."""
    if "image" in table:
        beside = folder / "images"
        within = [
            str(n) if (folder / str(n)).exists() else str(beside / str(n)) for n in table["image"]
        ]
        table = table.assign(image=within)
        if "subject" not in table:
            table.insert(0, "subject", [Path(n).stem for n in within])
    named = next((c for c in ("label", "pathology") if c in table), None)
    return table.assign(label=as_labels(table[named], named)) if named else table


def as_labels(words: pd.Series, column: str) -> pd.Series:
    """1 for malignant, 0 for benign or normal, NA for unknown.

    Raises
    ------
    DataError
        If a word is none of these.
    """
    text = words.astype(object).where(words.notna(), "").astype(str).str.strip().str.lower()
    strange = sorted(set(text) - set(_LABELS))
    if strange:
        raise DataError(
            f"the column {column} has an outcome that is not known: {', '.join(strange[:5])}",
            expected="malignant, benign, normal, or nothing; or 1 and 0",
            mend="correct these cells, or leave them empty",
        )
    return text.map(_LABELS).astype("Int64")


def _completed(table: pd.DataFrame) -> pd.DataFrame:
    """With all columns of an image; what is not said is taken from the file's name, or unknown."""
    names = table["image"].map(lambda path: Path(path).stem)
    side = _said(table, "side", names.str.extract(_SIDE)[0]).str.upper()
    view = _said(table, "view", names.str.extract(_VIEW)[0]).str.upper()
    strange = sorted(set(side) - set(_SIDES)) + sorted(set(view) - {"CC", "MLO", "ML", "LM", ""})
    if strange:
        raise DataError(
            f"the columns side and view have words that are not known: {', '.join(strange[:5])}",
            expected="L or R; CC, MLO, ML, LM",
        )
    patient = _said(table, "patient", names.str.extract(_PATIENT)[0])
    return table.assign(
        side=side.map(_SIDES),
        view=view,
        patient=patient.where(patient != "", table["subject"]),
        density=_numbers(table, "density").astype("Int64"),
        spacing=_numbers(table, "spacing"),
        turned=_flags(table),
    )


def _said(table: pd.DataFrame, column: str, otherwise: pd.Series | None = None) -> pd.Series:
    blank = pd.Series("", index=table.index) if otherwise is None else otherwise.fillna("")
    if column not in table:
        return blank
    said = table[column].astype(object).where(table[column].notna(), "").astype(str).str.strip()
    return said.where(said != "", blank)


def _numbers(table: pd.DataFrame, column: str) -> pd.Series:
    values = table[column] if column in table else pd.Series(float("nan"), index=table.index)
    return pd.to_numeric(values, errors="coerce").astype(float)


def _flags(table: pd.DataFrame) -> pd.Series:
    words = {"true": True, "1": True, "1.0": True, "yes": True, "false": False, "0": False,
             "0.0": False, "no": False}  # fmt: skip
    said = _said(table, "turned").str.lower()
    return pd.Series([words.get(word) for word in said], index=table.index, dtype=object)


def _marks(
    table: pd.DataFrame, folder: Path
) -> tuple[list[list[dict[str, Any]]], list[dict[str, str]]]:
    if (folder / BOXES).is_file():
        return _of_boxes(table, folder / BOXES)
    masks = table["mask"] if "mask" in table else table["image"].map(lambda p: _beside(p, folder))
    masks = masks.fillna("")
    alone = table["subject"][masks == ""]
    if len(alone):
        print(
            f"{len(alone)} images have no mask, and count as without a mass: {some(alone.tolist())}"
        )
    given = zip(masks, table["label"], strict=True)
    return [[{"mask": mask, "label": _plain(label)}] if mask else [] for mask, label in given], []


def _beside(image: str, folder: Path) -> str:
    """The mask of an image's name in the sub-folder masks."""
    stem = Path(image).stem
    named = [folder / "masks" / f"{stem}{end}{kind}" for end in ("", "_mask") for kind in PICTURES]
    return next((str(path) for path in named if path.is_file()), "")


def _of_boxes(
    table: pd.DataFrame, path: Path
) -> tuple[list[list[dict[str, Any]]], list[dict[str, str]]]:
    boxes = read_table(path, text=("lesion",))
    check_columns([*map(str, boxes)], _CORNERS, path)
    word = next((c for c in ("label", "pathology") if c in boxes), None)
    labels = (
        as_labels(boxes[word], word)
        if word
        else boxes["subject"].map(table.set_index("subject")["label"])
    )
    of: dict[str, list[dict[str, Any]]] = {}
    for row, label in zip(boxes.to_dict("records"), labels, strict=True):
        words = {str(k): v for k, v in row.items() if k not in (*_CORNERS, "subject", word)}
        mark = {k: v for k, v in words.items() if pd.notna(v)}
        mark |= {"box": [float(row[c]) for c in _CORNERS], "label": _plain(label)}
        of.setdefault(str(row["subject"]), []).append(mark)
    strangers = sorted(set(of) - set(table["subject"]))
    told = [
        {"subject": s, "problem": f"in {path.name}, but no image of that name"} for s in strangers
    ]
    return [of.get(subject, []) for subject in table["subject"]], told


def _plain(label: Any) -> int | None:
    return None if pd.isna(label) else int(label)


def no_masses(row: Mapping[str, Any]) -> Iterator[tuple[int | None, str]]:
    """Parts of an image's masks that are known to be no mass, with the reason."""
    stem = Path(row["image"]).stem
    return ((part, why) for (name, part), why in NO_MASSES.items() if name == stem)
