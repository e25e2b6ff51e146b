"""Values that an annotator may have got wrong: those that models of other reports contradict.

For each field a model learns from four fifths of the reports and says how likely each value is in
the others. A given value is suspect if another one is as likely as it usually is where it is
given (confident learning, Northcutt 2021). What all annotators get wrong in the same way, a model
learns from them: such errors are not found so.

References
----------
Northcutt, Jiang and Chuang 2021, doi:10.1613/jair.1.12125.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.learn.intervals import proportion_interval
from nextaim_kit.learn.splits import Split, patient_folds
from nextaim_kit.studies.report_structuring.agreement import words
from nextaim_kit.studies.report_structuring.numbers import NumberSpan, find_numbers, value_in
from nextaim_kit.studies.report_structuring.schema import UNSAID, Field, Template

COLUMNS = ["subject", "field", "given", "suggested", "certainty"]
_BEFORE, _AFTER = 40, 12  # characters around a number that tell what it measures
_WORDS = 50  # of a field
_CLAUSE, _TOKEN = re.compile(r"[.;:]\s|\n"), re.compile(r"[^\W\d_]+|%")
_DENIAL = re.compile(r"non?|né|ne|senza|assen\w+|negativ\w+|not|without|absen\w+|nor|free|sin|ni")
_DOUBT = re.compile(
    r"\b(verosimil|dubbi|possibil|possibl|sospett|suspect|probab|likely|incert|suggestiv|"
    r"da escludere)"
)


def suspects(
    table: pd.DataFrame, template: Template, *, folds: int = 5, seed: int = 0
) -> pd.DataFrame:
    """Values that may be an annotator's errors, the surest first.

    Parameters
    ----------
    table : DataFrame
        ``subject``, ``group``, ``language``, ``text`` and the fields.
    template : Template
    folds : int
        Parts of the reports, by group: a copy of a report never judges it.
    seed : int

    Returns
    -------
    DataFrame
        ``subject``, ``field``, ``given``, ``suggested`` (as the canonical text writes them, ``?``
        for not mentioned), ``certainty`` (by how much likelier the suggestion is, 0 to 1).

    Raises
    ------
    DataError
        If there are fewer groups than folds.
    """
    parts = patient_folds(table, folds, seed=seed, by=(), group="group")
    choices = [field for field in template.fields if field.choices]
    likely = probabilities(table, choices, parts)
    rows = []
    for field in choices:
        given = words(table[field.key], field)
        off = off_diagonal(given, *likely[field.key])
        rows += [_row(table, k, field, given[k], to, by) for k, to, by in off]
    for field in template.fields:
        if not field.choices:
            rows += _of_numbers(table, field, parts)
    found = pd.DataFrame(rows, columns=COLUMNS)
    return found.sort_values(
        COLUMNS[-1:] + COLUMNS[:2], ascending=[False, True, True], ignore_index=True
    )


def probabilities(
    table: pd.DataFrame, fields: Sequence[Field], parts: Sequence[Split]
) -> dict[str, tuple[NDArray, NDArray]]:
    """For each field its values and how likely each is in each report, by the other folds."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    given = {field.key: words(table[field.key], field) for field in fields}
    classes = {key: np.unique(values) for key, values in given.items()}
    likely = {key: np.zeros((len(table), len(classes[key]))) for key in given}
    texts = table["text"].to_numpy()
    for train, test in parts:
        count = CountVectorizer(analyzer=marked_words, binary=True, min_df=2)
        seen, new = count.fit_transform(texts[train]), count.transform(texts[test])
        for key, values in given.items():
            there = np.searchsorted(classes[key], np.unique(values[train]))
            if len(there) < 2:
                likely[key][np.ix_(test, there)] = 1
                continue
            told = _most_telling(seen, values[train])
            model = LogisticRegression(max_iter=200).fit(seen[:, told], values[train])
            likely[key][np.ix_(test, there)] = model.predict_proba(new[:, told])
    return {key: (classes[key], likely[key]) for key in given}


def _most_telling(counts: Any, values: NDArray) -> NDArray:
    """The words that tell a field's values best: most of a report speaks of other fields."""
    from sklearn.feature_selection import chi2

    scores = np.nan_to_num(chi2(counts, values)[0])
    return np.argsort(-scores, kind="stable")[:_WORDS]


