"""Lines of writing in an image: strokes of one level, in shapes of one height, side by side."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

_CONTRAST = 0.3  # of the image's range, by which a stroke stands out of what is around it
_WEAK, _REACHES = (
    0.12,
    12,
)  # what counts beside a line that was found, and how often it is looked for
_LEVEL = 0.06  # of the range: how far the strokes of one line may differ
_LIMIT, _SAME = 0.08, 0.6  # of the range, below its limit; of a line's shapes, with one value
_RING = 0.15  # share of the pixels around a stroke that may be as it is
_FAINT = 12  # pixels: letters up to this height are drawn in grays
_HEIGHTS = (5, 90)  # pixels of a letter
_WIDEST = 6.0  # widths of a shape, in its heights: letters may touch
_LEAST = 3  # shapes of a line: L, R and AP are marks of the film and stay
_FLAT = {
    True: 0.2,
    False: 0.5,
}  # share of a line's pixels with one value: bright strokes, dark ones
_SHORT, _LONG = 5, 7  # shapes of a line whose form alone tells, if it is strict, and if it is not
_BROADEST = 1.6  # heights: a letter that touches no other
_TIGHT = 0.45  # of their height: the gap between letters of a short line
_MANY = (
    500  # strokes of the size of letters, above which only those that may be drawn are looked at
)
_STROKE = 11  # pixels; strokes are thinner than half of it in images up to `_SMALL`
_SMALL = 1024


@dataclass(frozen=True)
class _Shape:
    top: int
    left: int
    bottom: int
    right: int
    level: float
    peak: float
    values: np.ndarray = field(compare=False, repr=False)

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def turned(self) -> _Shape:
        top, left, bottom, right = self.left, self.top, self.right, self.bottom
        return replace(self, top=top, left=left, bottom=bottom, right=right)


def covered(image: np.ndarray, color: bool) -> bool:
    """Cover lines of writing with the level around them, in place.

    Parameters
    ----------
    image : numpy.ndarray
        Rows and columns, and colors where `color`.
    color : bool

    Returns
    -------
    bool
        Whether anything was covered.
    """
    boxes = lines_of(image, color)
    before = image.copy() if boxes else image
    for top, left, bottom, right in boxes:
        ring = _ring(before, top, left, bottom, right)
        axes = tuple(range(ring.ndim - (1 if color else 0)))
        image[top:bottom, left:right] = np.median(ring, axis=axes).astype(image.dtype)
    return bool(boxes)


def lines_of(image: np.ndarray, color: bool = False) -> list[tuple[int, int, int, int]]:
    """Boxes (top, left, bottom, right) of the lines of writing in an image, upright or turned."""
    boxes = []
    # Slices with more than 256 levels are measured; pictures were packed, and are only looked at.
    measured = image.dtype.itemsize > 1
    planes = (image.max(-1), image.min(-1)) if color else (image,)
    for plane in planes:
        gray = np.asarray(plane, np.float32)
        span = float(gray.max() - gray.min()) if gray.size else 0.0
        if span <= 0 or min(gray.shape) < _HEIGHTS[0]:
            continue
        for sign in (1.0, -1.0):
            above = _above(sign * gray)
            shapes = _shapes(sign * gray, above, span)
            # Airways are as dark as an image gets: dark writing is told by its one value alone.
            highest = float(gray.max()) if sign > 0 else np.inf
            weak = above > _WEAK * span
            upright = _lines(shapes, highest, span, measured)
            boxes += [_box(line, weak) for line in upright]
            for line in _lines([shape.turned() for shape in shapes], highest, span, measured):
                top, left, bottom, right = _box(line, weak.T)
                boxes.append((left, top, right, bottom))
    return sorted(set(boxes))


def _above(gray: np.ndarray) -> np.ndarray:
    """How far each pixel stands out of what is around it, where that is no wider than a stroke."""
    from scipy import ndimage

    size = _STROKE * max(1, round(min(gray.shape) / _SMALL))
    worn = ndimage.minimum_filter(gray, size, mode="nearest")
    return gray - ndimage.maximum_filter(worn, size, mode="nearest")


def _shapes(gray: np.ndarray, above: np.ndarray, span: float) -> list[_Shape]:
    """Connected strokes that stand out, of the size of letters."""
    from scipy import ndimage

    strokes = above > _CONTRAST * span
    if not strokes.any():
        return []
    labels, _ = ndimage.label(strokes, np.ones((3, 3)))
    places = ndimage.find_objects(labels)
    able = [number for number, place in enumerate(places, 1) if _of_a_letter(*place)]
    if len(able) > _MANY:
        able = _perhaps_drawn(gray, labels, able, span)
    shapes = []
    for number in able:
        rows, columns = places[number - 1]
        height, width = rows.stop - rows.start, columns.stop - columns.start
        inside = gray[rows, columns][labels[rows, columns] == number]
        level = float(np.percentile(inside, 90))
        # A stroke has one level; of a small one, edges that were smoothed are the most.
        alike = np.mean(np.abs(inside - level) < _LEVEL * span) > 0.3
        if (alike or max(height, width) <= _FAINT) and _apart(gray, labels, number, rows, columns):
            box = (rows.start, columns.start, rows.stop, columns.stop)
            shapes.append(_Shape(*box, level, float(inside.max()), inside))
    return shapes


def _of_a_letter(rows: slice, columns: slice) -> bool:
    height, width = rows.stop - rows.start, columns.stop - columns.start
    least, most = _HEIGHTS
    return least <= max(height, width) <= _WIDEST * most and min(height, width) <= most


def _perhaps_drawn(gray: np.ndarray, labels: np.ndarray, able: list[int], span: float) -> list[int]:
    """Of very many strokes, as noise makes them, those at the limit or of a value that recurs."""
    strokes = labels > 0
    owner, value = labels[strokes], gray[strokes]
    peaks = np.full(int(owner.max()) + 1, -np.inf, np.float32)
    np.maximum.at(peaks, owner, value)
    flat = np.bincount(owner, value == peaks[owner]) / np.maximum(np.bincount(owner), 1)
    numbers = np.array(able)
    _, kind, counts = np.unique(peaks[numbers], return_inverse=True, return_counts=True)
    keep = (flat[numbers] > 0.25) | (counts[kind] >= max(_LEAST, len(able) // 50))
    keep |= peaks[numbers] >= float(gray.max()) - 4 * _LIMIT * span
    return [int(number) for number in numbers[keep]]


def _apart(gray: np.ndarray, labels: np.ndarray, number: int, rows: slice, columns: slice) -> bool:
    """Whether what is around a shape is of another value: a gap between two is no stroke."""
    from scipy import ndimage

    around = tuple(slice(max(0, one.start - 1), one.stop + 1) for one in (rows, columns))
    own = labels[around] == number
    ring = ndimage.binary_dilation(own, np.ones((3, 3))) & ~own
    return bool(np.mean(gray[around][ring] >= gray[around][own].max()) < _RING)


def _lines(shapes: list[_Shape], highest: float, span: float, measured: bool) -> list[list[_Shape]]:
    """Shapes that stand in a row, alike in height and level."""
    able = [
        s
        for s in shapes
        if _HEIGHTS[0] <= s.height <= _HEIGHTS[1] and s.width <= _WIDEST * s.height
    ]
    lines: list[list[_Shape]] = []
    near: list[list[_Shape]] = []
    for shape in sorted(able, key=lambda s: (s.left, s.top)):
        near = [line for line in near if shape.left - line[-1].right <= 3.2 * line[-1].height]
        fits = [line for line in near if _continues(line, shape, span)]
        if fits:
            max(fits, key=lambda line: line[-1].right).append(shape)
        else:
            lines.append([shape])
            near.append(lines[-1])
    long = [line for line in lines if len(line) >= _LEAST + (line[0].height <= _FAINT)]
    drawn = [line for line in long if _drawn(line, highest, span)]
    return [line for line in drawn if _written(line, highest, span)] if measured else drawn


def _drawn(line: list[_Shape], highest: float, span: float) -> bool:
    """Whether shapes were drawn: as bright as the image gets, or with one and the same value.

    Vessels and bones stand in rows too; their brightest voxels differ, and are not the limit.
    """
    peaks = [shape.peak for shape in line]
    most = max(peaks.count(peak) for peak in peaks)
    return _at_the_limit(line, highest, span) or most >= max(_LEAST, _SAME * len(peaks))


def _at_the_limit(line: list[_Shape], highest: float, span: float) -> bool:
    peaks = sorted(shape.peak for shape in line)
    limit = highest - _LIMIT * span * (1 if line[0].height > _FAINT else 2)
    return peaks[len(peaks) // 2] >= limit


def _written(line: list[_Shape], highest: float, span: float) -> bool:
    """Whether shapes that may be drawn are flat, or stand as letters do.

    Of bones at the upper end of a scale, and of lungs at the lower, few voxels have one value.
    """
    _, counts = np.unique(np.concatenate([s.values for s in line]), return_counts=True)
    flat = counts.max() / counts.sum()
    needed = _FLAT[bool(np.isfinite(highest))]
    nearly = flat >= needed / 2 or _at_the_limit(line, highest, span)
    return _in_a_row(line, flat >= needed, nearly)


def _in_a_row(line: list[_Shape], flat: bool, nearly: bool) -> bool:
    """Whether shapes share a base line: the less strictly, the more their one value tells."""
    tall = float(np.median([shape.height for shape in line]))
    ends = np.array([(shape.top, shape.bottom) for shape in line])
    off = np.abs(ends - np.median(ends, axis=0))
    upper, lower = np.mean(off <= max(1.0, 0.12 * tall), axis=0)
    best, both = max(upper, lower), upper + lower
    letters = sum(shape.width <= _BROADEST * shape.height for shape in line)
    if flat:
        return bool(letters >= _LEAST and (both >= 1.5 if len(line) < _SHORT else best >= 0.35))
    if len(line) >= _LONG:
        return bool(nearly and best >= 0.6)
    gaps = [after.left - before.right for before, after in pairwise(line)]
    tight = np.median(gaps) <= _TIGHT * tall
    return bool(nearly and tight and letters >= _SHORT and best >= 0.8 and both >= 1.7)


def _continues(line: list[_Shape], shape: _Shape, span: float) -> bool:
    last = line[-1]
    tall = max(last.height, shape.height)
    gap = shape.left - last.right
    return (
        min(last.height, shape.height) * 2 >= tall
        and -0.5 * tall <= gap <= 1.6 * tall
        and abs(last.bottom + last.top - shape.bottom - shape.top) <= tall
        and abs(last.level - shape.level) <= _LEVEL * span * (4 if tall <= _FAINT else 1)
    )


def _box(line: list[_Shape], weak: np.ndarray) -> tuple[int, int, int, int]:
    """Box of a line, with what stands out beside it, if less: dots, accents, faint letters."""
    tall = max(shape.height for shape in line)
    pad, reach = max(2, tall // 2), 2 * tall
    rows, columns = weak.shape
    top, bottom = min(s.top for s in line), max(s.bottom for s in line)
    left, right = min(s.left for s in line), max(s.right for s in line)
    top, bottom = max(0, top - pad), min(rows, bottom + pad)
    for _ in range(_REACHES):
        before = np.flatnonzero(weak[top:bottom, max(0, left - reach) : left].any(0))
        after = np.flatnonzero(weak[top:bottom, right : right + reach].any(0))
        left = max(0, left - reach) + int(before[0]) if before.size else left
        right = right + int(after[-1]) + 1 if after.size else right
    return top, max(0, left - pad), bottom, min(columns, right + pad)


def _ring(image: np.ndarray, top: int, left: int, bottom: int, right: int) -> np.ndarray:
    """What is around a box: two rows above it or below, else columns beside it, else the image."""
    above, below = image[max(0, top - 2) : top, left:right], image[bottom : bottom + 2, left:right]
    before, after = image[top:bottom, max(0, left - 2) : left], image[top:bottom, right : right + 2]
    return next((one for one in (above, below, before, after) if one.size), image)
