"""What prototype networks are held beside: models of tables, chance, themselves without markers."""

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
from nextaim_kit.learn.splits import Split
from nextaim_kit.studies.breast_masses.prototypes.baselines import (
    RADIOMICS,
    SIZE_ALONE,
    radiomics,
    sizes,
    tabular,
)
from nextaim_kit.studies.breast_masses.prototypes.crops import Crops
from nextaim_kit.studies.breast_masses.prototypes.figures import source_boxes
from nextaim_kit.studies.breast_masses.prototypes.fold import Fold, Rotation
from nextaim_kit.studies.breast_masses.prototypes.measures import Seen, about, measured, origins
from nextaim_kit.studies.breast_masses.prototypes.stages import Networks, side_by_side


def of_tables(
    crops: Crops, repeats: Sequence[Sequence[Split]], *, seed: int = 0
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Models of radiomic features and of the size alone, in the networks' own test folds.

    Returns
    -------
    predicted : dict of str to DataFrame
        ``radiomics`` and ``size alone``: `baselines.tabular`.
    failures : DataFrame
        ``subject``, ``site``, ``problem``: masses without radiomic features.
    """
    features, failures = radiomics(crops, workers=1)
    tables = {"radiomics": (features, RADIOMICS), "size alone": (sizes(crops.table), SIZE_ALONE)}
    predicted = {
        name: tabular(crops, columns, method, repeats, seed=seed)
        for name, (columns, method) in tables.items()
    }
    return predicted, failures


def quality(folds: Sequence[Fold], crops: Crops, *, n_boot: int, seed: int) -> pd.DataFrame:
    """What the prototypes of the first fold do on its test crops, and where all folds' come from.

    Returns
    -------
    DataFrame
        Rows of `measures.measured`, then of `measures.origins`.
    """
    first, where, parts = folds[0], folds[0].test, crops.parts
    looked = Seen.of(
        first.net, crops.films[where], parts[where], crops.y[where], crops.patients[where]
    )
    found = measured(
        first.net, crops.films[where], looked, crops.table.iloc[where], n_boot=n_boot, seed=seed
    )
    sources = [(number, k) for number, fold in enumerate(folds) for k in _sources(fold)]
    told = [s for fold in folds for s in about(parts[_sources(fold)], source_boxes(fold, crops))]
    return pd.concat([found, origins(sources, told)], ignore_index=True)


def marker_share(fold: Fold, crops: Crops, parts: NDArray[np.uint8]) -> float:
    """Share of the prototypes of malignant whose box in their training crop holds a marker."""
    told = np.array(about(parts[_sources(fold)], source_boxes(fold, crops)))
    of = fold.prototypes.loc[fold.prototypes["kept"], "class"].to_numpy()
    return float((told[of == 1] == "marker").mean())


def _sources(fold: Fold) -> NDArray[np.int64]:
    return fold.prototypes.loc[fold.prototypes["kept"], "source"].to_numpy(int)


def with_and_without_markers(
    networks: Networks,
    looks: Mapping[str, Crops],
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
    looks : mapping of str to Crops
        ``planted``, ``none``, ``swapped`` (on the benign ones): the same masses, row by row.
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
    rows, shares, parts = [], [], looks["planted"].parts
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
