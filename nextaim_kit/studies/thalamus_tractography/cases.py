"""A subject in the box around one thalamus: images, and the maps that a network should find."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit import data
from nextaim_kit.data.cohort.loading import no_twin
from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography import layouts
from nextaim_kit.studies.thalamus_tractography.channels import (
    boxed,
    boxed_tensors,
    require_inside,
)
from nextaim_kit.studies.thalamus_tractography.definitions import (
    BOX_SHAPE,
    TARGETS,
    SideName,
    box_affine,
)
from nextaim_kit.studies.thalamus_tractography.reference import Source, Tracking, track_subject
from nextaim_kit.studies.thalamus_tractography.series import (
    read_channels,
    read_map,
    read_series,
)
from nextaim_kit.studies.thalamus_tractography.tensor import Tensors, fit_tensors
from nextaim_kit.studies.thalamus_tractography.tracking import Walk
from nextaim_kit.studies.thalamus_tractography.truth import Truth, read_truth

_LEAST = 3  # subjects
HEAD = "head_"  # begins the names of columns that are of the series which is tracked
_STILL = np.eye(4)
# Of the template: where there is no truth, T1 has been brought to it.
_POINTS = {"AC": (0.0, 2.0, -4.0), "PC": (0.0, -25.0, -2.0)}


@dataclass(frozen=True)
class Case:
    """One thalamus. What is of a right one is mirrored, so that it looks like a left one.

    Attributes
    ----------
    subject, site : str
    side : {"left", "right"}
    t1 : array of shape (38, 60, 48)
    tensors : Tensors
        Of the same shape, turned and mirrored with the head.
    thalamus : array of bool
        By the reference: of the twin the truth.
    labels : array of shape (38, 60, 48, 6), or None
        Connectivity as tracking finds it, in the order of `definitions.TARGETS`: what is learned.
    truth : array of the same shape, or None
        Connectivity as it is.
    points : dict of str to array of shape (3,)
        AC and PC in mm, mirrored alike.
    """

    subject: str
    site: str
    side: SideName
    t1: NDArray[np.float32]
    tensors: Tensors
    thalamus: NDArray[np.bool_]
    labels: NDArray[np.float32] | None
    truth: NDArray[np.float32] | None
    points: dict[str, NDArray[np.floating]]


def streamlines(source: Source, per_voxel: int) -> Tracking:
    """How a reference is tracked, with so many streamlines launched in each voxel."""
    return Tracking(source, Walk(per_voxel=per_voxel))


def with_heads(boxes: pd.DataFrame, heads: pd.DataFrame) -> pd.DataFrame:
    """The twin's boxes, each beside the series of the same head that is tracked."""
    return boxes.merge(heads.add_prefix(HEAD), left_on="subject", right_on=f"{HEAD}subject")


def load_subjects(spec: str, twin: Callable[[], pd.DataFrame] = no_twin) -> pd.DataFrame:
    """The rows of a cohort, as `layouts.load_subjects` has them."""
    return layouts.load_subjects(spec, twin=twin)


def read_cases(
    table: pd.DataFrame,
    how: Tracking | None,
    *,
    side: SideName = "left",
    workers: int | None = None,
    least: int = 1,
) -> tuple[list[Case], pd.DataFrame]:
    """Read every subject; who cannot be read is named in the second table.

    Parameters
    ----------
    table : DataFrame
        ``subject``, ``site``, ``t1``, ``dwi``, ``bval``, ``bvec``, as `layouts.load_subjects` has
        them, in template space. ``thalamus_left`` or ``thalamus_right``, a mask, and ``maps``, an
        image of six channels, unless the subject is the twin's, with what `with_heads` adds.
    how : Tracking, optional
        Of subjects without ``maps``. Without it they are compared with a truth alone.
    side : {"left", "right"}
    workers : int, optional
        As of `data.each`.
    least : int
        Subjects that are needed.

    Raises
    ------
    DataError
        If fewer can be read.
    """
    found = data.each(table, read_case, how=how, side=side, workers=workers, progress="read")
    failures = pd.concat([data.problems(table), found.failures], ignore_index=True)
    if len(found.results) < least:
        raise DataError(
            "no subject can be looked at in the box",
            expected="T1, diffusion, a mask of the thalamus and maps, in template space",
            found="; ".join(failures["problem"].head(2)),
            mend="mend what the first problem names",
        )
    return found.results, failures


def read_case(row: Mapping[str, Any], *, how: Tracking | None, side: SideName = "left") -> Case:
    """Read a subject; see `read_cases`.

    Raises
    ------
    DataError
        If there is no T1, mask or reference, or an image does not hold the box.
    """
    if not row.get("t1"):
        raise DataError(
            "there is no T1", expected="an image in which the thalamus can be found",
            mend="name it in the column t1 of a cohort.csv",
        )  # fmt: skip
    truth = read_truth(row["truth"]) if row.get("truth") else None
    t1, place = read_map(row["t1"])
    require_box(t1.shape, place, side, "T1")
    series = read_series(row)
    require_box(series.values.shape, series.affine, side, "the series")
    tensors = fit_tensors(series.values, series.bvals, series.directions, series.b0 > 0)
    thalamus = _thalamus(row, side, truth)
    require_inside(thalamus)
    known = in_box(truth.connectivity, truth.affine, side) if truth else None
    points = truth.points if truth else {name: np.array(at) for name, at in _POINTS.items()}
    turn = np.array([1 if side == "left" else -1, 1, 1])
    return Case(
        row["subject"], row.get("site") or "unknown", side, boxed(t1, place, _STILL, side),
        boxed_tensors(tensors, series.affine, _STILL, side), thalamus,
        labels_of(row, how, side=side) if how else None, known,
        {name: turn * points[name] for name in ("AC", "PC")},
    )  # fmt: skip


