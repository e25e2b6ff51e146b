"""The methods to be beaten: each field's most frequent value, and words weighed one by one.

A choice is read by a logistic regression on TF-IDF; a number is chosen among those of the text by
a logistic regression on the words beside it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import softmax
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from nextaim_kit.errors import DataError
from nextaim_kit.studies.report_structuring.measures import Answers
from nextaim_kit.studies.report_structuring.numbers import find_numbers, possible
from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, Field, Template

_WORD = r"[^\W\d_]+|\++"
_BEFORE, _AFTER = 8, 3  # words beside a number that are looked at


def training_rows(table: pd.DataFrame, template: Template) -> pd.DataFrame:
    """Reports to learn from.

    Raises
    ------
    DataError
        If there is none, or a column of a field is missing.
    """
    missing = [key for key in ("text", *template.by_key) if key not in table]
    if missing or table.empty:
        raise DataError(
            "there is nothing to learn from",
            expected="reports with their text and a column for each field of the template",
            found=f"{len(table)} reports, without {', '.join(missing[:5]) or 'nothing missing'}",
        )
    return table.reset_index(drop=True)


def languages_of(texts: Sized, languages: Iterable[str] | None, default: str) -> list[str]:
    """The language of each text."""
    return [default] * len(texts) if languages is None else list(languages)


@dataclass(frozen=True)
class Majority:
    """Says of every report what most reports say: each field's most frequent value."""

    template: Template
    common: Mapping[str, tuple[Any, float]]
    language: str = "it"
    name: str = "majority"

    def answer(self, texts: Sequence[str], languages: Sequence[str] | None = None) -> Answers:
        """The same values for each text."""
        n = len(texts)
        return Answers.of({k: ([v] * n, [share] * n) for k, (v, share) in self.common.items()})

    def plain(self) -> tuple[dict[str, Any], dict[str, NDArray]]:
        """What it is made of, for `methods.saved`."""
        common = {key: [None if v != v else v, float(p)] for key, (v, p) in self.common.items()}
        return {"common": common}, {}

    @classmethod
    def restored(cls, template: Template, told: Mapping[str, Any], arrays: Any) -> Majority:
        """From its plain parts."""
        common = {k: (np.nan if v is None else v, p) for k, (v, p) in told["common"].items()}
        return cls(template, common, told["language"], told["name"])


def fit_majority(table: pd.DataFrame, template: Template, *, language: str = "it") -> Majority:
    """Find each field's most frequent value; of a number that most reports mention, the median."""
    rows = training_rows(table, template)
    common: dict[str, tuple[Any, float]] = {}
    for field in template.fields:
        values = rows[field.key]
        if field.kind == "number":
            said = values.notna().mean()
            common[field.key] = (values.median(), said) if said > 0.5 else (np.nan, 1 - said)
        else:
            shares = values.fillna(NOT_MENTIONED).value_counts(normalize=True).sort_index()
            common[field.key] = (str(shares.idxmax()), float(shares.max()))
    return Majority(template, common, language)


class Candidate(NamedTuple):
    """A number of a report: its row, its place and the words beside it."""

    row: int
    values: Mapping[str, float]
    words: str


def candidates(
    texts: Sequence[str], languages: Sequence[str], fields: Sequence[Field]
) -> list[Candidate]:
    """Numbers of reports, what each would be in the fields that it could be of, and its words.

    Words since the number before are told apart from those farther away and those that follow.

    Examples
    --------
    >>> ef = Field(key="ef", label={"it": "FE"}, unit="%", low=10, high=85)
    >>> candidates(["TAPSE 21 mm, FE 55 %"], ["it"], [ef])[1]
    Candidate(row=0, values={'ef': 55.0}, words='near:mm near:fe last:fe far:tapse')
    """
    found = []
    for row, (text, language) in enumerate(zip(texts, languages, strict=True)):
        numbers = find_numbers(text, language)
        words = [(one.start(), one[0]) for one in re.finditer(_WORD, text.lower())]
        places = [start for start, _ in words]
        ends = [0, *(number.end for number in numbers)]
        for number, end in zip(numbers, ends, strict=False):
            values = {f.key: v for f in fields if (v := possible(f, number)) is not None}
            here, before = bisect_left(places, number.start), bisect_left(places, end)
            after = bisect_left(places, number.end)
            first = max(0, here - _BEFORE)
            near = [w for _, w in words[max(before, first) : here]]
            far = [w for _, w in words[first:before]]
            next_ones = [w for _, w in words[after : after + _AFTER]]
            told = {"near": near, "last": near[-1:], "far": far, "after": next_ones}
            beside = [f"{where}:{word}" for where, those in told.items() for word in those]
            found.append(Candidate(row, values, " ".join(beside)))
    return found


class Head(NamedTuple):
    """A logistic regression: ``coef`` of shape (classes, words), ``intercept``, ``classes``."""

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    classes: tuple[str, ...]

    def probabilities(self, X: csr_matrix) -> NDArray[np.float64]:
        """Of each class, shape (n, classes)."""
        return softmax(X @ self.coef.T + self.intercept, axis=1)


