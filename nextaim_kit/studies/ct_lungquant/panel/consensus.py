"""The consensus of a panel of readers, and how well software and each reader meet it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.learn.metrics import Interval, auc_interval, evaluate, mean_auc_interval
from nextaim_kit.studies.ct_lungquant.panel.questions import Question

Ties = Literal["leave out", "yes", "no"]
RARE = 5  # subjects of an answer, below which an AUC is not looked at


@dataclass(frozen=True)
class Rule:
    """How a panel's answers become one: yes where more than `share` of those who answered say so.

    Where exactly that share does, `ties` decides. With fewer than `least` answers there is none,
    unless the whole panel is smaller.
    """

    share: float = 0.5
    ties: Ties = "leave out"
    least: int = 3

    def of(self, answers: NDArray) -> NDArray[np.float64]:
        """1, 0, or NaN by subject, from answers of shape (subjects, readers)."""
        count = (~np.isnan(answers)).sum(axis=1)
        said = np.nansum(answers, axis=1)
        mean = np.divide(said, count, out=np.full(len(said), np.nan), where=count > 0)
        tie = {"leave out": np.nan, "yes": 1.0, "no": 0.0}[self.ties]
        y = np.where(np.isclose(mean, self.share), tie, mean > self.share)
        return np.where(count >= min(self.least, answers.shape[1]), y, np.nan)


def reach(
    question: Question, readings: pd.DataFrame, values: pd.DataFrame, rule: Rule
) -> pd.DataFrame:
    """The panel's answer on each subject beside the software's score.

    Returns
    -------
    DataFrame
        ``subject``, ``answered`` (readers), ``share`` (of yes), ``y`` (1, 0, NaN), ``score``, and
        ``used``: both are there.
    """
    answers = question.answers(readings)
    table = pd.DataFrame({
        "answered": answers.notna().sum(axis=1), "share": answers.mean(axis=1),
        "y": rule.of(answers.to_numpy()), "score": question.score(values).reindex(answers.index),
    }).reset_index()  # fmt: skip
    return table.assign(used=table["y"].notna() & table["score"].notna())


def account(agreed: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How many subjects each question is asked of, and why not of the others."""
    rows = []
    for name, table in agreed.items():
        y, scored = table["y"], table["score"].notna()
        counts = ((y == 1) & scored).sum(), ((y == 0) & scored).sum(), y.isna().sum()
        rows.append((name, *counts, (y.notna() & ~scored).sum()))
    return pd.DataFrame(rows, columns=["question", "yes", "no", "no_consensus", "no_lesion_seen"])


def against_consensus(
    agreed: Mapping[str, pd.DataFrame], *, n_boot: int, seed: int
) -> pd.DataFrame:
    """AUC of the software against the consensus: ``question, value, low, high, n, rarer``.

    ``rarer`` is the number of subjects with the rarer answer; with fewer than five of them the AUC
    is NaN.
    """
    rows: list[tuple[Any, ...]] = []
    for name, table in agreed.items():
        used = table[table["used"]]
        found, rarer = _auc(used, n_boot=n_boot, seed=seed)
        rows.append((name, *found, len(used), rarer))
    return pd.DataFrame(rows, columns=["question", "value", "low", "high", "n", "rarer"])


def too_rare(aucs: pd.DataFrame) -> list[str]:
    """What is said of each question that has no AUC `against_consensus`."""
    left = aucs[aucs["value"].isna()]
    return [
        f"{row.question}: no AUC, {row.rarer} of {row.n} patients have the rarer answer; "
        f"{RARE} or more are needed"
        for row in left.itertuples()
    ]


def _auc(used: pd.DataFrame, *, n_boot: int, seed: int) -> tuple[Interval, int]:
    """AUC of subjects with an answer and a score, NaN if too few are of the rarer answer."""
    rarer = int(min(used["y"].sum(), (1 - used["y"]).sum()))
    if rarer < RARE:
        return (np.nan, np.nan, np.nan), rarer
    return auc_interval(used["y"], used["score"], n_boot=n_boot, seed=seed), rarer


