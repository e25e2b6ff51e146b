"""Which way a gradient table is turned, told by fibers whose course is known."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.studies.thalamus_tractography.coherence import fiber_coherence, turns

EDGES = np.array([2.0, 2.0, 2.0])


def tubes(scale=(1, 1, 1), shape=(30, 28, 26)):
    """Fibers in thin tubes that run in circles about slanted axes: directions, FA, mask."""
    places = (np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2) * scale
    directions, mask = np.zeros(places.shape), np.zeros(shape, bool)
    for axis, radius in (((1, 2, 3), 5), ((3, -1, 1), 9), ((-1, 4, 1), 12)):
        axis = np.array(axis) / np.linalg.norm(axis)
        across, height = np.cross(axis, places), places @ axis
        away = np.linalg.norm(across, axis=-1)
        tube = np.hypot(height, away - radius) < 1.6
        directions[tube] = across[tube] / away[tube, None]
        mask |= tube
    return directions, np.where(mask, 0.6, 0.1), mask


@pytest.fixture(scope="module")
def rings():
    return tubes()


def test_there_are_24_turns_and_no_two_are_opposites():
    found = list(turns().values())
    assert len(found) == 24
    traces = np.array([[np.sum(a * b) for b in found] for a in found])
    assert np.abs(traces - 3 * np.eye(24)).max() < 3


@pytest.mark.parametrize("name", list(turns())[::4])
def test_each_turned_table_is_told_and_mended_by_the_turn_that_is_named(rings, name):
    directions, fa, mask = rings
    found = fiber_coherence(directions @ turns()[name], fa, mask, EDGES)
    assert found.alike == [name]
    assert found.verdict == ("right" if name == "x y z" else name)
    assert found.scores[name] > 1.25


def test_the_course_of_fibers_is_measured_in_mm_not_in_voxels():
    found = fiber_coherence(*tubes((1, 1, 2), (30, 28, 14)), np.array([1.0, 1.0, 2.0]))
    assert found.verdict == "right"


def test_straight_fibers_do_not_tell_a_flip_of_their_own_axis():
    directions = np.zeros((20, 20, 20, 3))
    directions[..., 0] = 1
    found = fiber_coherence(directions, np.ones((20,) * 3), np.ones((20,) * 3, bool), EDGES)
    assert found.verdict == "undecidable"
    assert {"x y z", "x y z, -x", "x y z, -y"} <= set(found.alike)


def test_directions_by_chance_and_no_fibers_at_all_decide_nothing(rings):
    directions, fa, mask = rings
    chance = np.random.default_rng(0).standard_normal(directions.shape)
    chance /= np.linalg.norm(chance, axis=-1, keepdims=True)
    assert fiber_coherence(chance, fa, mask, EDGES).verdict == "undecidable"
    assert fiber_coherence(directions, 0.1 * fa, mask, EDGES).alike == list(turns())
