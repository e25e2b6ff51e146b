"""What the networks learn from: whole scans for BB-net, parts of them for the U-Nets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, max_pool3d, pad
from torch.utils.data import Dataset

from nextaim_kit.studies.ct_lungquant.networks.nets import BOX_GRID, MULTIPLE, normalized
from nextaim_kit.studies.ct_lungquant.networks.preparing import (
    Box,
    Prepared,
    Size,
    whole,
    widened,
)
from nextaim_kit.studies.ct_lungquant.scans import AIR

What = Literal["lungs", "sides", "lesions"]
_AROUND = 2  # voxels
_AT_LESIONS = 2 / 3  # of the parts that U-net2 learns from lie around a lesion, where there is one


def rounded(patch: Sequence[int]) -> Size:
    """Edges in voxels as the networks can take them, x, y, z turned to z, y, x."""
    z, y, x = (-(-n // MULTIPLE) * MULTIPLE for n in reversed(patch))
    return z, y, x


class BoxItems(Dataset):
    """Whole scans on BB-net's grid, with the lungs' box as shares of the scan.

    Parameters
    ----------
    cases : sequence of Prepared
    augment : bool
        Take scans that begin and end elsewhere: more or less of neck, belly and air around.
    """

    def __init__(self, cases: Sequence[Prepared], *, augment: bool = False) -> None:
        self.cases, self.augment = cases, augment

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        case = self.cases[index]
        box = self._frame(case) if self.augment else whole(case.shape)
        hu = case.part("hu", box)
        edges = [
            ((at.start - frame.start) / (frame.stop - frame.start),
             (at.stop - frame.start) / (frame.stop - frame.start))
            for at, frame in zip(case.box, box, strict=True)
        ]  # fmt: skip
        corners = [first for first, _ in edges] + [last for _, last in edges]
        return on_box_grid(hu), torch.tensor(corners, dtype=torch.float32)

    @staticmethod
    def _frame(case: Prepared) -> Box:
        """Ends anywhere between the lungs' and the scan's."""
        shares = torch.rand(6).tolist()
        spans = [
            slice(int(at.start * a), n - int((n - at.stop) * b))
            for at, n, a, b in zip(case.box, case.shape, shares[:3], shares[3:], strict=True)
        ]
        return spans[0], spans[1], spans[2]


def on_box_grid(hu: Tensor) -> Tensor:
    """A scan, shape (1, z, y, x), as BB-net sees it, shape (1, 48, 48, 48)."""
    x = normalized(hu)[None]
    return interpolate(x, BOX_GRID, mode="trilinear", align_corners=False)[0]


class Patches(Dataset):
    """Parts of scans and their masks, shape (1, z, y, x).

    Parameters
    ----------
    cases : sequence of Prepared
    what : {"lungs", "sides", "lesions"}
        The mask: lungs as one, the right (1) and left one (2), or lesions.
    patch : (int, int, int)
        Voxels: z, y, x.
    whole : bool
        From the whole scan rather than from the lungs' box and somewhat around.
    inside : bool
        Show the lungs and two voxels around them: all else becomes air (`around_lungs`).
    scale : float
        How many times larger the voxels of the parts are than the cases'.
    augment : bool
        Take another part each time, with other noise and contrast; for lesions also mirrored.
        Else its middle.
    """

    def __init__(
        self,
        cases: Sequence[Prepared],
        what: What,
        patch: Size,
        *,
        whole: bool = False,
        inside: bool = False,
        scale: float = 1.0,
        augment: bool = False,
    ) -> None:
        self.cases, self.what, self.patch = cases, what, patch
        self.whole, self.inside, self.augment = whole, inside, augment
        z, y, x = (math.ceil(n * scale) for n in patch)
        self._reach: Size = z, y, x  # of a part, in the cases' voxels

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        case = self.cases[index]
        field = whole(case.shape)
        if not self.whole:
            field = widened(
                case.box, 0.12 * float(torch.rand(())) if self.augment else 0.06, case.shape
            )
        box = self._place(field, case.spots)
        hu, mask = case.part("hu", box), case.part("lungs", box)
        if self.inside:
            hu = around_lungs(hu, mask > 0)
        hu = fill(normalized(hu), self._reach, float(normalized(torch.tensor(AIR))))
        if self.what != "sides":
            mask = (case.part("lesions", box) if self.what == "lesions" else mask) > 0
        mask = resized(fill(mask, self._reach, 0), self.patch, "nearest-exact")
        hu = resized(hu, self.patch)
        return self._varied(hu, mask) if self.augment else (hu, mask)

    def _place(self, field: Box, spots: NDArray[np.int64]) -> Box:
        """Where the part lies: anywhere, or so that it holds a voxel of a lesion."""
        seen = None
        if self.augment and self.what == "lesions" and len(spots) and torch.rand(()) < _AT_LESIONS:
            seen = spots[int(torch.randint(len(spots), ()))]
        spans = []
        for axis, (span, n) in enumerate(zip(field, self._reach, strict=True)):
            low, high = span.start, max(span.start, span.stop - n)
            if seen is not None:
                low, high = max(low, int(seen[axis]) - n + 1), min(high, int(seen[axis]))
            low = min(low, high)
            drawn = int(torch.randint(high - low + 1, ())) if self.augment else (high - low) // 2
            spans.append(slice(low + drawn, min(span.stop, low + drawn + n)))
        return spans[0], spans[1], spans[2]

    def _varied(self, hu: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        # HU are calibrated: what is dense in one hospital is as dense in another.
        hu = hu * (0.97 + 0.06 * torch.rand(())) + 0.03 * (torch.rand(()) - 0.5)
        hu = hu + 0.05 * torch.rand(()) * torch.randn_like(hu)
        turned = [axis for axis in (1, 2, 3) if self.what == "lesions" and torch.rand(()) < 0.5]
        return hu.flip(turned), mask.flip(turned)


def around_lungs(hu: Tensor, lungs: Tensor) -> Tensor:
    """HU of the lungs and two voxels around them, air elsewhere; both of shape (1, z, y, x).

    Little is left of the chest wall, but lesions at the pleura, which a mask of the lungs may
    miss, are seen.
    """
    near = max_pool3d(lungs.float(), 2 * _AROUND + 1, 1, _AROUND) > 0
    return torch.where(near, hu, torch.tensor(AIR, dtype=hu.dtype))


def resized(part: Tensor, size: Size, mode: str = "trilinear") -> Tensor:
    """A part, shape (channels, z, y, x), in another number of voxels."""
    return part if part.shape[1:] == size else interpolate(part[None], size, mode=mode)[0]


def fill(part: Tensor, patch: Size, value: float) -> Tensor:
    """A part, shape (1, z, y, x), in the middle of a patch at least as large."""
    edges: list[int] = []
    for n, wanted in zip(reversed(part.shape[1:]), reversed(patch), strict=True):
        lacking = max(0, wanted - n)
        edges += [lacking // 2, lacking - lacking // 2]
    return pad(part.float(), edges, value=value)
