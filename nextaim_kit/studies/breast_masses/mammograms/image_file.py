"""A mammogram as it lies in a file: read, looked at, and its masks turned into boxes."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nextaim_kit.data.images.dicom import is_dicom, opened
from nextaim_kit.data.images.dicom_films import read_dicom_film
from nextaim_kit.data.images.films import read_film, read_picture
from nextaim_kit.errors import DataError

Box = tuple[float, float, float, float]
_COARSE = 256  # pixels of the longer edge in which the breast is looked for
_RIM = 0.02  # share of the edges that is not looked at: films have bright rims
_LEAST = 0.04  # share of the picture below which nothing is called a breast
_TWO_VALUED = 0.98  # share of a mask's pixels at one of its two ends, packed with loss too
_SPECK = 0.01  # of the largest part of a mask: what is smaller is no mass
# Height of the breast's widest place, from its top: in 11 oblique views that lay upside down 0.1 to
# 0.4 of the image, upright it lies below the middle.
_HIGH, _DOUBTFUL = 0.42, 0.48


def read_pixels(row: Mapping[str, Any]) -> NDArray[np.float32]:
    """Pixels of a row of `Mammograms.images`: large is bright, the axilla at the top.

    Raises
    ------
    DataError
        If the file cannot be read as one gray picture; see `read_film`.
    """
    shown = read_film(row["image"]).shown
    return shown[::-1] if row.get("turned") else shown


def digest_of(pixels: NDArray) -> str:
    """A name for the content of a picture, whatever its file is called or how it is packed."""
    values = np.ascontiguousarray(pixels, np.float32)
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()[:16]


def box_of(mask: NDArray[np.bool_]) -> dict[str, float]:
    """The smallest box round a mask's pixels, half open: ``x0, y0, x1, y1``.

    Examples
    --------
    >>> mask = np.zeros((5, 6), bool)
    >>> mask[1:3, 2:6] = True
    >>> box_of(mask)
    {'x0': 2.0, 'y0': 1.0, 'x1': 6.0, 'y1': 3.0}
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    ends = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return dict(zip(("x0", "y0", "x1", "y1"), map(float, ends), strict=True))


