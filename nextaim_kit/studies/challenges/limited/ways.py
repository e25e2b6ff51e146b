"""Ways to learn from few labels: each says which data it is for, and networks share one budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from nextaim_kit.data.datasets.source import SYNTHETIC
from nextaim_kit.errors import RequestError
from nextaim_kit.learn.dual import Span
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.splits import Rows
from nextaim_kit.learn.study_task import StudyTask, load_task
from nextaim_kit.machine.seeds import one_thread
from nextaim_kit.studies.challenges.checks import require_another
from nextaim_kit.studies.challenges.limited.bodies import Seen, body_of, builder, with_body
from nextaim_kit.studies.challenges.limited.foundation import frozen_features
from nextaim_kit.studies.challenges.limited.patients import Labeled, Split, require_untested
from nextaim_kit.studies.challenges.limited.pretext import Contrastive, Masked, Varied
from nextaim_kit.studies.challenges.limited.training import Budget, fit, fit_unlabeled, labeled

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Name = Literal[
    "simple", "study", "scratch", "augmented", "contrastive", "masked", "transfer", "foundation"
]
Scores = NDArray[np.float64]
STRENGTH, STRENGTHS = "logisticregression__C", np.logspace(-6, 1, 8)  # of the simple model
_INNER = 3  # folds of the labeled patients that choose among them


@dataclass(frozen=True)
class Learner:
    """What any method is given: who is labeled and tested, the budget, and what lies beside.

    Attributes
    ----------
    split : Split
    budget : Budget
    folder : Path
        Trainings are kept in it; a finished one is not made again.
    source : StudyTask, optional
        Another study's images, to be transferred from.
    weights : Path, optional
        Folder of a foundation model.
    seed : int
    """

    split: Split
    budget: Budget
    folder: Path
    source: StudyTask | None = None
    weights: Path | None = None
    seed: int = 0

    @property
    def task(self) -> StudyTask:
        """Whose patients are tested."""
        return self.split.task

    @cached_property
    def frozen(self) -> Scores:
        """Features of all items by the foundation model, shape (n, p)."""
        return frozen_features(self.task.x, self.weights or Path())

    def seed_of(self, draw: int) -> int:
        """Of first weights and order in one draw."""
        return self.seed + 1000 * (draw + 1)

    def usable(self, names: Sequence[Name]) -> tuple[list[Name], pd.DataFrame]:
        """Methods that the data and folders allow, and ``method``, ``why`` of those left out.

        Raises
        ------
        RequestError
            If there is no such method, or none is left.
        """
        unknown = [name for name in names if name not in WAYS]
        if unknown:
            raise RequestError(f"no method {unknown[0]!r}", expected=", ".join(WAYS))
        why = {name: self._hindered(WAYS[name]) for name in dict.fromkeys(names)}
        left = pd.DataFrame([(n, w) for n, w in why.items() if w], columns=["method", "why"])
        if len(left) == len(why):
            raise RequestError("no method can be tried", found="; ".join(left["why"]) or "none")
        return [name for name, reason in why.items() if not reason], left

    def _hindered(self, way: Way) -> str:
        if self.task.modality not in way.modalities:
            return f"for {way.modalities[0]}s, and this is a {self.task.modality}"
        lacks = {
            "source": self.source is None,
            "weights": self.weights is None,
            "estimator": isinstance(self.task.build(0), nn.Module),
        }
        return f"needs {_NEEDED[way.needs]}" if lacks.get(way.needs) else ""

    def scores(self, name: Name, known: Labeled, draw: int) -> Scores:
        """What a method that learned from some patients says of those who are tested.

        Raises
        ------
        DataError
            If any of them is tested too.
        """
        require_untested(self.task, known.rows, self.split.test)
        return WAYS[name].scores(self, known, draw)

    def pretrained(
        self, kind: type[Contrastive] | type[Masked], rows: Rows, draw: int
    ) -> nn.Module:
        """The body of a network that learned from some rows without labels, once in a draw.

        Raises
        ------
        DataError
            If one of their patients is tested.
        """
        require_untested(self.task, rows, self.split.test)
        seed, x = self.seed_of(draw), Seen(self.task, rows)(rows)
        make = partial(kind, builder(self.task)(seed), x[:1])
        to = self.folder / f"{kind.__name__.lower()}_{draw}"
        return fit_unlabeled(make, kind.loss, x, to, self.budget.half, seed=seed).body


@dataclass(frozen=True)
class Way:
    """A way to learn.

    Attributes
    ----------
    modalities : tuple of {"image", "table"}
        What it is for.
    what : str
    scores : callable
        Of a `Learner`, of who is labeled, and of the number of the draw.
    needs : {"", "source", "weights", "estimator"}
    """

    modalities: tuple[str, ...]
    what: str
    scores: Callable[[Learner, Labeled, int], Scores]
    needs: str = ""


def linear() -> Pipeline:
    """Logistic regression of standardized features, however many; `C` is its inverse penalty."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    filled = SimpleImputer(strategy="median", keep_empty_features=True)
    return make_pipeline(filled, StandardScaler(), Span(), LogisticRegression(max_iter=2000))


