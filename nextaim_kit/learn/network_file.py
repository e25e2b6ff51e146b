"""Networks in one file with what has to be known of them: numbers, nothing that is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nextaim_kit.learn.array_file import load_arrays, save_arrays

Weights = dict[str, Tensor]


def save_networks(nets: Mapping[str, nn.Module], path: Path, *, told: Mapping[str, Any]) -> str:
    """Write networks and what is told of them, as `save_arrays` does.

    Parameters
    ----------
    nets : mapping of str to Module
    path : Path
        A safetensors file, by its suffix.
    told : mapping
        What JSON can hold: settings, and the numbers that were fitted beside the networks.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> place = Path(mkdtemp()) / "nets.safetensors"
    >>> path = save_networks({"first": nn.Linear(2, 1)}, place, told={"threshold": 0.5})
    >>> told, weights = load_networks(Path(path), expected="networks")
    >>> told["threshold"], sorted(weights["first"])
    (0.5, ['bias', 'weight'])
    """
    weights = {
        f"{name}/{key}": value.detach().cpu().numpy()
        for name, net in nets.items()
        for key, value in net.state_dict().items()
    }
    return save_arrays(weights, path, told=told)


def load_networks(path: Path, *, expected: str) -> tuple[dict[str, Any], dict[str, Weights]]:
    """Read what was told of networks, and the weights of each by its name.

    Parameters
    ----------
    path : Path
    expected : str
        What the file should be, in the words of an error.

    Raises
    ------
    DataError
        If `save_networks` did not write it, or it was changed since.
    """
    told, arrays = load_arrays(path, expected=expected)
    weights: dict[str, Weights] = {}
    for name, value in arrays.items():
        net, _, key = name.partition("/")
        weights.setdefault(net, {})[key] = torch.from_numpy(value)
    return told, weights
