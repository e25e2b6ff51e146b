"""Where T1, diffusion and template lie in one another, and whether they are of one person."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nextaim_kit import data
from nextaim_kit.data.cohort.loading import no_twin
from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.definitions import (
    AC,
    BOX_SHAPE,
    PC,
    SideName,
    box_affine,
)
from nextaim_kit.studies.thalamus_tractography.diffusion import Prepared, Steps, prepare
from nextaim_kit.studies.thalamus_tractography.layouts import load_subjects
from nextaim_kit.studies.thalamus_tractography.series import (
    read_map,
    read_on_grid,
    read_reversed,
    read_series,
)
from nextaim_kit.studies.thalamus_tractography.space import (
    apply,
    grid,
    register,
    rotation_of,
    sample,
)
from nextaim_kit.studies.thalamus_tractography.tensor import Tensors
from nextaim_kit.studies.thalamus_tractography.truth import read_truth

Matrix = NDArray[np.floating]
Template = tuple[NDArray[np.float32], Matrix]
_ALL = Steps()
ALIKE = 0.25  # of `likeness`, from which T1 and diffusion are taken to be of one person
_LEVELS = 12  # of each of two images, that a third is told from
_SEEN = 3.0  # mm of the largest voxel in which the folds of one person differ from another's
_WIDE, _BESIDE = 12.0, 4.0  # mm: of what is no detail, and of what is another place
_CUBE, _FILLED = 30.0, 0.15  # mm of a part of the brain, and how much of it is brain at least
_TEMPLATE = 2  # mm


@dataclass(frozen=True)
class Frame:
    """AC-PC: mm to the right, front and head from the middle between both commissures.

    Attributes
    ----------
    middle : array of shape (3,)
        In mm of an image.
    axes : array of shape (3, 3)
        Rows: unit vectors to the right, front (from PC to AC) and head.
    length : float
        mm from AC to PC.
    """

    middle: NDArray[np.float64]
    axes: NDArray[np.float64]
    length: float

    @classmethod
    def of(cls, ac: NDArray, pc: NDArray, right: NDArray) -> Frame:
        """From both commissures in mm, and a direction roughly to the right.

        Examples
        --------
        >>> ac, pc, right = np.array([[0.0, 2, -4], [0, -24, -4], [1, 0, 0]])
        >>> Frame.of(ac, pc, right).coordinates(np.array([-14.0, -16, -4])).tolist()
        [-14.0, -5.0, 0.0]
        """
        front = (ac - pc) / np.linalg.norm(ac - pc)
        across = right - front * (right @ front)
        across = across / np.linalg.norm(across)
        axes = np.stack([across, front, np.cross(across, front)])
        return cls((ac + pc) / 2, axes, float(np.linalg.norm(ac - pc)))

    def coordinates(self, points: NDArray) -> NDArray[np.float64]:
        """Points in mm of the image, in the frame."""
        return (points - self.middle) @ self.axes.T

    @property
    def ends(self) -> dict[str, NDArray[np.float64]]:
        """AC and PC by name, in mm of the image."""
        half = self.axes[1] * self.length / 2
        return {"AC": self.middle + half, "PC": self.middle - half}

    def place(self, coordinates: NDArray) -> NDArray[np.float64]:
        """The inverse of `coordinates`."""
        return np.asarray(coordinates) @ self.axes + self.middle


@dataclass(frozen=True)
class Diffusion:
    """What is needed of a prepared series, on its grid."""

    b0: NDArray[np.float32]
    mask: NDArray[np.bool_]
    tensors: Tensors
    affine: Matrix
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, made: Prepared) -> Diffusion:
        """That of a series that `diffusion.prepare` made ready."""
        return cls(made.b0, made.mask, made.tensors, made.series.affine, made.notes)


@dataclass(frozen=True)
class PlacedHead:
    """T1 and diffusion of one person.

    Attributes
    ----------
    subject : str
    t1 : array of shape (x, y, z)
    t1_affine : array of shape (4, 4)
    diffusion : Diffusion
    t1_to_dwi, t1_to_template : array of shape (4, 4)
        From mm to mm: rigid, and affine.
    alike : float
        See `likeness`.
    read : dict of str to array of shape (3,)
        AC and PC in mm of T1, where a person has read them.
    thalamus : array of bool, optional
        On the diffusion's grid, where a mask is taken that the subject came with.
    seconds : dict of str to float
        That it took: ``prepared`` and ``registered``.
    """

    subject: str
    t1: NDArray
    t1_affine: Matrix
    diffusion: Diffusion
    t1_to_dwi: Matrix
    t1_to_template: Matrix
    alike: float
    read: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    thalamus: NDArray[np.bool_] | None = None
    seconds: dict[str, float] = field(default_factory=dict, compare=False)

    @property
    def box_to_t1(self) -> Matrix:
        """From mm of the template's box to mm of T1, without stretching: a head keeps its size.

        Turned as the affine registration says, about the middle between both boxes.
        """
        back = np.linalg.inv(self.t1_to_template)
        middle = grid(BOX_SHAPE, box_affine()).reshape(-1, 3).mean(0) * [0, 1, 1]
        matrix = np.eye(4)
        matrix[:3, :3] = rotation_of(back)
        matrix[:3, 3] = apply(back, middle) - matrix[:3, :3] @ middle
        return matrix

    @property
    def box_to_dwi(self) -> Matrix:
        """From mm of the template's box to mm of the diffusion series, rigid."""
        return self.t1_to_dwi @ self.box_to_t1

    def t1_upon(self, t1_to_dwi: Matrix) -> NDArray[np.float32]:
        """T1 on the diffusion's grid, if it lay as a matrix says."""
        points = grid(self.diffusion.mask.shape, self.diffusion.affine)
        return sample(self.t1, self.t1_affine, apply(np.linalg.inv(t1_to_dwi), points))

    def likeness_at(self, t1_to_dwi: Matrix) -> float:
        """`likeness`, if T1 lay as a matrix says."""
        return likeness(self.t1, self.t1_affine, self.diffusion, np.linalg.inv(t1_to_dwi))

    @property
    def frame(self) -> Frame:
        """AC-PC in mm of T1: as a person read them, else a guide, by the template's."""
        back = np.linalg.inv(self.t1_to_template)
        ends = {"AC": apply(back, np.array(AC)), "PC": apply(back, np.array(PC))} | self.read
        return Frame.of(ends["AC"], ends["PC"], self.box_to_t1[:3, 0])


