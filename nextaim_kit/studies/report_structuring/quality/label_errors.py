"""Values that an annotator may have got wrong: those that models of other reports contradict.

For each field a model learns from four fifths of the reports and says how likely each value is in
the others. A given value is suspect if another one is as likely as it usually is where it is
given (confident learning, Northcutt 2021); a number, if the words beside another speak of it as of
the field's. What all annotators get wrong in the same way, a model
learns from them: such errors are not found so.

References
----------
Northcutt, Jiang and Chuang 2021, doi:10.1613/jair.1.12125.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.learn.intervals import proportion_interval
from nextaim_kit.learn.splits import Split, patient_folds
from nextaim_kit.studies.report_structuring.baselines.classical import fit_tfidf
from nextaim_kit.studies.report_structuring.quality.agreement import words
from nextaim_kit.studies.report_structuring.schema import Template

COLUMNS = ["subject", "field", "given", "suggested", "certainty"]
LANGUAGES = ("it", "en")  # of numbers in words
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
    given = {field.key: words(table[field.key], field) for field in template.fields}
    rows = _of_numbers(table, template, parts, given)
    names = [field.key for field in template.fields if field.choices]
    for key, (classes, likely) in probabilities(
        table["text"].to_numpy(), {key: given[key] for key in names}, parts
    ).items():
        off = off_diagonal(given[key], classes, likely)
        rows += [(k, key, given[key][k], to, by) for k, to, by in off]
    found = pd.DataFrame(rows, columns=COLUMNS)
    found["subject"] = table["subject"].to_numpy()[found["subject"].astype(int)]
    return found.sort_values(
        COLUMNS[-1:] + COLUMNS[:2], ascending=[False, True, True], ignore_index=True
    )


def probabilities(
    texts: NDArray, given: Mapping[str, NDArray], parts: Sequence[Split]
) -> dict[str, tuple[NDArray, NDArray]]:
    """For each field its values and how likely each is in each report, by the other folds."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.feature_selection import SelectKBest, chi2
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    found = {key: (np.unique(v), np.zeros((len(v), len(np.unique(v))))) for key, v in given.items()}
    for train, test in parts:
        count = CountVectorizer(analyzer=marked_words, binary=True, min_df=2)
        seen, new = count.fit_transform(texts[train]), count.transform(texts[test])
        telling = SelectKBest(chi2, k=min(_WORDS, seen.shape[1]))  # most speak of other fields
        for key, (classes, likely) in found.items():
            values = given[key][train]
            at = np.ix_(test, np.searchsorted(classes, np.unique(values)))
            likely[at] = 1
            if len(set(values)) > 1:
                model = make_pipeline(telling, LogisticRegression(max_iter=200)).fit(seen, values)
                likely[at] = model.predict_proba(new)
    return found


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


def _of_numbers(
    table: pd.DataFrame, template: Template, parts: Sequence[Split], given: Mapping[str, NDArray]
) -> list[tuple]:
    """Values that are not the number of which the words beside it speak as of the field's."""
    numbers = tuple(field for field in template.fields if not field.choices)
    if not numbers:
        return []
    own, rows = template.of(template.name, numbers), []
    known = table["language"].where(table["language"].isin(LANGUAGES), LANGUAGES[0])
    table = table.assign(language=known)
    for train, test in parts:
        part = table.iloc[test]
        reader = fit_tfidf(table.iloc[train], own, C=1.0)
        answers = reader.answer(part["text"].tolist(), part["language"].tolist())
        for field in numbers:
            read, sure = words(answers.values[field.key], field), answers.confidence[field.key]
            off = np.flatnonzero(read != given[field.key][test])
            rows += [(test[i], field.key, given[field.key][test[i]], read[i], sure.iloc[i])
                     for i in off]  # fmt: skip
    return rows


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
    hit = _hits(found, errors)
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
    hits = _hits(found, errors)
    met = np.r_[0, hits.cumsum(), len(errors)] / max(len(errors), 1)
    return np.r_[np.arange(len(hits) + 1), n_values], met


def _hits(found: pd.DataFrame, errors: pd.DataFrame) -> NDArray[np.bool_]:
    """Which of the values that were found are errors."""
    wrong, told = (t.set_index(["subject", "field"]).index for t in (errors, found))
    return told.isin(wrong)
