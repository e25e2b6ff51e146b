"""The study's 13 clinical variables: units, what can be measured, means by outcome."""

from __future__ import annotations

from dataclasses import dataclass


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
