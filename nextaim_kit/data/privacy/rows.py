"""Letters in a row: which shapes make a line, and whether a line was drawn or is anatomy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from nextaim_kit.data.privacy.alone import View, stands_alone
from nextaim_kit.data.privacy.letters import FAINT, HEIGHTS, LEAST, LEVEL, LIMIT, WIDEST, Shape

_SAME = 0.6  # of a line's shapes, with one value
# Share of a line's pixels with one value: of bright strokes, of dark ones.
_FLAT = {True: 0.2, False: 0.5}
_SHORT, _LONG = 5, 7  # shapes of a line whose form alone tells, if it is strict, and if it is not
_BROADEST = 1.6  # heights: a letter that touches no other
_TIGHT = 0.45  # of their height: the gap between letters of a short line
_AS_TALL = 1.6  # of lines of one block


def rows_of(shapes: list[Shape], view: View, *, alone: bool) -> list[list[Shape]]:
    """Lines of writing among shapes.

    Parameters
    ----------
    shapes : list of Shape
    view : View
    alone : bool
        Whether only those count that stand alone, as faint ones have to.
    """
    able = [shape for shape in shapes if HEIGHTS[0] <= shape.height <= HEIGHTS[1]]
    rows = _joined([shape for shape in able if not _is_wide(shape)], view.span)
    found = [] if alone else [row for row in rows if _is_writing(row, view)]
    others = [row for row in rows if row not in found] + [[s] for s in able if _is_wide(s)]
    found += [row for row in others if stands_alone(row, view)]
    return _with_blocks(found, [row for row in rows if len(row) > 1], view.span)


def _with_blocks(
    found: list[list[Shape]], rows: list[list[Shape]], span: float
) -> list[list[Shape]]:
    """Lines, and those above and below that are like them: writing comes in blocks."""
    left, queue = [row for row in rows if row not in found], list(found)
    while queue and left:
        row = queue.pop()
        like = [other for other in left if _of_a_block(row, other, span)]
        left = [other for other in left if other not in like]
        found, queue = found + like, queue + like
    return found


def _of_a_block(row: list[Shape], other: list[Shape], span: float) -> bool:
    """Whether a line is as tall and as bright as another, and stands right above or below."""
    heights, tops, bottoms, levels = (
        [float(np.median([getattr(shape, name) for shape in one])) for one in (row, other)]
        for name in ("height", "top", "bottom", "level")
    )
    tall = max(heights)
    apart = max(tops) - min(bottoms)
    beside = max(row[0].left, other[0].left) - min(row[-1].right, other[-1].right)
    alike = tall <= _AS_TALL * min(heights) and abs(levels[0] - levels[1]) <= 2 * LEVEL * span
    return alike and 0 <= apart <= 2 * tall and beside <= 3 * tall


def _is_wide(shape: Shape) -> bool:
    """Whether it is more than a few letters that touch, as a word is that is underlined."""
    return shape.width > WIDEST * shape.height


def _is_writing(row: list[Shape], view: View) -> bool:
    enough = len(row) >= LEAST + (row[0].height <= FAINT)
    return (
        enough and _drawn(row, view.highest, view.span) and _written(row, view.highest, view.span)
    )


def _joined(shapes: list[Shape], span: float) -> list[list[Shape]]:
    """Shapes that stand in a row, alike in height and level."""
    lines: list[list[Shape]] = []
    near: list[list[Shape]] = []
    for shape in sorted(shapes, key=lambda s: (s.left, s.top)):
        near = [line for line in near if shape.left - line[-1].right <= 3.2 * line[-1].height]
        fits = [line for line in near if _continues(line, shape, span)]
        if fits:
            max(fits, key=lambda line: line[-1].right).append(shape)
        else:
            lines.append([shape])
            near.append(lines[-1])
    return lines


def _drawn(line: list[Shape], highest: float, span: float) -> bool:
    """Whether shapes were drawn: as bright as the image gets, or with one and the same value.

    Vessels and bones stand in rows too; their brightest voxels differ, and are not the limit.
    """
    peaks = [shape.peak for shape in line]
    most = max(peaks.count(peak) for peak in peaks)
    return _at_the_limit(line, highest, span) or most >= max(LEAST, _SAME * len(peaks))


def _at_the_limit(line: list[Shape], highest: float, span: float) -> bool:
    peaks = sorted(shape.peak for shape in line)
    limit = highest - LIMIT * span * (1 if line[0].height > FAINT else 2)
    return peaks[len(peaks) // 2] >= limit


def _written(line: list[Shape], highest: float, span: float) -> bool:
    """Whether shapes that may be drawn are flat, or stand as letters do.

    Of bones at the upper end of a scale, and of lungs at the lower, few voxels have one value.
    """
    _, counts = np.unique(np.concatenate([s.values for s in line]), return_counts=True)
    flat = counts.max() / counts.sum()
    needed = _FLAT[bool(np.isfinite(highest))]
    nearly = flat >= needed / 2 or _at_the_limit(line, highest, span)
    return _in_a_row(line, flat >= needed, nearly)


def _in_a_row(line: list[Shape], flat: bool, nearly: bool) -> bool:
    """Whether shapes share a base line: the less strictly, the more their one value tells."""
    tall = float(np.median([shape.height for shape in line]))
    ends = np.array([(shape.top, shape.bottom) for shape in line])
    off = np.abs(ends - np.median(ends, axis=0))
    upper, lower = np.mean(off <= max(1.0, 0.12 * tall), axis=0)
    best, both = max(upper, lower), upper + lower
    letters = sum(shape.width <= _BROADEST * shape.height for shape in line)
    if flat:
        return bool(letters >= LEAST and (both >= 1.5 if len(line) < _SHORT else best >= 0.35))
    if len(line) >= _LONG:
        return bool(nearly and best >= 0.6)
    gaps = [after.left - before.right for before, after in pairwise(line)]
    tight = np.median(gaps) <= _TIGHT * tall
    return bool(nearly and tight and letters >= _SHORT and best >= 0.8 and both >= 1.7)


def _continues(line: list[Shape], shape: Shape, span: float) -> bool:
    last = line[-1]
    before, own = last.bottom - last.top, shape.bottom - shape.top
    tall = max(before, own)
    if abs(last.bottom + last.top - shape.bottom - shape.top) > tall:
        return False
    return (
        min(before, own) * 2 >= tall
        and -0.5 * tall <= shape.left - last.right <= 1.6 * tall
        and abs(last.level - shape.level) <= LEVEL * span * (4 if tall <= FAINT else 1)
    )
