"""The loops of the filters along one axis, in the Python that `compiled` turns into machine code.

`along` hands them an array's planes. The others work on rows: the axis that is filtered is the
first one, and what lies side by side in a row is worked on together. Sums are in the order of the
C code that pyradiomics calls, so that the last digits are its.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Rows = Callable[[Array], Array]


def along(array: np.ndarray, axis: int, rows: Rows, length: int, kind: Any) -> np.ndarray:
    """Filter an array (z, y, x) along an axis, plane by plane.

    Parameters
    ----------
    array : ndarray, shape (z, y, x)
    axis : int
    rows : callable
        Filters a plane along the first of its two axes.
    length : int
        How long it leaves that axis.
    kind : dtype
        Of the result.
    """
    shape = [length if k == axis else n for k, n in enumerate(array.shape)]
    made = np.empty(shape, kind)
    order = ((1, 0, 2), (0, 1, 2), (0, 2, 1))[axis]
    for plane, out in zip(array.transpose(order), made.transpose(order), strict=True):
        out[...] = rows(plane)
    return made


def recursive(
    x: Array, ahead: Array, back: Array, d: Array, still: Array, c: Array, a: Array, out: Array
) -> None:
    """Recursive filter of 4th order from both ends, its borders going on for ever.

    ``c[i] = sum(ahead[k] x[i-k]) - sum(d[k] c[i-1-k])`` from the first row on,
    ``a[i] = sum(back[k] x[i+1+k]) - sum(d[k] a[i+1+k])`` from the last one; `out` is their sum.
    `still` is what a constant 1 becomes, by `c` and by `a`; these two are room for four rows more
    than `x` has.
    """
    n, last = x.shape[0], x.shape[0] - 1
    width = x.shape[1]
    d1, d2, d3, d4 = d[0], d[1], d[2], d[3]
    b0, b1, b2, b3 = ahead[0], ahead[1], ahead[2], ahead[3]
    for k in range(4):
        for j in range(width):
            c[k, j] = x[0, j] * still[0]
            a[n + k, j] = x[last, j] * still[1]
    for i in range(n):
        x0, x1, x2, x3 = x[i], x[max(i - 1, 0)], x[max(i - 2, 0)], x[max(i - 3, 0)]
        c1, c2, c3, c4, here = c[i + 3], c[i + 2], c[i + 1], c[i], c[i + 4]
        for j in range(width):
            here[j] = x0[j] * b0 + x1[j] * b1 + x2[j] * b2 + x3[j] * b3
        for j in range(width):
            here[j] -= c1[j] * d1 + c2[j] * d2 + c3[j] * d3 + c4[j] * d4
    b0, b1, b2, b3 = back[0], back[1], back[2], back[3]
    for i in range(last, -1, -1):
        x0, x1 = x[min(i + 1, last)], x[min(i + 2, last)]
        x2, x3 = x[min(i + 3, last)], x[min(i + 4, last)]
        c1, c2, c3, c4, here = a[i + 1], a[i + 2], a[i + 3], a[i + 4], a[i]
        for j in range(width):
            here[j] = x0[j] * b0 + x1[j] * b1 + x2[j] * b2 + x3[j] * b3
        for j in range(width):
            here[j] -= c1[j] * d1 + c2[j] * d2 + c3[j] * d3 + c4[j] * d4
        both = c[i + 4]
        for j in range(width):
            out[i, j] = both[j] + here[j]


def convolve(x: Array, taps: Array, turned: Array, out: Array) -> None:
    """Sum `taps`, the first one times the last of the rows that a row of `out` needs.

    Where ``turned[i]`` is above 0, so many terms more than one are added in reverse, the last of
    them first.
    """
    width = x.shape[1]
    for i in range(out.shape[0]):
        here = out[i]
        here[:] = 0
        for k in range(taps.size):
            tap = turned[i] - k if k <= turned[i] else k
            there, factor = x[i + taps.size - 1 - tap], taps[tap]
            for j in range(width):
                here[j] += there[j] * factor
