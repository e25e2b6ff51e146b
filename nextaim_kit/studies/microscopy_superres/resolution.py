"""Resolution: Fourier ring correlation of two images, decorrelation analysis of a single one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.signal.windows import hann

from nextaim_kit.errors import DataError

Threshold = Literal["1/7", "half-bit"]
_FILTERS = 20


@dataclass(frozen=True)
class RingCorrelation:
    """Correlation of two images by spatial frequency.

    Attributes
    ----------
    frequency : array of shape (rings,)
        Cycles per nm, or per pixel where the pixel's size is not known.
    correlation : array of shape (rings,)
    points : array of shape (rings,)
        Of the Fourier transform, in each ring.
    """

    frequency: NDArray[np.float64]
    correlation: NDArray[np.float64]
    points: NDArray[np.int64]

    def threshold(self, which: Threshold = "1/7") -> NDArray[np.float64]:
        """1/7 (Rosenthal and Henderson 2003), or half a bit (van Heel and Schatz 2005)."""
        if which == "1/7":
            return np.full(len(self.frequency), 1 / 7)
        root = np.sqrt(np.maximum(self.points, 1))
        return (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)

    def resolution(self, which: Threshold = "1/7") -> float:
        """One over the frequency from which the correlation is below the threshold.

        Two rings in a row must be: a single one may be so by chance. NaN where the curve never
        falls below (the pixel limits the resolution), or begins there.
        """
        above = self.correlation - self.threshold(which)
        low = (above < 0) & (np.append(above[1:], -1) < 0)
        if not low.any() or (k := int(low.argmax())) < 2:
            return float("nan")
        part = above[k - 1] / (above[k - 1] - above[k])
        return float(1 / np.interp(k - 1 + part, np.arange(len(low)), self.frequency))


def ring_correlation(a: NDArray, b: NDArray, pixel: float = 1.0) -> RingCorrelation:
    """Fourier ring correlation of two *independent* images of one field.

    The largest square is taken from the middle and faded out by a Hann window, which blurs the
    curve by a ring or two. The correlation of two
    outputs of one network says how far it repeats itself, not what it resolves.

    Parameters
    ----------
    a, b : arrays of one shape
    pixel : float
        Edge of a pixel in nm.

    References
    ----------
    Nieuwenhuizen et al. 2013, doi:10.1038/nmeth.2448.
    """
    if a.shape != b.shape:
        raise DataError(
            "two images of unequal size have no ring correlation",
            expected=str(a.shape), found=str(b.shape),
        )  # fmt: skip
    (fa, fb), ring = (_spectrum(image) for image in (a, b)), _rings(min(a.shape))
    half = min(a.shape) // 2

    def total(values: NDArray) -> NDArray:
        return np.bincount(ring.ravel(), values.ravel(), half + 1)[:half]

    shared = total((fa * fb.conj()).real)
    size = np.sqrt(total(np.abs(fa) ** 2) * total(np.abs(fb) ** 2))
    points = np.bincount(ring.ravel(), minlength=half + 1)[:half]
    correlation = np.divide(shared, size, out=np.zeros(half), where=size > 0)
    return RingCorrelation(np.arange(half) / (min(a.shape) * pixel), correlation, points)


def decorrelation(image: NDArray, pixel: float = 1.0) -> float:
    """Resolution of a single image by decorrelation analysis; NaN where nothing stands out.

    The image is correlated with itself, all frequencies made equally strong and only those below a
    radius kept. Where noise begins, that falls off. High-pass filters of growing strength find the
    farthest such radius.

    Parameters
    ----------
    image : array of shape (rows, columns)
    pixel : float
        Edge of a pixel in nm.

    Returns
    -------
    float
        In nm, or in pixels.

    References
    ----------
    Descloux, Grußmayer and Radenovic 2019, doi:10.1038/s41592-019-0515-7.
    """
    spectrum, ring = np.abs(_spectrum(image)), _rings(min(image.shape))
    half = min(image.shape) // 2
    inside = np.clip(ring, 0, half).ravel()
    size = np.bincount(inside, spectrum.ravel(), half + 1)[1:half]
    power = np.bincount(inside, spectrum.ravel() ** 2, half + 1)[1:half]
    points = np.bincount(inside, minlength=half + 1)[1:half]
    frequency = np.arange(1, half) / (2 * half)
    found = []
    for width in [np.inf, *np.geomspace(half / 4, 0.15, _FILTERS)]:
        kept = 1 - np.exp(-2 * (np.pi * width * frequency) ** 2)
        norm = np.sqrt((power * kept**2).sum() * points.cumsum())
        curve = (size * kept).cumsum() / np.maximum(norm, 1e-30)
        place = _peak(curve)
        found += [frequency[place]] if place else []
    return float(pixel / max(found)) if found else float("nan")


def _peak(curve: NDArray) -> int:
    """Place of the last maximum after which the curve falls; 0 without one."""
    smooth = ndimage.uniform_filter1d(curve, 3)
    place = int(smooth.argmax())
    fallen = place < len(curve) - 2 and smooth[place] - smooth[place:].min() > 1e-3
    return place if fallen else 0


def _spectrum(image: NDArray) -> NDArray[np.complex128]:
    """Fourier transform of the middle square, without its mean and faded out at the edges."""
    edge = min(image.shape)
    if edge < 32:
        raise DataError("an image of fewer than 32 pixels has no ring correlation")
    corner = [(n - edge) // 2 for n in image.shape]
    square = np.asarray(image, float)[corner[0] :, corner[1] :][:edge, :edge]
    if not np.isfinite(square).all() or np.ptp(square) == 0:
        raise DataError("an image of one gray, or with values that are no numbers, has no spectrum")
    fade = hann(edge, sym=False)  # a Tukey window's side lobes carry strong structure 5 rings on
    return fft.fft2((square - square.mean()) * fade * fade[:, None])


def _rings(edge: int) -> NDArray[np.int64]:
    f = fft.fftfreq(edge) * edge
    return np.minimum(np.rint(np.hypot(f, f[:, None])), edge // 2).astype(np.int64)
