"""What each pixel of a crop shows: the mass, its rim, a marker, or what lies around."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

PARTS = ("outside", "mass", "rim", "marker")
_MARKER_MM = 8.0  # with the wire's width


def markers_of(table: pd.DataFrame, size: int) -> NDArray[np.bool_]:
    """Where markers lie in crops, shape (n, size, size): the twin's rings of 7 mm, filled.

    Parameters
    ----------
    table : DataFrame
        Of crops: ``marker_x``, ``marker_y`` (NaN without one) and ``spacing``; without these
        columns no marker is known.
    size : int
    """
    if not {"marker_x", "marker_y"} <= set(table):
        return np.zeros((len(table), size, size), bool)
    x, y = (table[f"marker_{c}"].to_numpy(float)[:, None, None] for c in "xy")
    middle = np.arange(size) + 0.5
    away = np.hypot(middle - x, middle[:, None] - y)
    return away <= _MARKER_MM / 2 / table["spacing"].to_numpy(float)[:, None, None]


def parts_of(masks: NDArray, markers: NDArray | None = None) -> NDArray[np.uint8]:
    """What each pixel shows, as its number in `PARTS`.

    Parameters
    ----------
    masks : array of bool, shape (n, size, size)
        The masses.
    markers : array of bool of that shape, optional

    Returns
    -------
    array of uint8, shape (n, size, size)
        The rim reaches 1/28 of the crop's edge (8 of 224 pixels) to both sides of the border; a
        marker lies above all.
    """
    wide = max(1, round(masks.shape[1] / 28))
    near = np.zeros((1, 3, 3), bool)
    near[0] = ndimage.generate_binary_structure(2, 1)
    bigger = ndimage.binary_dilation(masks, near, iterations=wide)
    # A crop ends where the field does, not where a mass does.
    smaller = ndimage.binary_erosion(masks, near, iterations=wide, border_value=1)
    found = np.where(smaller, 1, np.where(bigger, 2, 0)).astype(np.uint8)
    return found if markers is None else np.where(markers, 3, found).astype(np.uint8)
