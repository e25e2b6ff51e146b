"""Plans: what is taken, in which order, what it is said to cost, what is never taken unasked."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nextaim_kit.errors import RequestError
from nextaim_kit.memory.planning import plan
from nextaim_kit.memory.predict import predict
from nextaim_kit.memory.step_memory import GB

SHAPE = (1, 32, 32, 32)
ORDER = [
    "as asked",
    "mixed precision",
    "activation checkpointing",
    "smaller batch, accumulated",
    "offload of saved activations",
    "patches",
    "fewer feature maps",
]


class Block(nn.Module):
    def __init__(self, before, after, norm=nn.InstanceNorm3d):
        super().__init__()
        self.one, self.two = nn.Conv3d(before, after, 3, padding=1), nn.Conv3d(after, after, 1)
        self.norm = norm(after)

    def forward(self, x):
        return torch.relu(self.two(torch.relu(self.norm(self.one(x)))))


def network(width=16, norm=nn.InstanceNorm3d):
    return nn.Sequential(Block(1, width, norm), Block(width, width, norm), nn.Conv3d(width, 1, 1))


def planned(share, build=network, **options):
    """A plan for this share of what the step takes as it is, tensors of a batch of 4."""
    options = {"batch_size": 4, **options}
    as_is = predict(build, SHAPE, batch_size=options["batch_size"],
                    device=options.get("device", "cuda"))  # fmt: skip
    return plan(build, SHAPE, budget_gb=share * as_is.peak / GB, **options)


@pytest.fixture(autouse=True)
def _no_allowance(monkeypatch):
    """Without the constant half GB, in which these small networks would drown."""
    monkeypatch.setattr("nextaim_kit.memory.step_memory.CONTEXT", 0)


def test_what_fits_is_left_as_it_is():
    found = planned(1.01)
    assert (found.fits, found.taken) == (True, [])
    assert found.step.batch_size == 4
    assert set(found.table["verdict"][1:]) <= {"not needed", "not offered"}


def test_tricks_stand_in_the_order_of_what_they_cost():
    assert list(planned(0.01).table["trick"]) == ORDER


def test_mixed_precision_comes_first_and_alone_where_it_is_enough():
    found = planned(0.9)
    assert [row.trick for row in found.taken] == ["mixed precision"]
    assert found.fits
    assert found.step.mixed


def test_memory_falls_from_trick_to_trick_until_it_fits():
    found = planned(0.2)
    sizes = [found.rows[0].memory.peak, *(row.memory.peak for row in found.taken)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(found.taken) >= 2
    assert found.memory.peak == sizes[-1]


def test_smaller_batches_add_up_to_the_batch_that_was_asked_for():
    found = planned(0.3, device="cpu", batch_size=6, accumulate=2)
    assert found.step.batch_size * found.step.accumulate == 12
    assert 6 % found.step.batch_size == 0
    assert found.step.batch_size < 6
    assert "still sees 12 items" in found.rows[3].costs


def test_batch_norm_is_said_to_see_the_smaller_batch_and_instance_norm_is_not():
    def cost(norm):
        return planned(0.01, lambda: network(norm=norm)).rows[3].costs

    assert "BATCH NORM SEES THE SMALLER BATCH" in cost(nn.BatchNorm3d)
    assert "the same update" in cost(nn.InstanceNorm3d)


def test_neither_patches_nor_a_narrower_network_are_taken_unasked():
    found = planned(0.01)
    assert not found.fits
    assert found.step.shape == SHAPE
    assert list(found.table["verdict"][-2:]) == ["not offered", "not offered"]
    assert "does NOT fit" in str(found)


def test_patches_are_as_large_as_fits_where_they_are_allowed():
    found = planned(0.3, device="cpu", batch_size=1, patches=True)
    assert found.fits
    assert found.taken[-1].trick == "patches"
    assert all(edge in (16, 32) for edge in found.step.shape[1:])
    assert "CHANGES WHAT THE NETWORK SEES" in str(found)


def test_a_given_patch_is_used_only_if_it_is_needed():
    patches = (16, 16, 32)
    assert planned(1.01, patches=patches).step.shape == SHAPE
    assert planned(0.05, device="cpu", patches=patches).step.shape == (1, *patches)


def test_a_patch_larger_than_the_volume_is_refused():
    with pytest.raises(RequestError, match="cannot be cut out"):
        planned(0.05, patches=(64, 16, 16))


def test_fewer_feature_maps_are_the_last_resort_and_only_where_allowed():
    found = planned(0.01, patches=True, narrower=lambda w: lambda: network(int(16 * w)))
    assert found.taken[-1].trick == "fewer feature maps"
    assert "ANOTHER NETWORK" in found.taken[-1].costs


def test_a_cpu_is_offered_neither_mixed_precision_nor_offload():
    found = planned(0.01, device="cpu")
    verdicts = dict(zip(found.table["trick"], found.table["verdict"], strict=True))
    assert verdicts["mixed precision"] == "not offered"
    assert verdicts["offload of saved activations"] == "not offered"


def test_times_are_in_units_of_the_plain_step_and_grow_where_blocks_are_computed_twice():
    found = planned(0.01, device="cpu", batch_size=1)
    assert found.table["expected_time"][0] == 1
    assert 1.05 < found.table["expected_time"][2] < 1.5


def test_all_tricks_can_be_worked_out_for_comparison():
    found = planned(1.01, every=True)
    assert found.table["memory_gb"][:5].notna().all()
    assert found.taken == []


def test_a_record_holds_plain_values():
    record = planned(0.2).record()
    assert record["batch_size"] * record["accumulate"] == 4
    assert record["steps"][0] == "mixed precision: bfloat16"
    assert record["predicted_gb"] <= record["budget_gb"]


def test_no_memory_is_no_budget():
    with pytest.raises(RequestError, match="more than 0 GB"):
        plan(network, SHAPE, budget_gb=0)
