"""The grid's network: which edges it takes, and that two stages compute what one does."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from nextaim_kit.errors import RequestError
from nextaim_kit.memory.dry_run import dry_run
from nextaim_kit.memory.step_memory import Step
from nextaim_kit.studies.challenges.network import (
    Decoder,
    Encoder,
    builder,
    check_edges,
    pipeline,
    split_step,
    stages,
    two_devices,
    unet,
)


def step(batch_size=1, edge=16):
    inputs = (((1, edge, edge, edge), "float32"),)
    return Step(builder(4, 3), inputs, batch_size=batch_size)


@pytest.mark.parametrize("levels", [3, 4])
def test_the_output_has_the_size_of_the_input(levels):
    x = torch.zeros(1, 1, 32, 16, 16)
    assert unet(2, levels)(x).shape == x.shape


def test_two_stages_give_the_bits_of_one():
    torch.manual_seed(0)
    whole, x = unet(4, 3), torch.randn(2, 1, 16, 16, 16)
    target = (torch.randn_like(x) > 0).float()
    output = whole(x)
    bce(output, target).backward()
    one = [p.grad.clone() for p in whole.parameters()]
    whole.zero_grad()
    cut, value = split_step(Encoder(whole), Decoder(whole), x, target, bce)
    assert torch.equal(cut, output)
    assert torch.equal(value, bce(output, target))
    assert all(torch.equal(a, p.grad) for a, p in zip(one, whole.parameters(), strict=True))


def test_the_stages_share_the_weights_and_the_work_and_each_holds_less_than_the_whole():
    whole = step(edge=32)
    first, second, handed = stages(whole)
    found = [dry_run(one) for one in (whole, first, second)]
    weights = [one.parts["parameters"] for one in found]
    assert weights[0] == pytest.approx(weights[1] + weights[2], rel=0.01)  # rounded to blocks
    assert found[0].flops == found[1].flops + found[2].flops
    assert max(found[1].tensors, found[2].tensors) < found[0].tensors
    assert handed == 4 * (4 * 32**3 + 8 * 16**3 + 16 * 8**3)


def test_what_is_handed_over_grows_with_the_batch():
    assert stages(step(3))[2] == 3 * stages(step(1))[2]


def test_each_of_two_devices_holds_less_than_one_alone_and_together_they_hold_more():
    held = two_devices(step()).set_index("device")["tensors_mb"]
    assert held.drop("one device").max() < held["one device"] < held.drop("one device").sum()


def test_in_one_piece_two_devices_take_the_time_of_one_and_half_of_it_is_idle():
    table = pipeline(*stages(step()), [1, 2, 100])
    assert table["expected_time"][0] == pytest.approx(1)
    assert table["idle"][0] == pytest.approx(50)
    assert table["expected_time"].is_monotonic_decreasing
    assert table["expected_time"].min() >= 0.5


def test_an_edge_that_the_levels_do_not_divide_is_refused_with_its_neighbors():
    check_edges([32, 244], 3)
    with pytest.raises(RequestError, match="cannot take an edge of 45 voxels") as caught:
        check_edges([32, 45], 3)
    assert "44 or 48" in str(caught.value)


def test_an_edge_must_be_divided_after_shrinking_too():
    with pytest.raises(RequestError, match="an edge of 36 voxels divided by 2"):
        check_edges([36], 3, factor=2)


def test_an_edge_must_leave_two_voxels_at_the_lowest_level():
    with pytest.raises(RequestError, match="cannot take an edge of 4 voxels"):
        check_edges([4], 3)