def marked_words(text: str) -> list[str]:
    """Words and pairs of a text, those behind a denial or in doubt marked so, clause by clause.

    Examples
    --------
    >>> marked_words("Cuore normale. Non versamento.")
    ['cuore', 'normale', 'cuore normale', 'no:non', 'no:versamento', 'no:non no:versamento']
    """
    found: list[str] = []
    for clause in _CLAUSE.split(text.casefold()):
        doubt, denied, marked = "?" * bool(_DOUBT.search(clause)), "", []
        for word in _TOKEN.findall(clause):
            denied = denied or ("no:" if _DENIAL.fullmatch(word) else "")
            marked.append(f"{doubt}{denied}{word}")
        found += [*marked, *(f"{a} {b}" for a, b in pairwise(marked))]
    return found


def off_diagonal(given: NDArray, classes: NDArray, likely: NDArray) -> list[tuple[int, str, float]]:
    """Rows whose value is confidently another: place, that value, how much likelier it is.

    A class is *confident* in a row if it is at least as likely there as it is on average where it
    is given. Of the confident ones the likeliest counts.

    Examples
    --------
    >>> given, classes = np.array(["a", "a", "a", "b"]), np.array(["a", "b"])
    >>> likely = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7]])
    >>> [(place, value) for place, value, _ in off_diagonal(given, classes, likely)]
    [(2, 'b')]
    """
    own = np.searchsorted(classes, given)
    usual = np.array([likely[own == k, k].mean() for k in range(len(classes))])
    confident = np.where(likely >= usual, likely, -1)
    best, rows = confident.argmax(axis=1), np.arange(len(given))
    off = (best != own) & (confident[rows, best] > likely[rows, own])
    gain = likely[rows, best] - likely[rows, own]
    return [(int(k), str(classes[best[k]]), float(gain[k])) for k in np.flatnonzero(off)]


class _Seen(NamedTuple):
    """A number of a text: of which row, its value in the field's unit, what stands around it."""

    row: int
    value: str
    around: str


def _of_numbers(table: pd.DataFrame, field: Field, parts: Sequence[Split]) -> list[tuple]:
    """Rows whose number is not the one that stands where this field's numbers stand."""
    given = words(table[field.key], field)
    seen = [one for k in range(len(table)) for one in _numbers(table, k, field)]
    row = np.array([one.row for one in seen], int)
    own = np.array([one.value == given[one.row] for one in seen], bool)
    rows = []
    for train, test in parts:
        chance = _like_the_given([one.around for one in seen], own, np.isin(row, train))
        for k in test:
            here = np.flatnonzero(row == k)
            best = here[chance[here].argmax()] if len(here) else -1
            likely = chance[best] if best >= 0 else 0.0
            told = seen[best].value if likely >= 0.5 else UNSAID
            if told != given[k]:
                certainty = likely if told != UNSAID else 1 - likely
                rows.append(_row(table, k, field, given[k], told, float(certainty)))
    return rows


def _like_the_given(around: Sequence[str], own: NDArray, train: NDArray) -> NDArray:
    """How likely each number is the field's by the words around it, learned from training rows."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    if not own[train].any() or own[train].all():
        return np.full(len(own), float(own[train].any()))
    context = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"(?u)[^\W\d]+|%")
    counts = context.fit([a for a, t in zip(around, train, strict=True) if t]).transform(around)
    model = LogisticRegression(C=3, max_iter=200).fit(counts[train], own[train])
    return model.predict_proba(counts)[:, 1]


def _numbers(table: pd.DataFrame, k: int, field: Field) -> list[_Seen]:
    text, language = table["text"].iloc[k], table["language"].iloc[k]
    found = []
    low, high = field.low or 0.0, field.high or 0.0
    for number in find_numbers(text, language if language in ("it", "en") else "it"):
        value = value_in(number, field.unit)
        if value is not None and low <= value <= high:
            found.append(_Seen(k, field.written(value), _around(text, number)))
    return found


def _around(text: str, number: NumberSpan) -> str:
    """Words around a number, those of its own sentence, the ones behind it marked."""
    before = text[max(0, number.start - _BEFORE) : number.start]
    for mark in (". ", "\n", ";"):
        before = before.rpartition(mark)[2]
    after = " ".join(f"behind_{word}" for word in text[number.end : number.end + _AFTER].split())
    return f"{before} {after}"


def _row(table: pd.DataFrame, k: int, field: Field, given: str, to: str, by: float) -> tuple:
    return table["subject"].iloc[k], field.key, str(given), to, by


def spoiled(
    values: pd.DataFrame,
    template: Template,
    rate: float,
    *,
    systematic: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Values with errors planted: some say what another report says of the field.

    Parameters
    ----------
    values : DataFrame
        A column per field.
    template : Template
    rate : float
        Share of the values that become wrong.
    systematic : bool
        Not here and there, but by habit: one choice is taken for another in every report, in as
        many fields as it takes.
    seed : int
    """
    rng, told = np.random.default_rng(seed), values.copy()
    said = {field.key: words(values[field.key], field) for field in template.fields}
    habits = _habits(said, template, rate, rng) if systematic else {}
    for key, given in said.items():
        one, other = habits.get(key, ("", ""))
        wrong = given == one if systematic else rng.random(len(given)) < rate
        cells = values[key].to_list()
        for k in np.flatnonzero(wrong):
            donors = np.flatnonzero(given == other if systematic else given != given[k])
            cells[k] = values[key].iloc[rng.choice(donors)] if len(donors) else cells[k]
        told[key] = pd.Series(cells, told.index, dtype=values[key].dtype)
    return told


