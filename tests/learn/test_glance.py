"""A glance at a data set tells it from others, and leaves everything as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from nextaim_kit.learn.glance import alike, glance


class Drawn(Dataset):
    """Items with noise; counts how often one is given."""

    def __init__(self, n=300, size=4, draw=torch.rand):
        self.n, self.size, self.draw, self.given = n, size, draw, 0

    def __len__(self):
        return self.n

    def __getitem__(self, k):
        self.given += 1
        return k + self.draw(self.size), torch.tensor(k % 2)


def one(*values, name="x"):
    return [({name: torch.tensor(values)}, "word")]


def test_what_torch_draws_is_no_difference_and_its_chance_stays_as_it_was():
    torch.manual_seed(5)
    first = glance(Drawn())
    torch.rand(7)
    state = torch.get_rng_state()
    assert alike(first, glance(Drawn()))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "other", [one(1.0, 2.0), one(2.0, -1.0), one(2.0, 1.0, 0.0), one(2, 1), one(2.0, 1.0, name="y")]
)
def test_order_sign_shape_type_and_names_count(other):
    assert not alike(glance(one(2.0, 1.0)), glance(other))


def test_what_another_processor_rounds_otherwise_is_no_difference():
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert alike(glance([(values, 0)]), glance([(values * (1 + 1e-6), 0)]))
    assert not alike(glance([(values, 0)]), glance([(values * 1.01, 0)]))


def test_of_items_that_are_random_otherwise_nothing_is_told():
    draw = np.random.default_rng(0)
    assert glance(Drawn(draw=lambda n: torch.tensor(draw.random(n))))["shape"] is None


def test_few_large_items_are_looked_at_and_at_most_128_small_ones():
    small, large = Drawn(), Drawn(size=10**6)
    for part in (small, large):
        glance(part)
    assert small.given == 1 + 128 + 8
    assert large.given == 3
