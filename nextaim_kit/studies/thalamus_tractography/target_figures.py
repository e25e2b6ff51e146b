"""A plan to look at: maps as outlines around the target, and regions against true targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nextaim_kit.show.planes import letters, mark
from nextaim_kit.show.style import SKY, VERMILION, Look, described, new_figure, styled
from nextaim_kit.studies.thalamus_tractography.definitions import TARGETS
from nextaim_kit.studies.thalamus_tractography.figures import TARGET_COLORS
from nextaim_kit.studies.thalamus_tractography.planning import Plan, Target, in_acpc, region

LOOKS = {
    **{name: Look(TARGET_COLORS[name]) for name in TARGETS},
    "thalamus": Look(SKY, ":"),
}
_REGION = Look(VERMILION, filled=True)
_AROUND = 32  # mm from the target to the picture's edge
_PLANES = (("axial", 2, (0, 1), "RL"), ("coronal", 1, (0, 2), "RL"), ("sagittal", 0, (1, 2), "AP"))


@styled
def target_planes(plan: Plan, names: Sequence[str] = tuple(LOOKS)) -> Figure:
    """Three planes along AC-PC through the target: maps outlined at half of their largest value.

    The patient's right is on the left, and so is the front. The region of 95 %, by the
    scatter of networks alone, is filled.

    Parameters
    ----------
    plan : Plan
    names : sequence of str
        What is outlined.
    """
    t1, maps, affine = in_acpc(plan)
    masks = {name: maps[name] >= maps[name].max() / 2 for name in names}
    there = region(plan, t1.shape, affine)
    figure, axes = new_figure(8.4, 3.4, 1, 3)
    low, high = np.percentile(t1[t1 > 0], [1, 99.5])
    middle = plan.coordinates - affine[:3, 3]
    for axis, (title, across, pair, ends) in zip(axes[0], _PLANES, strict=True):
        at = int(np.clip(round(middle[across]), 0, t1.shape[across] - 1))
        axis.imshow(_cut(t1, across, at), origin="lower", cmap="gray", vmin=low, vmax=high,
                    interpolation="bilinear")  # fmt: skip
        for name, mask in masks.items():
            mark(axis, _cut(mask, across, at), LOOKS[name])
        mark(axis, _cut(there, across, at), _REGION)
        left = t1.shape[pair[0]] - 1 - middle[pair[0]]
        axis.set_xlim(left - _AROUND, left + _AROUND)
        axis.set_ylim(middle[pair[1]] - _AROUND, middle[pair[1]] + _AROUND)
        axis.set_axis_off()
        axis.set_title(
            f"{title}, AC-PC {'xyz'[across]} {plan.coordinates[across]:.1f} mm", fontsize=9
        )
        letters(axis, ends)
    handles = [LOOKS[name].handle(name) for name in names]
    handles.append(_REGION.handle("95 % by the scatter of networks"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    x, y, z = plan.coordinates
    return described(
        figure,
        f"{plan.head.subject}: three planes along AC-PC through the target at {x:.1f}, {y:.1f}, "
        f"{z:.1f} mm, outlines of {', '.join(names)}; the patient's right on the left.",
    )


def _cut(volume: NDArray, across: int, at: int) -> NDArray:
    """A plane with its rows upward; the patient's right on the left, or the front."""
    return np.take(volume, at, axis=across).T[:, ::-1]


def held(
    targets: Sequence[Target], true: Sequence[NDArray], scales: Mapping[str, float]
) -> dict[str, tuple[NDArray, NDArray]]:
    """How many true targets regions hold, by how many they should: lines of `show.curves`.

    Parameters
    ----------
    targets : sequence of Target
    true : sequence of arrays of shape (3,)
    scales : mapping of str to float
        By which the regions are stretched.
    """
    from scipy.stats import chi2

    wanted = np.linspace(0.02, 0.99, 49)
    squared = np.array([float(t.squared(at)) for t, at in zip(targets, true, strict=True)])
    limits = chi2.ppf(wanted, 3)
    found = {"as they should": (wanted, wanted)}
    for name, scale in scales.items():
        found[name] = (wanted, (squared[:, None] <= scale**2 * limits).mean(0))
    return found
