"""Cross-validation of the severity networks and of what they have to beat, in the same splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from nextaim_kit.learn.calibration import scaled, temperature
from nextaim_kit.learn.final import Final
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.method import Method
from nextaim_kit.learn.metrics import auc, operating_point
from nextaim_kit.learn.models import Model
from nextaim_kit.learn.nested import NestedResult, final_model, nested_cv
from nextaim_kit.learn.predictions import of_patients
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.learn.splits import Rows, Split
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import train
from nextaim_kit.studies.cxr_severity.clinical_values import (
    Standard,
    missingness,
    named,
    read_clinical,
    views,
)
from nextaim_kit.studies.cxr_severity.fusion import Backbone, Patients, SeverityNet, logits
from nextaim_kit.studies.cxr_severity.preprocessing import Films, load_with_lungs, lungs_only

Rotation = tuple[Rows, Rows, Rows]


@dataclass(frozen=True)
class Inputs:
    """What the networks see of the films of a cohort, row by row.

    Attributes
    ----------
    table : DataFrame
        ``patient``, ``site``, ``label`` (0 or 1; to be predicted only, it may be missing).
    films : array of shape (n, size, size)
    numbers : DataFrame of shape (n, p)
        Clinical values, NaN where missing.
    """

    table: pd.DataFrame
    films: Films
    numbers: pd.DataFrame

    @property
    def y(self) -> NDArray[np.int64]:
        """Outcomes."""
        return self.table["label"].to_numpy(int)

    @property
    def patients(self) -> NDArray:
        """Patient of each row."""
        return self.table["patient"].to_numpy()


@dataclass(frozen=True)
class Read:
    """What of a cohort the networks see, and what of it they do not.

    Attributes
    ----------
    inputs : Inputs
        Its films are the lungs alone where that was asked for.
    films, lungs : arrays of shape (n, size, size)
        The same films as they are, and which pixels are lung.
    without_lungs, set_aside : DataFrame
        ``subject``, ``problem``: masks that cannot be used; clinical values that cannot be.
    """

    inputs: Inputs
    films: Films
    lungs: NDArray[np.bool_]
    without_lungs: pd.DataFrame
    set_aside: pd.DataFrame


def read_inputs(
    table: pd.DataFrame, clinical: Sequence[str] = (), *, pixels: int, mask_lungs: bool = True
) -> Read:
    """Films, lungs and clinical values of a cohort, as the networks see them.

    Parameters
    ----------
    table : DataFrame
        As of `cohorts.load_films`; films that cannot be used are added to its problems.
    clinical : sequence of str
        As for `clinical_values.read_clinical`.
    pixels : int
        Edge of the films.
    mask_lungs : bool
        Take away what is not lung. A film without lungs is then of no use.
    """
    table, films, lungs, without = load_with_lungs(table, pixels, needed=mask_lungs)
    numbers, used, set_aside = read_clinical(table, clinical)
    inputs = Inputs(table, lungs_only(films, lungs) if mask_lungs else films, numbers[used])
    return Read(inputs, films, lungs, without, named(set_aside))


@dataclass(frozen=True)
class Fold:
    """A network, what it needs to look at rows, and what was set on its validation part.

    Attributes
    ----------
    net : SeverityNet
    standard : Standard
        Of the clinical values, learned from the training rows.
    temperature, threshold : float
        Fitted on the validation part.
    test : array of int
        The rows that none of it has seen.
    history : DataFrame
        Of the training.
    """

    net: SeverityNet
    standard: Standard
    temperature: float
    threshold: float
    test: Rows
    history: pd.DataFrame

    def logits(self, inputs: Inputs, rows: Rows, films: Films | None = None) -> NDArray[np.float64]:
        """What the network gives for some rows; `films` in place of the rows' own."""
        values = self.standard.apply(inputs.numbers.iloc[rows])
        return logits(self.net, inputs.films[rows] if films is None else films, values)

    def predict(
        self, inputs: Inputs, rows: Rows, films: Films | None = None
    ) -> NDArray[np.float64]:
        """Calibrated probabilities of some rows."""
        return scaled(self.logits(inputs, rows, films), self.temperature)


