"""Crops of masses as networks see them, and what those have to beat: their size, radiomics."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.data.cohort.loading import no_twin
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.data.cohort.tables import read_table
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.errors import DataError
from nextaim_kit.learn.method import Method
from nextaim_kit.learn.nested import nested_cv
from nextaim_kit.learn.splits import Split
from nextaim_kit.studies.breast_masses.crops import Crops, cut, load_crops, require_both
from nextaim_kit.studies.breast_masses.mammograms import Mammograms, load_mammograms
from nextaim_kit.studies.breast_masses.views import digest_of

if TYPE_CHECKING:
    from torch import Tensor

RADIOMICS = Method("logistic", selectors=("mrmr",), ks=(5, 10, 20), inner=3)
SIZE_ALONE = Method("logistic", selectors=("none",), grid={"C": [1.0]}, inner=2)
_CLASSES = ("firstorder", "shape2D", "glcm")
_BINS = 32
_MARKER_MM = 8.0  # with the wire's width


@dataclass(frozen=True)
class Masses:
    """Crops of masses, row by row.

    Attributes
    ----------
    pictures : array of shape (n, size, size), float32
        Gray values 0 to 1.
    masks : array of bool of the same shape
        The masses.
    table : DataFrame
        ``subject``, ``lesion``, ``patient``, ``site``, ``label`` (0 benign, 1 malignant), and
        what else is known.
    """

    pictures: NDArray[np.float32]
    masks: NDArray[np.bool_]
    table: pd.DataFrame

    def only(self, rows: ArrayLike) -> Masses:
        """Some of them, by position or by yes and no."""
        at = np.arange(len(self.table))[np.asarray(rows)]
        return Masses(self.pictures[at], self.masks[at], self.table.iloc[at].reset_index(drop=True))

    @property
    def y(self) -> NDArray[np.int64]:
        """Outcomes."""
        return self.table["label"].to_numpy(int)

    @property
    def films(self) -> Tensor:
        """Crops as networks take them: shape (n, 1, size, size), mean and spread 0.5 taken out."""
        import torch

        return torch.from_numpy(self.pictures)[:, None] * 2 - 1


class Loaded(NamedTuple):
    """Masses that can be used, and what cannot.

    Attributes
    ----------
    masses : Masses
    failures : DataFrame
        ``subject``, ``site``, ``problem``: what could not be read, cut out or told.
    set_aside : DataFrame
        The same columns: what is no mass, or there already under another name.
    doubts : DataFrame
        ``subject``, ``problem``: used, but strange.
    """

    masses: Masses
    failures: pd.DataFrame
    set_aside: pd.DataFrame
    doubts: pd.DataFrame


def load_masses(
    cohort: str, *, twin: Callable[[], Mammograms] = no_twin, size: int, field_mm: float
) -> Loaded:
    """Load the masses of a cohort: a twin's, those of whole mammograms, or a folder of crops alone.

    What is no mass (a calcification, an asymmetry, a distortion) is left out, and so is a picture
    that is there already under another name.

    Parameters
    ----------
    cohort : str
        As for `load_mammograms`, or for `load_crops`.
    twin : callable
        Makes the synthetic mammograms.
    size, field_mm
        As for `crops.cut`.

    Raises
    ------
    DataError
        As `load_mammograms` and `load_crops`, and if the masses are all of one class.
    """
    alone = cohort != "synthetic" and _crops_alone(cohort)
    if alone:
        crops, failures = load_crops(cohort, size=size, field_mm=field_mm), pd.DataFrame()
    else:
        images = load_mammograms(cohort, twin=twin)
        crops, failures = cut(images, size=size, field_mm=field_mm), images.left_out
    table = crops.table.assign(lesion=crops.table.get("lesion", crops.table["subject"]))
    why = _not_to_use(crops)
    keep = (why == "").to_numpy()
    aside = table.loc[~keep, ["subject", "site"]].assign(problem=why[~keep])
    masses = Masses(crops.pictures, crops.masks, table).only(keep)
    require_both(replace(crops, table=masses.table))
    left = pd.concat([failures, crops.left_out], ignore_index=True)
    doubts = crops.doubts[crops.doubts["subject"].isin(masses.table["subject"])]
    return Loaded(masses, left, aside.reset_index(drop=True), doubts)


def _crops_alone(cohort: str) -> bool:
    path = find_source(cohort).path
    path = path / "labels.csv" if path.is_dir() else path
    if not path.is_file() or path.suffix != ".csv":
        return False
    return {"file", "label"} <= set(read_table(path))


def _not_to_use(crops: Crops) -> pd.Series:
    """Why a crop is left out; empty where it is not."""
    table, why = crops.table, pd.Series("", crops.table.index)
    digests = [digest_of(picture) for picture in crops.pictures]
    again = pd.Series(digests, table.index).duplicated()
    why[again] = "the same picture is there under another name"
    if "is_mass" in table:
        why[~table["is_mass"]] = "no mass: " + table["category"].astype(str)
    return why


def beside(here: Masses, there: Masses) -> tuple[Masses, NDArray[np.int64], pd.DataFrame]:
    """Two cohorts as one, without the second's patients and pictures that the first has.

    Returns
    -------
    both : Masses
    rows : array of int
        Of the second in `both`.
    left_out : DataFrame
        ``subject``, ``site``, ``problem``.

    Raises
    ------
    DataError
        If nothing of the second remains, or the crops differ in size.
    """
    if here.pictures.shape[1:] != there.pictures.shape[1:]:
        raise DataError("the cohorts' crops differ in size")
    known = {digest_of(picture) for picture in here.pictures}
    why = pd.Series("", there.table.index)
    why[there.table["patient"].isin(here.table["patient"])] = "its patient was trained on"
    why[[digest_of(picture) in known for picture in there.pictures]] = "its picture was trained on"
    fresh = (why == "").to_numpy()
    if not fresh.any():
        raise DataError(
            "every mass of the other cohort was trained on",
            expected="patients and pictures that the first cohort does not have",
            found=why.iloc[0],
        )
    table = pd.concat([here.table, there.table[fresh]], ignore_index=True)
    both = Masses(
        np.concatenate([here.pictures, there.pictures[fresh]]),
        np.concatenate([here.masks, there.masks[fresh]]),
        table,
    )
    left = there.table.loc[~fresh, ["subject", "site"]].assign(problem=why[~fresh])
    return both, np.arange(len(here.table), len(table)), left


def markers_of(table: pd.DataFrame, size: int) -> NDArray[np.bool_]:
    """Where markers lie in crops, shape (n, size, size): the twin's rings of 7 mm, filled.

    Parameters
    ----------
    table : DataFrame
        Of crops: ``marker_x``, ``marker_y`` (NaN without one) and ``spacing``; without these
        columns no marker is known.
    size : int
    """
    if not {"marker_x", "marker_y"} <= set(table):
        return np.zeros((len(table), size, size), bool)
    x, y = (table[f"marker_{c}"].to_numpy(float)[:, None, None] for c in "xy")
    middle = np.arange(size) + 0.5
    away = np.hypot(middle - x, middle[:, None] - y)
    return away <= _MARKER_MM / 2 / table["spacing"].to_numpy(float)[:, None, None]


def sizes(table: pd.DataFrame) -> pd.DataFrame:
    """The size of each mass alone: its diameter in mm, or where no scale is known in pixels."""
    in_mm = (
        table["diameter_mm"].to_numpy(float)
        if "diameter_mm" in table
        else np.full(len(table), np.nan)
    )
    edges = table[["x1", "y1"]].to_numpy(float) - table[["x0", "y0"]].to_numpy(float)
    of_box = np.sqrt(edges.prod(1))
    known = not np.isnan(in_mm).any()
    return pd.DataFrame({"diameter": in_mm if known else of_box}).map(np.log)


def radiomics(masses: Masses, *, workers: int | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
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
    rows = masses.table[["subject", "site"]].reset_index(drop=True)
    rows = rows.assign(picture=list(masses.pictures), mask=list(masses.masks))
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
    masses: Masses,
    features: pd.DataFrame,
    method: Method,
    repeats: Sequence[Sequence[Split]],
    *,
    seed: int = 0,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """A model of a table in the networks' own test folds, as `prototype_stages.predictions` is.

    Parameters
    ----------
    masses : Masses
    features : DataFrame of shape (n, p)
    method : Method
        Settings and threshold are chosen inside each training part.
    repeats : sequence of sequences of (train, test)
    seed : int
    n_jobs : int, optional
        As for `nested_cv`.
    """
    who = masses.table[["patient", "site", "label"]].rename(columns={"patient": "subject"})
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
        of = rows_of(masses, np.concatenate(found.test_index), 0, repeat)
        parts.append(of.assign(fold=told["fold"], p=told["p"], threshold=told["threshold"]))
    return pd.concat(parts, ignore_index=True)


def rows_of(masses: Masses, rows: ArrayLike, fold: Any, repeat: int) -> pd.DataFrame:
    """What is known of tested rows before anything is predicted."""
    who = masses.table.iloc[np.asarray(rows)]
    known = {"subject": who["lesion"].array, "patient": who["patient"].array,
             "site": who["site"].array, "row": np.asarray(rows)}  # fmt: skip
    return pd.DataFrame(known).assign(fold=fold, repeat=repeat, y=who["label"].to_numpy(int))
