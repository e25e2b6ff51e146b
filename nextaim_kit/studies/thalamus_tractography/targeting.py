"""From T1 and diffusion in the box to the thalamus and its connectivity, by trained networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy import ndimage
from torch import nn

from nextaim_kit.errors import DataError
from nextaim_kit.learn.final import Seen
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.model_file import TrainedOn, no_models
from nextaim_kit.learn.network_file import load_networks as read_networks
from nextaim_kit.learn.network_file import save_networks as write_networks
from nextaim_kit.learn.weights import filled
from nextaim_kit.studies.thalamus_tractography.channels import require_inside
from nextaim_kit.studies.thalamus_tractography.definitions import BOX_SHAPE, TARGETS, SideName
from nextaim_kit.studies.thalamus_tractography.tensor import Tensors
from nextaim_kit.studies.thalamus_tractography.training import (
    INPUTS,
    Form,
    UNet,
    around,
    normalized,
    seen,
)

_EXPECTED = "a networks.safetensors of an earlier run of thalamus_tractography/targeting"


@dataclass(frozen=True)
class Networks:
    """What finds the thalamus, and what finds its maps in it.

    Attributes
    ----------
    thalamus : Module
    maps : tuple of Module
        One of six outputs, or six of one each in the order of `definitions.TARGETS`.
    form : {"tensor", "published", "mask"}
        What those of the maps see.
    """

    thalamus: nn.Module
    maps: tuple[nn.Module, ...]
    form: Form = "tensor"


@dataclass(frozen=True)
class Prediction:
    """What networks found in the box; of a right side in the mirror, as `channels.boxed` has it.

    Attributes
    ----------
    thalamus : array of shape (38, 60, 48)
        Probability.
    maps : array of shape (38, 60, 48, 6)
        Share of streamlines that would reach each target; 0 outside of the thalamus.
    side : {"left", "right"}
    """

    thalamus: NDArray[np.float32]
    maps: NDArray[np.float32]
    side: SideName = "left"

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The thalamus: the largest part of what is likelier than not."""
        return largest(self.thalamus >= 0.5)


def predict(
    t1: NDArray, tensors: Tensors, networks: Networks, side: SideName = "left"
) -> Prediction:
    """Find the thalamus in T1, then its connectivity in diffusion.

    Parameters
    ----------
    t1 : array of shape (38, 60, 48)
        In the box (`channels.boxed`).
    tensors : Tensors
        In the box (`channels.boxed_tensors`).
    networks : Networks
    side : {"left", "right"}
        Which box it was: told on, not used.

    Returns
    -------
    Prediction
        Where what is found cannot be a thalamus (nothing, or on the box's border), maps of 0.
    """
    found = apply(networks.thalamus, normalized(t1)[None, None])[0, 0].sigmoid().numpy()
    return Prediction(found, maps_in(largest(found >= 0.5), tensors, networks), side)


def maps_in(mask: NDArray[np.bool_], tensors: Tensors, networks: Networks) -> NDArray[np.float32]:
    """The maps in a given mask, shape (38, 60, 48, 6)."""
    try:
        require_inside(mask)
    except DataError:
        return np.zeros((*BOX_SHAPE, len(TARGETS)), np.float32)
    part = around(mask)
    shown = torch.from_numpy(seen(tensors, mask, networks.form)[(slice(None), *part)])[None]
    logits = torch.cat([apply(net, shown)[0] for net in networks.maps])
    found = np.zeros((*mask.shape, len(TARGETS)), np.float32)
    found[part] = np.moveaxis(logits.sigmoid().numpy(), 0, -1)
    return found * mask[..., None]


def largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest part of a mask."""
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    return labels == 1 + np.bincount(labels.ravel())[1:].argmax()


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Net(_Plain):
    inputs: Annotated[int, Field(ge=1, le=64)]
    outputs: Annotated[int, Field(ge=1, le=6)]
    widths: Annotated[list[Annotated[int, Field(ge=1, le=1024)]], Field(min_length=2, max_length=6)]


class _Told(_Plain):
    format: Literal["thalamus_tractography networks 1"] = "thalamus_tractography networks 1"
    form: Form
    networks: dict[str, _Net]
    trained_on: TrainedOn


def save_networks(
    networks: Networks, path: Path, *, cohort: Mapping[str, Any], subjects: Sequence[str]
) -> str:
    """Write networks of one cohort, and give the file's path.

    Parameters
    ----------
    networks : Networks
    path : Path
        Its suffix is ``.safetensors``.
    cohort : mapping
        ``name``, ``sha256`` and ``synthetic``, as `data.fingerprint` gives them.
    subjects : sequence of str
        Who trained and chose them.
    """
    nets = _named(networks)
    told = _Told(
        form=networks.form, networks={name: _Net(**net.settings) for name, net in nets.items()},
        trained_on=TrainedOn.of(cohort, Seen.of(subjects)),
    )  # fmt: skip
    return write_networks(nets, path, told=told.model_dump())


def _named(networks: Networks) -> dict[str, Any]:
    several = {f"maps_{k}": net for k, net in enumerate(networks.maps)}
    return {"thalamus": networks.thalamus, **several}


def load_networks(path: Path) -> tuple[Networks, TrainedOn]:
    """Read the networks of a file that `save_networks` wrote, and whom they were trained on.

    Raises
    ------
    DataError
        If it is no such file, is damaged, or of another kind.
    """
    said, weights = read_networks(path, expected=_EXPECTED)
    try:
        told = _Told.model_validate(said)
        with torch.device("meta"):  # a file that names a huge one takes no memory
            nets = {name: UNet(**one.model_dump()) for name, one in told.networks.items()}
        thalamus = nets.pop("thalamus")
        maps = tuple(nets[f"maps_{k}"] for k in range(len(nets)))
    except (ValidationError, TypeError, KeyError) as error:
        raise no_models(path, error, _EXPECTED) from error
    found = Networks(thalamus, maps, told.form)
    for name, net in _named(found).items():
        filled(net, weights.get(name, {}), path.name)
    outputs = sum(net.settings["outputs"] for net in _named(found).values()) - 1
    if outputs != len(TARGETS) or any(n.settings["inputs"] != INPUTS[told.form] for n in maps):
        raise DataError(f"{path.name} holds other networks", expected=_EXPECTED)
    return found, told.trained_on
