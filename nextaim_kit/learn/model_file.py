"""Fitted models in a file of plain numbers: nothing in it is ever run, whoever wrote it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from scipy.special import expit, logit

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import read_text, write_json
from nextaim_kit.learn.final import Final, Seen
from nextaim_kit.machine.kit import kit_version

_FORMAT: Literal["nextaim_kit models 1"] = "nextaim_kit models 1"
# What reading a file that somebody else wrote can end in.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class _Numbers(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Fitted(_Numbers):
    """Features, and what stands for their missing values."""

    features: Annotated[list[str], Field(min_length=1)]
    median: list[float]

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        self._alike(self.features, self.median)
        return self

    def _alike(self, *lists: list[Any]) -> None:
        if any(len(one) != len(other) for one, other in pairwise(lists)):
            raise ValueError("lists of different lengths")

    def _margin(self, X: NDArray[np.float64]) -> NDArray:
        raise NotImplementedError

    def predict_proba(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities of the classes, shape (n, 2), as the model gave them that was saved."""
        X = table[self.features].to_numpy(float, na_value=np.nan)
        p = expit(self._margin(np.where(np.isnan(X), self.median, X)).astype(float))
        return np.column_stack([1 - p, p])


class _Logistic(_Fitted):
    kind: Literal["logistic"] = "logistic"
    mean: list[float]
    sd: list[float]
    coefficients: list[float]
    intercept: float

    @model_validator(mode="after")
    def _one_for_each_feature(self) -> Self:
        self._alike(self.features, self.mean, self.sd, self.coefficients)
        return self

    def _margin(self, X: NDArray[np.float64]) -> NDArray:
        return (X - self.mean) / self.sd @ np.array(self.coefficients) + self.intercept


