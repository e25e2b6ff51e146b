"""What the study's numbers and words mean: sides in masks, classes, types of lesions."""

from __future__ import annotations

import numpy as np

RIGHT, LEFT = 1, 2  # of the patient, in masks
CT_SS_LIMITS = (5.0, 25.0, 50.0, 75.0)  # % of the lungs, where the next class begins
# Share of the lesions' volume that is consolidation, from which a patient counts as mixed and
# as consolidated.
TYPE_LIMITS = (0.1, 0.5)
TYPES = ("ground glass", "mixed", "consolidation")
BILATERAL_SHARE = 0.1  # of the lesions' volume, in the lung that has less of it
PERIPHERAL_MM = 20.0  # depth from ribs or diaphragm


def ct_ss(involvement: float) -> int:
    """Class of CT severity, 1 to 5, by the share of the lungs that is ill in %.

    The classes are those of LungQuant (arXiv:2105.02566): 1 below 5 %, 2 to 25,
    3 to 50, 4 to 75, 5 from 75 % on.
    """
    return 1 + int(np.searchsorted(CT_SS_LIMITS, involvement, side="right"))


def lesion_type(consolidation: float) -> str:
    """Ground glass, mixed or consolidation, by the share of consolidation in the lesions."""
    return TYPES[int(np.searchsorted(TYPE_LIMITS, consolidation, side="right"))]