def _habits(
    said: Mapping[str, NDArray], template: Template, rate: float, rng: np.random.Generator
) -> dict[str, tuple[str, str]]:
    """What is taken for what, in fields drawn until so many values are wrong."""
    habits: dict[str, tuple[str, str]] = {}
    left = rate * sum(map(len, said.values()))
    choices = [field.key for field in template.fields if field.choices]
    for key in rng.permutation(choices).tolist():
        names, counts = np.unique(said[key], return_counts=True)
        fits = [k for k in range(len(names)) if len(names) > 1 and counts[k] <= 1.2 * left]
        if fits:
            one = max(fits, key=lambda k: counts[k])
            other = max((k for k in range(len(names)) if k != one), key=lambda k: counts[k])
            habits[key] = (str(names[one]), str(names[other]))
            left -= counts[one]
    return habits


def planted(given: pd.DataFrame, clean: pd.DataFrame, template: Template) -> pd.DataFrame:
    """Values that differ from the true ones: ``subject``, ``field``, ``given``, ``true``.

    Parameters
    ----------
    given, clean : DataFrame
        Values by subject, a column per field.
    """
    rows, names = [], given.index.to_list()
    for field in template.fields:
        one, true = (words(t[field.key], field) for t in (given, clean.loc[given.index]))
        rows += [(names[k], field.key, one[k], true[k]) for k in np.flatnonzero(one != true)]
    return pd.DataFrame(rows, columns=["subject", "field", "given", "true"])


def recovered(found: pd.DataFrame, errors: pd.DataFrame, template: Template) -> pd.DataFrame:
    """How many of the planted errors are among the suspects, by field and in all.

    Returns
    -------
    DataFrame
        ``field``, ``errors``, ``suspects``, ``hits``, ``recall``, ``recall_low``,
        ``recall_high``, ``precision``, ``precision_low``, ``precision_high`` (exact 95 %).
    """
    pairs = set(zip(errors["subject"], errors["field"], strict=True))
    hit = np.array(
        [pair in pairs for pair in zip(found["subject"], found["field"], strict=True)], bool
    )
    rows = []
    for name in ["all", *(field.key for field in template.fields)]:
        mine, real = ((t["field"] == name) | (name == "all") for t in (found, errors))
        hits, n, planted = int(hit[mine].sum()), int(mine.sum()), int(real.sum())
        shares = [*proportion_interval(hits, planted), *proportion_interval(hits, n)]
        rows.append((name, planted, n, hits, *shares))
    ends = ("", "_low", "_high")
    names = [measure + end for measure in ("recall", "precision") for end in ends]
    return pd.DataFrame(rows, columns=["field", "errors", "suspects", "hits", *names])


def reading_order(
    found: pd.DataFrame, errors: pd.DataFrame, n_values: int
) -> tuple[np.ndarray, np.ndarray]:
    """How many errors are met by reading the suspects in their order, the rest by chance.

    Parameters
    ----------
    found : DataFrame
        Suspects, the surest first: ``subject``, ``field``.
    errors : DataFrame
        ``subject``, ``field``.
    n_values : int
        All values that could be read again.

    Returns
    -------
    read, met : array
        Values read, and the share of the errors met so far.

    Examples
    --------
    >>> errors = pd.DataFrame({"subject": ["A", "B"], "field": ["ef", "ef"]})
    >>> read, met = reading_order(errors.head(1), errors, 3)
    >>> read.tolist(), met.tolist()
    ([0, 1, 3], [0.0, 0.5, 1.0])
    """
    pairs = set(zip(errors["subject"], errors["field"], strict=True))
    hits = [pair in pairs for pair in zip(found["subject"], found["field"], strict=True)]
    met = np.r_[0, np.cumsum(hits), len(pairs)] / max(len(pairs), 1)
    return np.r_[np.arange(len(hits) + 1), n_values], met
