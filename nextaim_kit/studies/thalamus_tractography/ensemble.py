"""Networks that were each trained on half of some heads, so that every head is new to others."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray

from nextaim_kit import data
from nextaim_kit.errors import DataError
from nextaim_kit.learn.final import Seen
from nextaim_kit.machine.jobs import Job
from nextaim_kit.studies.thalamus_tractography.accuracy import placing_errors
from nextaim_kit.studies.thalamus_tractography.cases import Case, streamlines
from nextaim_kit.studies.thalamus_tractography.channels import boxed, unboxed
from nextaim_kit.studies.thalamus_tractography.comparison import (
    at_equal_agreement,
    mean_correlation,
)
from nextaim_kit.studies.thalamus_tractography.definitions import TARGETS, SideName
from nextaim_kit.studies.thalamus_tractography.diffusion import Steps, prepare
from nextaim_kit.studies.thalamus_tractography.orientations import of_deconvolution
from nextaim_kit.studies.thalamus_tractography.placing import (
    Diffusion,
    Frame,
    PlacedHead,
    Template,
    place_head,
    placed,
)
from nextaim_kit.studies.thalamus_tractography.planning import (
    Plan,
    Target,
    View,
    find_target,
    make_plan,
    target_in,
    views,
)
from nextaim_kit.studies.thalamus_tractography.reference import track_subject
from nextaim_kit.studies.thalamus_tractography.regions import regions_of
from nextaim_kit.studies.thalamus_tractography.series import read_map, read_reversed, read_series
from nextaim_kit.studies.thalamus_tractography.space import apply, grid
from nextaim_kit.studies.thalamus_tractography.targeting import (
    Networks,
    load_networks,
    save_networks,
)
from nextaim_kit.studies.thalamus_tractography.tensor import Tensors
from nextaim_kit.studies.thalamus_tractography.tracking import Regions, Walk, track
from nextaim_kit.studies.thalamus_tractography.training import Training, side_by_side
from nextaim_kit.studies.thalamus_tractography.truth import read_truth

# Which quarters of the heads a network is trained on: with two, four or six networks every head
# is new to half of them.
_HALVES = ((0, 1), (2, 3), (0, 2), (1, 3), (0, 3), (1, 2))
_QUARTERS = 4
STILL = Steps(denoise=False, distortion=False, motion="none", rotate=False)


@dataclass(frozen=True)
class Example:
    """A head with a left thalamus of which more is known than a plan needs.

    Attributes
    ----------
    case : Case
        To learn from.
    seen : list of View
    points : dict of str to array of shape (3,)
        In mm of the box: ``truth``, the middle of the true map; ``tracked``, that of the map by
        tracking; ``vim``, the nucleus; ``AC`` and ``PC`` as registration has them.
    errors : dict
        ``subject``, mm by which the registrations are wrong (`placing_errors`), and ``alike``, how
        well T1 fits (`placing.likeness`).
    """

    case: Case
    seen: list[View]
    points: dict[str, NDArray[np.float64]]
    errors: dict[str, Any]

    @property
    def frame(self) -> Frame:
        """AC-PC in mm of the box."""
        return Frame.of(self.points["AC"], self.points["PC"], np.array([1.0, 0, 0]))


def read_example(
    row: Mapping[str, Any], *, per_voxel: int = 30, name: str = "precentral",
    places: int = 4, seed: int = 0, like: Template | None = None, given: SideName | None = None,
) -> Example:  # fmt: skip
    """Place a synthetic head that lay still, and look up what is known of it.

    Parameters
    ----------
    row : mapping
        Of the twin.
    per_voxel : int
        Streamlines in a voxel, for the maps that the networks learn from: noisy truth's.
    name, places, seed
        As for `planning.make_plan`.
    like, given
        As for `placing.place_head`.
    """
    head, truth = place_head(row, STILL, like, given), read_truth(row["truth"])
    tracked = track_subject(row, streamlines("directions", per_voxel))
    share = boxed((truth.thalamus == 1).astype(np.float32), truth.affine, head.box_to_dwi)
    mask, which = share > 0.5, TARGETS.index(name)

    def in_box(maps: NDArray) -> NDArray[np.float32]:
        found = [boxed(one, truth.affine, head.box_to_dwi) for one in np.moveaxis(maps, -1, 0)]
        within = np.maximum(share, np.float32(0.1))[..., None]  # nothing is mixed in from outside
        return np.asarray(np.stack(found, -1) / within, np.float32)

    labels, true = in_box(tracked.maps), in_box(truth.connectivity)
    points = {n: apply(np.linalg.inv(head.box_to_t1), at) for n, at in head.frame.ends.items()}
    seen = views(head, places=places, seed=seed)
    case = Case(row["subject"], row["site"], "left", seen[0].t1, seen[0].tensors, mask, labels,
                true, dict(points))  # fmt: skip
    points |= {"truth": target_in(*unboxed(true[..., which] * mask)),
               "tracked": target_in(*unboxed(labels[..., which] * mask)),
               "vim": apply(np.linalg.inv(head.box_to_dwi), truth.points["vim_left"])}  # fmt: skip
    errors = {"subject": row["subject"], **placing_errors(head, truth), "alike": head.alike}
    return Example(case, seen, points, errors)


@dataclass(frozen=True)
class Member:
    """Networks, and whom they were trained on."""

    networks: Networks
    seen: Seen


def train_members(
    cases: Sequence[Case], how: Training, folder: Path, *, members: int = 4, few: bool = False
) -> list[Member]:
    """Train networks, each on half of the heads; one of its own half also chooses its epoch.

    Parameters
    ----------
    cases : sequence of Case
    how : Training
    folder : Path
        Of what a killed training goes on from.
    members : int
        2, 4 or 6.
    few : bool
        See `training.side_by_side`.

    Raises
    ------
    DataError
        If there are fewer than four heads, or two for two members.
    """
    least = min(members, _QUARTERS)
    if len(cases) < least:
        raise DataError(
            "there are too few heads to train an ensemble",
            expected=f"{least} or more", found=str(len(cases)),
            mend="give networks= of an earlier run of thalamus_tractography/targeting",
        )  # fmt: skip
    jobs: dict[str, Job] = {}
    step = max(1, _QUARTERS // len(cases))
    halves = [[c for i, c in enumerate(cases) if i * step % _QUARTERS in half]
              for half in _HALVES[:members]]  # fmt: skip
    for k, own in enumerate(halves):
        seeded, given = replace(how, seed=how.seed + k), (own[:-1] or own, own[-1:])
        jobs[f"thalamus_{k}"] = delayed(seeded.thalamus)(*given, folder / f"thalamus_{k}")
        jobs[f"maps_{k}"] = delayed(seeded.maps)(*given, folder / f"maps_{k}")
    done = {name: fitted.net for name, fitted in side_by_side(jobs, few=few).items()}
    return [Member(Networks(done[f"thalamus_{k}"], (done[f"maps_{k}"],)),
                   Seen.of(c.subject for c in own)) for k, own in enumerate(halves)]  # fmt: skip


def load_members(path: str | Path) -> list[Member]:
    """Networks of a file of `targeting.save_networks`, or of all files of a folder.

    Raises
    ------
    DataError
        If there are none, or a file holds something else.
    """
    place = Path(path)
    files = sorted(place.glob("*.safetensors")) if place.is_dir() else [place]
    if not files:
        raise DataError(f"{place.name} holds no networks", expected="networks.safetensors")
    found = [load_networks(file) for file in files]
    return [Member(networks, trained_on.seen) for networks, trained_on in found]


def save_members(members: Sequence[Member], cases: Sequence[Case], folder: Path) -> Path:
    """Write networks that synthetic heads trained, a file each, and give their folder."""
    twin = {"name": "synthetic", "sha256": None, "synthetic": True}
    for k, one in enumerate(members):
        own = one.seen.among(c.subject for c in cases)
        save_networks(one.networks, folder / f"networks_{k}.safetensors", cohort=twin, subjects=own)
    return folder


def new_to(subject: str, members: Sequence[Member]) -> list[Networks]:
    """Of the members, those that have not been trained on a head.

    Raises
    ------
    DataError
        If all have been.
    """
    found = [one.networks for one in members if not one.seen.among([subject])]
    if not found:
        raise DataError(
            f"{subject} trained the networks",
            expected="someone whom one of them at least has never seen",
            found="a region that would be too small: they remember",
            mend="leave the subject out, or give networks= that others have trained",
        )
    return found


def planned(head: PlacedHead, members: Sequence[Member], **how: Any) -> Plan:
    """`planning.make_plan` by the members that have not been trained on the head."""
    return make_plan(head, new_to(head.subject, members), **how)


def targets_of(
    examples: Sequence[Example], members: Sequence[Member], *, name: str = "precentral"
) -> tuple[list[Example], list[Target], pd.DataFrame]:
    """Targets, in mm of the box, by the networks to which each head is new.

    Returns
    -------
    found : list of Example
        The heads in which there is one.
    targets : list of Target
    failures : DataFrame
        The others, and why.
    """
    heads = pd.Series(list(examples), dtype=object)
    table = pd.DataFrame({"subject": [e.case.subject for e in examples], "example": heads})

    def target(row: Mapping[str, Any]) -> tuple[Example, Target]:
        one = row["example"]
        return one, find_target(one.seen, new_to(row["subject"], members), name=name)[0]

    done = data.each(table, target, workers=1)
    return [e for e, _ in done.results], [t for _, t in done.results], done.failures


def indirect(examples: Sequence[Example]) -> NDArray[np.float64]:
    """Of each head, in mm of the box, where the targets of all others lie in AC-PC."""
    own = np.array([e.frame.coordinates(e.points["tracked"]) for e in examples])
    others = (own.sum(0) - own) / (len(own) - 1)
    return np.array([e.frame.place(at) for e, at in zip(examples, others, strict=True)])


@dataclass(frozen=True)
class Race:
    """One head from its raw series on, by tracking and by networks.

    Attributes
    ----------
    tracking : DataFrame
        ``per_voxel`` streamlines, ``seconds`` and ``agreement`` with the truth, NaN without one:
        the mean correlation of the six maps in the thalamus.
    prepared, directed : float
        Seconds from the raw series to one that is ready, and from there to fiber directions.
    agreement : float
        Of the plan's maps with the truth.
    lines : dict of str to list of arrays of shape (k, 3)
        Some streamlines by target, mm of the series; where no targets are known, those from the
        thalamus that pass through the region of the target.
    """

    tracking: pd.DataFrame
    prepared: float
    directed: float
    agreement: float
    lines: dict[str, list[NDArray[np.float32]]]

    @property
    def equal(self) -> tuple[float, bool]:
        """Seconds until tracking agrees as the plan does, and whether it is known to."""
        if np.isnan(self.agreement):
            return float(self.tracking["seconds"].iloc[-1]), False
        return at_equal_agreement(self.tracking, self.agreement)


def race(
    row: Mapping[str, Any], plan: Plan, counts: Sequence[int], *, steps: Steps = STILL
) -> Race:
    """Track the thalamus of a plan by deconvolution; nothing is taken from the cache.

    Parameters
    ----------
    row : mapping
        Of `layouts.load_subjects`.
    plan : Plan
    counts : sequence of int
        Streamlines launched in a voxel, the most last.
    steps : Steps
        Of the preparation.
    """
    clock = [time.perf_counter()]
    series = read_series(row)
    made = prepare(series, read_reversed(row, series), steps)
    _ = made.tensors
    clock.append(time.perf_counter())
    along = of_deconvolution(made)
    clock.append(time.perf_counter())
    truth = read_truth(row["truth"]) if row.get("truth") else None
    shape, to_t1 = along.inside.shape, np.linalg.inv(plan.head.t1_to_dwi) @ along.affine
    maps = plan.on(shape, to_t1)
    if truth:
        regions = regions_of(row, plan.side, along.affine, shape)[0]
    else:
        far = plan.target.distance(grid(shape, to_t1))
        there = far <= max(1.0, float(far.min()))  # at least the voxel that it is in
        regions = Regions((maps["thalamus"] >= 0.5) & along.inside, {"target": there})

    def agreement(found: NDArray) -> float:
        return mean_correlation(found, truth.connectivity, regions.seed) if truth else np.nan

    rows = []
    track(along, regions, Walk(per_voxel=1))  # what a first call has to set up is not timed
    for count in counts:
        began = time.perf_counter()
        found = track(along, regions, Walk(per_voxel=count))
        rows.append((count, time.perf_counter() - began, agreement(found.maps)))
    own = agreement(np.stack([maps[name] for name in TARGETS], -1))
    tracking = pd.DataFrame(rows, columns=["per_voxel", "seconds", "agreement"])
    prepared, directed = np.diff(clock).tolist()
    return Race(tracking, prepared, directed, own, found.lines)


def started(networks: str | Path) -> float:
    """Seconds until a new process has its libraries, the template and some networks."""
    code = (
        "import sys; from nextaim_kit.studies.thalamus_tractography import ensemble, placing; "
        "placing.template(); ensemble.load_members(sys.argv[1])"
    )
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, str(networks)], check=True, capture_output=True)
    return time.perf_counter() - began


def spoiled(
    head: PlacedHead, other_t1: str, *, like: Template | None = None, seed: int = 0
) -> pd.DataFrame:
    """Heads of which there should be no plan: ``subject``, what is wrong, and ``make``.

    Parameters
    ----------
    head : PlacedHead
    other_t1 : str
        Path of the T1 of someone else.
    like : (array, affine), optional
        As for `placing.place_head`.
    seed : int

    Returns
    -------
    DataFrame
        ``make`` is called for the head, and may already raise.
    """
    rng, beside = np.random.default_rng(seed), np.eye(4)
    beside[:3, 3] = 0, 30, 10
    tensors, mask = head.diffusion.tensors.elements.copy(), head.diffusion.mask
    tensors[mask] = rng.permutation(tensors[mask])
    mixed = replace(head.diffusion, tensors=Tensors(tensors))
    points = apply(np.linalg.inv(head.box_to_t1), grid(head.t1.shape, head.t1_affine))
    cut = np.where(points[..., 2] < 7, head.t1, 0)

    def again(t1: tuple[NDArray, NDArray], diffusion: Diffusion) -> PlacedHead:
        return replace(placed(head.subject, *t1, diffusion, like), thalamus=head.thalamus)

    ways: dict[str, Callable[[], PlacedHead]] = {
        "T1 of another": lambda: again(read_map(other_t1), head.diffusion),
        "diffusion shuffled": lambda: again((head.t1, head.t1_affine), mixed),
        "T1 cut off at the thalamus": lambda: replace(head, t1=cut),
        "box beside the thalamus": lambda: replace(
            head, t1_to_template=beside @ head.t1_to_template
        ),
    }
    makes = pd.Series(list(ways.values()), dtype=object)
    return pd.DataFrame({"subject": list(ways), "make": makes})
