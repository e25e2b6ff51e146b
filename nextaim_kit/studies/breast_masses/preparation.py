"""One mammogram made ready for a network: breast cut out, contrast by percentiles, one size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.studies.breast_masses.mammograms import Mammograms
from nextaim_kit.studies.breast_masses.views import breast_mask, read_pixels, wall_side


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


def prepare_all(
    mammograms: Mammograms, *, size: int = 320, workers: int | None = None
) -> tuple[NDArray[np.float32], list[Prepared], pd.DataFrame]:
    """Prepare all images.

    Returns
    -------
    pictures : array of float32, shape (images that could be read, size, size)
    prepared : list of Prepared
        Of the same images; `picture` is a view into `pictures`.
    failures : DataFrame
        ``subject``, ``site``, ``problem`` of the others.
    """
    needed = ["subject", "site", "image", "turned", "spacing"]
    found = each(mammograms.images[needed], _prepared, size=size, workers=workers, columns=needed)
    pictures = np.stack([one.picture for one in found.results])
    views = [
        Prepared(**{**vars(one), "picture": p})
        for one, p in zip(found.results, pictures, strict=True)
    ]
    return pictures, views, found.failures


def _prepared(row: Mapping[str, Any], *, size: int) -> Prepared:
    spacing = row["spacing"]
    return prepare(read_pixels(row), float("nan") if spacing is None else spacing, size)
