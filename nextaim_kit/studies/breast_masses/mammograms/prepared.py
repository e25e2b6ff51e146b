"""Mammograms made ready for a network: breast cut out, contrast by percentiles, one size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.data.cohort.loading import no_twin
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.errors import DataError
from nextaim_kit.learn.splits import patient_folds, rotations
from nextaim_kit.studies.breast_masses.mammograms.image_file import (
    breast_mask,
    read_pixels,
    wall_side,
)
from nextaim_kit.studies.breast_masses.mammograms.loading import Mammograms, load_mammograms

BOX = ["x0", "y0", "x1", "y1"]
_NEEDED = ["subject", "site", "image", "turned", "spacing"]


@dataclass(frozen=True)
class Prepared:
    """A mammogram as a network is given it, and how its places are found in the image.

    Attributes
    ----------
    picture : array of float32, shape (size, size)
        0 (darkest, and around the breast) to 1. The chest wall is at the left.
    scale : float
        Pixels of the picture for each of the image.
    origin : tuple of float
        x and y of the image's first pixel in the picture, before it is mirrored.
    mirrored : bool
        The chest wall was at the right.
    spacing : float
        Edge of a pixel of the picture in mm, NaN where unknown.
    breast : tuple of int
        Box of the breast in the image: x0, y0, x1, y1.
    """

    picture: NDArray[np.float32]
    scale: float
    origin: tuple[float, float]
    mirrored: bool
    spacing: float
    breast: tuple[int, int, int, int]

    def to_picture(self, boxes: ArrayLike) -> NDArray[np.float64]:
        """Boxes of the image in the picture: x0, y0, x1, y1, shape (n, 4)."""
        moved = np.reshape(np.asarray(boxes, float), (-1, 4)) * self.scale + (*self.origin,) * 2
        return self._turned(moved)

    def to_image(self, boxes: ArrayLike) -> NDArray[np.float64]:
        """Boxes of the picture in the image: the inverse of `to_picture`."""
        moved = self._turned(np.reshape(np.asarray(boxes, float), (-1, 4)))
        return (moved - (*self.origin,) * 2) / self.scale

    def _turned(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self.mirrored:
            return boxes
        size = self.picture.shape[1]
        return np.stack([size - boxes[:, 2], boxes[:, 1], size - boxes[:, 0], boxes[:, 3]], 1)


def prepare(pixels: NDArray, spacing: float = float("nan"), size: int = 320) -> Prepared:
    """Cut the breast out, turn its wall to the left, and bring it to one size and contrast.

    Parameters
    ----------
    pixels : array of shape (rows, columns)
        Large is bright; any range.
    spacing : float, optional
        Edge of a pixel in mm.
    size : int
        Edge of the picture; the breast fills it in one direction.

    Raises
    ------
    DataError
        If no breast is found.
    """
    from PIL import Image

    mask = breast_mask(pixels)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x0, y0, x1, y1 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    inside = mask[y0:y1, x0:x1]
    cut = contrasted(pixels[y0:y1, x0:x1], inside)
    scale = size / max(y1 - y0, x1 - x0)
    high, wide = max(1, round((y1 - y0) * scale)), max(1, round((x1 - x0) * scale))
    small = Image.fromarray(cut).resize(
        (wide, high), Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    )
    mirrored = wall_side(mask) == "R"
    top = (size - high) // 2
    left = 0 if not mirrored else size - wide
    picture = np.zeros((size, size), np.float32)
    picture[top : top + high, left : left + wide] = np.clip(np.asarray(small), 0, 1)
    picture = np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture
    origin = left - x0 * scale, top - y0 * scale
    return Prepared(picture, scale, origin, mirrored, spacing / scale, (x0, y0, x1, y1))


def contrasted(pixels: NDArray, breast: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Gray values from 0 to 1: the breast's 1st and 99.7th percentiles, black outside of it.

    Letters and markers of metal become white, and do not darken the rest.
    """
    low, high = np.percentile(pixels[breast], (1, 99.7))
    span = max(float(high - low), np.finfo(np.float32).tiny)
    return np.clip((pixels - low) / span, 0, 1).astype(np.float32) * breast


@dataclass(frozen=True)
class Pictures:
    """Prepared pictures of a cohort, and their masses in the pictures' pixels.

    Attributes
    ----------
    images : DataFrame
        As in `Mammograms`, one row per picture.
    pictures : array of float32, shape (n, size, size)
    masses : DataFrame
        As `Mammograms.lesions`, with ``row`` of the picture, and the box in the picture.
    spacing : array of shape (n,)
        mm of a picture's pixel, NaN where unknown.
    """

    images: pd.DataFrame
    pictures: NDArray[np.float32]
    masses: pd.DataFrame
    spacing: NDArray[np.float64]

    def take(self, rows: Sequence[int] | NDArray) -> Pictures:
        """Some of the pictures, in that order."""
        rows = np.asarray(rows, int)
        new = pd.Series(np.arange(len(rows)), index=rows)
        masses = self.masses[self.masses["row"].isin(rows)]
        masses = masses.assign(row=new.loc[masses["row"]].to_numpy()).sort_values(
            "row", kind="stable"
        )
        return Pictures(self.images.iloc[rows].reset_index(drop=True), self.pictures[rows],
                     masses.reset_index(drop=True), self.spacing[rows])  # fmt: skip

    def boxes(self) -> list[NDArray[np.float64]]:
        """Boxes of each picture, shape (k, 4)."""
        rows, boxes = self.masses["row"].to_numpy(), self.masses[BOX].to_numpy(float)
        return [boxes[rows == k] for k in range(len(self.pictures))]


