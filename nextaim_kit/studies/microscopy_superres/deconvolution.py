"""Richardson-Lucy deconvolution, also with total variation: what can be done without learning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nextaim_kit.studies.microscopy_superres.measures import consistency
from nextaim_kit.studies.microscopy_superres.pairs import Pair
from nextaim_kit.studies.microscopy_superres.preparation import enlarged, normalized

_LEAST = 1e-4  # of the range: no pixel is black for good
_SLOPE = 1e-2  # gradient, as share of the range, below which total variation is rounded off


def richardson_lucy(
    image: NDArray, width: float, iterations: int = 20, variation: float = 0.0
) -> NDArray[np.float32]:
    """The image whose blur by a Gaussian explains another one best, if noise is Poisson's.

    Parameters
    ----------
    image : array of shape (rows, columns)
        Not negative.
    width : float
        Standard deviation of the blur, in pixels.
    iterations : int
        Fewer leave blur, more raise noise.
    variation : float
        Weight of total variation, which prefers flat areas: 0 is plain Richardson-Lucy.

    References
    ----------
    Richardson 1972, doi:10.1364/JOSA.62.000055; Dey et al. 2006, doi:10.1002/jemt.20294.
    """
    seen = np.maximum(np.asarray(image, np.float32), 0) + np.float32(_LEAST)
    found = np.full_like(seen, seen.mean())
    for _ in range(iterations):
        ratio = seen / np.maximum(_blurred(found, width), _LEAST / 100)
        found = found * _blurred(ratio, width)
        if variation:
            found /= np.clip(1 - variation * _curvature(found), 0.5, 2.0)
    return found


def _blurred(image: NDArray, width: float) -> NDArray[np.float32]:
    return ndimage.gaussian_filter(image, width, mode="reflect", truncate=3.0)


def _curvature(image: NDArray) -> NDArray[np.float32]:
    """Divergence of the gradient's direction."""
    down, right = np.gradient(image)
    steep = np.sqrt(down**2 + right**2 + (_SLOPE * image.max()) ** 2)
    return np.gradient(down / steep, axis=0) + np.gradient(right / steep, axis=1)


def blur_of(pairs: Sequence[Pair]) -> float:
    """Median width of the blur that makes STORM a widefield image, in widefield pixels.

    Of training pairs: it takes the place of a measured point spread function.
    """
    return float(
        np.median([consistency(p.storm, normalized(p.widefield), p.scale).width for p in pairs])
    )


def deconvolved(pair: Pair, blur: float, variation: float = 0.0) -> NDArray[np.float32]:
    """Richardson-Lucy of a pair's enlarged widefield image; `blur` in widefield pixels."""
    return richardson_lucy(enlarged(pair), blur * pair.scale, variation=variation)
