"""Where an output is made up: witnesses that need no truth, and how well they tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from nextaim_kit.errors import DataError
from nextaim_kit.studies.microscopy_superres import filaments
from nextaim_kit.studies.microscopy_superres.pairs import Pair
from nextaim_kit.studies.microscopy_superres.preparation import (
    fit_to_widefield,
    halves,
    normalized,
)
from nextaim_kit.studies.microscopy_superres.tiling import as_function, tiled

if TYPE_CHECKING:
    from torch import nn

    from nextaim_kit.studies.microscopy_superres.curriculum import Divided

Image = NDArray[np.float32]
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8)  # of `filaments.center_lines`
WITNESSES = ("dimness", "inconsistency", "spread")
_AROUND = 0.4  # widefield pixels over which a map is looked at: finer says nothing of a filament
_LEAST = 0.02  # gray levels by which a relative spread is kept from running away where it is dark
_REACH = 120.0  # nm on each side of a line that take its color
_DOUBTFUL = np.array([1.0, 0.45, 0.0])  # orange on gray: told apart by every eye


def held_out(
    divided: Mapping[str, Divided], table: pd.DataFrame, *, seed: int
) -> tuple[list[Pair], list[Pair]]:
    """Half of what is not learned from to calibrate on, and the other half to test on.

    Whole fields, or where the fields of a set were halved the upper and lower parts of the other
    halves, with a gap that is wider than the spot of a dye.

    Parameters
    ----------
    divided : mapping of str to Divided
        Of `curriculum.divide`.
    table : DataFrame
        ``subject`` and ``field``, which is on one side.
    seed : int
    """
    field = dict(zip(table["subject"], table["field"], strict=True))
    parts: tuple[list[Pair], list[Pair]] = ([], [])
    for one in divided.values():
        names = sorted({field[p.subject] for p in one.test})
        first = set(np.random.default_rng(seed).permutation(names)[: len(names) // 2])
        for pair in one.test:
            if one.halved:
                for part, half in zip(parts, halves(_turned(pair)), strict=True):
                    part.append(_turned(half))
            else:
                parts[field[pair.subject] not in first].append(pair)
    return parts


def _turned(pair: Pair) -> Pair:
    return replace(pair, widefield=pair.widefield.T, storm=pair.storm.T)


def inconsistency(image: Image, pair: Pair) -> Image:
    """How much more light an output has, seen as the widefield microscope would, than there is.

    In units of the misfit's own size over the field, on STORM's grid; above 0 where the output
    would have to be dimmer. What is missing is no witness here: light from out of focus, too, is
    missing in every output.

    Parameters
    ----------
    image : array of shape (scale * rows, scale * columns)
        Gray levels of STORM.
    pair : Pair
        Of its widefield image; STORM is not looked at.

    References
    ----------
    SQUIRREL: Culley et al. 2018, doi:10.1038/nmeth.4605 (which takes the size alone).
    """
    found = fit_to_widefield(pair, image)
    excess = -found.error / max(found.rse, 1e-9)
    grown = ndimage.zoom(excess, pair.scale, order=1, grid_mode=True, mode="nearest")
    return np.asarray(grown, np.float32)


def spread(images: Sequence[Image]) -> Image:
    """How far several networks are apart: the standard deviation of their gray levels.

    Members that were fine-tuned from one network have much in common, and what all of them make up
    is not seen: the spread is too small (`reliability` says by how much).
    """
    if len(images) < 2:
        raise DataError("one network has no spread", expected="two or more", found=str(len(images)))
    return np.std(np.stack(images), axis=0, ddof=1).astype(np.float32)


def maps(image: Image, members: Sequence[Image], pair: Pair) -> dict[str, Image]:
    """Maps of all `WITNESSES`, the larger the more doubtful.

    ``dimness`` is what everyone sees in the output itself, and what the others are held beside;
    ``spread`` is relative to the gray level, else it would only say where it is bright.
    """
    wide = _AROUND * pair.scale
    bright = ndimage.gaussian_filter(image, wide)
    apart = np.sqrt(ndimage.gaussian_filter(spread(members) ** 2, wide))
    found = {"dimness": -bright, "inconsistency": inconsistency(image, pair),
             "spread": apart / (bright + _LEAST)}  # fmt: skip
    return {name: found[name].astype(np.float32) for name in WITNESSES}


def lines_of(image: Image, pixel: float) -> list[NDArray]:
    """The center lines that an image shows, in the form of true ones."""
    return filaments.as_lines(filaments.center_lines(image, pixel), pixel)


def against(
    image: Image, truth: Sequence[NDArray], pixel: float, tolerance: float = 50.0,
    threshold: float = 0.15,
) -> tuple[NDArray[np.bool_], filaments.Match]:  # fmt: skip
    """Center lines of an image as a mask, and their lengths held against true ones.

    Parameters
    ----------
    image : array of shape (rows, columns)
    truth : sequence of arrays of shape (points, 2)
        x and y in nm.
    pixel, tolerance : float
        nm.
    threshold : float
        As of `filaments.center_lines`.
    """
    lines = filaments.center_lines(image, pixel, threshold=threshold)
    return lines, filaments.match(lines, truth, pixel, tolerance)


def share_beside(
    image: Image, truth: Sequence[NDArray], pixel: float, tolerance: float = 50.0
) -> float:
    """Share of the lines that an image shows that lies beside all true ones."""
    lines, told = against(image, truth, pixel, tolerance)
    return float(told.invented / max(filaments.lengths(lines, pixel).sum(), 1.0))


def outlined(lines: Sequence[NDArray], pair: Pair) -> NDArray[np.bool_]:
    """Lines, x and y in nm, as a mask of a pair's STORM image."""
    return filaments.drawn(lines, pair.storm.shape, pair.storm_nm)


