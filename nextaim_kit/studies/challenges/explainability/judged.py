"""Whether maps are true, faithful, about the network at all, alike, and steady."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.learn.intervals import BOUNDS, Interval, interval, mean_interval
from nextaim_kit.learn.saliency import (
    by_chance,
    energy_inside,
    faithfulness,
    pointing_hits,
    precision_inside,
)
from nextaim_kit.studies.challenges.explainability.explained import Explained
from nextaim_kit.studies.challenges.explainability.maps import Maps, Name, draw

Drawn = Mapping[Name, Maps]
_MEASURES = {"pointing": pointing_hits, "energy": energy_inside, "precision": precision_inside}
_STEPS = 10
_ALIKE: tuple[float, float] = (-1.0, 1.0)  # of correlations


def against_truth(drawn: Drawn, explained: Explained, *, n_boot: int = 1000) -> pd.DataFrame:
    """Pointing game, energy and precision at k of each method, and what chance would have.

    Returns
    -------
    DataFrame
        ``name`` (method), ``metric``, ``value``, ``low``, ``high``, ``chance`` (the share of what
        can be looked at that is truth), ``n``; empty where no truth is known.
    """
    known = explained.known
    rows = []
    if known.any():
        truth, who = explained.truth[known], explained.groups[known]  # type: ignore[index]
        chance = float(by_chance(truth, explained.within[known] | truth).mean())
        for name, maps in drawn.items():
            for metric, measure in _MEASURES.items():
                # A map that is 0 all over points nowhere: that is a miss, not a patient less.
                values = np.nan_to_num(measure(maps[known], truth))
                found = mean_interval(values, groups=who, bounds=(0, 1), n_boot=n_boot)
                rows.append((name, metric, *found, chance, len(values)))
    return pd.DataFrame(rows, columns=["name", "metric", *BOUNDS, "chance", "n"])


def areas(
    explained: Explained, maps: Maps, kind: str, *, fill: float | torch.Tensor | None = None
) -> NDArray[np.float64]:
    """Area under the probability while pixels go, or come, shape (n,)."""
    empty = explained.emptied if fill is None else fill
    return faithfulness(explained.probability, explained.x, maps, kind=kind, steps=_STEPS,
                        fill=empty)[1]  # fmt: skip


def faithful(
    drawn: Drawn, explained: Explained, *, fill: float | None = None, n_boot: int = 1000
) -> pd.DataFrame:
    """How much better each order of pixels is than one at random, item by item.

    Parameters
    ----------
    fill : float, optional
        What stands for nothing; without it, items without what they say (`Explained.emptied`).

    Returns
    -------
    DataFrame
        ``name``, ``metric`` (``deletion``, ``insertion``), ``value``, ``low``, ``high``: above 0
        the probability falls sooner, or rises sooner, than in a random order.
    """
    chance = draw(explained, "random")
    rows = []
    for kind, sign in {"deletion": -1, "insertion": 1}.items():
        by_luck = areas(explained, chance, kind, fill=fill)
        for name, maps in drawn.items():
            if name == "random":
                continue
            gain = sign * (areas(explained, maps, kind, fill=fill) - by_luck)
            found = mean_interval(gain, groups=explained.groups, n_boot=n_boot)
            rows.append((name, kind, *found))
    return pd.DataFrame(rows, columns=["name", "metric", *BOUNDS])


def alike(one: Maps, other: Maps, explained: Explained) -> NDArray[np.float64]:
    """Rank correlation of two maps of each item, shape (n,); 0 where one of them is constant.

    Only where there is anything to look at counts: an empty border would make all maps alike.
    """
    from scipy.stats import rankdata

    found = np.zeros(len(explained))
    for k, inside in enumerate(explained.within):
        a, b = (rankdata(maps[k][inside]) for maps in (one, other))
        a, b = a - a.mean(), b - b.mean()
        spread = np.sqrt((a**2).sum() * (b**2).sum())
        found[k] = a @ b / spread if spread > 0 else 0.0
    return found.clip(*_ALIKE)


def sane(drawn: Drawn, explained: Explained, nets: Mapping[str, Sequence[torch.nn.Module]], *,
         n_boot: int = 1000) -> pd.DataFrame:  # fmt: skip
    """How alike maps stay under other networks: those that know nothing, and those that know.

    Parameters
    ----------
    nets : mapping of str to sequence of Module
        ``retrained`` on the same question, then those that know nothing, such as ``weights``; of
        each kind as many.

    Returns
    -------
    DataFrame
        ``name``, ``metric`` (of `nets`, and ``margin_...`` for each that knows nothing: how much
        more alike the maps are under retrained ones), ``value``, ``low``, ``high``, patients and
        networks resampled. A map is about the network only where the margin is shown to be
        above 0.

    References
    ----------
    Adebayo et al. 2018, arXiv:1810.03292; retrained networks as the mark are the kit's.
    """
    rows = []
    for name, maps in drawn.items():
        found = {key: np.stack([alike(maps, draw(explained.by(net), name), explained)
                                for net in some]) for key, some in nets.items()}  # fmt: skip
        rest = [key for key in found if key != "retrained"]
        found |= {f"margin_{key}": found["retrained"] - found[key] for key in rest}
        for key, values in found.items():
            rows.append((name, key, *_both_drawn(values, explained.groups, n_boot)))
    return pd.DataFrame(rows, columns=["name", "metric", *BOUNDS])


def _both_drawn(values: NDArray, groups: ArrayLike, n_boot: int) -> Interval:
    """The mean of values of networks by items, both drawn anew in each resample."""
    networks, items = values.shape
    rng = np.random.default_rng(0)

    def mean(weights: NDArray) -> NDArray:
        drawn = rng.multinomial(networks, np.full(networks, 1 / networks), len(weights))
        drawn[(weights == 1).all(axis=1)] = 1  # of all as they are, the value itself
        return np.einsum("rk,ki,ri->r", drawn / networks, values, weights) / weights.sum(axis=1)

    patients = pd.Series(groups).nunique()
    return interval(mean, items, groups=groups, n_boot=n_boot, mean_of=patients)


def caught(table: pd.DataFrame) -> list[str]:
    """Methods of `sane` whose maps are not shown to be about the network."""
    margins = table[table["metric"].str.startswith("margin_")]
    worst = margins.groupby("name", sort=False)["low"].min()
    return worst.index[~(worst > 0)].tolist()


def agreement(drawn: Drawn, explained: Explained, *, n_boot: int = 1000) -> pd.DataFrame:
    """Rank correlation of each two methods' maps, and the mean of all pairs, the last row.

    Returns
    -------
    DataFrame
        ``name``, ``value``, ``low``, ``high``; empty of fewer than two methods.
    """
    found = {f"{one} · {other}": alike(drawn[one], drawn[other], explained)
             for one, other in combinations(drawn, 2)}  # fmt: skip
    if found:
        found["mean of all pairs"] = np.mean([*found.values()], axis=0)
    how: dict[str, Any] = {"groups": explained.groups, "bounds": _ALIKE, "n_boot": n_boot}
    rows = [(name, *mean_interval(values, **how)) for name, values in found.items()]
    return pd.DataFrame(rows, columns=["name", *BOUNDS])


def unsteady(explained: Explained, share: float) -> Explained:
    """The same items with noise, its spread a share of that of each item."""
    made = torch.Generator().manual_seed(explained.seed)
    spread = explained.x.flatten(1).std(1)[:, None, None, None]
    noise = torch.randn(explained.x.shape, generator=made)
    inside = torch.from_numpy(explained.within)[:, None]
    return replace(explained, x=explained.x + share * spread * noise * inside)


def steady(drawn: Drawn, explained: Explained, share: float, *, n_boot: int = 1000) -> pd.DataFrame:
    """How alike maps stay when noise that nobody sees is added to the items.

    Returns
    -------
    DataFrame
        ``name``, ``value``, ``low``, ``high`` of the rank correlation, and ``moved``: by how much
        the network's probability changed in the mean.
    """
    other = unsteady(explained, share)
    moved = float(
        np.abs(explained.probability(other.x) - explained.probability(explained.x)).mean()
    )
    rows = []
    for name, maps in drawn.items():
        values = alike(maps, draw(other, name), explained)
        found = mean_interval(values, groups=explained.groups, bounds=_ALIKE, n_boot=n_boot)
        rows.append((name, *found, moved))
    return pd.DataFrame(rows, columns=["name", *BOUNDS, "moved"])
