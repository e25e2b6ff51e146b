"""What is known of a synthetic subject: read here, so that measures need no twin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.tensor import Tensors

Array = NDArray[np.floating]
# In every voxel of the head that gives a signal; the others are 0.
PACKED = ("tissue", "parcels", "thalamus", "bundles", "brain", "directions", "fractions", "tensor",
          "connectivity")  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """The head at rest, without distortion and noise, on the grid of its diffusion series.

    Vectors and matrices are in mm and to the right, front and head.

    Attributes
    ----------
    affine : array of shape (4, 4)
    brain : array of shape (x, y, z), bool
    thalamus : array of shape (x, y, z), uint8
        1 in the left one, 2 in the right one.
    tissue : array of shape (x, y, z), uint8
        Labels of `definitions.TISSUES`.
    parcels : array of shape (x, y, z), uint8
        Cortex: 1 to 6 as in `definitions.TARGETS`, + 10 in the right hemisphere.
    directions : array of shape (x, y, z, 3, 3), float32
        Unit vectors of up to three kinds of fibers, of whatever sign: ``[..., fiber, axis]``.
    fractions : array of shape (x, y, z, 3), float32
        Share of each in the voxel.
    tensor : array of shape (x, y, z, 6), float32
        Dxx, Dxy, Dyy, Dxz, Dyz, Dzz in mm²/s that fit the signal without noise (b up to 1500).
    connectivity : array of shape (x, y, z, 6), float32
        Share of the fibers in a voxel of the thalamus, which begin there or pass through it, that
        go to each target.
    bundles : array of shape (x, y, z), uint16
        Bit k is set where ``definitions.BUNDLES[k]`` runs.
    field : array of shape (x, y, z), float32
        mm by which what lies at y is seen further in front in a series of phase ``j``, and
        further behind in one of phase ``j-``.
    motion : array of shape (volumes, 4, 4)
        The head's mm to the scanner's.
    eddy : array of shape (volumes, 4)
        Further shift along y in mm: at the center of the grid, and per mm of x, y, z from there.
    t1_to_dwi : array of shape (4, 4)
        mm of T1 to those of the head.
    thalamus_t1 : array of shape (x, y, z), uint8
        As `thalamus`, on the grid of T1.
    points : dict of str to array of shape (3,)
        AC, PC, vim_left, vim_right.
    fibers : dict of str to list of arrays of shape (k, 3)
        Some of each bundle.
    """

    affine: Array
    brain: NDArray[np.bool_]
    thalamus: NDArray[np.uint8]
    tissue: NDArray[np.uint8]
    parcels: NDArray[np.uint8]
    directions: Array
    fractions: Array
    tensor: Array
    connectivity: Array
    bundles: NDArray[np.uint16]
    field: Array
    motion: Array
    eddy: Array
    t1_to_dwi: Array
    thalamus_t1: NDArray[np.uint8]
    points: dict[str, Array]
    fibers: dict[str, list[Array]]

    @cached_property
    def tensors(self) -> Tensors:
        """The tensor with what is read off it."""
        return Tensors(self.tensor)

    @property
    def md(self) -> Array:
        """Mean diffusivity in mm²/s, shape (x, y, z)."""
        return self.tensors.md

    @property
    def fa(self) -> Array:
        """Fractional anisotropy, shape (x, y, z); 0 where there is no tensor."""
        return self.tensors.fa

    @property
    def principal(self) -> Array:
        """Direction of the tensor's longest axis, shape (x, y, z, 3), of whatever sign."""
        return self.tensors.direction


def read_truth(path: str | Path) -> Truth:
    """Read what the twin wrote beside a subject.

    Raises
    ------
    DataError
        If there is none, as beside real subjects.
    """
    if not str(path) or not Path(path).is_file():
        raise DataError(
            "no truth is known of this subject",
            expected="a synthetic subject",
            mend="measure against the truth on cohort='synthetic' only",
        )
    with np.load(path) as file:
        held = {name: file[name] for name in file.files}
    whole = {name: _unpacked(held[name], held["where"]) for name in PACKED}
    names = [str(name) for name in held["bundle_names"]]
    parts = np.split(held["lines"].astype(np.float32), np.cumsum(held["line_lengths"])[:-1])
    fibers: dict[str, list[Array]] = {name: [] for name in names}
    for bundle, part in zip(held["line_bundles"], parts, strict=True):
        fibers[names[bundle]].append(part)
    points = dict(zip(map(str, held["point_names"]), held["points"], strict=True))
    rest = {k: held[k] for k in ("affine", "motion", "eddy", "t1_to_dwi", "thalamus_t1")}
    whole["tensor"] *= np.float32(1e-3)  # stored in µm²/ms, which half precision holds
    field = held["field"].astype(np.float32)
    return Truth(**whole, **rest, field=field, points=points, fibers=fibers)


def _unpacked(values: NDArray, where: NDArray) -> NDArray:
    kind = np.float32 if values.dtype == np.float16 else values.dtype
    found = np.zeros((*where.shape, *values.shape[1:]), kind)
    found[where] = values
    return found