def _prepared(row: Mapping[str, Any], *, size: int) -> Prepared:
    spacing = row["spacing"]
    return prepare(read_pixels(row), float("nan") if spacing is None else spacing, size)


def pictures_of(
    mammograms: Mammograms, size: int, *, workers: int | None = None
) -> tuple[Pictures, pd.DataFrame]:
    """Prepare a cohort: its pictures with their masses, and the images that could not be read."""
    found = each(mammograms.images[_NEEDED], _prepared, size=size, workers=workers, columns=_NEEDED)
    images = mammograms.images[found.done].reset_index(drop=True)
    row = pd.Series(np.arange(len(images)), index=images["subject"])
    masses = mammograms.lesions[mammograms.lesions["subject"].isin(row.index)]
    masses = masses.assign(row=row.loc[masses["subject"]].to_numpy())
    places = zip(masses["row"], masses[BOX].to_numpy(float), strict=True)
    masses[BOX] = np.reshape([found.results[k].to_picture(box)[0] for k, box in places], (-1, 4))
    spacing = np.array([one.spacing for one in found.results])
    pictures = np.reshape([one.picture for one in found.results], (-1, size, size))
    order = masses.sort_values("row", kind="stable").reset_index(drop=True)
    return Pictures(images, pictures, order, spacing), found.failures


def load_pictures(
    cohort: str,
    size: int,
    *,
    twin: Callable[[], Mammograms] = no_twin,
    only: Callable[[Mammograms], Mammograms] | None = None,
) -> tuple[Mammograms, Pictures, pd.DataFrame]:
    """Load a cohort and prepare its pictures.

    Parameters
    ----------
    cohort, twin
        As of `load_mammograms`.
    size : int
        Edge of the pictures.
    only : callable, optional
        Leaves some of the mammograms out by name before they are prepared, such as
        `Mammograms.strangers` or `Detectors.unseen`.

    Returns
    -------
    mammograms : Mammograms
    pictures : Pictures
    left_out : DataFrame
        ``subject``, ``site``, ``problem``: of both steps.
    """
    found = load_mammograms(cohort, twin=twin)
    found = only(found) if only else found
    pictures, unread = pictures_of(found, size)
    return found, pictures, pd.concat([found.left_out, unread])


def covered(boxes: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels of a picture lie in any of the boxes, shape `shape`; to draw them."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    inside = np.zeros(shape, bool)
    for x0, y0, x1, y1 in np.asarray(boxes, float).reshape(-1, 4):
        inside |= (x + 0.5 >= x0) & (x + 0.5 < x1) & (y + 0.5 >= y0) & (y + 0.5 < y1)
    return inside


def divide(pictures: Pictures, folds: int, *, seed: int) -> tuple[Pictures, Pictures, Pictures]:
    """Parts to train, to validate and to test on: whole patients, alike in images with a mass.

    Raises
    ------
    DataError
        If a part is without a mass.
    """
    images = pictures.images.assign(any_mass=pictures.images["masses"] > 0)
    # A class that is rarer than the parts are many cannot be in each of them.
    patients = images.groupby("any_mass")["patient"].nunique()
    by = ("any_mass",) if len(patients) == 2 and patients.min() >= folds else ()
    first = rotations(patient_folds(images, folds, seed=seed, by=by, group="patient"))[0]
    train, val, test = (pictures.take(rows) for rows in first)
    without = [name for name, part in {"train": train, "validate": val, "test": test}.items()
               if not len(part.masses)]  # fmt: skip
    if without:
        raise DataError(
            f"no mass is left to {' and to '.join(without)} on",
            expected="masses of at least one patient in each part",
            found=f"masses of {pictures.masses['patient'].nunique()} patients in all",
            mend="give more patients, or take another seed or other folds",
        )
    return train, val, test


def words_of(masses: pd.DataFrame) -> list[str]:
    """What is known of each mass, in two lines: its image; its margin and size."""
    said = []
    for mass in masses.to_dict("records"):
        size = mass["diameter_mm"]
        known = [mass["margin"], f"{size:.0f} mm" if size == size else ""]
        said.append(f"{mass['subject']}\n{', '.join(filter(None, known)) or 'mass'}")
    return said
