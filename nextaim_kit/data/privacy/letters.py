"""Shapes in an image that may be letters: connected strokes that stand out of what is around."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

LEVEL = 0.06  # of the range: how far the strokes of one line may differ
LIMIT = 0.08  # of the range, below its limit
_RING = 0.15  # share of the pixels around a stroke that may be as it is
FAINT = 12  # pixels: letters up to this height are drawn in grays
HEIGHTS = (5, 90)  # pixels of a letter
WIDEST = 6.0  # widths of a shape, in its heights: letters may touch
LEAST = 3  # shapes of a line: L, R and AP are marks of the film and stay
# Strokes of the size of letters, above which only those that may be drawn are looked at.
_MANY = 500
_STROKE = 11  # pixels; strokes are thinner than half of it in images up to `_SMALL`
_SMALL = 1024


@dataclass(frozen=True)
class Shape:
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

    def turned(self) -> Shape:
        top, left, bottom, right = self.left, self.top, self.right, self.bottom
        return replace(self, top=top, left=left, bottom=bottom, right=right)


def standing_out(gray: np.ndarray) -> np.ndarray:
    """How far each pixel stands out of what is around it, where that is no wider than a stroke."""
    from scipy import ndimage

    size = _STROKE * max(1, round(min(gray.shape) / _SMALL))
    worn = ndimage.minimum_filter(gray, size, mode="nearest")
    return gray - ndimage.maximum_filter(worn, size, mode="nearest")


def shapes_of(gray: np.ndarray, above: np.ndarray, span: float, contrast: float) -> list[Shape]:
    """Connected strokes that stand out, of the size of letters."""
    from scipy import ndimage

    strokes = above > contrast * span
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
        alike = np.mean(np.abs(inside - level) < LEVEL * span) > 0.3
        if (alike or max(height, width) <= FAINT) and _apart(gray, labels, number, rows, columns):
            box = (rows.start, columns.start, rows.stop, columns.stop)
            shapes.append(Shape(*box, level, float(inside.max()), inside))
    return shapes


def _of_a_letter(rows: slice, columns: slice) -> bool:
    height, width = rows.stop - rows.start, columns.stop - columns.start
    least, most = HEIGHTS
    return least <= max(height, width) <= WIDEST * most and min(height, width) <= most


def _perhaps_drawn(gray: np.ndarray, labels: np.ndarray, able: list[int], span: float) -> list[int]:
    """Of very many strokes, as noise makes them, those at the limit or of a value that recurs."""
    strokes = labels > 0
    owner, value = labels[strokes], gray[strokes]
    peaks = np.full(int(owner.max()) + 1, -np.inf, np.float32)
    np.maximum.at(peaks, owner, value)
    flat = np.bincount(owner, value == peaks[owner]) / np.maximum(np.bincount(owner), 1)
    numbers = np.array(able)
    _, kind, counts = np.unique(peaks[numbers], return_inverse=True, return_counts=True)
    keep = (flat[numbers] > 0.25) | (counts[kind] >= max(LEAST, len(able) // 50))
    keep |= peaks[numbers] >= float(gray.max()) - 4 * LIMIT * span
    return [int(number) for number in numbers[keep]]


def _apart(gray: np.ndarray, labels: np.ndarray, number: int, rows: slice, columns: slice) -> bool:
    """Whether what is around a shape is of another value: a gap between two is no stroke."""
    from scipy import ndimage

    around = tuple(slice(max(0, one.start - 1), one.stop + 1) for one in (rows, columns))
    own = labels[around] == number
    ring = ndimage.binary_dilation(own, np.ones((3, 3))) & ~own
    return bool(np.mean(gray[around][ring] >= gray[around][own].max()) < _RING)
