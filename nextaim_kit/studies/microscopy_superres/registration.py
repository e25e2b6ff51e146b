"""Bring the widefield image of a pair onto STORM's grid: scale, shift, affine; or refuse it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nextaim_kit.errors import DataError
from nextaim_kit.studies.microscopy_superres.measures import binned, correlation, linear_fit

_BLUR = 1.2  # widefield pixels: the standard deviation of a usual microscope's spot
_DETAIL = 6.0  # widefield pixels beyond which is background
_CLEAR = 0.5  # correlation of the details below which other scales are tried too
SURE = 0.25  # correlation of the details below which two images are not of one field
_STEPS = 50
_SPOT = 25.0  # pixels of a detail: neighbors within it say the same
_GAIN = (
    40.0  # F of what a shift, or an affine map, must explain more, not to fit light out of focus
)
_LARGEST = 0.15  # by which a matrix may differ from the scale that was found
_TILES = 4


@dataclass(frozen=True)
class Registration:
    """Where the widefield image shows what STORM shows.

    Attributes
    ----------
    matrix : array of shape (2, 2)
        With `shift`: pixel (row, column) of STORM, binned by `scale`, to a pixel of the widefield
        image: ``matrix @ place + shift``.
    shift : array of shape (2,)
        Widefield pixels.
    scale : int
        How many STORM pixels a widefield pixel is wide.
    agreement : float
        Correlation of the two images' details.
    residual : float
        Median over tiles of how far they still lie apart, in widefield pixels; NaN where fewer than
        three tiles have enough structure.
    """

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]
    scale: int
    agreement: float
    residual: float

    def apply(self, widefield: NDArray, shape: tuple[int, int]) -> NDArray[np.float32]:
        """The widefield image on STORM's grid, binned: shape (rows, columns) given; interpolated.

        Whole pixels of shift alone are cut out without interpolation.
        """
        whole = np.rint(self.shift).astype(int)
        plain = np.allclose(self.matrix, np.eye(2)) and np.allclose(self.shift, whole)
        ends = whole + shape
        if plain and (whole >= 0).all() and (ends <= widefield.shape).all():
            return widefield[whole[0] : ends[0], whole[1] : ends[1]].astype(np.float32)
        values = np.asarray(widefield, float)
        moved = ndimage.affine_transform(values, self.matrix, self.shift, shape, order=3,
                                         mode="nearest")  # fmt: skip
        return moved.astype(np.float32)


def find_scale(
    widefield: NDArray, storm: NDArray, scales: Sequence[int]
) -> tuple[int, NDArray[np.int64], float]:
    """Of some scales the one at which the images agree best, with the place, and how well.

    Returns
    -------
    scale : int
    corner : array of shape (2,)
        Row and column of the widefield image at which STORM begins.
    agreement : float
        Correlation of the details; 0 where the best of all places reaches as much by chance.
    """
    from skimage.feature import match_template

    best: tuple[float, int, NDArray[np.int64], float] = (0.0, 0, np.zeros(2, int), 0.0)
    wide = detail(widefield)
    for scale in scales:
        small = detail(_as_widefield(storm, scale))
        around = max(8, min(wide.shape) // 10)
        extra = [max(around, n - m) for n, m in zip(small.shape, wide.shape, strict=True)]
        if max(small.shape) < 24 or max(extra) > 0.25 * max(wide.shape):
            continue
        found = match_template(np.pad(wide, [(e, e) for e in extra]), small)
        # What the best of so many places reaches by chance, details being spots.
        chance = float(np.sqrt(2 * np.log(found.size) * _SPOT / small.size))
        sure = found.max() / max(1.3 * chance, SURE)
        if sure > best[0]:
            place = np.array(np.unravel_index(found.argmax(), found.shape)) - extra
            best = float(sure), scale, place, float(found.max())
    return best[1], best[2], best[3] if best[0] >= 0.6 else 0.0


def register(
    widefield: NDArray, storm: NDArray, scale: int, others: Sequence[int] = (2, 3, 4, 5, 6, 8, 10)
) -> Registration:
    """Find the affine map between the two images of a pair.

    The scale and the place are searched, first at the scale that the files' sizes say; then six
    numbers of an affine map are fitted to the details, together with contrast and level.

    Raises
    ------
    DataError
        If the images do not show one field, as far as can be seen.
    """
    found, corner, agreement = find_scale(widefield, storm, [scale])
    if agreement < _CLEAR:
        found, corner, agreement = find_scale(widefield, storm, [scale, *others])
    if agreement < 0.6 * SURE:
        raise _apart(agreement)
    fixed, moving = detail(_as_widefield(storm, found)), detail(widefield)
    here = np.zeros(2) if fixed.shape == moving.shape else corner.astype(float)
    best: tuple[NDArray, NDArray] = (np.eye(2), here)
    candidate: tuple[NDArray, NDArray]
    for free in (0, 2, 6):
        candidate = (np.eye(2), corner.astype(float))
        if free:
            candidate = _fit(fixed, moving, best[1], free)
        if _gain(fixed, _seen(moving, fixed, *best), _seen(moving, fixed, *candidate)) > _GAIN:
            best = candidate
    seen = _seen(moving, fixed, *best)
    agreement = correlation(fixed, seen)
    if agreement < SURE or np.abs(best[0] - np.eye(2)).max() > _LARGEST:
        raise _apart(agreement)
    return Registration(*best, found, agreement, _residual(fixed, seen))


def _seen(moving: NDArray, fixed: NDArray, matrix: NDArray, shift: NDArray) -> NDArray:
    return ndimage.affine_transform(moving, matrix, shift, fixed.shape, order=1, mode="nearest")


def _gain(fixed: NDArray, before: NDArray, after: NDArray) -> float:
    """F statistic of what the second map explains more than the first, details being spots."""
    left = [max(1 - correlation(fixed, one) ** 2, 1e-9) for one in (before, after)]
    return (left[0] - left[1]) / left[1] * fixed.size / _SPOT / 2


def detail(image: NDArray) -> NDArray[np.float64]:
    """An image without its background, bright points weakened: what registration looks at."""
    values = np.asarray(image, float)
    root = np.sqrt(np.clip(values - np.percentile(values, 1), 0, None))
    return root - ndimage.gaussian_filter(root, _DETAIL)


def _as_widefield(storm: NDArray, scale: int) -> NDArray:
    return ndimage.gaussian_filter(binned(np.asarray(storm, float), scale), _BLUR)


def _fit(fixed: NDArray, moving: NDArray, corner: NDArray, free: int) -> tuple[NDArray, NDArray]:
    """Gauss-Newton on the squared difference: a shift (2 free), or an affine map (6)."""
    rows, columns = np.mgrid[: fixed.shape[0], : fixed.shape[1]]
    middle = np.array(fixed.shape) / 2
    r, c = (rows - middle[0]) / middle[0], (columns - middle[1]) / middle[1]
    p, smooth = np.zeros(6), ndimage.gaussian_filter(moving, 0.7)
    for _ in range(_STEPS):
        seen = _seen(smooth, fixed, *_of(p, middle, corner))
        slope, level = linear_fit(seen, fixed)
        down, right = (slope * part for part in np.gradient(seen))
        parts = [down, right, down * r, down * c, right * r, right * c][:free]
        a = np.stack([part.ravel() for part in parts], 1)
        missing = (fixed - slope * seen - level).ravel()
        change = np.clip(np.linalg.lstsq(a.T @ a, a.T @ missing, rcond=None)[0], -2, 2)
        p[:free] += change
        if np.abs(change).max() < 2e-3:
            break
    return _of(p, middle, corner)


def _of(p: NDArray, middle: NDArray, corner: NDArray) -> tuple[NDArray, NDArray]:
    linear = np.eye(2) + p[2:].reshape(2, 2) / middle
    return linear, corner + p[:2] + middle - linear @ middle


def _residual(fixed: NDArray, seen: NDArray) -> float:
    """Median distance in pixels that phase correlation still finds in tiles with structure."""
    edge = min(fixed.shape) // _TILES
    if edge < 24:
        return float("nan")
    places = [(r, c) for r in range(0, fixed.shape[0] - edge + 1, edge)
              for c in range(0, fixed.shape[1] - edge + 1, edge)]  # fmt: skip
    tiles = [(f[r : r + edge, c : c + edge] for f in (fixed, seen)) for r, c in places]
    pairs = [(a, b) for a, b in tiles if correlation(a, b) > SURE]
    apart = [float(np.hypot(*_upsampled_shift(a, b))) for a, b in pairs]
    return float(np.median(apart)) if len(apart) > 2 else float("nan")


def _upsampled_shift(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    from skimage.registration import phase_cross_correlation

    return phase_cross_correlation(a, b, upsample_factor=20, normalization=None)[0]


def _apart(agreement: float) -> DataError:
    return DataError(
        "the two images do not seem to show one field",
        expected=f"details that correlate by at least {SURE}",
        found=f"{agreement:.2f} at the best place and scale",
        mend="check which files belong together; a turned or mirrored image is not looked for",
    )
