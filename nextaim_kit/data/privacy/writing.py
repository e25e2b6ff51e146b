"""Lines of writing in an image: strokes of one level, in shapes of one height, side by side."""

from __future__ import annotations

import numpy as np

from nextaim_kit.data.privacy.alone import View
from nextaim_kit.data.privacy.letters import HEIGHTS, Shape, shapes_of, standing_out
from nextaim_kit.data.privacy.rows import rows_of

# Of the image's range, by which strokes stand out of what is around them: of any line, and of one
# that stands alone.
_CONTRAST, _FAINTLY = 0.3, 0.18
# What counts beside a line that was found, and how often it is looked for.
_WEAK, _REACHES = 0.12, 12
Box = tuple[int, int, int, int]


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


def lines_of(image: np.ndarray, color: bool = False) -> list[Box]:
    """Boxes (top, left, bottom, right) of the lines of writing in an image, upright or turned."""
    boxes: list[Box] = []
    planes = (image.max(-1), image.min(-1)) if color else (image,)
    for plane in planes:
        gray = np.asarray(plane, np.float32)
        span = float(gray.max() - gray.min()) if gray.size else 0.0
        if span <= 0 or min(gray.shape) < HEIGHTS[0]:
            continue
        for sign in (1.0, -1.0):
            above = standing_out(sign * gray)
            # Airways are as dark as an image gets: dark writing is told by its one value alone.
            highest = float(gray.max()) if sign > 0 else np.inf
            for contrast in (_CONTRAST, _FAINTLY):
                view = View(above, span, contrast, highest)
                boxes += _either_way(sign * gray, view, alone=contrast < _CONTRAST)
    return sorted(set(boxes))


def _either_way(gray: np.ndarray, view: View, *, alone: bool) -> list[Box]:
    """Boxes of lines that are upright, and of those that are turned."""
    shapes = shapes_of(gray, view.above, view.span, view.contrast)
    weak = view.above > _WEAK * view.span
    boxes = [_box(row, weak) for row in rows_of(shapes, view, alone=alone)]
    turned = [shape.turned() for shape in shapes]
    for row in rows_of(turned, view.turned(), alone=alone):
        top, left, bottom, right = _box(row, weak.T)
        boxes.append((left, top, right, bottom))
    return boxes


def _box(line: list[Shape], weak: np.ndarray) -> tuple[int, int, int, int]:
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
