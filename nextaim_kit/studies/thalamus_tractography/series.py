"""Diffusion series and maps as they lie on disks: all handed over in RAS, in mm.

Whatever the order of a file's axes, arrays here go to the patient's right, front and head, and so
do vectors. A mirrored or turned file then cannot be mistaken for another.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nextaim_kit.data.images.dicom import named
from nextaim_kit.data.images.image_4d import Image4D, read_image_4d
from nextaim_kit.data.images.reading import read_image
from nextaim_kit.errors import DataError, gathered_warnings
from nextaim_kit.files import require_file
from nextaim_kit.studies.thalamus_tractography.gradient_table import (
    Convention,
    GradientTable,
    axes_of,
    read_gradients,
    require_shells,
)

Array = NDArray[np.floating]
_OBLIQUE = 1.0  # degrees between a grid's axes and the patient's that are worth a word
_SKEW = 0.5  # degrees off right angles that are too many
_NONE = 0.5  # share of voxels without a value that is too much


@dataclass(frozen=True)
class Series:
    """A diffusion series.

    Attributes
    ----------
    values : array of shape (x, y, z, v), float32
        To the patient's right, front and head.
    affine : array of shape (4, 4)
        Of `values`, to mm.
    table : GradientTable
    phase : str
        Along which axis of `values` phase is encoded, ``j`` (to the front) or ``j-`` and the
        like; ``j?`` where the sign is not told, empty where nothing is.
    warnings : tuple of str
        What was found and mended, or may be wrong.
    lost : tuple of int
        Volumes of the file that hold no signal and are left out, counted from 0.
    """

    values: NDArray[np.float32]
    affine: Array
    table: GradientTable
    phase: str = ""
    warnings: tuple[str, ...] = ()
    lost: tuple[int, ...] = ()

    @property
    def bvals(self) -> Array:
        """In s/mm², shape (v,)."""
        return self.table.bvals

    @property
    def directions(self) -> Array:
        """Unit vectors to the patient's right, front and head, shape (v, 3)."""
        return self.table.directions

    @property
    def voxel_directions(self) -> Array:
        """The same along the axes of `values`, as dipy wants them, shape (v, 3)."""
        return self.directions @ axes_of(self.affine)

    @property
    def spacing(self) -> Array:
        """Edges of a voxel in mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def b0(self) -> NDArray[np.float32]:
        """Mean of the volumes without weighting, or of the lowest b, shape (x, y, z)."""
        low = self.table.b0 if self.table.b0.any() else self.bvals == self.bvals.min()
        return self.values[..., low].mean(-1)


def read_series(
    row: Mapping[str, Any], *, shells: int = 1, convention: Convention = "fsl"
) -> Series:
    """Read a diffusion series with its table.

    Parameters
    ----------
    row : mapping
        Paths: ``dwi``, ``bval``, ``bvec``, and perhaps ``json``, its sidecar of BIDS.
    shells : int
        How many the method needs.
    convention : {"fsl", "scanner"}
        Of the vectors.

    Returns
    -------
    Series
        Its warnings name an oblique grid, a qform unlike the sform, voxels without a value (taken
        as 0), volumes without any signal (left out), and what `read_gradients` found.

    Raises
    ------
    DataError
        If the file has other than four axes, is sheared, or if the table does not belong to it.
    """
    path = Path(str(row["dwi"]))
    values, affine, stored, said = _volumes(path)
    table = read_gradients(
        row["bval"], row["bvec"], stored, volumes=values.shape[-1], convention=convention
    )
    lost = tuple(k for k in range(values.shape[-1]) if not values[..., k].any())
    if len(lost) == values.shape[-1]:
        raise DataError(f"{named(path)} is empty", expected="a signal in its volumes", found="0",
                        mend="convert or export the series again")  # fmt: skip
    if lost:
        gone = ", ".join(str(k) for k in lost[:10])
        said.append(
            f"{named(path)}: {len(lost)} of {values.shape[-1]} volumes hold no signal and are "
            f"left out: {gone}, counted from 0"
        )
        values, table = np.delete(values, lost, -1), table.without(lost)
    require_shells(table, shells, "this method")
    phase, doubts = _phase(row.get("json") or "", stored)
    return Series(values, affine, table, phase, (*said, *table.warnings, *doubts), lost)


def read_reversed(row: Mapping[str, Any], series: Series) -> Series | None:
    """The volumes of opposite phase encoding that a row names, if any.

    Their table is ``reversed_bval`` and ``reversed_bvec``, or that of volumes without weighting.

    Raises
    ------
    DataError
        If they do not lie on the grid of the series.
    """
    if not row.get("reversed"):
        return None
    path = Path(str(row["reversed"]))
    values, affine, stored, said = _volumes(path, least=3)
    same = values.shape[:3] == series.values.shape[:3]
    if not same or not np.allclose(affine, series.affine, atol=0.05):
        raise DataError(
            f"{named(path)} does not lie on the grid of its series",
            expected=f"size {series.values.shape[:3]} and the same place",
            found=f"size {values.shape[:3]}" + ("" if not same else ", in another place"),
            mend="name the volumes that were scanned with the series, or leave the pair out",
        )
    volumes = values.shape[-1]
    if row.get("reversed_bval"):
        table = read_gradients(row["reversed_bval"], row["reversed_bvec"], stored, volumes=volumes)
    else:
        table = GradientTable(np.zeros(volumes), np.zeros((volumes, 3)))
    turned = {"j": "j-", "j-": "j", "i": "i-", "i-": "i"}.get(series.phase, series.phase)
    return Series(values, affine, table, turned, (*said, *table.warnings))


def read_map(path: str | Path) -> tuple[Array, Array]:
    """One volume, such as T1, FA or a mask: values (x, y, z) in RAS, and their affine to mm.

    Raises
    ------
    DataError
        As `read_image`, and if values are missing (NaN) in more than half of it; fewer become 0
        with a warning.
    """
    image = sitk.DICOMOrient(read_image(path), "RAS")
    values = sitk.GetArrayFromImage(image).T
    turn = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine = np.eye(4)
    affine[:3] = np.diag([-1, -1, 1]) @ np.c_[turn, image.GetOrigin()]  # from LPS
    empty = np.isnan(values) if values.dtype.kind == "f" else np.zeros(1, bool)
    for note in _missing(int(empty.sum()), values.size, Path(path)):
        warnings.warn(note, stacklevel=2)
    return np.nan_to_num(values, nan=0.0) if empty.any() else values, affine


def read_on_grid(path: str | Path, affine: Array, shape: tuple[int, ...], what: str) -> Array:
    """One volume, which has to lie on a known grid; `what` lies there.

    Raises
    ------
    DataError
        As `read_map`, or if its size or place is another.
    """
    values, place = read_map(path)
    if values.shape != shape or not np.allclose(place, affine, atol=0.05):
        raise DataError(
            f"{named(Path(path))} does not lie on the grid of {what}",
            expected=f"size {shape} and the same place",
            found=f"size {values.shape}" + (", in another place" if values.shape == shape else ""),
            mend=f"give the file that was made with {what}, or resample it to that grid",
        )
    return values


def read_channels(path: str | Path) -> tuple[Array, Array]:
    """Several volumes that are no diffusion series: values (x, y, z, channel) in RAS, and affine.

    Voxels without a value (NaN) become 0.
    """
    image = _timeless(path)
    return _in_ras(image.values, image.affine)


def read_peaks(
    path: str | Path, *, frame: Literal["patient", "voxel"] = "patient"
) -> tuple[Array, Array]:
    """Directions of fibers as MRtrix and TractSeg keep them, nine numbers a voxel.

    Parameters
    ----------
    path : str or Path
    frame : {"patient", "voxel"}
        What the numbers count along: to the patient's right, front and head, as MRtrix has it, or
        along the axes of the file. A program that follows the first through voxels whose first
        axis goes to the left, as in TractSeg's files, has to flip x; here nobody has to.

    Returns
    -------
    peaks : array of shape (x, y, z, 3, 3)
        ``[..., peak, axis]``, to the patient's right, front and head; the length is the peak's
        height; 0, never NaN, where there is none.
    affine : array of shape (4, 4)

    Raises
    ------
    DataError
        If there are other than nine numbers a voxel.
    """
    image = _timeless(path)
    if image.values.shape[-1] != 9:
        raise DataError(
            f"{named(Path(path))} holds no peaks",
            expected="9 volumes: three directions of three numbers",
            found=f"{image.values.shape[-1]}",
            mend="give peaks.nii.gz as MRtrix' sh2peaks or TractSeg writes it",
        )
    values, affine = _in_ras(image.values.astype(np.float32), image.affine)
    peaks = values.reshape(*values.shape[:3], 3, 3)
    return (peaks if frame == "patient" else peaks @ axes_of(image.affine).T), affine


def _volumes(path: Path, least: int = 4) -> tuple[NDArray[np.float32], Array, Array, list[str]]:
    """Values and affine in RAS, the affine as stored, and what was found."""
    with gathered_warnings() as said:
        if least == 3 and _axes(path) == 3:
            flat, affine = read_map(path)
            values, stored, missing = flat[..., None], affine, 0
        else:
            image = read_image_4d(path, nan=0.0)
            values, affine = _in_ras(image.values, image.affine)
            stored, missing = image.affine, image.missing
    # The time between volumes means nothing here.
    notes = [note for note in said if "time" not in note]
    notes += [*_upright(stored, path), *_missing(missing, values.size, path)]
    return np.ascontiguousarray(values, np.float32), affine, stored, notes


def _timeless(path: str | Path) -> Image4D:
    """Volumes that are no series in time, which their header need not tell."""
    with gathered_warnings() as said:
        image = read_image_4d(path, nan=0.0)
    for note in said:
        if "time" not in note:
            warnings.warn(note, stacklevel=3)
    return image


def _axes(path: Path) -> int:
    import nibabel

    try:
        require_file(path)
        image: Any = nibabel.load(path)
        return len(image.shape)
    except Exception:  # a damaged file can make the parser raise anything; its reader says it
        return 0


def _in_ras(values: NDArray, affine: Array) -> tuple[NDArray, Array]:
    """Axes of an array exchanged and reversed so that they go most to the right, front and head."""
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    order = io_orientation(affine)
    return apply_orientation(values, order), affine @ inv_ornt_aff(order, values.shape[:3])


def _upright(affine: Array, path: Path) -> list[str]:
    edges = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    skew = float(np.degrees(np.arcsin(np.abs(np.triu(edges.T @ edges, 1)).max().clip(0, 1))))
    if skew > _SKEW:
        raise DataError(
            f"{named(path)} is sheared: its axes are not at right angles",
            expected=f"axes within {_SKEW:g} degrees of right angles",
            found=f"{skew:.2g} degrees off, as after an affine registration",
            mend="take the series as it was scanned: gradients have no meaning on a sheared grid",
        )
    off = float(np.degrees(np.arccos(np.abs(axes_of(affine)).max(0).min().clip(-1, 1))))
    if off <= _OBLIQUE:
        return []
    return [f"{path.name}: oblique by {off:.0f} degrees; directions are turned to the patient's"]


def _missing(count: int, size: int, path: Path) -> list[str]:
    if count > _NONE * size:
        raise DataError(
            f"{named(path)} has hardly any values",
            expected="numbers in most voxels",
            found=f"{100 * count / size:.0f} % NaN",
            mend="export it again; what wrote it may have failed",
        )
    return [f"{path.name}: {100 * count / size:.2g} % of the values are NaN: taken as 0"] * (
        count > 0
    )


def _phase(sidecar: str | Path, affine: Array) -> tuple[str, list[str]]:
    """Phase encoding along the axes of RAS, told by BIDS along those of the file."""
    from nibabel.orientations import io_orientation

    if not sidecar or not Path(sidecar).is_file():
        return "", ["no sidecar (.json): the direction of phase encoding is not known"]
    try:
        says = json.loads(Path(sidecar).read_text(encoding="utf-8"))
    except ValueError as error:
        return "", [f"{Path(sidecar).name} is damaged: {str(error)[:80]}"]
    told = str(says.get("PhaseEncodingDirection") or says.get("PhaseEncodingAxis") or "")
    if told[:1] not in ("i", "j", "k"):
        return "", [f"{Path(sidecar).name} does not say along which axis phase is encoded"]
    axis, turn = io_orientation(affine)["ijk".index(told[0])]
    letter = "ijk"[int(axis)]
    if "PhaseEncodingDirection" not in says:
        return letter + "?", [f"{Path(sidecar).name} says phase {letter}, but not its sign"]
    return letter + ("-" if (turn < 0) != told.endswith("-") else ""), []
