"""Weights are read back into the network they are of, and into no other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nextaim_kit.errors import DataError
from nextaim_kit.learn.weights import digest, load_weights, save_weights


def network(drop=0.2):
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(drop), nn.Linear(16, 1))


def test_saved_weights_are_read_into_another_network_of_the_kind(tmp_path):
    net, other = network().eval(), network().eval()
    path = tmp_path / "net.pt"
    assert save_weights(net, path) == str(path)
    x = torch.randn(20, 8)
    assert not torch.allclose(other(x), net(x))
    assert load_weights(other, path) is other
    assert torch.equal(other(x), net(x))


def test_weights_of_another_architecture_are_refused_with_the_first_that_differs(tmp_path):
    save_weights(network(), tmp_path / "net.pt")
    other = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 3))
    said = r"net\.pt is of another network(.|\n)*3\.bias of shape \(3,\)(.|\n)*shape \(1,\)"
    with pytest.raises(DataError, match=said):
        load_weights(other, tmp_path / "net.pt")
    with pytest.raises(DataError, match=r"0\.bias of shape none(.|\n)*shape \(16,\)"):
        load_weights(nn.ReLU(), tmp_path / "net.pt")


# torch's reader ends with an error of another kind for each of them.
@pytest.mark.parametrize("text", ["no weights", "a text", "hello", "readme"])
def test_a_text_holds_no_weights(tmp_path, text):
    (tmp_path / "net.pt").write_text(text)
    with pytest.raises(DataError, match=r"net\.pt holds no weights"):
        load_weights(network(), tmp_path / "net.pt")


def test_neither_half_a_file_nor_none_nor_other_things_hold_weights(tmp_path):
    path = tmp_path / "net.pt"
    with pytest.raises(DataError, match=r"net\.pt holds no weights(.|\n)*No such file"):
        load_weights(network(), path)
    save_weights(network(), path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"net\.pt holds no weights"):
        load_weights(network(), path)
    torch.save([1, 2], path)
    with pytest.raises(DataError, match=r"net\.pt holds no weights(.|\n)*tensors by name"):
        load_weights(network(), path)


def test_a_digest_tells_weights_apart_but_not_how_they_lie_in_memory():
    torch.manual_seed(0)
    net, other = nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3)
    before = digest(net)
    assert digest(other) != before
    assert digest(net.to(memory_format=torch.channels_last)) == before
