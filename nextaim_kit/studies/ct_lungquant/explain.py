"""Where a CT's numbers come from: slice by slice, by HU, and by the nearness of class borders."""

from __future__ import annotations

import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.studies.ct_lungquant.definitions import CT_SS_LIMITS
from nextaim_kit.studies.ct_lungquant.measures import Found

EDGES = np.arange(-1024, 201, 12)  # HU


def profile(found: Found) -> pd.DataFrame:
    """Lung and lesion of each slice that holds lung.

    Returns
    -------
    DataFrame
        ``height`` above the lung bases in mm, ``lungs_ml``, ``lesions_ml``, ``involvement`` in %.
    """
    ml = float(np.prod(found.scan.spacing)) / 1000
    lungs, ill = (
        np.array([np.count_nonzero(plane) for plane in labels])
        for labels in (found.lungs, found.lesions)
    )
    there = np.flatnonzero(lungs)
    height = (there - there[0]) * found.scan.spacing[2]
    share = 100 * ill[there] / lungs[there]
    return pd.DataFrame(
        {"height": height, "lungs_ml": ml * lungs[there], "lesions_ml": ml * ill[there],
         "involvement": share}
    )  # fmt: skip


def by_hu(found: Found, edges: ArrayLike = EDGES) -> dict[str, NDArray[np.float64]]:
    """Volume in ml by HU of what is not called affected, of ground glass and of consolidation."""
    hu = sitk.GetArrayViewFromImage(found.scan.image)
    ml = float(np.prod(found.scan.spacing)) / 1000
    counts = np.zeros((3, len(np.asarray(edges)) - 1))
    for plane, lungs, ill in zip(hu, found.lungs, found.lesions, strict=True):
        for kind in range(3):
            counts[kind] += np.histogram(plane[(lungs > 0) & (ill == kind)], edges)[0]
    return dict(zip(("not affected", "ground glass", "consolidation"), ml * counts, strict=True))


def to_border(involvement: ArrayLike) -> NDArray[np.float64]:
    """Points from an involvement in % to the nearest border between classes of CT severity."""
    away = np.abs(np.asarray(involvement, float)[..., None] - np.array(CT_SS_LIMITS))
    return away.min(axis=-1)