@dataclass(frozen=True)
class PlacedCohort:
    """Subjects of `layouts.load_subjects`, those that were placed, and why others were not."""

    table: pd.DataFrame
    found: list[PlacedHead]
    failures: pd.DataFrame

    @property
    def heads(self) -> pd.DataFrame:
        """As a table of ``subject`` and ``head``, for `data.each`."""
        heads = pd.Series(self.found, dtype=object)
        return pd.DataFrame({"subject": [one.subject for one in self.found], "head": heads})

    def row(self, subject: str) -> dict[str, Any]:
        """Of the table."""
        row = self.table[self.table["subject"] == subject].iloc[0]
        return {str(name): value for name, value in row.items()}


def place_cohort(
    spec: str, steps: Steps = _ALL, *, twin: Callable[[], pd.DataFrame] = no_twin,
    like: Template | None = None, given: SideName | None = None, least: int = 1,
) -> PlacedCohort:  # fmt: skip
    """Place every subject of a cohort, one after another; see `place_head`.

    Raises
    ------
    DataError
        If it can be done for fewer than `least`.
    """
    table = load_subjects(spec, twin=twin)
    done = data.each(table, place_head, steps=steps, like=like, given=given, workers=1,
                     progress="placed")  # fmt: skip
    failures = pd.concat([data.problems(table), done.failures])
    if len(done.results) < least:
        raise DataError(
            "no subject can be planned",
            expected="T1 and a diffusion series of one person",
            found="; ".join(failures["problem"].head(3)),
            mend="mend what the first problem names",
        )
    return PlacedCohort(table, done.results, failures)


