"""The models of a run in a file, and what they say of another cohort, without any training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nextaim_kit.data.cohort.loading import no_twin, problems
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.applied import one_table, predictions_of, unseen
from nextaim_kit.learn.final import Final
from nextaim_kit.learn.model_file import SavedModels, as_numbers, from_numbers, no_models
from nextaim_kit.learn.network_file import Weights, load_networks, save_networks
from nextaim_kit.learn.weights import filled
from nextaim_kit.studies.cxr_severity import cohorts, hospitals
from nextaim_kit.studies.cxr_severity.clinical_values import (
    Standard,
    named,
    possible,
    views,
)
from nextaim_kit.studies.cxr_severity.fusion import Backbone, SeverityNet
from nextaim_kit.studies.cxr_severity.preprocessing import load_with_lungs, lungs_only
from nextaim_kit.studies.cxr_severity.severity import Fold, Inputs, framed, predictions

_TORN = "films of this patient have different outcomes: predicted, not measured"
_EXPECTED = "a model.safetensors of an earlier run of cxr_severity/severity"


class _Numbers(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Network(_Numbers):
    """Branches of a network, and what was fitted beside its weights."""

    image: bool
    clinical: bool
    median: list[float]
    mean: list[float]
    spread: list[float | None]  # None: no training patient had a value
    temperature: Annotated[float, Field(gt=0)]
    threshold: float

    @classmethod
    def of(cls, fold: Fold) -> Self:
        spread = [float(s) if np.isfinite(s) else None for s in fold.standard.spread]
        return cls(
            image=fold.net.image is not None, clinical=fold.net.clinical is not None,
            median=fold.standard.median.tolist(), mean=fold.standard.mean.tolist(), spread=spread,
            temperature=fold.temperature, threshold=fold.threshold,
        )  # fmt: skip

    def fold(self, weights: Weights, backbone: Backbone, file: str) -> Fold:
        net = SeverityNet(
            image=self.image, clinical=len(self.mean) if self.clinical else 0, backbone=backbone
        )
        net = filled(net, weights, file)
        spread = [np.inf if s is None else s for s in self.spread]
        standard = Standard(*(np.array(v, float) for v in (self.median, self.mean, spread)))
        nobody = np.zeros(0, int)
        return Fold(net, standard, self.temperature, self.threshold, nobody, pd.DataFrame())


class _Told(_Numbers):
    format: Literal["cxr_severity models 1"] = "cxr_severity models 1"
    pixels: int
    mask_lungs: bool
    backbone: Backbone
    clinical: Annotated[list[str], Field(min_length=1)]
    networks: Annotated[dict[str, _Network], Field(min_length=1)]
    tables: dict[str, Any]

    @model_validator(mode="after")
    def _one_number_for_each_column(self) -> Self:
        for one in self.networks.values():
            if any(len(v) != len(self.clinical) for v in (one.median, one.mean, one.spread)):
                raise ValueError("lists of another length than the clinical columns")
        return self


@dataclass(frozen=True)
class SeverityModels:
    """Networks and tabular baselines of one cohort, to be used on others.

    Attributes
    ----------
    networks : dict of str to Fold
        The first is the one that the others stand beside.
    tables : SavedModels
        The baselines; who trained them trained the networks too.
    clinical : list of str
        Columns of clinical values, in the networks' order.
    pixels : int
        Edge of the films as the networks see them.
    mask_lungs : bool
        What is not lung is taken away.
    """

    networks: dict[str, Fold]
    tables: SavedModels
    clinical: list[str]
    pixels: int
    mask_lungs: bool

    def __str__(self) -> str:
        return str(self.tables)

    def check_fits(
        self, table: pd.DataFrame, *, pixels: int, mask_lungs: bool, clinical: Sequence[str] = ()
    ) -> None:
        """Refuse what a run asks for if the networks learned from other films or columns.

        Raises
        ------
        RequestError
            If the films are asked for at another size, or with what is not lung, or the other
            columns are named.
        DataError
            If the table lacks a clinical column; names them.
        """
        own: dict[str, Any] = {"pixels": self.pixels, "mask_lungs": self.mask_lungs}
        given: dict[str, Any] = {"pixels": pixels, "mask_lungs": mask_lungs}
        if clinical:
            own["clinical"], given["clinical"] = sorted(self.clinical), sorted(clinical)
        other = [name for name in own if own[name] != given[name]]
        if other:
            needed = ", ".join(f"{name}={_plain(own[name])}" for name in other)
            raise RequestError(
                "the models learned from other films or columns than are asked for",
                expected=needed,
                found=", ".join(f"{name}={_plain(given[name])}" for name in other),
                mend=f"give {needed}",
            )
        lacking = [name for name in self.clinical if name not in table]
        if lacking:
            raise DataError(
                f"the cohort lacks {len(lacking)} of {len(self.clinical)} clinical columns",
                expected=", ".join(self.clinical),
                found="absent: " + ", ".join(lacking),
                mend="add them; a column that is there but empty is taken as not measured, "
                "and the training patients' medians stand for it",
            )


def _plain(value: Any) -> str:
    """A parameter's value as the command line takes it."""
    return json.dumps(value).replace('"', "")


