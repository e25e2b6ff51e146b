"""Witnesses of what is made up, on lines drawn by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from nextaim_kit.errors import DataError
from nextaim_kit.studies.microscopy_superres import filaments, trust
from nextaim_kit.studies.microscopy_superres.curriculum import Divided
from nextaim_kit.studies.microscopy_superres.networks import Generator
from nextaim_kit.studies.microscopy_superres.pairs import Pair

PIXEL = 25.0
TRUE = np.array([[400.0, 2400.0], [4400.0, 2400.0]])
FALSE = np.array([[400.0, 3600.0], [4400.0, 3600.0]])


def drawn(*lines, edge=192):
    image = np.zeros((edge, edge))
    for line in lines:
        x, y = (filaments.resampled(line) / PIXEL).astype(int).T
        image[y, x] = 1
    found = ndimage.gaussian_filter(image, 1.0)
    return (found / found.max()).astype(np.float32)


@pytest.fixture
def pair():
    """Widefield and STORM of the true line."""
    fine = drawn(TRUE)
    wide = ndimage.gaussian_filter(fine, 5.0).reshape(48, 4, 48, 4).mean((1, 3))
    noise = np.random.default_rng(0).normal(0, 2, wide.shape)
    return Pair("a", (100 + 2000 * wide + noise).astype(np.float32), fine, 4, 100.0)


def along(image, line):
    x, y = (filaments.resampled(line) / PIXEL).astype(int).T
    return float(image[y, x].mean())


def plain(name, edge=160):
    image = np.arange(edge * edge, dtype=np.float32).reshape(edge, edge)
    return Pair(name, image, image, 1)


def test_a_field_is_calibrated_on_or_tested_on_and_half_a_field_is_cut_with_a_gap():
    names = [f"{k}{part}" for k in range(6) for part in "ab"]
    table = pd.DataFrame({"subject": names, "field": [n[0] for n in names]})
    whole = Divided([], [], [plain(n) for n in names])
    parts = [{p.subject[0] for p in part} for part in trust.held_out({"": whole}, table, seed=0)]
    assert [len(part) for part in parts] == [3, 3]
    assert not parts[0] & parts[1]
    half = Divided([], [], [plain("0a")], halved=True)
    parts = trust.held_out({"": half}, table, seed=0)
    assert [part[0].widefield.shape for part in parts] == [(76, 160), (76, 160)]
    assert parts[1][0].widefield.min() - parts[0][0].widefield.max() > 8 * 160


def test_light_that_is_not_there_is_inconsistent_and_a_true_line_is_not(pair):
    found = trust.inconsistency(drawn(TRUE, FALSE), pair)
    assert along(found, FALSE) > 1
    assert along(found, TRUE) < 0
    assert found.shape == pair.storm.shape


def test_where_networks_disagree_the_spread_is_large(pair):
    both, one = drawn(TRUE, FALSE), drawn(TRUE)
    seen = trust.maps(both, [both, one, both], pair)
    assert along(seen["spread"], FALSE) > 5 * along(seen["spread"], TRUE)
    assert tuple(seen) == trust.WITNESSES
    with pytest.raises(DataError, match="one network has no spread"):
        trust.spread([both])


def test_pieces_are_told_true_from_invented_and_doubt_learns_which(pair):
    both = drawn(TRUE, FALSE)
    lines, seen = filaments.center_lines(both, PIXEL), trust.maps(both, [both, both * 0.9], pair)
    table, labels = trust.segment_table(lines, seen, [TRUE], PIXEL)
    assert sorted(table["invented"]) == [False, True]
    assert table["length"].to_numpy() == pytest.approx([4000, 4000], rel=0.05)
    assert set(np.unique(labels)) == {0, 1, 2}
    doubt = trust.Doubt.fit(pd.concat([table] * 3), ("inconsistency",)).of(table)
    assert doubt[table["invented"]] > 0.5 > doubt[~table["invented"]]
    with pytest.raises(DataError, match="doubt cannot be learned"):
        trust.Doubt.fit(table[table["invented"]])


def test_nothing_drawn_has_no_pieces_and_no_doubt(pair):
    black = np.zeros_like(pair.storm)
    table, labels = trust.segment_table(labels_of(black), {"dimness": black}, [TRUE], PIXEL)
    assert table.empty
    assert not trust.tinted(black, labels, np.empty(0), PIXEL).any()


def labels_of(image):
    return filaments.center_lines(image, PIXEL)


def test_a_higher_threshold_misses_more_and_invents_less():
    image = drawn(TRUE) + 0.4 * drawn(FALSE)
    curve = trust.trade_off(image, [TRUE], PIXEL, tolerances=[50.0])
    assert (np.diff(curve["missed"]) >= -50).all()
    assert curve["invented"].iloc[0] == pytest.approx(4000, rel=0.05)
    assert curve["invented"].iloc[-1] == 0


def test_a_pale_output_is_compared_where_it_finds_as_much():
    curve = pd.DataFrame({"true": 1000.0, "missed": [100.0, 500, 900], "invented": [80.0, 20, 0]})
    assert trust.at_equal_recall(curve, 0.5) == pytest.approx(20)
    assert trust.at_equal_recall(curve, 0.7) == pytest.approx(50)
    assert np.isnan(trust.at_equal_recall(curve, 0.95))


def test_the_error_of_a_calibrated_spread_is_the_spread():
    rng = np.random.default_rng(0)
    apart = rng.uniform(0.1, 1.0, (200, 200))
    found = trust.reliability(apart, apart * rng.normal(size=apart.shape))
    np.testing.assert_allclose(found["error"], found["spread"], rtol=0.05)
    assert found["pixels"].sum() == apart.size


def test_doubtful_lines_are_orange_and_others_gray():
    image = drawn(TRUE, FALSE)
    table, labels = trust.segment_table(labels_of(image), {}, [TRUE], PIXEL)
    shown = trust.tinted(image, labels, table["invented"].to_numpy(float), PIXEL)
    assert np.ptp([along(shown[..., k], TRUE) for k in range(3)]) < 1e-6
    assert along(shown[..., 0], FALSE) > 2 * along(shown[..., 1], FALSE)
    assert along(shown[..., 2], FALSE) == pytest.approx(0, abs=0.01)


def test_what_is_heard_of_an_output_is_as_large_as_the_image_and_as_long_as_its_pieces(pair):
    images = [drawn(TRUE, FALSE), drawn(TRUE)]
    maps, pieces, labels = trust.heard(images, pair, [TRUE])
    assert set(maps) == set(trust.WITNESSES)
    assert labels.shape == pair.storm.shape
    assert sorted(pieces["invented"]) == [False, True]
    assert trust.share_beside(images[0], [TRUE], PIXEL) == pytest.approx(0.5, abs=0.05)
    assert trust.share_beside(images[0], trust.lines_of(images[0], PIXEL), PIXEL) == 0


def test_tiles_have_no_seam_when_their_halo_reaches_as_far_as_the_network_sees(pair):
    found = trust.seams(Generator(4, features=4, blocks=1, growth=2, channels=1).eval(), pair)
    assert found["error"].iloc[-1] < 1e-5
    assert found["halo"].is_monotonic_increasing
