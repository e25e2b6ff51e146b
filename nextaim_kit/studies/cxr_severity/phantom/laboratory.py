"""Clinical values drawn for a synthetic patient, and what each site leaves out."""

from __future__ import annotations

import numpy as np

from nextaim_kit.studies.cxr_severity.variables import SIGNS, VARIABLES

# How much more or less than on average a hospital leaves out.
_HABIT = {"A": 0.3, "B": 0.8, "C": 1.6, "D": 0.5, "E": 1.9, "F": 1.0}


def clinical(site: str, label: int, burden: float, rng: np.random.Generator) -> dict[str, float]:
    """Draw one patient's table row; NaN is missing.

    Parameters
    ----------
    site : str
    label : int
        1: severe.
    burden : float
        Standardized extent of the patient's opacities within the class: oxygenation follows it.
    rng : Generator
    """
    row: dict[str, float] = {}
    for name, v in VARIABLES.items():
        middle = v.severe if label else v.mild
        drawn = rng.normal()
        if name in ("PaO2", "SaO2"):
            drawn = 0.9 * drawn - 0.35 * burden
        value = middle * np.exp(v.spread * drawn) if v.relative else middle + v.spread * drawn
        value = round(float(np.clip(value, v.low, v.high)), v.digits)
        row[name] = np.nan if rng.random() < _share(site, v.missing) else value
    for name, (mild, severe, missing) in SIGNS.items():
        value = float(rng.random() < (severe if label else mild))
        row[name] = np.nan if rng.random() < _share(site, missing) else value
    return row


def _share(site: str, missing: float) -> float:
    return min(0.95, missing * _HABIT[site])
