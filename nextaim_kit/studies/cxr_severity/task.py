"""The study's question for methods that are tried over several studies."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nextaim_kit.data.cohort.loading import problems
from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.studies.cxr_severity.cohorts import load_films, usable
from nextaim_kit.studies.cxr_severity.fusion import Backbone, SeverityNet
from nextaim_kit.studies.cxr_severity.hospitals import by_outcome
from nextaim_kit.studies.cxr_severity.preprocessing import (
    Films,
    at_size,
    load_even,
    load_masks,
    lungs_only,
)
from nextaim_kit.studies.cxr_severity.twin import Cables, make_twin

_SHARES = (5, 25, 50, 75, 95)


def task(cohort: str, n: int, seed: int, *, pixels: int = 64, cables: Cables = "none") -> StudyTask:
    """Severity from the lungs of chest films; `cohort` as `load_films` takes it, with lung masks.

    Features made by hand are of the gray levels of the lungs (`gray_features`), the twin's truth
    are the opacities. By `cables` the twin's patients of one outcome wear electrodes, a shortcut.
    """
    made = partial(make_twin, n, size=2 * pixels, cables=cables, seed=seed)
    table, synthetic = load_films(cohort, twin=made)
    _, table = by_outcome(table)
    films, frames, unread = load_even(table, pixels, inverted=table.get("truth_inverted"))
    lungs, without = load_masks(table, "lungs", frames)
    keep = usable(table, unread, without)
    opaque = None
    if synthetic and "lesions" in table:  # saved films of the twin may have come without
        opaque = at_size(load_masks(table, "lesions", frames)[0], pixels)[keep]
    seen, inside, rows = films[keep], at_size(lungs, pixels)[keep], table[keep]
    return StudyTask(
        "cxr_severity",
        "image",
        lungs_only(seen, inside)[:, None],
        y=rows["label"].to_numpy(),
        groups=rows["patient"].to_numpy(),
        sites=rows["site"].to_numpy(),
        features=gray_features(seen, inside),
        build=network,
        truth=opaque,
        synthetic=synthetic,
        failures=problems(table),
    )


def gray_features(films: Films, lungs: NDArray[np.bool_]) -> pd.DataFrame:
    """Percentiles, spread and texture of the gray levels of the lungs, and how their zones differ.

    Parameters
    ----------
    films, lungs : arrays of shape (n, size, size)
    """
    down, right = (np.indices(films.shape[1:])[axis] for axis in (0, 1))
    rows = []
    for film, inside in zip(films, lungs, strict=True):
        y, x, gray = down[inside], right[inside], film[inside]
        steep = np.hypot(*np.gradient(film))[inside]
        low, side = y > np.median(y), x > np.median(x)
        rows.append((*np.percentile(gray, _SHARES), gray.std(), steep.mean(), inside.mean(),
                     gray[low].mean() - gray[~low].mean(),
                     abs(gray[side].mean() - gray[~side].mean())))  # fmt: skip
    names = [f"gray_p{share}" for share in _SHARES]
    names += ["gray_sd", "gradient", "lung_share", "lower_minus_upper", "between_sides"]
    return pd.DataFrame(rows, columns=names)


class FilmNet(SeverityNet):
    """The severity network's image branch alone."""

    def forward(self, film: Tensor) -> Tensor:  # type: ignore[override]
        """Logits, shape (n, 1), of films, shape (n, 1, h, w)."""
        return super().forward(film, film.new_zeros(len(film), 0))


def network(seed: int, backbone: Backbone = "small") -> nn.Module:
    """The study's network of a film, before training."""
    torch.manual_seed(seed)
    return FilmNet(image=True, clinical=0, backbone=backbone)
