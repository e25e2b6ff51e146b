"""A usual film raises no doubt; a turned, mirrored or foreign one is called what it is."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.data.images.films import read_mask
from nextaim_kit.learn.segmentation import largest_parts
from nextaim_kit.studies.cxr_severity.cohorts import load_films
from nextaim_kit.studies.cxr_severity.film_checks import doubts
from nextaim_kit.studies.cxr_severity.preprocessing import at_size, load_even, load_masks
from nextaim_kit.studies.cxr_severity.twin import make_twin

MIRRORED = "heart lies on the film's left: mirrored?"
UPSIDE_DOWN = "at their top: upside down?"


@pytest.fixture(scope="module")
def chests(tmp_path_factory):
    """Synthetic films and their lungs."""
    patch = pytest.MonkeyPatch()
    patch.setenv("NEXTAIM_CACHE", str(tmp_path_factory.mktemp("films")))
    table = make_twin(24, size=128)
    patch.undo()
    films, _, _ = load_even(table, 128, inverted=table["truth_inverted"])
    return films, np.stack([read_mask(path) for path in table["lungs"]])


@pytest.fixture(scope="module")
def outlined(real):
    """Real films and the lungs that readers outlined."""
    table, _ = load_films(
        str(real / "cxr_severity" / "lung_masks"), twin=lambda: pytest.fail("not asked for")
    )
    films, shapes, _ = load_even(table, 256)
    masks = at_size(load_masks(table, "mask", shapes)[0], 256)
    return films, np.stack([largest_parts(mask, 2) for mask in masks])


def share(films, lungs, words):
    """How many films have these words in their doubts; with no words, any doubt at all."""
    said = ["; ".join(doubts(*pair)) for pair in zip(films, lungs, strict=True)]
    return np.mean([words in text if words else bool(text) for text in said])


def mirrored(films, lungs):
    turned = lungs[:, :, ::-1]
    return films[:, :, ::-1], np.where(turned > 0, 3 - turned, 0)


def upside_down(films, lungs):
    return films[:, ::-1], lungs[:, ::-1]


def on_their_side(films, lungs):
    return np.rot90(films, axes=(1, 2)), np.rot90(lungs, axes=(1, 2))


def test_usual_films_raise_no_doubt(chests):
    assert share(*chests, "") <= 0.1


def test_films_on_their_side_are_called_turned(chests):
    assert share(*on_their_side(*chests), "above each other: turned by 90 degrees?") == 1


def test_films_upside_down_are_called_so(chests):
    assert share(*upside_down(*chests), UPSIDE_DOWN) >= 0.9


def test_lungs_that_are_absent_small_alone_or_unequal_are_called_so(chests):
    films, lungs = chests
    assert share(films, np.zeros_like(lungs), "no lungs found: another part of the body?") == 1
    # A chest in the middle of a film six times as wide.
    far, small = (np.pad(each, [(0, 0), (320, 320), (320, 320)]) for each in chests)
    assert share(far, small, "of the film: another part of the body?") == 1
    for alone in (1, 2):
        only = np.where(lungs == alone, lungs, 0)
        assert share(films, only, "only one lung found: a lateral film, or one lung white?") == 1
    part = np.where((lungs == 2) & (np.arange(128) % 5 > 0), 0, lungs)
    assert share(films, part, "more than three times the other: a lateral film?") >= 0.9


def test_real_films_raise_few_doubts(outlined):
    assert share(*outlined, "") <= 0.1


def test_real_films_on_their_side_are_called_turned(outlined):
    assert share(*on_their_side(*outlined), "turned by 90 degrees?") >= 0.95


def test_a_fifth_of_real_films_that_are_mirrored_are_called_so_and_almost_none_of_the_others(
    outlined,
):
    assert share(*outlined, MIRRORED) <= 0.02
    assert share(*mirrored(*outlined), MIRRORED) >= 0.2


def test_most_real_films_upside_down_are_called_so(outlined):
    assert share(*outlined, UPSIDE_DOWN) <= 0.02
    assert share(*upside_down(*outlined), UPSIDE_DOWN) >= 0.75


def test_lungs_brighter_than_what_is_beside_them_are_called_inverted(chests, outlined):
    for films, lungs in (chests, outlined):
        assert share(-films, lungs, "inverted?") == 1
