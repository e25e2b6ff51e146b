"""The synthetic twin: chest CTs of three sites, and what the study's numbers are for each."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nextaim_kit.progress import Progress
from nextaim_kit.studies.ct_lungquant import definitions
from nextaim_kit.studies.ct_lungquant.truth import known
from nextaim_kit.twins.chest_ct import population


def make_twin(
    n: int = population.TOTAL,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Make the twin's CTs and masks, or take those that are in the cache already.

    Parameters
    ----------
    n : int
    workers, progress
        As for `Twin.make`.
    **options
        Those of `twins.chest_ct.population.twin`: ``seed``, ``size``, ``slice_mm``, ``kernel``,
        ``axes``.

    Returns
    -------
    DataFrame
        Its cohort, with what `truth.known` counts, each as ``truth_...``.
    """
    twin = population.twin(known=known, sources=[definitions], **options)
    return population.counted(twin.make(n, workers=workers, progress=progress))
