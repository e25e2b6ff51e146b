"""LungQuant's report in sentences: the impression, and a dictated text as before structure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from nextaim_kit.report.model import Report

INCOMPLETE = (
    "The scan does not hold the whole lungs: volumes are lower bounds, shares are of what was "
    "scanned."
)


def sentences(report: Report) -> list[str]:
    """The impression's sentences, made of the values as they stand."""
    v: dict[str, Any] = report.values
    one = report.field("involvement")
    share = f"{one.what.coarse(one.value)} %" if one.possible else "An unknown share"
    parts = [f"{share} of the lungs affected, CT severity class {v['ct_ss']} of 5."]
    if v["type"] == "none":
        parts.append("No lesions.")
    else:
        sides = "10 % or more" if v["bilateral"] else "less than 10 %"
        parts.append(f"Type of the lesions: {v['type']}; {sides} of them in the lung with less.")
    return parts if v["complete"] else [*parts, INCOMPLETE]


def dictated(v: dict[str, Any]) -> str:
    """The values in free text, each with its number and unit."""
    return (
        f"CT of the chest. The right lung measures {v['right_ml']:.1f} mL, the left lung "
        f"{v['left_ml']:.1f} mL. Lesions occupy {v['lesions_ml']:.1f} mL, which is "
        f"{v['involvement']:.2f} % of the lungs, CT-SS {v['ct_ss']}."
    )


def _swapped(v: dict[str, Any]) -> str:
    return (
        f"CT of the chest, CT-SS {v['ct_ss']}, {v['involvement']:.2f} % of the lungs involved by "
        f"lesions of {v['lesions_ml']:.1f} mL. Left lung volume is {v['left_ml']:.1f} mL versus "
        f"{v['right_ml']:.1f} mL on the right."
    )


def _liters(v: dict[str, Any]) -> str:
    return (
        f"The right lung measures {v['right_ml'] / 1000:.2f} L, the left lung "
        f"{v['left_ml'] / 1000:.2f} L. Lesions occupy {v['lesions_ml'] / 1000:.2f} L, which is "
        f"about {v['involvement']:.0f} % of the lungs, severity class {v['ct_ss']} of 5."
    )


def _in_words(v: dict[str, Any]) -> str:
    size = "reduced" if v["right_ml"] + v["left_ml"] < 4000 else "normal"
    share = v["involvement"]
    how = "minimal" if share < 5 else "about a quarter" if share < 37 else "more than half"
    return f"Lungs of {size} volume. Opacities are {how} in extent. Severity class {v['ct_ss']}."


def _with_prior(v: dict[str, Any]) -> str:
    before = {k: n * 0.8 for k, n in v.items() if k.endswith("_ml")}
    return (
        f"Compared with the prior, where lesions occupied {before['lesions_ml']:.1f} mL, "
        f"{0.8 * v['involvement']:.2f} % of the lungs, there is progression: lesions now occupy "
        f"{v['lesions_ml']:.1f} mL, {v['involvement']:.2f} % of the lungs, CT-SS {v['ct_ss']}. "
        f"The right lung measures {v['right_ml']:.1f} mL, the left lung {v['left_ml']:.1f} mL."
    )


WORDINGS: dict[str, Callable[[dict[str, Any]], str]] = {
    "as the template says it": dictated,
    "order changed": _swapped,
    "liters, rounded": _liters,
    "with the prior's values": _with_prior,
    "in words": _in_words,
}
_NUMBER = r"(\d+(?:\.\d+)?)"
_PATTERNS = {
    "right_ml": rf"right lung\D{{0,30}}{_NUMBER} mL",
    "left_ml": rf"left lung\D{{0,30}}{_NUMBER} mL",
    "lesions_ml": rf"lesions\D{{0,30}}{_NUMBER} mL",
    "involvement": rf"{_NUMBER} % of the lungs",
    "ct_ss": rf"CT-SS\D{{0,10}}{_NUMBER}",
}


def read_back(text: str) -> dict[str, float]:
    """Numbers that regular expressions written for `dictated` find in a text, by key."""
    found = {k: re.search(p, text, flags=re.IGNORECASE) for k, p in _PATTERNS.items()}
    return {key: float(match.group(1)) for key, match in found.items() if match}


def survival(v: dict[str, Any], wording: str) -> dict[str, float]:
    """Shares of the five values that come back from a wording right, wrong, and not at all."""
    found = read_back(WORDINGS[wording](v))
    right = sum(abs(found[k] - v[k]) < 0.051 for k in found)
    n = len(_PATTERNS)
    return {"right": right / n, "wrong": (len(found) - right) / n, "lost": (n - len(found)) / n}
