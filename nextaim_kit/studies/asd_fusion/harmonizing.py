"""Four ways to harmonize before a classifier, of which three are seen to be wrong or in vain."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier

from nextaim_kit.errors import DataError
from nextaim_kit.learn.harmonization import ComBat
from nextaim_kit.learn.metrics import (
    Interval,
    auc_interval,
    macro_auc_interval,
    within_auc_interval,
)
from nextaim_kit.learn.splits import Split
from nextaim_kit.studies.asd_fusion.blocks import Blocks, Part
from nextaim_kit.studies.asd_fusion.brains import Brains
from nextaim_kit.studies.asd_fusion.compare import n_within_sites
from nextaim_kit.studies.asd_fusion.connectivity import Filled
from nextaim_kit.studies.asd_fusion.models import Fit, Fitted, cross_fit

Way = Literal["none", "inside the folds", "on the whole set", "with the diagnosis"]
WAYS: tuple[Way, ...] = ("none", "inside the folds", "on the whole set", "with the diagnosis")
_LEAST = 3  # subjects of a site below which its spread is not estimated


class Harmonizer:
    """ComBat on one modality of brains, which keeps the effect of age as a smooth curve.

    Sites of fewer than three subjects, and those not met in `fit`, stay as they are, unless
    `unseen` is "estimate": then their own unlabeled subjects give their location and spread.

    Parameters
    ----------
    part : {"function", "structure"}
    diagnosis : bool
        For teaching, and wrong: keep the effect of the diagnosis too.
    unseen : {"pass", "estimate"}
    """

    def __init__(
        self,
        part: Part,
        *,
        diagnosis: bool = False,
        unseen: Literal["pass", "estimate"] = "pass",
    ) -> None:
        self.part, self.diagnosis, self.unseen = part, diagnosis, unseen

    def fit(self, brains: Brains) -> Harmonizer:
        """Estimate each site's location and spread."""
        values = self._values(brains)
        self._filled = Filled().fit(values)
        frame = self._frame(brains)
        counts = frame["site"].map(frame["site"].value_counts())
        frame = frame[counts >= _LEAST]
        if frame["site"].nunique() < 2:
            raise DataError(
                "there are not two sites to harmonize",
                expected=f"two sites of {_LEAST} subjects or more",
                found=str(brains.table["site"].value_counts().to_dict())[:200],
            )
        covariates = ["age", *(c for c in ("sex", "group") if c in frame and varies(frame, c))]
        self._combat = ComBat(covariates=covariates, smooth=["age"], unseen=self.unseen)
        self._columns = ["site", *covariates, *(c for c in frame if isinstance(c, int))]
        self._combat.fit(frame[self._columns].rename(columns=str))
        return self

    def transform(self, brains: Brains) -> Brains:
        """The same subjects with the modality harmonized."""
        frame = self._frame(brains)[self._columns].rename(columns=str)
        alone = frame["site"].map(frame["site"].value_counts()) < 2
        # A single subject of a new site has no spread of its own.
        known = frame["site"].isin(self._combat.sites_)
        out = frame.loc[:, self._combat.features_].to_numpy(float, copy=True)
        usable = (known | ~alone).to_numpy()
        out[usable] = self._combat.transform(frame[usable]).to_numpy()
        return self._with(brains, out)

    def _values(self, brains: Brains) -> NDArray:
        if self.part == "function":
            return brains.connectivity
        return brains.structure.to_numpy(np.float32)

    def _frame(self, brains: Brains) -> pd.DataFrame:
        values = pd.DataFrame(self._filled.transform(self._values(brains)).astype(float))
        age = brains.table["age"]
        beside = {"site": brains.table["site"], "age": age.fillna(age.median())}
        beside["sex"] = brains.table["sex"].replace("", "M")
        if self.diagnosis:
            # ComBat refuses an outcome by its name: here the leak is what is to be seen.
            beside["group"] = brains.table["label"].astype(float)
        return values.assign(**beside)

    def _with(self, brains: Brains, values: NDArray) -> Brains:
        if self.part == "function":
            return replace(brains, connectivity=values.astype(np.float32))
        structure = pd.DataFrame(values, columns=brains.structure.columns)
        return replace(brains, structure=structure)


def check_sites(brains: Brains, splits: Sequence[Split]) -> None:
    """Refuse sites that are too small to be harmonized inside the folds.

    Raises
    ------
    DataError
        If a training part has not two sites of three subjects or more.
    """
    site = brains.table["site"]
    if all((site.iloc[train].value_counts() >= _LEAST).sum() > 1 for train, _ in splits):
        return
    sizes = site.value_counts()
    more = f", and {len(sizes) - 5} smaller ones" if len(sizes) > 5 else ""
    raise DataError(
        "the sites are too few or too small to be harmonized inside the folds",
        expected=f"in every training part two sites of {_LEAST} subjects or more",
        found=", ".join(f"{name}: {n}" for name, n in sizes.head().items()) + more,
        mend="pool sites of one scanner, give larger sites, or ask for more folds",
    )


def varies(frame: pd.DataFrame, column: str) -> bool:
    """Whether a column differs within some site, so that its effect can be told from the site's."""
    return bool((frame.groupby("site")[column].nunique() > 1).any())