def save_models(
    networks: Mapping[str, Fold],
    tables: Mapping[str, Final],
    path: Path,
    *,
    inputs: Inputs,
    mask_lungs: bool,
    backbone: Backbone,
    trained_on: Mapping[str, Any],
) -> str:
    """Write the models of a cohort as numbers, whole or not at all, and give the file's path.

    Parameters
    ----------
    networks, tables
        By their names, the one to stand beside the others first.
    path : Path
    inputs : Inputs
        What they were trained on: its edge and clinical columns are kept.
    mask_lungs, backbone
        As the networks were trained.
    trained_on : mapping
        ``name``, ``sha256`` and ``synthetic`` of the cohort, as `data.fingerprint` gives them.
    """
    told = _Told(
        pixels=inputs.films.shape[1],
        mask_lungs=mask_lungs,
        backbone=backbone,
        clinical=[str(name) for name in inputs.numbers],
        networks={name: _Network.of(fold) for name, fold in networks.items()},
        tables=as_numbers(tables, trained_on),
    )
    return save_networks(
        {name: fold.net for name, fold in networks.items()}, path, told=told.model_dump()
    )


def load_models(path: Path) -> SeverityModels:
    """Read the models of a file that `save_models` wrote.

    Raises
    ------
    DataError
        If it is no such file, is damaged, or of another kind.
    """
    said, weights = load_networks(path, expected=_EXPECTED)
    try:
        told = _Told.model_validate(said)
        tables = from_numbers(told.tables)
    except ValidationError as error:
        raise no_models(path, error, _EXPECTED) from error
    networks = {
        name: one.fold(weights.get(name, {}), told.backbone, path.name)
        for name, one in told.networks.items()
    }
    return SeverityModels(networks, tables, told.clinical, told.pixels, told.mask_lungs)


def other_cohort(spec: str) -> pd.DataFrame:
    """Films of another cohort whose outcomes are known; never the twin."""
    return hospitals.by_outcome(cohorts.load_films(spec, twin=no_twin)[0])[1]


def apply_models(
    models: SeverityModels, table: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Predict the patients of a table who are not among those that trained the models.

    Parameters
    ----------
    models : SeverityModels
    table : DataFrame
        As of `cohorts.load_films`. A clinical column that is not there is taken as not measured.

    Returns
    -------
    predictions : DataFrame
        ``model``, then the columns of `learn.pooled`: a row per patient, whose films are averaged;
        `y` is missing where no outcome, or more than one, is known.
    left_out : DataFrame
        ``subject``, ``problem``: films that cannot be used, or whose patients trained the models.
    set_aside : DataFrame
        ``subject``, ``problem``: clinical values and columns, and outcomes, that do not count.

    Raises
    ------
    DataError
        If no film can be predicted.
    """
    before = problems(table)
    others, seen = unseen(table, models.tables.seen, by="patient")
    others.attrs = {"problems": []}
    inputs, set_aside = _inputs(models, others)
    frame = framed(inputs.table, _columns(models, inputs))
    rows = np.arange(len(inputs.table))
    asked = {n: [[replace(fold, test=rows)]] for n, fold in models.networks.items()}
    told = {name: predictions(inputs, folds) for name, folds in asked.items()}
    told |= predictions_of(models.tables.models, frame)
    left_out = pd.concat([before, seen, problems(others)], ignore_index=True)
    return one_table(told), left_out, set_aside


def _inputs(models: SeverityModels, table: pd.DataFrame) -> tuple[Inputs, pd.DataFrame]:
    """The films of a table that can be used, as the networks see them; the others are named."""
    table, films, lungs, _ = load_with_lungs(table, models.pixels, needed=models.mask_lungs)
    films = lungs_only(films, lungs) if models.mask_lungs else films
    table, torn = _with_outcomes(table)
    numbers, odd = possible(table, models.clinical)
    absent = [name for name in models.clinical if name not in table]
    lacking = [{"subject": "all", "problem": f"no column {name}"} for name in absent]
    return Inputs(table, films, numbers), named([*torn, *odd, *lacking])


def _with_outcomes(table: pd.DataFrame) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Each film with its patient's outcome; none where a patient's films have several."""
    label = table.get("label", pd.Series(pd.NA, table.index)).astype("Int64")
    by_patient = label.groupby(table["patient"])
    torn = by_patient.transform("nunique") > 1
    named = [{"subject": subject, "problem": _TORN} for subject in table["subject"][torn]]
    return table.assign(label=by_patient.transform("first").mask(torn)), named


def _columns(models: SeverityModels, inputs: Inputs) -> pd.DataFrame:
    """All that a baseline may look at, of these films."""
    asked = {name: None for one in models.tables.models.values() for name in one.features}
    like = [name for name in asked if name.startswith("view_") and name not in inputs.numbers]
    gaps = inputs.numbers.isna().astype(float).add_prefix("missing_")
    seen = [views(inputs.table, like)] if like else []
    return pd.concat([inputs.numbers, gaps, *seen], axis=1)
