"""The synthetic twin: heads of two scanners with everything known about them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit import data
from nextaim_kit.errors import RequestError
from nextaim_kit.files import atomic_path, write_text
from nextaim_kit.progress import Progress
from nextaim_kit.studies.thalamus_tractography import definitions, gradient_table
from nextaim_kit.studies.thalamus_tractography.gradient_table import GradientTable, write_gradients
from nextaim_kit.studies.thalamus_tractography.phantom import (
    anatomy,
    bundles,
    head,
    scanner,
    signal,
)
from nextaim_kit.studies.thalamus_tractography.phantom.anatomy import KINDS, Side
from nextaim_kit.studies.thalamus_tractography.phantom.head import Extent, Grid, Head
from nextaim_kit.studies.thalamus_tractography.phantom.scanner import SCANNERS, Directions
from nextaim_kit.twins.noise import smooth_noise
from nextaim_kit.twins.twin import Twin, Who

Array = NDArray[np.floating]
SUBJECTS = 200  # of each scanner at most
_FILES = {
    "t1": "_T1w.nii.gz", "dwi": "_dwi.nii.gz", "bval": "_dwi.bval", "bvec": "_dwi.bvec",
    "json": "_dwi.json", "reversed": "_dir-reversed_epi.nii.gz", "truth": "_truth.npz",
}  # fmt: skip
_T1_EDGE = 0.8  # of that of diffusion; in boxes they are one


@dataclass(frozen=True)
class Scan:
    """How heads are scanned. The head itself does not depend on it.

    Attributes
    ----------
    extent : {"hemisphere", "head", "box", "right_box"}
        The left hemisphere with what crosses the middle, both, or the box around one thalamus in
        1 mm, where T1 and diffusion lie on one grid as after preprocessing: still, undistorted.
    edge : float
        mm of a voxel of diffusion, other than in boxes.
    directions : {"clinical", "three_shells"}
        32 at b = 1000, or 30 at each of 1000, 2000 and 3000.
    motion, distortion, eddy : float
        Motion in mm and degrees (standard deviation at the end), the largest shift by
        susceptibility and a typical one by eddy currents in mm; 0 for none.
    snr : float
        Of white matter without weighting; 0 stands for the scanner's own.
    axes : {"", "RAS", "LAS"}
        How files are ordered; the scanner's own if not said.
    """

    extent: Extent = "hemisphere"
    edge: float = 2.5
    directions: Directions = "clinical"
    motion: float = 1.0
    distortion: float = 5.0
    eddy: float = 1.0
    snr: float = 0.0
    axes: Literal["", "RAS", "LAS"] = ""

    @property
    def prepared(self) -> bool:
        """Whether it is a box after preprocessing."""
        return self.extent in ("box", "right_box")

    @property
    def still(self) -> bool:
        """Whether nothing moves."""
        return self.prepared or not (self.motion or self.distortion or self.eddy)


@dataclass(frozen=True)
class Subject:
    """A head before it is scanned."""

    name: str
    site: str
    sides: tuple[Side, Side] = field(repr=False)


def make_twin(
    n: int = 24,
    *,
    scan: Scan = Scan(),
    sites: Sequence[str] = tuple(SCANNERS),
    seed: int = 2026,
    workers: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Make the twin's subjects, or take those that are in the cache already.

    Parameters
    ----------
    n : int
        As many of each site. A head is the same whatever `n` and `scan`.
    scan : Scan
    sites : sequence of {"north", "south"}
        Scanners.
    seed : int
    workers, progress
        As for `Twin.make`.

    Returns
    -------
    DataFrame
        ``subject``, ``site``, ``kind`` (series), ``atrophy`` (mm), ``snr``, and the paths ``t1``,
        ``dwi``, ``bval``, ``bvec``, ``json``, ``reversed`` (volumes without weighting of the
        opposite phase encoding; empty in boxes) and ``truth`` (`truth.read_truth`).

    Raises
    ------
    RequestError
        If an option cannot be.
    """
    table = twin(scan, sites, seed=seed).make(n, workers=workers, progress=progress)
    return table.assign(reversed="") if scan.prepared else table


def template() -> tuple[NDArray[np.float32], Array]:
    """T1 of the head that all others are bent from, and its affine: what they are registered to.

    Whole, in voxels of 3 mm; real heads have that of `placing.template`.
    """
    return cast(tuple[NDArray[np.float32], Array], data.cached(_template, version=2))


def _template() -> tuple[NDArray[np.float32], Array]:
    grid, side = head.grid_of("head", 3.0), anatomy.typical_side()
    tissue = head.tissues((side, side), grid.points.astype(np.float32), grid.edge)
    bright = np.array([SCANNERS["north"].t1[kind] for kind in KINDS], np.float32)
    return (tissue @ bright).reshape(grid.shape).astype(np.float32), grid.affine


