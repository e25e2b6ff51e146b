"""All models beside each other: what they draw of a pair, how near it is, and what is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import find_peaks
from torch import nn

from nextaim_kit.studies.microscopy_superres.filaments import center_lines, crossings, lengths
from nextaim_kit.studies.microscopy_superres.measures import (
    compare,
    correlation,
    foreground,
    psnr,
)
from nextaim_kit.studies.microscopy_superres.pairs import Pair
from nextaim_kit.studies.microscopy_superres.preparation import (
    IntensityMap,
    enlarged,
    fit_to_widefield,
)
from nextaim_kit.studies.microscopy_superres.resolution import ring_correlation
from nextaim_kit.studies.microscopy_superres.training import at_scale, predict

Draw = Callable[[Pair], NDArray]
VARIATION = 0.005  # weight of total variation
_STRETCH, _ASIDE = 500.0, 500.0  # nm along two lines that are judged at once, and aside of them
_PEAK = 0.2  # of the highest one, that a line must stand out by
_NEAR = 40.0  # nm from its place at which a line is still the one that is there
_LEAST = 1e-4  # of the range: no pixel is black for good
_SLOPE = 1e-2  # gradient, as share of the range, below which total variation is rounded off


def untrained(train: Sequence[Pair]) -> dict[str, Draw]:
    """What draws without a network; intensities and blur are fitted on some training pairs."""
    blur = blur_of(train)
    ways: dict[str, Draw] = {
        "bicubic, fitted": enlarged,
        "Richardson-Lucy": partial(deconvolved, blur=blur),
        "with total variation": partial(deconvolved, blur=blur, variation=VARIATION),
    }
    found: dict[str, Draw] = {"black": partial(_even, gray=0.0)}
    found["one gray"] = partial(_even, gray=float(np.mean([p.storm.mean() for p in train])))
    for name, draw in ways.items():
        found[name] = partial(_mapped, draw=draw, mapped=IntensityMap.fit(train, draw))
    return found


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
    return float(np.median([fit_to_widefield(p).width for p in pairs]))


def deconvolved(pair: Pair, blur: float, variation: float = 0.0) -> NDArray[np.float32]:
    """Richardson-Lucy of a pair's enlarged widefield image; `blur` in widefield pixels."""
    return richardson_lucy(enlarged(pair), blur * pair.scale, variation=variation)


def _even(pair: Pair, gray: float) -> NDArray:
    return np.full_like(pair.storm, gray)


def _mapped(pair: Pair, draw: Draw, mapped: IntensityMap) -> NDArray:
    return mapped.apply(draw(pair))


def by_network(net: nn.Module) -> Draw:
    """What a network draws of a pair; on another grid than its own it is resampled."""
    return partial(_drawn, net=net)


def _drawn(pair: Pair, net: nn.Module) -> NDArray:
    return at_scale(predict(net, pair.widefield), int(net.scale), pair.scale)  # type: ignore[arg-type]


def scored(models: Mapping[str, Draw], pairs: Sequence[Pair]) -> pd.DataFrame:
    """Every model held against STORM, pair by pair.

    Returns
    -------
    DataFrame
        ``subject``, ``model``, the measures of `compare`, ``rsp`` and ``rse`` (`consistency` with
        the normalized widefield image); where the size of a pixel is known ``density`` (µm of
        center lines per µm²) and ``crossings`` (per 100 µm²), else NaN.
    """
    rows = []
    for pair in pairs:
        for name, draw in models.items():
            image = draw(pair)
            fit = fit_to_widefield(pair, image)
            rows.append(
                {
                    "subject": pair.subject, "model": name, **compare(pair.storm, image),
                    "rsp": fit.rsp, "rse": fit.rse, **readouts(image, pair.storm_nm),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def nearness(draw: Draw, pair: Pair) -> dict[str, float]:
    """What is quickly found of one model and pair: two kinds of PSNR, and the correlation."""
    image, inside = draw(pair), foreground(pair.storm)
    return {
        "psnr": psnr(pair.storm, image),
        "psnr_foreground": psnr(pair.storm[inside], image[inside]) if inside.any() else np.nan,
        "correlation": correlation(pair.storm, image),
    }


def repeated(draw: Draw, pair: Pair, exposures: Sequence[NDArray]) -> float:
    """Resolution (1/7) by ring correlation of what is drawn from two exposures of a field.

    It says how far a model repeats itself, not what it resolves. NaN where the pixels set the
    limit, or where one gray is drawn.
    """
    first, second = (draw(replace(pair, widefield=one.astype(np.float32))) for one in exposures)
    if not (np.ptp(first) and np.ptp(second)):
        return float("nan")
    return ring_correlation(first, second, pair.storm_nm).resolution()


def readouts(image: NDArray, pixel: float) -> dict[str, float]:
    """``density`` of center lines in µm per µm², and ``crossings`` per 100 µm²."""
    if pixel != pixel:
        return {"density": float("nan"), "crossings": float("nan")}
    return counted(center_lines(image, pixel), pixel)


def counted(lines: NDArray[np.bool_], pixel: float) -> dict[str, float]:
    """The same of center lines that are there already."""
    area = lines.size * pixel**2 * 1e-6
    length = float(lengths(lines, pixel).sum()) * 1e-3
    return {"density": length / area, "crossings": 100 * crossings(lines, pixel) / area}


def two_lines(image: NDArray, gap: float, places: Sequence[float], pixel: float) -> pd.Series:
    """How two upright lines come out, stretch by stretch of 500 nm.

    Parameters
    ----------
    image : array of shape (rows, columns)
    gap : float
        Between the two, nm; 0: there is one line alone.
    places : sequence of float
        Middles between the two of each pair, nm from the outer edge of the first column.
    pixel : float
        nm.

    Returns
    -------
    Series
        Shares that are ``resolved`` (both, or the one, in place), ``merged`` (one of two),
        ``invented`` (more lines, or elsewhere) and ``missed``.
    """
    smooth = ndimage.gaussian_filter1d(image, 15 / pixel, axis=1)
    rows, reach = round(_STRETCH / pixel), round(_ASIDE / pixel)
    true = np.array([-gap / 2, gap / 2]) if gap else np.zeros(1)
    told = []
    for place in places:
        middle = int(place / pixel)
        part = smooth[:, middle - reach : middle + reach]
        x = (np.arange(middle - reach, middle + reach) + 0.5) * pixel - place
        for k in range(0, len(image) - rows + 1, rows):
            profile = part[k : k + rows].mean(0)
            peaks, _ = find_peaks(profile, prominence=max(_PEAK * profile.max(), 0.02))
            told.append(_told(x[peaks], true))
    return pd.Series(told).value_counts(normalize=True).reindex(OUTCOMES, fill_value=0.0)


OUTCOMES = ["resolved", "merged", "invented", "missed"]


def _told(peaks: NDArray, true: NDArray) -> str:
    if not len(peaks):
        return "missed"
    if len(peaks) == len(true):
        return "resolved" if np.abs(peaks - true).max() <= _NEAR else "invented"
    between = abs(peaks[0]) <= np.abs(true).max() + _NEAR
    return "merged" if len(peaks) == 1 and between else "invented"
