"""Names, dates, fiscal codes, telephone and record numbers in reports: flagged, and masked.

Rules find what has a form: codes, dates, numbers, what follows a title ("Dott.ssa", "Nome:"), the
commonest first names beside another capitalized word. They do not find a rare name that stands
alone, a nickname, a place, a job, a date in words. What nobody may see stays out of the texts at
their source; this is a net below, not a proof that nothing is left.

References
----------
The form of the fiscal code, letters that stand for digits among it: Decreto del Ministero delle
Finanze, 23 December 1976, n. 13813.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from nextaim_kit.data.cohort.patients import pseudonym
from nextaim_kit.studies.report_structuring.schema import read_words

COVER = "█"
_WORDS = read_words("people")


def _whole(form: str) -> str:
    """A form with its parts in their places."""
    parts = {**_WORDS["parts"], "first": "|".join(_WORDS["first_names"].split())}
    while (filled := re.sub(r"<(\w+)>", lambda part: parts[part[1]], form)) != form:
        form = filled
    return form


_RULES = [(kind, re.compile(_whole(form), re.I)) for kind, form in _WORDS["any_case"].items()]
_RULES += [(kind, re.compile(_whole(form))) for kind, form in _WORDS["own_case"].items()]
_PARTICLE = re.compile(r"del|della|dello|dei|degli|dal|dalla|van|von|san|santa|con", re.I)
_TELLING = {"name", "fiscal code", "mail address", "telephone"}


class Identifier(NamedTuple):
    """Where in a text something stands that can tell who the patient or the author is."""

    start: int
    end: int
    kind: str


def find(text: str, known: Iterable[str] = ()) -> list[Identifier]:
    """Where a text has what can tell a person, in order and apart from each other.

    Parameters
    ----------
    text : str
    known : iterable of str, optional
        Names and codes known from elsewhere, such as the columns of a table, found as words.

    Examples
    --------
    >>> text = "Dott.ssa Anna Verdi, referto del 12/03/2020. CF: RSSMRA80A01H501U"
    >>> [(text[i.start:i.end], i.kind) for i in find(text)]
    [('Anna Verdi', 'name'), ('12/03/2020', 'date'), ('RSSMRA80A01H501U', 'fiscal code')]
    """
    words = sorted({word.strip() for word in known if len(word.strip()) > 1}, key=len, reverse=True)
    own = re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b", re.I) if words else None
    found = []
    for kind, rule in [*_RULES, *([("known", own)] if own else [])]:
        for hit in rule.finditer(text):
            told = hit.lastindex if rule.flags & re.I == 0 and hit.lastindex else 0
            found.append(Identifier(hit.start(told), hit.end(told), kind))
    apart: list[Identifier] = []
    for one in sorted(found, key=lambda i: (i.start, -i.end)):
        if apart and one.start < apart[-1].end:
            apart[-1] = apart[-1]._replace(end=max(one.end, apart[-1].end))
        else:
            apart.append(one)
    return apart


def mask(text: str, known: Iterable[str] = ()) -> str:
    """A text that may be shown: what `find` finds covered, sign by sign, so that spans still fit.

    Examples
    --------
    >>> mask("Sig. Rossi, TC del 12/03/2020")
    'Sig. █████, TC del ██████████'
    """
    for one in find(text, known):
        covered = re.sub(r"\S", COVER, text[one.start : one.end])
        text = text[: one.start] + covered + text[one.end :]
    return text


def pseudonymous(name: str) -> str:
    """A subject's or patient's name, or a pseudonym in its place where it tells a person.

    Examples
    --------
    >>> pseudonymous("R-0012"), pseudonymous("rossi_mario")[:4]
    ('R-0012', 'sub-')
    """
    words = re.sub(r"[_.-]", " ", name)
    kinds = {one.kind for text in (name, words.title()) for one in find(text)}
    return pseudonym(name) if kinds & _TELLING else name


def telling_words(cells: Iterable[str]) -> set[str]:
    """Cells of names and codes, whole and word by word, to be looked for in texts.

    Examples
    --------
    >>> sorted(telling_words(["Rossi_Mario_3", "Della Valle"]))
    ['Della Valle', 'Mario', 'Rossi', 'Rossi_Mario_3', 'Valle']
    """
    whole = {cell.strip() for cell in cells if len(cell.strip()) > 2}
    words = {word for cell in whole for word in re.findall(r"[^\W\d_]{3,}", cell)}
    return whole | {word for word in words if not _PARTICLE.fullmatch(word)}


def flagged(table: pd.DataFrame) -> pd.DataFrame:
    """How many identifiers of each kind a cohort's texts have; what they say is not repeated.

    Returns
    -------
    DataFrame
        ``subject``, ``kind``, ``count``.
    """
    rows = [
        (subject, kind, count)
        for subject, text in zip(table["subject"], table["text"], strict=True)
        for kind, count in sorted(Counter(one.kind for one in find(text)).items())
    ]
    return pd.DataFrame(rows, columns=["subject", "kind", "count"])
