"""The reference: maps of a thalamus' connections, by tracking, of a synthetic or real subject."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit import data
from nextaim_kit.data.cohort.loading import no_twin
from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography import orientations
from nextaim_kit.studies.thalamus_tractography.accuracy import direction_error
from nextaim_kit.studies.thalamus_tractography.definitions import SideName
from nextaim_kit.studies.thalamus_tractography.diffusion import Steps, prepare
from nextaim_kit.studies.thalamus_tractography.layouts import load_subjects
from nextaim_kit.studies.thalamus_tractography.orientations import Orientations
from nextaim_kit.studies.thalamus_tractography.regions import (
    beyond_midline,
    regions_of,
    require_known,
    require_whole,
)
from nextaim_kit.studies.thalamus_tractography.series import (
    read_on_grid,
    read_peaks,
    read_reversed,
    read_series,
)
from nextaim_kit.studies.thalamus_tractography.tracking import Streamlines, Walk, track
from nextaim_kit.studies.thalamus_tractography.truth import Truth, read_truth

Source = Literal["directions", "tensor", "deconvolution", "peaks"]
VERSION = 3  # of what is kept: changed when the tracking finds something else
_LEAST_PEAK = 0.1  # length below which a peak is none
_LEAST_SHARE = 0.08  # of a voxel's fibers, below which no method finds them
_FILES = ("dwi", "bval", "bvec", "json", "reversed", "reversed_bval", "reversed_bvec", "truth",
          "peaks", "fa", "mask", "endings", "thalamus_left", "thalamus_right")  # fmt: skip


@dataclass(frozen=True)
class Tracking:
    """Along what streamlines go, and how.

    Attributes
    ----------
    source : {"directions", "tensor", "deconvolution", "peaks"}
        True directions of a synthetic subject with an error like that of a measured series
        ("noisy truth"); the tensor or the deconvolution of its prepared series; peaks that were
        given with it, such as TractSeg's.
    walk : Walk
    error : float
        Median angle in degrees by which true directions are turned, for "directions".
    steps : Steps
        How a series is prepared.
    stay : bool
        Whether streamlines that cross into the other hemisphere are thrown away, and count as
        lost.
    """

    source: Source = "directions"
    walk: Walk = field(default_factory=Walk)
    error: float = 8.0
    steps: Steps = field(default_factory=Steps)
    stay: bool = False


@dataclass(frozen=True)
class Reference(Streamlines):
    """The connections of one thalamus: its streamlines, and where they were tracked.

    ``names`` are `definitions.TARGETS` of a synthetic subject, those of TractSeg's endings of one
    with peaks; `maps`, `shares` and the rest are those of `Streamlines`.

    Attributes
    ----------
    subject : str
    side : {"left", "right"}
    affine : array of shape (4, 4)
        Of the diffusion's grid, to mm.
    anatomy : array of shape (x, y, z), float32
        FA, to draw upon.
    seconds, prepared_seconds : float
        What the tracking took, and before it what made the fiber directions.
    direction_error : float
        Degrees by which the likeliest directions are off (`accuracy.direction_error`), NaN where
        there is no truth.
    notes : tuple of str
        What was left out or may be wrong.
    """

    subject: str
    side: SideName
    affine: NDArray[np.floating]
    anatomy: NDArray[np.float32] = field(repr=False)
    seconds: float
    prepared_seconds: float
    direction_error: float
    notes: tuple[str, ...]

    @property
    def thalamus(self) -> NDArray[np.bool_]:
        """The seed."""
        return self.seed


@dataclass(frozen=True)
class Cohort:
    """Subjects whose thalamus was tracked: ``table`` of all, ``found``, and ``failures``."""

    table: pd.DataFrame
    found: list[Reference]
    failures: pd.DataFrame

    def truth(self, subject: str) -> Truth:
        """What is known of a synthetic subject."""
        return read_truth(self.table.set_index("subject")["truth"][subject])

    def row(self, subject: str) -> dict[str, Any]:
        """The paths of a subject, with those that are not there left out."""
        told = self.table.set_index("subject", drop=False).loc[subject].to_dict()
        return {str(name): value for name, value in told.items() if value != ""}

    def against(self, measure: Callable[[Reference, Truth], Any]) -> list[Any]:
        """What a measure says of each subject and what is known of it."""
        return [measure(one, self.truth(one.subject)) for one in self.found]

    @property
    def known(self) -> bool:
        """Whether there is a truth of them."""
        return bool((self.table["truth"] != "").all())


def track_cohort(
    spec: str | pd.DataFrame, how: Tracking = Tracking(), *, side: SideName = "left", seed: int = 1,
    twin: Callable[[], pd.DataFrame] = no_twin, workers: int | None = None,
) -> Cohort:  # fmt: skip
    """Track one thalamus of every subject of a cohort (`layouts.load_subjects`), several at once.

    Subjects with peaks are tracked along these, others as `how` says; real ones, without truth,
    by deconvolution in the place of true directions. `workers` is how many at once.

    Raises
    ------
    DataError
        If it can be done for none.
    """
    table = load_subjects(spec, twin=twin) if isinstance(spec, str) else spec
    done = data.each(table, track_subject, how=how, side=side, seed=seed, memory=_memory,
                     workers=workers, progress="tracked")  # fmt: skip
    failures = pd.concat([data.problems(table), done.failures])
    if not done.results:
        raise DataError(
            "no subject could be tracked",
            expected="fiber directions, a mask of the thalamus, and targets in the cortex",
            found="; ".join(failures["problem"].head(2)),
            mend="mend what the first problem names; `diffusion` needs neither mask nor targets",
        )
    return Cohort(table, done.results, failures)


def _memory(row: Mapping[str, Any]) -> int:
    return 2 << 30 if row["kind"] == "peaks" else 1200 << 20


def track_subject(
    row: Mapping[str, Any], how: Tracking = Tracking(), *, side: SideName = "left", seed: int = 1,
    workers: int | None = 1,
) -> Reference:  # fmt: skip
    """Track one thalamus of a subject, or take what was found before (`data.cached`).

    Parameters
    ----------
    row : mapping
        Of `layouts.load_subjects` or the twin.
    how : Tracking
    side : {"left", "right"}
    seed : int
        From 1 on: of the streamlines, and for "directions" of the error.
    workers : int, optional
        Processes, None for as many as there are cores; the maps do not depend on it.

    Raises
    ------
    DataError
        If the subject has no fiber directions of that kind, no mask of the thalamus or no
        targets, or they do not lie where the diffusion lies.
    """
    require_known(row, side)  # before minutes are spent on its series
    given = {"subject": str(row["subject"])}
    given |= {name: str(row[name]) for name in _FILES if row.get(name)}
    source = _source(row, how)
    told: dict[str, Any] = {"source": source, "walk": asdict(how.walk), "side": side, "seed": seed}
    told["stay"] = how.stay
    if source == "directions":
        told["error"] = how.error
    elif source != "peaks":
        told["steps"] = asdict(how.steps)

    def tracked(files: Mapping[str, str], **_: Any) -> Reference:
        return _tracked(files, replace(how, source=source), side, seed, workers)

    key = "tracked"  # what is found does not depend on the number of workers
    return data.cached(tracked, given, version=VERSION, key=key, **told)


def _source(row: Mapping[str, Any], how: Tracking) -> Source:
    if row.get("peaks"):
        return "peaks"
    real = not row.get("truth") and how.source in ("directions", "peaks")
    return "deconvolution" if real else how.source


def _tracked(
    files: Mapping[str, str], how: Tracking, side: SideName, seed: int, workers: int | None
) -> Reference:
    began = time.perf_counter()
    along, anatomy, notes = directions_of(files, how, seed)
    regions, said = regions_of(files, side, along.affine, anatomy.shape)
    require_whole(regions.seed, side)
    prepared = time.perf_counter() - began
    outside = regions.seed & ~along.inside
    if outside.any():
        said.append(f"{outside.sum()} of {regions.seed.sum()} voxels of the thalamus lie where no "
                    "streamline may go: none of theirs arrives")  # fmt: skip
    if how.stay:
        regions = replace(regions, excluded=beyond_midline(regions.seed, along.affine))
    found = track(along, regions, how.walk, seed=seed, workers=workers)
    seconds = time.perf_counter() - began - prepared
    truth = read_truth(files["truth"]) if "truth" in files else None
    off = direction_error(along, truth) if truth else float("nan")
    held = {one.name: getattr(found, one.name) for one in fields(found)}
    return Reference(**held, subject=files["subject"], side=side, affine=along.affine,
                     anatomy=anatomy, seconds=seconds, prepared_seconds=prepared,
                     direction_error=off, notes=(*notes, *said))  # fmt: skip


def directions_of(
    files: Mapping[str, str], how: Tracking, seed: int
) -> tuple[Orientations, NDArray[np.float32], list[str]]:
    """Where fibers go in a subject, its FA, and what is to be said of them.

    See `track_subject`, which uses it; `files` has the paths of a row that are not empty.
    """
    if how.source == "directions":
        truth = read_truth(files["truth"])
        rng = np.random.default_rng([seed, zlib.crc32(files["subject"].encode())])
        peaks, inside = noisy_peaks(truth, how.error, rng), truth.tissue >= 2
        return orientations.of_peaks(peaks, inside, truth.affine), truth.fa.astype(np.float32), []
    if how.source == "peaks":
        return _of_peaks(files)
    series = read_series(files)
    made = prepare(series, read_reversed(files, series), how.steps)
    along = {"tensor": orientations.of_tensors, "deconvolution": orientations.of_deconvolution}
    return along[how.source](made), made.tensors.fa.astype(np.float32), list(made.notes)


def _of_peaks(
    files: Mapping[str, str],
) -> tuple[Orientations, NDArray[np.float32], list[str]]:
    peaks, affine = read_peaks(files["peaks"])
    length, notes = np.linalg.norm(peaks[..., 0, :], axis=-1), []
    inside, fa = length > _LEAST_PEAK, length
    if "mask" in files:
        inside &= read_on_grid(files["mask"], affine, length.shape, "the peaks") > 0
    if "fa" in files:
        fa = read_on_grid(files["fa"], affine, length.shape, "the peaks")
    else:
        notes.append("no FA was given: the length of the first peak stands for it in pictures")
    return orientations.of_peaks(peaks, inside, affine), fa.astype(np.float32), notes


def noisy_peaks(truth: Truth, error: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """True fibers as peaks, each turned by chance, as noise turns those of a measured series.

    Fibers that have less than 8 % of a voxel are left out: no method finds them.

    Parameters
    ----------
    truth : Truth
    error : float
        Median angle in degrees.
    rng : Generator

    Returns
    -------
    array of shape (x, y, z, 3, 3)
        As `series.read_peaks` gives them; as long as the share of the voxel.
    """
    shares = np.where(truth.fractions >= _LEAST_SHARE, truth.fractions, 0)
    # Of two normal deviates across a direction, the median length is 1.177 times their spread.
    spread = np.tan(np.radians(error)) / np.sqrt(2 * np.log(2))
    off = rng.normal(0, spread, truth.directions.shape).astype(np.float32)
    off -= (off * truth.directions).sum(-1, keepdims=True) * truth.directions
    turned = truth.directions + off
    turned /= np.maximum(np.linalg.norm(turned, axis=-1, keepdims=True), 1e-6)
    return turned * shares[..., None]


def mirrored(
    row: Mapping[str, Any], how: Tracking, *, side: SideName = "left", seed: int = 1
) -> Streamlines:
    """What is found if x of each direction is taken the wrong way round: what can go wrong.

    So it is for peaks of TractSeg whose numbers are taken to be along the axes of their file.
    """
    flip = np.array([-1, 1, 1], np.float32)
    if row.get("peaks"):
        peaks, affine = read_peaks(row["peaks"])
        inside = _of_peaks({name: row[name] for name in ("peaks", "mask") if row.get(name)})[
            0
        ].inside
    else:
        truth = read_truth(row["truth"])
        peaks = noisy_peaks(truth, how.error, np.random.default_rng(seed))
        inside, affine = truth.tissue >= 2, truth.affine
    along = orientations.of_peaks(peaks * flip, inside, affine)
    regions, _ = regions_of(row, side, affine, inside.shape)
    return track(along, regions, how.walk, seed=seed)
