"""Denoising by what random matrix theory says of noise (MP-PCA), many patches at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

_CHUNK = 400  # patches whose eigenvalues are found together
_STRIDE = 2  # voxels between patches: with edges of 5 each voxel is still in about 16 of them


def denoise(data: NDArray, mask: NDArray) -> tuple[NDArray[np.float32], float]:
    """Take noise out of a series, and tell its size.

    The signals of neighboring voxels are a few patterns plus noise. Noise alone gives principal
    components whose variances fill a known range, (1 ± √(volumes / voxels))² of its own [1]_; what
    lies above that range is kept. It has to come first: whatever reads between voxels makes
    their noise alike. The same as dipy's ``mppca`` but for its stride, which saves seven of eight
    patches, and the voxels at the image's border, which dipy leaves without a value.

    Parameters
    ----------
    data : array of shape (x, y, z, volume)
    mask : array of bool, shape (x, y, z)
        Where it is done; elsewhere the data stay.

    Returns
    -------
    data : array of shape (x, y, z, volume)
    sigma : float
        Median standard deviation of the noise in the mask, in the data's units.

    References
    ----------
    .. [1] Veraart et al. 2016, https://doi.org/10.1016/j.neuroimage.2016.08.016
    """
    volumes = data.shape[-1]
    edge = 3 if volumes < 27 else 5 if volumes < 125 else 7  # more voxels than volumes
    total, weights = np.zeros(data.shape, np.float32), np.zeros(mask.shape, np.float32)
    spread = np.zeros(mask.shape, np.float32)
    places = _patches(mask, edge)
    for start in range(0, len(places), _CHUNK):
        some = places[start : start + _CHUNK]
        patches = np.stack([data[at].reshape(-1, volumes) for at in some]).astype(np.float32)
        clean, weight, variance = shrunk(patches)
        for at, one, much, noise in zip(some, clean, weight, variance, strict=True):
            total[at] += much * one.reshape(total[at].shape)
            weights[at] += much
            spread[at] += much * noise
    done = mask & (weights > 0)
    found = np.array(data, np.float32)
    found[done] = np.maximum(total[done] / weights[done, None], 0)
    return found, float(np.sqrt(np.median(spread[done] / weights[done])))


def shrunk(patches: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Patches without what may be noise, the weight of each, and its noise's variance.

    Parameters
    ----------
    patches : array of shape (patch, voxel, volume)
    """
    _, voxels, volumes = patches.shape
    mean = patches.mean(1, keepdims=True)
    off = patches - mean
    values, vectors = np.linalg.eigh(np.swapaxes(off, 1, 2) @ off / voxels)  # from small to large
    count = np.arange(1, volumes + 1)
    level = values.cumsum(1) / count  # variance, if the first so many are noise
    fits = values - values[:, :1] <= 4 * np.sqrt(count / voxels) * level
    most = volumes - 1 - fits[:, ::-1].argmax(1)
    variance = np.take_along_axis(level, most[:, None], 1)
    kept = values >= (1 + np.sqrt(volumes / voxels)) ** 2 * variance
    some = vectors * kept[:, None]
    return off @ some @ np.swapaxes(some, 1, 2) + mean, 1 / (1 + kept.sum(1)), variance[:, 0]


def _patches(mask: NDArray, edge: int) -> list[tuple[slice, ...]]:
    """Where patches lie that hold a part of the mask; the last ones end at the border."""

    def starts(n: int) -> Iterator[int]:
        yield from range(0, n - edge, _STRIDE)
        yield max(n - edge, 0)

    places = (tuple(slice(s, s + edge) for s in at) for at in product(*map(starts, mask.shape)))
    return [at for at in places if mask[at].any()]
