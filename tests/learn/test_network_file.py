"""Networks in a file are read back as they were, and a file that was changed is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nextaim_kit.errors import DataError
from nextaim_kit.learn.network_file import load_networks, save_networks

TOLD = {"threshold": 0.25, "columns": ["Age", "SaO2"], "spread": [1.5, None]}


@pytest.fixture
def nets():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 2, 3).to(memory_format=torch.channels_last)
    return {"image": nn.Sequential(conv, nn.BatchNorm2d(2)), "table": nn.Linear(4, 1)}


@pytest.fixture
def path(nets, tmp_path) -> Path:
    return Path(save_networks(nets, tmp_path / "nets.safetensors", told=TOLD))


def load(path):
    return load_networks(path, expected="the networks of an earlier run")


def test_what_was_told_and_every_weight_come_back(nets, path):
    told, weights = load(path)
    assert list(told.items()) == list(TOLD.items())  # in their order
    assert set(weights) == set(nets)
    for name, net in nets.items():
        assert all(torch.equal(weights[name][key], v) for key, v in net.state_dict().items())


def test_the_same_networks_give_the_same_file(nets, path, tmp_path):
    save_networks(nets, tmp_path / "again.safetensors", told=TOLD)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_numbers_that_are_not_finite_are_not_told_and_leave_no_file(nets, tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        save_networks(nets, tmp_path / "nan.safetensors", told={"threshold": float("nan")})
    assert not list(tmp_path.glob("*nan*"))


def test_no_changed_byte_is_read(path):
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for at in rng.integers(len(whole), size=80):
        damaged = bytearray(whole)
        damaged[at] ^= 1 + rng.integers(255)
        path.write_bytes(bytes(damaged))
        with pytest.raises(DataError, match=r"nets\.safetensors holds no models"):
            load(path)


def test_half_a_file_another_kind_of_file_and_none_are_refused(path, tmp_path):
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"\x80" * 100, b"subject,label\nP1,0\n"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="the networks of an earlier run"):
            load(path)
    torch.save(nn.Linear(2, 1).state_dict(), path)
    with pytest.raises(DataError, match=r"nets\.safetensors holds no models"):
        load(path)
    for other, why in ((tmp_path / "none.safetensors", "holds no models"), (tmp_path, "a folder")):
        with pytest.raises(DataError, match=why):
            load(other)


def test_a_file_of_weights_that_this_kit_did_not_write_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="no entry 'nextaim_kit'"):
        load(tmp_path / "other.safetensors")
