"""Networks in one file with what has to be known of them: tensors and JSON, nothing that is run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nextaim_kit.files import atomic_path
from nextaim_kit.learn.model_file import UNREADABLE, no_models

_KEY = "nextaim_kit"
Weights = dict[str, Tensor]


def save_networks(nets: Mapping[str, nn.Module], path: Path, *, told: Mapping[str, Any]) -> str:
    """Write networks and what is told of them, whole or not at all, and give the file's path.

    Parameters
    ----------
    nets : mapping of str to Module
    path : Path
        A safetensors file, by its suffix.
    told : mapping
        What JSON can hold: settings, and the numbers that were fitted beside the networks.

    Raises
    ------
    ValueError
        If a number that is told is not finite.

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
        f"{name}/{key}": value.detach().cpu().contiguous()
        for name, net in nets.items()
        for key, value in net.state_dict().items()
    }
    text = json.dumps(told, allow_nan=False)
    said = json.dumps({"told": json.loads(text), "check": _check(text, weights)})
    with atomic_path(path) as unfinished:
        save_file(weights, unfinished, metadata={_KEY: said})
    return str(path)


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
    try:
        with safe_open(path, framework="pt") as file:
            said = json.loads(dict(file.metadata() or {})[_KEY])
            flat = {str(key): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if said["check"] != _check(json.dumps(said["told"]), flat):
            raise ValueError("other numbers than were written")
    except KeyError as error:
        raise no_models(path, ValueError(f"no entry {error}"), expected) from error
    except (*UNREADABLE, SafetensorError) as error:
        raise no_models(path, error, expected) from error
    weights: dict[str, Weights] = {}
    for name, value in flat.items():
        net, _, key = name.partition("/")
        weights.setdefault(net, {})[key] = value
    return said["told"], weights


def _check(text: str, weights: Mapping[str, Tensor]) -> str:
    """A hash of all that is in a file."""
    found = hashlib.sha256(text.encode())
    for name, value in sorted(weights.items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        found.update(value.flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()
