"""Targets with their regions, and the plans that are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography import planning
from nextaim_kit.studies.thalamus_tractography.placing import Frame
from nextaim_kit.studies.thalamus_tractography.planning import Target


def test_acpc_counts_from_the_middle_between_the_commissures():
    ac, pc = np.array([3.0, 12.0, 5.0]), np.array([3.0, -12.0, -2.0])
    frame = Frame.of(ac, pc, np.array([1.0, 0, 0]))
    assert frame.length == pytest.approx(25)
    np.testing.assert_allclose(frame.coordinates(ac), [0, 12.5, 0], atol=1e-9)
    np.testing.assert_allclose(frame.axes @ frame.axes.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(frame.axes) == pytest.approx(1)
    point = np.array([-9.0, 4.0, 11.0])
    np.testing.assert_allclose(frame.place(frame.coordinates(point)), point)


def test_the_target_is_the_middle_of_what_is_half_as_likely_as_the_most():
    chances = np.zeros((9, 9, 9))
    chances[3:6, 4, 4] = 0.4, 0.8, 0.4
    chances[0, 0, 0] = 0.39  # below half of the largest
    affine = np.diag([2.0, 2, 2, 1])
    np.testing.assert_allclose(planning.target_in(chances, affine), [8, 8, 8])
    with pytest.raises(DataError, match="the map is empty"):
        planning.target_in(0.01 * chances, affine)


def test_a_region_of_normal_scatter_holds_95_of_100_points():
    rng = np.random.default_rng(0)
    spread = np.array([[2.0, 0.5, 0], [0.5, 1.0, 0], [0, 0, 0.5]])
    points = rng.multivariate_normal([1.0, 2, 3], spread, 20000)
    target = Target(points[:10000])
    assert (target.distance(points[10000:]) <= 1).mean() == pytest.approx(0.95, abs=0.015)
    longest = np.sqrt(chi2.ppf(0.95, 3) * (np.linalg.eigvalsh(spread)[-1] + 1 / 12))
    assert target.half_axes[0] == pytest.approx(longest, rel=0.03)


def test_one_point_is_uncertain_by_its_voxel_alone():
    target = Target(np.array([[1.0, 2, 3]]))
    np.testing.assert_allclose(target.half_axes, np.sqrt(chi2.ppf(0.95, 3) / 12))


def test_regions_that_are_too_small_are_stretched_until_they_hold_what_they_should():
    rng = np.random.default_rng(1)
    targets = [Target(rng.normal(0, 1, (12, 3))) for _ in range(400)]
    true = list(rng.normal(0, 2.5, (400, 3)))
    scale = planning.calibrated(targets[:200], true[:200])
    held = [replace(t, scale=scale).distance(at) <= 1
            for t, at in zip(targets[200:], true[200:], strict=True)]  # fmt: skip
    assert 0.9 <= np.mean(held) <= 0.99
    assert planning.calibrated(targets[:3], true[:3]) == pytest.approx(
        max(float(t.distance(at)) for t, at in zip(targets[:3], true[:3], strict=True))
    )


def test_a_plan_tells_volume_and_coordinates(planned):
    plan = planned()
    assert plan.volume == pytest.approx(4 / 3 * np.pi * 9 * 16 * 10 / 1000, rel=0.02)
    np.testing.assert_allclose(plan.coordinates, plan.target.center - [0, -11, -5], atol=1e-6)
    maps = plan.on(plan.head.t1.shape, plan.head.t1_affine)
    assert (maps["thalamus"] >= 0.5).sum() * 8 / 1000 == pytest.approx(plan.volume, rel=0.05)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"center": (-12, 10, 7)}, "does not lie in the box"),
        ({"half": (3, 8, 6)}, "is no thalamus by its size.*0.6 ml"),
        ({"half": (14, 24, 16)}, "is no thalamus by its size"),
        ({"off": (0, 18, 0)}, "has its target outside of the thalamus"),
        (
            {"center": (-12, 3, 7), "half": (9, 12, 8)},
            "has a target where no thalamus is.*16, 16, 12",
        ),
        ({"scatter": 4.0}, "has a target that is too uncertain.*half axes up to 6 mm"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(planned, changes, said):
    with pytest.raises(DataError, match=f"(?s){said}"):
        planned(**changes)


def test_half_widths_of_the_thalamus_are_those_of_its_ellipsoid(planned):
    half, own = planned(scatter=0.6).half_widths
    assert (own**2).sum() == pytest.approx(9**2 + 16**2 + 10**2, rel=0.03)  # whatever the axes
    assert (half < own).all()


def test_a_region_that_was_stretched_beyond_the_thalamus_is_refused_with_its_numbers(planned):
    plan = planned(scatter=0.6)
    half, own = plan.half_widths
    most = (own / half).min()
    assert planning.stretched(plan, 0.99 * most).target.volume < plan.volume
    said = rf"(?s)wider than the thalamus.*below {own[(half / own).argmax()]:.1f} mm.*ml of region"
    with pytest.raises(DataError, match=said):
        planning.stretched(plan, 1.01 * most)
