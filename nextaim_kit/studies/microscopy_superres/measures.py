"""How near an image is to another one: PSNR, SSIM, and consistency with the widefield image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from nextaim_kit.errors import DataError

Image = NDArray[np.float32]
WINDOW, SIGMA = 11, 1.5  # pixels of SSIM's window, and its Gaussian's standard deviation
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # weights of multi-scale SSIM
_TRIM = WINDOW // 2
LEAST = (WINDOW - 1) * 2 ** (len(_SCALES) - 1)  # pixels of an edge that five scales need


def psnr(truth: Image, image: Image, data_range: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB: 10 log10(range² / mean squared difference).

    Examples
    --------
    >>> round(psnr(np.zeros((4, 4)), np.full((4, 4), 0.1)), 3)
    20.0
    """
    _check(truth, image)
    error = float(np.mean((np.asarray(truth, float) - image) ** 2))
    return float(10 * np.log10(data_range**2 / error)) if error else float("inf")


def ssim(truth: Image, image: Image, data_range: float = 1.0) -> float:
    """Structural similarity in Gaussian windows of 11 pixels, sigma 1.5 (Wang et al. 2004).

    Mean over the image without its border of 5 pixels, as scikit-image has it.
    """
    from skimage.metrics import structural_similarity

    _check(truth, image)
    options = {"gaussian_weights": True, "sigma": SIGMA, "use_sample_covariance": False}
    return float(structural_similarity(truth, image, data_range=data_range, **options))


def ms_ssim(truth: Image, image: Image, data_range: float = 1.0) -> float:
    """Multi-scale SSIM of five scales, each half as fine (Wang et al. 2003).

    Raises
    ------
    DataError
        If an edge has less than 160 pixels.
    """
    _check(truth, image)
    if min(truth.shape) < LEAST:
        raise DataError(
            "the image is too small for five scales",
            expected=f"at least {LEAST} pixels",
            found=" by ".join(map(str, truth.shape[::-1])),
        )
    a, b, product = np.asarray(truth, float), np.asarray(image, float), 1.0
    for k, weight in enumerate(_SCALES):
        whole, contrast = _ssim_parts(a, b, data_range)
        last = k == len(_SCALES) - 1
        product *= max(whole if last else contrast, 0.0) ** weight
        a, b = binned(a, 2), binned(b, 2)
    return float(product)


def _ssim_parts(a: NDArray, b: NDArray, data_range: float) -> tuple[float, float]:
    """Mean of SSIM, and of its part of contrast and structure."""

    def local(values: NDArray) -> NDArray:
        return ndimage.gaussian_filter(values, SIGMA, truncate=3.5)[_TRIM:-_TRIM, _TRIM:-_TRIM]

    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    ma, mb = local(a), local(b)
    va, vb, vab = local(a * a) - ma * ma, local(b * b) - mb * mb, local(a * b) - ma * mb
    contrast = (2 * vab + c2) / (va + vb + c2)
    return float(np.mean((2 * ma * mb + c1) / (ma**2 + mb**2 + c1) * contrast)), float(
        contrast.mean()
    )


def foreground(truth: Image, least: float = 0.1) -> NDArray[np.bool_]:
    """Where there is something: pixels above `least` of the range, and those within two pixels."""
    return ndimage.binary_dilation(np.asarray(truth) > least, iterations=2)


def compare(truth: Image, image: Image) -> dict[str, float]:
    """All measures of an image in STORM's gray levels, 0 to 1 (the range of all of them).

    Returns
    -------
    dict
        ``psnr`` and ``psnr_foreground`` in dB, ``ssim``, ``ms_ssim`` (NaN below 160 pixels) and
        ``correlation`` (Pearson; NaN of an image of one gray).
    """
    inside, small = foreground(truth), min(truth.shape) < LEAST
    return {
        "psnr": psnr(truth, image),
        "psnr_foreground": psnr(truth[inside], image[inside]) if inside.any() else np.nan,
        "ssim": ssim(truth, image),
        "ms_ssim": np.nan if small else ms_ssim(truth, image),
        "correlation": correlation(truth, image),
    }


def correlation(a: NDArray, b: NDArray) -> float:
    """Pearson's correlation; NaN where one of the two is constant."""
    a, b = a - np.mean(a, dtype=float), b - np.mean(b, dtype=float)
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / size) if size > 1e-12 else float("nan")


@dataclass(frozen=True)
class Consistency:
    """How a fine image, blurred and binned, fits the widefield image.

    Attributes
    ----------
    rsp, rse : float
        Pearson's correlation and root mean squared difference of the two, the latter in the gray
        levels of the widefield image.
    width : float
        Standard deviation of the fitted blur, in widefield pixels.
    seen : array of shape (rows, columns)
        The fine image as the widefield microscope would have shown it.
    error : array of shape (rows, columns)
        Widefield less `seen`.
    """

    rsp: float
    rse: float
    width: float
    seen: Image
    error: Image


def consistency(fine: Image, widefield: Image, scale: int) -> Consistency:
    """Blur a fine image until it fits the widefield one best, intensities by least squares.

    It needs no truth. It is blind to all that is finer than the blur, and light from out of focus,
    which the fine image does not have, counts as error.

    References
    ----------
    SQUIRREL: Culley et al. 2018, doi:10.1038/nmeth.4605.
    """
    coarse, wide = binned(np.asarray(fine, float), scale), np.asarray(widefield, float)
    _check(wide, coarse)

    def fitted(width: float) -> NDArray:
        blurred = ndimage.gaussian_filter(coarse, width, mode="nearest")
        slope, level = linear_fit(blurred, wide)
        return slope * blurred + level

    def misfit(width: float) -> float:
        return float(np.mean((wide - fitted(width)) ** 2))

    width = float(optimize.minimize_scalar(misfit, (0.3, 6.0), bounds=(0.3, 6.0), method="bounded",
                                           options={"xatol": 0.01}).x)  # fmt: skip
    seen = fitted(width)
    return Consistency(
        correlation(wide, seen), float(np.sqrt(misfit(width))), width,
        seen.astype(np.float32), (wide - seen).astype(np.float32),
    )  # fmt: skip


def linear_fit(x: NDArray, y: NDArray) -> tuple[float, float]:
    """Slope and level of the line through the points nearest to them in `y`."""
    spread = float(np.var(x))
    slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / spread if spread > 1e-12 else 0.0
    return slope, float(y.mean() - slope * x.mean())


def binned(image: NDArray, factor: int) -> NDArray:
    """Means of squares of `factor` by `factor` pixels; what is left over at the end is cut off."""
    rows, columns = (edge // factor for edge in image.shape)
    cut = image[: rows * factor, : columns * factor]
    return cut.reshape(rows, factor, columns, factor).mean((1, 3))


def _check(truth: NDArray, image: NDArray) -> None:
    if np.shape(truth) != np.shape(image):
        raise DataError(
            "two images that are compared have unequal sizes",
            expected=str(np.shape(truth)),
            found=str(np.shape(image)),
        )
    if not (np.isfinite(truth).all() and np.isfinite(image).all()):
        raise DataError("an image that is compared has values that are no numbers")
