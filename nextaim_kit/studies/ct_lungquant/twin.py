"""The synthetic twin: chest CTs of three sites, and what the study's numbers are for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nextaim_kit.progress import Progress
from nextaim_kit.studies.ct_lungquant import definitions
from nextaim_kit.studies.ct_lungquant.truth import known
from nextaim_kit.twins.chest_ct import population
from nextaim_kit.twins.chest_ct.acquisition import Kernel


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
        ``axes``, ``ways``.

    Returns
    -------
    DataFrame
        Its cohort, with what `truth.known` counts, each as ``truth_...``.
    """
    twin = population.twin(known=known, sources=[definitions], **options)
    return population.counted(twin.make(n, workers=workers, progress=progress))


def size_of(voxels: int) -> population.Size:
    """Voxels in x, y, z of a chest with so many across: three quarters deep, half as high."""
    return voxels, -(-3 * voxels // 4), voxels // 2


def scanned_again(
    n: int, ways: Mapping[str, tuple[float, Kernel]], **options: Any
) -> dict[str, pd.DataFrame]:
    """The twin's patients, each drawn once and scanned in several ways.

    Parameters
    ----------
    n : int
    ways : mapping of str to (float, {"smooth", "sharp"})
        Thickness of the slices in mm, and the kernel.
    **options
        As for `make_twin`, without what the ways say.

    Returns
    -------
    dict of str to DataFrame
        For each way what `make_twin` gives with its thickness and kernel.
    """
    table = make_twin(n, ways=ways, **options)
    rest = table.drop(columns=list(ways))
    return {
        way: rest.assign(image=table[way], slice_mm=mm, kernel=kernel)
        for way, (mm, kernel) in ways.items()
    }
