"""What stands beside the curves: what a body knows before any label, and what tuning can fake."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from nextaim_kit.learn.inference import apply
from nextaim_kit.machine.seeds import one_thread
from nextaim_kit.studies.challenges.limited.bodies import Seen, body_of, builder
from nextaim_kit.studies.challenges.limited.measuring import COLUMNS, compared, learning_curves
from nextaim_kit.studies.challenges.limited.patients import Labeled
from nextaim_kit.studies.challenges.limited.pretext import Contrastive, Masked
from nextaim_kit.studies.challenges.limited.ways import (
    STRENGTH,
    STRENGTHS,
    Learner,
    Scores,
    linear,
    linear_scores,
)

_KINDS: dict[str, type[Contrastive] | type[Masked]] = {"contrastive": Contrastive, "masked": Masked}


def probed(learner: Learner, size: int, draws: int) -> pd.DataFrame:
    """How well a straight line tells the outcome from what a body gives before it saw a label.

    Returns
    -------
    DataFrame
        ``name`` (a body of random weights, of each pre-training; features made by hand),
        ``value``, ``low``, ``high`` of the AUC, as of `measuring.learning_curves`.
    """
    parts = []
    for draw in range(draws):
        known = learner.split.draw(size, draw, learner.seed)
        told = {name: _of_body(learner, known, draw, name) for name in ("random weights", *_KINDS)}
        told["made by hand"] = linear_scores(learner, learner.task.features.to_numpy(float), known)
        parts += [_rows(learner, name, size, draw, score) for name, score in told.items()]
    found = learning_curves(pd.concat(parts, ignore_index=True), learner.task)
    return found.rename(columns={"method": "name"})[["name", "value", "low", "high"]]


def _of_body(learner: Learner, known: Labeled, draw: int, name: str) -> Scores:
    if name in _KINDS:
        body = learner.pretrained(_KINDS[name], learner.split.pool, draw)
    else:
        body, _ = body_of(builder(learner.task)(learner.seed_of(draw)))
    everyone = Seen(learner.task, learner.split.pool)(np.arange(len(learner.task)))
    features = apply(body, everyone, batch_size=64).flatten(1).double().numpy()
    return linear_scores(learner, features, known)


def tuned_on_tested(learner: Learner, sizes: list[int], draws: int) -> pd.DataFrame:
    """What the simple model seems to gain where its penalty is the best on those who are tested.

    Returns
    -------
    DataFrame
        ``patients``, ``value``, ``low``, ``high``: AUC less that of the honest choice, paired.
    """
    parts = []
    for size in sizes:
        for draw in range(draws):
            known = learner.split.draw(size, draw, learner.seed)
            features = learner.task.features.to_numpy(float)
            wrong, honest = _best(learner, known), linear_scores(learner, features, known)
            rows = partial(_rows, learner, size=size, draw=draw)
            parts += [rows("tuned", score=wrong), rows("honest", score=honest)]
    found = compared(pd.concat(parts, ignore_index=True), learner.task, "honest")
    return found[["patients", "value", "low", "high"]]


def _best(learner: Learner, known: Labeled) -> Scores:
    """Scores of the penalty whose AUC on the tested patients is the highest."""
    from sklearn.metrics import roc_auc_score

    task, test = learner.task, learner.split.test
    features, every = task.features.to_numpy(float), []
    for strength in STRENGTHS:
        model = linear().set_params(**{STRENGTH: strength})
        with one_thread():
            model.fit(features[known.rows], task.y[known.rows])
            every.append(model.decision_function(features[test]))
    return max(every, key=lambda score: roc_auc_score(task.y[test], score))


def _rows(learner: Learner, name: str, size: int, draw: int, score: Scores) -> pd.DataFrame:
    rows = {"method": name, "patients": size, "draw": draw, "row": learner.split.test}
    return pd.DataFrame(rows | {"score": score})[COLUMNS]
