"""The study's question for methods that are tried over several studies."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline

from nextaim_kit.learn.dual import DualLogistic
from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.studies.asd_fusion.oracle import truth_of, twin_of
from nextaim_kit.studies.asd_fusion.regions import edge_names
from nextaim_kit.studies.asd_fusion.sources import load_brains


def task(cohort: str, n: int, seed: int) -> StudyTask:
    """Autism from connectivity, a column for each edge; `cohort` as `load_brains` takes it.

    The truth of the twin are its planted edges. The study's own model is logistic regression in
    the subjects' span, whose settings are those of `learn.dual.DualLogistic`.
    """
    brains = load_brains(cohort, twin=lambda: twin_of(n, seed).brains)
    planted, problems = truth_of(brains, seed), [*brains.problems]
    use = brains.functional & brains.table["label"].notna().to_numpy()
    what = "neither a series nor a matrix, or no diagnosis"
    problems += [{"subject": s, "problem": what} for s in brains.table["subject"][~use]]
    brains = brains.at(use)
    edges = pd.DataFrame(brains.connectivity, columns=edge_names(brains.regions), copy=False)
    return StudyTask(
        "asd_fusion",
        "table",
        brains.connectivity,
        y=brains.y,
        groups=brains.table["subject"].to_numpy(),
        sites=brains.table["site"].to_numpy(),
        features=edges,
        build=model,
        truth=tuple(planted.edges["name"]) if planted else None,
        synthetic=brains.synthetic,
        failures=pd.DataFrame(problems, columns=["subject", "problem"]),
    )


def model(seed: int, **settings: Any) -> Pipeline:
    """Logistic regression on edges, a missing one being the training subjects' mean."""
    filled = SimpleImputer(keep_empty_features=True)
    return make_pipeline(filled, DualLogistic(seed=seed, **settings))
