"""What survives where a site is new, and which gaps between groups could be seen at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.intervals import Measure, Weights, resampled, with_interval
from nextaim_kit.learn.metrics import measures, within_auc_interval
from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.progress import Bar
from nextaim_kit.studies.challenges.limited.training import Budget
from nextaim_kit.studies.challenges.reliability.judged import (
    Fitted,
    Told,
    centered,
    ece,
    ece_of,
    perfect_ece,
)
from nextaim_kit.studies.challenges.reliability.models import Model, Parts, learn
from nextaim_kit.studies.challenges.reliability.strangers import BASELINE, detectors

# 1 where more is better, -1 where less is, 0 where any change is none for the better.
BETTER = {
    "auc": 1, "brier": -1, "calibration_slope": 0, "calibration_intercept": 0,
    "gain_of_temperature": 1, "coverage": 1, "error_of_answered": -1, "answered": 0,
    "net_benefit_over_none_or_all": 1,
}  # fmt: skip
_RARE = 5  # patients of each outcome in a group and in the rest, for a gap to be measured


@dataclass(frozen=True)
class Away:
    """A model that knows nothing of one site, and what it says at home and there."""

    site: str
    model: Model
    parts: Parts
    home: Told
    there: Told


def leave_sites_out(
    task: StudyTask, sites: Sequence[str], to: Path, budget: Budget,
    *, alpha: float = 0.1, keep: float = 0.8, seed: int = 0,
) -> list[Away]:  # fmt: skip
    """Learn without each site; temperature, bound and threshold are fitted at the other sites."""
    found, bar = [], Bar()
    for done, site in enumerate(sites, 1):
        parts = Parts.of(task, seed, site)
        model = learn(task, parts, to / f"without_{done}", budget, seed=seed)
        fitted = Fitted.on(task.y[parts.held], model.logits(task.x[parts.held]),
                           alpha=alpha, keep=keep)  # fmt: skip
        told = [Told.by(model, task, rows, fitted) for rows in (parts.test, parts.away)]
        found.append(Away(site, model, parts, *told))
        bar.show("leaving sites out", done, len(sites), f"{done} of {len(sites)}")
    return found


def surviving(
    home: Sequence[Told], there: Sequence[Told], *, act_at: float = 0.5,
    n_boot: int = 500, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Each promise at home and at the site left out, over all sites left out.

    The AUC is within each model's patients, since scores of two models are not on one scale; all
    else is of probabilities, of all patients together. Patients are resampled, models are not: who
    is at home to one model and away to another is drawn for both, so that gaps are paired.

    Returns
    -------
    DataFrame
        ``name``, ``home``, ``there``, ``gap`` (there less home), each with ``_low``, ``_high``, and
        ``says``.
    """
    asked = [list(_qualities(told, act_at).values()) for told in (home, there)]
    both = _together(home, there, asked, n_boot, seed)
    rows = []
    for k, (name, better) in enumerate(BETTER.items()):
        at_home, away = both[:, 0, k], both[:, 1, k]
        gap = with_interval(away - at_home)
        found = (*with_interval(at_home), *with_interval(away), *gap)
        rows.append((name, *found, said(gap, better)))
    parts = [f"{name}{end}" for name in ("home", "there", "gap") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["name", *parts, "says"])


def _together(
    home: Sequence[Told], there: Sequence[Told], asked: Sequence[Sequence[Measure]],
    n_boot: int, seed: int,
) -> NDArray:  # fmt: skip
    """Measures at home and away, of the same draws of patients: (1 + n_boot, 2, measures)."""
    one, two = Told.joined(home), Told.joined(there)
    ends = (slice(0, len(one.y)), slice(len(one.y), None))
    every = Told.joined([one, two])
    classes = every.y + 2 * (np.arange(len(every.y)) >= len(one.y))

    def measure(w: Weights) -> NDArray:
        found = [[of(w[:, part]) for of in some] for part, some in zip(ends, asked, strict=True)]
        return np.moveaxis(np.array(found), -1, 0)

    how: dict[str, Any] = {"groups": every.groups, "classes": classes, "n_boot": n_boot}
    return resampled(measure, len(every.y), seed=seed, **how)


