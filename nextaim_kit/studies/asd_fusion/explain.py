"""What a model of brains leans on: SHAP values of people it had not seen, and what to hold them to.

A map is a number for each edge or structural feature: how much it moves the logit, on average.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, rankdata
from torch import Tensor

from nextaim_kit.learn.dual import DualLogistic
from nextaim_kit.learn.intervals import interval, over_folds
from nextaim_kit.learn.splits import Split, external_split
from nextaim_kit.studies.asd_fusion.blocks import Blocks, Part
from nextaim_kit.studies.asd_fusion.brains import Brains, joined, square, upper
from nextaim_kit.studies.asd_fusion.fusion import RECIPE, FusionNet, Network
from nextaim_kit.studies.asd_fusion.models import Fit, Fitted, cross_fit


@dataclass(frozen=True)
class Shap:
    """SHAP values of subjects by models that had not seen them, on the logit of autism.

    Attributes
    ----------
    table : DataFrame
        One row per subject, in the order of the cohort: ``subject, site, y, logit, fold``;
        ``base``, the mean logit of the background; ``gap``, by how much base and values miss the
        logit.
    values : array of shape (subjects, features), float32
        Mean over the members of an ensemble.
    patterns : array of shape (folds, features)
        `haufe_pattern` over the training subjects.
    members : array of shape (folds, members, features)
        Mean absolute value by each member of an ensemble, over the fold's subjects.
    places : dict of part to slice
        Which features are whose.
    """

    table: pd.DataFrame
    values: NDArray[np.float32]
    patterns: NDArray[np.float64]
    members: NDArray[np.float32]
    places: dict[Part, slice]

    def part(self, name: Part) -> Self:
        """Edges alone, or structural features alone."""
        at = self.places[name]
        return replace(self, values=self.values[:, at], patterns=self.patterns[:, at],
                       members=self.members[:, :, at], places={name: slice(None)})  # fmt: skip

    def by_fold(self) -> NDArray[np.float64]:
        """Mean absolute value in each fold, shape (folds, features)."""
        fold = self.table["fold"].to_numpy()
        return np.stack([np.abs(self.values[fold == k]).mean(axis=0) for k in np.unique(fold)])

    def map(self) -> NDArray[np.float64]:
        """Mean absolute value over all subjects, shape (features,)."""
        return np.abs(self.values).mean(axis=0, dtype=float)


@dataclass(frozen=True)
class Gradients:
    """How a network's values are estimated.

    Attributes
    ----------
    background : int
        Training subjects that the values are told against.
    samples : int
        Points at which the gradient is taken, for each subject.
    seed : int
    """

    background: int = 100
    samples: int = 100
    seed: int = 0


def network(
    parts: Sequence[Part], folder: Path, *, members: int = 3, epochs: int = 60, taught: bool = True
) -> Network:
    """Joint networks whose mean counts; one that is not `taught` keeps its first weights."""
    if taught:
        return Network(parts, folder, epochs, members)
    return Network(parts, folder, 1, members, (0.01,), replace(RECIPE, learning_rate=0.0))


def explain_unseen(
    fit: Fit, brains: Brains, splits: Sequence[Split], how: Gradients = Gradients()
) -> Shap:
    """Train on each training part, and explain what the model says of the subjects left out.

    Parameters
    ----------
    fit : callable
        `Linear` or `Network`, of edges as they are.
    brains : Brains
        With all modalities of the model; each subject is in one test part.
    splits : sequence of (train, test)
    how : Gradients
        Its seed is also that of the training.
    """
    said, fitted = cross_fit(fit, brains, splits, seed=how.seed)
    values, members, patterns, base = [], [], [], []
    for found, (train, test) in zip(fitted, splits, strict=True):
        first, left, models = brains.at(train), brains.at(test), _members(found)
        each, bases = zip(*(_of_one(one, first, left, how) for one in models), strict=True)
        values.append(np.mean(each, axis=0))
        members.append([np.abs(one).mean(axis=0) for one in each])
        patterns.append(haufe_pattern(models[0].model[0].transform(first), found.logit(first)))
        base += [np.mean(bases)] * len(test)
    order = np.argsort(np.concatenate([test for _, test in splits]), kind="stable")
    whole = np.concatenate(values)[order].astype(np.float32)
    table = said.assign(base=base).iloc[order].reset_index(drop=True)
    table["gap"] = whole.sum(axis=1, dtype=float) + table["base"] - table["logit"]
    places = _places(models[0].model[0], brains)
    return Shap(table, whole, np.stack(patterns), np.array(members, np.float32), places)


def explain_others(fit: Fit, brains: Brains, others: Brains, how: Gradients = Gradients()) -> Shap:
    """Train on all of one cohort, and explain what the model says of another one's people."""
    both = joined(brains, others)
    return explain_unseen(fit, both, [*external_split(len(brains), len(others)).values()], how)


