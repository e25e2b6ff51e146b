"""A network is asked in batches or windows; how it is asked does not change what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nextaim_kit.errors import DataError
from nextaim_kit.learn.inference import apply


def network(d=2):
    conv = nn.Conv3d if d == 3 else nn.Conv2d
    torch.manual_seed(0)
    return nn.Sequential(conv(1, 4, 3, padding=1), nn.ReLU(), nn.Dropout(0.5), conv(4, 2, 1))


def test_answers_do_not_depend_on_the_size_of_batches():
    x = np.random.default_rng(0).normal(size=(7, 1, 8, 8)).astype("float32")
    whole, parts = apply(network(), x), apply(network(), x, batch_size=3)
    assert whole.shape == (7, 2, 8, 8)
    torch.testing.assert_close(whole, parts)


def test_a_network_is_left_where_it_was_and_ready_to_be_asked():
    net = network().train()
    apply(net, torch.zeros(1, 1, 4, 4))
    assert not net.training
    assert next(net.parameters()).device.type == "cpu"
    assert all(p.requires_grad for p in net.parameters())


def test_several_inputs_are_given_apart():
    class Sum(nn.Module):
        def forward(self, one, other):
            return one + other

    found = apply(Sum(), (torch.ones(5, 1), np.full((5, 1), 2.0, "float32")), batch_size=2)
    assert found.tolist() == [[3.0]] * 5


def test_windows_that_slide_say_of_a_local_rule_what_the_whole_says():
    volume = torch.randn(2, 1, 20, 17, 9, generator=torch.Generator().manual_seed(1))
    pointwise = nn.Conv3d(1, 3, 1)
    windows = apply(pointwise, volume, window=(8, 8, 8), overlap=0.5, batch_size=4)
    torch.testing.assert_close(windows, apply(pointwise, volume), atol=1e-5, rtol=1e-4)


def test_numbers_of_double_precision_are_taken_as_single():
    assert apply(nn.Linear(4, 1), np.ones((3, 4))).dtype == torch.float32


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (nn.Linear(4, 1), (3, 4)), (nn.Conv2d(1, 2, 3, bias=False), (3, 1, 8, 8)),
        (nn.BatchNorm2d(1), (3, 1, 8, 8)), (nn.LayerNorm(4), (3, 4)), (nn.LSTM(4, 1), (3, 2, 4)),
        (nn.Softmax(1), (3, 4)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["int64", "uint8"])
def test_whole_numbers_are_refused_by_their_type_where_the_network_takes_fractions(
    net, shape, kind
):
    items = np.ones(shape, kind)
    with pytest.raises(DataError, match=rf"of type {kind}\n.*most often float32(.|\n)*astype"):
        apply(net, items)
    if not isinstance(net, nn.LSTM):  # its answer is a pair
        apply(net, items.astype("float32"))


def test_windows_over_whole_numbers_are_refused_by_their_type():
    with pytest.raises(DataError, match="of type int64"):
        apply(nn.Conv2d(1, 2, 1), torch.ones(1, 1, 8, 8).long(), window=(4, 4))


def test_a_network_that_looks_up_words_is_given_whole_numbers():
    words = torch.tensor([[0, 2], [1, 1]])
    assert apply(nn.Embedding(3, 4), words).shape == (2, 2, 4)
    with pytest.raises(DataError, match=r"of type float32(.|\n)*Long(.|\n)*int64"):
        apply(nn.Embedding(3, 4), words.float())


def test_what_else_torch_refuses_is_said_as_torch_says_it():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        apply(nn.Linear(4, 1), torch.ones(3, 5))


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (torch.zeros(0, 1), "at least one"),
        ((torch.zeros(2, 1), torch.zeros(3, 1)), "2 and 3"),
    ],
)
def test_no_items_or_inputs_that_differ_in_number_are_refused(items, said):
    with pytest.raises(DataError, match=said):
        apply(nn.Identity(), items)


def test_windows_of_several_inputs_are_refused():
    with pytest.raises(DataError, match="windows slide over one input"):
        apply(nn.Identity(), (torch.zeros(1, 1, 4), torch.zeros(1, 1, 4)), window=(2,))
