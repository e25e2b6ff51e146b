"""Values of chest CT in suspected COVID-19.

Frequencies after 134 Italian patients with structured reports (doi:10.1038/s41598-020-73788-5),
whose shares stand before those here: CT positive 94 % (94), swab positive 78 (74); of the ground
glass bilateral 89 (89), peripheral 80 (80); crazy paving 75 (67), septal thickening 37 (35). The
rest is a guess.
"""

from __future__ import annotations

import math
from random import Random
from typing import Any

from nextaim_kit.studies.report_structuring.patients import one_of, present

_KINDS = {"typical": 0.8, "indeterminate": 0.08, "atypical": 0.06, "negative": 0.06}
_EFFUSIONS = {"absent": 0.88, "right": 0.04, "left": 0.04, "both": 0.04}
_LOBES = {"right": ("rul", "rml", "rll"), "left": ("lul", "lll")}
_UPPER, _LOWER = ("rul", "lul"), ("rll", "lll")
_OF_GLASS = ("ggo_side", "distribution", "zone", "focality")
_VOLUMES = {"rul": 0.2, "rml": 0.09, "rll": 0.26, "lul": 0.22, "lll": 0.23}
_DOUBTED = 0.06  # share of signs, there or not, that the reader is not sure of
# Signs that may be doubted; of a pneumonia the rest follows.
_DOUBTFUL = (
    "crazy_paving", "septal_thickening", "reversed_halo", "bronchiectasis", "vessel_enlargement",
    "nodules", "lymph_nodes", "fibrosis", "embolism",
)  # fmt: skip


def draw(rng: Random) -> dict[str, Any]:
    """One patient's values, of all fields that are known; a field that is not there is missing."""
    kind = one_of(_KINDS, rng)
    values: dict[str, Any] = {"pattern": kind, **_usual(rng)}
    {
        "typical": _typical, "indeterminate": _indeterminate,
        "atypical": _atypical, "negative": _negative,
    }[kind](values, rng)  # fmt: skip
    _clinical(values, rng)
    if values["consolidation"] == "absent":
        values.pop("air_bronchogram", None)
    for key in _DOUBTFUL:
        if key in values and rng.random() < _DOUBTED:
            values[key] = "uncertain"
    if values["nodules"] == "present" and rng.random() < 0.7:
        values["nodule_mm"] = float(round(min(28, max(4, rng.lognormvariate(2.1, 0.5)))))
    if values["lymph_nodes"] == "present":
        values["lymph_node_mm"] = float(round(min(28, max(11, rng.gauss(14, 3)))))
    return values


def _usual(rng: Random) -> dict[str, Any]:
    """What has little to do with the pneumonia."""
    signs = ("crazy_paving", "septal_thickening", "air_bronchogram", "reversed_halo",
             "bronchiectasis", "vessel_enlargement", "tree_in_bud", "cavitation", "ggo",
             "consolidation")  # fmt: skip
    return dict.fromkeys(signs, "absent") | {
        "contrast": present(0.3, rng),
        "nodules": present(0.12, rng),
        "emphysema": present(0.18, rng),
        "fibrosis": present(0.08, rng),
        "pleural_effusion": one_of(_EFFUSIONS, rng),
        "pneumothorax": one_of({"absent": 0.985, "right": 0.008, "left": 0.007}, rng),
        "pericardial_effusion": present(0.05, rng),
        "lymph_nodes": present(0.12, rng),
        "trunk_mm": float(round(min(42, max(20, rng.gauss(27, 3.5))))),
    }


def _typical(values: dict[str, Any], rng: Random) -> None:
    wide = rng.gauss(-1.0, 0.9)
    side = one_of({"both": 0.94, "right": 0.03, "left": 0.03}, rng)
    values |= {
        "ggo": "present", "ggo_side": side,
        "distribution": one_of({"peripheral": 0.87, "mixed": 0.1, "central": 0.03}, rng),
        "zone": one_of({"lower": 0.6 - 0.1 * wide, "all": 0.3 + 0.15 * wide, "upper": 0.08}, rng),
        "focality": "multiple" if side == "both" or rng.random() < 0.6 else "single",
    }  # fmt: skip
    _lungs(values, wide, rng)
    severe = values["extent"] / 100
    values |= {
        "crazy_paving": present(0.75 + 0.5 * severe, rng),
        "septal_thickening": present(0.34 + 0.3 * severe, rng),
        "reversed_halo": present(0.08, rng),
        "bronchiectasis": present(0.1 + 0.3 * severe, rng),
        "vessel_enlargement": present(0.4 + 0.4 * severe, rng),
    }
    _consolidated(values, 0.4 + 0.6 * severe, rng)
    if rng.random() < 0.15 * severe:
        values["pleural_effusion"] = "both"


