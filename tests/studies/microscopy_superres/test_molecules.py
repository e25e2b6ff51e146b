"""Filaments and dyes: what chains and labels must be by their definition."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.studies.microscopy_superres.phantom import molecules
from nextaim_kit.studies.microscopy_superres.phantom.molecules import Filaments, grow, label


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def straight(radius, chains=20, points=201):
    lines = np.zeros((chains, points, 3))
    lines[..., 0] = np.arange(points) * molecules.STEP
    return Filaments(lines, np.full(chains, radius))


def test_the_direction_of_a_chain_is_forgotten_over_its_persistence_length(rng, monkeypatch):
    monkeypatch.setattr(molecules, "SLAB", np.inf)
    many = np.zeros((3000, 3))
    chains = molecules.worm_like_chains(many, np.tile([1.0, 0, 0], (3000, 1)), 101, 2000.0, rng)
    tangents = np.diff(chains, axis=1) / molecules.STEP
    kept = (tangents[:, :1] * tangents).sum(-1)
    assert kept.mean(0)[50] == pytest.approx(np.exp(-50 * molecules.STEP / 2000), abs=0.02)
    np.testing.assert_allclose(np.linalg.norm(tangents, axis=-1), 1, atol=1e-9)


def test_chains_stay_within_the_cell(rng):
    grown = grow(5000.0, "microtubules", rng)
    assert np.abs(grown.lines[..., 2]).max() <= molecules.SLAB + molecules.STEP


def test_the_number_of_dyes_is_density_times_length(rng):
    dyes = label(straight(12.5), 100.0, 0.0, rng)
    assert len(dyes) == pytest.approx(20 * 4.0 * 100, rel=0.04)


def test_dyes_lie_on_the_surface_and_a_linker_puts_them_off(rng):
    on = label(straight(200.0), 100.0, 0.0, rng)
    np.testing.assert_allclose(np.hypot(on[:, 1], on[:, 2]), 200, atol=1e-6)
    off = np.hypot(*label(straight(12.5), 100.0, 10.0, rng)[:, 1:].T)
    assert np.sqrt((np.mean(off**2) - 12.5**2) / 2) == pytest.approx(10, rel=0.05)


def test_more_filaments_where_the_density_is_higher(rng):
    few, many = (len(grow(20_000.0, "microtubules", rng, d).lines) for d in (0.5, 2.0))
    assert 2.5 < many / few < 6


def test_a_bundle_runs_beside_another_filament_and_does_not_touch_it(rng):
    lines = grow(4000.0, "microtubules", rng).lines[:5]
    apart = np.linalg.norm(molecules._beside(lines, rng) - lines, axis=-1)
    assert apart.min() >= 30
    assert apart.max() <= 90


def test_center_lines_end_at_the_field_and_at_the_depth_of_storm():
    line = np.column_stack(
        [np.linspace(-500, 1500, 101), np.full(101, 500.0), np.linspace(0, 800, 101)]
    )
    (part,) = molecules.center_lines(Filaments(line[None], np.array([12.5])), 1000.0, 400.0)
    assert part[:, 0].min() == pytest.approx(0, abs=20)
    assert part[:, 0].max() == pytest.approx(500, abs=20)