def learned_of(cases: Sequence[Case]) -> list[NDArray[np.float32]]:
    """The maps of cases to learn from.

    Raises
    ------
    DataError
        If one has none.
    """
    found = [case.labels for case in cases if case.labels is not None]
    if len(found) < len(cases):
        raise DataError("there are subjects without maps to learn from", mend="track them first")
    return found


def divided(cases: Sequence[Case], *, seed: int) -> tuple[list[Case], list[Case], list[Case]]:
    """Subjects to train on, a tenth to choose the epoch by, and two fifths to test on.

    Raises
    ------
    DataError
        If there are fewer than three.
    """
    if len(cases) < _LEAST:
        raise DataError(
            "there are too few subjects to train and to test on",
            expected=f"{_LEAST} or more", found=str(len(cases)),
            mend="give networks= of an earlier run, which are tested without training",
        )  # fmt: skip
    order = np.random.default_rng(seed).permutation(len(cases))
    ends = np.cumsum([max(1, round(share * len(cases))) for share in (0.4, 0.1)])
    test, val, first = ([cases[k] for k in part] for part in np.split(order, ends))
    return first, val, test


def labels_of(
    row: Mapping[str, Any], how: Tracking, *, side: SideName = "left", seed: int = 1
) -> NDArray[np.float32]:
    """Connectivity in the box as tracking finds it, shape (38, 60, 48, 6); 0 outside the thalamus.

    Parameters
    ----------
    row : mapping
        With ``maps``, or with what `with_heads` adds, which is tracked.
    how : Tracking
    side : {"left", "right"}
    seed : int
        Of the streamlines, and of the noise of directions that come from a truth: a rescan.

    Raises
    ------
    DataError
        If there is neither.
    """
    truth = read_truth(row["truth"]) if row.get("truth") else None
    inside = _thalamus(row, side, truth)[..., None]
    if row.get("maps"):
        maps, affine = read_channels(row["maps"])
        if maps.shape[-1] != len(TARGETS):
            raise DataError(
                "the maps are not those of the six targets", expected=", ".join(TARGETS),
                found=f"{maps.shape[-1]} channels",
            )  # fmt: skip
        return in_box(maps, affine, side) * inside
    head = head_of(row)
    if not head:
        raise DataError(
            "there are no maps of connectivity to compare with",
            expected="a column maps: an image of six channels, in template space",
            mend="track the subject first (the notebook tracking), and name its maps",
        )
    found = track_subject(head, how, side=side, seed=seed)
    if found.names != TARGETS:
        raise DataError(
            "the targets that were tracked are not those of the networks",
            expected=", ".join(TARGETS), found=", ".join(found.names),
        )  # fmt: skip
    return in_box(found.maps, found.affine, side, found.thalamus) * inside


def tracked(
    table: pd.DataFrame, how: Tracking, *, seed: int = 1, workers: int | None = None
) -> list[NDArray[np.float32]]:
    """`labels_of` the left thalami of several subjects.

    Raises
    ------
    DataError
        If one cannot be tracked: they are to be compared subject by subject.
    """
    done = data.each(table, labels_of, how=how, seed=seed, workers=workers, progress="tracked")
    if len(done.failures):
        raise DataError(
            f"{done.failures['subject'].iloc[0]} could not be tracked again",
            found=str(done.failures["problem"].iloc[0]),
        )
    return done.results


def head_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the series that is tracked, as `with_heads` put it into another one."""
    return {name.removeprefix(HEAD): value for name, value in row.items() if name.startswith(HEAD)}


def in_box(
    maps: NDArray, affine: NDArray, side: SideName, within: NDArray | None = None
) -> NDArray[np.float32]:
    """Maps in the box; at the border of `within`, nothing is mixed in from outside of it."""
    found = [boxed(one, affine, _STILL, side) for one in np.moveaxis(maps, -1, 0)]
    if within is None:
        return np.stack(found, -1)
    share = boxed(within.astype(np.float32), affine, _STILL, side)
    return (np.stack(found, -1) / np.maximum(share, 0.1)[..., None]).astype(np.float32)


def _thalamus(row: Mapping[str, Any], side: SideName, truth: Truth | None) -> NDArray[np.bool_]:
    given = row.get(f"thalamus_{side}")
    if given:
        return boxed(*read_map(given), _STILL, side) > 0.5
    if truth is None:
        raise DataError(
            f"there is no mask of the {side} thalamus",
            expected=f"an image in the column thalamus_{side}",
        )
    label = 1 if side == "left" else 2
    return boxed((truth.thalamus == label).astype(np.float32), truth.affine, _STILL, side) > 0.5


def require_box(shape: tuple[int, ...], affine: NDArray, side: SideName, what: str) -> None:
    """Refuse an image that does not hold the box whole: outside of it all would be 0.

    Raises
    ------
    DataError
    """
    ends = np.array(np.meshgrid(*((0, n - 1) for n in BOX_SHAPE), indexing="ij")).reshape(3, -1)
    corners = box_affine(side)[:3, :3] @ ends + box_affine(side)[:3, 3:]
    places = np.linalg.inv(affine) @ np.vstack([corners, np.ones(corners.shape[1])])
    beyond = np.maximum(-places[:3], places[:3] - np.array(shape[:3])[:, None] + 1).max()
    if beyond > 1:
        raise DataError(
            f"{what} does not hold the box around the {side} thalamus",
            expected="an image in template space (mm of MNI)",
            found=f"one that ends {beyond:.0f} voxels before it",
            mend="bring T1 and diffusion to the template first; the diffusion's vectors turn too",
        )