@dataclass(frozen=True)
class SeverityTraining:
    """The severity networks and how they are trained.

    Attributes
    ----------
    recipe : Recipe
        Of each branch; fusion goes on for a third of the epochs at a fifth of the rate.
    backbone : str
        Of the image branch.
    save_memory : bool
        Compute the residual blocks' activations twice instead of keeping them.
    seed : int
    """

    recipe: Recipe
    backbone: Backbone = "small"
    save_memory: bool = False
    seed: int = 0

    def network(self, inputs: Inputs, *, image: bool, clinical: bool) -> SeverityNet:
        """The network before training."""
        values = inputs.numbers.shape[1] if clinical else 0
        return SeverityNet(image=image, clinical=values, backbone=self.backbone)

    def train(
        self,
        inputs: Inputs,
        rotation: Rotation,
        folder: Path,
        *,
        image: bool = True,
        clinical: bool = True,
        branches: tuple[SeverityNet, SeverityNet] | None = None,
    ) -> Fold:
        """Train one network; set temperature and threshold on its validation part.

        With `branches`, an image and a clinical network that were trained on the same rows, it
        begins with theirs.
        """
        first, val, test = rotation
        standard = Standard.of(inputs.numbers.iloc[first])
        parts = [
            Patients(
                inputs.films[rows],
                standard.apply(inputs.numbers.iloc[rows]),
                inputs.y[rows],
                augment=augment and image,
            )
            for rows, augment in ((first, True), (val, False))
        ]
        build = partial(self.network, inputs, image=image, clinical=clinical)
        task, recipe = Task(build, nn.BCEWithLogitsLoss(), *parts), self.recipe
        if branches:
            task = replace(task, start=build().take_branches(*branches))
            epochs, rate = -(-recipe.epochs // 3), recipe.learning_rate / 5
            recipe = replace(recipe, epochs=epochs, learning_rate=rate)
        blocks = _blocks() if self.save_memory and image else ()
        found = train(task, recipe, folder=folder, recompute=blocks, seed=self.seed)
        return _set(found.net, standard, inputs, (val, test), found.history)


def _blocks() -> tuple[type[nn.Module], ...]:
    from monai.networks.nets.resnet import ResNetBlock

    return (ResNetBlock,)


def _set(net: Any, standard: Standard, inputs: Inputs, parts: Split, history: pd.DataFrame) -> Fold:
    """The fold with its temperature and threshold, by the validation patients."""
    val, test = parts
    raw = logits(net, inputs.films[val], standard.apply(inputs.numbers.iloc[val]))
    who = inputs.patients[val]
    y = of_patients(who, inputs.y[val])
    by = temperature(y, of_patients(who, raw))
    p = of_patients(who, scaled(raw, by))
    return Fold(net, standard, by, operating_point(y, p), test, history)


def cross_validate(
    training: SeverityTraining,
    inputs: Inputs,
    rotations: Sequence[Rotation],
    folder: Path,
    *,
    image: bool = True,
    clinical: bool = True,
    branches: tuple[Sequence[Fold], Sequence[Fold]] | None = None,
) -> list[Fold]:
    """A network for each rotation of training, validation and test part.

    Parameters
    ----------
    training : SeverityTraining
    inputs : Inputs
    rotations : sequence of (train, val, test)
        Row positions.
    folder : Path
        Checkpoint folders of the networks go below it.
    image, clinical : bool
        Which branches the network has.
    branches : (folds, folds), optional
        Of the image and of the clinical network in the same rotations: fusion begins with them.
    """
    return [
        training.train(
            inputs, rotation, folder / f"round_{k}", image=image, clinical=clinical,
            branches=(branches[0][k].net, branches[1][k].net) if branches else None,
        )
        for k, rotation in enumerate(rotations)
    ]  # fmt: skip


def all_three(
    training: SeverityTraining, inputs: Inputs, rotations: Sequence[Rotation], folder: Path
) -> dict[str, list[Fold]]:
    """Image and clinical branch, each trained alone, and the fusion that begins with both."""
    image = cross_validate(training, inputs, rotations, folder / "image", clinical=False)
    table = cross_validate(training, inputs, rotations, folder / "clinical", image=False)
    fusion = cross_validate(training, inputs, rotations, folder / "fusion", branches=(image, table))
    return {"fusion": fusion, "image branch": image, "clinical branch": table}


def framed(table: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """A table as `nested_cv` takes it, the patient being its subject."""
    frame = table[["site", "label"]].assign(subject=table["patient"])
    return pd.concat([frame, columns], axis=1).reset_index(drop=True)


def predictions(inputs: Inputs, repeats: Sequence[Sequence[Fold]]) -> pd.DataFrame:
    """Test rows of all folds of all repeats, as `learn.predictions` has them.

    Its ``subject`` is the patient; ``raw`` is the probability before calibration.
    """
    parts = []
    for repeat, folds in enumerate(repeats):
        for number, fold in enumerate(folds):
            raw = fold.logits(inputs, fold.test)
            who = inputs.table.iloc[fold.test]
            rows = pd.DataFrame({"subject": who["patient"].to_numpy(), "site": who["site"].array})
            known = who["label"].to_numpy(float, na_value=np.nan)
            rows = rows.assign(fold=number, repeat=repeat, y=known)
            rows = rows.assign(p=scaled(raw, fold.temperature), threshold=fold.threshold)
            parts.append(rows.assign(raw=scaled(raw, 1.0)))
    return pd.concat(parts, ignore_index=True)


def baselines(inputs: Inputs) -> dict[str, tuple[pd.DataFrame, Model]]:
    """What each tabular baseline sees, and its model; one that would see nothing is left out."""
    seen: dict[str, tuple[pd.DataFrame, Model]] = {
        "missingness only": (missingness(inputs.numbers), "logistic"),
        "view only": (views(inputs.table), "logistic"),
        "clinical, logistic": (inputs.numbers, "logistic"),
        "clinical, XGBoost": (inputs.numbers, "xgboost"),
    }
    return {name: pair for name, pair in seen.items() if pair[0].shape[1]}


def tabular(
    table: pd.DataFrame,
    columns: pd.DataFrame,
    repeats: Sequence[Sequence[Split]],
    *,
    model: Model = "logistic",
    inner: int = 3,
    seed: int = 0,
) -> list[NestedResult]:
    """A model of a table in the networks' own test folds, one result per repeat.

    Parameters
    ----------
    table : DataFrame
        ``patient``, ``site``, ``label``.
    columns : DataFrame of shape (n, p)
        What the model sees, row by row.
    repeats : sequence of sequences of (train, test)
    model, inner
        As for `Method`: the model's settings are chosen inside each training part.
    seed : int
    """
    frame = framed(table, columns)
    names = [str(name) for name in columns.columns]
    method = Method(model, selectors=("none",), inner=inner)
    return [
        nested_cv(frame, names, method, splits=list(splits), seed=seed + number)
        for number, splits in enumerate(repeats)
    ]


def final_tabular(
    table: pd.DataFrame,
    columns: pd.DataFrame,
    *,
    model: Model = "logistic",
    inner: int = 3,
    seed: int = 0,
) -> Final:
    """Such a model of all patients of a table, to be used on others."""
    method = Method(model, selectors=("none",), inner=inner)
    names = [str(name) for name in columns.columns]
    return final_model(framed(table, columns), names, method, seed=seed)


def joined(results: Sequence[NestedResult]) -> pd.DataFrame:
    """Predictions of the repeats of a tabular model as one table."""
    return pd.concat(
        [r.predictions.assign(repeat=number) for number, r in enumerate(results)],
        ignore_index=True,
    )


def clinical_importance(
    inputs: Inputs, folds: Sequence[Fold], *, n_repeats: int = 10, seed: int = 0
) -> pd.DataFrame:
    """Drop of the fusion network's test AUC when one clinical value is shuffled among patients.

    Returns
    -------
    DataFrame
        ``feature``, ``drop`` (mean over folds), ``sd`` (over folds); largest drop first.

    References
    ----------
    Breiman 2001, doi:10.1023/A:1010933404324.
    """
    rng = np.random.default_rng(seed)
    names = [str(name) for name in inputs.numbers]
    drops = np.zeros((len(folds), len(names)))
    for k, fold in enumerate(folds):
        y, numbers = inputs.y[fold.test], inputs.numbers.iloc[fold.test]
        seen = _image_features(fold.net, inputs.films[fold.test])
        whole = auc(y, _from_features(fold, seen, numbers))
        for j, name in enumerate(names):
            for _ in range(n_repeats):
                shuffled = numbers.assign(**{name: rng.permutation(numbers[name].to_numpy())})
                drops[k, j] += (whole - auc(y, _from_features(fold, seen, shuffled))) / n_repeats
    found = pd.DataFrame({"feature": names, "drop": drops.mean(0), "sd": drops.std(0)})
    return found.sort_values("drop", ascending=False, ignore_index=True)


def _image_features(net: SeverityNet, films: Films) -> torch.Tensor:
    return apply(net.get_submodule("image"), films[:, None], batch_size=64)


def _from_features(fold: Fold, seen: torch.Tensor, numbers: pd.DataFrame) -> NDArray[np.float64]:
    values = fold.standard.apply(numbers)
    told = apply(fold.net.get_submodule("clinical"), values, batch_size=len(values))
    both = torch.cat([seen, told], 1)
    return apply(fold.net.head, both, batch_size=len(both))[:, 0].double().numpy()
