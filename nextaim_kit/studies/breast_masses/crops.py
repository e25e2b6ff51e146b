"""Crops of masses with what lies around them, at a fixed scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.data.cohort.tables import check_columns, read_table
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.data.images.films import read_film
from nextaim_kit.errors import DataError
from nextaim_kit.studies.breast_masses.folders import as_labels
from nextaim_kit.studies.breast_masses.mammograms import Mammograms
from nextaim_kit.studies.breast_masses.preparation import contrasted
from nextaim_kit.studies.breast_masses.views import breast_mask, read_mask_values, read_pixels

_BOX = ["x0", "y0", "x1", "y1"]
_NEEDED = [*_BOX, "mask", "marker_x", "marker_y"]
_BEYOND = "of the crop lie beyond the image"
_NO_SCALE = "its spacing is not known: cut in pixels, so its size in mm is unknown"

# A crop, the mass in it, and what is said of it.
_Cut = tuple[NDArray[np.float32], NDArray[np.bool_], dict[str, Any]]


@dataclass(frozen=True)
class Crops:
    """Masses cut out of their images.

    Attributes
    ----------
    pictures : array of float32, shape (n, size, size)
        0 to 1, by the contrast of the whole breast; 0 beyond the image.
    masks : array of bool of the same shape
        The masses: of their masks where there are any (``mask_from`` is ``file``), else the
        ellipses of their boxes (``box``).
    table : DataFrame
        A row for each: ``subject`` (unique), ``image`` (of `Mammograms.images`), ``patient``,
        ``site``, ``lesion``, ``label``, ``shape``, ``margin``, ``diameter_mm``,
        ``x0, y0, x1, y1`` (of the mass in the crop), ``spacing`` (mm of a pixel of the crop, NaN
        unknown), ``padded`` (share of the crop that lies beyond the image), ``mask_from``,
        ``marker_x, marker_y`` (the twin's marker in the crop, NaN without), and what else the
        masses have.
    left_out : DataFrame
        ``subject``, ``site``, ``problem``.
    doubts : DataFrame
        ``subject``, ``problem``: used, but strange.
    """

    pictures: NDArray[np.float32]
    masks: NDArray[np.bool_]
    table: pd.DataFrame
    left_out: pd.DataFrame
    doubts: pd.DataFrame

    @property
    def labels(self) -> NDArray[np.int64]:
        """1: malignant, 0: benign."""
        return self.table["label"].to_numpy(np.int64)

    @property
    def patients(self) -> NDArray:
        """By which crops are grouped."""
        return self.table["patient"].to_numpy(str)


def cut(
    mammograms: Mammograms,
    *,
    size: int = 112,
    field_mm: float = 56.0,
    workers: int | None = None,
) -> Crops:
    """Cut every mass that has a label out of its image, in the middle of the crop.

    The scale is the same for all masses, whatever their size: scaled to the box, a small mass
    would be blurred and its blur would tell its size.

    Parameters
    ----------
    mammograms : Mammograms
    size : int
        Edge of a crop in pixels.
    field_mm : float
        What it shows; where an image has no spacing, a pixel of the crop is one of the image.
    workers : int, optional

    Raises
    ------
    DataError
        If no mass has a label, or none can be cut out.
    """
    masses = mammograms.lesions[mammograms.lesions["label"].notna()]
    if masses.empty:
        raise DataError(
            "no mass is known to be benign or malignant",
            expected="masses with a label",
            found=f"{len(mammograms.lesions)} masses without one",
        )
    images = mammograms.images.set_index("subject")[["site", "image", "turned", "spacing"]]
    masses = masses.reset_index(drop=True).rename(columns={"subject": "image"})
    rows = [
        images.loc[image].to_dict()
        | {"subject": image, "masses": of.reindex(columns=_NEEDED).to_dict("records")}
        for image, of in masses.groupby("image")
    ]
    found = each(pd.DataFrame(rows), _cut, size=size, field_mm=field_mm, workers=workers)
    if not found.results:
        raise DataError("no mass could be cut out", found=found.failures["problem"].iloc[0])
    pictures, regions, cuts = zip(*chain.from_iterable(found.results), strict=True)
    done = masses[masses["image"].isin(found.rows["subject"])]
    done = done.sort_values("image", kind="stable").drop(columns=_NEEDED, errors="ignore")
    table = pd.concat([done.reset_index(drop=True), pd.DataFrame(list(cuts))], axis=1)
    names = table["image"] + "_" + (table.groupby("image").cumcount() + 1).astype(str)
    table.insert(0, "subject", names)
    unlabeled = mammograms.lesions[mammograms.lesions["label"].isna()]
    left = pd.concat(
        [found.failures, unlabeled[["subject", "site"]].assign(problem="a mass without a label")],
        ignore_index=True,
    )
    return Crops(np.stack(pictures), np.stack(regions), table, left, _doubts(table))


def load_crops(
    cohort: str, *, size: int = 112, field_mm: float = 56.0, fit: Literal["field", "crop"] = "field"
) -> Crops:
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
        A crop shows the field, black where the file ends; or the file fills the crop. In the first
        the black rim tells how large the crop was, in the second its blur.

    Returns
    -------
    Crops
        `table` has ``category`` (the class) and ``is_mass`` beside the columns of `cut`. Where
        there is no radius, it is a third of the file's longer edge.

    Raises
    ------
    DataError
        If the table lacks a column, has an outcome that is not known, or no crop can be read.
    """
    place = find_source(cohort).path
    path = place / "labels.csv" if place.is_dir() else place
    table = _listed(path)
    known = table[table["label"].notna()].reset_index(drop=True)
    columns = ["subject", "site", "image", "spacing", "radius"]
    found = each(
        known, _fitted, columns=columns, size=size, field_mm=field_mm if fit == "field" else 0
    )
    if not found.results:
        first = found.failures["problem"].tolist()[:1] or ["none has a label"]
        raise DataError(f"{path.name} names no crop that can be used", found=first[0])
    pictures, regions, cuts = zip(*found.results, strict=True)
    rows = found.rows.drop(columns=["spacing", "radius"]).reset_index(drop=True)
    rows = pd.concat([rows, pd.DataFrame(list(cuts))], axis=1)
    lacking = table.loc[table["label"].isna(), ["subject", "site"]].assign(problem="no label")
    left = pd.concat([found.failures, lacking], ignore_index=True)
    return Crops(np.stack(pictures), np.stack(regions), rows, left, _doubts(rows))


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


def require_both(crops: Crops) -> Crops:
    """The crops, if there are benign and malignant ones.

    Raises
    ------
    DataError
        If all are of one class: nothing can be learned from them, and no AUC measured.
    """
    malignant = int(crops.labels.sum())
    if not 0 < malignant < len(crops.labels):
        raise DataError(
            "the masses are all of one class",
            expected="benign and malignant ones",
            found=f"{malignant} malignant of {len(crops.labels)}",
            mend="take a cohort with both, or give their labels",
        )
    return crops


def _fitted(row: Mapping[str, Any], *, size: int, field_mm: float) -> _Cut:
    """A crop brought to the scale of the field, or of its own where that is 0."""
    pixels = read_film(row["image"]).shown
    low, high = np.percentile(pixels, (1, 99.7))
    gray = np.clip((pixels - low) / max(float(high - low), 1e-6), 0, 1)
    spacing = float("nan") if row["spacing"] is None else float(row["spacing"])
    step = max(gray.shape) / size
    if field_mm:
        step = field_mm / size / spacing if np.isfinite(spacing) else 1.0
    radius = max(gray.shape) / 3 if row["radius"] is None else float(row["radius"])
    box = np.array(gray.shape[::-1] * 2) / 2 + radius * np.array([-1, -1, 1, 1])
    picture, told = _crop(gray, box, size, step)
    told |= {"spacing": step * spacing, "diameter_mm": 2 * radius * spacing, "mask_from": "box"}
    return picture, _ellipse(told, size), told


def _doubts(table: pd.DataFrame) -> pd.DataFrame:
    problems = [
        "; ".join(
            [_NO_SCALE] * bool(np.isnan(spacing)) + [f"{padded:.0%} {_BEYOND}"] * (padded > 0)
        )
        for spacing, padded in zip(table["spacing"], table["padded"], strict=True)
    ]
    said = table[["subject"]].assign(problem=pd.Series(problems, table.index, dtype=str))
    return said[said["problem"] != ""].reset_index(drop=True)


def _cut(row: Mapping[str, Any], *, size: int, field_mm: float) -> list[_Cut]:
    """Crops of all masses of an image."""
    pixels = read_pixels(row)
    gray = contrasted(pixels, breast_mask(pixels))
    known = row["spacing"] is not None and np.isfinite(row["spacing"])
    step = field_mm / size / row["spacing"] if known else 1.0
    spacing = {"spacing": field_mm / size if known else float("nan")}
    cuts = [_cut_one(gray, mass, row["turned"], size, step) for mass in row["masses"]]
    return [(picture, region, told | spacing) for picture, region, told in cuts]


def _cut_one(
    gray: NDArray[np.float32], mass: Mapping[str, Any], turned: bool, size: int, step: float
) -> _Cut:
    box = np.array([mass[corner] for corner in _BOX])
    picture, told = _crop(gray, box, size, step)
    told |= {"mask_from": "file" if mass["mask"] else "box"}
    for axis, low in (("x", 0), ("y", 1)):  # NaN stays NaN
        corner = (box[low] + box[low + 2]) / 2 - size * step / 2
        told[f"marker_{axis}"] = (mass[f"marker_{axis}"] - corner) / step
    if not mass["mask"]:
        return picture, _ellipse(told, size), told
    values = read_mask_values(mass["mask"])
    inside = (values >= values.max() / 2)[:: -1 if turned else 1]
    x0, y0, x1, y1 = (round(edge) for edge in box)
    own = np.zeros(gray.shape, np.float32)
    own[y0:y1, x0:x1] = inside[y0:y1, x0:x1]
    return picture, _crop(own, box, size, step)[0] > 0.5, told


def _ellipse(box: Mapping[str, Any], size: int) -> NDArray[np.bool_]:
    """The ellipse of a box in a crop."""
    at = np.arange(size) + 0.5
    x, y = (
        (at - (box[f"{a}0"] + box[f"{a}1"]) / 2) / ((box[f"{a}1"] - box[f"{a}0"]) / 2) for a in "xy"
    )
    return x[None] ** 2 + y[:, None] ** 2 <= 1


def _crop(
    gray: NDArray[np.float32], box: NDArray, size: int, step: float
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """A square around a box's center, `step` pixels of the image for each of its own."""
    from PIL import Image

    corner = (box[:2] + box[2:]) / 2 - size * step / 2
    ends = (*corner, *(corner + size * step))
    rows, columns = gray.shape
    low = np.floor(np.minimum(corner, 0)).astype(int)
    high = np.ceil(np.maximum(np.array(ends[2:]) - (columns, rows), 0)).astype(int)
    padded = np.pad(gray, ((-low[1], high[1]), (-low[0], high[0])))
    left, top = (float(c) for c in corner - low)
    area = left, top, left + size * step, top + size * step
    way = Image.Resampling.BOX if step > 1 else Image.Resampling.BILINEAR
    picture = Image.fromarray(padded).resize((size, size), way, box=area)
    clipped = np.clip(ends, 0, (columns, rows) * 2)
    seen = np.prod(np.maximum(clipped[2:] - clipped[:2], 0)) / (size * step) ** 2
    told = dict(zip(_BOX, ((box - (*corner, *corner)) / step).tolist(), strict=True))
    return np.asarray(picture, np.float32), told | {"padded": round(1 - float(seen), 6)}
