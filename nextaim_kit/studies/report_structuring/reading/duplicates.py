"""Reports that are copies of each other, exact or near, and splits that do not tear them apart.

Two reports are as alike as the share of their character 8-grams that both have (Jaccard). All
pairs at or above a threshold are found, not only likely ones: of two texts that are so alike, at
least one of the rarest grams of each is shared, so only pairs that share one are compared.

References
----------
Prefix filtering: Chaudhuri et al. 2006, doi:10.1109/ICDE.2006.9; Bayardo et al. 2007,
doi:10.1145/1242572.1242591.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.learn.splits import patient_folds

GRAM = 8  # characters
ALIKE = 0.8
SPLITS = ("train", "validation", "test")


def near_pairs(texts: Sequence[str], *, alike: float = ALIKE) -> pd.DataFrame:
    """All pairs of texts that are alike.

    Parameters
    ----------
    texts : sequence of str
        Compared without case, punctuation and spacing.
    alike : float
        Least share of common grams, above 0.

    Returns
    -------
    DataFrame
        ``one`` and ``other``, places in `texts`, the first below the second; ``alike``, 1 for
        copies that differ in nothing but case, punctuation and spacing.

    Examples
    --------
    >>> texts = ["Non versamento pleurico.", "non  versamento pleurico", "Cuore nei limiti."]
    >>> near_pairs(texts).to_numpy().tolist()
    [[0.0, 1.0, 1.0]]
    """
    plain = [_plain(text) for text in texts]
    unique, member = np.unique(plain, return_inverse=True)
    found = _alike([str(text) for text in unique], alike) if alike < 1 else []
    places = [np.flatnonzero(member == k) for k in range(len(unique))]
    rows = [(a, b, 1.0) for of in places for k, a in enumerate(of) for b in of[k + 1 :]]
    rows += [
        (min(a, b), max(a, b), share) for k, j, share in found for a in places[k] for b in places[j]
    ]
    pairs = pd.DataFrame(rows, columns=["one", "other", "alike"])
    return pairs.sort_values(["one", "other"], ignore_index=True)


def copy_groups(texts: Sequence[str], patients: Sequence[str]) -> NDArray:
    """Number of the group of each report: one patient's, copies, and copies of copies together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = near_pairs(texts)
    _, person = np.unique(np.asarray(patients, str), return_inverse=True)
    first = np.unique(person, return_index=True)[1]
    one = np.concatenate([pairs["one"], np.arange(len(texts))]).astype(int)
    other = np.concatenate([pairs["other"], first[person]]).astype(int)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(texts),) * 2)
    return connected_components(graph, directed=False)[1]


def torn(table: pd.DataFrame) -> pd.DataFrame:
    """Rows whose group (column ``group``) is in more splits than one: ``subject, group, split``."""
    apart = table.groupby("group")["split"].transform("nunique") > 1
    return table.loc[apart, ["subject", "group", "split"]].sort_values(["group", "split"])


def whole(table: pd.DataFrame) -> pd.Series:
    """The splits of a cohort with each torn group moved to one: test before validation, training.

    So nothing that is tested was learned from, and no test report is lost.
    """
    rank = table["split"].map({name: place for place, name in enumerate(SPLITS)})
    return rank.groupby(table["group"]).transform("max").map(dict(enumerate(SPLITS)))


def drawn_split(table: pd.DataFrame, *, seed: int = 0) -> pd.Series:
    """A split by groups where a cohort has none: a tenth tested, a tenth to validate."""
    parts = min(10, table["group"].nunique())
    split = pd.Series("train", index=table.index)
    if parts < 3:
        return split
    folds = patient_folds(table, parts, seed=seed, by=(), group="group")
    for name, (_, rows) in zip(("test", "validation"), folds, strict=False):
        split.iloc[rows] = name
    return split


def shared(texts: Sequence[str], others: Sequence[str]) -> NDArray:
    """Which of `others` are copies of one of `texts`, as yes or no: another cohort may hold some.

    Examples
    --------
    >>> shared(["Cuore nei limiti."], ["cuore nei limiti", "Versamento."]).tolist()
    [True, False]
    """
    pairs = near_pairs([*texts, *others])
    across = pairs[(pairs["one"] < len(texts)) & (pairs["other"] >= len(texts))]
    return np.isin(np.arange(len(others)) + len(texts), across["other"])


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _alike(texts: list[str], alike: float) -> list[tuple[int, int, float]]:
    """Pairs of different texts with the share of grams that they have in common."""
    from scipy.sparse import triu
    from sklearn.feature_extraction.text import CountVectorizer

    if len(texts) < 2:
        return []
    grams = CountVectorizer(analyzer=_pieces, dtype=np.int32).fit_transform(texts)
    grams = grams[:, np.argsort(np.bincount(grams.indices), kind="stable")]
    grams.sort_indices()  # in each row the rarest first
    sizes = np.diff(grams.indptr)
    kept = sizes - np.ceil(alike * sizes - 1e-9).astype(int) + 1
    rare = grams.copy()
    place = np.arange(grams.nnz) - np.repeat(grams.indptr[:-1], sizes)
    rare.data[place >= np.repeat(kept, sizes)] = 0
    rare.eliminate_zeros()
    one, other = triu(rare @ rare.T, 1).nonzero()
    fits = np.minimum(sizes[one], sizes[other]) >= alike * np.maximum(sizes[one], sizes[other])
    found: list[tuple[int, int, float]] = []
    for part in np.array_split(np.stack([one, other], 1)[fits], fits.sum() // 4096 + 1):
        a, b = part.T
        common = np.asarray(grams[a].multiply(grams[b]).sum(axis=1)).ravel()
        share = common / (sizes[a] + sizes[b] - common)
        at = np.flatnonzero(share >= alike)
        found += zip(a[at].tolist(), b[at].tolist(), share[at].tolist(), strict=True)
    return found


def _pieces(text: str) -> set[str]:
    return {text[k : k + GRAM] for k in range(max(1, len(text) - GRAM + 1))}
