"""The same training elsewhere: the same bits where nothing changed, and how far it parts else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nextaim_kit.studies.challenges import hardware
from nextaim_kit.studies.challenges.hardware import Setting, Trace
from tests.studies.challenges.test_workarounds import PLAIN, volumes


@pytest.fixture(scope="module")
def traces():
    """Few updates of a small network in every setting that there is here."""
    found, _ = hardware.settings(seeds=2)
    parts = volumes(4), volumes(3)
    return {s.name: hardware.trace(s, PLAIN, parts, updates=3, seed=1) for s in found}


def test_the_same_setting_gives_the_same_bits(traces):
    one, again = traces["one thread"], traces["once more"]
    assert np.array_equal(one.losses, again.losses)
    assert np.array_equal(one.weights, again.weights)
    assert np.array_equal(one.probability, again.probability)


def test_first_losses_agree_to_rounding_and_16_bits_and_seeds_are_farther_off(traces):
    table = hardware.compared(traces).set_index("name")
    for name in ("two threads", "plain code"):
        assert table.loc[name, "first_loss"] < 1e-5
        assert table.loc[name, "weight"] < 0.05
    assert table.loc["bfloat16", "first_loss"] > 1e-5
    assert table.loc["seed + 1", "weight"] > 10 * table.loc["two threads", "weight"]


def test_the_machine_is_left_as_it_was(traces):
    before = torch.get_num_threads(), torch.backends.mkldnn.enabled
    setting = Setting("other", threads=1, own_kernels=False)
    hardware.trace(setting, PLAIN, (volumes(2), volumes(2)), updates=1, seed=1)
    assert (torch.get_num_threads(), torch.backends.mkldnn.enabled) == before
    assert len(traces["one thread"].losses) == 3


def test_without_a_gpu_it_is_left_out_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found, left = hardware.settings(seeds=1)
    assert left.to_dict("records") == [{"setting": "GPU", "why": "there is none at hand"}]
    assert [one.name for one in found][-1] == "seed + 1"


def test_differences_are_seen_beside_the_largest_that_a_seed_made():
    def made(dice):
        values = np.full(20, float(dice))
        return Trace(np.array([1.0]), np.zeros(2, np.float32), values, np.zeros(2, np.float32))

    table = hardware.compared(
        {"mark": made(0.5), "GPU": made(0.51), "seed + 1": made(0.52), "seed + 2": made(0.45)}
    ).set_index("name")
    assert table.loc["GPU", "value"] == pytest.approx(0.01)
    assert table.loc["GPU", "spread"] == pytest.approx(0.2)
    found = table.reset_index()
    assert hardware.tolerance(found, ["GPU"]) == pytest.approx(0.01)
    assert hardware.tolerance(found, []) == 0


def test_a_drift_has_a_line_for_each_and_the_same_bits_are_named(traces):
    from nextaim_kit.show.style import alt_of
    from nextaim_kit.studies.challenges import figures

    figure = figures.drift(hardware.drifts(traces), ylabel="loss")
    assert "once more: the same bits" in alt_of(figure)
    assert len(figure.axes[0].lines) == len(traces) - 1
