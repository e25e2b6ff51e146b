"""A network over images of any size: in tiles, with bounded memory, and without seams."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.errors import RequestError
from nextaim_kit.progress import Progress, ProgressLine

if TYPE_CHECKING:
    from torch import nn

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
_STEP = 4  # pixels: tiles begin where a network that first folds squares of them begins one


class Tiled(NamedTuple):
    """What a network made of an image, tile by tile.

    Attributes
    ----------
    image : array of shape (scale * rows, scale * columns)
    seam : float
        Largest difference, where two tiles meet, between what the one says of the other's first
        pixels and what that says: the seam's error, rather more than less. 0 where there is one
        tile; with a halo of the receptive radius it is rounding.
    tiles : int
    """

    image: NDArray[np.float32]
    seam: float
    tiles: int


def tiled(
    predict: Predict,
    image: NDArray[np.float32],
    scale: int,
    *,
    halo: int,
    tile: int = 256,
    out: NDArray[np.float32] | None = None,
    progress: Progress | None = None,
) -> Tiled:
    """Ask a network about an image tile by tile, and put its answers together.

    Each tile is shown with a halo of what lies around it, whose answer is cut off. A halo that
    reaches as far as the network sees (`networks.receptive_radius`) gives what one pass over the
    whole image gives. A smaller one is quicker and leaves seams, whose size is reported, not
    blended away: a blended seam is wrong over the whole width of the blend.

    Parameters
    ----------
    predict : callable
        Shape (rows, columns) to (scale * rows, scale * columns).
    image : array of shape (rows, columns)
        As the network takes it. Normalize the whole image first: tiles have other percentiles.
    scale : int
    halo : int
        Pixels of `image`, at least 1; rounded up to whole fours.
    tile : int
        Edge of a tile without its halo, in pixels of `image`; rounded up to whole fours.
    out : array, optional
        Where the answer goes, such as a `numpy.memmap` that does not have to fit into memory.
    progress : callable, optional

    Raises
    ------
    RequestError
        If halo or tile is too small, or the answer has another size than expected.

    Examples
    --------
    >>> twice = lambda part: part.repeat(2, 0).repeat(2, 1)
    >>> image = np.arange(64.0).reshape(8, 8)
    >>> found = tiled(twice, image, 2, halo=1, tile=4, progress=lambda *_: None)
    >>> found.tiles, found.seam, bool((found.image == twice(image)).all())
    (4, 0.0, True)
    """
    if halo < 1 or tile < 1:
        raise RequestError("a tile and its halo have at least one pixel", found=f"{tile}, {halo}")
    halo, tile = (-(-n // _STEP) * _STEP for n in (halo, tile))
    rows, columns = image.shape
    whole = np.empty((rows * scale, columns * scale), np.float32) if out is None else out
    if whole.shape != (rows * scale, columns * scale):
        raise RequestError(
            "the place for the answer has another size",
            expected=f"{rows * scale} by {columns * scale}", found=str(whole.shape),
        )  # fmt: skip
    corners = [(r, c) for r in range(0, rows, tile) for c in range(0, columns, tile)]
    tell = progress or ProgressLine("predicted", "tiles")
    beside, seam = np.empty((0, 0), np.float32), 0.0
    below = np.full((scale, columns * scale), np.nan, np.float32)
    for k, (r, c) in enumerate(corners):
        part, (top, left) = _asked(predict, image, (r, c), tile, halo, scale)
        height, width = (min(tile, n - at) * scale for n, at in ((rows, r), (columns, c)))
        core = part[top : top + height, left : left + width]
        place = np.s_[r * scale : r * scale + height, c * scale : c * scale + width]
        whole[place] = core
        if c:
            seam = max(seam, _apart(beside, core[:, :scale]))
        if r:
            seam = max(seam, _apart(below[:, place[1]], core[:scale]))
        beside = part[top : top + height, left + width : left + width + scale].copy()
        if r + tile < rows:
            below[:, place[1]] = part[top + height : top + height + scale, left : left + width]
        tell(k + 1, len(corners), f"at {r}, {c}")
    return Tiled(whole, seam, len(corners))


def _asked(
    predict: Predict, image: NDArray, corner: tuple[int, int], tile: int, halo: int, scale: int
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """The answer to a tile with its halo, and where in it the tile begins."""
    (r0, c0), (r1, c1) = (
        [max(0, at - halo) for at in corner],
        [min(n, at + tile + halo) for n, at in zip(image.shape, corner, strict=True)],
    )
    part = predict(np.ascontiguousarray(image[r0:r1, c0:c1]))
    expected = ((r1 - r0) * scale, (c1 - c0) * scale)
    if part.shape != expected:
        raise RequestError(
            f"the network's answer is not {scale} times as fine",
            expected=str(expected), found=str(part.shape),
        )  # fmt: skip
    return part, ((corner[0] - r0) * scale, (corner[1] - c0) * scale)


def _apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Largest difference of what two tiles say of the same pixels."""
    return float(np.abs(a - b).max())


def as_function(net: nn.Module) -> Predict:
    """A network of images as a function of one array, in evaluation mode and without gradients.

    A network of several channels is shown a gray image in each of them, and the mean of its
    answer's channels is taken.
    """
    from nextaim_kit.learn.inference import apply

    channels = int(getattr(net, "channels", 1))

    def predict(image: NDArray[np.float32]) -> NDArray[np.float32]:
        shown = np.repeat(np.asarray(image, np.float32)[None, None], channels, 1)
        return apply(net, shown)[0].mean(0).numpy()

    return predict
