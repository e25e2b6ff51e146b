"""What prototypes are about, measured: the same part each time, on the mass, and for a reason.

Each measure stands beside what patches at random places would reach, since most of a crop is one
and the same tissue.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nextaim_kit.learn.intervals import (
    SHARE,
    Interval,
    interval,
    mean_interval,
    proportion_interval,
)
from nextaim_kit.studies.breast_masses.prototypes.parts import PARTS
from nextaim_kit.studies.breast_masses.prototypes.protopnet import (
    ProtoPNet,
    contributions,
    similarity_maps,
)

Boxes = NDArray[np.int64]
_PUBLISHED = 224  # edge of the crops for which box sizes were published
_BOX, _PATCH = 72, 32
_CONSISTENT = 0.8
_NOISE, _MOST_NOISE = 0.2, 0.25
_COLUMNS = ["measure", "value", "low", "high", "n", "of"]


@dataclass(frozen=True)
class Seen:
    """Where prototypes look in crops.

    Attributes
    ----------
    maps : Tensor of shape (n, m, rows, columns)
        Similarities.
    parts : array of shape (n, size, size)
        As `Crops.parts`.
    y : array of shape (n,)
        Classes of the crops.
    patients : array of shape (n,)
    classes, kept : array
        Class of each prototype, and the numbers of those that count.
    """

    maps: Tensor
    parts: NDArray[np.uint8]
    y: NDArray[np.int64]
    patients: NDArray
    classes: NDArray[np.int64]
    kept: NDArray[np.int64]

    @classmethod
    def of(
        cls, net: ProtoPNet, films: Tensor, parts: NDArray, y: NDArray, patients: NDArray
    ) -> Seen:
        """What a network's prototypes see in crops."""
        maps = similarity_maps(net, films)
        return cls(maps, parts, y, np.asarray(patients), net.classes, net.kept)

    @property
    def peaks(self) -> NDArray[np.int64]:
        """Pixel where each map is largest: row and column, shape (n, m, 2)."""
        return peaks_of(self.maps, self.parts.shape[1])

    @property
    def strength(self) -> NDArray[np.float32]:
        """The largest similarity of each map, shape (n, m)."""
        return self.maps.amax((2, 3)).numpy()

    def own(self, prototype: int) -> NDArray[np.int64]:
        """Crops of a prototype's class, the most similar first."""
        mine = np.flatnonzero(self.y == self.classes[prototype])
        return mine[np.argsort(-self.strength[mine, prototype], kind="stable")]


