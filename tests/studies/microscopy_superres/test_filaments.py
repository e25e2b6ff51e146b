"""Center lines: lengths that are known, found, missed and invented."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.studies.microscopy_superres import filaments

PIXEL = 20.0
LINE = np.array([[400.0, 1000.0], [3600.0, 1000.0]])
OTHER = np.array([[1000.0, 3000.0], [3000.0, 3000.0]])


def drawn(*lines, edge=200):
    image = np.zeros((edge, edge))
    for line in lines:
        for x, y in filaments.resampled(line):
            image[int(y / PIXEL), int(x / PIXEL)] = 1
    return image


@pytest.mark.parametrize("angle", [0, 20, 45, 70, 90])
def test_the_length_of_a_line_is_its_length_at_every_angle(angle):
    turn = np.deg2rad(angle)
    line = 2000 + 1500 * np.outer([-1, 1], [np.cos(turn), np.sin(turn)])
    found = filaments.center_lines(drawn(line), PIXEL)
    assert filaments.lengths(found, PIXEL).sum() == pytest.approx(3000, rel=0.1)


def test_a_line_that_is_drawn_is_found_and_one_that_is_not_is_missed():
    lines = filaments.center_lines(drawn(LINE), PIXEL)
    found = filaments.match(lines, [LINE, OTHER], PIXEL)
    assert found.true == pytest.approx(5200, rel=0.01)
    assert found.found == pytest.approx(3200, rel=0.03)
    assert found.missed == pytest.approx(2000, rel=0.03)
    assert found.invented == 0


def test_what_lies_beside_all_lines_is_invented():
    lines = filaments.center_lines(drawn(LINE, OTHER), PIXEL)
    found = filaments.match(lines, [LINE], PIXEL)
    assert found.invented == pytest.approx(2000, rel=0.08)
    assert found.per_mm["invented"] == pytest.approx(1000 * 2000 / 3200, rel=0.08)


def test_the_tolerance_decides():
    lines = filaments.center_lines(drawn(LINE), PIXEL)
    aside = LINE + np.array([0, 80.0])
    assert filaments.match(lines, [aside], PIXEL, 50.0).found == 0
    assert filaments.match(lines, [aside], PIXEL, 100.0).missed == pytest.approx(0, abs=100)


def test_a_cross_has_four_segments_and_an_invented_one_is_told():
    across = np.array([[2000.0, 200.0], [2000.0, 1800.0]])
    lines = filaments.center_lines(drawn(LINE, across), PIXEL, smooth=10.0)
    labels, share = filaments.invented_share(lines, [LINE], PIXEL)
    sizes = np.bincount(labels.ravel())[1:]
    assert (sizes > 20).sum() == 4
    assert (share[sizes > 20] > 0.8).sum() == 2


def test_a_black_image_has_no_line_and_nothing_is_invented():
    lines = filaments.center_lines(np.zeros((100, 100)), PIXEL)
    found = filaments.match(lines, [LINE], PIXEL)
    assert (found.found, found.invented) == (0, 0)
    assert np.isnan(filaments.match(lines, [], PIXEL).per_mm["missed"])


@pytest.mark.parametrize(("angle", "count"), [(35, 1), (50, 1), (90, 1)])
def test_lines_that_cross_are_counted(angle, count):
    turn = np.deg2rad(angle)
    across = np.array([2000.0, 1000.0]) + 800 * np.outer([-1, 1], [np.cos(turn), np.sin(turn)])
    lines = filaments.center_lines(drawn(LINE, OTHER, across), PIXEL, smooth=10.0)
    assert filaments.crossings(lines, PIXEL) == count


def test_a_fork_and_lines_side_by_side_are_no_crossing():
    fork = np.array([[2000.0, 1000.0], [2000.0, 2500.0]])
    assert filaments.crossings(filaments.center_lines(drawn(LINE, fork), PIXEL), PIXEL) == 0
    assert filaments.crossings(filaments.center_lines(drawn(LINE, OTHER), PIXEL), PIXEL) == 0
    assert filaments.crossings(np.zeros((50, 50), bool), PIXEL) == 0


def test_a_skeleton_held_against_itself_is_found_and_invents_nothing():
    lines = filaments.center_lines(drawn(LINE, OTHER), PIXEL)
    found = filaments.match(lines, filaments.as_lines(lines, PIXEL), PIXEL)
    assert found.true == pytest.approx(filaments.lengths(lines, PIXEL).sum(), rel=0.02)
    assert (found.missed, found.invented) == (0, 0)
    assert filaments.as_lines(lines & False, PIXEL) == []


def test_a_drawn_line_covers_its_pixels_and_nothing_outside_the_image():
    mask = filaments.drawn([LINE, LINE + 1e5], (200, 200), PIXEL)
    assert np.argwhere(mask)[:, 0].tolist() == [50] * 161
    assert not filaments.drawn([], (4, 4), PIXEL).any()
