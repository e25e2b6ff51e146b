"""All figure functions in one place; each returns a matplotlib Figure with ``alt`` text."""

from __future__ import annotations

from nextaim_kit.show.features import selection_frequency, shap_summary
from nextaim_kit.show.mosaic import mosaic, planes
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

__all__ = [
    "alt_of",
    "calibration",
    "confusion",
    "curves",
    "decision_curve",
    "described",
    "distribution_by_site",
    "gallery",
    "intervals",
    "learning_curve",
    "mosaic",
    "planes",
    "roc",
    "selection_frequency",
    "shap_summary",
    "use_style",
    "volume_scatter",
]
