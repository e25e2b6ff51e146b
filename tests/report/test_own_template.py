"""Any study makes a report of its own template: here three lines of a breast, made up."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from nextaim_kit.errors import DataError, KitError
from nextaim_kit.report import codes, fhir, fhir_reading, page, questionnaire, sr, sr_reading
from nextaim_kit.report.codes import Code
from nextaim_kit.report.evidence import stand_in
from nextaim_kit.report.filling import fill
from nextaim_kit.report.model import Doubt, Template
from nextaim_kit.report.quantity import Quantity
from nextaim_kit.report.review_form import ReportForm
from tests.conftest import validator_says

BREAST = Code(codes.SNOMED, "76752008", "Breast")
OWN = codes.OwnSystem("99BREAST", "http://example.org/breast", "Findings of the breast", "BR")
PLACE = {"site": BREAST, "finding": codes.LESION}
KINDS = (("mass", Code(OWN, "BR-MASS", "Mass")), ("none", Code(OWN, "BR-NONE", "No finding")))


def contradictions(report):
    if (report.values["kind"] == "none") != (report.values["size_mm"] == 0):
        yield Doubt("size and kind", "a size of nothing", ("size_mm", "kind"))


TEMPLATE = Template(
    name="breast",
    title="Mammogram",
    code=Code(codes.LOINC, "24606-6", "MG Breast Screening"),
    system=OWN,
    quantities=(
        Quantity("whole", "Breast is whole", Code(OWN, "BR-WHOLE", "Whole"), "flag", "by eye",
                 section=codes.PROCEDURE, **PLACE),
        Quantity("size_mm", "Diameter", Code(OWN, "BR-SIZE", "Diameter"), "number", "ruler",
                 unit=codes.MILLIMETERS, low=0, high=200, bound=True, **PLACE),
        Quantity("kind", "Kind of finding", Code(OWN, "BR-KIND", "Kind"), "choice", "by eye",
                 choices=KINDS, **PLACE),
    ),
    sentences=lambda report: [f"A {report.values['kind']} of {report.values['size_mm']} mm."],
    contradictions=contradictions,
    modality="MG",
    whole="whole",
)  # fmt: skip
ROW = {"subject": "B-1", "software": "ruler, 1", "whole": True, "size_mm": 12.3, "kind": "mass"}


@pytest.fixture(params=["new", "reviewed", "final"])
def report(request):
    new = fill(TEMPLATE, ROW)
    reviewed = new.confirm("kind", "reader-1").edit("size_mm", 14.0, "reader-2")
    return {"new": new, "reviewed": reviewed, "final": reviewed.confirm_all("reader-1")}[
        request.param
    ]


def test_its_sr_comes_back_equal_and_is_valid(report, tmp_path):
    sr.save(sr.to_sr(report, stand_in(report)), tmp_path / "sr.dcm")
    assert sr_reading.from_sr(sr_reading.read(tmp_path / "sr.dcm"), TEMPLATE) == report
    assert "Error" not in validator_says(tmp_path / "sr.dcm")


def test_its_bundle_comes_back_equal(report):
    bundle = json.loads(fhir.to_json(report))
    assert fhir_reading.problems(bundle, TEMPLATE) == []
    assert fhir_reading.from_bundle(bundle, TEMPLATE) == report


def test_its_page_speaks_its_own_words():
    shown = page.to_html(fill(TEMPLATE, ROW | {"whole": False, "kind": "none"}))
    for words in ("<h1>Mammogram</h1>", "A none of 12.3 mm.", "at least 12.3", "size of nothing"):
        assert words in shown
    assert "lung" not in shown.lower()


def test_its_form_confirms_its_values():
    form = ReportForm(fill(TEMPLATE, ROW), "reader-1")
    form.inputs["kind"].value = "none"
    form.buttons["kind"].click()
    assert form.report.field("kind").status == "ai-derived"
    assert "A size of nothing" in form.said["kind"].value
    form.inputs["size_mm"].value = 0.0
    form.buttons["kind"].click()  # both were changed, and fit together
    assert form.report.field("size_mm").status == form.report.field("kind").status == "edited"


def test_another_templates_document_is_not_read_as_this_one(report):
    stream = io.BytesIO()
    sr.to_sr(report, stand_in(report)).save_as(stream, enforce_file_format=True)
    stream.seek(0)
    other = Template("other", "Other", TEMPLATE.code, OWN, TEMPLATE.quantities[:2], lambda _: [])
    assert sr_reading.examine(sr_reading.read(stream), other)[1] == ["BR-KIND: unknown quantity"]


def test_two_templates_never_share_an_id(report):
    other = Template("other", "Other", TEMPLATE.code, OWN, TEMPLATE.quantities, lambda _: [])
    ids = [fhir.to_bundle(fill(one, ROW))["entry"][0]["fullUrl"] for one in (TEMPLATE, other)]
    assert len(set(ids)) == 2


def test_the_room_loads_no_study():
    code = "from nextaim_kit.report import page, sr, review_form; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "nextaim_kit.studies" not in done.stdout


def without_each_part(node):
    """Nothing, over and over, while the resource lacks another part each time."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        part = node[key]
        if isinstance(part, dict | list):
            yield from without_each_part(part)
        if isinstance(node, dict):
            del node[key]
        else:
            node[key] = None
        yield
        node[key] = part


@pytest.mark.parametrize("kind", ["bundle", "response"])
def test_a_resource_that_lacks_any_part_is_read_or_refused_with_an_error_of_the_kits(kind):
    new = fill(TEMPLATE, ROW)
    made, read = {
        "bundle": (json.loads(fhir.to_json(new)), fhir_reading.from_bundle),
        "response": (questionnaire.to_response(new), questionnaire.from_response),
    }[kind]
    refused = 0
    for number, _ in enumerate(without_each_part(made)):
        try:
            if number % 3 == 0:
                read(made, TEMPLATE)
        except KitError:
            refused += 1
    assert refused > 15
    assert read(made, TEMPLATE) == new


def test_an_sr_without_its_content_is_refused(tmp_path):
    document = sr.to_sr(new := fill(TEMPLATE, ROW), stand_in(new))
    del document.ContentSequence
    with pytest.raises(DataError, match="no report in DICOM SR"):
        sr_reading.from_sr(document, TEMPLATE)
