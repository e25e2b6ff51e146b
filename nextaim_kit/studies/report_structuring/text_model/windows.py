"""Texts longer than a model takes: seen in windows that overlap, never cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_WORDS = re.compile(r"\S+\s*")
_SENTENCE = re.compile(r"[.;:!?]\s*$")


def windows(
    text: str, longest: int, count: Callable[[str], int], *, overlap: float = 0.25
) -> list[tuple[int, int]]:
    """Where the windows of a text begin and end; one for a text that is short enough.

    A window ends with a sentence where one ends in its last quarter, and the next begins so many
    tokens before that end.

    Parameters
    ----------
    text : str
    longest : int
        Tokens of a window at most.
    count : callable
        Tokens of a text.
    overlap : float
        Share of a window that the next one sees too.

    Examples
    --------
    >>> windows("uno due tre quattro", 2, lambda text: len(text.split()), overlap=0.5)
    [(0, 8), (4, 12), (8, 19)]
    """
    if count(text) <= longest:
        return [(0, len(text))]
    words = [(found.start(), found.end()) for found in _WORDS.finditer(text)]
    sizes = [max(1, count(text[start:end])) for start, end in words]
    found, first = [], 0
    while first < len(words):
        last = _reach(sizes, first, longest)
        if last < len(words):
            quarter = first + (last - first) * 3 // 4
            ends = [k for k in range(quarter, last) if _SENTENCE.search(text[slice(*words[k])])]
            last = ends[-1] + 1 if ends else last
        found.append((words[first][0], words[last - 1][1]))
        if last == len(words):
            break
        first = max(first + 1, last - _back(sizes, first, last, overlap * longest))
    return found


def _reach(sizes: Sequence[int], first: int, longest: int) -> int:
    total, last = sizes[first], first + 1
    while last < len(sizes) and total + sizes[last] <= longest:
        total, last = total + sizes[last], last + 1
    return last


def _back(sizes: Sequence[int], first: int, last: int, wanted: float) -> int:
    """Words before the end that hold so many tokens."""
    total, words = 0, 0
    while last - words > first and total + sizes[last - words - 1] <= wanted:
        words += 1
        total += sizes[last - words]
    return words


def joined(said: Sequence[bool], confidence: Sequence[float]) -> int:
    """Which window's answer counts for a field.

    The surest of those that state something: that the other windows do not mention it is no
    evidence against it. If none states anything, the least sure silence.
    """
    stating = [k for k, says in enumerate(said) if says]
    if stating:
        return max(stating, key=lambda k: confidence[k])
    return min(range(len(said)), key=lambda k: confidence[k])
