"""Crops of masses with what lies around them, at a fixed scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.errors import DataError
from nextaim_kit.studies.breast_masses.mammograms.image_file import (
    breast_mask,
    read_mask_values,
    read_pixels,
)
from nextaim_kit.studies.breast_masses.mammograms.loading import Mammograms
from nextaim_kit.studies.breast_masses.mammograms.prepared import BOX, contrasted
from nextaim_kit.studies.breast_masses.prototypes.parts import markers_of, parts_of

if TYPE_CHECKING:
    from torch import Tensor

_NEEDED = [*BOX, "mask", "marker_x", "marker_y"]
_BEYOND = "of the crop lie beyond the image"
_GUESSED = "its radius is not known: a third of the file's edge is taken"
_NO_SCALE = "its spacing is not known: cut in pixels, so its size in mm is unknown"

# A crop, the mass in it, and what is said of it.
Cut = tuple[NDArray[np.float32], NDArray[np.bool_], dict[str, Any]]


@dataclass(frozen=True)
class Crops:
    """Masses cut out of their images, row by row.

    Attributes
    ----------
    pictures : array of float32, shape (n, size, size)
        0 to 1, by the contrast of the whole breast; 0 beyond the image.
    masks : array of bool of the same shape
        The masses: of their masks where there are any (``mask_from`` is ``file``), else the
        ellipses of their boxes (``box``; ``edge`` where the box is a guess by the file's size).
    table : DataFrame
        A row for each: ``subject`` (unique), ``image`` (of `Mammograms.images`), ``patient``,
        ``site``, ``lesion``, ``label`` (0 benign, 1 malignant), ``shape``, ``margin``,
        ``diameter_mm``, ``x0, y0, x1, y1`` (of the mass in the crop), ``spacing`` (mm of a pixel
        of the crop, NaN unknown), ``padded`` (share of the crop that lies beyond the image),
        ``mask_from``, ``marker_x, marker_y`` (the twin's marker in the crop, NaN without), and
        what else the masses have.
    """

    pictures: NDArray[np.float32]
    masks: NDArray[np.bool_]
    table: pd.DataFrame

    def only(self, rows: ArrayLike) -> Crops:
        """Some of them, by position or by yes and no."""
        at = np.arange(len(self.table))[np.asarray(rows)]
        return Crops(self.pictures[at], self.masks[at], self.table.iloc[at].reset_index(drop=True))

    @property
    def y(self) -> NDArray[np.int64]:
        """Outcomes."""
        return self.table["label"].to_numpy(np.int64)

    @property
    def patients(self) -> NDArray:
        """By which crops are grouped."""
        return self.table["patient"].to_numpy(str)

    @property
    def markers(self) -> NDArray[np.bool_]:
        """Where markers lie, shape (n, size, size): `parts.markers_of`."""
        return markers_of(self.table, self.pictures.shape[1])

    @property
    def parts(self) -> NDArray[np.uint8]:
        """What each pixel shows, shape (n, size, size): `parts.parts_of`."""
        return parts_of(self.masks, self.markers)

    @property
    def films(self) -> Tensor:
        """Crops as networks take them: shape (n, 1, size, size), mean and spread 0.5 taken out."""
        import torch

        # What another process was given it may not write.
        return torch.from_numpy(np.require(self.pictures, requirements="W"))[:, None] * 2 - 1

    def known_of(self, rows: ArrayLike, fold: Any, repeat: int) -> pd.DataFrame:
        """What is known of tested rows before anything is predicted; a mass is a subject."""
        who = self.table.iloc[np.asarray(rows)]
        known = {"subject": who["lesion"].array, "patient": who["patient"].array,
                 "site": who["site"].array, "row": np.asarray(rows)}  # fmt: skip
        return pd.DataFrame(known).assign(fold=fold, repeat=repeat, y=who["label"].to_numpy(int))


class Loaded(NamedTuple):
    """Crops that can be used, and what cannot.

    Attributes
    ----------
    crops : Crops
    failures : DataFrame
        ``subject``, ``site``, ``problem``: what could not be read, cut out or told.
    set_aside : DataFrame
        The same columns: what is no mass, or there already under another name.
    doubts : DataFrame
        ``subject``, ``problem``: used, but strange.
    """

    crops: Crops
    failures: pd.DataFrame
    set_aside: pd.DataFrame
    doubts: pd.DataFrame


def cut(
    mammograms: Mammograms, *, size: int = 112, field_mm: float = 56.0, workers: int | None = None
) -> Loaded:
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
    done = masses[masses["image"].isin(found.rows["subject"])]
    done = done.sort_values("image", kind="stable").drop(columns=_NEEDED, errors="ignore")
    names = done["image"] + "_" + (done.groupby("image").cumcount() + 1).astype(str)
    done.insert(0, "subject", names)
    unlabeled = mammograms.lesions[mammograms.lesions["label"].isna()]
    left = pd.concat(
        [mammograms.left_out, found.failures,
         unlabeled[["subject", "site"]].assign(problem="a mass without a label")],
        ignore_index=True,
    )  # fmt: skip
    return gathered(chain.from_iterable(found.results), done, left)


def gathered(cuts: Iterable[Cut], known: pd.DataFrame, failures: pd.DataFrame) -> Loaded:
    """Crops with what is known of each and what was said when it was cut, row by row."""
    pictures, regions, said = zip(*cuts, strict=True)
    table = pd.concat([known.reset_index(drop=True), pd.DataFrame(list(said))], axis=1)
    crops = Crops(np.stack(pictures), np.stack(regions), table)
    return Loaded(crops, failures, failures.iloc[:0], _doubts(table))


def _doubts(table: pd.DataFrame) -> pd.DataFrame:
    problems = [
        "; ".join([
            *[_NO_SCALE] * bool(np.isnan(spacing)), *[f"{padded:.0%} {_BEYOND}"] * (padded > 0),
            *[_GUESSED] * (by == "edge"),
        ])
        for spacing, padded, by in table[["spacing", "padded", "mask_from"]].itertuples(index=False)
    ]  # fmt: skip
    said = table[["subject"]].assign(problem=pd.Series(problems, table.index, dtype=str))
    return said[said["problem"] != ""].reset_index(drop=True)


def _cut(row: Mapping[str, Any], *, size: int, field_mm: float) -> list[Cut]:
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
) -> Cut:
    box = np.array([mass[corner] for corner in BOX])
    picture, told = crop(gray, box, size, step)
    told |= {"mask_from": "file" if mass["mask"] else "box"}
    for axis, low in (("x", 0), ("y", 1)):  # NaN stays NaN
        corner = (box[low] + box[low + 2]) / 2 - size * step / 2
        told[f"marker_{axis}"] = (mass[f"marker_{axis}"] - corner) / step
    if not mass["mask"]:
        return picture, ellipse(told, size), told
    values = read_mask_values(mass["mask"])
    inside = (values >= values.max() / 2)[:: -1 if turned else 1]
    x0, y0, x1, y1 = (round(edge) for edge in box)
    own = np.zeros(gray.shape, np.float32)
    own[y0:y1, x0:x1] = inside[y0:y1, x0:x1]
    return picture, crop(own, box, size, step)[0] > 0.5, told


def ellipse(box: Mapping[str, Any], size: int) -> NDArray[np.bool_]:
    """The ellipse of a box in a crop."""
    at = np.arange(size) + 0.5
    x, y = (
        (at - (box[f"{a}0"] + box[f"{a}1"]) / 2) / ((box[f"{a}1"] - box[f"{a}0"]) / 2) for a in "xy"
    )
    return x[None] ** 2 + y[:, None] ** 2 <= 1


def crop(
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
    told = dict(zip(BOX, ((box - (*corner, *corner)) / step).tolist(), strict=True))
    return np.asarray(picture, np.float32), told | {"padded": round(1 - float(seen), 6)}
