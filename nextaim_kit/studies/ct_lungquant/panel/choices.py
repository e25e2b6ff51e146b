"""What an AUC against readers depends on: cut, rule, number of readers; and where they divide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from nextaim_kit.learn.agreement import rank_correlation
from nextaim_kit.learn.curves import logit
from nextaim_kit.learn.intervals import BOUNDS, interval, with_interval
from nextaim_kit.learn.metrics import auc
from nextaim_kit.studies.ct_lungquant.panel.consensus import RARE, Rule
from nextaim_kit.studies.ct_lungquant.panel.questions import Question, with_cuts
from nextaim_kit.studies.ct_lungquant.panel.readers import SCALES

RULES = {
    "any reader": Rule(0.0, "no"),
    "more than a third": Rule(1 / 3),
    "more than half, ties left out": Rule(0.5),
    "half or more": Rule(0.5, "yes"),
    "more than half": Rule(0.5, "no"),
    "more than two thirds": Rule(2 / 3),
    "all readers": Rule(1.0, "yes"),
}


def all_choices(readings: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """AUC of the software for every cut and rule that somebody might have chosen.

    Returns
    -------
    DataFrame
        ``question``, ``asked``, ``rule`` (of `RULES`), ``auc``, ``n``, ``yes``; choices that leave
        fewer than five subjects of an answer are left out.
    """
    cuts = [with_cuts(involvement_from=k) for k in SCALES["ct_ss"][1:]]
    cuts += [with_cuts(type_from="consolidation"), with_cuts(zones_from="upper")]
    asked = {q.asked: q for name in cuts[0] for q in (cut[name] for cut in cuts)}
    rows = []
    for question in asked.values():
        answers = question.answers(readings)
        score = question.score(values).reindex(answers.index).to_numpy(float)
        for name, rule in RULES.items():
            y = np.where(np.isnan(score), np.nan, rule.of(answers.to_numpy()))
            n, yes = int((~np.isnan(y)).sum()), int(np.nansum(y))
            if min(yes, n - yes) >= RARE:
                found = auc(y[~np.isnan(y)], score[~np.isnan(y)])
                rows.append((question.name, question.asked, name, found, n, yes))
    return pd.DataFrame(rows, columns=["question", "asked", "rule", "auc", "n", "yes"])


def by_panel_size(
    question: Question,
    readings: pd.DataFrame,
    values: pd.DataFrame,
    rule: Rule,
    sizes: Sequence[int],
    *,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """AUC against the consensus of a few readers, drawn at random, of resampled patients.

    Returns
    -------
    DataFrame
        ``readers``, ``value`` (the mean over draws), ``low``, ``high`` (their 95 %).
    """
    answers = question.answers(readings)
    score = question.score(values).reindex(answers.index).to_numpy(float)
    said, rng, rows = answers.to_numpy()[~np.isnan(score)], np.random.default_rng(seed), []
    score = score[~np.isnan(score)]
    for size in sizes:
        found: list[float] = []
        for _ in range(draws if len(score) else 0):
            few = rng.choice(said.shape[1], size, replace=False)
            some = rng.integers(0, len(score), len(score))
            y = rule.of(said[some][:, few])
            known = ~np.isnan(y)
            if len(set(y[known])) == 2:
                found.append(auc(y[known], score[some][known]))
        if found:
            rows.append((size, *with_interval([float(np.mean(found)), *found])))
    return pd.DataFrame(rows, columns=["readers", "value", "low", "high"])


_REASONS = {
    "distance": "distance from the limit",
    "lesions_ml": "volume of the lesions",
    "slice_mm": "thickness of the slices",
}


def dispute(question: Question, agreed: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """How divided the readers are on each subject, and what might be the reason.

    Returns
    -------
    DataFrame
        ``subject``, ``share`` (of yes), ``score``, ``divided`` (4 p (1 - p) of that share: 0
        where all agree, 1 where half do), ``distance`` (of the score from the limit, in logits),
        ``lesions_ml``, and ``slice_mm`` where known.
    """
    scale = 2 if question.name == "sides" else 1  # the lesser lung has half of the lesions at most
    table = agreed.loc[agreed["score"].notna(), ["subject", "share", "score"]].dropna()
    table["divided"] = 4 * table["share"] * (1 - table["share"])
    away = logit(scale * table["score"], nearest=0.3) - logit(scale * question.limit)
    more = [c for c in ("lesions_ml", "slice_mm") if c in values]
    return table.assign(distance=np.abs(away)).merge(values[["subject", *more]], on="subject")


def reasons(disputed: Mapping[str, pd.DataFrame], *, n_boot: int, seed: int) -> pd.DataFrame:
    """Rank correlation of the readers' division with each possible reason.

    Returns
    -------
    DataFrame
        ``question``, ``reason``, ``value``, ``low``, ``high`` (95 %, patients resampled), ``n``.
    """
    rows = []
    for name, table in disputed.items():
        if len(table) < RARE:
            continue
        for column, reason in _REASONS.items():
            if column not in table or table[column].isna().any():
                continue
            correlation = rank_correlation(table["divided"], table[column])
            found = interval(correlation, len(table), n_boot=n_boot, seed=seed)
            rows.append((name, reason, *found, len(table)))
    return pd.DataFrame(rows, columns=["question", "reason", *BOUNDS, "n"])