def heard(
    images: Sequence[Image], pair: Pair, truth: Sequence[NDArray], tolerance: float = 50.0
) -> tuple[dict[str, Image], pd.DataFrame, NDArray[np.int64]]:
    """What witnesses say of a network's output, beside those of other networks.

    Parameters
    ----------
    images : sequence of array
        The output first.
    pair, truth, tolerance
        As of `segment_table`.

    Returns
    -------
    dict of str to array
        `maps`.
    DataFrame, array of int
        `segment_table`.
    """
    seen = maps(images[0], images, pair)
    lines = filaments.center_lines(images[0], pair.storm_nm)
    return seen, *segment_table(lines, seen, truth, pair.storm_nm, tolerance)


def segment_table(
    lines: NDArray[np.bool_], seen: Mapping[str, Image], truth: Sequence[NDArray], pixel: float,
    tolerance: float = 50.0,
) -> tuple[pd.DataFrame, NDArray[np.int64]]:  # fmt: skip
    """One row for each piece of a skeleton: what the witnesses say of it, and whether it is true.

    Parameters
    ----------
    lines : array of bool, shape (rows, columns)
        `filaments.center_lines` of an output.
    seen : mapping of str to array
        Maps of the same shape, such as `maps` gives; of each its mean along the piece.
    truth : sequence of arrays of shape (points, 2)
        True center lines, x and y in nm; none where the truth is not known.
    pixel, tolerance : float
        nm.

    Returns
    -------
    DataFrame
        ``segment``, ``length`` (nm), ``invented`` (more than half of it lies beside all true
        lines), and the columns of `seen`.
    array of int, shape (rows, columns)
        The number of the piece in each of its pixels, 0 elsewhere.
    """
    labels, share = filaments.invented_share(lines, truth, pixel, tolerance)
    numbers = np.arange(1, len(share) + 1)
    table = pd.DataFrame({"segment": numbers, "invented": share > 0.5})
    long = filaments.lengths(lines, pixel)
    table["length"] = ndimage.sum_labels(long, labels, numbers) if len(numbers) else 0.0
    for name, one in seen.items():
        table[name] = ndimage.mean(one, labels, numbers) if len(numbers) else 0.0
    return table, labels


def trade_off(
    image: Image, truth: Sequence[NDArray], pixel: float,
    tolerances: Sequence[float] = (50.0, 100.0), thresholds: Sequence[float] = THRESHOLDS,
) -> pd.DataFrame:  # fmt: skip
    """Lengths of lines missed and invented, by the gray level from which something is a line.

    Returns
    -------
    DataFrame
        ``threshold``, ``tolerance``, and ``true``, ``missed``, ``invented`` in nm.
    """
    rows = []
    for threshold in thresholds:
        lines = filaments.center_lines(image, pixel, threshold=threshold)
        for tolerance in tolerances:
            found = filaments.match(lines, truth, pixel, tolerance)
            rows.append((threshold, tolerance, found.true, found.missed, found.invented))
    return pd.DataFrame(rows, columns=["threshold", "tolerance", "true", "missed", "invented"])


