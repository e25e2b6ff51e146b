"""Morphology: bodies whose measures are known, and autocorrelation against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_radiomics.ibsi.configurations import Configuration
from nextaim_kit.studies.ct_radiomics.ibsi.morphology import (
    autocorrelation,
    ellipsoid_area,
    morphology,
)
from nextaim_kit.studies.ct_radiomics.ibsi.preparation import prepare
from nextaim_kit.studies.ct_radiomics.region import find_region

SETUP = Configuration("x", bin_width=25)


@pytest.fixture(scope="session")
def prepared(volume):
    """Region of an array and mask, prepared with nothing but rounding."""

    def of(values, mask, spacing=(1.0, 1.0, 1.0)):
        return prepare(find_region(volume(values, spacing), volume(mask, spacing)), SETUP)

    return of


def test_a_ball_is_nearly_spherical_and_fills_its_hull(prepared, tissue, ball):
    mask = ball((41, 41, 41), (20, 20, 20), (18, 18, 18))
    found = morphology(prepared(tissue(mask.shape), mask))
    assert found["morph_volume"] == pytest.approx(4 / 3 * np.pi * 18**3, rel=0.02)
    assert found["morph_asphericity"] == pytest.approx(1 / found["morph_sphericity"] - 1)
    assert found["morph_comp_2"] == pytest.approx(found["morph_sphericity"] ** 3)
    # The box is 37 voxels wide, the ball 36.
    assert found["morph_vol_dens_aabb"] == pytest.approx(np.pi / 6 * (36 / 37) ** 3, rel=0.02)
    # Axes of four standard deviations: a ball's is its radius / sqrt(5).
    assert found["morph_vol_dens_aee"] == pytest.approx((5**0.5 / 2) ** 3, rel=0.02)
    assert 0.95 < found["morph_vol_dens_conv_hull"] <= 1  # steps of voxels
    assert found["morph_pca_flatness"] == pytest.approx(1)


def test_a_region_twice_as_large_has_twice_the_lengths(prepared, tissue, ball):
    mask, values = ball((12, 14, 16), (6, 7, 8), (4, 5, 6)), tissue((12, 14, 16))
    once = morphology(prepared(values, mask, (1.0, 1.5, 2.0)))
    twice = morphology(prepared(values, mask, (2.0, 3.0, 4.0)))
    powers = {"volume": 3, "vol_approx": 3, "area_mesh": 2, "av": -1, "diam": 1, "com": 1}
    powers |= {f"pca_{axis}_axis": 1 for axis in ("maj", "min", "least")} | {"integ_int": 3}
    for name, value in once.items():
        factor = 2 ** powers.get(name.removeprefix("morph_"), 0)
        assert twice[name] == pytest.approx(value * factor), name


def test_the_center_of_mass_shifts_towards_the_heavy_side(prepared):
    values = np.array([[[1, 1, 2]] * 2] * 2)
    found = morphology(prepared(values, np.ones((2, 2, 3), np.uint8), (4.0, 1.0, 1.0)))
    assert found["morph_com"] == pytest.approx(4 * (5 / 4 - 1))


def test_hu_that_sum_to_nothing_have_no_center(prepared):
    values = np.array([[[-1, 1], [1, -1]]])
    found = morphology(prepared(values, np.ones((1, 2, 2), np.uint8)))
    assert np.isnan(found["morph_com"])


def test_an_ellipsoids_area_is_right_for_a_ball_and_has_no_gap_between_equal_axes():
    assert ellipsoid_area(3, 3, 3) == pytest.approx(36 * np.pi)
    assert ellipsoid_area(3, 3 - 1e-9, 2) == pytest.approx(ellipsoid_area(3, 3, 2))
    assert ellipsoid_area(6, 4, 2) == pytest.approx(4 * ellipsoid_area(3, 2, 1))


def test_a_region_of_one_slice_has_no_enclosing_ellipsoid(prepared, tissue):
    mask = np.zeros((3, 8, 8), np.uint8)
    mask[1, 2:7, 2:7] = 1
    found = morphology(prepared(tissue(mask.shape), mask))
    assert found["morph_pca_least_axis"] == 0
    assert np.isnan(found["morph_vol_dens_aee"])
    assert np.isfinite(found["morph_vol_dens_conv_hull"])


def test_autocorrelation_equals_the_sum_over_all_pairs(prepared, tissue):
    values = tissue((6, 7, 9))
    mask = (np.random.default_rng(1).random(values.shape) < 0.6).astype(np.uint8)
    region = prepared(values, mask, (1.0, 2.0, 2.5))
    x = region.inside - region.inside.mean()
    weight = 1 / pdist(np.argwhere(region.kept) * region.spacing)
    i, j = np.triu_indices(x.size, 1)
    moran = x.size * (weight * x[i] * x[j]).sum() / (weight.sum() * (x**2).sum())
    geary = (x.size - 1) * (weight * (x[i] - x[j]) ** 2).sum() / (2 * weight.sum() * (x**2).sum())
    found = autocorrelation(region)
    assert found["moran_i"] == pytest.approx(moran, rel=1e-9)
    assert found["geary_c"] == pytest.approx(geary, rel=1e-9)


def test_transforms_that_do_not_fit_the_free_memory_are_refused(prepared, tissue, monkeypatch):
    region = prepared(tissue((6, 7, 9)), np.ones((6, 7, 9), np.uint8))
    at = "nextaim_kit.studies.ct_radiomics.ibsi.morphology."
    monkeypatch.setattr(f"{at}_SMALL", 0)
    monkeypatch.setattr(f"{at}memory_available", lambda: 1000)
    with pytest.raises(DataError, match="too large for its spatial autocorrelation"):
        morphology(region)
