"""Weights lie so that a processor is fast, and never so that it computes wrongly."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from nextaim_kit.studies.breast_masses.layout import channels_last


def test_channels_lie_together():
    net = nn.Sequential(nn.Conv2d(16, 32, 1, stride=2), nn.Conv2d(32, 8, 3))
    channels_last(net)
    assert all(layer.weight.is_contiguous(memory_format=torch.channels_last) for layer in net)


@pytest.mark.parametrize("channels", [4, 8, 15])
def test_a_network_that_onednn_would_compute_wrongly_stays_as_it_is(channels):
    net = nn.Sequential(nn.Conv2d(channels, 32, 1, stride=2), nn.Conv2d(32, 8, 3))
    channels_last(net)
    assert net[1].weight.is_contiguous()
    assert not net[1].weight.is_contiguous(memory_format=torch.channels_last)


# In a process of its own, since what is tried may end it.
STEP = """
import copy, torch
from nextaim_kit.studies.breast_masses.layout import channels_last
from nextaim_kit.studies.breast_masses.prototypes.protopnet import backbone
torch.set_num_threads(2)
torch.manual_seed(0)
exact = backbone(0.125).double()
net = copy.deepcopy(exact).float()
channels_last(net)
for films in torch.rand(5, 3, 1, 64, 64, dtype=torch.double):
    for each, given in ((exact, films), (net, films.float())):
        each.zero_grad()
        each(given).square().mean().backward()
    for a, b in zip(exact.parameters(), net.parameters(), strict=True):
        assert (a.grad - b.grad).norm() <= 1e-3 * a.grad.norm() + 1e-9
"""


def test_a_small_backbone_learns_from_three_films_on_two_threads():
    done = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1000:]
