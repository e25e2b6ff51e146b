"""Lines that stand alone: sharp strokes in a row, with nothing like them above and below."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nextaim_kit.data.privacy.letters import Shape

# A line that stands alone: strokes that a row of pixels crosses, in all and to a height; strokes
# above and below, of those within; of their contrast, what is gone one pixel beside them.
_CROSSED, _DENSE = 8, (0.9, 2.9)
_BESIDE, _SHARP, _AMID = 0.3, 0.7, 0.4


@dataclass(frozen=True)
class View:
    """An image, bright strokes upward, in which lines are looked for.

    Parameters
    ----------
    above : numpy.ndarray
        How far each pixel stands out of what is around it.
    span : float
        The image's range.
    contrast : float
        Share of it, by which a stroke stands out.
    highest : float
        The value that the brightest strokes have; infinite where none tells.
    """

    above: np.ndarray
    span: float
    contrast: float
    highest: float

    def turned(self) -> View:
        return replace(self, above=self.above.T)


def stands_alone(row: list[Shape], view: View) -> bool:
    """Whether strokes are crossed as letters are, with sharp edges and none above and below.

    Noise, speckle and vessels go on in all directions and rise over several pixels.
    """
    tall = float(np.median([shape.height for shape in row]))
    top, bottom = min(s.top for s in row), max(s.bottom for s in row)
    left, right = row[0].left, max(s.right for s in row)
    least, most = (bound * (right - left) / tall for bound in _DENSE)
    if most < _CROSSED or not _level(row, tall):
        return False
    reach = max(2, round(_AMID * tall))
    start = max(0, top - reach)
    strokes = view.above[start : bottom + reach, left:right] > view.contrast * view.span
    inside = strokes[top - start : bottom - start]
    steps = np.diff(inside.astype(np.int8), axis=1, prepend=0) == 1
    crossed = float(np.median(steps.sum(1)))
    beside = np.concatenate([strokes[: top - start], strokes[bottom - start :]])
    near = beside.mean() if beside.size else 1.0
    if not max(least, _CROSSED) <= crossed <= most or near > _BESIDE * inside.mean():
        return False
    return _sharp(view.above[top:bottom, left:right], inside)


def _level(row: list[Shape], tall: float) -> bool:
    """Whether shapes stand on one line, or hang from one."""
    ends = np.array([(shape.top, shape.bottom) for shape in row])
    off = np.abs(ends - np.median(ends, axis=0))
    return bool(np.mean(off <= max(1.0, 0.12 * tall)) >= 0.65)


def _sharp(above: np.ndarray, strokes: np.ndarray) -> bool:
    from scipy import ndimage

    ring = ndimage.binary_dilation(strokes, np.ones((3, 3))) & ~strokes
    return bool(ring.any() and above[ring].mean() <= (1 - _SHARP) * np.median(above[strokes]))
