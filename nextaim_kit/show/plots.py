"""All figure functions in one place; each returns a matplotlib Figure with ``alt`` text."""

from __future__ import annotations

from nextaim_kit.show.agreement import (
    Differences,
    bland_altman,
    fitted_curves,
    pair_matrix,
    spread_of_readers,
)
from nextaim_kit.show.answers import Divided, divided_answers, spread_of_choices
from nextaim_kit.show.distributions import class_borders, histograms
from nextaim_kit.show.features import selection_frequency, shap_summary
from nextaim_kit.show.mosaic import mosaic
from nextaim_kit.show.overlays import Segmented, overlays
from nextaim_kit.show.performance import (
    calibration,
    confusion,
    curves,
    decision_curve,
    intervals,
    learning_curve,
    roc,
)
from nextaim_kit.show.pictures import gallery
from nextaim_kit.show.sites import distribution_by_site, volume_scatter
from nextaim_kit.show.style import alt_of, described, use_style
from nextaim_kit.show.volume import View, volume

__all__ = [
    "Differences",
    "Divided",
    "Segmented",
    "View",
    "alt_of",
    "bland_altman",
    "calibration",
    "class_borders",
    "confusion",
    "curves",
    "decision_curve",
    "described",
    "distribution_by_site",
    "divided_answers",
    "fitted_curves",
    "gallery",
    "histograms",
    "intervals",
    "learning_curve",
    "mosaic",
    "overlays",
    "pair_matrix",
    "roc",
    "selection_frequency",
    "shap_summary",
    "spread_of_choices",
    "spread_of_readers",
    "use_style",
    "volume",
    "volume_scatter",
]
