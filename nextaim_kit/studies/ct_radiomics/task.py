"""The study's question for methods that are tried over several studies."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from nextaim_kit.data.cohort.loading import problems, require_labels
from nextaim_kit.data.datasets.source import SYNTHETIC
from nextaim_kit.learn.models import pipeline
from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.studies.ct_radiomics.table import feature_table


def task(cohort: str, n: int, seed: int) -> StudyTask:
    """Severity from a table of radiomic features; `cohort` as `feature_table` takes it.

    The study's own model is XGBoost on ten features chosen by mRMR. Its settings are those of
    `learn.models.pipeline`.
    """
    table, names = feature_table(cohort, patients=n, seed=seed)
    table = require_labels(table).reset_index(drop=True)
    failures = problems(table)
    features = table[names].astype(np.float32)
    return StudyTask(
        "ct_radiomics",
        "table",
        features.to_numpy(),
        y=table["label"].to_numpy(),
        groups=table["subject"].to_numpy(),
        sites=table["site"].to_numpy(),
        features=features,
        build=model,
        synthetic=cohort == SYNTHETIC,
        failures=failures[~failures["subject"].isin(table["subject"])],
    )


def model(seed: int, **settings: Any) -> Pipeline:
    """XGBoost on ten chosen features, to be fitted on a table of features."""
    chosen: dict[str, Any] = {"selector": "mrmr", "k": 10} | settings
    return pipeline("xgboost", **chosen, seed=seed)