@dataclass(frozen=True)
class Inside:
    """A model before which ComBat is fitted on the same training subjects."""

    fit: Fit
    part: Part
    unseen: Literal["pass", "estimate"] = "pass"

    def __call__(self, train: Brains, seed: int) -> Fitted:
        """Fit both."""
        harmonizer = Harmonizer(self.part, unseen=self.unseen).fit(train)
        found = self.fit(harmonizer.transform(train), seed)
        return replace(found, logit=partial(_after, harmonizer, found), model=(harmonizer, found))


def _after(harmonizer: Harmonizer, found: Fitted, brains: Brains) -> NDArray[np.float64]:
    return found.logit(harmonizer.transform(brains))


def four_ways(
    fit: Fit,
    part: Part,
    brains: Brains,
    splits: Mapping[Any, Split] | Sequence[Split],
    *,
    ways: Sequence[Way] = WAYS,
    seed: int = 0,
) -> dict[Way, pd.DataFrame]:
    """Predictions of one model in the same folds, harmonized in each way."""
    found: dict[Way, pd.DataFrame] = {}
    for way in ways:
        model, given = fit, brains
        if way == "inside the folds":
            model = Inside(fit, part)
        elif way != "none":
            harmonizer = Harmonizer(part, diagnosis=way == "with the diagnosis")
            given = harmonizer.fit(brains).transform(brains)
        found[way] = cross_fit(model, given, splits, seed=seed)[0]
    return found


def no_signal(brains: Brains, *, rare: float = 0.2, seed: int = 0) -> Brains:
    """The same brains with made-up diagnoses that only the site tells anything of.

    Within a site they are drawn by lot; every second site has the share `rare` of them, the others
    one less `rare`. Each site keeps both diagnoses where it has two subjects.
    """
    rng = np.random.default_rng(seed)
    label = np.zeros(len(brains), int)
    for number, (_, rows) in enumerate(sorted(brains.table.groupby("site").indices.items())):
        share = rare if number % 2 else 1 - rare
        count = np.clip(round(share * len(rows)), 1, max(len(rows) - 1, 1))
        label[rng.permutation(rows)[:count]] = 1
    return replace(brains, table=brains.table.assign(label=pd.array(label, "Int64")))


def tell_sites(
    brains: Brains,
    part: Part,
    splits: Sequence[Split],
    *,
    harmonized: bool | Harmonizer = False,
    n_boot: int = 1000,
    seed: int = 0,
) -> Interval:
    """How well a linear model tells the site of subjects left out: macro AUC and its interval.

    With `harmonized`, ComBat is fitted in the training part and knows the site of those left out.
    A `Harmonizer` of other people's sites is taken as it is, for either part by itself: what it
    estimates of a new site comes of that part's own subjects.
    """
    site = brains.table["site"].to_numpy()
    names = sorted(set(site))
    scores = np.full((1, len(brains), len(names)), -1e3)
    for train, test in splits:
        first, left = brains.at(train), brains.at(test)
        if harmonized:
            known = harmonized if isinstance(harmonized, Harmonizer) else None
            harmonizer = known or Harmonizer(part).fit(first)
            first, left = harmonizer.transform(first), harmonizer.transform(left)
        blocks = Blocks([part])
        model = RidgeClassifier(alpha=0.1).fit(blocks.fit_transform(first), site[train])
        said = model.decision_function(blocks.transform(left))
        said = np.column_stack([-said, said]) if said.ndim == 1 else said
        scores[0][np.ix_(test, np.searchsorted(names, model.classes_))] = said
    return macro_auc_interval(site, scores, names, n_boot=n_boot, seed=seed)


def aucs_of(
    ways: Mapping[Way, pd.DataFrame], part: Part, diagnoses: str, *, n_boot: int, seed: int
) -> pd.DataFrame:
    """AUC of each way, within sites (weighed by size) and pooled, with their intervals."""
    rows = []
    for way, tested in ways.items():
        site, y, said = (tested[name] for name in ("site", "y", "logit"))
        how: dict[str, Any] = {"n_boot": n_boot, "seed": seed}
        with warnings.catch_warnings(action="ignore"):  # far below 0.5 is what is to be shown
            inside = within_auc_interval(site, y, said, by_size=True, **how)
            pooled = auc_interval(y, said, **how)
        rows.append((part, diagnoses, way, "within sites", *inside))
        rows.append((part, diagnoses, way, "pooled", *pooled))
    return pd.DataFrame(rows, columns=["part", "diagnoses", "way", "kind", "value", "low", "high"])


def flattery(
    ways: Mapping[Way, pd.DataFrame], part: Part, diagnoses: str, *, n_boot: int, seed: int
) -> pd.DataFrame:
    """What each way gains over "inside the folds" within sites, paired.

    Returns
    -------
    DataFrame
        ``metric``, ``value``, ``low``, ``high``, ``n``, ``note``.
    """
    fair, rows = ways["inside the folds"].set_index("subject"), []
    for way, tested in ways.items():
        if way == "inside the folds":
            continue
        same = fair.loc[tested["subject"], "logit"].to_numpy()
        gain = within_auc_interval(
            tested["site"], tested["y"], tested["logit"], other=same, by_size=True,
            n_boot=n_boot, seed=seed,
        )  # fmt: skip
        ending = "" if diagnoses == "diagnosis" else "_made_up"
        name = f"gain_{part}_{way.replace(' ', '_')}{ending}"
        verdict = "more" if gain[1] > 0 else "less" if gain[2] < 0 else "not shown to differ"
        rows.append((name, *gain, n_within_sites(tested), f"{verdict}; diagnoses: {diagnoses}"))
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "n", "note"])
