"""What is known of a synthetic patient: volumes, share that is ill, kind and place of lesions."""

from __future__ import annotations

from typing import Any

import numpy as np

from nextaim_kit.studies.ct_lungquant.chest.anatomy import Chest
from nextaim_kit.studies.ct_lungquant.chest.grid import Labels
from nextaim_kit.studies.ct_lungquant.chest.lesions import CONSOLIDATION
from nextaim_kit.studies.ct_lungquant.chest.tree import LEFT, RIGHT

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


def known(chest: Chest, lesions: Labels) -> dict[str, Any]:
    """Count what was planted.

    Parameters
    ----------
    chest : Chest
    lesions : array of int, shape (z, y, x)
        1: ground glass, 2: consolidation.

    Returns
    -------
    dict
        ``right_ml``, ``left_ml`` of the lungs; ``lesions_ml``; ``involvement``,
        ``involvement_right``, ``involvement_left`` in %; ``ct_ss``; and of the lesions' volume,
        NaN where there is none, the shares ``ground_glass``, ``consolidation``, ``left``,
        ``upper`` (above the middle of the lungs' height), ``peripheral`` (at most 20 mm from
        ribs or diaphragm); ``type`` ("none" without lesions) and ``bilateral``.
    """
    right, left = ((chest.lungs == side) for side in (RIGHT, LEFT))
    ill = lesions > 0
    ml = {"right": int(right.sum()), "left": int(left.sum())}
    ill_ml = {"right": int(ill[right].sum()), "left": int(ill[left].sum())}
    whole = 100 * sum(ill_ml.values()) / sum(ml.values())
    counted = {f"{side}_ml": n * chest.grid.voxel_ml for side, n in ml.items()}
    counted["lesions_ml"] = sum(ill_ml.values()) * chest.grid.voxel_ml
    counted["involvement"] = whole
    counted |= {f"involvement_{side}": 100 * ill_ml[side] / ml[side] for side in ml}
    return counted | {"ct_ss": ct_ss(whole)} | _kind(lesions) | _place(chest, ill)


def _kind(lesions: Labels) -> dict[str, Any]:
    count = int(np.count_nonzero(lesions))
    if not count:
        return {"ground_glass": np.nan, "consolidation": np.nan, "type": "none"}
    dense = int((lesions == CONSOLIDATION).sum()) / count
    return {"ground_glass": 1 - dense, "consolidation": dense, "type": lesion_type(dense)}


def _place(chest: Chest, ill: np.ndarray) -> dict[str, Any]:
    count = int(ill.sum())
    if not count:
        return {"left": np.nan, "upper": np.nan, "peripheral": np.nan, "bilateral": False}
    left = int(ill[chest.lungs == LEFT].sum()) / count
    slices = np.flatnonzero((chest.lungs > 0).any(axis=(1, 2)))
    middle = (chest.grid.z[slices[0]] + chest.grid.z[slices[-1]]) / 2
    outside = chest.depth[ill[chest.air > 0]] <= PERIPHERAL_MM
    return {
        "left": left,
        "upper": int(ill[chest.grid.z > middle].sum()) / count,
        "peripheral": float(outside.mean()),
        "bilateral": bool(BILATERAL_SHARE <= left <= 1 - BILATERAL_SHARE),
    }
