"""Tables of localizations, of ThunderSTORM and Picasso, and the images made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from nextaim_kit.data.cohort.tables import read_table
from nextaim_kit.errors import DataError, RequestError

_HDF5 = (".hdf5", ".h5")
TABLES = (".csv", ".tsv", *_HDF5)  # the last are refused by name, not passed over
Rendering = Literal["gaussian", "histogram"]
# Column of x and of y, of their precision, and whether they are in pixels of the camera.
_KNOWN = {
    "ThunderSTORM": (("x [nm]", "y [nm]"), ("uncertainty [nm]", "uncertainty_xy [nm]"), False),
    "the kit": (("x_nm", "y_nm"), ("precision_nm",), False),
    "Picasso": (("x", "y"), ("lpx",), True),
}
_CLASSES = 8  # widths in which spots are drawn
_PRECISION = 15.0  # nm, where a table does not say it


def read_localizations(path: str | Path, pixel_nm: float | None = None) -> pd.DataFrame:
    """Read a table of localizations.

    Parameters
    ----------
    path : str or Path
        CSV as ThunderSTORM writes it (``x [nm]``, ``y [nm]``), Picasso's columns (``x``, ``y``,
        ``lpx``, in pixels of the camera), or ``x_nm``, ``y_nm``, ``precision_nm``.
    pixel_nm : float, optional
        Edge of the camera's pixel, needed for a table in pixels.

    Returns
    -------
    DataFrame
        ``x``, ``y``, ``precision`` in nm, and ``frame`` where the table has it.
        ``attrs["said"]``: what was assumed or left out.

    Raises
    ------
    DataError
        If the columns are not known, the table is in pixels of unknown size or is HDF5, or no row
        holds numbers.
    """
    path = Path(path)
    if path.suffix.lower() in _HDF5:
        raise DataError(
            f"{path.name} is HDF5, which is not read here",
            expected="a table, .csv or .tsv",
            mend="export it as CSV (Picasso: Render, Export localizations)",
        )
    table = read_sheet(path)
    kind = next((k for k, (xy, _, _) in _KNOWN.items() if set(xy) <= set(table)), None)
    if kind is None:
        raise DataError(
            f"{path.name} has columns that are not known",
            expected="x [nm], y [nm] (ThunderSTORM); x, y in pixels (Picasso); or x_nm, y_nm",
            found=", ".join(map(str, list(table)[:8])),
            mend="rename the columns of the places",
        )
    (x, y), widths, in_pixels = _KNOWN[kind]
    if in_pixels and not pixel_nm:
        raise DataError(
            f"the places in {path.name} are in pixels, whose size is not known",
            expected="the edge of the camera's pixel in nm",
            mend="give pixel_nm",
        )
    unit, said = float(pixel_nm or 1) if in_pixels else 1.0, []
    width = next((w for w in widths if w in table), None)
    columns = {"x": table[x], "y": table[y]} | ({"precision": table[width]} if width else {})
    found = pd.DataFrame(columns).apply(pd.to_numeric, errors="coerce") * unit
    if width is None:
        found["precision"] = _PRECISION
        said.append(f"{path.name} names no precision: {_PRECISION:g} nm is taken")
    if "frame" in table:
        found["frame"] = table["frame"]
    sound = np.isfinite(found[["x", "y", "precision"]]).all(axis=1) & (found["precision"] > 0)
    if not sound.all():
        said.append(f"{(~sound).sum()} of {len(sound)} rows of {path.name} are no places: left out")
    if not sound.any():
        raise DataError(f"no row of {path.name} is a place", mend="look at the table's numbers")
    found = found[sound].reset_index(drop=True)
    found.attrs["said"] = said
    return found


def read_sheet(path: Path) -> pd.DataFrame:
    """A table of any separator, its columns named without blanks around them."""
    return read_table(path).rename(columns=lambda name: str(name).strip())


def render(
    xy: NDArray,
    precision: NDArray,
    shape: tuple[int, int],
    pixel_nm: float,
    how: Rendering = "gaussian",
) -> NDArray[np.float32]:
    """An image of localizations; its sum is the number of those within it.

    Parameters
    ----------
    xy : array of shape (n, 2), nm
        From the outer corner of the first pixel.
    precision : array of shape (n,), nm
        Spots are drawn in a few classes of this width.
    shape : (int, int)
        Rows and columns.
    pixel_nm : float
    how : {"gaussian", "histogram"}

    Examples
    --------
    >>> render(np.array([[15.0, 5.0]]), np.array([1.0]), (2, 3), 10.0, "histogram").tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    if how not in ("gaussian", "histogram"):
        raise RequestError("no such rendering", expected="gaussian or histogram", found=repr(how))
    if how == "histogram":
        return counts(xy, shape, pixel_nm)
    image = np.zeros(shape, np.float32)
    if not len(xy):
        return image
    edges = np.quantile(precision, np.linspace(0, 1, _CLASSES + 1)[1:-1])
    of = np.searchsorted(edges, precision)
    for k in np.unique(of):
        width = float(np.sqrt(np.mean(precision[of == k] ** 2))) / pixel_nm
        image += ndimage.gaussian_filter(counts(xy[of == k], shape, pixel_nm), width, truncate=3.5)
    return image


def counts(
    xy: NDArray, shape: tuple[int, int], pixel_nm: float, weights: NDArray | None = None
) -> NDArray[np.float32]:
    """How many points lie in each pixel, or the sum of their weights."""
    column, row = (xy[:, :2] // pixel_nm).astype(np.int64).T
    inside = (row >= 0) & (column >= 0) & (row < shape[0]) & (column < shape[1])
    flat = row[inside] * shape[1] + column[inside]
    of = None if weights is None else weights[inside]
    return np.bincount(flat, of, shape[0] * shape[1]).reshape(shape).astype(np.float32)