def linear_scores(learner: Learner, features: NDArray, known: Labeled) -> Scores:
    """Logistic regression on features; inner folds of the labeled patients choose its penalty.

    Parameters
    ----------
    learner : Learner
    features : array of shape (n, p)
        Of all rows, NaN where missing.
    known : Labeled
        All of them train: none is needed to choose an epoch.
    """
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

    rows, task = known.rows, learner.task
    inner = StratifiedGroupKFold(_INNER, shuffle=True, random_state=learner.seed)
    found = GridSearchCV(linear(), {STRENGTH: STRENGTHS}, cv=inner, scoring="roc_auc")
    with one_thread():
        found.fit(features[rows], task.y[rows], groups=task.groups[rows])
        return found.decision_function(features[learner.split.test])


def _simple(learner: Learner, known: Labeled, draw: int) -> Scores:
    return linear_scores(learner, learner.task.features.to_numpy(float), known)


def _foundation(learner: Learner, known: Labeled, draw: int) -> Scores:
    return linear_scores(learner, learner.frozen, known)


def _study(learner: Learner, known: Labeled, draw: int) -> Scores:
    task, rows = learner.task, known.rows
    model = task.build(learner.seed_of(draw)).fit(task.features.iloc[rows], task.y[rows])
    return model.predict_proba(task.features.iloc[learner.split.test])[:, 1]


def _network(
    learner: Learner, known: Labeled, draw: int, *, name: str, body: nn.Module | None = None,
    wrapped: Callable[[nn.Module], nn.Module] = lambda net: net,
) -> Scores:  # fmt: skip
    """A network from nothing, or with half the budget from a body that learned before."""
    task, seed, own = learner.task, learner.seed_of(draw), builder(learner.task)
    # A body has learned from inputs as the whole pool standardizes them.
    seen = Seen(task, known.train if body is None else learner.split.pool)
    parts = (labeled(seen(known.train), task.y[known.train]),
             labeled(seen(known.val), task.y[known.val]))  # fmt: skip
    budget = learner.budget if body is None else learner.budget.half
    start = None if body is None else with_body(own(seed), body)
    to = learner.folder / f"{name}_{draw}_{known.patients}"
    net = fit(lambda: wrapped(own(seed)), parts, to, budget, start=start, seed=seed)
    return apply(net, seen(learner.split.test), batch_size=64)[:, 0].double().numpy()


def _self_supervised(
    learner: Learner, known: Labeled, draw: int, *, kind: type[Contrastive] | type[Masked]
) -> Scores:
    body = learner.pretrained(kind, learner.split.pool, draw)
    return _network(learner, known, draw, name=f"after_{kind.__name__.lower()}", body=body)


def _transfer(learner: Learner, known: Labeled, draw: int) -> Scores:
    source = Split.of(learner.source or learner.task, 5, learner.seed)
    seen, make = Seen(source.task, source.pool), builder(learner.task)
    train, val = (labeled(seen(rows), source.task.y[rows]) for rows in (source.pool, source.test))
    net = fit(partial(make, learner.seed), (train, val), learner.folder / "source",
              learner.budget.half, seed=learner.seed)  # fmt: skip
    return _network(learner, known, draw, name="after_transfer", body=body_of(net)[0])


_NEEDED = {
    "source": "another study's images: transfer_from",
    "weights": "a folder of a foundation model: weights",
    "estimator": "a model of tables of the study's own",
}
_BOTH = ("image", "table")
WAYS: dict[str, Way] = {
    "simple": Way(_BOTH, "logistic regression on features made by hand", _simple),
    "study": Way(("table",), "the study's own model of its table", _study, "estimator"),
    "scratch": Way(_BOTH, "the network from random weights", partial(_network, name="scratch")),
    "augmented": Way(("image",), "the same, its images shifted, turned and scaled anew each time",
                     partial(_network, name="augmented", wrapped=Varied)),
    "contrastive": Way(_BOTH, "which two views are of one patient, first; then the labels",
                       partial(_self_supervised, kind=Contrastive)),
    "masked": Way(_BOTH, "what is hidden, first; then the labels",
                  partial(_self_supervised, kind=Masked)),
    "transfer": Way(("image",), "another study's synthetic patients and labels, first",
                    _transfer, "source"),
    "foundation": Way(("image",), "logistic regression on features of a large model as it is",
                      _foundation, "weights"),
}  # fmt: skip


def source_of(study: str, task: StudyTask, patients: int, seed: int) -> StudyTask | None:
    """The synthetic twin of another study of images, to be transferred from; of "" none.

    Raises
    ------
    RequestError
        If it is the same study, or one of tables.
    """
    if not study:
        return None
    require_another(study, task.name)
    source = load_task(study, SYNTHETIC, patients, seed)
    if source.modality != "image":
        raise RequestError(f"{study} has no images to transfer from", found=f"a {source.modality}")
    return source


def described(names: Sequence[str]) -> pd.DataFrame:
    """``method``, ``for``, ``what`` of some ways to learn."""
    rows: list[Any] = [(n, " and ".join(WAYS[n].modalities), WAYS[n].what) for n in names]
    return pd.DataFrame(rows, columns=["method", "for", "what"])
