"""What goes with the diagnosis without being of the brain: site, age, IQ, motion; and quality."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from nextaim_kit.learn.intervals import Measure, interval
from nextaim_kit.studies.asd_fusion.brains import Brains
from nextaim_kit.studies.asd_fusion.connectivity import dead_regions
from nextaim_kit.studies.asd_fusion.phenotypes import PARCEL

NUMBERS = {"age": "age (years)", "fiq": "full-scale IQ", "motion": "motion (mean FD, mm)"}


def quality(brains: Brains) -> pd.DataFrame:
    """What to know of each subject's data before they are used.

    Returns
    -------
    DataFrame
        ``subject, site, motion, volumes, dead_regions, missing_edges, missing_structure``; of
        structure, only measures that most subjects have.
    """
    rows = brains.table[["subject", "site", "motion", "volumes"]]
    dead = dead_regions(brains.connectivity, len(brains.regions)).sum(axis=1)
    parcels = [c for c in brains.structure if PARCEL.search(str(c))]
    return rows.assign(
        dead_regions=dead,
        missing_edges=np.isnan(brains.connectivity).sum(axis=1),
        missing_structure=brains.structure[parcels].isna().sum(axis=1),
    )


def differences(brains: Brains, *, n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
    """How far the groups lie apart in age, IQ and motion, over all subjects and within sites.

    Returns
    -------
    DataFrame
        ``name``, ``value``, ``low``, ``high``: difference of the means, autism less typical, in
        standard deviations; ``group`` tells whether sites were centered first; ``n``.
    """
    found = []
    for column, name in NUMBERS.items():
        known = brains.table[brains.table["label"].notna() & brains.table[column].notna()]
        if known["label"].nunique() < 2:
            continue
        values = known[column].to_numpy(float)
        within = values - known.groupby("site")[column].transform("mean").to_numpy(float)
        for group, numbers in (("all subjects", values), ("within sites", within)):
            y = known["label"].to_numpy(float)
            ends = interval(_difference(numbers, y), len(y), classes=y, n_boot=n_boot, seed=seed)
            found.append((name, *ends, group, len(y)))
    return pd.DataFrame(found, columns=["name", "value", "low", "high", "group", "n"])


def _difference(values: NDArray, y: NDArray) -> Measure:
    def measure(w: NDArray) -> NDArray:
        means = [(w * k) @ values / (w * k).sum(axis=1) for k in (y, 1 - y)]
        spread = np.sqrt((w @ values**2) / w.sum(axis=1) - (w @ values / w.sum(axis=1)) ** 2)
        return (means[0] - means[1]) / spread

    return measure


def site_shares(brains: Brains) -> pd.DataFrame:
    """Subjects of each site and the share with autism, largest site first."""
    sites = brains.table.groupby("site").agg(
        n=("subject", "size"), share=("label", "mean"), age=("age", "mean"),
        motion=("motion", "mean"), tr=("tr", "mean"), volumes=("volumes", "mean"),
    )  # fmt: skip
    return sites.sort_values("n", ascending=False).reset_index()


def motion_map(brains: Brains) -> pd.DataFrame:
    """How each edge goes with motion, beside how far its regions lie apart.

    Returns
    -------
    DataFrame
        ``edge``, ``distance`` (mm), ``rho``: rank correlation with mean FD, sites centered
        (Satterthwaite et al. 2012, doi:10.1016/j.neuroimage.2011.12.063).
    """
    known = brains.functional & brains.table["motion"].notna().to_numpy()
    part = brains.at(known)
    edges = _centered(part.connectivity.astype(float), part.table["site"])
    motion = _centered(rankdata(part.table["motion"])[:, None], part.table["site"])[:, 0]
    there = ~np.isnan(edges)
    filled = np.where(there, edges, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = motion @ filled / np.sqrt((filled**2).sum(0) * (there * motion[:, None] ** 2).sum(0))
    i, j = np.triu_indices(len(brains.regions), 1)
    xyz = brains.regions[["x", "y", "z"]].to_numpy(float)
    distance = np.sqrt(((xyz[i] - xyz[j]) ** 2).sum(axis=1))
    return pd.DataFrame({"edge": np.arange(len(i)), "distance": distance, "rho": rho})


def _centered(values: NDArray, site: pd.Series) -> NDArray:
    frame = pd.DataFrame(values)
    return (frame - frame.groupby(site.to_numpy()).transform("mean")).to_numpy()


def edge_differences(brains: Brains, group: NDArray | None = None) -> NDArray[np.float64]:
    """Cohen's d of each edge between two groups, sites centered, shape (edges,).

    Parameters
    ----------
    brains : Brains
    group : array of bool, shape (subjects,), optional
        By default who has autism; subjects without a label are left out.
    """
    known = brains.functional & brains.table["label"].notna().to_numpy()
    part = brains.at(known)
    first = part.y == 1 if group is None else np.asarray(group)[known]
    edges = _centered(part.connectivity.astype(float), part.table["site"])
    with np.errstate(invalid="ignore"):
        means = [np.nanmean(edges[rows], axis=0) for rows in (first, ~first)]
        spread = [np.nanvar(edges[rows], axis=0) for rows in (first, ~first)]
        return (means[0] - means[1]) / np.sqrt((spread[0] + spread[1]) / 2)
