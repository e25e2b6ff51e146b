"""Whose labels are used counts, larger sizes hold the smaller, nobody tested is learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.challenges.limited.patients import Split, require_untested
from tests.studies.challenges.limited.conftest import made_images


@pytest.fixture(scope="module")
def split(images):
    return Split.of(images, 3, 0)


def who(task, rows):
    return set(task.groups[rows])


def test_patients_are_tested_or_in_the_pool_with_all_their_images(images, split):
    assert not who(images, split.test) & who(images, split.pool)
    assert len(split.test) + len(split.pool) == len(images)
    assert split.patients == len(who(images, split.pool))


def test_the_patients_of_a_size_are_those_whose_labels_train_or_choose_the_epoch(images, split):
    known = split.draw(24, 0)
    assert len(who(images, known.rows)) == known.patients == 24
    assert not who(images, known.train) & who(images, known.val)
    assert who(images, known.rows) <= who(images, split.pool)
    assert len(who(images, known.val)) == 6


@pytest.mark.parametrize("number", range(3))
def test_a_larger_size_holds_the_smaller_and_both_outcomes_keep_their_share(images, split, number):
    small, large = (split.draw(n, number) for n in (16, 40))
    assert who(images, small.rows) < who(images, large.rows)
    assert who(images, small.val) < who(images, large.val)
    share = images.y[split.pool].mean()
    for known in (small, large):
        assert abs(images.y[known.rows].mean() - share) < 0.12
        assert set(images.y[known.val]) == {0, 1}


def test_draws_differ_and_one_draw_is_the_same_again(images, split):
    first, second = (who(images, split.draw(16, k).rows) for k in (0, 1))
    assert first != second
    assert first == who(images, split.draw(16, 0).rows)


def test_sizes_are_shares_of_the_pool_and_too_few_patients_are_refused(split):
    assert split.sizes([1.0, 0.5, 0.3])[1:] == [round(0.5 * split.patients), split.patients]
    with pytest.raises(DataError, match="2 patients are too few"):
        split.sizes([0.04, 0.5, 1.0])
    with pytest.raises(RequestError, match="above 0"):
        split.sizes([0.0, 1.0])
    for shares in ([0.5, 1.0], [0.2, 0.4, 1.0]):
        with pytest.raises(RequestError, match="cannot be held to the largest"):
            split.sizes(shares)


def test_a_patient_planted_among_those_learned_from_is_seen(images, split):
    require_untested(images, split.pool, split.test)
    twin = np.flatnonzero(images.groups == "P0")
    tested, other = twin[:1], np.concatenate([split.pool, twin[1:]])
    with pytest.raises(DataError, match=r"(?s)1 of the patients to be tested would be learned.*P0"):
        require_untested(images, other, tested)


def test_another_cohort_is_tested_by_what_learned_here_and_shared_patients_are_left_out(
    images, split
):
    other = made_images(40, seed=9)
    renamed = replace(
        other, groups=np.where(other.y, "N" + other.groups.astype(object), other.groups)
    )
    with pytest.raises(DataError, match="nobody of both outcomes is left"):
        split.elsewhere(renamed)
    names = [f"N{name}" if k > 5 else "P0" for k, name in enumerate(other.groups)]
    new = replace(other, groups=np.array(names), sites=np.array(["S0"] * 40))
    there = split.elsewhere(new)
    assert len(there.test) == 34
    assert not who(there.task, there.test) & who(images, split.pool)
    assert np.array_equal(there.task.x[there.test], other.x[6:])
    assert np.array_equal(there.draw(24, 0).rows, split.draw(24, 0).rows)
    with pytest.raises(DataError, match="of another kind"):
        split.elsewhere(replace(other, x=other.x[:, :, :8, :8]))
