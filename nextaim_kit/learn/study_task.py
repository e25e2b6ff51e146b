"""A study's question as arrays, for methods that are tried over several studies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.catalog import near_miss, task_of
from nextaim_kit.data.cohort.fingerprint import made_from_a_twin
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.errors import DataError

Modality = Literal["table", "image"]
Truth = NDArray[np.bool_] | tuple[str, ...] | None
_NO_FAILURES = pd.DataFrame({"subject": [], "problem": []}, dtype=str)


@dataclass(frozen=True)
class StudyTask:
    """A cohort as a method sees it, whatever study it is of: inputs, outcome, patients, sites.

    A study offers one by a function ``task(cohort, n, seed)``, named in its ``study.yaml`` as
    ``task: package.module:task``. `cohort` is what the study's own notebooks take (``synthetic``,
    a path, the name of a data set), `n` the patients of its synthetic twin, which `seed` draws.

    Attributes
    ----------
    name : str
        Of the study.
    modality : {"table", "image"}
        Methods say which they are for.
    x : array of float32
        Of a table (n, features), NaN where a value is missing; of images (n, 1, h, w), scaled as
        the study does, without NaN.
    y : array of int8, shape (n,)
        Outcome, 0 or 1.
    groups, sites : arrays of str, shape (n,)
        Patient and site of each item. Items of one patient are never torn apart.
    features : DataFrame of shape (n, f)
        What a simple model sees: features made by hand, by name; of a table those of `x`.
    build : callable
        ``build(seed, **settings)`` makes the study's own model before training: of images a torch
        module, from `x` to logits (n, 1), whatever its edges; of a table a scikit-learn estimator
        with ``predict_proba``, fitted on `features`, or such a module. Settings have defaults that
        two cores can train.
    truth : array of bool (n, h, w), or tuple of str, or None
        Where known, what decides: the pixels of each image (none of an image without any), or the
        features by name.
    synthetic : bool
    failures : DataFrame
        ``subject``, ``problem``: who could not be used.

    Raises
    ------
    DataError
        If parts do not fit each other, an outcome is no 0 or 1 or the only one, a patient is at
        two sites, or a number is infinite or, in an image, missing.

    Examples
    --------
    >>> x = np.zeros((4, 2), np.float32)
    >>> table = pd.DataFrame(x, columns=["size", "grain"])
    >>> made = StudyTask(
    ...     "spots", "table", x, [0, 1, 0, 1], list("abcc"), list("AABB"), table, lambda seed: None
    ... )
    >>> len(made), made.patients, made.names
    (4, 3, ('size', 'grain'))
    """

    name: str
    modality: Modality
    x: NDArray[Any]
    y: NDArray[Any]
    groups: NDArray[Any]
    sites: NDArray[Any]
    features: pd.DataFrame
    build: Callable[..., Any]
    truth: Truth = None
    synthetic: bool = False
    failures: pd.DataFrame = field(default_factory=_NO_FAILURES.copy)

    def __post_init__(self) -> None:
        """Take lists and other types as arrays, and refuse what does not fit."""
        put = object.__setattr__  # the dataclass is frozen
        put(self, "x", np.asarray(self.x, np.float32))
        for name in ("groups", "sites"):
            put(self, name, np.asarray(getattr(self, name), str))
        self._check_shapes()
        self._check_outcome()
        put(self, "y", np.asarray(self.y, np.int8))
        self._check_numbers()
        self._check_sites()
        self._check_truth()

    def __len__(self) -> int:
        return len(self.x)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features made by hand; of a table those of its columns."""
        return tuple(map(str, self.features.columns))

    @property
    def patients(self) -> int:
        """How many there are."""
        return len(np.unique(self.groups))

    @property
    def missing(self) -> pd.Series:
        """Share of missing values of each feature that lacks some, the largest first."""
        share = self.features.isna().mean()
        return share[share > 0].sort_values(ascending=False, kind="stable")

    @property
    def cohort(self) -> pd.DataFrame:
        """``subject`` (the patient), ``site``, ``label`` of each item, as `splits` takes it."""
        return pd.DataFrame({"subject": self.groups, "site": self.sites, "label": self.y})

    def by_site(self) -> pd.DataFrame:
        """``site``, ``patients``, ``items``, ``positive`` (share of the items)."""
        found = self.cohort.groupby("site").agg(
            patients=("subject", "nunique"), items=("label", "size"), positive=("label", "mean")
        )
        return found.reset_index()

    def _refuse(self, what: str, expected: str, found: Any, mend: str = "") -> DataError:
        mend = mend or "mend the study's task(), or the cohort"
        said = f"the task of {self.name}: {what}"
        return DataError(said, expected=expected, found=str(found), mend=mend)

    def _check_shapes(self) -> None:
        of = {"table": "(items, features)", "image": "(items, 1, rows, columns)"}
        if self.modality not in get_args(Modality):
            raise self._refuse("no such modality", " or ".join(of), repr(self.modality))
        shape, image = self.x.shape, self.modality == "image"
        fits = (len(shape) == 4 and shape[1] == 1) if image else len(shape) == 2
        if not fits or 0 in shape:
            raise self._refuse("x has another shape", of[self.modality], shape)
        parts = ("y", "groups", "sites", "features")
        sizes = {"x": len(self.x)} | {name: len(getattr(self, name)) for name in parts}
        if len(set(sizes.values())) > 1:
            raise self._refuse("its parts differ in length", "one row for each item", sizes)
        if not image and self.features.shape != shape:
            raise self._refuse("its features are not x", f"columns of x, {shape}",
                               f"{self.features.shape}")  # fmt: skip
        if not self.features.columns.is_unique:
            twice = self.features.columns[self.features.columns.duplicated()]
            raise self._refuse("features share a name", "unique names", ", ".join(map(str, twice)))

    def _check_outcome(self) -> None:
        kinds = pd.unique(pd.Series(np.asarray(self.y)))
        if pd.isna(kinds).any() or not set(kinds) <= {0, 1}:
            raise self._refuse("an outcome is neither 0 nor 1", "0 and 1", kinds.tolist()[:5])
        if len(kinds) < 2:
            raise self._refuse("all outcomes are alike", "both 0 and 1", kinds.tolist())

    def _check_numbers(self) -> None:
        image = self.modality == "image"
        bad = ~np.isfinite(self.x) if image else np.isinf(self.x)
        if bad.any():
            item = int(np.flatnonzero(bad.reshape(len(self.x), -1).any(1))[0])
            what = f"a number of {self.groups[item]} is " + ("not finite" if image else "infinite")
            raise self._refuse(what, "finite numbers", f"{int(bad.sum())} others in x")
        numbers = self.features.to_numpy(float, na_value=np.nan)
        if np.isinf(numbers).any():
            column = self.names[int(np.flatnonzero(np.isinf(numbers).any(0))[0])]
            raise self._refuse(f"{column} is infinite", "finite numbers, or missing", "infinity")

    def _check_sites(self) -> None:
        where = pd.Series(self.sites).groupby(self.groups).nunique()
        if (where > 1).any():
            names = ", ".join(map(str, where.index[where > 1][:3]))
            mend = "name patients of different sites apart, or leave these out"
            raise self._refuse("a patient is at two sites", "one site for each", names, mend)

    def _check_truth(self) -> None:
        if isinstance(self.truth, tuple):
            strange = [name for name in self.truth if name not in self.names]
            if strange:
                near = near_miss(strange[0], self.names)
                mend = f"did you mean {near!r}?" if near else ""
                raise self._refuse("its truth is no feature", "features by name", strange[:3], mend)
        elif self.truth is not None:
            wanted = (len(self), *self.x.shape[2:]) if self.modality == "image" else "names"
            if self.truth.shape != wanted or self.truth.dtype != bool:
                found = f"{self.truth.dtype} {self.truth.shape}"
                raise self._refuse("its truth does not fit x", f"bool {wanted}", found)


def load_task(study: str, cohort: str, n: int, seed: int, **settings: Any) -> StudyTask:
    """What a study offers for questions that cut across.

    Parameters
    ----------
    study : str
        One that names a ``task`` in its ``study.yaml``, such as ``cxr_severity``.
    cohort : str
        ``synthetic``, or what the study's own notebooks take.
    n, seed : int
        Patients of the synthetic twin, and its seed.
    **settings
        Further keywords of that study's ``task``.

    Raises
    ------
    RequestError
        If there is no such study, or it offers none.
    DataError
        If what its ``study.yaml`` names is not there, or makes something else.

    Examples
    --------
    >>> task = load_task("asd_fusion", "synthetic", 80, seed=1)
    >>> task.x.shape, task.truth[0] in task.names
    ((80, 5253), True)
    """
    made = task_of(study)(cohort, n, seed, **settings)
    if not isinstance(made, StudyTask):
        raise DataError(f"the task of {study} is none", expected="a learn.StudyTask",
                        found=type(made).__name__)  # fmt: skip
    source = find_source(cohort)
    if not source.synthetic and made_from_a_twin(source.path):
        return replace(made, synthetic=True)
    return made
