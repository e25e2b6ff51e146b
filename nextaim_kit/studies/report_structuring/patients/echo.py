"""Values of transthoracic echocardiography that go together.

Ranges of what is normal and of grades after Lang et al. 2015 (doi:10.1016/j.echo.2014.10.003);
how often a disease is, and how it shifts the measures, is a guess.
"""

from __future__ import annotations

from random import Random
from typing import Any

from nextaim_kit.studies.report_structuring.patients import one_of

# By disease: share; end-diastolic diameter (cm), ejection fraction (%) and septum (cm).
_HEARTS: dict[str, tuple[float, tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "healthy": (0.34, (4.7, 0.35), (61, 4), (0.9, 0.08)),
    "pressure": (0.2, (4.7, 0.35), (60, 4), (1.25, 0.12)),
    "infarct": (0.19, (5.6, 0.5), (42, 8), (1.0, 0.1)),
    "dilated": (0.09, (6.6, 0.5), (28, 6), (0.95, 0.1)),
    "stenosis": (0.08, (4.8, 0.4), (57, 7), (1.35, 0.15)),
    "atrial": (0.08, (4.9, 0.4), (55, 6), (1.1, 0.12)),
    "asymmetric": (0.02, (4.3, 0.3), (66, 4), (1.8, 0.2)),
}
_MOST = {"infarct": 57, "dilated": 44}  # ejection fraction (%)
_REGIONS = {"anterior": 0.28, "inferior": 0.32, "lateral": 0.12, "septal": 0.12, "apical": 0.16}
_GRADES = ("absent", "mild", "moderate", "severe")
# Lowest and highest E/A and E/e' by grade, and left atrial volume (ml/m²).
_FILLING = {"normal": ((1.0, 1.6), (5, 8)), "grade_1": ((0.5, 0.8), (7, 11)),
            "grade_2": ((0.9, 1.7), (12, 16)), "grade_3": ((2.0, 3.0), (15, 25))}  # fmt: skip
_ATRIUM = {"normal": (18, 34), "mild": (35, 41), "moderate": (42, 48), "severe": (49, 85)}


def draw(rng: Random) -> dict[str, Any]:
    """One patient's values, of all fields that are known; a field that is not there is missing."""
    heart = one_of({name: of[0] for name, of in _HEARTS.items()}, rng)
    values = _left_ventricle(heart, rng)
    values |= _motion(heart, values["ef"], rng)
    values |= _filling(heart, rng)
    values |= _valves(heart, values, rng)
    values |= _right_heart(values, rng)
    values |= _beside(heart, rng)
    moved = {"first": 0.62, "stable": 0.22, "worse": 0.08, "improved": 0.08}
    if heart == "healthy":
        moved = {"first": 0.8, "stable": 0.2}
    return values | {"comparison": one_of(moved, rng)}


def _left_ventricle(heart: str, rng: Random) -> dict[str, Any]:
    _, diameter, fraction, septum = _HEARTS[heart]
    wide = _between(3.6, 8.2, rng.gauss(*diameter))
    ejected = _between(14, _MOST.get(heart, 75), rng.gauss(*fraction))
    thick = _between(0.6, 2.6, rng.gauss(*septum))
    other = thick - rng.uniform(0.0, 0.15) if heart != "asymmetric" else rng.uniform(0.9, 1.2)
    # Teichholz' volume of the diameter, a little smaller as Simpson's method has it.
    filled = round(0.92 * 7 / (2.4 + wide) * wide**3 * rng.uniform(0.9, 1.05))
    emptied = round(filled * (1 - ejected / 100))
    values = {
        "lvedd": round(wide, 1), "lvesd": round(wide * (1 - 0.58 * ejected / 100), 1),
        "septum": round(thick, 1), "posterior_wall": round(max(0.6, other), 1),
        "lvedv": float(filled), "lvesv": float(emptied),
        "ef": float(round(100 * (filled - emptied) / filled)),
    }  # fmt: skip
    return values | {"hypertrophy": _hypertrophy(values), "systolic_function": _grade(values["ef"])}


def _hypertrophy(values: dict[str, float]) -> str:
    septum, wall = values["septum"], values["posterior_wall"]
    if septum >= 1.5 and septum / wall >= 1.3:
        return "septal"
    if septum < 1.2:
        return "absent"
    return "concentric" if 2 * wall / values["lvedd"] > 0.42 else "eccentric"


def _grade(fraction: float) -> str:
    """Systolic function by ejection fraction (%), as for men."""
    bounds = zip(("normal", "mild", "moderate"), (52, 41, 30), strict=True)
    return next((grade for grade, least in bounds if fraction >= least), "severe")


def _motion(heart: str, fraction: float, rng: Random) -> dict[str, Any]:
    values: dict[str, Any] = {"wall_motion": "normal", "thrombus": "absent"}
    if heart == "infarct":
        values |= {"wall_motion": "regional", "region": one_of(_REGIONS, rng)}
    elif fraction < 45:
        values["wall_motion"] = "global"
    if fraction < 40 and rng.random() < 0.15:
        values["thrombus"] = rng.choice(("present", "uncertain"))
    return values


def _filling(heart: str, rng: Random) -> dict[str, Any]:
    """Rhythm, filling and what they do to the left atrium; no grade in atrial fibrillation."""
    often = {"healthy": (0.7, 0.28, 0.02, 0), "pressure": (0.1, 0.65, 0.23, 0.02),
             "dilated": (0, 0.35, 0.35, 0.3)}.get(heart, (0.1, 0.5, 0.3, 0.1))  # fmt: skip
    grade = rng.choices([*_FILLING], often)[0]
    irregular = {"atrial": 0.9, "healthy": 0.02}.get(heart, 0.1)
    paced = 0.0 if heart == "healthy" else 0.05
    rhythms = {"fibrillation": irregular, "paced": paced, "sinus": 1 - irregular - paced}
    rhythm = one_of(rhythms, rng)
    strain = [*_FILLING].index(grade) + 2 * (rhythm == "fibrillation") + rng.gauss(-0.3, 0.6)
    atrium = [*_ATRIUM][int(_between(0, 3, strain))]
    values = {
        "rhythm": rhythm, "left_atrium": atrium, "la_volume": float(rng.randint(*_ATRIUM[atrium])),
        "heart_rate": float(round(rng.gauss(86 if rhythm == "fibrillation" else 71, 9))),
    }  # fmt: skip
    if rhythm == "sinus":
        (low, high), (least, most) = _FILLING[grade]
        values |= {"diastole": grade, "e_a": round(rng.uniform(low, high), 1)}
        values["e_e"] = float(rng.randint(least, most))
    return values


def _valves(heart: str, values: dict[str, Any], rng: Random) -> dict[str, Any]:
    strain = (values["lvedd"] - 4.8) * 0.8 + (0.6 if values["left_atrium"] != "normal" else 0)
    found: dict[str, Any] = {
        "mitral_regurgitation": _graded(strain + 0.6, rng),
        "aortic_regurgitation": _graded(0.8 if heart in ("stenosis", "pressure") else 0.1, rng),
        "mitral_stenosis": "mild" if rng.random() < 0.02 else "absent",
        "aortic_stenosis": "absent", "prosthesis": "absent",
        "vegetations": rng.choices(("absent", "present", "uncertain"), (96, 2, 2))[0],
    }  # fmt: skip
    if heart == "stenosis":
        grade = rng.choices(_GRADES[1:], (0.3, 0.3, 0.4))[0]
        low, high = {"mild": (8, 19), "moderate": (20, 39), "severe": (40, 75)}[grade]
        area = {"mild": (1.6, 2.0), "moderate": (1.0, 1.5), "severe": (0.5, 0.9)}[grade]
        found |= {"aortic_stenosis": grade, "aortic_gradient": float(rng.randint(low, high)),
                  "aortic_area": round(rng.uniform(*area), 1)}  # fmt: skip
    elif rng.random() < 0.06:
        valve = rng.choice(("mitral", "aortic"))
        found["prosthesis"] = valve
        for key in (f"{valve}_stenosis", f"{valve}_regurgitation"):
            found.pop(key)
    return found


def _right_heart(values: dict[str, Any], rng: Random) -> dict[str, Any]:
    """Pressure of the lungs by what the left heart does, and the right heart by that pressure."""
    burden = (52 - values["ef"]) / 25 + [*_ATRIUM].index(values["left_atrium"]) * 0.35
    lungs = rng.uniform(10, 35) if rng.random() < 0.05 else 0.0
    pressure = float(round(_between(20, 88, rng.gauss(29 + 8 * max(0.0, burden), 6) + lungs)))
    wide = rng.random() < _between(0.03, 0.8, (pressure - 34) / 30)
    leak = _graded((pressure - 20) / 10, rng)
    values = {
        "right_ventricle": "dilated" if wide else "normal",
        "right_atrium": "dilated" if wide and rng.random() < 0.7 else "normal",
        "tapse": float(round(rng.gauss(15, 2) if wide else rng.gauss(22, 2.5))),
        "tricuspid_regurgitation": leak,
        "ivc": "dilated" if wide and rng.random() < 0.6 else "normal",
    }
    # Without a jet there is no pressure to be estimated.
    return values if leak == "absent" else values | {"paps": pressure}


def _beside(heart: str, rng: Random) -> dict[str, Any]:
    return {
        "window": "limited" if rng.random() < 0.2 else "good",
        "aortic_root": float(round(_between(26, 50, rng.gauss(34, 3.2)))),
        "pericardial_effusion": rng.choices(_GRADES, (0.88, 0.08, 0.03, 0.01))[0],
    }


def _graded(strain: float, rng: Random) -> str:
    return _GRADES[int(_between(0, 3.5, strain + rng.gauss(0, 0.7)))]


def _between(low: float, high: float, value: float) -> float:
    return min(high, max(low, value))
