"""Gradient tables: b-values and b-vectors read in either convention, and refused where they lie.

FSL's vectors lie along the axes of the voxels, the first one reversed where the affine has a
positive determinant [1]_; a scanner's, such as MRtrix's, lie along the patient's axes. Here they
always lie along those: to the right, front and head.

References
----------
.. [1] https://fsl.fmrib.ox.ac.uk/fsl/docs/#/diffusion/eddy/users_guide/index
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.data.images.dicom import named
from nextaim_kit.errors import DataError
from nextaim_kit.files import write_text

Array = NDArray[np.floating]
Convention = Literal["fsl", "scanner"]
LOW = 50.0  # s/mm²: below, a volume counts as one without weighting
_UNIT = 0.02  # from a length of 1 a vector may be, by rounding
_ALIKE = 0.995  # cosine of directions that count as one, 6 degrees apart
_SHELL = 150.0  # s/mm² within which values are one shell


@dataclass(frozen=True)
class GradientTable:
    """What each volume is weighted by.

    Attributes
    ----------
    bvals : array of shape (v,)
        s/mm².
    directions : array of shape (v, 3)
        Unit vectors to the patient's right, front and head; 0 without weighting.
    warnings : tuple of str
        What was found and mended, or may be wrong.
    """

    bvals: Array
    directions: Array
    warnings: tuple[str, ...] = ()

    @property
    def b0(self) -> NDArray[np.bool_]:
        """Which volumes have no weighting, shape (v,)."""
        return self.bvals < LOW

    def without(self, lost: Sequence[int]) -> GradientTable:
        """Of the other volumes."""
        left = [np.delete(one, lost, 0) for one in (self.bvals, self.directions)]
        return replace(self, bvals=left[0], directions=left[1])

    @property
    def shells(self) -> list[float]:
        """Mean b of each shell, from low to high."""
        values = np.sort(self.bvals[~self.b0])
        parts = np.split(values, np.flatnonzero(np.diff(values) > _SHELL) + 1)
        return [float(np.round(part.mean())) for part in parts if len(part)]


def axes_of(affine: Array) -> Array:
    """Unit vectors along a grid's axes in its columns, the nearest at right angles."""
    left, _, right = np.linalg.svd(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    return left @ right


def from_fsl(vectors: Array, affine: Array) -> Array:
    """Directions to the patient's right, front and head of FSL's vectors, shape (v, 3).

    Examples
    --------
    >>> from_fsl(np.eye(3), np.diag([2.0, 2, 2, 1])).tolist()[0]
    [-1.0, 0.0, 0.0]
    """
    turn = np.diag([-1.0 if np.linalg.det(affine[:3, :3]) > 0 else 1.0, 1, 1])
    return np.asarray(vectors) @ turn @ axes_of(affine).T


def to_fsl(directions: Array, affine: Array) -> Array:
    """FSL's vectors of directions to the patient's right, front and head, shape (v, 3)."""
    turn = np.diag([-1.0 if np.linalg.det(affine[:3, :3]) > 0 else 1.0, 1, 1])
    return np.asarray(directions) @ axes_of(affine) @ turn


def read_gradients(
    bval: str | Path,
    bvec: str | Path,
    affine: Array,
    *,
    volumes: int,
    convention: Convention = "fsl",
) -> GradientTable:
    """Read a gradient table.

    Parameters
    ----------
    bval, bvec : str or Path
        Text: b-values in s/mm², and three rows or three columns of vectors.
    affine : array of shape (4, 4)
        Of the file the table belongs to, as it is stored, to the patient's right, front and head.
    volumes : int
        That the file has.
    convention : {"fsl", "scanner"}
        Which axes the vectors lie along.

    Returns
    -------
    GradientTable
        Its warnings name vectors that stood in columns, vectors without length 1 (made so), vectors
        of volumes without weighting (ignored), and series without such a volume.

    Raises
    ------
    DataError
        If a file is missing or no table of numbers; if values, vectors and volumes are not equally
        many; if they are in other units; if a weighted volume has no direction; or if there are
        fewer than 6 directions.
    """
    values, vectors = _numbers(bval).ravel(), _numbers(bvec)
    name, said = named(Path(bvec)), []
    if len(values) != volumes:
        raise _count(named(Path(bval)), f"{len(values)} values", volumes)
    if vectors.shape[0] != 3 and vectors.shape[1] == 3:
        vectors = vectors.T
        said.append(f"{name}: vectors in columns, as dipy writes them; FSL's stand in rows")
    elif vectors.shape == (3, 3):
        raise _few(name, 3)
    if vectors.shape[0] != 3:
        raise _count(name, f"a table of {vectors.shape[0]} x {vectors.shape[1]} numbers", volumes)
    if vectors.shape[1] != volumes:
        raise _count(name, f"{vectors.shape[1]} vectors", volumes)
    if not np.isfinite(values).all() or (values < 0).any():
        raise DataError(
            f"{named(Path(bval))} has values that are no b-values",
            expected="numbers from 0 on, in s/mm²",
            found=", ".join(f"{v:g}" for v in values[~(values >= 0)][:5]),
            mend="convert the series again, such as by dcm2niix",
        )
    if 0 < values.max() < LOW and np.any(vectors):
        raise DataError(
            f"{named(Path(bval))} has b-values of no weighted volume",
            expected="s/mm², such as 1000",
            found=f"{values.max():g} at most, beside vectors with a direction",
            mend="where they are in ms/µm², multiply them by 1000",
        )
    vectors = _unit(vectors.T, values, name, said)
    directions = from_fsl(vectors, affine) if convention == "fsl" else vectors
    table = GradientTable(values, directions, tuple(said))
    if count_directions(table) < 6:
        raise _few(name, count_directions(table))
    if not table.b0.any():
        lowest = values.min()
        note = f"no volume without weighting: the lowest b is {lowest:g} s/mm²"
        table = GradientTable(values, directions, (*said, note))
    return table


def count_directions(table: GradientTable) -> int:
    """Different directions among the weighted volumes; opposite ones are the same."""
    different: list[Array] = []
    for one in table.directions[~table.b0]:
        if all(abs(one @ other) < _ALIKE for other in different):
            different.append(one)
    return len(different)


def require_shells(table: GradientTable, count: int, what: str) -> None:
    """Refuse a table with fewer shells than a method needs.

    Raises
    ------
    DataError
    """
    if len(table.shells) < count:
        found = ", ".join(f"b = {b:.0f}" for b in table.shells) or "none"
        raise DataError(
            f"{what} needs more shells",
            expected=f"{count} or more, {_SHELL:.0f} s/mm² apart",
            found=found,
            mend="take a method for one shell, such as the tensor, or another series",
        )


def write_gradients(
    table: GradientTable, affine: Array, bval: str | Path, bvec: str | Path
) -> None:
    """Write a table in FSL's convention for a file with this affine."""
    vectors = to_fsl(table.directions, affine) + 0.0  # no minus before a zero
    write_text(bval, " ".join(f"{value:g}" for value in table.bvals) + "\n")
    rows = [" ".join(f"{value:.6f}" for value in row) for row in vectors.T]
    write_text(bvec, "\n".join(rows).replace("-0.000000", "0.000000") + "\n")


def _unit(vectors: Array, values: Array, name: str, said: list[str]) -> Array:
    """Vectors of length 1 where there is weighting, 0 elsewhere."""
    low = values < LOW
    length = np.linalg.norm(np.nan_to_num(vectors), axis=1)
    lost = ~low & (~np.isfinite(vectors).all(1) | (length < 1e-3))
    if lost.any():
        first = int(np.flatnonzero(lost)[0])
        raise DataError(
            f"{name} has no direction for volumes that are weighted",
            expected="a unit vector for each volume with b of 50 s/mm² or more",
            found=f"{lost.sum()} without one, the first volume {first} (from 0), "
            f"b = {values[first]:g}",
            mend="leave such volumes (traces, means) out of the series and its table",
        )
    if (low & (length > 1e-3)).any():
        said.append(
            f"{name}: {int((low & (length > 1e-3)).sum())} volumes below b = {LOW:g} have a "
            "direction: ignored"
        )
    wrong = ~low & (abs(length - 1) > _UNIT)
    if wrong.any():
        said.append(
            f"{name}: {int(wrong.sum())} vectors are {length[wrong].min():.3g} to "
            f"{length[wrong].max():.3g} long: made 1; if b is meant to go with the squared length, "
            "as on some scanners, multiply the b-values first"
        )
    return np.where(low[:, None], 0.0, np.nan_to_num(vectors) / np.maximum(length, 1e-9)[:, None])


def _numbers(path: str | Path) -> Array:
    place = Path(path)
    if not str(path) or not place.is_file():
        raise DataError(
            f"{named(place)} is missing",
            expected="the table of the series' gradients beside it",
            mend="convert the DICOM series with dcm2niix, which writes .bval and .bvec",
        )
    try:
        lines = place.read_text(encoding="utf-8-sig").replace(",", " ").splitlines()
        return np.array(
            [[float(x) for x in line.split()] for line in lines if line.strip()], ndmin=2
        )
    except ValueError as error:
        raise DataError(
            f"{named(place)} is no table of numbers",
            expected="rows of equally many numbers",
            found=" ".join(str(error).split())[:120],
            mend="convert the series again, such as by dcm2niix",
        ) from error


def _count(name: str, found: str, volumes: int) -> DataError:
    return DataError(
        f"{name} does not belong to this series",
        expected=f"one for each of its {volumes} volumes",
        found=found,
        mend="take the table that was converted with the series; where volumes were left out, "
        "leave theirs out of the table",
    )


def _few(name: str, count: int) -> DataError:
    return DataError(
        f"{name} has too few directions for a tensor",
        expected="6 or more that differ",
        found=str(count),
        mend="take the whole series, not its means or traces",
    )
