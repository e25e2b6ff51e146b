"""Whether a report's values contradict each other, or what a body can have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nextaim_kit.report.model import Doubt, Report
from nextaim_kit.studies.ct_lungquant.definitions import BILATERAL_SHARE, ct_ss, lesion_type
from nextaim_kit.studies.ct_lungquant.measures import PLAUSIBLE_ML, PLAUSIBLE_RATIO

# What rounding leaves between two values that belong together: ml, percentage points.
ML, POINTS = 0.25, 0.25
_SHARES = ("ground_glass", "consolidation", "left", "upper", "peripheral")


def contradictions(report: Report) -> list[Doubt]:
    """What in a report's values contradicts itself, then what is unusual in an adult."""
    v: dict[str, Any] = report.values
    return [*_sums(report), *_shares(report), *_classes(v), *_places(v), *_body(v)]


def _differ(
    report: Report, name: str, keys: tuple[str, ...], follows: float, tolerance: float
) -> Iterator[Doubt]:
    what, said = report.field(keys[0]).what, report.values[keys[0]]
    if said is None or abs(float(said) - follows) <= tolerance:
        return
    others = " and ".join(report.field(key).what.label for key in keys[1:])
    low, high = max(follows - tolerance, what.low), min(follows + tolerance, what.high)
    text = f"{what.label} is {said:g} {what.ucum}, but {follows:.4g} follows from {others}"
    yield Doubt(name, text, keys, f"{what.label} from {low:.2f} to {high:.2f} {what.ucum}")


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
    if v["lesions_ml"] > 0:
        left = 100 * v["lesions_left_ml"] / v["lesions_ml"]
        keys = ("left", "lesions_left_ml", "lesions_ml")
        # A tenth of a milliliter is a large share of a small lesion.
        rounding = POINTS + 100 * 0.1 / v["lesions_ml"]
        yield from _differ(report, "share of the left", keys, left, rounding)
    if v["consolidation"] is not None:
        kinds = ("ground_glass", "consolidation")
        follows = 100 - v["consolidation"]
        yield from _differ(report, "shares of the types", kinds, follows, POINTS)


def _classes(v: dict[str, Any]) -> Iterator[Doubt]:
    near = {ct_ss(v["involvement"] + e) for e in (-0.01, 0.01)}
    if v["ct_ss"] not in near:
        text = f"class {v['ct_ss']}, but {v['involvement']:g} % affected is class {min(near)}"
        allowed = f"class {' or '.join(map(str, sorted(near)))}"
        yield Doubt("class of severity", text, ("ct_ss", "involvement"), allowed)
    known = [key for key in _SHARES if v[key] is not None]
    if (v["type"] == "none") == bool(v["lesions_ml"] > 0 or known):
        text = f"type {v['type']!r} with {v['lesions_ml']:g} mL of lesions"
        text += f", of which shares are given ({', '.join(known)})" if known else ""
        allowed = "a type and shares where there are lesions, 'none' and no shares where not"
        yield Doubt("type without lesions", text, ("type", "lesions_ml", *known), allowed)
    elif v["consolidation"] is not None:
        kinds = {lesion_type((v["consolidation"] + e) / 100) for e in (-0.1, 0.1)}
        if v["type"] not in kinds:
            text = f"type {v['type']!r} with {v['consolidation']:g} % consolidation"
            keys = ("type", "consolidation")
            yield Doubt("type by consolidation", text, keys, " or ".join(sorted(kinds)))


def _places(v: dict[str, Any]) -> Iterator[Doubt]:
    if v["left"] is None and v["lesions_ml"] > 0:
        return
    low, high = 100 * BILATERAL_SHARE, 100 - 100 * BILATERAL_SHARE
    left = v["left"] or 0.0
    both = {low <= left + e <= high for e in (-0.1, 0.1)}
    if v["bilateral"] not in both:
        said = f"{low:g} % or more" if v["bilateral"] else f"less than {low:g} %"
        text = f"{said} of the lesions in the lung with less, but {left:g} % in the left"
        allowed = "yes" if True in both else "no"
        yield Doubt("bilateral by share", text, ("bilateral", "left"), allowed)


def _body(v: dict[str, Any]) -> Iterator[Doubt]:
    if not v["complete"]:
        return
    low, high = PLAUSIBLE_ML
    if not low <= v["lungs_ml"] <= high:
        text = f"lungs of {v['lungs_ml']:.0f} mL, where {low:.0f} to {high:.0f} is usual"
        yield Doubt("implausible volume", text, ("lungs_ml", "complete"), unusual=True)
    low, high = PLAUSIBLE_RATIO
    if v["left_ml"] <= 0 or not low <= v["right_ml"] / v["left_ml"] <= high:
        text = f"right lung {v['right_ml']:.0f} mL, left {v['left_ml']:.0f} mL"
        keys = ("right_ml", "left_ml", "complete")
        yield Doubt("implausible sides", text, keys, unusual=True)
