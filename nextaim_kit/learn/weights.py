"""Weights of networks in files: written whole, read back only into the network they are of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from nextaim_kit.errors import DataError
from nextaim_kit.files import atomic_path, require_file

Net = TypeVar("Net", bound=nn.Module)


def save_weights(net: nn.Module, path: Path) -> str:
    """Write a network's weights, whole or not at all, and give their path.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> Path(save_weights(nn.Linear(2, 1), Path(mkdtemp()) / "net.pt")).name
    'net.pt'
    """
    with atomic_path(path) as unfinished:
        torch.save(net.state_dict(), unfinished)
    return str(path)


def load_weights(net: nn.Module, path: Path) -> nn.Module:
    """Give a network the weights of a file that `save_weights` wrote.

    Raises
    ------
    DataError
        If the file cannot be read, or is of another network; names the first difference.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = save_weights(nn.Linear(2, 1), Path(mkdtemp()) / "net.pt")
    >>> load_weights(nn.Linear(2, 1), Path(path))
    Linear(in_features=2, out_features=1, bias=True)
    """
    weights = read_tensors(path)
    check_same_network(net, weights, path.name, "give the weights of a run with this network")
    net.load_state_dict(weights)
    return net


def read_tensors(path: Path) -> Any:
    """What torch wrote into a file, of tensors, numbers and texts: nothing in it is run.

    Raises
    ------
    DataError
        If it cannot be read, or holds anything else.
    """
    require_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises whatever the bytes lead it to
        raise DataError(
            f"{path.name} holds no weights",
            expected="a file of weights that torch wrote",
            found="" if path.is_file() else "No such file",
            mend="give the weights that an earlier run left",
        ) from error


def check_same_network(
    net: nn.Module, weights: Any, name: str, mend: str = "train into an empty folder"
) -> None:
    """Refuse weights of another network, with the first that differs in name or shape."""
    if not isinstance(weights, Mapping) or not all(isinstance(w, Tensor) for w in weights.values()):
        raise DataError(f"{name} holds no weights", expected="tensors by name")
    there = {key: tuple(value.shape) for key, value in weights.items()}
    here = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    if there != here:
        differing = sorted(n for n in {*there, *here} if there.get(n) != here.get(n))
        raise DataError(
            f"{name} is of another network",
            expected=f"{differing[0]} of shape {here.get(differing[0], 'none')}",
            found=f"shape {there.get(differing[0], 'none')}",
            mend=f"{mend}, or build the network that was saved",
        )


def filled(net: Net, weights: Any, file: str) -> Net:
    """A network that is ready to predict, with weights that a file held.

    It may have been built on torch's device "meta", where a network takes no memory.

    Parameters
    ----------
    net : Module
    weights : mapping of str to Tensor
        Such as `network_file.load_networks` gives.
    file : str
        Its name, in the words of an error.

    Raises
    ------
    DataError
        If they are of another network.

    Examples
    --------
    >>> net = filled(nn.Linear(2, 1, device="meta"), nn.Linear(2, 1).state_dict(), "a.safetensors")
    >>> net.training, net.weight.device.type
    (False, 'cpu')
    """
    check_same_network(net, weights, file, "give the file that a run left")
    # A copy keeps the memory format that the network was built with, and so its last digits.
    net.load_state_dict(weights, assign=any(one.is_meta for one in net.parameters()))
    return net.eval()


def digest(net: nn.Module) -> str:
    """A hash of a network's weights, whatever device and memory format they have."""
    found = hashlib.sha256()
    for name, value in net.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()
