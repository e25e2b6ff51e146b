"""The networks of a run in a file of plain numbers, for later runs to use or go on from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from nextaim_kit.learn.final import Seen
from nextaim_kit.learn.model_file import TrainedOn, no_models
from nextaim_kit.learn.network_file import load_networks
from nextaim_kit.learn.network_file import save_networks as write_networks
from nextaim_kit.learn.weights import filled
from nextaim_kit.studies.microscopy_superres.networks.esrgan import Generator
from nextaim_kit.studies.microscopy_superres.networks.unet import UNet

_EXPECTED = "a networks.safetensors of an earlier run of microscopy_superres/superresolution"
_KINDS: dict[str, type[nn.Module]] = {"generator": Generator, "unet": UNet}


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Network(_Plain):
    kind: Literal["generator", "unet"]
    settings: dict[str, Annotated[int, Field(ge=1, le=1024)]]


class _Told(_Plain):
    format: Literal["microscopy_superres networks 1"] = "microscopy_superres networks 1"
    networks: Annotated[dict[str, _Network], Field(min_length=1)]
    trained_on: TrainedOn


@dataclass(frozen=True)
class SavedNetworks:
    """What a file of `save_networks` holds.

    Attributes
    ----------
    nets : dict of str to Module
        `Generator` or `UNet`, ready to predict, by their names in the run.
    trained_on : TrainedOn
        The cohort, its fields as hashes of their names.
    """

    nets: dict[str, nn.Module]
    trained_on: TrainedOn

    @property
    def seen(self) -> Seen:
        """Fields that the networks were trained on."""
        return self.trained_on.seen


def save_networks(
    nets: Mapping[str, nn.Module], path: Path, *, cohort: Mapping[str, Any], fields: Iterable[str]
) -> str:
    """Write networks of one cohort, and give the file's path.

    Parameters
    ----------
    nets : mapping of str to Generator or UNet
    path : Path
        Its suffix is ``.safetensors``.
    cohort : mapping
        ``name``, ``sha256`` and ``synthetic``, as `data.fingerprint` gives them.
    fields : iterable of str
        Names of the training fields; those of another cohort that show the same fields are to be
        told by content (`pairs.never_seen`).
    """
    kinds = {kind: name for name, kind in _KINDS.items()}
    told = _Told(
        networks={
            name: _Network(kind=kinds[type(net)], settings=net.settings)  # type: ignore[arg-type]
            for name, net in nets.items()
        },
        trained_on=TrainedOn.of(cohort, Seen.of(fields)),
    )
    return write_networks(nets, path, told=told.model_dump())


def load_saved(path: Path) -> SavedNetworks:
    """Read the networks of a file that `save_networks` wrote.

    Raises
    ------
    DataError
        If it is no such file, is damaged, or of another kind.
    """
    said, weights = load_networks(path, expected=_EXPECTED)
    try:
        told = _Told.model_validate(said)
        nets = {name: _built(one) for name, one in told.networks.items()}
    except (ValidationError, TypeError) as error:
        raise no_models(path, error, _EXPECTED) from error
    for name, net in nets.items():
        filled(net, weights.get(name, {}), path.name)
    return SavedNetworks(nets, told.trained_on)


def _built(one: _Network) -> nn.Module:
    """The network without its numbers: a file that names a huge one takes no memory."""
    with torch.device("meta"):
        return _KINDS[one.kind](**one.settings)