def _members(found: Fitted) -> list[Fitted]:
    return found.model if isinstance(found.model, list) else [found]


def _places(blocks: Blocks, brains: Brains) -> dict[Part, slice]:
    size = {"function": brains.connectivity.shape[1], "structure": brains.structure.shape[1]}
    ends = np.cumsum([size[part] for part in blocks.parts]).tolist()
    return {p: slice(end - size[p], end) for p, end in zip(blocks.parts, ends, strict=True)}


def _of_one(
    found: Fitted, train: Brains, test: Brains, how: Gradients
) -> tuple[NDArray[np.float32], float]:
    """Values by one model, and the logit they start from."""
    blocks, model = found.model
    if isinstance(model, DualLogistic):
        values, base = linear_shap(model, blocks.transform(train), blocks.transform(test))
        return values.astype(np.float32), base
    return network_shap(model, blocks, train, test, how)


def linear_shap(
    model: DualLogistic, train: NDArray, test: NDArray
) -> tuple[NDArray[np.float64], float]:
    """Exact SHAP values of a linear model: each weight times how far one is from the mean.

    Returns
    -------
    values : array of shape (subjects, features)
    base : float
        The logit of the training subjects' mean, which is their mean logit.
    """
    mean = train.mean(axis=0, dtype=float)
    return model.coef_[0] * (test - mean), float(model.coef_[0] @ mean + model.intercept_[0])


def network_shap(
    net: FusionNet, blocks: Blocks, train: Brains, test: Brains, how: Gradients
) -> tuple[NDArray[np.float32], float]:
    """SHAP values of a network by expected gradients.

    The gradient is taken at random points between the subject and random training subjects. The
    values add up to the logit but for the error of that drawing.

    Returns
    -------
    values : array of shape (subjects, features)
    base : float
        Mean logit of the background.

    References
    ----------
    Erion et al. 2021, doi:10.1038/s42256-021-00343-w; as ``shap.GradientExplainer``, without its
    loop over samples.
    """
    rng = np.random.default_rng(how.seed)
    some = rng.permutation(len(train))[: how.background]
    behind, given = (_tensors(blocks, one) for one in (train.at(some), test))
    values = np.empty((len(test), sum(block.shape[1] for block in given)), np.float32)
    for k, person in enumerate(zip(*given, strict=True)):
        rows = rng.permutation(np.arange(how.samples) % len(some))  # all as often, if they can be
        along = torch.from_numpy(rng.random((how.samples, 1), np.float32))
        ways = [one - block[rows] for one, block in zip(person, behind, strict=True)]
        points = [one - along * way for one, way in zip(person, ways, strict=True)]
        slopes = torch.autograd.grad(net(*map(Tensor.requires_grad_, points)).sum(), points)
        shares = [(slope * way).mean(0) for slope, way in zip(slopes, ways, strict=True)]
        values[k] = torch.cat(shares).numpy()
    with torch.no_grad():
        return values, float(net(*behind).double().mean())


def _tensors(blocks: Blocks, brains: Brains) -> list[torch.Tensor]:
    return [torch.from_numpy(values) for values in blocks.apart(brains).values()]


def haufe_pattern(X: NDArray, logit: NDArray) -> NDArray[np.float64]:
    """Covariance of each column of `X`, shape (n, p), with a model's logit.

    Of a linear model, whose logit is X w, it is cov(X) w without the p x p matrix: where a signal
    lies that the model tells, while a weight may also be there to take noise away.

    References
    ----------
    Haufe et al. 2014, doi:10.1016/j.neuroimage.2013.10.067.
    """
    centered = logit - logit.mean()
    return (centered @ X - centered.sum() * X.mean(axis=0)) / (len(X) - 1)


