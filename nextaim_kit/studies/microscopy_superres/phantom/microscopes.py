"""How microscopes see dyes: widefield, STORM, and structured illumination."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from nextaim_kit.studies.microscopy_superres.localizations import counts
from nextaim_kit.studies.microscopy_superres.phantom.molecules import SLAB, Points

FINE = 2  # parts into which an edge of the camera's pixel is cut
_BIN = 200.0  # nm of depth that are seen as one plane
_MARGIN = 12  # camera pixels around the field from which light still comes
_INDEX = 1.515  # of the immersion oil


@dataclass(frozen=True)
class Optics:
    """A microscope with its camera.

    Attributes
    ----------
    pixel : float
        Edge of the camera's pixel in the sample, nm.
    wavelength, aperture : float
        nm; numerical aperture.
    photons : float
        Of a dye in the widefield exposure.
    background : float
        Photons per pixel.
    gain, offset, read_noise : float
        Counts per electron, counts, and electrons (standard deviation).
    """

    pixel: float = 100.0
    wavelength: float = 670.0
    aperture: float = 1.4
    photons: float = 30.0
    background: float = 40.0
    gain: float = 2.0
    offset: float = 100.0
    read_noise: float = 1.6

    @property
    def width(self) -> float:
        """Standard deviation in nm of the spot that a dye in focus makes."""
        return 0.21 * self.wavelength / self.aperture


@dataclass(frozen=True)
class Blinks:
    """What is localized.

    Attributes
    ----------
    xy : array of shape (n, 2), nm
    precision : array of shape (n,), nm
    dye : array of shape (n,)
        Which dye blinked; -1 where none did.
    frame : array of shape (n,)
        Its place in the acquisition, 0 to 1.
    """

    xy: NDArray[np.float64]
    precision: NDArray[np.float64]
    dye: NDArray[np.int64]
    frame: NDArray[np.float64]

    def only(self, which: NDArray[np.bool_]) -> Blinks:
        """Those of a mask."""
        return Blinks(self.xy[which], self.precision[which], self.dye[which], self.frame[which])


@dataclass(frozen=True)
class Storm:
    """How an acquisition localizes.

    Attributes
    ----------
    seen : float
        Share of the dyes that ever blink.
    blinks : float
        Mean number for each of them.
    photons : float
        Mean number of a blink.
    background : float
        Photons per pixel.
    drift : float
        Standard deviation in nm of what is left of the drift.
    false : float
        Localizations of nothing, over all.
    depth : float
        nm above and below the focal plane beyond which nothing is localized.
    """

    seen: float = 0.7
    blinks: float = 4.0
    photons: float = 1500.0
    background: float = 20.0
    drift: float = 5.0
    false: float = 0.01
    depth: float = 400.0


@lru_cache(maxsize=16)
def transfer(
    depth: float, shape: tuple[int, int], step: float, wavelength: float, aperture: float
) -> NDArray[np.complex64]:
    """Optical transfer function of a dye `depth` nm out of focus, for `scipy.fft.rfft2`.

    Scalar: the intensity of what a uniform circular pupil, with the phase of defocus, focuses.

    Parameters
    ----------
    depth : float
        nm.
    shape : (int, int)
    step : float
        Edge of a sample in nm, below a quarter of wavelength over aperture.

    References
    ----------
    Goodman, Introduction to Fourier Optics, chapter 6.
    """
    side = min(256, *shape)
    f = fft.fftfreq(side, step)
    radial = f[:, None] ** 2 + f**2
    axial = np.sqrt(np.clip((_INDEX / wavelength) ** 2 - radial, 0, None))
    pupil = (radial <= (aperture / wavelength) ** 2) * np.exp(2j * np.pi * depth * axial)
    spot = np.abs(fft.ifft2(pupil)) ** 2
    padded = np.zeros(shape)
    rows = (np.arange(side) + side // 2) % side - side // 2
    padded[np.ix_(rows % shape[0], rows % shape[1])] = spot / spot.sum()
    return fft.rfft2(padded).astype(np.complex64)


def expected_photons(
    dyes: Points, size: int, optics: Optics, light: NDArray | None = None
) -> NDArray[np.float64]:
    """Photons per camera pixel that all dyes give, in focus or not, without background.

    Parameters
    ----------
    dyes : array of shape (n, 3), nm
    size : int
        Camera pixels of an edge.
    light : array of shape (n,), optional
        Of each dye; by default 1.

    Returns
    -------
    array of shape (size, size)
    """
    step, wide = optics.pixel / FINE, size + 2 * _MARGIN
    edge = fft.next_fast_len(wide * FINE, real=True)
    shape = (edge, edge)
    shifted = dyes[:, :2] + _MARGIN * optics.pixel
    plane = np.minimum(np.abs(dyes[:, 2]), SLAB) // _BIN
    spectrum = np.zeros((edge, edge // 2 + 1), np.complex64)
    for k in np.unique(plane):
        at = plane == k
        drawn = fft.rfft2(counts(shifted[at], shape, step, None if light is None else light[at]))
        seen = transfer((k + 0.5) * _BIN, shape, step, optics.wavelength, optics.aperture)
        spectrum += drawn * seen
    whole = fft.irfft2(spectrum, shape)
    field = slice(_MARGIN * FINE, (_MARGIN + size) * FINE)
    cut = whole[field, field].reshape(size, FINE, size, FINE).sum((1, 3))
    return optics.photons * np.clip(cut, 0, None)


def expose(
    photons: NDArray[np.float64], optics: Optics, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """One exposure: shot noise, read noise, gain and offset; counts of 16 bits."""
    electrons = rng.poisson(photons + optics.background)
    noisy = electrons + rng.normal(0, optics.read_noise, photons.shape)
    return np.clip(np.rint(noisy * optics.gain + optics.offset), 0, 65535).astype(np.uint16)


def blink(
    dyes: Points, size: float, optics: Optics, storm: Storm, rng: np.random.Generator
) -> Blinks:
    """Localizations of a random part of the dyes near the focal plane, each by its own blinks.

    Precision is that of a least-squares fit to so many photons: Thompson et al. 2002,
    doi:10.1016/S0006-3495(02)75618-X. A spot out of focus is wider, and is localized worse.

    Parameters
    ----------
    dyes : array of shape (n, 3), nm
    size : float
        Edge of the field in nm, for false localizations.
    """
    near = np.flatnonzero(np.abs(dyes[:, 2]) <= storm.depth)
    times = rng.geometric(1 / storm.blinks, len(near)) * (rng.random(len(near)) < storm.seen)
    dye = np.repeat(near, times)
    photons = rng.exponential(storm.photons, len(dye)) + 0.1 * storm.photons
    precision = localization_precision(photons, dyes[dye, 2], optics, storm.background)
    frame = rng.random(len(dye))
    xy = dyes[dye, :2] + rng.normal(0, 1, (len(dye), 2)) * precision[:, None]
    xy += _drift(storm.drift, rng)(frame)
    wrong = rng.poisson(storm.false * len(dye))
    made_up = Blinks(
        rng.uniform(0, size, (wrong, 2)), rng.choice(precision, wrong) if wrong else np.zeros(0),
        np.full(wrong, -1), rng.random(wrong),
    )  # fmt: skip
    true = Blinks(xy, precision, dye, frame)
    return Blinks(*(np.concatenate([getattr(b, f) for b in (true, made_up)]) for f in _FIELDS))


_FIELDS = ("xy", "precision", "dye", "frame")


def localization_precision(
    photons: NDArray | float, z: NDArray | float, optics: Optics, background: float
) -> NDArray[np.float64]:
    """Standard deviation in nm of a localization in each direction (Thompson et al. 2002)."""
    width = optics.width**2 * (1 + (np.asarray(z) / 500.0) ** 2) + optics.pixel**2 / 12
    n = np.asarray(photons, float)
    noise = 8 * np.pi * width**2 * background / (optics.pixel**2 * n**2)
    return np.sqrt(width / n + noise)


def _drift(size: float, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    """A smooth path of the stage, of `size` nm standard deviation, as a function of time."""
    times = np.linspace(0, 1, 40)
    path = rng.normal(size=(40, 2)).cumsum(0)
    path = size * (path - path.mean(0)) / path.std(0)
    return lambda at: np.column_stack([np.interp(at, times, path[:, k]) for k in (0, 1)])


def structured(
    dyes: Points, size: int, optics: Optics, rng: np.random.Generator | None
) -> NDArray[np.float32]:
    """An image like that of structured illumination: half the pixel, twice the cut-off.

    Light from out of focus is weakened, and the noise has passed the reconstruction's filter;
    without `rng` there is none.
    """
    finer = Optics(
        optics.pixel / 2, optics.wavelength / 2, optics.aperture, optics.photons * 2,
        optics.background,
    )  # fmt: skip
    light = np.exp(-((dyes[:, 2] / 350.0) ** 2))
    photons = expected_photons(dyes[light > 0.01], 2 * size, finer, light[light > 0.01])
    if rng is not None:
        photons = rng.poisson(photons + finer.background).astype(float) - finer.background
    f = np.sqrt(fft.fftfreq(2 * size)[:, None] ** 2 + fft.rfftfreq(2 * size) ** 2)
    passed = np.sqrt(np.clip(1 - f * finer.wavelength / (2 * finer.aperture * finer.pixel), 0, 1))
    filtered = fft.irfft2(fft.rfft2(photons) * passed, photons.shape)
    return np.clip(filtered, 0, None).astype(np.float32)
