"""What networks have to beat: the size of a mass alone, and radiomic features."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.errors import DataError
from nextaim_kit.learn.method import Method
from nextaim_kit.learn.nested import nested_cv
from nextaim_kit.learn.splits import Split
from nextaim_kit.studies.breast_masses.prototypes.crops import Crops

RADIOMICS = Method("logistic", selectors=("mrmr",), ks=(5, 10, 20), inner=3)
SIZE_ALONE = Method("logistic", selectors=("none",), grid={"C": [1.0]}, inner=2)
_CLASSES = ("firstorder", "shape2D", "glcm")
_BINS = 32


def sizes(table: pd.DataFrame) -> pd.DataFrame:
    """The size of each mass alone: its diameter in mm, or where no scale is known in pixels."""
    for name in ("diameter_mm", "diameter_px"):
        if name in table and table[name].notna().all():
            return pd.DataFrame({"diameter": np.log(table[name].to_numpy(float))})
    edges = table[["x1", "y1"]].to_numpy(float) - table[["x0", "y0"]].to_numpy(float)
    return pd.DataFrame({"diameter": np.log(np.sqrt(edges.prod(1)))})


def radiomics(crops: Crops, *, workers: int | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features of each mass by pyradiomics, in two dimensions.

    First order, shape and co-occurrence (32 gray levels), 51 features; the gray values of a crop
    have been windowed, so that first-order features depend on that window, too.

    Returns
    -------
    features : DataFrame of shape (n, p)
        NaN in the rows of masses of which none could be had.
    failures : DataFrame
        ``subject``, ``site``, ``problem``.

    References
    ----------
    van Griethuysen et al. 2017, doi:10.1158/0008-5472.CAN-17-0339.
    """
    rows = crops.table[["subject", "site"]].reset_index(drop=True)
    rows = rows.assign(picture=list(crops.pictures), mask=list(crops.masks))
    found = each(rows, _described, workers=workers)
    if not found.results:
        raise DataError("no mass has features", found=found.failures["problem"].iloc[0])
    return pd.DataFrame(found.results, index=found.rows.index).reindex(rows.index), found.failures


def _described(row: Mapping[str, Any]) -> dict[str, float]:
    import SimpleITK as sitk

    picture, mask = (
        sitk.GetImageFromArray(np.asarray(row[name])[None].astype(kind))
        for name, kind in (("picture", np.float32), ("mask", np.uint8))
    )
    told = _extractor().execute(picture * 255, mask)
    return {name: float(v) for name, v in told.items() if name.startswith("original_")}


@lru_cache(maxsize=1)
def _extractor() -> Any:
    from radiomics import featureextractor

    logging.getLogger("radiomics").setLevel(logging.ERROR)
    made = featureextractor.RadiomicsFeatureExtractor(binCount=_BINS, force2D=True)
    made.disableAllFeatures()
    for name in _CLASSES:
        made.enableFeatureClassByName(name)
    return made


def tabular(
    crops: Crops,
    features: pd.DataFrame,
    method: Method,
    repeats: Sequence[Sequence[Split]],
    *,
    seed: int = 0,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """A model of a table in the networks' own test folds, as `fold.predictions` is.

    Parameters
    ----------
    crops : Crops
    features : DataFrame of shape (n, p)
    method : Method
        Settings and threshold are chosen inside each training part.
    repeats : sequence of sequences of (train, test)
    seed : int
    n_jobs : int, optional
        As for `nested_cv`.
    """
    who = crops.table[["patient", "site", "label"]].rename(columns={"patient": "subject"})
    table = pd.concat([who.reset_index(drop=True), features.reset_index(drop=True)], axis=1)
    parts = []
    for repeat, splits in enumerate(repeats):
        found = nested_cv(
            table,
            [str(name) for name in features],
            method,
            splits=list(splits),
            seed=seed + repeat,
            n_jobs=n_jobs,
        )
        told = found.predictions.reset_index(drop=True)
        of = crops.known_of(np.concatenate(found.test_index), 0, repeat)
        parts.append(of.assign(fold=told["fold"], p=told["p"], threshold=told["threshold"]))
    return pd.concat(parts, ignore_index=True)
