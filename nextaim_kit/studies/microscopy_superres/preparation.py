"""Pairs made ready for learning: registered, divided by field, intensities mapped, patches cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from nextaim_kit.data.cohort.loading import no_twin
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.errors import DataError
from nextaim_kit.learn.final import Seen
from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.studies.microscopy_superres.measures import (
    Consistency,
    compare,
    consistency,
    correlation,
    psnr,
)
from nextaim_kit.studies.microscopy_superres.pairs import (
    Pair,
    Pairs,
    load_pairs,
    never_seen,
    read_pair,
)
from nextaim_kit.studies.microscopy_superres.registration import register

_GAP = 8  # widefield pixels between two halves of a field: more than the spot of a dye
_WINDOW = 3  # pixels on each side of the one whose STORM block is looked up
_LEVELS = (1.0, 99.8)  # percentiles of a widefield image that become 0 and 1
_PRESENT = 0.1  # gray level of STORM from which a pixel counts as structure


@dataclass(frozen=True)
class Aligned:
    """Registered pairs.

    Attributes
    ----------
    pairs : list of Pair
        Widefield images as they are seen on STORM's grid.
    table : DataFrame
        `Pairs.table` of those that are left, with ``scale`` as it was found, ``shift`` (widefield
        pixels, over the field's corners the largest), ``agreement``, ``residual`` and ``moved``.
    failures : DataFrame
        ``subject``, ``site``, ``problem``.
    """

    pairs: list[Pair]
    table: pd.DataFrame
    failures: pd.DataFrame


def load_aligned(
    cohort: str,
    *,
    twin: Callable[[], pd.DataFrame] = no_twin,
    pixel_nm: float | None = None,
    workers: int | None = None,
    apart_from: Pairs | None = None,
    seen: Seen | None = None,
) -> tuple[Pairs, Aligned]:
    """Load a cohort of pairs and register each.

    Parameters
    ----------
    cohort, twin, pixel_nm, workers
        As of `load_pairs`.
    apart_from : Pairs, optional
        What shows a field of these is left out (`never_seen`).
    seen : Seen, optional
        Fields that networks were trained on earlier, which are left out by name.
    """
    given = load_pairs(cohort, twin=twin, pixel_nm=pixel_nm, workers=workers)
    given = never_seen(given, apart_from) if apart_from is not None else given
    if seen is not None:
        known = set(seen.among(given.table["subject"]))
        new = [name for name in given.table["subject"] if name not in known]
        given = given.only(new, "it trained the networks to begin with")
    return given, align(given, workers)


def align(pairs: Pairs, workers: int | None = None) -> Aligned:
    """Register every pair; those that do not show one field are left out.

    An image is moved, which interpolates it, only where that explains clearly more (`register`).
    """
    done = each(pairs.table, _aligned, workers=workers, progress="registered", given=pairs.pixel_nm)
    rows = done.rows.drop(columns=["scale", "rows", "columns"]).reset_index(drop=True)
    told = pd.DataFrame([row for _, row in done.results])
    return Aligned([p for p, _ in done.results], pd.concat([rows, told], axis=1), done.failures)


def _aligned(row: dict[str, Any], given: float | None) -> tuple[Pair, dict[str, Any]]:
    pair = read_pair(row, given)
    found = register(pair.widefield, pair.storm, pair.scale)
    shape = tuple(edge // found.scale for edge in pair.storm.shape)
    corners = np.array([(r, c) for r in (0, shape[0] - 1) for c in (0, shape[1] - 1)])
    apart = np.abs(corners @ found.matrix.T + found.shift - corners).max()
    still = bool(apart == 0 and shape == pair.widefield.shape)
    if not still:
        seen = found.apply(pair.widefield, shape)
        whole = pair.storm[: shape[0] * found.scale, : shape[1] * found.scale]
        pair = replace(pair, widefield=seen, storm=whole, scale=found.scale)
    return pair, {
        "scale": found.scale, "shift": float(apart), "agreement": found.agreement,
        "residual": found.residual, "moved": not still, "rows": shape[0], "columns": shape[1],
    }  # fmt: skip


def rotations(
    ready: Aligned, folds: int, *, seed: int
) -> list[tuple[list[Pair], list[Pair], NDArray[np.int64]]]:
    """Pairs to fit on, pairs to test on, and the latter's rows: each field is tested once.

    Pairs of one field are on one side. Of a single field the left half is fitted on and the right
    half tested, with a gap between them that is wider than the spot of a dye.
    """
    count = ready.table["field"].nunique()
    rows = np.arange(len(ready.pairs))
    if count == 1:
        cut = [halves(pair) for pair in ready.pairs]
        return [([left for left, _ in cut], [right for _, right in cut], rows)]
    split = patient_folds(ready.table, min(folds, count), seed=seed, by=(), group="field")
    return [([ready.pairs[k] for k in a], [ready.pairs[k] for k in b], b) for a, b in split]


def halves(pair: Pair, gap: int = _GAP) -> tuple[Pair, Pair]:
    """Left and right half of a pair, with a gap between them: for a cohort of one field.

    Raises
    ------
    DataError
        If a half would be narrower than 32 pixels.
    """
    wide = pair.widefield.shape[1]
    ends = [(0, (wide - gap) // 2), (wide - (wide - gap) // 2, wide)]
    if ends[0][1] < 32:
        raise DataError(
            f"{pair.subject} is too narrow to be halved", expected=f"{64 + gap} pixels",
            found=str(wide), mend="give a second field",
        )  # fmt: skip
    first, second = (cut_out(pair, (0, a), (len(pair.widefield), b - a)) for a, b in ends)
    return first, second


def cut_out(pair: Pair, corner: tuple[int, int], shape: tuple[int, int]) -> Pair:
    """A part of a pair: row and column of its corner, and its size, in widefield pixels."""
    (r, c), (h, w), s = corner, shape, pair.scale
    return replace(
        pair,
        widefield=pair.widefield[r : r + h, c : c + w],
        storm=pair.storm[r * s : (r + h) * s, c * s : (c + w) * s],
    )


def patches(
    pair: Pair, edge: int, count: int, *, least: float = 0.02, seed: int = 0
) -> list[tuple[int, int]]:
    """Corners of random patches with enough structure, in widefield pixels.

    Parameters
    ----------
    edge, count : int
        Fewer come where too few patches have structure; none where the field is smaller.
    least : float
        Share of STORM's pixels above a tenth of its range.
    """
    high, wide = (n - edge + 1 for n in pair.widefield.shape)
    if high < 1 or wide < 1:
        return []
    rng, s = np.random.default_rng(seed), pair.scale
    present = np.pad((pair.storm > _PRESENT).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = (present[edge * s :, edge * s :] - present[: -edge * s, edge * s :]
              - present[edge * s :, : -edge * s] + present[: -edge * s, : -edge * s])  # fmt: skip
    share = inside[::s, ::s][:high, :wide] / (edge * s) ** 2
    places = np.argwhere(share >= least)
    chosen = rng.permutation(len(places))[:count]
    return [(int(r), int(c)) for r, c in places[chosen]]


def normalized(widefield: NDArray) -> NDArray[np.float32]:
    """A widefield image between its own percentiles 1 and 99.8: 0 to 1, and a little beyond."""
    low, high = np.percentile(widefield, _LEVELS)
    return ((widefield - low) / max(high - low, 1e-6)).astype(np.float32)


def enlarged(pair: Pair) -> NDArray[np.float32]:
    """The normalized widefield image on STORM's grid, by cubic splines ("bicubic")."""
    zoomed = ndimage.zoom(
        normalized(pair.widefield), pair.scale, order=3, grid_mode=True, mode="nearest"
    )
    return np.asarray(zoomed, np.float32)


def fit_to_widefield(pair: Pair, image: NDArray | None = None) -> Consistency:
    """How an image, by default the pair's STORM, explains its widefield image: `consistency`."""
    fine = pair.storm if image is None else image
    return consistency(fine, normalized(pair.widefield), pair.scale)


@dataclass(frozen=True)
class IntensityMap:
    """STORM's gray level as a line of the enlarged widefield image's, and STORM's mean.

    Attributes
    ----------
    slope, level, mean : float
    """

    slope: float
    level: float
    mean: float

    @classmethod
    def fit(cls, pairs: Sequence[Pair], draw: Callable[[Pair], NDArray] = enlarged) -> IntensityMap:
        """By least squares over all pixels of some pairs: training fields, and no others."""
        sums = np.zeros(5)
        for pair in pairs:
            x, y = draw(pair).ravel().astype(float), pair.storm.ravel().astype(float)
            sums += [x.size, x.sum(), y.sum(), x @ x, x @ y]
        n, sx, sy, xx, xy = sums.tolist()
        slope = (xy - sx * sy / n) / max(xx - sx * sx / n, 1e-12)
        return cls(slope, (sy - slope * sx) / n, sy / n)

    def apply(self, image: NDArray) -> NDArray[np.float32]:
        """Gray levels of STORM, 0 to 1."""
        return np.clip(self.slope * image + self.level, 0, 1).astype(np.float32)


def baselines(pair: Pair, mapped: IntensityMap) -> dict[str, NDArray[np.float32]]:
    """What any network has to beat: black, one gray, bicubic as it is and with mapped intensity."""
    bicubic = enlarged(pair)
    return {
        "black": np.zeros_like(bicubic),
        "one gray": np.full_like(bicubic, mapped.mean),
        "bicubic": np.clip(bicubic, 0, 1),
        "bicubic, fitted": mapped.apply(bicubic),
    }


def scores(
    pairs: Sequence[Pair], mapped: IntensityMap, truths: Sequence[dict[str, NDArray]] = ()
) -> pd.DataFrame:
    """Baselines held against STORM, pair by pair; with truths also what STORM itself reaches.

    Returns
    -------
    DataFrame
        ``subject``, ``name`` and the measures of `compare`. "half against half" and "second
        labeling" say how far STORM repeats itself, "noise-free mean" is the prediction that has
        the least mean squared error of all.
    """
    rows = []
    for k, pair in enumerate(pairs):
        asked = [(name, pair.storm, image) for name, image in baselines(pair, mapped).items()]
        if len(truths):
            true = truths[k]
            halves_ = tuple(np.clip(true[h], 0, 1) for h in ("half_a", "half_b"))
            asked.append(("half against half", *halves_))
            for name, image in (("second labeling", "second"), ("noise-free mean", "expected")):
                asked.append((name, pair.storm, np.clip(true[image], 0, 1)))
        rows += [{"subject": pair.subject, "name": n} | compare(a, b) for n, a, b in asked]
    return pd.DataFrame(rows)


def memorized(
    pairs: Sequence[Pair], *, by_patch: bool, edge: int = 16, each_field: int = 24, seed: int = 0
) -> dict[str, float]:
    """How well a memory predicts STORM in a quarter of the patches: by patch or by whole field.

    For each pixel the memory looks for the most similar window of widefield pixels among those of
    the other patches, and gives what STORM shows there. It has learned nothing.

    Returns
    -------
    dict
        ``seen`` (share of the test windows that lie in a patch to learn from, too), ``psnr`` and
        ``correlation``.
    """
    from sklearn.neighbors import KNeighborsRegressor

    rng, of, field = np.random.default_rng(seed), [], []
    for k, pair in enumerate(pairs):
        corners = patches(pair, edge, each_field, least=0.0, seed=seed + k)
        of += [_windows(pair, k, r, c, edge) for r, c in corners]
        field += [k] * len(corners)
    quarter = rng.permutation(len(pairs))[: max(1, len(pairs) // 4)]
    tested = rng.random(len(field)) < 0.25 if by_patch else np.isin(field, quarter)
    (keys, x, y), (asked, windows, truth) = (
        [np.concatenate(parts) for parts in zip(*(o for o, t in zip(of, tested, strict=True)
                                                  if t == part), strict=True)]
        for part in (False, True)
    )  # fmt: skip
    known = set(map(tuple, keys.tolist()))
    told = KNeighborsRegressor(1, algorithm="brute").fit(x, y).predict(windows)
    return {
        "seen": float(np.mean([tuple(key) in known for key in asked.tolist()])),
        "psnr": psnr(truth, told), "correlation": correlation(truth, told),
    }  # fmt: skip


def _windows(
    pair: Pair, number: int, row: int, column: int, edge: int
) -> tuple[NDArray, NDArray, NDArray]:
    """Field and place of every second pixel of a patch, the widefield windows, STORM's blocks."""
    wide, s, n = normalized(pair.widefield), pair.scale, 2 * _WINDOW + 1
    views = np.lib.stride_tricks.sliding_window_view(np.pad(wide, _WINDOW, mode="edge"), (n, n))
    r, c = (np.arange(start + start % 2, start + edge, 2) for start in (row, column))
    r, c = (part.ravel() for part in np.meshgrid(r[r < len(wide)], c[c < len(wide[0])]))
    blocks = pair.storm.reshape(wide.shape[0], s, wide.shape[1], s).swapaxes(1, 2)[r, c]
    place = np.stack([np.full(len(r), number), r, c], 1)
    return place, views[r, c].reshape(len(r), -1), blocks.reshape(len(r), -1)
