"""From a head and trained networks to a target with its uncertainty, or to the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.channels import (
    boxed,
    boxed_tensors,
    require_inside,
    unboxed,
)
from nextaim_kit.studies.thalamus_tractography.definitions import (
    BOX_SHAPE,
    TARGETS,
    SideName,
    box_affine,
)
from nextaim_kit.studies.thalamus_tractography.placing import PlacedHead
from nextaim_kit.studies.thalamus_tractography.space import apply, grid, sample
from nextaim_kit.studies.thalamus_tractography.targeting import (
    Networks,
    Prediction,
    maps_in,
    predict,
)
from nextaim_kit.studies.thalamus_tractography.tensor import Tensors

Matrix = NDArray[np.floating]
LIMIT = float(chi2.ppf(0.95, 3))  # of a squared distance, in which 95 % of normal points lie
VOLUME = (3.0, 11.0)  # ml of one thalamus
WIDEST = 6.0  # mm: half the longest axis of the region, by the scatter of the points alone
# mm beside, before and above the middle of AC-PC: a thalamus' own place, with a margin.
PLACE = np.array([[3.0, -28, -8], [27, 12, 20]])
FAINTEST = 0.05  # highest share of streamlines, below which there is no map
_VOXEL = 1 / np.sqrt(12)  # mm: how a place is spread within a voxel of the box
_SHIFT, _TURN = 1.5, 3.0  # mm and degrees by which the box is put elsewhere


@dataclass(frozen=True)
class Target:
    """Where the target lies, in mm.

    Attributes
    ----------
    points : array of shape (n, 3)
        As each network found it, with the box put in each of several places.
    scale : float
        By which the region's axes are stretched: 1, or what `calibrated` gives.
    """

    points: NDArray[np.float64]
    scale: float = 1.0

    @property
    def center(self) -> NDArray[np.float64]:
        """Mean of the points."""
        return self.points.mean(0)

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """Of the points, and of a place within a voxel; mm²."""
        spread = np.cov(self.points.T) if len(self.points) > 1 else np.zeros((3, 3))
        return spread + _VOXEL**2 * np.eye(3)

    def squared(self, points: NDArray) -> NDArray[np.float64]:
        """Squared distance of points from the center, in standard deviations (Mahalanobis)."""
        off = points - self.center
        return np.einsum("...i,ij,...j", off, np.linalg.inv(self.covariance), off)

    def distance(self, points: NDArray) -> NDArray[np.float64]:
        """How far points lie from the center: 1 on the border of the region of 95 %."""
        return np.sqrt(self.squared(points) / LIMIT) / self.scale

    @property
    def half_axes(self) -> NDArray[np.float64]:
        """Of the region of 95 %, an ellipsoid; mm, the longest first."""
        return self.scale * np.sqrt(LIMIT * np.linalg.eigvalsh(self.covariance)[::-1])

    @property
    def volume(self) -> float:
        """Of the region of 95 %, in ml."""
        return float(4 / 3 * np.pi * self.half_axes.prod()) / 1000

    def moved(self, matrix: Matrix) -> Target:
        """In mm of another image."""
        return replace(self, points=apply(matrix, self.points))


def calibrated(targets: Sequence[Target], true: Sequence[NDArray]) -> float:
    """By how much regions have to be stretched to hold 95 % of true targets (split conformal) [1]_.

    Parameters
    ----------
    targets : sequence of Target
        Of other subjects than those that it is used for.
    true : sequence of arrays of shape (3,)

    Returns
    -------
    float
        The largest of what they ask for where they are fewer than 19, too few for 95 %.

    References
    ----------
    .. [1] Vovk, Gammerman & Shafer 2005, https://doi.org/10.1007/b106715
    """
    asked = np.sort([float(t.distance(at)) for t, at in zip(targets, true, strict=True)])
    place = int(np.ceil(0.95 * (len(asked) + 1))) - 1
    return float(asked[min(place, len(asked) - 1)])


def target_in(chances: NDArray, affine: Matrix) -> NDArray[np.float64]:
    """The middle of a map in mm: of what is at least half as likely as its likeliest voxel.

    Raises
    ------
    DataError
        If the map is empty.
    """
    top = float(chances.max())
    if top < FAINTEST:
        raise DataError(
            "there is no target: the map is empty",
            expected=f"a share of {FAINTEST:g} or more somewhere in the thalamus",
            found=f"{top:.3f} at most",
            mend="see whether diffusion and T1 lie upon each other, and the side is the right one",
        )
    weight = np.where(chances >= top / 2, chances, 0)
    return np.asarray(
        (grid(chances.shape, affine) * weight[..., None]).sum((0, 1, 2)) / weight.sum()
    )


@dataclass(frozen=True)
class Plan:
    """What was found in one head; mm are those of its T1.

    Attributes
    ----------
    head : PlacedHead
    side : {"left", "right"}
    thalamus : array of shape (38, 60, 48)
        Probability in the box, mean of the networks.
    maps : array of shape (38, 60, 48, 6)
        Likewise; turned back where the side is the right one.
    target : Target
    """

    head: PlacedHead
    side: SideName
    thalamus: NDArray[np.float32]
    maps: NDArray[np.float32]
    target: Target

    @property
    def volume(self) -> float:
        """Of the thalamus, in ml."""
        return float((self.thalamus >= 0.5).sum()) / 1000

    @property
    def coordinates(self) -> NDArray[np.float64]:
        """Of the target in AC-PC: mm to the right, front and head."""
        return self.head.frame.coordinates(self.target.center)

    @property
    def half_widths(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of the region along its axes, and of the thalamus along the same; mm.

        The thalamus is taken as an ellipsoid: along a line, its half width is the root of five
        times the variance of its voxels.
        """
        lengths, axes = np.linalg.eigh(self.target.covariance)
        inside = grid(self.thalamus.shape, box_affine(self.side))[self.thalamus >= 0.5]
        along = apply(self.head.box_to_t1, inside) @ axes
        return self.target.scale * np.sqrt(LIMIT * lengths), np.sqrt(5 * along.var(0))

    def on(self, shape: tuple[int, ...], to_t1: Matrix) -> dict[str, NDArray[np.float32]]:
        """Thalamus and maps by name on another grid, from 0 to 1.

        Parameters
        ----------
        shape : tuple of int
        to_t1 : array of shape (4, 4)
            From its voxels to mm of T1.
        """
        points = apply(np.linalg.inv(self.head.box_to_t1), grid(shape, to_t1))
        place = box_affine(self.side)
        maps = {"thalamus": self.thalamus}
        maps |= {name: self.maps[..., k] for k, name in enumerate(TARGETS)}
        return {name: sample(one, place, points) for name, one in maps.items()}

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        require_plausible(self)