def at_limit(
    asked: Mapping[str, Question], agreed: Mapping[str, pd.DataFrame], *, n_boot: int, seed: int
) -> pd.DataFrame:
    """How often the software meets the consensus where its own limit decides.

    Returns
    -------
    DataFrame
        ``question``, ``metric`` (accuracy, recall, specificity), ``value``, ``low``, ``high``, and
        ``commoner``: the accuracy of always giving the commoner answer.
    """
    tables = []
    for name, table in agreed.items():
        used = table[table["used"]]
        if used["y"].nunique() < 2:  # all alike: no sensitivity, or no specificity
            continue
        limit, score = asked[name].limit / 100, used["score"] / 100
        found = evaluate(used["y"], score, threshold=limit, n_boot=n_boot, seed=seed)
        found = found[found["metric"].isin(["accuracy", "recall", "specificity"])]
        commoner = max(used["y"].mean(), 1 - used["y"].mean())
        tables.append(found.assign(question=name, commoner=commoner))
    columns = ["question", "metric", "value", "low", "high", "commoner"]
    return pd.concat([pd.DataFrame(columns=columns), *tables], ignore_index=True)[columns]


def against_readers(
    question: Question, readings: pd.DataFrame, values: pd.DataFrame, *, n_boot: int, seed: int
) -> pd.DataFrame:
    """AUC of the software against each reader: ``reader, n, yes, value, low, high``.

    NaN for a reader who says the same of all.
    """
    score, rows = question.score(values), []
    for reader, own in question.answers(readings).items():
        known = own.notna() & score.reindex(own.index).notna()
        y, found = own[known], (np.nan,) * 3
        if y.nunique() == 2:
            found = auc_interval(y, score[y.index], n_boot=n_boot, seed=seed)
        rows.append((reader, len(y), float(y.mean()) if len(y) else np.nan, *found))
    return pd.DataFrame(rows, columns=["reader", "n", "yes", "value", "low", "high"])


def left_out(
    question: Question,
    readings: pd.DataFrame,
    values: pd.DataFrame,
    rule: Rule,
    judged: Sequence[str],
    *,
    n_boot: int,
    seed: int,
) -> dict[str, Interval]:
    """Software and a reader, both against the consensus of all *other* readers, averaged.

    Parameters
    ----------
    question, readings, values, rule
        As for `reach`.
    judged : sequence of str
        Readers who are left out in turn. Only subjects whom the one has read count for both.
    n_boot, seed : int

    Returns
    -------
    dict
        Mean AUCs with 95 % intervals, patients resampled: ``software``, ``reader`` (by the
        finest answer that was given) and ``difference`` (software less reader, paired); NaN where
        the others' answers are all the same.
    """
    answers, finest = question.answers(readings), question.finest(readings)
    score = question.score(values).reindex(answers.index).to_numpy(float)
    y, own = [], []
    for reader in judged:
        theirs = rule.of(answers.drop(columns=reader).to_numpy())
        mine = finest[reader].to_numpy(float)
        y.append(np.where(np.isnan(mine) | np.isnan(score), np.nan, theirs))
        own.append(mine)
    software = np.tile(score, (len(y), 1))
    of: dict[str, tuple[Any, Any]] = {
        "software": (software, None),
        "reader": (own, None),
        "difference": (software, own),
    }
    if not any({0.0, 1.0} <= set(one) for one in y):
        return dict.fromkeys(of, (np.nan,) * 3)
    return {
        name: mean_auc_interval(y, first, other=second, n_boot=n_boot, seed=seed)
        for name, (first, second) in of.items()
    }


def by_site(
    agreed: Mapping[str, pd.DataFrame], site: pd.Series, *, n_boot: int, seed: int
) -> pd.DataFrame:
    """AUC against the consensus in each site: ``question, site, value, low, high, n, rarer``.

    `site` is by subject. ``rarer`` is the number of subjects with the rarer answer; with fewer
    than five of them the AUC is NaN.
    """
    rows: list[tuple[Any, ...]] = []
    for name, table in agreed.items():
        used = table[table["used"]]
        for place, part in used.groupby(used["subject"].map(site)):
            found, rarer = _auc(part, n_boot=n_boot, seed=seed)
            rows.append((name, place, *found, len(part), rarer))
    columns = ["question", "site", "value", "low", "high", "n", "rarer"]
    return pd.DataFrame(rows, columns=columns)