def place_head(
    row: Mapping[str, Any], steps: Steps = _ALL, like: Template | None = None,
    given: SideName | None = None,
) -> PlacedHead:  # fmt: skip
    """Read a subject of `layouts.load_subjects`, prepare its series, and register its T1.

    Parameters
    ----------
    row : mapping
    steps : Steps
        Of the preparation.
    like : (array of shape (x, y, z), affine), optional
        T1 of a head in the space of the box; by default `template`.
    given : {"left", "right"}, optional
        Whose thalamus is taken from the mask that the subject comes with.

    Raises
    ------
    DataError
        If there is no T1, it is of another person than the diffusion series, or there is no mask.
    """
    if row["kind"] != "series" or not row.get("t1"):
        raise DataError(
            f"{row['subject']} cannot be planned",
            expected="T1 and a diffusion series of one person",
            found="no T1" if not row.get("t1") else "peaks without their series",
            mend="name the T1, NIfTI or a folder of DICOM, in the column t1 of a cohort.csv",
        )
    began = time.perf_counter()
    series = read_series(row)
    found = Diffusion.of(prepare(series, read_reversed(row, series), steps))
    prepared = time.perf_counter()
    head = place_t1(row, found, like)
    spent = {"prepared": prepared - began, "registered": time.perf_counter() - prepared}
    mask = given_thalamus(row, given, found) if given else None
    return replace(head, thalamus=mask, seconds=spent)


def given_thalamus(
    row: Mapping[str, Any], side: SideName, diffusion: Diffusion
) -> NDArray[np.bool_]:
    """The mask of a thalamus that a subject comes with, on the diffusion's grid: a twin's is true.

    Raises
    ------
    DataError
        If there is none, or it lies elsewhere.
    """
    if row.get("truth"):
        return read_truth(row["truth"]).thalamus == 1 + (side == "right")
    path = row.get(f"thalamus_{side}")
    if not path:
        raise DataError(
            f"{row['subject']} comes without a mask of the {side} thalamus",
            expected=f"a column thalamus_{side} in a cohort.csv: a mask on the diffusion's grid",
            mend="name it there, or let the networks find the thalamus",
        )
    return read_on_grid(path, diffusion.affine, diffusion.mask.shape, "the diffusion") > 0.5


def place_t1(
    row: Mapping[str, Any], diffusion: Diffusion, like: Template | None = None
) -> PlacedHead:
    """Read the T1 of a subject whose series is prepared, and register it; see `place_head`."""
    head = placed(str(row["subject"]), *read_map(row["t1"]), diffusion, like)
    return replace(head, read=commissures(row))


