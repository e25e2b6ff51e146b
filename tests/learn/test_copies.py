"""Augmentation before the split is caught: copies are found, and different films are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.learn.copies import ALIKE, copies_between, planted_copies
from nextaim_kit.studies.cxr_severity.preprocessing import load_even
from nextaim_kit.studies.cxr_severity.twin import make_twin


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Synthetic films, as the networks see them."""
    patch = pytest.MonkeyPatch()
    patch.setenv("NEXTAIM_CACHE", str(tmp_path_factory.mktemp("films")))
    table = make_twin(24, size=128)
    found, _, failures = load_even(table, 128, inverted=table["truth_inverted"])
    patch.undo()
    assert failures.empty
    return found


def contrast(films):
    return np.sign(films) * np.abs(films) ** 0.7 * 40 + 128


CHANGES = {
    "mirrored": lambda films: films[:, :, ::-1],
    "of other contrast": contrast,
    "augmented": lambda films: planted_copies(films, seed=0),
    "augmented, of other contrast": lambda films: contrast(planted_copies(films, seed=1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_copies_in_the_training_part_are_found_with_the_film_they_are_of(films, change):
    train, test = films[:12], films[12:18]
    found = copies_between(np.concatenate([train, CHANGES[change](test)]), test)
    assert sorted(zip(found["first"], found["second"], strict=True)) == [
        (12 + k, k) for k in range(6)
    ]
    assert found["likeness"].is_monotonic_decreasing
    assert found["likeness"].between(ALIKE, 1 + 1e-5).all()


def test_films_of_different_patients_are_no_copies(films):
    nearest = copies_between(films[:12], films[12:], alike=0)
    assert set(nearest["second"]) == set(range(12))
    assert nearest["likeness"].max() < ALIKE


def test_films_that_could_not_be_used_are_no_copies_of_each_other(films):
    blank = np.zeros_like(films[:2])
    assert copies_between(blank, blank).empty


def test_nothing_to_test_has_no_copies(films):
    found = copies_between(films[:2], films[:0])
    assert found.empty
    assert list(found) == ["first", "second", "likeness"]


def test_the_same_seed_plants_the_same_copies_and_another_others(films):
    first, again, other = (planted_copies(films[:3], seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other, atol=0.1)
    assert planted_copies(films[:0], seed=4).shape == (0, 128, 128)


def test_among_real_films_the_planted_copies_are_found_and_no_others(real):
    folder = real / "cxr_severity" / "lung_masks" / "images"
    files = [*map(str, sorted(folder.iterdir()))]
    films, _, failures = load_even(pd.DataFrame({"subject": files, "image": files}), 128)
    assert failures.empty
    train, test = films[::2], films[1::2]
    planted = planted_copies(test[::2], seed=0)
    found = copies_between(np.concatenate([train, planted]), test)
    assert sorted(zip(found["first"], found["second"], strict=True)) == [
        (len(train) + k, 2 * k) for k in range(len(planted))
    ]