def at_equal_recall(curve: pd.DataFrame, found: float = 0.6) -> float:
    """What is invented, per mm of true filament in µm, where a share of the true length is found.

    A pale output invents nothing and misses everything, so outputs are compared where they find
    the same. NaN where the share is not reached at any threshold, or is passed at all of them.

    Parameters
    ----------
    curve : DataFrame
        Of `trade_off`, or the sum of several fields'.
    found : float

    Examples
    --------
    >>> curve = pd.DataFrame({"true": 100.0, "missed": [20.0, 60.0], "invented": [10.0, 2.0]})
    >>> at_equal_recall(curve, 0.6)
    60.0
    """
    share = 1 - curve["missed"] / curve["true"]
    order = np.argsort(share.to_numpy(), kind="stable")
    x, y = share.to_numpy()[order], (1000 * curve["invented"] / curve["true"]).to_numpy()[order]
    return float(np.interp(found, x, y)) if len(x) and x[0] <= found <= x[-1] else float("nan")


def reliability(apart: Image, error: Image, bins: int = 8) -> pd.DataFrame:
    """True error where networks are so far apart, in classes of as many pixels each.

    Parameters
    ----------
    apart, error : arrays of one shape
        Spread, and output less STORM, in gray levels.
    bins : int

    Returns
    -------
    DataFrame
        ``spread`` and ``error`` (root mean squares), ``pixels``.
    """
    x, y = np.ravel(apart).astype(float), np.ravel(error).astype(float)
    of = np.argsort(np.argsort(x, kind="stable"), kind="stable") * bins // len(x)
    count = np.bincount(of, minlength=bins)
    means = [np.sqrt(np.bincount(of, v * v, bins) / count) for v in (x, y)]
    return pd.DataFrame({"spread": means[0], "error": means[1], "pixels": count})


@dataclass(frozen=True)
class Doubt:
    """How likely a piece of an output is made up, from what witnesses say of it.

    Attributes
    ----------
    names : tuple of str
        Columns that count.
    model : object
        Logistic regression on standardized columns (scikit-learn).
    """

    names: tuple[str, ...]
    model: Any

    @classmethod
    def fit(cls, table: pd.DataFrame, names: Sequence[str] = WITNESSES) -> Doubt:
        """Fit on pieces of calibration fields, longer ones counting more.

        Raises
        ------
        DataError
            If none of them is invented, or all are.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if table["invented"].nunique() < 2:
            raise DataError(
                "doubt cannot be learned from these fields",
                expected="true and invented lines", found=f"{len(table)} lines of one kind",
                mend="give more fields to calibrate on",
            )  # fmt: skip
        model = make_pipeline(StandardScaler(), LogisticRegression())
        weights = {"logisticregression__sample_weight": table["length"] / table["length"].mean()}
        return cls(tuple(names), model.fit(table[list(names)], table["invented"], **weights))

    def of(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """Probability of each piece that it is invented."""
        if table.empty:
            return np.empty(0)
        return np.asarray(self.model.predict_proba(table[list(self.names)])[:, 1])


def tinted(
    image: Image, labels: NDArray[np.int64], doubt: NDArray, pixel: float
) -> NDArray[np.float32]:
    """An output in gray, its doubtful lines in orange, as red, green and blue from 0 to 1.

    Parameters
    ----------
    image : array of shape (rows, columns)
        Shown by the root of its share of the 99.5th percentile, so that weak lines are seen.
    labels : array of int, shape (rows, columns)
        Pieces of its skeleton, from 1.
    doubt : array of shape (pieces,)
        0 (gray) to 1 (orange) of each.
    pixel : float
        nm; pixels within 120 nm of a piece take its color.
    """
    top = max(float(np.percentile(image, 99.5)), 1e-6)
    gray = np.sqrt(np.clip(image / top, 0, 1))[..., None]
    if not labels.any():
        return np.repeat(gray, 3, -1).astype(np.float32)
    away, near = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    of = np.concatenate([[0.0], np.clip(doubt, 0, 1)])[labels[tuple(near)]]
    share = np.where(away * pixel <= _REACH, of, 0.0)[..., None]
    return (gray * (1 - share + share * _DOUBTFUL)).astype(np.float32)


def seams(net: nn.Module, pair: Pair, tile: int = 24) -> pd.DataFrame:
    """What tiles of a widefield image give that the whole one does not, by their halo.

    Returns
    -------
    DataFrame
        ``halo`` (pixels; the last is as far as the network sees), ``error`` (largest difference
        to the whole image's output), ``seam`` and ``tiles`` of `Tiled`.
    """
    from nextaim_kit.studies.microscopy_superres.networks import receptive_radius

    image, sees = normalized(pair.widefield), receptive_radius(net)  # type: ignore[arg-type]
    predict, rows = as_function(net), []
    whole = predict(image)
    for halo in sorted({4, sees // 8, sees // 4, sees // 2, sees}):
        told = tiled(predict, image, 4, halo=max(halo, 1), tile=tile)
        rows.append((halo, float(np.abs(told.image - whole).max()), told.seam, told.tiles))
    return pd.DataFrame(rows, columns=["halo", "error", "seam", "tiles"])