@dataclass(frozen=True)
class TfIdf:
    """Words and pairs of words weighed for each field apart.

    Attributes
    ----------
    template : Template
    words, beside : vectorizer
        Of a report's words, and of the words beside a number.
    heads : mapping of str to Head
        Of a choice over its values, of a number over whether a candidate is it.
    language, name : str
    """

    template: Template
    words: TfidfVectorizer
    beside: CountVectorizer
    heads: Mapping[str, Head]
    language: str = "it"
    name: str = "TF-IDF"

    def answer(self, texts: Sequence[str], languages: Sequence[str] | None = None) -> Answers:
        """Of each choice the most probable value, of each number the most probable candidate."""
        if not len(texts):
            return Answers.of({key: ([], []) for key in self.template.by_key})
        X = self.words.transform(texts)
        known = languages_of(texts, languages, self.language)
        numbers = [field for field in self.template.fields if field.kind == "number"]
        found = candidates(texts, known, numbers)
        seen = self.beside.transform([c.words for c in found]) if found else None
        columns = {}
        for field in self.template.fields:
            if field.kind == "number":
                p = self.heads[field.key].probabilities(seen)[:, 1] if found else np.empty(0)
                columns[field.key] = _best(found, p, field.key, len(texts))
            else:
                p = self.heads[field.key].probabilities(X)
                words = np.array(self.heads[field.key].classes, dtype=object)
                columns[field.key] = words[p.argmax(axis=1)], p.max(axis=1)
        return Answers.of(columns)

    def plain(self) -> tuple[dict[str, Any], dict[str, NDArray]]:
        """What it is made of, for `methods.saved`."""
        arrays: dict[str, NDArray] = {"idf": self.words.idf_}
        for key, head in self.heads.items():
            arrays[f"{key}/coef"], arrays[f"{key}/intercept"] = head.coef, head.intercept
        words, beside = (list(v.get_feature_names_out()) for v in (self.words, self.beside))
        classes = {key: list(head.classes) for key, head in self.heads.items()}
        return {"words": words, "beside": beside, "classes": classes}, arrays

    @classmethod
    def restored(
        cls, template: Template, told: Mapping[str, Any], arrays: Mapping[str, NDArray]
    ) -> TfIdf:
        """From its plain parts."""
        heads = {
            key: Head(arrays[f"{key}/coef"], arrays[f"{key}/intercept"], tuple(classes))
            for key, classes in told["classes"].items()
        }
        words = weighed_words(vocabulary=told["words"])
        words.idf_ = arrays["idf"]
        beside = beside_numbers(vocabulary=told["beside"])
        return cls(template, words, beside, heads, told["language"], told["name"])


def _best(
    found: Sequence[Candidate], p: NDArray, key: str, n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The value of the likeliest candidate of each report, where it is likelier than not."""
    value, best = np.full(n, np.nan), np.zeros(n)
    for candidate, chance in zip(found, p, strict=True):
        if key in candidate.values and chance > best[candidate.row]:
            value[candidate.row], best[candidate.row] = candidate.values[key], chance
    stated = best > 0.5
    return np.where(stated, value, np.nan), np.where(stated, best, 1 - best)


def fit_tfidf(
    table: pd.DataFrame, template: Template, *, seed: int = 0, language: str = "it", C: float = 30.0
) -> TfIdf:
    """Fit a logistic regression for each field.

    Parameters
    ----------
    table : DataFrame
        Reports with ``text``, a column for each field and, where known, ``language``.
    template : Template
    seed : int
        Nothing is drawn: it is there as in the other methods.
    language : str
        Of texts, where the table does not say.
    C : float
        Inverse penalty.

    Raises
    ------
    DataError
        If there is nothing to learn from.
    """
    rows = training_rows(table, template)
    texts = rows["text"].tolist()
    words = weighed_words(min_df=2 if len(texts) > 50 else 1)
    X = words.fit_transform(texts)
    numbers = [field for field in template.fields if field.kind == "number"]
    found = candidates(texts, languages_of(texts, rows.get("language"), language), numbers)
    beside = beside_numbers()
    seen = beside.fit_transform([c.words for c in found] or ["none"])
    heads = {}
    for field in template.fields:
        if field.kind == "choice":
            heads[field.key] = _head(X, rows[field.key].fillna(NOT_MENTIONED), C)
        else:
            at = [k for k, c in enumerate(found) if field.key in c.values]
            true = rows[field.key].to_numpy(float)
            right = [abs(found[k].values[field.key] - true[found[k].row]) < 1e-6 for k in at]
            heads[field.key] = _head(seen[at], np.where(right, "1", "0"), C, ("0", "1"))
    return TfIdf(template, words, beside, heads, language)


def weighed_words(**options: Any) -> TfidfVectorizer:
    """What weighs the words and pairs of words of reports."""
    return TfidfVectorizer(token_pattern=_WORD, ngram_range=(1, 2), sublinear_tf=True, **options)


def beside_numbers(**options: Any) -> CountVectorizer:
    """What looks for the words beside a number (`candidates`)."""
    return CountVectorizer(token_pattern=r"\S+", lowercase=False, binary=True, **options)


def _head(X: csr_matrix, y: Iterable[str], C: float, classes: Sequence[str] = ()) -> Head:
    """A logistic regression of one field; of one value alone, that value."""
    y = np.asarray(list(y), dtype=str)
    names = list(classes) or sorted(set(y))
    coef, intercept = np.zeros((len(names), X.shape[1])), np.full(len(names), -30.0)
    seen = sorted(set(y)) or names[:1]
    at = [names.index(name) for name in seen]
    intercept[at] = 0.0
    if len(seen) > 1:
        model = LogisticRegression(C=C, max_iter=300).fit(X, y)
        # Of two classes scikit-learn keeps what the second has more.
        two = len(seen) == 2
        coef[at] = np.vstack([0 * model.coef_, model.coef_]) if two else model.coef_
        intercept[at] = np.r_[0, model.intercept_] if two else model.intercept_
    return Head(coef, intercept, tuple(names))