def said(gap: tuple[float, float, float], better: int) -> str:
    """What a difference and its interval say, if more is `better` (1), less (-1), or neither (0).

    Examples
    --------
    >>> said((-0.1, -0.2, -0.02), 1), said((-0.1, -0.2, 0.02), 1)
    ('worse there', 'not shown to change')
    """
    _, low, high = gap
    if not (low > 0 or high < 0):
        return "not shown to change"
    if not better:
        return "changed there"
    return "better there" if (low > 0) == (better > 0) else "worse there"


def _qualities(told: Sequence[Told], act_at: float) -> dict[str, Measure]:
    one = Told.joined(told)
    ready = measures(one.y, one.p, one.p >= act_at, act_at)
    raw = measures(one.y, one.raw, one.raw >= act_at, act_at)
    all_treated = (one.y - (1 - one.y) * act_at / (1 - act_at)).astype(float)
    wrong, kept = (one.wrong & one.kept).astype(float), one.kept.astype(float)
    covered = one.covered.astype(float)
    found: dict[str, Measure] = {
        "auc": _within(told),
        "gain_of_temperature": lambda w: raw["brier"](w) - ready["brier"](w),
        "coverage": lambda w: w @ covered / w.sum(1),
        "error_of_answered": lambda w: _share(w @ wrong, w @ kept),
        "answered": lambda w: w @ kept / w.sum(1),
        "net_benefit_over_none_or_all": lambda w: (
            ready["net_benefit"](w) - np.maximum(w @ all_treated / w.sum(1), 0)
        ),
    }
    return {name: found[name] if name in found else ready[name] for name in BETTER}


def _share(part: NDArray, whole: NDArray) -> NDArray:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _within(told: Sequence[Told]) -> Measure:
    """Mean over models of the AUC of each one's patients, by their number."""
    ends = np.cumsum([0, *(len(one.y) for one in told)])
    each = [measures(one.y, one.logit, one.logit > 0)["auc"] for one in told]
    size = np.diff(ends)[:, None].astype(float)

    def measure(w: Weights) -> NDArray:
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.array(
                [of(w[:, a:b]) for of, a, b in zip(each, ends, ends[1:], strict=False)]
            )
        weight = np.where(np.isnan(found), 0, size)
        return np.nansum(found * weight, axis=0) / weight.sum(axis=0)

    return measure


def faded(
    home: Sequence[Told], there: Sequence[Told], *, n_boot: int = 500, seed: int = 0
) -> pd.DataFrame:
    """Calibration error before and after the temperature, at home and away.

    Returns
    -------
    DataFrame
        ``where`` (home, there, gap: there less home, paired), ``name``, ``ece``, ``perfect`` (what
        a model without error has at this n), ``value``, ``low``, ``high`` (the ece less
        ``perfect``; patients are resampled).
    """
    one, two = Told.joined(home), Told.joined(there)
    rows = []
    for name, ps in {"as given": (one.raw, two.raw), "at the temperature": (one.p, two.p)}.items():
        told = list(zip((one, two), ps, strict=True))
        found = [float(ece(t.y, p)) for t, p in told]
        perfect = [perfect_ece(p, groups=t.groups, seed=seed)[0] for t, p in told]
        asked = [[ece_of(t.y, p)] for t, p in told]
        beyond = _together(home, there, asked, n_boot, seed)[..., 0] - perfect
        of = {"home": beyond[:, 0], "there": beyond[:, 1], "gap": beyond[:, 1] - beyond[:, 0]}
        ends = ([*pair, pair[1] - pair[0]] for pair in (found, perfect))
        rows += [(where, name, e, p, *centered(v))
                 for (where, v), e, p in zip(of.items(), *ends, strict=True)]  # fmt: skip
    return pd.DataFrame(
        rows, columns=["where", "name", "ece", "perfect", "value", "low", "high"]
    ).sort_values("where", key=lambda w: w.map(_WHERE.index), kind="stable", ignore_index=True)


_WHERE = ["home", "there", "gap"]


