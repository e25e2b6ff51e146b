"""All figure functions in one place; each returns a matplotlib Figure with ``alt`` text."""

from __future__ import annotations

from nextaim_kit.show.differences import Differences, bland_altman
from nextaim_kit.show.distributions import distribution_by_site, histograms
from nextaim_kit.show.mosaic import mosaic
from nextaim_kit.show.overlays import Segmented, overlays
from nextaim_kit.show.performance import (
    calibration,
    curves,
    intervals,
    learning_curve,
    net_benefit,
    roc,
)
from nextaim_kit.show.picture_grid import gallery
from nextaim_kit.show.shap_values import shap_summary
from nextaim_kit.show.style import alt_of, described
from nextaim_kit.show.volume import View, volume

__all__ = [
    "Differences",
    "Segmented",
    "View",
    "alt_of",
    "bland_altman",
    "calibration",
    "curves",
    "described",
    "distribution_by_site",
    "gallery",
    "histograms",
    "intervals",
    "learning_curve",
    "mosaic",
    "net_benefit",
    "overlays",
    "roc",
    "shap_summary",
    "volume",
]