def twin(scan: Scan = Scan(), sites: Sequence[str] = tuple(SCANNERS), *, seed: int = 2026) -> Twin:
    """The subjects of some scanners."""
    if not sites or not set(sites) <= set(SCANNERS):
        raise RequestError("no such scanners", expected=", ".join(SCANNERS), found=repr(sites))
    if scan.directions not in scanner.SHELLS or not 1.5 <= scan.edge <= 5:
        raise RequestError(
            "such a scan cannot be made",
            expected=f"directions {' or '.join(scanner.SHELLS)}, an edge of 1.5 to 5 mm",
            found=f"{scan.directions}, {scan.edge:g} mm",
        )
    files = {k: v for k, v in _FILES.items() if k != "reversed" or not scan.prepared}
    return Twin(
        "thalamus_tractography", {name: (SUBJECTS,) for name in sites}, partial(_draw, scan=scan),
        partial(_write, scan=scan), files, seed, labels=(None,), least=1, what="synthetic heads",
        sources=[anatomy, bundles, definitions, gradient_table, head, scanner, signal],
    )  # fmt: skip


def _draw(who: Who, rng: np.random.Generator, *, scan: Scan) -> tuple[dict[str, Any], Subject]:
    sides = anatomy.draw_person(np.random.default_rng(rng.integers(1 << 32)))
    snr = scan.snr or SCANNERS[who.site].snr
    row = {"kind": "series", "atrophy": round(sides[0].atrophy, 2), "snr": snr}
    return row, Subject(who.subject, who.site, sides)


def _write(
    subject: Subject, rng: np.random.Generator, paths: Mapping[str, Path], *, scan: Scan
) -> None:
    grid = head.grid_of(scan.extent, scan.edge)
    known = head.build(subject.sides, grid, np.random.default_rng(rng.integers(1 << 32)))
    bvals, vectors = scanner.gradient_table(scan.directions)
    moves = _moves(grid, bvals, vectors, scan, SCANNERS[subject.site].warp, rng)
    t1_to_dwi = np.eye(4) if scan.prepared else scanner.motion(2, 4.0, rng)[1]
    t1_grid = grid if scan.prepared else head.grid_of(scan.extent, _T1_EDGE * scan.edge)
    axes = scan.axes or SCANNERS[subject.site].axes
    thalamus = _write_t1(subject, t1_grid, t1_to_dwi, axes, rng, paths["t1"])
    tensor = _write_series(subject, known, moves, scan, axes, rng, paths)
    _write_truth(subject, known, moves, tensor, (t1_to_dwi, thalamus), paths["truth"])


@dataclass(frozen=True)
class _Moves:
    bvals: Array
    vectors: Array
    field: Array
    motion: Array
    eddy: Array


def _moves(
    grid: Grid, bvals: Array, vectors: Array, scan: Scan, warp: float, rng: np.random.Generator
) -> _Moves:
    still = 0.0 if scan.prepared else 1.0
    points = grid.points.reshape(*grid.shape, 3)
    field = still * scanner.susceptibility(points, warp * scan.distortion, rng)
    motion = scanner.motion(len(bvals), still * scan.motion, rng)
    return _Moves(
        bvals, vectors, field, motion, scanner.eddy(bvals, vectors, still * scan.eddy, rng)
    )


def _write_series(
    subject: Subject, known: Head, moves: _Moves, scan: Scan, axes: str, rng: np.random.Generator,
    paths: Mapping[str, Path],
) -> Array:  # fmt: skip
    """The series, its tables and its reversed pair; gives the tensor of the still signal."""
    from scipy.ndimage import binary_dilation

    grid, own = known.grid, SCANNERS[subject.site]
    gain = own.gain * _shading(grid, own.shading, rng)
    sd = own.gain / (scan.snr or own.snr)
    points = (grid.points - grid.points.mean(0)).reshape(*grid.shape, 3)

    def scanned(b: float, vector: Array, v: int, way: float) -> Array:
        still = np.zeros(grid.shape, np.float32)
        turned = vector @ moves.motion[v][:3, :3]
        still[known.there] = gain[known.there] * signal.signal_of(known.medium, b, turned)
        if not scan.still:
            shift, jacobian = pull[way]
            shift = shift + moves.eddy[v][0] + points @ moves.eddy[v][1:]
            still = scanner.seen(still, grid.affine, moves.motion[v], shift, near)
            still *= jacobian - moves.eddy[v][2]
        return np.rint(scanner.noisy(still, sd, rng)).astype(np.int16)

    near = binary_dilation(known.there, iterations=4)
    pull = {way: scanner.pulled(way * moves.field, grid.edge) for way in (1.0, -1.0)}
    volumes = [scanned(b, g, v, 1.0) for v, (b, g) in enumerate(
        zip(moves.bvals, moves.vectors, strict=True))]  # fmt: skip
    affine = _saved(np.stack(volumes, -1), grid.affine, axes, paths["dwi"])
    table = GradientTable(moves.bvals, moves.vectors)
    write_gradients(table, affine, paths["bval"], paths["bvec"])
    says = {"Manufacturer": f"synthetic {subject.site}", "PhaseEncodingDirection": "j",
            "TotalReadoutTime": 0.05, "Synthetic": True}  # fmt: skip
    write_text(paths["json"], json.dumps(says, indent=1) + "\n")
    if "reversed" in paths:
        pair = [scanned(0.0, np.zeros(3), 0, -1.0) for _ in range(2)]
        _saved(np.stack(pair, -1), grid.affine, axes, paths["reversed"])
    clean = [signal.signal_of(known.medium, b, g) for b, g in zip(
        moves.bvals, moves.vectors, strict=True)]  # fmt: skip
    return signal.tensor_of(np.stack(clean, 1), moves.bvals, moves.vectors)


