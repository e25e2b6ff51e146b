"""What is drawn without a network, how it is scored, and what is counted in it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from nextaim_kit.studies.microscopy_superres import comparison
from nextaim_kit.studies.microscopy_superres.comparison import blur_of, richardson_lucy
from nextaim_kit.studies.microscopy_superres.pairs import Pair


@pytest.fixture(scope="module")
def pair(lines):
    fine, wide = lines(48, seed=2)
    return Pair("a", wide, fine, 4, 100.0)


def test_richardson_lucy_is_scikit_image_s_away_from_the_border(lines):
    from skimage.restoration import richardson_lucy as theirs

    image = ndimage.gaussian_filter(lines(24)[0], 3.0)
    x = np.arange(-15, 16)
    spot = np.exp(-(x**2 + x[:, None] ** 2) / 18.0)
    found = richardson_lucy(image, 3.0, 5)
    expected = theirs(image + 1e-4, spot / spot.sum(), num_iter=5, clip=False)
    inside = (slice(40, -40), slice(40, -40))
    np.testing.assert_allclose(found[inside], expected[inside], rtol=0.02, atol=1e-3)


def test_deconvolution_sharpens_and_total_variation_makes_even(pair):
    rng = np.random.default_rng(0)
    blurred = ndimage.gaussian_filter(pair.storm, 3.0)
    noisy = rng.poisson(100 * blurred + 5) / 100
    plain, even = (richardson_lucy(noisy, 3.0, 20, v) for v in (0.0, 0.02))

    def near(image):
        return np.corrcoef(image.ravel(), pair.storm.ravel())[0, 1]

    assert near(plain) > near(noisy)
    assert np.abs(np.diff(even)).sum() < np.abs(np.diff(plain)).sum()


def test_the_blur_of_a_pair_is_the_one_it_was_made_with(pair):
    assert blur_of([pair]) == pytest.approx(1.2, abs=0.15)


def test_every_model_is_scored_on_every_pair(pair):
    found = comparison.scored(comparison.untrained([pair]), [pair]).set_index("model")
    assert np.isnan(found.loc["black", "correlation"])
    assert found.loc["Richardson-Lucy", "correlation"] > found.loc["bicubic, fitted", "correlation"]
    assert found.loc["black", "density"] == 0 < found.loc["bicubic, fitted", "density"]


def test_crossings_are_counted_where_four_arms_meet():
    lines = np.zeros((120, 120), bool)
    lines[30, :] = lines[90, :60] = True
    lines[:, 40] = True
    assert comparison.crossings(lines, 25.0) == 2
    lines[:30, 40] = False  # the upper one is a branch now
    assert comparison.crossings(lines, 25.0) == 1
    assert comparison.crossings(np.zeros((40, 40), bool), 25.0) == 0


@pytest.mark.parametrize(
    ("at", "gap", "expected"),
    [
        ([-100, 100], 200.0, "resolved"),
        ([0], 200.0, "merged"),
        ([-200, 200], 200.0, "invented"),
        ([-100, 0, 100], 200.0, "invented"),
        ([-100, 100], 0.0, "invented"),
        ([0], 0.0, "resolved"),
        ([], 200.0, "missed"),
    ],
)
def test_two_lines_are_resolved_merged_invented_or_missed(at, gap, expected):
    image = np.zeros((80, 120))
    for x in at:
        image[:, int((1500 + x) / 25)] = 1.0
    found = comparison.two_lines(image, gap, [1500.0], 25.0)
    assert found[expected] == 1.0


def test_the_twin_s_lines_lie_where_they_are_said_to_and_storm_resolves_them():
    from nextaim_kit.studies.microscopy_superres.twin import two_lines

    shown, places = two_lines(200.0, pixels=48)
    assert len(places) == 3
    assert comparison.two_lines(shown.storm, 200.0, places, 25.0)["resolved"] > 0.8
    wide = np.kron(shown.widefield, np.ones((4, 4)))
    assert comparison.two_lines(wide / wide.max(), 200.0, places, 25.0)["resolved"] == 0
