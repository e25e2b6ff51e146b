"""What is measured of a training step is what its tensors took."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nextaim_kit.memory.measuring import measure, peak_of, train
from nextaim_kit.memory.predict import predict
from nextaim_kit.memory.step_memory import Step


def linear():
    return nn.Linear(1000, 500, bias=False)


def test_the_peak_is_that_of_the_tensors_held_at_once():
    def run():
        one = torch.zeros(1000)
        two = torch.zeros(500)
        del one
        return torch.zeros(200) + two[0]

    assert peak_of(run) == pytest.approx(4 * 1500, abs=16)


def test_a_step_without_convolutions_takes_what_is_predicted():
    step = Step(linear, (((1000,), "float32"),), batch_size=4, device="cpu")
    found = measure(step)
    assert found.peak == pytest.approx(predict(linear, (1000,), batch_size=4, device="cpu").peak,
                                       rel=0.05)  # fmt: skip
    assert found.seconds > 0


def test_every_update_is_timed():
    seconds = []
    train(Step(linear, (((1000,), "float32"),), accumulate=2, device="cpu"), 3, seconds)
    assert len(seconds) == 3
    assert min(seconds) > 0
