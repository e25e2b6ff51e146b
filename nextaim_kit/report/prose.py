"""A report in prose, cut into its sections by their headings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A section of a text: its code's value, how it is headed, and where its words are."""

    code: str
    heading: str
    first: int
    end: int


def sections(
    text: str, headings: Mapping[str, Sequence[str]], otherwise: str = "18782-3"
) -> list[Section]:
    """Cut a text where a heading stands at the beginning of a line or sentence, before a colon.

    A heading that has a line of its own needs no colon. What stands before the first one, and a
    text without any, is the section `otherwise`. Nothing but headings and blanks is left out.

    Parameters
    ----------
    text : str
    headings : mapping of str to sequence of str
        By a section's code: how it is headed, in capital letters or small.
    otherwise : str
        By default the findings.

    Examples
    --------
    >>> text = "REFERTO: Non versamento. Conclusioni: negativo."
    >>> for one in sections(text, {"18782-3": ["Referto"], "55110-1": ["Conclusioni"]}):
    ...     print(one.code, one.heading, text[one.first : one.end])
    18782-3 REFERTO Non versamento.
    55110-1 Conclusioni negativo.
    """
    code_of = {word.lower(): code for code, words in headings.items() for word in words}
    found = list(_pattern(code_of).finditer(text)) if code_of else []
    cuts = [(code_of[m["word"].lower()], m["word"], m.end()) for m in found]
    ends = [m.start() for m in found] + [len(text)]
    whole = [(otherwise, "", 0), *cuts]
    parts = [
        Section(code, heading, first, end)
        for (code, heading, first), end in zip(whole, ends, strict=True)
    ]
    return [_trimmed(one, text) for one in parts if one.heading or text[: one.end].strip()]


def _pattern(words: Mapping[str, str]) -> re.Pattern:
    either = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(
        rf"(?:^|(?<=[.;:!?\n]))[^\S\n]*(?P<word>{either})\s*(?::|(?=\n)|$)", re.I | re.M
    )


def _trimmed(one: Section, text: str) -> Section:
    words = text[one.first : one.end]
    first = one.first + len(words) - len(words.lstrip())
    return Section(one.code, one.heading, first, max(first, one.first + len(words.rstrip())))
