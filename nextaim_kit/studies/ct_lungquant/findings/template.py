"""LungQuant's template: its report's quantities with section, code, unit, place and bounds."""

from __future__ import annotations

from typing import Any

from nextaim_kit.report import codes
from nextaim_kit.report.codes import Code
from nextaim_kit.report.model import Template
from nextaim_kit.report.quantity import Quantity
from nextaim_kit.studies.ct_lungquant.definitions import TYPES
from nextaim_kit.studies.ct_lungquant.findings.consistency import contradictions
from nextaim_kit.studies.ct_lungquant.findings.words import sentences

CT_CHEST = Code(codes.LOINC, "24627-2", "CT Chest Report")
# Right and left lung are those of HL7's own examples.
LUNG = Code(codes.SNOMED, "39607008", "Lung")
RIGHT_LUNG = Code(codes.SNOMED, "3341006", "Right lung")
LEFT_LUNG = Code(codes.SNOMED, "44029006", "Left lung")
SYSTEM = codes.OwnSystem(
    "99NEXTAIM",
    f"{codes.KIT_URL}/CodeSystem/ct-lungquant",
    "Quantities of lung involvement on CT",
    "LQ",
)


def _line(*args: Any, **more: Any) -> Quantity:
    return Quantity(*args, **{"site": LUNG, "finding": LUNG} | more)


def _ml(key: str, label: str, code: str, **more: Any) -> Quantity:
    return _line(
        key, label, Code(SYSTEM, code, label), "number",
        "voxels of the mask times a voxel's volume",
        standard=codes.VOLUME, unit=codes.MILLILITERS, low=0, high=LARGEST_ML, bound=True,
        supported=0, **more,
    )  # fmt: skip


def _percent(key: str, label: str, code: str, how: str, **more: Any) -> Quantity:
    return _line(
        key, label, Code(SYSTEM, code, label), "number", how,
        unit=codes.PERCENT, low=0, high=100, supported=0, **{"digits": 2} | more,
    )  # fmt: skip


def _flag(key: str, label: str, code: str, how: str, **more: Any) -> Quantity:
    return _line(key, label, Code(SYSTEM, code, label), "flag", how, **more)


LESION: dict[str, Any] = {"finding": codes.LESION}
RIGHT, LEFT = {"site": RIGHT_LUNG}, {"site": LEFT_LUNG}
# Not measured where there are no lesions, or a lung was not found.
MAYBE: dict[str, Any] = {"optional": True, "absent": "not assessed"}
SHARE = {"scale": 100.0, "digits": 1, **MAYBE, **LESION}
_WORDS = dict(zip(TYPES, ("LQ-GG", "LQ-MIXED", "LQ-CONS"), strict=True)) | {"none": "LQ-NONE"}
# No lung is larger than this [guess]: twice the largest total capacities, for a slip of units.
LARGEST_ML = 20000.0

QUANTITIES = (
    _flag("complete", "Scan holds the whole lungs", "LQ-WHOLE",
          "no lung touches the first or last slice", section=codes.PROCEDURE),
    _ml("right_ml", "Volume of the right lung", "LQ-VOL-R", **RIGHT),
    _ml("left_ml", "Volume of the left lung", "LQ-VOL-L", **LEFT),
    _ml("lungs_ml", "Volume of both lungs", "LQ-VOL"),
    _ml("lesions_right_ml", "Volume of lesions in the right lung", "LQ-LES-R",
        **RIGHT, **LESION),
    _ml("lesions_left_ml", "Volume of lesions in the left lung", "LQ-LES-L",
        **LEFT, **LESION),
    _ml("lesions_ml", "Volume of lesions", "LQ-LES", **LESION),
    _percent("involvement_right", "Right lung affected", "LQ-INV-R",
             "lesions over lung, right", **RIGHT, **MAYBE),
    _percent("involvement_left", "Left lung affected", "LQ-INV-L",
             "lesions over lung, left", **LEFT, **MAYBE),
    _percent("involvement", "Lungs affected", "LQ-INV", "lesions over lungs"),
    _line("ct_ss", "CT severity class", Code(SYSTEM, "LQ-CTSS", "CT severity class, 1 to 5"),
          "number", "class of the share that is affected: below 5, 25, 50, 75 %, and above",
          unit=codes.SCORE, low=1, high=5, digits=0),
    _line("type", "Type of the lesions", Code(SYSTEM, "LQ-TYPE", "Type of the lesions"), "choice",
          "by the share of consolidation: below 10 %, below 50 %, and above",
          choices=tuple((word, Code(SYSTEM, code, word)) for word, code in _WORDS.items()),
          **LESION),
    _percent("ground_glass", "Ground glass", "LQ-GG-SHARE", "share of the lesions' volume",
             **SHARE),
    _percent("consolidation", "Consolidation", "LQ-CONS-SHARE", "share of the lesions' volume",
             **SHARE),
    _percent("left", "Lesions in the left lung", "LQ-LEFT", "share of the lesions' volume",
             **SHARE),
    _percent("upper", "Lesions in the upper half", "LQ-UPPER", "share of the lesions' volume",
             **SHARE),
    _percent("peripheral", "Lesions near the pleura", "LQ-PERIPH",
             "share of the lesions' volume at most 20 mm from it", **SHARE),
    _flag("bilateral", "10 % or more of the lesions in each lung", "LQ-BILATERAL",
          "share of the lesions' volume, in the lung that has less of it", **LESION),
)  # fmt: skip

TEMPLATE = Template(
    name="ct_lungquant",
    title="CT of the chest: lung involvement",
    code=CT_CHEST,
    system=SYSTEM,
    quantities=QUANTITIES,
    sentences=sentences,
    contradictions=contradictions,
    modality="CT",
    caption="CT of {subject} with the outlines that the values were counted in",
    whole="complete",
    ids=codes.KIT_URL,  # those of reports that are already out
)
