"""What is known of a synthetic patient: volumes, share that is ill, kind and place of lesions."""

from __future__ import annotations

from typing import Any

import numpy as np

from nextaim_kit.studies.ct_lungquant.definitions import (
    BILATERAL_SHARE,
    LEFT,
    PERIPHERAL_MM,
    RIGHT,
    ct_ss,
    lesion_type,
)
from nextaim_kit.twins.chest_ct.anatomy import Chest
from nextaim_kit.twins.chest_ct.grid import Labels
from nextaim_kit.twins.chest_ct.lesions import CONSOLIDATION


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
