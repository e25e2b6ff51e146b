"""The effects that were planted in the synthetic twin, and whether the features show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_radiomics import twin
from nextaim_kit.studies.ct_radiomics.scanner import SITES, THICKNESS_MM

_LEVEL = 0.05  # of the family of tests, shared out among them (Bonferroni)


@dataclass(frozen=True)
class Planted:
    """One effect: what it is, how large, where its truth stands, what should show it.

    `groups` is the column whose groups differ by it: the outcome or the site.
    """

    effect: str
    size: str
    truth: str
    feature: str
    groups: str


def _by_outcome(means: tuple[float, float], scale: Callable[[float], float], unit: str) -> str:
    return f"{scale(means[1]):.3g} against {scale(means[0]):.3g} {unit}"


def _by_site(name: str, unit: str, scale: float = 1.0) -> str:
    values = [scale * getattr(site, name) for site in SITES.values()]
    return f"{min(values):g} to {max(values):g} {unit}"


PLANTED = (
    Planted(
        "severe lesions are larger",
        _by_outcome(twin.LOG_VOLUME, np.exp, "ml (median)"),
        "truth_volume_ml", "original_shape_MeshVolume", "label",
    ),
    Planted(
        "severe lesions hold more consolidation",
        _by_outcome(twin.CONSOLIDATION, lambda x: 100 / (1 + np.exp(-x)), "% (median)"),
        "truth_consolidation", "original_firstorder_MeanAbsoluteDeviation", "label",
    ),
    Planted(
        "severe lesions are coarser",
        _by_outcome(twin.GRAIN_MM, float, "mm (mean)"),
        "truth_grain_mm", "original_glcm_Correlation", "label",
    ),
    Planted(
        "sites differ in sharpness", _by_site("kernel_mm", "mm (mean)"),
        "truth_kernel_mm", "original_glszm_SizeZoneNonUniformityNormalized", "site",
    ),
    Planted(
        "sites differ in noise", _by_site("noise_hu", "HU (median of thin slices)"),
        "truth_noise_hu", "original_firstorder_Minimum", "site",
    ),
    Planted(
        "sites differ in calibration", _by_site("offset_hu", "HU (mean)"),
        "truth_offset_hu", "original_firstorder_10Percentile", "site",
    ),
    Planted(
        "sites differ in slice thickness",
        _by_site("thick", f"% of {THICKNESS_MM[1]:g} instead of {THICKNESS_MM[0]:g} mm", 100),
        "truth_thickness_mm", "original_glszm_ZonePercentage", "site",
    ),
)  # fmt: skip


def planted_effects(features: pd.DataFrame, cohort: pd.DataFrame) -> pd.DataFrame:
    """Look for each planted effect in the features that were measured.

    Parameters
    ----------
    features : DataFrame
        What `extract_cohort` measured on the twin: ``subject``, ``site``, ``label``, features.
    cohort : DataFrame
        What `make_twin` gave, with the truth.

    Returns
    -------
    DataFrame
        ``effect``, ``planted`` (its size), ``feature`` (which should show it), ``rho`` (rank
        correlation of the feature with the truth, patient by patient), ``p_groups`` (whether the
        feature differs between the outcomes or sites: Kruskal-Wallis), ``found``: both hold at
        a level of 5 % shared out among all tests. With few patients a weak effect may be missed;
        one whose feature was not measured is left out.

    Raises
    ------
    DataError
        If the cohort is not the twin.
    """
    from scipy.stats import kruskal, spearmanr

    absent = [planted.truth for planted in PLANTED if planted.truth not in cohort]
    if absent:
        raise DataError(
            "there is no truth to compare with",
            expected="the synthetic twin's cohort",
            found=f"no column {absent[0]!r}",
        )
    level = _LEVEL / (2 * len(PLANTED))
    table = features.merge(cohort.filter(regex="^(subject$|truth_)"), on="subject")
    rows = []
    for planted in (one for one in PLANTED if one.feature in table):
        rho, p_rho = spearmanr(table[planted.feature], table[planted.truth])
        groups = [group[planted.feature] for _, group in table.groupby(planted.groups)]
        p_groups = kruskal(*groups).pvalue
        found = max(p_rho, p_groups) < level
        rows.append((planted.effect, planted.size, planted.feature, rho, p_groups, found))
    columns = ["effect", "planted", "feature", "rho", "p_groups", "found"]
    return pd.DataFrame(rows, columns=columns)
