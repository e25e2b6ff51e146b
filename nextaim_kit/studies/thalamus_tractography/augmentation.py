"""Training images moved by chance: what has a direction is turned and mirrored with the head."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from nextaim_kit.studies.thalamus_tractography.tensor import ELEMENTS

How = Literal["right", "published", "none"]
NOISE, SHIFT, ZOOM, ANGLES = 0.025, 5.0, (0.7, 1.3), (5.0, 10.0, 15.0)  # as published
GAMMA, SHADE, GRAIN = (0.4, 1.8), 0.15, 0.08  # of T1: contrast, unevenness and noise, at most
NONE = slice(0, 0)
_ROWS, _COLUMNS = np.tril_indices(3)  # in the order of ELEMENTS


def carried(image: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """Every channel's gray values, moved about the middle: shape (channel, x, y, z).

    What was at p lies at ``matrix @ p + shift``, in voxels from the middle; the border goes on.
    """
    half = (torch.tensor(image.shape[1:]) - 1) / 2
    axes = [torch.arange(n) - h for n, h in zip(image.shape[1:], half.tolist(), strict=True)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    source = (points - shift) @ torch.linalg.inv(matrix).T / half
    found = grid_sample(image[None], source.flip(-1)[None], padding_mode="border",
                        align_corners=True)  # fmt: skip
    return found[0]


def rotation_of(matrix: Tensor) -> Tensor:
    """The turn, or mirror, in a matrix: a zoom stretches the head, not its water."""
    left, _, right = torch.linalg.svd(matrix)
    return left @ right


def turned(elements: Tensor, rotation: Tensor) -> Tensor:
    """Tensors of shape (6, x, y, z) in turned or mirrored axes: R D Rᵀ in every voxel."""
    pairs = torch.zeros(len(ELEMENTS), 3, 3)  # what each element is of a symmetric matrix
    for k, (i, j) in enumerate(zip(_ROWS, _COLUMNS, strict=True)):
        pairs[k, i, j] = pairs[k, j, i] = 1
    by = (rotation @ pairs @ rotation.T)[:, _ROWS, _COLUMNS]  # each element of D, turned
    return torch.einsum("kl,kxyz->lxyz", by, elements)


def moved(image: Tensor, matrix: Tensor, shift: Tensor, tensor: slice = NONE) -> Tensor:
    """Images moved, and with them what the channels of a tensor say."""
    found = carried(image, matrix, shift)
    if len(found[tensor]):
        found[tensor] = turned(found[tensor], rotation_of(matrix))
    return found


def drawn(how: How) -> tuple[str, Tensor, Tensor]:
    """One change by chance, as published: its name, a matrix and a shift in voxels.

    "right" leaves out the mirror: a network for the left thalamus is never shown another one.
    """
    kinds = ["none", "turn", "zoom", "noise", "shift"] + ["mirror"] * (how == "published")
    kind = "none" if how == "none" else kinds[int(torch.randint(len(kinds), ()))]
    matrix, shift = torch.eye(3), torch.zeros(3)
    if kind == "turn":
        axis = torch.nn.functional.normalize(torch.randn(3), dim=0)
        angle = np.deg2rad(ANGLES[int(torch.randint(len(ANGLES), ()))])
        cross = torch.linalg.cross(torch.eye(3), axis.expand(3, 3))
        matrix = torch.matrix_exp(angle * cross)
    elif kind == "zoom":
        matrix = (ZOOM[0] + (ZOOM[1] - ZOOM[0]) * torch.rand(())) * matrix
    elif kind == "shift":
        shift = SHIFT * (2 * torch.rand(3) - 1)
    elif kind == "mirror":
        matrix = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    return kind, matrix, shift


def recolored(t1: Tensor) -> Tensor:
    """T1 from 0 to 1 as another scanner might show it, which the published changes leave out.

    Another contrast between the tissues, uneven brightness and noise, each by chance.
    """
    low, high = np.log(GAMMA)
    image = t1.clamp(0, 1) ** torch.exp(low + (high - low) * torch.rand(()))
    slopes = SHADE * (2 * torch.rand(3) - 1)
    ramps = [
        slope * torch.linspace(-1, 1, n) for slope, n in zip(slopes, t1.shape[1:], strict=True)
    ]
    image = image * (1 + ramps[0][:, None, None] + ramps[1][:, None] + ramps[2])
    image = image + GRAIN * torch.rand(()) * torch.randn_like(image)
    return (image - image.min()) / (image.max() - image.min()).clamp(min=1e-6)


def augmented(
    inputs: Tensor, target: Tensor, how: How, tensor: slice = NONE
) -> tuple[Tensor, Tensor]:
    """Inputs and target, changed alike.

    Parameters
    ----------
    inputs, target : Tensor of shape (channel, x, y, z)
    how : {"right", "published", "none"}
        "published" moves whatever has a direction like gray values, and mirrors left thalami.
    tensor : slice
        Channels of the inputs that are a tensor's elements, if any.
    """
    kind, matrix, shift = drawn(how)
    if kind == "noise":
        return inputs + NOISE * torch.randn_like(inputs), target
    if kind == "none":
        return inputs, target
    known = tensor if how == "right" else NONE
    return moved(inputs, matrix, shift, known), carried(target, matrix, shift)