def _indeterminate(values: dict[str, Any], rng: Random) -> None:
    side = one_of({"both": 0.35, "right": 0.35, "left": 0.3}, rng)
    values |= {
        "ggo": "present" if rng.random() < 0.9 else "uncertain", "ggo_side": side,
        "distribution": one_of({"central": 0.4, "mixed": 0.5, "peripheral": 0.1}, rng),
        "zone": one_of({"lower": 0.35, "all": 0.3, "upper": 0.35}, rng),
        "focality": "multiple" if side == "both" or rng.random() < 0.6 else "single",
    }  # fmt: skip
    _lungs(values, rng.gauss(-2.2, 0.6), rng)
    values["septal_thickening"] = present(0.2, rng)
    values["crazy_paving"] = present(0.1, rng)
    _consolidated(values, 0.2, rng)
    if values["ggo"] != "present":
        for key in (*_OF_GLASS, *_VOLUMES, "extent", "severity", "consolidation_side"):
            values.pop(key, None)
        values |= dict.fromkeys(("consolidation", "air_bronchogram"), "absent")


def _atypical(values: dict[str, Any], rng: Random) -> None:
    kind = rng.choice(("lobar", "lobar", "bronchiolitis", "cavity", "edema"))
    side = rng.choice(("right", "left"))
    if kind in ("lobar", "cavity"):
        lobe = rng.choice(_LOBES[side])
        values |= dict.fromkeys(_VOLUMES, "absent") | {lobe: "present"}
        values |= {"consolidation": "present", "consolidation_side": side}
        values["air_bronchogram"] = present(0.75 if kind == "lobar" else 0.2, rng)
        values["cavitation"] = "present" if kind == "cavity" else "absent"
        values["pleural_effusion"] = side if rng.random() < 0.35 else "absent"
    elif kind == "bronchiolitis":
        values |= {"tree_in_bud": "present", "bronchiectasis": present(0.4, rng)}
    else:
        values |= {"septal_thickening": "present", "pleural_effusion": "both"}
        values |= {"ggo": "present", "ggo_side": "both", "distribution": "central",
                   "focality": "multiple"}  # fmt: skip


def _negative(values: dict[str, Any], rng: Random) -> None:
    values["consolidation"] = values["ggo"] = "absent"


def _lungs(values: dict[str, Any], wide: float, rng: Random) -> None:
    """Which lobes are involved, by how much, and the extent and score that follow."""
    sides = ("right", "left") if values["ggo_side"] == "both" else (values["ggo_side"],)
    open_to = [lobe for side in sides for lobe in _LOBES[side]]
    favored = {"upper": _UPPER, "lower": _LOWER}.get(values["zone"], tuple(_VOLUMES))
    shares = dict.fromkeys(_VOLUMES, 0.0)
    for lobe in open_to:
        shift = (0.5 if lobe in favored else -0.8) + (-0.4 if lobe == "rml" else 0.0)
        if lobe in favored or rng.random() < 1 / (1 + math.exp(-2.0 - wide)):
            shares[lobe] = 1 / (1 + math.exp(-wide - shift - rng.gauss(0, 0.4)))
    if values["focality"] == "single":
        kept = max(open_to, key=lambda lobe: shares[lobe])
        shares = {lobe: share if lobe == kept else 0.0 for lobe, share in shares.items()}
    extent = 100 * sum(_VOLUMES[lobe] * share for lobe, share in shares.items())
    values |= {lobe: "present" if share else "absent" for lobe, share in shares.items()}
    values["extent"] = float(max(5, 5 * round(extent / 5)))
    values["severity"] = float(sum(_score(share) for share in shares.values()))


def _score(share: float) -> int:
    """A lobe's score of 0 to 5: none, below 5, 25, 50, 75 %, and above."""
    return 1 + sum(share >= cut for cut in (0.05, 0.25, 0.5, 0.75)) if share else 0


def _consolidated(values: dict[str, Any], often: float, rng: Random) -> None:
    if rng.random() >= often:
        return
    side = values["ggo_side"]
    if side == "both":
        side = one_of({"both": 0.88, "right": 0.07, "left": 0.05}, rng)
    values |= {"consolidation": "present", "consolidation_side": side}
    values["air_bronchogram"] = present(0.45, rng)


def _clinical(values: dict[str, Any], rng: Random) -> None:
    kind, extent = values["pattern"], values.get("extent", 0.0)
    positive = {"typical": 0.9, "indeterminate": 0.6, "atypical": 0.15, "negative": 0.2}[kind]
    values["pcr"] = one_of({"positive": positive, "negative": (1 - positive) * 0.7,
                             "pending": (1 - positive) * 0.3 + 0.08}, rng)  # fmt: skip
    values["fever"] = present(0.75 if kind != "negative" else 0.45, rng)
    values["dyspnea"] = present(min(0.9, 0.35 + extent / 100), rng)
    values["symptom_days"] = float(round(min(30, max(1, rng.lognormvariate(1.9, 0.5)))))
    usual = {"typical": (5, 5, 5, 4), "indeterminate": (3, 3, 4, 2), "atypical": (2, 2, 1),
             "negative": (1,)}[kind]  # fmt: skip
    sure = values["pcr"] == "positive" and rng.random() < 0.3
    values["corads"] = 6.0 if sure else float(rng.choice(usual))
    moved = {"first": 0.66, "improved": 0.12, "stable": 0.09, "worse": 0.13}
    if kind == "negative" or values["ggo"] != "present":
        moved = {"first": 0.8, "stable": 0.2}
    values["comparison"] = one_of(moved, rng)
    if values["contrast"] == "present":
        values["embolism"] = present(0.1 + 0.2 * extent / 100, rng)