def new_sites(
    task: StudyTask, away: Sequence[Away], *, n_boot: int = 500, seed: int = 0
) -> pd.DataFrame:
    """How well patients of a new site are told from tested ones of known sites, by each detector.

    Returns
    -------
    DataFrame
        ``name``, ``value``, ``low``, ``high``: AUC within each left-out site's model, by patients.
        ``above`` with ``_low``, ``_high``: of the two numbers', paired.
    """
    names: list[str] = []
    model: list[int] = []
    new: list[int] = []
    scores: dict[str, list[NDArray]] = {}
    for k, one in enumerate(away):
        rows = np.concatenate([one.parts.test, one.parts.away])
        model += [k] * len(rows)
        new += [0] * len(one.parts.test) + [1] * len(one.parts.away)
        of = detectors(one.model, task, one.parts.known)
        names = list(of)
        for name, score in of.items():
            scores.setdefault(name, []).append(score(task.x[rows]))
    told = {name: np.concatenate(parts) for name, parts in scores.items()}
    how: dict[str, Any] = {"by_size": True, "n_boot": n_boot, "seed": seed}
    found = []
    for name in names:
        value = within_auc_interval(model, new, told[name], **how)
        above = within_auc_interval(model, new, told[name], other=told[BASELINE], **how)
        found.append((name, *value, *above))
    columns = ["name", "value", "low", "high", "above", "above_low", "above_high"]
    return pd.DataFrame(found, columns=columns)


def gaps(
    told: Told, groups: Mapping[str, NDArray], *, n_boot: int = 500, seed: int = 0
) -> pd.DataFrame:
    """AUC of each group less that of all others, where both have five patients of each outcome.

    Returns
    -------
    DataFrame
        ``by``, ``group``, ``n``, ``auc``, ``value``, ``low``, ``high`` (the gap), ``seen`` (the gap
        that so many patients would show 8 times in 10).
    """
    rows = []
    for by, names in groups.items():
        for name in np.unique(names):
            inside = names == name
            counts = [min(np.bincount(told.y[k], minlength=2)) for k in (inside, ~inside)]
            if min(counts) >= _RARE:
                rows.append((by, name, *_gap(told, inside, n_boot, seed)))
    columns = ["by", "group", "n", "auc", "value", "low", "high", "seen"]
    return pd.DataFrame(rows, columns=columns)


def _gap(told: Told, inside: NDArray, n_boot: int, seed: int) -> tuple[float, ...]:
    one, rest = (
        measures(told.y[k], told.logit[k], told.logit[k] > 0)["auc"] for k in (inside, ~inside)
    )
    classes = told.y + 2 * inside
    how: dict[str, Any] = {"groups": told.groups, "classes": classes, "n_boot": n_boot}
    found = resampled(
        lambda w: one(w[:, inside]) - rest(w[:, ~inside]), len(told.y), seed=seed, **how
    )
    auc = float(one(np.ones((1, int(inside.sum()))))[0])
    others = float(rest(np.ones((1, int((~inside).sum()))))[0])
    gap = smallest_gap((int(inside.sum()), int((~inside).sum())), others, float(told.y.mean()))
    return int(inside.sum()), auc, *with_interval(found), gap


def spread_of(auc: float, positive: float) -> float:
    """Variance of an AUC times the number of patients, where these are many.

    References
    ----------
    Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.
    """
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    return (q1 - auc**2) / (1 - positive) + (q2 - auc**2) / positive


def patients_to_see(gap: float, auc: float, positive: float, *, power: float = 0.8) -> int:
    """Patients in each of two groups for a gap of their AUCs to be seen, at 5 %, two-sided.

    Parameters
    ----------
    gap : float
        By which the second group's AUC is below `auc`.
    auc, positive : float
        Of the first group; `positive` is the share with the outcome.
    power : float

    Raises
    ------
    RequestError
        If the gap is none, or the second AUC is below 0.5.

    Examples
    --------
    >>> patients_to_see(0.10, 0.85, 0.5), patients_to_see(0.05, 0.85, 0.5)
    (304, 1087)
    """
    if not 0 < gap <= auc - 0.5:
        raise RequestError("no gap to be seen", expected=f"above 0, at most {auc - 0.5:g}",
                           found=f"{gap:g}")  # fmt: skip
    both = spread_of(auc, positive) + spread_of(auc - gap, positive)
    return int(np.ceil(_needed(power) ** 2 * both / gap**2))


def smallest_gap(sizes: tuple[int, int], auc: float, positive: float, power: float = 0.8) -> float:
    """The gap between groups of these sizes that is seen as often as `power` says."""
    wide = spread_of(min(auc, 0.99), positive) * (1 / sizes[0] + 1 / sizes[1])
    return float(_needed(power) * np.sqrt(wide))


def _needed(power: float) -> float:
    return float(norm.ppf(0.975) + norm.ppf(power))