def breast_mask(pixels: NDArray) -> NDArray[np.bool_]:
    """Where the breast is: the largest bright area, without letters and rims.

    Parameters
    ----------
    pixels : array of shape (rows, columns)
        Large is bright.

    Returns
    -------
    array of bool, shape (rows, columns)

    Raises
    ------
    DataError
        If nothing as large as a breast stands out from a dark background, or the background is
        the brightest of all.
    """
    step = max(1, -(-max(pixels.shape) // _COARSE))
    coarse = ndimage.gaussian_filter(pixels[::step, ::step].astype(np.float32), 1.0)
    rim = int(np.ceil(_RIM * min(coarse.shape)))
    held = np.pad(coarse[rim:-rim, rim:-rim], rim, mode="edge")
    low, high = np.percentile(held, (2, 98))
    ends = np.concatenate([held[0], held[-1], held[:, 0], held[:, -1]])
    bright = (ends > high - 0.03 * (high - low)).mean()
    if bright > 0.4 and (ends < low + 0.03 * (high - low)).mean() < 0.2:
        raise DataError(
            "the background is bright and the breast dark",
            expected="a picture in which dense tissue is bright",
            found=f"{bright:.0%} of its edges as bright as the brightest of all",
            mend="export it as MONOCHROME2, or invert it",
        )
    light = ndimage.binary_opening(held > low + 0.05 * (high - low), iterations=2)
    labels, count = ndimage.label(light)
    sizes = np.bincount(labels.ravel())[1:] if count else np.zeros(1)
    if sizes.max() < _LEAST * held.size:
        raise DataError(
            "no breast stands out from the background",
            expected=f"one bright area of at least {_LEAST:.0%} of the image",
            found=f"the largest has {sizes.max() / held.size:.1%}",
            mend="check that the file is a mammogram of the whole breast",
        )
    found = ndimage.binary_fill_holes(labels == sizes.argmax() + 1)
    found = ndimage.binary_dilation(found, iterations=1)
    whole = np.repeat(np.repeat(found, step, 0), step, 1)
    return whole[: pixels.shape[0], : pixels.shape[1]]


def wall_side(breast: NDArray[np.bool_]) -> Literal["L", "R"]:
    """At which side of the image the chest wall lies: where the breast touches most rows.

    Of a left breast it lies at the left, as mammograms are shown.
    """
    half = breast.shape[1] // 2
    wide = max(1, breast.shape[1] // 50)
    counts = [(part[:, :wide].sum(), part[:, :half].sum()) for part in (breast, breast[:, ::-1])]
    return "L" if counts[0] >= counts[1] else "R"


def widest_place(breast: NDArray[np.bool_]) -> float:
    """Height at which the breast goes farthest from the wall: 0 at the image's top, 1 at its end.

    In an oblique view that is the nipple's height, below the middle; above it lie axilla and
    pectoral muscle.
    """
    turned = breast if wall_side(breast) == "L" else breast[:, ::-1]
    reach = np.where(turned.any(1), turned.shape[1] - turned[:, ::-1].argmax(1), 0)
    farthest = np.flatnonzero(reach >= 0.97 * reach.max())
    return float(farthest.mean() / len(reach))


def mask_parts(path: str | Path, shape: tuple[int, int]) -> tuple[list[NDArray[np.bool_]], int]:
    """Connected parts of a mask, the largest first, and how many specks were left out.

    A speck has less than a hundredth of the largest part's pixels. Of gray values what is at least
    half of the brightest counts, of a color picture its brightest channel.

    Raises
    ------
    DataError
        If the mask cannot be read or has another size than its image.
    """
    values = read_mask_values(path)
    if values.shape != shape:
        raise DataError(
            f"the mask {Path(path).name} has another size than its image",
            expected=" by ".join(map(str, shape[::-1])),
            found=" by ".join(map(str, values.shape[::-1])),
            mend="is it the crop, or the mask of another image?",
        )
    labels, count = ndimage.label(values >= max(values.max() / 2, 1e-6), np.ones((3, 3)))
    if not count:
        return [], 0
    sizes = np.bincount(labels.ravel())[1:]
    order = [k for k in np.argsort(-sizes, kind="stable") if sizes[k] >= _SPECK * sizes.max()]
    return [labels == k + 1 for k in order], count - len(order)


def read_mask_values(path: str | Path) -> NDArray[np.float32]:
    """A mask's values: of DICOM as stored, of a picture its brightest channel."""
    if is_dicom(Path(path)):
        return read_dicom_film(Path(path))[0].astype(np.float32)
    return read_picture(path).max(-1).astype(np.float32)


def spacing_of(path: str | Path) -> float:
    """Edge of a pixel in mm as a DICOM header says it, at the breast where it can be told; or NaN.

    Pictures of other formats say dots per inch, which nobody sets: they are not looked at.
    """
    if not is_dicom(Path(path)):
        return float("nan")
    tags = ["PixelSpacing", "ImagerPixelSpacing", "EstimatedRadiographicMagnificationFactor"]
    header = opened(Path(path), stop_before_pixels=True, specific_tags=tags)
    pixel, imager = header.get("PixelSpacing"), header.get("ImagerPixelSpacing")
    larger = float(header.get("EstimatedRadiographicMagnificationFactor") or 1)
    with contextlib.suppress(TypeError, ValueError, IndexError):
        found = float(pixel[0]) if pixel else float(imager[0]) / larger
        return found if found > 0 else float("nan")
    return float("nan")


def look(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is seen in an image's file: its size and lie, and where its masses are.

    Parameters
    ----------
    row : mapping
        ``image``, ``view``, ``side``, ``turned`` (None where not known), ``spacing`` (None), and
        ``marks``, a list of dicts with ``mask`` (path) or ``box`` (of the image as it is stored).

    Returns
    -------
    dict
        ``rows``, ``columns``, ``digest``, ``turned``, ``spacing``, ``said`` (what is strange) and
        ``found``: for each mass its place in ``marks``, its part of the mask, its box and
        ``diameter`` in pixels.

    Raises
    ------
    DataError
        If the image or a mask cannot be used.
    """
    pixels = read_film(row["image"]).shown
    breast, said = breast_mask(pixels), []
    turned, doubt = _turned(row, breast)
    said += doubt
    wall = wall_side(breast)
    if row["side"] and row["side"] != wall:
        where = {"L": "left", "R": "right"}[wall]
        said.append(f"called {row['side']}, but the chest wall lies at the {where}: mirrored?")
    spacing = row["spacing"]
    spacing = spacing_of(row["image"]) if spacing is None or np.isnan(spacing) else spacing
    if np.isnan(spacing):
        said.append("its spacing is not known: sizes in pixels")
    found = []
    for at, mark in enumerate(row["marks"]):
        places, words = _places(mark, pixels.shape)
        said += words
        found += [{"mark": at, "part": k} | place for k, place in enumerate(places)]
    if turned:
        found = [
            one | {"y0": len(pixels) - one["y1"], "y1": len(pixels) - one["y0"]} for one in found
        ]
    return {
        "rows": pixels.shape[0], "columns": pixels.shape[1], "digest": digest_of(pixels),
        "turned": turned, "spacing": float(spacing), "said": said, "found": found,
    }  # fmt: skip


def _turned(row: Mapping[str, Any], breast: NDArray[np.bool_]) -> tuple[bool, list[str]]:
    if row["turned"] is not None:
        return bool(row["turned"]), []
    if row["view"] != "MLO":
        return False, []
    place = widest_place(breast)
    if place < _HIGH:
        return True, ["lies upside down (its widest place is high up): turned"]
    return False, ["perhaps upside down: its widest place is high up"] if place < _DOUBTFUL else []


def _places(
    mark: Mapping[str, Any], shape: tuple[int, int]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Boxes of a mark, and what is to be said of it."""
    if mark.get("box") is not None:
        return _of_box(mark["box"], shape)
    path = Path(mark["mask"] if "mask" in mark else the_mask(mark["pictures"], shape))
    parts, specks = mask_parts(path, shape)
    said = [f"{path.name} has {len(parts)} parts: as many masses"] if len(parts) > 1 else []
    said += [f"{path.name}: {specks} specks left out"] if specks else []
    said += [] if parts else [f"{path.name} is empty: an image without a mass"]
    sizes = [2 * float(np.sqrt(part.sum() / np.pi)) for part in parts]
    return [
        box_of(part) | {"diameter": size, "mask": str(path)}
        for part, size in zip(parts, sizes, strict=True)
    ], said


def the_mask(pictures: Sequence[str | Path], shape: tuple[int, int]) -> str:
    """Of a mask and a crop the one that has the image's size and two values, whatever its name.

    Raises
    ------
    DataError
        If none of them is a mask, or several are.
    """
    of_size = {
        str(path): values for path in pictures if (values := read_mask_values(path)).shape == shape
    }
    masks = [path for path, values in of_size.items() if _two_valued(values)]
    if len(masks) != 1:
        raise DataError(
            "it cannot be told which picture is the mask of a mass",
            expected=f"one of two values and {shape[1]} by {shape[0]} pixels",
            found=f"{len(masks)} such of {len(pictures)} pictures",
            mend="put the mask of the image's size into the folder of this mass",
        )
    return masks[0]


def _two_valued(values: NDArray[np.float32]) -> bool:
    low, high = float(values.min()), float(values.max())
    near = np.minimum(values - low, high - values) <= 0.05 * (high - low)
    return high > low and bool(near.mean() > _TWO_VALUED)


def _of_box(box: Box, shape: tuple[int, int]) -> tuple[list[dict[str, float]], list[str]]:
    x0, y0, x1, y1 = (float(v) for v in box)
    high, wide = shape
    held = max(x0, 0.0), max(y0, 0.0), min(x1, float(wide)), min(y1, float(high))
    text = f"({x0:g}, {y0:g}, {x1:g}, {y1:g})"
    if not (x1 > x0 and y1 > y0):
        raise DataError(f"the box {text} has no area", expected="x0 < x1 and y0 < y1")
    if not (held[2] > held[0] and held[3] > held[1]):
        raise DataError(
            f"the box {text} lies outside the image",
            expected=f"within {wide} by {high} pixels",
            mend="are its numbers x0, y0, x1, y1 in pixels of this very file?",
        )
    said = [f"the box {text} goes beyond the image: clipped"] if held != (x0, y0, x1, y1) else []
    named = dict(zip(("x0", "y0", "x1", "y1"), held, strict=True))
    return [named | {"diameter": float(np.sqrt((x1 - x0) * (y1 - y0)))}], said
