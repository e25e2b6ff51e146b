"""Views stay near their image, what is hidden is known, and a body is all but the last layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nextaim_kit.errors import DataError
from nextaim_kit.learn.inference import apply
from nextaim_kit.studies.challenges.limited.bodies import Seen, body_of, table_network, with_body
from nextaim_kit.studies.challenges.limited.pretext import (
    Contrastive,
    Masked,
    Varied,
    hide,
    swap,
    vary,
)
from tests.studies.challenges.limited.conftest import made_images, net


def test_a_view_is_more_like_its_image_than_like_another():
    torch.manual_seed(0)
    smooth = nn.functional.interpolate(torch.randn(8, 1, 4, 4), (32, 32), mode="bilinear")
    view = vary(smooth).flatten(1)
    near = torch.corrcoef(torch.cat([smooth.flatten(1), view]))[:8, 8:]
    assert (near.argmax(1) == torch.arange(8)).all()
    assert not torch.equal(vary(smooth), vary(smooth))
    assert torch.equal(vary(smooth, 0.0).round(decimals=4), smooth.round(decimals=4))


def test_hidden_pixels_are_zero_and_the_others_as_they_were():
    torch.manual_seed(0)
    x = torch.randn(40, 1, 32, 32) + 5
    shown, hidden = hide(x)
    assert (shown[hidden] == 0).all()
    assert torch.equal(shown[~hidden], x[~hidden])
    assert abs(hidden.float().mean() - 0.6) < 0.03


def test_swapped_values_of_a_table_come_from_the_same_column():
    torch.manual_seed(0)
    x = torch.arange(5) + 10 * torch.arange(50)[:, None].float()
    shown, hidden = swap(x)
    assert torch.equal(shown % 10, x % 10)
    assert torch.equal(shown[~hidden], x[~hidden])
    assert 0.3 < (shown != x).float().mean() < 0.45


@pytest.mark.parametrize("make", [lambda: net(1), lambda: table_network(6, 1)])
def test_a_body_carries_all_weights_but_the_last_layer_s(make):
    trained, fresh = make(), make()
    for weight in trained.parameters():
        nn.init.constant_(weight, 0.3)
    body, width = body_of(trained)
    last = fresh[-1].weight.clone()
    taken = with_body(fresh, body)
    assert torch.equal(taken[-1].weight, last)
    assert taken[-1].in_features == width
    assert all((w == 0.3).all() for w in taken[:-1].parameters())


def test_a_body_of_another_network_is_refused():
    for other in (table_network(7, 1), net(1)):
        with pytest.raises(DataError, match="body is of another network"):
            with_body(table_network(6, 1), body_of(other)[0])


def test_what_is_told_of_hidden_pixels_has_the_image_s_size_and_learns():
    torch.manual_seed(0)
    x = torch.from_numpy(made_images(32).x)
    masked = Masked(net(0), x[:1])
    told, there, hidden = masked(x)
    assert told.shape == there.shape == hidden.shape == x.shape
    masked.loss((told, there, hidden), None).backward()
    assert all(w.grad is not None for w in masked.body[0].parameters())
    perfect = masked.loss((there, there, hidden), None)
    assert perfect == 0 < masked.loss((told, there, hidden), None)


def test_two_views_of_one_item_cost_less_than_views_of_different_items():
    z = torch.eye(6)[:, None].repeat(1, 2, 1)
    apart = torch.stack([z[:, 0], z[:, 1].roll(1, 0)], 1)
    assert Contrastive.loss(z, None) < Contrastive.loss(apart, None)


def test_a_network_sees_images_as_they_are_once_it_is_trained():
    x = torch.from_numpy(made_images(16).x)
    wrapped = Varied(net(0))
    assert torch.equal(apply(wrapped, x), apply(net(0), x))
    wrapped.train()
    assert not torch.equal(wrapped(x), wrapped(x))


def test_a_table_is_standardized_by_the_rows_that_are_given_and_gaps_are_their_mean(table):
    rows = torch.arange(40).numpy()
    x = Seen(table, rows)(rows)
    assert x.mean(0).abs().max() < 1e-5
    assert not x.isnan().any()
    gap = torch.from_numpy(table.x[rows]).isnan()
    assert gap.any()
    assert (x[gap] == 0).all()