def rank_correlation(one: NDArray, other: NDArray) -> float:
    """Spearman's correlation of two maps' sizes, where both are known."""
    known = ~np.isnan(one) & ~np.isnan(other)
    ranks = rankdata(np.abs(one[known])), rankdata(np.abs(other[known]))
    return float(np.corrcoef(*ranks)[0, 1])


def precision(found: NDArray, planted: NDArray, k: int) -> float:
    """Share of the `k` largest of a map that are planted."""
    return float((planted[strongest(found, k)] != 0).mean())


def strongest(found: NDArray, k: int) -> NDArray[np.intp]:
    """Places of the `k` largest of a map, largest first."""
    return np.argsort(-np.nan_to_num(np.abs(found)), kind="stable")[:k]


def agreement(
    maps: Mapping[str, NDArray],
    other: NDArray,
    measure: Callable[[NDArray, NDArray], float],
    *,
    regions: int = 0,
    permutations: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How well maps agree with another one that did not come of a model.

    Parameters
    ----------
    maps : mapping of str to array of shape (folds, features)
    other : array of shape (features,)
    measure : callable
        Of a map and the other, such as `rank_correlation`.
    regions : int
        How many an edge can join: chance is the other map with its regions in another order, which
        keeps that edges of one region are alike. 0: features in another order.
    permutations, seed : int

    Returns
    -------
    DataFrame
        ``name``; ``value``, ``low``, ``high`` over folds; ``whole`` of the mean map; ``best``, what
        a map without ties can reach at most; ``chance``; and ``p`` of the whole, one-sided.
    """
    rows = []
    # Where the other is 0 a map is not: the best of them cannot tie.
    untied = np.abs(other) + 1e-9 * np.random.default_rng(seed).random(len(other))
    best, least = measure(untied, other), -1 if measure is rank_correlation else 0
    for name, folds in maps.items():
        value, *ends = over_folds([measure(one, other) for one in folds], 1 / (len(folds) - 1))
        mean = np.abs(folds).mean(axis=0)
        whole = measure(mean, other)
        null = np.array([measure(mean, o) for o in _orders(other, regions, permutations, seed)])
        p = (1 + (null >= whole).sum()) / (1 + permutations)
        rows.append((name, value, *np.clip(ends, least, 1), whole, best, null.mean(), p))
    names = ["name", "value", "low", "high", "whole", "best", "chance", "p"]
    return pd.DataFrame(rows, columns=names)


def _orders(values: NDArray, regions: int, permutations: int, seed: int) -> Iterator[NDArray]:
    rng = np.random.default_rng(seed)
    whole = square(values, regions) if regions else values
    for _ in range(permutations):
        order = rng.permutation(len(whole))
        yield upper(whole[np.ix_(order, order)]) if regions else whole[order]


def likeness(shap: Shap, others: Mapping[str, NDArray], *, k: int) -> pd.DataFrame:
    """How alike maps are: of other seeds, of other folds, and beside those that ought to differ.

    Parameters
    ----------
    shap : Shap
    others : mapping of str to array of shape (folds, features) or (features,)
    k : int
        As many of the strongest are looked for in both.

    Returns
    -------
    DataFrame
        ``name``; ``value``, ``low``, ``high``: rank correlation, mean over folds; ``overlap``:
        share of the `k` strongest that both have.
    """
    own = shap.by_fold()
    pairs = {"another seed": [list(combinations(seeds, 2)) for seeds in shap.members]}
    pairs["another fold"] = [[(own[i], own[j]) for j in range(len(own)) if j != i]
                             for i in range(len(own))]  # fmt: skip
    for name, other in others.items():
        pairs[name] = [[pair] for pair in zip(own, np.broadcast_to(other, own.shape), strict=True)]
    rows = []
    for name, of_folds in pairs.items():
        if not of_folds[0]:
            continue
        rho = [np.mean([rank_correlation(*pair) for pair in found]) for found in of_folds]
        both = [_overlap(*pair, k=k) for found in of_folds for pair in found]
        value, *ends = over_folds(rho, 1 / (len(own) - 1))
        rows.append((name, value, *np.clip(ends, -1, 1), np.mean(both)))
    return pd.DataFrame(rows, columns=["name", "value", "low", "high", "overlap"])


def same_elsewhere(
    here: Shap, there: Shap, regions: pd.DataFrame, *, n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Whether maps of two cohorts' people agree: rank correlations, people of both resampled.

    Parameters
    ----------
    here, there : Shap
        Of the same features.
    regions : DataFrame
        ``region``, ``network``, of the edges.
    n_boot, seed : int
        Of the resampling, in which the models stay as they are.

    Returns
    -------
    DataFrame
        ``name`` ("function, by region", "function, by pair of networks", "structure, by feature"),
        ``value``, ``low``, ``high``, and ``n``, the numbers that are compared.
    """
    rows = []
    for part in here.places:
        each = [np.abs(shap.part(part).values) for shap in (here, there)]
        sums = _summed_by(regions) if part == "function" else {"feature": np.eye(each[0].shape[1])}
        for name, sum_of in sums.items():
            one, other = (values @ sum_of for values in each)
            whose = np.repeat([0, 1], [len(one), len(other)])

            def alike(weights: NDArray, one: NDArray = one, other: NDArray = other) -> NDArray:
                first, last = weights[:, : len(one)] @ one, weights[:, len(one) :] @ other
                return np.array([rank_correlation(*maps) for maps in zip(first, last, strict=True)])

            found = interval(alike, len(whose), classes=whose, n_boot=n_boot, seed=seed)
            rows.append((f"{part}, by {name}", *found, sum_of.shape[1]))
    return pd.DataFrame(rows, columns=["name", "value", "low", "high", "n"])


def _summed_by(regions: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """What adds up edges by region, and averages them by pair of networks: (edges, groups)."""
    i, j = np.triu_indices(len(regions), 1)
    ends = np.eye(len(regions))
    network = regions["network"].to_numpy().astype(str)
    pair = np.sort([network[i], network[j]], axis=0)
    names, whose = np.unique(pair, axis=1, return_inverse=True)
    member = np.eye(names.shape[1])[whose.ravel()]
    return {"region": ends[i] + ends[j], "pair of networks": member / member.sum(axis=0)}


def _overlap(one: NDArray, other: NDArray, k: int) -> float:
    return len({*strongest(one, k)} & {*strongest(other, k)}) / min(k, len(one))


def by_region(found: NDArray, regions: pd.DataFrame) -> pd.DataFrame:
    """Sum of a map over the edges of each region, the largest first: ``region, network, value``."""
    total = np.nansum(square(np.abs(found), len(regions)), axis=0)
    table = regions[["region", "network"]].assign(value=total)
    return table.sort_values("value", ascending=False, kind="stable", ignore_index=True)


def by_pair(
    found: NDArray, regions: pd.DataFrame, *, permutations: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Mean of a map over the edges of each pair of networks, and whether chance does as much.

    Returns
    -------
    DataFrame
        ``one``, ``other`` (networks), ``edges``; ``value``, log2 of the pair's mean size over that
        of all edges; ``p``, the share of orders of the regions in which the pair has as much;
        ``q``, with the false discovery rate of all pairs held (Benjamini and Hochberg).
    """
    matrix = square(np.abs(np.asarray(found, float)), len(regions))
    np.fill_diagonal(matrix, np.nan)
    names = sorted(set(regions["network"]))
    member = (regions["network"].to_numpy()[:, None] == np.array(names)).astype(float)
    i, j = np.triu_indices(len(names))
    means, rng = _block_means(matrix, member)[i, j], np.random.default_rng(seed)
    above = np.zeros(len(means))
    for _ in range(permutations):
        above += _block_means(matrix, rng.permutation(member))[i, j] >= means
    edges = (member.T @ ~np.isnan(matrix) @ member)[i, j] / np.where(i == j, 2, 1)
    table = pd.DataFrame({
        "one": np.array(names)[i], "other": np.array(names)[j], "edges": edges.astype(int),
        "value": np.log2(means / np.nanmean(matrix)), "p": (1 + above) / (1 + permutations),
    })[edges > 0].reset_index(drop=True)  # fmt: skip
    return table.assign(q=false_discovery_control(table["p"]))


def _block_means(matrix: NDArray, member: NDArray) -> NDArray[np.float64]:
    there = ~np.isnan(matrix)
    counts = member.T @ there @ member
    with np.errstate(invalid="ignore"):
        return (member.T @ np.where(there, matrix, 0) @ member) / counts