class _Tree(_Numbers):
    """Node by node: the children (-1: none), the feature, its threshold or the leaf's value."""

    left: list[int]
    right: list[int]
    feature: list[int]
    value: list[float]

    def leaves(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Value of the leaf that each row comes to."""
        left, right, feature = (np.array(n) for n in (self.left, self.right, self.feature))
        value, rows = np.array(self.value, np.float32), np.arange(len(X))
        node = np.zeros(len(X), int)
        while (left[node] >= 0).any():
            child = np.where(X[rows, feature[node]] < value[node], left[node], right[node])
            node = np.where(left[node] >= 0, child, node)
        return value[node]


class _Trees(_Fitted):
    kind: Literal["trees"] = "trees"
    base: float
    trees: list[_Tree]

    @model_validator(mode="after")
    def _ways_end(self) -> Self:
        for tree in self.trees:
            self._alike(tree.left, tree.right, tree.feature, tree.value)
            n = len(tree.left)
            for at, ends in enumerate(zip(tree.left, tree.right, strict=True)):
                # Children behind their parent: no way down a tree is endless.
                if ends != (-1, -1) and not at < min(ends) <= max(ends) < n:
                    raise ValueError(f"children {ends} of node {at}")
            if not n or not 0 <= min(tree.feature) <= max(tree.feature) < len(self.features):
                raise ValueError("nodes of other features")
        return self

    def _margin(self, X: NDArray[np.float64]) -> NDArray:
        small = X.astype(np.float32)  # as XGBoost compares and adds
        total = np.full(len(X), self.base, np.float32)
        for tree in self.trees:
            total += tree.leaves(small)
        return total


class _Entry(_Numbers):
    fitted: Annotated[_Logistic | _Trees, Field(discriminator="kind")]
    threshold: float
    chosen: dict[str, str | int | float | None]


class TrainedOn(_Numbers):
    """The cohort that models were trained on, its patients as hashes of their names."""

    name: str
    sha256: str | None
    synthetic: bool
    patients: int
    salt: str
    subjects: list[str]

    @classmethod
    def of(cls, cohort: Mapping[str, Any], seen: Seen) -> Self:
        """Of ``name``, ``sha256`` and ``synthetic``, as `data.fingerprint` gives them."""
        told = {name: cohort[name] for name in ("name", "sha256", "synthetic")}
        hashes = sorted(seen.subjects)
        return cls(**told, patients=len(hashes), salt=seen.salt, subjects=hashes)

    def __str__(self) -> str:
        made_up = " (SYNTHETIC)" if self.synthetic else ""
        return f"trained on {self.patients} patients of {self.name}{made_up}"

    @property
    def seen(self) -> Seen:
        """The patients."""
        return Seen(self.salt, frozenset(self.subjects))


class _File(_Numbers):
    format: Literal["nextaim_kit models 1"] = _FORMAT
    trained_on: TrainedOn
    versions: dict[str, str]
    models: Annotated[dict[str, _Entry], Field(min_length=1)]


@dataclass(frozen=True)
class SavedModels:
    """What a file of `save_models` holds.

    Attributes
    ----------
    models : dict of str to Final
        In the order of the file: the first is the one that the others stand beside.
    trained_on : TrainedOn
    versions : dict
        Of the packages that made them.
    """

    models: dict[str, Final]
    trained_on: TrainedOn
    versions: dict[str, str]

    def __str__(self) -> str:
        return str(self.trained_on)

    @property
    def seen(self) -> Seen:
        """The training patients."""
        return self.trained_on.seen


def save_models(models: Mapping[str, Final], path: Path, *, trained_on: Mapping[str, Any]) -> str:
    """Write models of one cohort as numbers, and give the file's path.

    Parameters
    ----------
    models : mapping of str to Final
        Of logistic regressions and boosted trees.
    path : Path
    trained_on : mapping
        ``name``, ``sha256`` and ``synthetic`` of the cohort, as `data.fingerprint` gives them.

    Raises
    ------
    RequestError
        If a model is of another kind, or harmonizes; names it.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from nextaim_kit.learn import Method, final_model
    >>> table = pd.DataFrame({"subject": [f"P{k}" for k in range(24)], "site": "A"})
    >>> table = table.assign(label=[0, 0, 1, 1] * 6, size=[1.0, 2.0, 3.0, 4.0] * 6)
    >>> made = final_model(table, ["size"], Method("logistic", ["none"], inner=2))
    >>> cohort = {"name": "table.csv", "sha256": "0" * 64, "synthetic": False}
    >>> path = save_models({"size": made}, Path(mkdtemp()) / "model.json", trained_on=cohort)
    >>> load_models(Path(path)).models["size"].threshold == made.threshold
    True
    """
    written = as_numbers(models, trained_on)
    write_json(path, written | {"check": _check(written)})
    return str(path)


def as_numbers(models: Mapping[str, Final], trained_on: Mapping[str, Any]) -> dict[str, Any]:
    """What `save_models` writes, to stand in another file; `from_numbers` reads it."""
    seen = next(iter(models.values())).seen
    packages = ("numpy", "scikit-learn", "xgboost-cpu")
    return _File(
        trained_on=TrainedOn.of(trained_on, seen),
        versions={"nextaim_kit": kit_version()} | {name: version(name) for name in packages},
        models={name: _entry(name, model) for name, model in models.items()},
    ).model_dump()


def from_numbers(said: Any) -> SavedModels:
    """The models of what `as_numbers` gave.

    Raises
    ------
    ValueError
        If it is something else; pydantic's, which names the place.
    """
    file = _File.model_validate(said)
    seen = file.trained_on.seen
    models = {
        name: Final(one.fitted, one.fitted.features, one.threshold, one.chosen, seen)
        for name, one in file.models.items()
    }
    return SavedModels(models, file.trained_on, file.versions)


def load_models(path: Path) -> SavedModels:
    """Read the models of a file that `save_models` wrote.

    Raises
    ------
    DataError
        If it is no such file, or is damaged.

    Examples
    --------
    >>> load_models(Path("nothing.json"))
    Traceback (most recent call last):
    ...
    nextaim_kit.errors.DataError: nothing.json holds no models
      expected: a model.json of an earlier run
      found:    No such file or directory
      to mend:  give the file that a run left, unchanged
    """
    try:
        said = json.loads(read_text(path))
        if said.pop("check") != _check(said):
            raise ValueError("other numbers than were written")
        return from_numbers(said)
    except UNREADABLE as error:
        raise no_models(path, error, "a model.json of an earlier run") from error


def no_models(path: Path, error: Exception, expected: str) -> DataError:
    """What is said of a file without models, or of a damaged one, after one of `UNREADABLE`."""
    found = " ".join(str(error).split())[:200]
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        found = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    elif isinstance(error, OSError) and error.strerror:
        found = error.strerror
    return DataError(
        f"{path.name} holds no models",
        expected=expected,
        found=found,
        mend="give the file that a run left, unchanged",
    )


def _check(written: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()


def _entry(name: str, model: Final) -> _Entry:
    kind = type(model.fitted["model"]).__name__
    how = _KINDS.get(kind)
    if how is None or {"combat", "rank"} & set(model.fitted.named_steps):
        raise RequestError(
            f"the model {name!r} cannot be written as numbers",
            expected="a logistic regression or boosted trees, without harmonization",
            found=f"{kind} after {', '.join(list(model.fitted.named_steps)[:-1])}",
            mend="save another model",
        )
    features = model.fitted["select"].selected_
    fitted = how(model.fitted, features, _of(model.fitted, "impute", "statistics_", features))
    # Plain numbers: numpy's own types are none that JSON has.
    chosen = {
        key: getattr(value, "item", lambda v=value: v)() for key, value in model.chosen.items()
    }
    return _Entry(fitted=fitted, threshold=model.threshold, chosen=chosen)


def _of(pipeline: Any, step: str, attribute: str, features: list[str]) -> list[float]:
    """What a step learned of the features."""
    learned = pipeline[step]
    values = pd.Series(getattr(learned.transformer_, attribute), index=learned.features_)
    return [float(value) for value in values[features]]


def _logistic(pipeline: Any, features: list[str], median: list[float]) -> _Logistic:
    mean, sd = (_of(pipeline, "scale", name, features) for name in ("mean_", "scale_"))
    model = pipeline["model"]
    return _Logistic(
        features=features, median=median, mean=mean, sd=sd,
        coefficients=model.coef_[0].tolist(), intercept=float(model.intercept_[0]),
    )  # fmt: skip


def _trees(pipeline: Any, features: list[str], median: list[float]) -> _Trees:
    learner = json.loads(bytes(pipeline["model"].get_booster().save_raw("json")))["learner"]
    names = {"left": "left_children", "right": "right_children", "feature": "split_indices",
             "value": "split_conditions"}  # fmt: skip
    return _Trees(
        features=features,
        median=median,
        base=float(logit(float(learner["learner_model_param"]["base_score"].strip("[]")))),
        trees=[
            _Tree(**{own: tree[its] for own, its in names.items()})
            for tree in learner["gradient_booster"]["model"]["trees"]
        ],
    )


_KINDS: dict[str, Callable[[Any, list[str], list[float]], _Logistic | _Trees]] = {
    "LogisticRegression": _logistic,
    "XGBClassifier": _trees,
}
