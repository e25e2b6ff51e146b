"""Crops of a cohort: of whole mammograms, or of a folder that holds crops alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.data.cohort.loading import no_twin
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.data.cohort.tables import check_columns, read_table
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.data.images.films import read_film
from nextaim_kit.errors import DataError
from nextaim_kit.studies.breast_masses.mammograms.folders import as_labels
from nextaim_kit.studies.breast_masses.mammograms.image_file import digest_of
from nextaim_kit.studies.breast_masses.mammograms.loading import Mammograms, load_mammograms
from nextaim_kit.studies.breast_masses.prototypes.crops import (
    Crops,
    Cut,
    Loaded,
    crop,
    cut,
    ellipse,
    gathered,
)

Fit = Literal["field", "crop"]


def load_crops(
    cohort: str, *, twin: Callable[[], Mammograms] = no_twin, size: int, field_mm: float,
    fit: Fit = "crop",
) -> Loaded:  # fmt: skip
    """Load the masses of a cohort: a twin's, those of whole mammograms, or a folder of crops alone.

    What is no mass (a calcification, an asymmetry, a distortion) is left out, and so is a picture
    that is there already under another name.

    Parameters
    ----------
    cohort : str
        As for `load_mammograms`, or for `read_crops`.
    twin : callable
        Makes the synthetic mammograms.
    size, field_mm
        As for `crops.cut`.
    fit : {"field", "crop"}
        Of a folder of crops alone, as for `read_crops`.

    Raises
    ------
    DataError
        As `load_mammograms` and `read_crops`, and if the masses are all of one class.
    """
    how: dict[str, Any] = {"size": size, "field_mm": field_mm}
    alone = cohort != "synthetic" and _crops_alone(cohort)
    if alone:
        found = read_crops(cohort, fit=fit, **how)
    else:
        found = cut(load_mammograms(cohort, twin=twin), **how)
    why = _not_to_use(found.crops)
    keep = (why == "").to_numpy()
    crops = require_both(found.crops.only(keep))
    aside = found.crops.table.loc[~keep, ["subject", "site"]].assign(problem=why[~keep])
    doubts = found.doubts[found.doubts["subject"].isin(crops.table["subject"])]
    return Loaded(crops, found.failures, aside.reset_index(drop=True), doubts)


def _crops_alone(cohort: str) -> bool:
    path = find_source(cohort).path
    path = path / "labels.csv" if path.is_dir() else path
    if not path.is_file() or path.suffix != ".csv":
        return False
    return {"file", "label"} <= set(read_table(path))


def _not_to_use(crops: Crops) -> pd.Series:
    """Why a crop is left out; empty where it is not."""
    table, why = crops.table, pd.Series("", crops.table.index)
    digests = [digest_of(picture) for picture in crops.pictures]
    again = pd.Series(digests, table.index).duplicated()
    why[again] = "the same picture is there under another name"
    if "is_mass" in table:
        why[~table["is_mass"]] = "no mass: " + table["category"].astype(str)
    return why


def read_crops(
    cohort: str, *, size: int = 112, field_mm: float = 56.0, fit: Fit = "field"
) -> Loaded:
    """Load a folder that holds crops alone, such as those of mini-MIAS.

    Parameters
    ----------
    cohort : str
        A folder with ``labels.csv``, or that table: ``file``, ``label`` (benign or malignant, B or
        M), and perhaps ``subject`` (the patient), ``cls`` (class of the abnormality, of which CIRC,
        SPIC and MISC are masses), ``radius`` (of the abnormality, pixels of the file) and
        ``spacing`` (mm). Files named as mini-MIAS names them (``mdb001``) have its 0.2 mm.
    size, field_mm
        As for `cut`.
    fit : {"field", "crop"}
        A crop shows the field, black where the file ends; or the file fills the crop. Files that
        were cut by the size of their mass tell it by the black frame in the first. In the second
        all are made as coarse as the smallest, so that no blur tells it either.

    Returns
    -------
    Loaded
        Its table has ``category`` (the class), ``is_mass`` and ``diameter_px`` (of the file) beside
        the columns of `cut`. Where there is no radius, it is a third of the file's longer edge:
        ``mask_from`` is ``edge``.

    Raises
    ------
    DataError
        If the table lacks a column, has an outcome that is not known, or no crop can be read.
    """
    place = find_source(cohort).path
    path = place / "labels.csv" if place.is_dir() else place
    table = _listed(path)
    known = table[table["label"].notna()].reset_index(drop=True)
    how: dict[str, Any] = {"field_mm": field_mm}
    if fit == "crop":
        how = {"coarse": _smallest(known)}
    columns = ["subject", "site", "image", "spacing", "radius"]
    found = each(known, _fitted, columns=columns, size=size, **how)
    if not found.results:
        first = found.failures["problem"].tolist()[:1] or ["none has a label"]
        raise DataError(f"{path.name} names no crop that can be used", found=first[0])
    lacking = table.loc[table["label"].isna(), ["subject", "site"]].assign(problem="no label")
    left = pd.concat([found.failures, lacking], ignore_index=True)
    return gathered(found.results, found.rows.drop(columns=["spacing", "radius"]), left)


def _smallest(table: pd.DataFrame) -> int:
    """The shortest edge of the files that can be read."""
    edges = each(table, _edge, columns=["subject", "site", "image"]).results
    return min(edges, default=0)


def _edge(row: Mapping[str, Any]) -> int:
    return min(read_film(row["image"]).shown.shape)


def _listed(path: Path) -> pd.DataFrame:
    """The crops that a table names, with the columns of `Crops.table`."""
    given = read_table(path, text=("file",))
    check_columns([*given, "subject"], ("file", "label"), path)
    of_mias = given["file"].astype(str).str.match(r"mdb\d{3}")
    unknown = pd.Series(np.nan, given.index)
    table = pd.DataFrame({
        "subject": given["file"].map(lambda name: Path(str(name)).stem),
        "image": [str(path.parent / str(name)) for name in given["file"]],
        "patient": (given["subject"] if "subject" in given else given["file"]).astype(str),
        "site": "unknown", "label": as_labels(given["label"], "label"),
        "category": given["cls"].fillna("") if "cls" in given else "",
        "spacing": given["spacing"] if "spacing" in given else unknown.mask(of_mias, 0.2),
        "radius": given.get("radius", unknown), "shape": "", "margin": "",
    })  # fmt: skip
    return table.assign(
        lesion=table["subject"], is_mass=table["category"].isin(["CIRC", "SPIC", "MISC", ""])
    )


def _fitted(row: Mapping[str, Any], *, size: int, field_mm: float = 0.0, coarse: int = 0) -> Cut:
    """A crop brought to the scale of the field, or where that is 0 one that its file fills."""
    from PIL import Image

    pixels = read_film(row["image"]).shown
    low, high = np.percentile(pixels, (1, 99.7))
    gray = np.clip((pixels - low) / max(float(high - low), 1e-6), 0, 1)
    spacing = float("nan") if row["spacing"] is None else float(row["spacing"])
    known = row["radius"] is not None and np.isfinite(row["radius"])
    radius = float(row["radius"]) if known else max(gray.shape) / 3
    told = {"diameter_mm": 2 * radius * spacing, "diameter_px": 2 * radius,
            "mask_from": "box" if known else "edge"}  # fmt: skip
    if field_mm:
        step = field_mm / size / spacing if np.isfinite(spacing) else 1.0
    else:
        shrink = min(gray.shape) / coarse
        high_, wide = (round(n / shrink) for n in gray.shape)
        small = Image.fromarray(gray).resize((wide, high_), Image.Resampling.BOX)
        gray, radius, spacing = np.asarray(small), radius / shrink, spacing * shrink
        step = coarse / size
    box = np.array(gray.shape[::-1] * 2) / 2 + radius * np.array([-1, -1, 1, 1])
    picture, seen = crop(gray, box, size, step)
    told |= seen | {"spacing": step * spacing}
    return picture, ellipse(told, size), told


def require_both(crops: Crops) -> Crops:
    """The crops, if there are benign and malignant ones.

    Raises
    ------
    DataError
        If all are of one class: nothing can be learned from them, and no AUC measured.
    """
    malignant = int(crops.y.sum())
    if not 0 < malignant < len(crops.y):
        raise DataError(
            "the masses are all of one class",
            expected="benign and malignant ones",
            found=f"{malignant} malignant of {len(crops.y)}",
            mend="take a cohort with both, or give their labels",
        )
    return crops


def beside(here: Crops, there: Crops) -> tuple[Crops, NDArray[np.int64], pd.DataFrame]:
    """Two cohorts as one, without the second's patients and pictures that the first has.

    Returns
    -------
    both : Crops
    rows : array of int
        Of the second in `both`.
    left_out : DataFrame
        ``subject``, ``site``, ``problem``.

    Raises
    ------
    DataError
        If nothing of the second remains, or the crops differ in size.
    """
    if here.pictures.shape[1:] != there.pictures.shape[1:]:
        raise DataError("the cohorts' crops differ in size")
    known = {digest_of(picture) for picture in here.pictures}
    why = pd.Series("", there.table.index)
    why[there.table["patient"].isin(here.table["patient"])] = "its patient was trained on"
    why[[digest_of(picture) in known for picture in there.pictures]] = "its picture was trained on"
    fresh = (why == "").to_numpy()
    if not fresh.any():
        raise DataError(
            "every mass of the other cohort was trained on",
            expected="patients and pictures that the first cohort does not have",
            found=why.iloc[0],
        )
    table = pd.concat([here.table, there.table[fresh]], ignore_index=True)
    both = Crops(
        np.concatenate([here.pictures, there.pictures[fresh]]),
        np.concatenate([here.masks, there.masks[fresh]]),
        table,
    )
    left = there.table.loc[~fresh, ["subject", "site"]].assign(problem=why[~fresh])
    return both, np.arange(len(here.table), len(table)), left
