"""What is known of a subject's fibers, whether a series was given or what TractSeg made of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit import data
from nextaim_kit.data.cohort.loading import no_twin
from nextaim_kit.data.images.volumes import stored_size
from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.accuracy import errors, found_against_truth
from nextaim_kit.studies.thalamus_tractography.coherence import Coherence, fiber_coherence, turns
from nextaim_kit.studies.thalamus_tractography.diffusion import Prepared, Steps, stages
from nextaim_kit.studies.thalamus_tractography.gradient_table import from_fsl, to_fsl
from nextaim_kit.studies.thalamus_tractography.layouts import load_subjects
from nextaim_kit.studies.thalamus_tractography.series import (
    Series,
    read_on_grid,
    read_peaks,
    read_reversed,
    read_series,
)
from nextaim_kit.studies.thalamus_tractography.tensor import Tensors, fit_tensors
from nextaim_kit.studies.thalamus_tractography.truth import Truth, read_truth

_ALL = Steps()
_SMALL = 4_000_000  # values in all, below which starting processes takes longer than the work
_PEAK = 0.1  # length below which a peak is none


@dataclass(frozen=True)
class Fibers:
    """FA and the main direction in each voxel, and how far they can be trusted.

    Attributes
    ----------
    subject : str
    fa : array of shape (x, y, z)
    direction : array of shape (x, y, z, 3)
        To the patient's right, front and head.
    mask : array of bool
        The brain.
    affine : array of shape (4, 4)
    coherence : Coherence
        Of the gradient table, in FSL's frame; of TractSeg's peaks, in the frame of their file.
    steps : DataFrame
        Errors after each step, where there is a truth: ``step``, then those of `accuracy.errors`.
    against_truth : dict
        Of field, motion and brain, where there is a truth.
    notes : tuple of str
    made : Prepared or None
        The series itself, where it was asked for.
    """

    subject: str
    fa: NDArray[np.float32]
    direction: NDArray[np.float32]
    mask: NDArray[np.bool_]
    affine: NDArray[np.floating]
    coherence: Coherence
    steps: pd.DataFrame
    against_truth: dict[str, float]
    notes: tuple[str, ...]
    made: Prepared | None = None


@dataclass(frozen=True)
class Cohort:
    """Subjects whose fibers were found.

    Attributes
    ----------
    table : DataFrame
        Of `layouts.load_subjects`.
    found : list of Fibers
        The first one with its whole series, if it has one.
    failures : DataFrame
        ``subject``, ``problem``: who was left out, and why.
    """

    table: pd.DataFrame
    found: list[Fibers]
    failures: pd.DataFrame

    def truth(self, subject: str) -> Truth:
        """What is known of a synthetic subject."""
        return read_truth(self.table.set_index("subject")["truth"][subject])

    @property
    def errors(self) -> pd.DataFrame:
        """Errors after each step of all who have a truth: ``subject``, ``step``, and numbers."""
        told = [one.steps for one in self.found if one.steps.size]
        return pd.concat(told) if told else pd.DataFrame(columns=["subject", "step"])

    @property
    def checks(self) -> pd.DataFrame:
        """What can be said of each subject without a truth: of its table first."""
        return pd.DataFrame(
            {
                "subject": one.subject, "verdict": one.coherence.verdict,
                "best": one.coherence.best, "score": max(one.coherence.scores.values()),
                "seeds": one.coherence.seeds,
                "fa_of_fibers": float(one.fa[one.mask & (one.fa > 0.25)].mean()),
                "fibers": float((one.fa > 0.25)[one.mask].mean()), "notes": "; ".join(one.notes),
            }
            for one in self.found
        )  # fmt: skip


def prepare_cohort(
    spec: str, steps: Steps = _ALL, *, twin: Callable[[], pd.DataFrame] = no_twin
) -> Cohort:
    """Find the fibers of every subject of a cohort; see `layouts.load_subjects` and `fibers_of`.

    Raises
    ------
    DataError
        If it can be done for none.
    """
    table = load_subjects(spec, twin=twin)
    paths = table["peaks"].where(table["peaks"] != "", table["dwi"])
    small = sum(stored_size(Path(path))[0] for path in paths) < _SMALL
    done = data.each(table, fibers_of, whole=table["subject"].iloc[0], steps=steps,
                     progress="prepared", memory=_memory, workers=1 if small else None)  # fmt: skip
    failures = pd.concat([data.problems(table), done.failures])
    if not done.results:
        raise DataError(
            "no subject's fibers could be found",
            expected="a diffusion series or peaks that can be read",
            found="; ".join(failures["problem"].head(3)),
            mend="mend what the first problem names",
        )
    first, *others = done.results
    if first.made is None and first.subject != table["subject"].iloc[0]:  # that one failed
        row = table[table["subject"] == first.subject].iloc[0].to_dict()
        first = fibers_of(row, whole=first.subject, steps=steps)
    return Cohort(table, [first, *others], failures)


def _memory(row: Mapping[str, Any]) -> int:
    """A series is held about eight times: raw, denoised, at rest, and in what is fitted."""
    return 8 * 4 * stored_size(Path(row["peaks"] or row["dwi"]))[0] + (200 << 20)


def fibers_of(row: Mapping[str, Any], *, whole: str = "", steps: Steps = _ALL) -> Fibers:
    """Read a subject of `layouts.load_subjects`, and find its fibers.

    Parameters
    ----------
    row : mapping
    whole : str
        The subject of whom the whole prepared series is kept.
    steps : Steps
    """
    if row["kind"] == "peaks":
        return _of_peaks(row)
    series = read_series(row)
    reverse = read_reversed(row, series)
    truth = read_truth(row["truth"]) if row.get("truth") else None
    told = []
    for name, made in stages(series, reverse, steps):
        if truth:
            told.append({"subject": row["subject"], "step": name} | errors(made.tensors, truth))
    tensors = made.tensors
    return Fibers(
        row["subject"], tensors.fa.astype(np.float32), tensors.direction.astype(np.float32),
        made.mask, series.affine, _check(made, tensors, made.mask), pd.DataFrame(told),
        found_against_truth(made, truth) if truth else {}, made.notes,
        made if row["subject"] == whole else None,
    )  # fmt: skip


def _of_peaks(row: Mapping[str, Any]) -> Fibers:
    peaks, affine = read_peaks(row["peaks"])
    length = np.linalg.norm(peaks[..., 0, :], axis=-1)
    direction = peaks[..., 0, :] / np.maximum(length, 1e-6)[..., None]
    where = (affine, length.shape, "the peaks")
    fa = read_on_grid(row["fa"], *where) if row["fa"] else length
    mask = read_on_grid(row["mask"], *where) > 0 if row["mask"] else length > 0
    notes = [] if row["fa"] else ["no FA was given: the length of the first peak stands for it"]
    # To the patient's right, front and head, as MRtrix has peaks: no turn of it may fit better.
    checked = fiber_coherence(direction, fa, mask & (length > _PEAK), _edges(affine))
    return Fibers(
        row["subject"], fa, direction, mask, affine, checked, pd.DataFrame(), {}, tuple(notes)
    )


def _edges(affine: NDArray) -> NDArray[np.float64]:
    return np.linalg.norm(affine[:3, :3], axis=0)


def unprepared(made: Prepared, series: Series | None = None) -> Tensors:
    """Tensors of a series as the scanner gave it, in the same brain."""
    series = series or made.series
    return fit_tensors(series.values, series.bvals, series.directions, made.mask)


def spoiled(made: Prepared, name: str) -> Prepared:
    """The series with a table that is turned so that the turn `name` mends it (`turns`)."""
    series = made.series
    wrong = to_fsl(series.directions, series.affine) @ turns()[name]
    table = replace(series.table, directions=from_fsl(wrong, series.affine))
    return replace(made, series=replace(series, table=table))


def checked(made: Prepared, least_fa: float = 0.25) -> Coherence:
    """Fit again where there are fibers, and see whether the table is right.

    FA does not depend on how a table is turned, so that of a fit before says where to look.
    """
    where = made.mask & (made.tensors.fa >= least_fa)
    tensors = fit_tensors(made.data, made.series.bvals, made.directions, where)
    return _check(made, tensors, where)


def _check(made: Prepared, tensors: Tensors, where: NDArray) -> Coherence:
    """In FSL's frame, whose x runs against that of an array in RAS."""
    affine = made.series.affine
    along = to_fsl(tensors.direction.reshape(-1, 3), affine).reshape(tensors.direction.shape)
    return fiber_coherence(along, tensors.fa, where, _edges(affine) * [-1, 1, 1])
