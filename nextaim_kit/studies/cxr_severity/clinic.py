"""The clinical table: the study's 13 variables, their signal, and what each site leaves out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measured:
    """A laboratory value or a sign.

    Parameters
    ----------
    unit : str
    mild, severe : float
        Means; of the logarithm where `spread` is relative.
    spread : float
        Standard deviation within each class.
    low, high : float
        What can be measured at all.
    missing : float
        Share of patients without it, over all sites.
    relative : bool
        Log-normal: `mild` and `severe` are medians, `spread` is that of the logarithm.
    digits : int
    """

    unit: str
    mild: float
    severe: float
    spread: float
    low: float
    high: float
    missing: float
    relative: bool = False
    digits: int = 1


# PaO2 and SaO2 carry the most, as in the study; the missing shares are those of its test set.
VARIABLES = {
    "Age": Measured("years", 59, 66, 14, 18, 99, 0.0, digits=0),
    "Temp_C": Measured("°C", 37.5, 37.8, 0.8, 35.0, 41.5, 0.05),
    "WBC": Measured("1e3/µl", 6.0, 7.1, 0.40, 0.8, 60, 0.02, relative=True, digits=2),
    "CRP": Measured("mg/dl", 3.6, 8.4, 0.95, 0.05, 60, 0.04, relative=True, digits=2),
    "LDH": Measured("U/l", 290, 390, 0.35, 90, 3000, 0.165, relative=True, digits=0),
    "D_dimer": Measured("ng/ml", 560, 950, 0.90, 50, 60000, 0.082, relative=True, digits=0),
    "PaO2": Measured("mmHg", 74, 62, 13, 25, 200, 0.337, digits=0),
    "SaO2": Measured("%", 95.2, 91.2, 3.6, 55, 100, 0.132),
    "pH": Measured("", 7.45, 7.455, 0.04, 6.9, 7.7, 0.527, digits=2),
}
# Shares of patients with the sign: mild, severe, missing.
SIGNS = {
    "Sex": (0.60, 0.72, 0.0),  # 1: male
    "Cough": (0.56, 0.52, 0.02),
    "DifficultyInBreathing": (0.40, 0.62, 0.02),
    "RespiratoryFailure": (0.08, 0.26, 0.06),
}
NAMES = (*VARIABLES, *SIGNS)
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