def peaks_of(maps: Tensor, size: int) -> NDArray[np.int64]:
    """Pixel where each map is largest: row and column, shape (n, m, 2)."""
    columns = maps.shape[3]
    flat = maps.flatten(2).argmax(2).numpy()
    cells = np.stack([flat // columns, flat % columns], -1)
    return ((cells + 0.5) * size / columns).astype(np.int64)


def parts_within(parts: NDArray[np.uint8], peaks: NDArray, edge: int) -> NDArray[np.bool_]:
    """Which parts lie in a square round each peak: a quarter of it, or half of the part.

    Parameters
    ----------
    parts : array of shape (n, size, size)
    peaks : array of int, shape (n, m, 2)
    edge : int
        Of the square, which is shortened at the crop's border.

    Returns
    -------
    array of bool, shape (n, m, 4)
    """
    size = parts.shape[1]
    each = parts[:, None] == np.arange(len(PARTS))[:, None, None]
    total = np.pad(each.cumsum(2).cumsum(3), ((0, 0), (0, 0), (1, 0), (1, 0)))
    low, high = np.clip(peaks - edge // 2, 0, size), np.clip(peaks + edge - edge // 2, 0, size)
    rows = np.arange(len(parts))[:, None]
    (top, left), (bottom, right) = (np.moveaxis(ends, 2, 0) for ends in (low, high))
    sums = total.transpose(0, 2, 3, 1)
    count = sums[rows, bottom, right] - sums[rows, top, right]
    count += sums[rows, top, left] - sums[rows, bottom, left]
    area = ((bottom - top) * (right - left))[..., None]
    whole = each.sum((2, 3))[:, None]
    return (4 * count >= area) | ((2 * count >= whole) & (count > 0))


def scaled_edge(published: int, size: int) -> int:
    """A square's edge that was published for crops of 224 pixels, at another size."""
    return max(1, round(published * size / _PUBLISHED))


def consistency(seen: Seen, *, n_boot: int = 1000, seed: int = 0) -> tuple[Interval, float]:
    """Share of prototypes that see one part (not outside) in at least 0.8 of their class's crops.

    Returns
    -------
    interval : (value, low, high)
        Patients resampled.
    by_chance : float
        The same of maps that are largest anywhere.

    References
    ----------
    Huang et al. 2023, arXiv:2212.05946; its keypoints are regions here, its squares of 72 of 224
    pixels the same.
    """
    edge = scaled_edge(_BOX, seen.parts.shape[1])
    rng = np.random.default_rng(seed)
    anywhere = rng.integers(0, seen.parts.shape[1], seen.peaks.shape)
    value, chance = (
        _consistent(seen, parts_within(seen.parts, at, edge)) for at in (seen.peaks, anywhere)
    )
    how: dict[str, Any] = {"groups": seen.patients, "classes": seen.y, "n_boot": n_boot}
    found = interval(value, len(seen.y), seed=seed, **how)
    return found, float(chance(np.ones((1, len(seen.y))))[0])


def _consistent(seen: Seen, within: NDArray[np.bool_]) -> Callable[[NDArray], NDArray]:
    def share(weights: NDArray) -> NDArray:
        good = []
        for prototype in seen.kept:
            w = weights * (seen.y == seen.classes[prototype])
            means = w @ within[:, prototype, 1:] / w.sum(1, keepdims=True)
            good.append(means.max(1) >= _CONSISTENT)
        return np.mean(good, 0)

    return share


def stability(
    net: ProtoPNet, films: Tensor, seen: Seen, *, n_boot: int = 1000, seed: int = 0
) -> Interval:
    """Share of crops in which a prototype of their class sees the same parts through noise.

    Noise of spread 0.2, at most 0.25, on films of -1 to 1; mean over prototypes, then crops.

    References
    ----------
    Huang et al. 2023, arXiv:2212.05946.
    """
    draw = torch.Generator().manual_seed(seed)
    noise = _NOISE * torch.randn(films.shape, generator=draw)
    noisy = similarity_maps(net, films + noise.clamp(-_MOST_NOISE, _MOST_NOISE))
    size = seen.parts.shape[1]
    edge = scaled_edge(_BOX, size)
    before, after = (
        parts_within(seen.parts, peaks_of(maps, size), edge)[:, seen.kept]
        for maps in (seen.maps, noisy)
    )
    same = (before == after).all(2)
    own = seen.y[:, None] == seen.classes[seen.kept]
    values = (same & own).sum(1) / own.sum(1)
    return mean_interval(values, groups=seen.patients, bounds=SHARE, n_boot=n_boot, seed=seed)


def purity(
    seen: Seen, *, top: int = 10, permutations: int = 500, seed: int = 0
) -> tuple[float, Interval]:
    """Mean share of a prototype's most similar patches that show one part, and what is its own.

    Patches of 32 of 224 pixels, one of each of the `top` most similar crops of its class.

    Returns
    -------
    value : float
    gain : (value, low, high)
        Less that of as many patches at random places of random crops of the same class; the
        interval is that of the random draws.

    References
    ----------
    Nauta et al. 2023, PIP-Net, doi:10.1109/CVPR52729.2023.00269.
    """
    edge = scaled_edge(_PATCH, seen.parts.shape[1])
    within = parts_within(seen.parts, seen.peaks, edge)[:, :, 1:]
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, seen.parts.shape[1], (len(seen.y), 64, 2))
    anywhere = parts_within(seen.parts, cells, edge)[:, :, 1:]

    def at_random(rows: NDArray) -> NDArray:
        return anywhere[rows, rng.integers(0, 64, rows.shape)]

    return _beyond_chance(seen, lambda rows, p: within[rows, p], at_random, rng, top, permutations)


def specialization(
    seen: Seen, categories: NDArray, *, top: int = 10, permutations: int = 500, seed: int = 0
) -> tuple[float, Interval, float]:
    """Mean share of a prototype's most similar crops that are of one category, such as a margin.

    Parameters
    ----------
    seen : Seen
    categories : array of str, shape (n,)
        Empty where unknown: it counts as none.

    Returns
    -------
    value : float
    gain : (value, low, high)
        Less that of random crops of the same class.
    coverage : float
        Share of the categories that are the most frequent one of a prototype.

    References
    ----------
    Pathak et al. 2024, arXiv:2403.20260.
    """
    names = sorted(set(categories[categories != ""]))
    if not names:
        return (float("nan"), (float("nan"),) * 3, float("nan"))
    told = np.asarray(categories)[:, None] == np.array(names)
    rng = np.random.default_rng(seed)
    value, gain = _beyond_chance(
        seen, lambda rows, p: told[rows], lambda rows: told[rows], rng, top, permutations
    )
    most = {int(told[seen.own(p)[:top]].sum(0).argmax()) for p in seen.kept}
    return value, gain, len(most) / len(names)


def _beyond_chance(
    seen: Seen, of: Callable, at_random: Callable, rng: np.random.Generator, top: int, times: int
) -> tuple[float, Interval]:
    """Mean over prototypes of the most frequent column's share, and less that by chance."""
    value = np.mean([of(seen.own(p)[:top], p).mean(0).max() for p in seen.kept])
    chance = np.zeros(times)
    for p in seen.kept:
        mine = seen.own(p)
        drawn = mine[rng.permuted(np.tile(np.arange(len(mine)), (times, 1)), axis=1)[:, :top]]
        chance += at_random(drawn).mean(1).max(1) / len(seen.kept)
    low, high = value - np.percentile(chance, [97.5, 2.5])
    return float(value), (float(value - chance.mean()), float(low), float(high))


def upsampled(maps: Tensor, size: int) -> Tensor:
    """Maps of shape (n, m, rows, columns) at the size of the crops, bicubic as published."""
    return functional.interpolate(maps, (size, size), mode="bicubic", align_corners=False)


def activation_box(map_: Tensor, size: int, percentile: float = 95.0) -> tuple[int, int, int, int]:
    """Box round the pixels at or above a percentile of an upsampled map; half open.

    Returns
    -------
    top, bottom, left, right : int

    References
    ----------
    Chen et al. 2019, arXiv:1806.10574. That what the network sees reaches far beyond this box:
    Carmichael et al. 2024, PixPNet, arXiv:2309.14531; `ProtoPNet.field` tells how far.
    """
    large = upsampled(map_[None, None], size)[0, 0].numpy()
    rows, columns = np.nonzero(large >= np.percentile(large, percentile))
    return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1


def faithfulness(
    net: ProtoPNet, films: Tensor, seen: Seen, *, draws: int = 5, n_boot: int = 1000, seed: int = 0
) -> Interval:
    """What the log-odds lose without the box of the strongest prototype, less any box of its size.

    The strongest is the one that adds most to the predicted class; a box is filled with the
    crop's mean.

    Returns
    -------
    gain : (value, low, high)
        Patients resampled; above 0, the box holds more of the reason than other places.

    References
    ----------
    Deletion: Petsiuk et al. 2018, arXiv:1806.07421.
    """
    rng, size = np.random.default_rng(seed), films.shape[-1]
    added = contributions(net, torch.from_numpy(seen.strength))
    odds = added.sum(1).numpy()
    sign = np.where(odds >= 0, 1.0, -1.0)
    strongest = (added * torch.from_numpy(sign)[:, None]).argmax(1).numpy()
    boxes = [activation_box(seen.maps[k, p], size) for k, p in enumerate(strongest)]
    lost = sign * (odds - _odds(net, _deleted(films, boxes)))
    anywhere = np.zeros(len(films))
    for _ in range(draws):
        moved = [elsewhere(box, size, rng) for box in boxes]
        anywhere += sign * (odds - _odds(net, _deleted(films, moved))) / draws
    return mean_interval(lost - anywhere, groups=seen.patients, n_boot=n_boot, seed=seed)


def _odds(net: ProtoPNet, films: Tensor) -> NDArray[np.float64]:
    most = similarity_maps(net, films).amax((2, 3))
    return contributions(net, most).sum(1).double().numpy()


def _deleted(films: Tensor, boxes: list[tuple[int, int, int, int]]) -> Tensor:
    found = films.clone()
    for film, (top, bottom, left, right) in zip(found, boxes, strict=True):
        film[:, top:bottom, left:right] = film.mean()
    return found


def elsewhere(
    box: tuple[int, int, int, int], size: int, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A box of the same size at random in a crop."""
    high, wide = box[1] - box[0], box[3] - box[2]
    top, left = (int(rng.integers(0, size - edge + 1)) for edge in (high, wide))
    return top, top + high, left, left + wide


def about(parts: NDArray[np.uint8], boxes: list[tuple[int, int, int, int]]) -> list[str]:
    """What each prototype's box in its source crop shows: marker, mass (with its rim), background.

    Parameters
    ----------
    parts : array of shape (m, size, size)
        Of the source crop of each prototype.
    boxes : list of (top, bottom, left, right)

    Returns
    -------
    list of str
        "marker" if at least half of one lies in the box, "mass" if mass and rim are at least a
        quarter of the box, else "background".
    """
    told = []
    for shown, (top, bottom, left, right) in zip(parts, boxes, strict=True):
        inside = shown[top:bottom, left:right]
        marker = (shown == 3).sum()
        if marker and 2 * (inside == 3).sum() >= marker:
            told.append("marker")
        else:
            mass = np.isin(inside, (1, 2)).mean() >= 0.25
            told.append("mass" if mass else "background")
    return told


def measured(
    net: ProtoPNet, films: Tensor, seen: Seen, table: pd.DataFrame, *, n_boot: int, seed: int
) -> pd.DataFrame:
    """All measures of a network's prototypes on crops that it has not seen.

    Parameters
    ----------
    net : ProtoPNet
    films : Tensor of shape (n, 1, size, size)
    seen : Seen
        Of these crops.
    table : DataFrame
        Of these crops: ``shape``, ``margin`` or ``category`` where known.
    n_boot, seed : int

    Returns
    -------
    DataFrame
        ``measure``, ``value``, ``low``, ``high``, ``n``, ``of`` (what the interval is over).
    """
    how = {"n_boot": n_boot, "seed": seed}
    kept, crops = len(seen.kept), len(seen.y)
    consistent, chance = consistency(seen, **how)
    pure, own = purity(seen, seed=seed)
    none = (np.nan, np.nan)
    rows = [
        ("purity", pure, *none, kept, ""),
        ("purity less chance", *own, kept, "random patches"),
        ("consistency", *consistent, kept, "patients"),
        ("consistency by chance", chance, *none, kept, ""),
        ("stability", *stability(net, films, seen, **how), crops, "patients"),
        ("faithfulness", *faithfulness(net, films, seen, **how), crops, "patients"),
    ]
    for name in ("shape", "margin", "category"):
        known = table[name].fillna("").astype(str).to_numpy() if name in table else np.array([""])
        if (known != "").any():
            value, less, coverage = specialization(seen, known, seed=seed)
            rows += [(f"specialization in {name}", value, *none, kept, ""),
                     (f"specialization in {name} less chance", *less, kept, "random crops"),
                     (f"coverage of {name}", coverage, *none, kept, "")]  # fmt: skip
    return pd.DataFrame(rows, columns=_COLUMNS)


def origins(sources: Sequence[Hashable], told: list[str]) -> pd.DataFrame:
    """How many crops the prototypes come from, and what their boxes are about.

    Parameters
    ----------
    sources : sequence
        What tells each prototype's crop, such as its fold and row.
    told : list of str
        As `about` gives them.

    Returns
    -------
    DataFrame
        As `measured`: ``diversity`` (different crops by prototypes) and the share about the mass,
        the marker, the background, with exact intervals, as if prototypes were independent.
    """
    n = len(sources)
    shares = [(f"about the {what}", told.count(what)) for what in ("mass", "marker", "background")]
    rows = [("diversity", len(set(sources)) / n, np.nan, np.nan, n, "")]
    rows += [(name, *proportion_interval(count, n), n, "prototypes") for name, count in shares]
    return pd.DataFrame(rows, columns=_COLUMNS)
