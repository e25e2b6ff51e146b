"""Whether a report's values contradict each other, or what a body can have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nextaim_kit.report.model import Doubt, Report
from nextaim_kit.studies.ct_lungquant.definitions import BILATERAL_SHARE, ct_ss, lesion_type
from nextaim_kit.studies.ct_lungquant.measures import PLAUSIBLE_ML, PLAUSIBLE_RATIO

# What rounding leaves between two values that belong together: ml, percentage points.
ML, POINTS = 0.25, 0.25


def contradictions(report: Report) -> list[Doubt]:
    """What in a report's values contradicts itself, then what is implausible in an adult."""
    v: dict[str, Any] = report.values
    return [*_sums(report), *_shares(report), *_classes(v), *_places(v), *_body(v)]


def _differ(
    report: Report, name: str, keys: tuple[str, ...], follows: float, tolerance: float
) -> Iterator[Doubt]:
    one = report.field(keys[0])
    said: Any = one.value
    if abs(said - follows) > tolerance:
        text = f"{one.what.label} is {said:g}, but {follows:.4g} follows from the others"
        yield Doubt(name, text, keys)


def _sums(report: Report) -> Iterator[Doubt]:
    v: dict[str, Any] = report.values
    for what in ("lungs", "lesions"):
        start = "" if what == "lungs" else "lesions_"
        parts = (f"{start}right_ml", f"{start}left_ml")
        keys = (f"{what}_ml", *parts)
        yield from _differ(report, f"sum of {what}", keys, sum(v[k] for k in parts), ML)


def _shares(report: Report) -> Iterator[Doubt]:
    v: dict[str, Any] = report.values
    pairs = {"involvement": ("lesions_ml", "lungs_ml")} | {
        f"involvement_{side}": (f"lesions_{side}_ml", f"{side}_ml") for side in ("right", "left")
    }
    for key, (part, whole) in pairs.items():
        if v[whole] > 0:
            follows = 100 * v[part] / v[whole]
            yield from _differ(report, "share of the lung", (key, part, whole), follows, POINTS)
    if "left" in v and v["lesions_ml"] > 0:
        left = 100 * v["lesions_left_ml"] / v["lesions_ml"]
        keys = ("left", "lesions_left_ml", "lesions_ml")
        # A tenth of a milliliter is a large share of a small lesion.
        rounding = POINTS + 100 * 0.1 / v["lesions_ml"]
        yield from _differ(report, "share of the left", keys, left, rounding)
    if "consolidation" in v and "ground_glass" in v:
        kinds = ("ground_glass", "consolidation")
        follows = 100 - v["consolidation"]
        yield from _differ(report, "shares of the types", kinds, follows, POINTS)


def _classes(v: dict[str, Any]) -> Iterator[Doubt]:
    near = {ct_ss(v["involvement"] + e) for e in (-0.01, 0.01)}
    if v["ct_ss"] not in near:
        text = f"class {v['ct_ss']}, but {v['involvement']:g} % affected is class {min(near)}"
        yield Doubt("class of severity", text, ("ct_ss", "involvement"))
    # Where there are no lesions, the template has no shares of them.
    if (v["type"] == "none") == ("consolidation" in v):
        text = f"type {v['type']!r} with {v['lesions_ml']:g} mL of lesions"
        yield Doubt("type without lesions", text, ("type", "lesions_ml"))
    elif "consolidation" in v and v["type"] != "none":
        kinds = {lesion_type((v["consolidation"] + e) / 100) for e in (-0.1, 0.1)}
        if v["type"] not in kinds:
            text = f"type {v['type']!r} with {v['consolidation']:g} % consolidation"
            yield Doubt("type by consolidation", text, ("type", "consolidation"))


def _places(v: dict[str, Any]) -> Iterator[Doubt]:
    if "left" not in v:
        return
    low, high = 100 * BILATERAL_SHARE, 100 - 100 * BILATERAL_SHARE
    both = {low <= v["left"] + e <= high for e in (-0.1, 0.1)}
    if v["bilateral"] not in both:
        said = "both lungs" if v["bilateral"] else "one lung"
        text = f"{said} affected, with {v['left']:g} % of the lesions in the left"
        yield Doubt("bilateral by share", text, ("bilateral", "left"))


def _body(v: dict[str, Any]) -> Iterator[Doubt]:
    if not v["complete"]:
        return
    low, high = PLAUSIBLE_ML
    if not low <= v["lungs_ml"] <= high:
        text = f"lungs of {v['lungs_ml']:.0f} mL, where {low:.0f} to {high:.0f} is usual"
        yield Doubt("implausible volume", text, ("lungs_ml",))
    low, high = PLAUSIBLE_RATIO
    if v["left_ml"] <= 0 or not low <= v["right_ml"] / v["left_ml"] <= high:
        text = f"right lung {v['right_ml']:.0f} mL, left {v['left_ml']:.0f} mL"
        yield Doubt("implausible sides", text, ("right_ml", "left_ml"))
