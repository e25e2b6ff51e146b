"""Markers beside masses: whether networks lean on them, and what they tell when swapped."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray

from nextaim_kit.learn.intervals import Interval
from nextaim_kit.learn.metrics import auc_interval
from nextaim_kit.studies.breast_masses.prototypes.crops import Crops
from nextaim_kit.studies.breast_masses.prototypes.figures import source_boxes
from nextaim_kit.studies.breast_masses.prototypes.fold import Fold, Rotation
from nextaim_kit.studies.breast_masses.prototypes.measures import about
from nextaim_kit.studies.breast_masses.prototypes.stages import Networks, side_by_side


def marker_share(fold: Fold, crops: Crops, parts: NDArray[np.uint8]) -> float:
    """Share of the prototypes of malignant whose box in their training crop holds a marker."""
    told = np.array(about(parts[_sources(fold)], source_boxes(fold, crops)))
    of = fold.prototypes.loc[fold.prototypes["kept"], "class"].to_numpy()
    return float((told[of == 1] == "marker").mean())


def _sources(fold: Fold) -> NDArray[np.int64]:
    return fold.prototypes.loc[fold.prototypes["kept"], "source"].to_numpy(int)


def compare(
    networks: Networks,
    looks: Mapping[str, Crops],
    parts: NDArray[np.uint8],
    rotation: Rotation,
    folder: Path,
    *,
    seeds: Sequence[int],
    n_boot: int = 1000,
    workers: int | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train with markers on the malignant masses and without any; test both on three looks.

    Parameters
    ----------
    networks : Networks
    looks : mapping of str to Masses
        ``planted``, ``none``, ``swapped`` (on the benign ones): the same masses, row by row.
    parts : array of shape (n, size, size)
        Of the planted look, as `parts_of` gives them.
    rotation : (train, val, test)
    folder : Path
    seeds : sequence of int
    n_boot : int
    workers : int, optional
        As for `stages.side_by_side`.

    Returns
    -------
    aucs : DataFrame
        ``trained``, ``name`` (of the network), ``tested``, ``seed``, ``value``, ``low``, ``high``.
    shares : DataFrame
        ``trained``, ``seed``, ``value``: `marker_share`, and of networks without markers how often
        a box lies where one would be.
    """
    asked = [(seed, trained) for seed in seeds for trained in ("planted", "none")]
    jobs = [
        delayed(replace(networks, stages=replace(networks.stages, seed=seed)).train)(
            looks[trained], rotation, folder / f"{trained}_{seed}"
        )
        for seed, trained in asked
    ]
    rows, shares = [], []
    workers = workers or networks.workers(looks["planted"])
    for (seed, trained), found in zip(asked, side_by_side(jobs, workers), strict=True):
        share = marker_share(found["ProtoPNet"], looks[trained], parts)
        shares.append((trained, seed, share))
        rows += [
            (trained, name, tested, seed, *_auc(fold, crops, n_boot))
            for name, fold in found.items()
            for tested, crops in looks.items()
        ]
    columns = ["trained", "name", "tested", "seed", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(
        shares, columns=["trained", "seed", "value"]
    )


def _auc(fold: Fold, crops: Crops, n_boot: int) -> Interval:
    score, who = fold.predict(crops.films[fold.test]), crops.table["patient"].to_numpy()
    with warnings.catch_warnings():
        # Swapped markers are meant to turn the order round.
        warnings.filterwarnings("ignore", message="AUC .* lies below 0.5")
        return auc_interval(crops.y[fold.test], score, groups=who[fold.test], n_boot=n_boot)