def _write_t1(
    subject: Subject, grid: Grid, to_head: Array, axes: str, rng: np.random.Generator, path: Path
) -> NDArray[np.uint8]:
    """T1 in its own place; gives the labels of the thalami there."""
    own = SCANNERS[subject.site]
    points = (grid.points @ to_head[:3, :3].T + to_head[:3, 3]).astype(np.float32)
    tissue = head.tissues(subject.sides, points, grid.edge)
    bright = tissue @ np.array([own.t1[kind] for kind in KINDS], np.float32)
    shading = _shading(grid, own.shading, rng)
    values = scanner.noisy(bright.reshape(grid.shape) * shading, own.t1["white"] / 30, rng)
    _saved(np.rint(values).astype(np.int16), grid.affine, axes, path)
    whole = tissue[:, KINDS.index("thalamus")] > 0.5
    return (whole * np.where(points[:, 0] < 0, 1, 2)).astype(np.uint8).reshape(grid.shape)


def _shading(grid: Grid, size: float, rng: np.random.Generator) -> Array:
    """How bright the scanner is in each voxel, over the whole head as uneven as `size`."""
    whole = grid.edge * max(grid.shape) / 150  # a box is but a part of it
    return 1 + size * min(1.0, whole) * smooth_noise(grid.shape, 40 / grid.edge, rng)


def _saved(values: NDArray, affine: Array, axes: str, path: Path) -> Array:
    """Write an array of RAS in the order that is asked for; gives the file's affine."""
    import nibabel

    if axes == "LAS":
        flip = np.diag([-1.0, 1, 1, 1])
        flip[0, 3] = values.shape[0] - 1
        values, affine = values[::-1], affine @ flip
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    with atomic_path(path) as unfinished:
        nibabel.save(image, unfinished)
    return affine


def _write_truth(
    subject: Subject,
    known: Head,
    moves: _Moves,
    tensor: Array,
    t1: tuple[Array, NDArray[np.uint8]],
    path: Path,
) -> None:
    grid, kinds = known.grid, known.tissue
    groups = np.stack([kinds[:, :3].sum(1), *kinds[:, 3:].T], 1)
    flat = {
        "tissue": groups.argmax(1).astype(np.uint8), "brain": groups[:, 0] < 0.5,
        "parcels": known.parcels, "thalamus": known.thalamus, "bundles": known.inside,
        "directions": known.medium.directions.astype(np.float16),
        "fractions": known.medium.shares.astype(np.float16),
        "tensor": (tensor * 1e3).astype(np.float16),
        "connectivity": known.connectivity.astype(np.float16),
    }  # fmt: skip
    lines = [(k, line) for k, of in enumerate(known.fibers.values()) for line in of]
    places = head.marks(subject.sides)
    held = flat | {
        "where": known.there, "affine": grid.affine, "motion": moves.motion,
        "field": moves.field.astype(np.float16), "eddy": moves.eddy, "t1_to_dwi": t1[0],
        "thalamus_t1": t1[1], "bundle_names": np.array(list(known.fibers)),
        "lines": np.concatenate([line for _, line in lines]).astype(np.float16),
        "line_lengths": np.array([len(line) for _, line in lines]),
        "line_bundles": np.array([k for k, _ in lines]),
        "point_names": np.array(list(places)), "points": np.stack(list(places.values())),
    }  # fmt: skip
    with atomic_path(path) as unfinished, unfinished.open("wb") as stream:
        np.savez(stream, **held)