def require_plausible(plan: Plan) -> None:
    """Refuse a plan that nobody should look at as one.

    Raises
    ------
    DataError
        If the thalamus does not lie in the box, is too small or too large, or the target lies
        outside of it, is too uncertain, or is far from where AC and PC say that it is; or if the
        region is wider than the thalamus somewhere, so says nothing of where in it the target is.
    """
    require_inside(plan.thalamus)
    low, high = VOLUME
    place = np.linalg.solve(
        plan.head.box_to_t1 @ box_affine(plan.side), np.append(plan.target.center, 1)
    )[:3]
    inside = float(sample(plan.thalamus, np.eye(4), place[None])[0])
    beside = plan.coordinates * [-1 if plan.side == "left" else 1, 1, 1]
    there = bool(((beside >= PLACE[0]) & (beside <= PLACE[1])).all())
    width = float(plan.target.half_axes[0]) / plan.target.scale
    half, own = plan.half_widths
    worst, region_ml = int((half / own).argmax()), plan.target.volume
    checks: list[tuple[bool, str, str, str, str]] = [
        (low <= plan.volume <= high, "is no thalamus by its size", f"{low:g} to {high:g} ml",
         f"{plan.volume:.1f} ml", "look at T1 in the box: another contrast, or a lesion?"),
        (inside >= 0.5, "has its target outside of the thalamus", "a probability of 0.5 or more",
         f"{inside:.2f} at the target", "look at the map: several parts, or one at the border?"),
        (width <= WIDEST, "has a target that is too uncertain", f"half axes up to {WIDEST:g} mm",
         f"{width:.1f} mm", "look at the networks' targets one by one; scan again if it moved"),
        (there, "has a target where no thalamus is", "AC-PC of 3 to 27, -28 to 12 and -8 to 20 mm "
         "beside, ahead and above", f"{', '.join(f'{mm:.0f}' for mm in beside)} mm",
         "see whether the registration to the template failed, or read AC and PC in T1"),
        (bool((half < own).all()), "has a region that is wider than the thalamus, and says nothing",
         f"a half axis below {own[worst]:.1f} mm, the half width of the thalamus along it",
         f"{half[worst]:.1f} mm; {region_ml:.1f} ml of region, {plan.volume:.1f} ml of thalamus",
         "train and test on more heads, or give networks= of a longer run of targeting"),
    ]  # fmt: skip
    for well, what, expected, found, mend in checks:
        if not well:
            who = f"the {plan.side} side of {plan.head.subject}"
            raise DataError(f"{who} {what}", expected=expected, found=found, mend=mend)