def commissures(row: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """AC and PC of a row whose columns ``ac`` and ``pc`` have three numbers each, in mm of T1."""
    told = {name: str(row.get(name.lower()) or "").replace(",", " ") for name in ("AC", "PC")}
    if not any(text.strip() for text in told.values()):
        return {}
    try:
        found = {
            name: np.array([float(one) for one in text.split()]) for name, text in told.items()
        }
    except ValueError:
        found = {}
    if any(at.shape != (3,) for at in found.values()) or len(found) < len(told):
        raise DataError(
            f"AC and PC of {row['subject']} are no places",
            expected="three numbers in each of the columns ac and pc: mm to the right, front, head",
            found="; ".join(f"{name} {text!r}" for name, text in told.items()),
        )
    return found


def placed(
    subject: str, t1: NDArray, affine: Matrix, diffusion: Diffusion, like: Template | None = None
) -> PlacedHead:
    """Register a T1 to a prepared series (rigid) and to a template (affine); see `place_head`."""
    t1_to_dwi, alike = to_diffusion(t1, affine, diffusion)
    coarse = float(np.linalg.norm(diffusion.affine[:3, :3], axis=0).max())
    notes = diffusion.notes
    if coarse > _SEEN:
        notes += (f"voxels of {coarse:.1f} mm: whether T1 is of the same person was not checked",)
    elif alike < ALIKE:
        raise DataError(
            f"T1 and diffusion of {subject} do not fit together",
            expected=f"a likeness of {ALIKE:g} or more once they are registered",
            found=f"{alike:.2f}, as of two people, or of a registration that failed",
            mend="see whether both are of one person and show the same part of the head",
        )
    points = apply(t1_to_dwi, grid(t1.shape, affine))
    inside = sample(diffusion.mask, diffusion.affine, points) > 0.5
    to_template = register(t1, affine, *(like or template()), mask=inside, kind="affine")
    return PlacedHead(subject, t1, affine, replace(diffusion, notes=notes), t1_to_dwi, to_template,
                      alike)  # fmt: skip


def template() -> Template:
    """T1 of the template, the mean of 152 heads in MNI space (nilearn's), and its affine."""
    from nilearn.datasets import load_mni152_template

    image = load_mni152_template(resolution=_TEMPLATE)
    return np.asarray(image.dataobj, np.float32), np.asarray(image.affine, float)


def to_diffusion(t1: NDArray, affine: Matrix, diffusion: Diffusion) -> tuple[Matrix, float]:
    """Register a T1 to a series: from its mm to the series', rigid, and their `likeness`."""
    still = 1e3 * diffusion.tensors.md  # unlike b0, no coil makes it brighter here or there
    found = register(still, diffusion.affine, t1, affine, mask=diffusion.mask)
    return np.linalg.inv(found), likeness(t1, affine, diffusion, found)


def likeness(t1: NDArray, affine: Matrix, diffusion: Diffusion, dwi_to_t1: Matrix) -> float:
    """In how much of the brain diffusion fits T1 best right here, and not 4 mm beside.

    MD and FA of a voxel tell what T1 is there, as far as tissue goes (as in a correlation ratio
    [1]_). The folds of one person fit in most parts of the brain at once; those of another fit
    here or there, elsewhere in each part.

    Parameters
    ----------
    t1 : array of shape (x, y, z)
    affine : array of shape (4, 4)
    diffusion : Diffusion
    dwi_to_t1 : array of shape (4, 4)
        Where the points of the series lie in T1, mm to mm.

    Returns
    -------
    float
        Share of the cubes of 30 mm in which T1 moved by 4 mm to any of six sides is told worse.

    References
    ----------
    .. [1] Roche et al. 1998, https://doi.org/10.1007/BFb0056301
    """
    mask, spacing = diffusion.mask, np.linalg.norm(diffusion.affine[:3, :3], axis=0)
    blur = 0.5 * spacing.min() / np.linalg.norm(affine[:3, :3], axis=0)
    fine = gaussian_filter(np.asarray(t1, np.float32), blur)
    told = [_leveled(one[mask]) for one in (diffusion.tensors.md, diffusion.tensors.fa)]
    cell, points = told[0] * _LEVELS + told[1], grid(mask.shape, diffusion.affine)
    cubes = ((points[mask] - points[mask].min(0)) // _CUBE).astype(int)
    _, part, size = np.unique(cubes, axis=0, return_inverse=True, return_counts=True)
    part, whole = part.ravel(), size * spacing.prod() > _FILLED * _CUBE**3
    points = apply(dwi_to_t1, points)

    def missed(shift: NDArray) -> NDArray[np.float64]:
        seen = _detail(sample(fine, affine, points + shift), mask, _WIDE / spacing)
        count = np.maximum(np.bincount(cell, minlength=_LEVELS**2), 1)
        mean = np.bincount(cell, seen, _LEVELS**2) / count
        return np.bincount(part, (seen - mean[cell]) ** 2)[whole]

    beside = np.min([missed(_BESIDE * way) for way in (*np.eye(3), *-np.eye(3))], 0)
    return float((missed(np.zeros(3)) < beside).mean()) if whole.any() else 0.0


def _detail(values: NDArray, mask: NDArray[np.bool_], sigma: NDArray) -> NDArray[np.float64]:
    """Values over their smooth mean in the mask: without what coils make brighter or darker."""
    near = gaussian_filter(mask.astype(np.float64), sigma)
    mean = gaussian_filter(np.where(mask, values, 0).astype(np.float64), sigma) / (near + 1e-6)
    return values[mask] / np.maximum(mean[mask], 1e-6)


def _leveled(values: NDArray) -> NDArray[np.intp]:
    """As many levels, equally frequent."""
    return np.digitize(values, np.quantile(values, np.arange(1, _LEVELS) / _LEVELS))
