"""Stationary wavelets of a region: pyradiomics' values, pass by pass.

A pass keeps of its axis what the region's box needs, and each band is made when its turn comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from nextaim_kit.studies.ct_radiomics.compiled import kernel
from nextaim_kit.studies.ct_radiomics.passes import Rows, along
from nextaim_kit.studies.ct_radiomics.region import Box

_SLAB = 16  # planes of a band that are made together


def wavelets(
    image: np.ndarray, box: Box, mask: np.ndarray, options: Mapping[str, Any]
) -> Iterator[tuple[str, np.ndarray]]:
    """Bands of the stationary wavelet transform, which goes around the image as `pywt.swtn` does.

    There has to be machine code for it.

    Parameters
    ----------
    image : ndarray, shape (z, y, x)
    box : tuple of slice
    mask : ndarray of bool, shape of the box
        Voxels whose values are wanted.
    options : mapping
        pyradiomics settings: ``wavelet``, ``level``, ``start_level``, ``force2D``.

    Yields
    ------
    name : str
        As pyradiomics calls the band.
    values : ndarray, shape (voxels under the mask,)
        Of the type that `kind_of` tells. Each level's band of all L is what the next one starts
        from.
    """
    flat = options.get("force2Ddimension", 0) if options.get("force2D", False) else None
    axes = [axis for axis in (2, 1, 0) if axis != flat]
    first, levels = max(0, options.get("start_level", 0)), options.get("level", 1)
    kind = kind_of(image)
    bank = _Bank.of(options.get("wavelet", "coif1"), kind, image.shape)
    wanted = [range(b.start, b.stop) for b in box]
    part, at = image, [0, 0, 0]
    for after in range(first + levels - 1, -1, -1):
        level = levels - after
        name = f"wavelet{level if level > 1 else ''}-"
        if part is image:
            whole = bank.needed(wanted, axes, after + 1)
            part, at = _around(image, whole), [r.start for r in whole]
        for letters in product("LH", repeat=len(axes)) if level > 0 else ():
            if "H" in letters:
                slabs = bank.slabs(part, at, wanted, dict(zip(axes, letters, strict=True)))
                yield name + "".join(letters), _marked(slabs, mask, kind)
        smooth = dict.fromkeys(axes, "L")
        if after:
            wider = bank.needed(wanted, axes, after)
            part = np.concatenate(list(bank.slabs(part, at, wider, smooth)))
            at = [r.start for r in wider]
    yield name + "L" * len(axes), _marked(bank.slabs(part, at, wanted, smooth), mask, kind)


def kind_of(image: np.ndarray) -> np.dtype[Any]:
    """Type of an image's bands: float32 of a float32 image, else float64."""
    return np.dtype(np.float32 if image.dtype == np.float32 else np.float64)


def _marked(slabs: Iterator[np.ndarray], mask: np.ndarray, kind: np.dtype[Any]) -> np.ndarray:
    """Values under the mask of slabs that follow each other."""
    found = np.empty(np.count_nonzero(mask), kind)
    plane = filled = 0
    for slab in slabs:
        some = slab[mask[plane : plane + len(slab)]]
        found[filled : filled + some.size] = some
        plane, filled = plane + len(slab), filled + some.size
    return found


def _around(image: np.ndarray, whole: list[range]) -> np.ndarray:
    """Part of an image that goes on from its start where it ends, its axes made even by that."""
    for axis, (places, n) in enumerate(zip(whole, image.shape, strict=True)):
        if places.start >= 0 and places.stop <= n:
            inside = [slice(None)] * 3
            inside[axis] = slice(places.start, places.stop)
            image = image[tuple(inside)]
        else:
            image = image.take(np.array(places) % (n + n % 2) % n, axis)
    return image


@dataclass(frozen=True)
class _Bank:
    """A wavelet's two filters: taps by letter, and the image's size once its axes are even."""

    taps: Mapping[str, np.ndarray]
    size: tuple[int, ...]

    @staticmethod
    def of(name: str, kind: np.dtype[Any], shape: tuple[int, ...]) -> _Bank:
        import pywt  # not needed without wavelets

        n = pywt.Wavelet(name).dec_len
        impulse = np.zeros(2 * n, kind)
        impulse[n] = 1  # in single precision its taps are not the double ones rounded
        ((low, high),) = pywt.swt(impulse, name, 1)
        taps = {"L": low[n - n // 2 : n + n // 2], "H": high[n - n // 2 : n + n // 2]}
        return _Bank(taps, tuple(n + n % 2 for n in shape))

    def needed(self, wanted: list[range], axes: Collection[int], levels: int) -> list[range]:
        """Where so many levels look for the voxels that are wanted."""
        n = self.taps["L"].size
        low, high = levels * (n - 1 - n // 2), levels * (n // 2)
        return [
            range(r.start - low, r.stop + high) if axis in axes else r
            for axis, r in enumerate(wanted)
        ]

    def slabs(
        self, part: np.ndarray, at: list[int], wanted: list[range], letters: Mapping[int, str]
    ) -> Iterator[np.ndarray]:
        """One band, a few planes at a time; `part` begins `at` a voxel, `letters` are by axis."""
        for z in range(wanted[0].start, wanted[0].stop, _SLAB):
            made = [range(z, min(z + _SLAB, wanted[0].stop)), *wanted[1:]]
            taken = self.needed(made, letters, 1)
            band = part[
                tuple(slice(r.start - a, r.stop - a) for r, a in zip(taken, at, strict=True))
            ]
            for axis, letter in letters.items():
                taps, places = self.taps[letter], made[axis]
                turned = np.array(places) % self.size[axis] + taps.size // 2 - self.size[axis]
                rows = _convolving(taps, np.maximum(turned, 0))
                band = along(band, axis, rows, len(places), taps.dtype)
            yield band


def _convolving(taps: np.ndarray, turned: np.ndarray) -> Rows:
    run = kernel("convolve", taps.dtype.name)
    assert run is not None

    def rows(plane: np.ndarray) -> np.ndarray:
        made = np.empty((turned.size, plane.shape[1]), taps.dtype)
        run(np.array(plane, dtype=taps.dtype, order="C"), taps, turned, made)
        return made

    return rows
