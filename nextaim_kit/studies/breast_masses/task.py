"""The study's question for methods that are tried over several studies."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.studies.breast_masses.prototypes.baselines import radiomics
from nextaim_kit.studies.breast_masses.prototypes.loading import load_crops
from nextaim_kit.studies.breast_masses.prototypes.protopnet import backbone, features_of
from nextaim_kit.studies.breast_masses.twin import Look, Marked, make_twin


def task(cohort: str, n: int, seed: int, *, size: int = 64, marker: Marked = "none") -> StudyTask:
    """Malignancy of masses from crops of 56 mm; `cohort` as `load_crops` takes it.

    Features made by hand are pyradiomics', the twin's truth are the masses' pixels. By `marker` the
    twin's masses of one outcome wear a ring of wire, a shortcut.
    """
    look = Look(views=("MLO",), breasts="affected")
    made = partial(make_twin, n, look=look, marker=marker, seed=seed)
    found = load_crops(cohort, twin=made, size=size, field_mm=56.0)
    crops, synthetic = found.crops, cohort == "synthetic"
    features, _ = radiomics(crops, workers=1)  # a mass without features has missing ones
    return StudyTask(
        "breast_masses",
        "image",
        crops.films.numpy(),
        y=crops.y,
        groups=crops.patients,
        sites=crops.table["site"].to_numpy(),
        features=features,
        build=network,
        truth=crops.masks if synthetic else None,
        synthetic=synthetic,
        failures=found.failures[["subject", "problem"]],
    )


def network(seed: int, width: float = 0.25) -> nn.Module:
    """ResNet18 with a share of its channels, from crops to the logit of a malignant mass."""
    torch.manual_seed(seed)
    head = nn.Linear(features_of(width, "layer4"), 1)
    return nn.Sequential(backbone(width), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
