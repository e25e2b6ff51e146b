"""One patient's quantities and report, without any image."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from nextaim_kit.studies.ct_lungquant.findings.quantities import make_report

NAN = float("nan")
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ROW = {
    "subject": "A-001", "site": "A", "right_ml": 2400.0, "left_ml": 2000.0, "lungs_ml": 4400.0,
    "lesions_ml": 880.0, "lesions_right_ml": 240.0, "lesions_left_ml": 640.0,
    "involvement": 20.0, "involvement_right": 10.0, "involvement_left": 32.0, "ct_ss": 2,
    "ground_glass": 0.7, "consolidation": 0.3, "type": "mixed", "left": 640 / 880,
    "upper": 0.25, "peripheral": 0.6, "bilateral": True, "complete": True,
    "software": "LungQuant v2, nextaim_kit 0.1", "warnings": "", "picture": "",
    "provenance_synthetic": True,
}  # fmt: skip
NO_LESIONS = {
    "lesions_ml": 0.0, "lesions_right_ml": 0.0, "lesions_left_ml": 0.0, "involvement": 0.0,
    "involvement_right": 0.0, "involvement_left": 0.0, "ct_ss": 1, "type": "none",
    "bilateral": False, "ground_glass": NAN, "consolidation": NAN, "left": NAN, "upper": NAN,
    "peripheral": NAN,
}  # fmt: skip


@pytest.fixture
def row():
    """A consistent row of the table of quantities."""
    return dict(ROW)


@pytest.fixture
def healthy_row():
    """A row of a patient without lesions."""
    return ROW | NO_LESIONS


@pytest.fixture
def report(row):
    """Its report, of which nothing is confirmed."""
    return make_report(row)


STATES = ("new", "part confirmed", "edited", "final", "incomplete", "healthy", "warned",
          "not found", "unusual", "contradicting")  # fmt: skip
CONSOLIDATED = {"type": "consolidation", "consolidation": 60.0, "ground_glass": 40.0}
SMALL = {key: ROW[key] / 10 for key in ROW if key.endswith("_ml")}


@pytest.fixture
def contradicting(row):
    """A report whose values were all confirmed before anybody checked them: class 3 at 20 %."""
    new = make_report(row | {"ct_ss": 3})
    fields = (replace(one, status="confirmed", by="reader-1") for one in new.fields)
    return replace(new, fields=tuple(fields))


@pytest.fixture(params=STATES)
def any_report(request, row, healthy_row, report, contradicting):
    """A report in each of its states."""
    edited = report.edit("upper", 31.0, "reader-1").review(CONSOLIDATED, "reader-2")
    small = make_report(row | SMALL)
    return {
        "new": report,
        "part confirmed": report.confirm("ct_ss", "reader-1"),
        "edited": edited,
        "final": edited.confirm_all("reader-3"),
        "incomplete": make_report(row | {"complete": False}),
        "healthy": make_report(healthy_row),
        "not found": make_report(row | {"peripheral": NAN}).confirm("peripheral", "reader-1"),
        "unusual": small.confirm("lungs_ml", "reader-1", reason="a child"),
        "contradicting": contradicting,
        "warned": make_report(row | {"warnings": "thick slices; motion", "software": "threshold"}),
    }[request.param]