def make_plan(
    head: PlacedHead, networks: Sequence[Networks], side: SideName = "left", *,
    name: str = "precentral", places: int = 4, scale: float = 1.0, seed: int = 0,
) -> Plan:  # fmt: skip
    """Find the thalamus, its maps and the target of one head.

    Parameters
    ----------
    head : PlacedHead
    networks : sequence of Networks
        An ensemble, or one.
    side : {"left", "right"}
    name : str
        Of `definitions.TARGETS`: whose connectivity is aimed at.
    places : int
        In how many places the box is put: the first is where registration says.
    scale : float
        Of the region (`calibrated`).
    seed : int

    Raises
    ------
    DataError
        As `require_plausible`, and if the map is empty.
    """
    seen = views(head, side, places=places, seed=seed)
    target, found = find_target(seen, networks, side, name=name)
    thalamus = np.mean([one.thalamus for one in found], 0)
    maps = np.mean([one.maps for one in found], 0)
    return Plan(head, side, unboxed(thalamus, side)[0], unboxed(maps, side)[0],
                replace(target.moved(head.box_to_t1), scale=scale))  # fmt: skip


class View(NamedTuple):
    """What networks see with the box in one place: `place` is from where it is put to that.

    Of a head whose thalamus is given, that is seen too, and not looked for.
    """

    place: Matrix
    t1: NDArray[np.float32]
    tensors: Tensors
    thalamus: NDArray[np.float32] | None = None

    def predicted(self, networks: Networks, side: SideName) -> Prediction:
        """What networks find in it."""
        if self.thalamus is None:
            return predict(self.t1, self.tensors, networks, side)
        maps = maps_in(self.thalamus >= 0.5, self.tensors, networks)
        return Prediction(self.thalamus, maps, side)


def views(
    head: PlacedHead, side: SideName = "left", *, places: int = 4, seed: int = 0
) -> list[View]:
    """T1 and tensors in the box, which is put where registration says, and then near to that.

    Registration may be wrong by as much (1.5 mm, 3 degrees), so that what it does to the target
    becomes a part of its uncertainty.
    """
    rng, found = np.random.default_rng(seed), []
    for k in range(places):
        place = _nearby(rng) if k else np.eye(4)
        to_t1 = head.box_to_t1 @ place
        t1 = boxed(head.t1, head.t1_affine, to_t1, side)
        to_dwi = head.t1_to_dwi @ to_t1
        grid_of = (head.diffusion.affine, to_dwi, side)
        tensors, given = boxed_tensors(head.diffusion.tensors, *grid_of), head.thalamus
        mask = None if given is None else boxed(given.astype(np.float32), *grid_of)
        found.append(View(place, t1, tensors, mask))
    return found


def find_target(
    seen: Sequence[View], networks: Sequence[Networks], side: SideName = "left", *,
    name: str = "precentral",
) -> tuple[Target, list[Prediction]]:  # fmt: skip
    """The target in mm of the box, and what each network found in the first view.

    Raises
    ------
    DataError
        If a map is empty.
    """
    which, points, first = TARGETS.index(name), [], []
    for view in seen:
        for one in networks:
            found = view.predicted(one, side)
            chances, affine = unboxed(found.maps[..., which], side)
            points.append(apply(view.place, target_in(chances, affine)))
            first += [found] * (view is seen[0])
    return Target(np.stack(points)), first


def _nearby(rng: np.random.Generator) -> Matrix:
    """A small movement about the middle of the box, as registration may be wrong by."""
    matrix = np.eye(4)
    turn = Rotation.from_rotvec(np.radians(rng.normal(0, _TURN / np.sqrt(3), 3)))
    middle = grid(BOX_SHAPE, box_affine()).reshape(-1, 3).mean(0) * [0, 1, 1]
    matrix[:3, :3] = turn.as_matrix()
    matrix[:3, 3] = middle - turn.apply(middle) + rng.normal(0, _SHIFT / np.sqrt(3), 3)
    return matrix


def stretched(plan: Plan, scale: float) -> Plan:
    """The same plan with another region of 95 % (`calibrated`).

    Raises
    ------
    DataError
        If that region says nothing (`require_plausible`).
    """
    return replace(plan, target=replace(plan.target, scale=scale))


def region(plan: Plan, shape: tuple[int, ...], to_acpc: Matrix) -> NDArray[np.bool_]:
    """The region of 95 % on a grid whose affine leads to coordinates of AC-PC."""
    points = plan.head.frame.place(grid(shape, to_acpc))
    return plan.target.distance(points) <= 1


def in_acpc(
    plan: Plan, half: tuple[int, int, int] = (45, 60, 45)
) -> tuple[NDArray, dict[str, NDArray], Matrix]:
    """T1 and maps cut along AC-PC, in voxels of 1 mm: what a plan is looked at in.

    Returns
    -------
    t1 : array of shape (x, y, z)
    maps : dict of str to array
    affine : array of shape (4, 4)
        To coordinates of AC-PC.
    """
    affine, frame = np.eye(4), plan.head.frame
    affine[:3, 3] = -np.array(half)
    shape = tuple(2 * n + 1 for n in half)
    to_t1 = np.eye(4)
    to_t1[:3, :3], to_t1[:3, 3] = frame.axes.T, frame.middle
    points = apply(to_t1, grid(shape, affine))
    t1 = sample(plan.head.t1, plan.head.t1_affine, points)
    return t1, plan.on(shape, to_t1 @ affine), affine
