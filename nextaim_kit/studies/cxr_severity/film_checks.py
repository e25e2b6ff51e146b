"""What makes a film improbable: not of a chest, not frontal, turned, upside down or mirrored.

The rules were set on 90 frontal films whose lungs radiologists had outlined: the lungs covered 21
to 61 % of the film, one had at most 1.6 times the area of the other, and in none did they lie wider
apart at their top than at their bottom, where the heart is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

_AREA = (0.10, 0.70)  # of the film
_UNEQUAL = 3.0  # area of one lung over that of the other
_UPSIDE_DOWN = 1.15  # gap between the lungs in their upper half over that in their lower one
_MIRRORED = -0.6  # how much brighter the heart's side is, in standard deviations of the film


def doubts(film: NDArray, lungs: NDArray) -> list[str]:
    """What is strange about a frontal chest film, given the lungs that were found on it.

    Parameters
    ----------
    film : array of shape (rows, columns)
        Bones bright.
    lungs : array of int of the same shape
        0; 1: the lung on the film's left; 2: the other one.

    Returns
    -------
    list of str
        Empty for a usual film. Outlined by a network trained on the twin, of 229 real films 3 were
        called mirrored and none upside down; of the same films mirrored 24 % were called so, upside
        down 44 %. By halves of the patients, both seen when the threshold was set: 2 of 121, 1 of
        108 films called mirrored, 24 and 23 % of mirrored ones. About 25 of the 229 had
        any doubt at all, most of them since that network missed a lung or a large part of one: 16
        "only one lung found", 6 "more than three times".
    """
    share, found = float((lungs > 0).mean()), [k for k in (1, 2) if (lungs == k).any()]
    if not found:
        return ["no lungs found: another part of the body?"]
    said = []
    if not _AREA[0] <= share <= _AREA[1]:
        said.append(f"lungs cover {share:.0%} of the film: another part of the body?")
    if len(found) == 1:
        return [*said, "only one lung found: a lateral film, or one lung white?"]
    inside, beside = lungs > 0, binary_dilation(lungs > 0, iterations=max(2, len(lungs) // 16))
    if film[inside].mean() > film[beside & ~inside].mean():
        return [*said, "the lungs are brighter than what is beside them: inverted?"]
    areas = [(lungs == k).sum() for k in (1, 2)]
    if max(areas) > _UNEQUAL * min(areas):
        said.append("one lung is more than three times the other: a lateral film?")
    return said + _position(film, lungs)


def _position(film: NDArray, lungs: NDArray) -> list[str]:
    (row_1, column_1), (row_2, column_2) = (np.argwhere(lungs == k).mean(0) for k in (1, 2))
    if abs(row_1 - row_2) > abs(column_1 - column_2):
        return ["the lungs lie above each other: turned by 90 degrees?"]
    if 0 < _UPSIDE_DOWN * _gap(lungs, 0.6, 0.95) < _gap(lungs, 0.05, 0.4):
        return ["the lungs are wider apart at their top: upside down?"]
    if _heart(film, lungs, (column_1 + column_2) / 2, (column_2 - column_1) / 2) < _MIRRORED:
        return ["the heart lies on the film's left: mirrored?"]
    return []


def _height(lungs: NDArray, low: float, high: float) -> slice:
    """Rows from one part of the lungs' height to another, from their top."""
    rows = np.flatnonzero((lungs > 0).any(1))
    top, height = rows[0], rows[-1] - rows[0] + 1
    return slice(top + int(low * height), top + max(int(high * height), int(low * height) + 1))


def _gap(lungs: NDArray, low: float, high: float) -> float:
    """Mean pixels from one lung to the other in the rows that have both; 0 without such a row."""
    part = lungs[_height(lungs, low, high)]
    part = part[(part == 1).any(1) & (part == 2).any(1)]
    last = part.shape[1] - 1 - (part == 1)[:, ::-1].argmax(1)
    return float(((part == 2).argmax(1) - last).mean()) if len(part) else 0.0


def _heart(film: NDArray, lungs: NDArray, middle: float, half: float) -> float:
    """How much brighter the film is right of the middle than left of it, beside the spine."""
    low = film[_height(lungs, 0.5, 0.9)].astype(float)
    right = low[:, int(middle + 0.25 * half) : int(middle + 0.8 * half) + 1]
    left = low[:, int(middle - 0.8 * half) : int(middle - 0.25 * half) + 1]
    return float((right.mean() - left.mean()) / (film.std() + 1e-12))
