"""A report that was read from a text keeps its evidence, its confidence and what is silent."""

from __future__ import annotations

import json

import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.report import codes, document, fhir_reading, page, prose, questionnaire, sr
from nextaim_kit.report.codes import Code
from nextaim_kit.report.evidence import stand_in
from nextaim_kit.report.filling import fill
from nextaim_kit.report.marked_text import marked_text
from nextaim_kit.report.model import CHECK_FIRST, Template
from nextaim_kit.report.quantity import Quantity
from nextaim_kit.report.review_form import ReportForm
from nextaim_kit.report.verdicts import OF_TEXTS, half_reviewed, verdicts

OWN = codes.OwnSystem("99HEART", "http://example.org/heart", "Fields of the heart", "HE")
WORDS = (("present", Code(OWN, "fluid-present", "presente")),
         ("absent", Code(OWN, "fluid-absent", "assente")))  # fmt: skip
TEMPLATE = Template(
    name="heart",
    title="Echocardiography",
    code=codes.RADIOLOGY_REPORT,
    system=OWN,
    quantities=(
        Quantity("ef", "Ejection fraction", Code(OWN, "ef", "EF"), "number", "from the text",
                 section=codes.OBSERVED, unit=codes.PERCENT, low=5, high=90, digits=0,
                 optional=True),
        Quantity("fluid", "Effusion", Code(OWN, "fluid", "Effusion"), "choice", "from the text",
                 section=codes.OBSERVED, choices=WORDS, optional=True),
        Quantity("paced", "Paced", Code(OWN, "paced", "Paced"), "flag", "from the text",
                 section=codes.CONCLUSIONS, optional=True),
    ),
    sentences=lambda report: [f"EF {report.values['ef']}."],
    sections=(codes.OBSERVED, codes.CONCLUSIONS),
    headings={"18782-3": ["Referto"], "55110-1": ["Conclusioni"]},
)  # fmt: skip
TEXT = "Referto: FE 55 %, non <versamento>.\nConclusioni: nella norma."
ROW = {
    "subject": "E-1", "site": "A", "software": "reader of texts, 1", "text": TEXT, "ef": 55.0,
    "fluid": "absent", "paced": None, "confidence": {"ef": 0.91234567, "fluid": 0.4},
    "evidence": {"ef": [(9, 11), (12, 16)]},
}  # fmt: skip


@pytest.fixture
def report():
    return fill(TEMPLATE, ROW)


@pytest.fixture(params=["new", "reviewed", "final", "synthetic", "silent"])
def any_report(request, report):
    reviewed = report.confirm("paced", "reader-1").edit("ef", 50, "reader-2", reason="seen again")
    silent = dict.fromkeys(("ef", "fluid", "paced"))
    return {
        "new": report,
        "reviewed": reviewed,
        "final": reviewed.edit("ef", None, "reader-1").confirm_all("reader-3"),
        "synthetic": fill(TEMPLATE, ROW | {"provenance_synthetic": True, "warnings": "long text"}),
        "silent": fill(TEMPLATE, ROW | silent | {"evidence": {}}),
    }[request.param]


def test_its_document_is_valid_and_comes_back_equal(any_report):
    written = json.loads(document.to_json(any_report))
    assert document.problems(written, TEMPLATE) == []
    assert fhir_reading.from_bundle(written, TEMPLATE) == any_report


def test_its_response_is_valid_and_comes_back_equal(any_report):
    written = json.loads(json.dumps(questionnaire.to_response(any_report)))
    assert questionnaire.problems(written, TEMPLATE) == []
    assert questionnaire.from_response(written, TEMPLATE) == any_report


def test_a_questionnaire_asks_each_value_with_its_unit_bounds_and_words():
    asked = questionnaire.to_questionnaire(TEMPLATE)
    assert questionnaire.questionnaire_problems(asked) == []
    ef, fluid = asked["item"][0]["item"]
    said = {e["url"].rpartition("/")[2]: e for e in ef["extension"]}
    assert said["questionnaire-unit"]["valueCoding"]["code"] == "%"
    assert (said["minValue"]["valueDecimal"], said["maxValue"]["valueDecimal"]) == (5, 90)
    assert [one["valueCoding"]["display"] for one in fluid["answerOption"]] == [
        "presente",
        "assente",
    ]


def test_what_the_text_does_not_mention_has_a_reason_and_no_value(report):
    written = document.to_document(report)
    paced = next(o for o in observations(written) if fhir_reading.key_of(o, TEMPLATE) == "paced")
    assert paced["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert not [name for name in paced if name.startswith("value")]


def observations(written):
    return [
        e["resource"] for e in written["entry"] if e["resource"]["resourceType"] == "Observation"
    ]


def test_a_value_without_evidence_is_to_be_checked_first_until_somebody_has(report):
    assert [(d.name, d.keys) for d in report.doubts] == [(CHECK_FIRST, ("fluid",))]
    assert report.order == ["fluid", "ef", "paced"]
    assert report.confirm("fluid", "reader-1").doubts == []


def test_the_sections_show_the_words_of_the_text_escaped_and_list_their_values(report):
    sections = document.to_document(report)["entry"][0]["resource"]["section"]
    assert [s["code"]["coding"][0]["code"] for s in sections] == ["18782-3", "55110-1"]
    assert "FE 55 %, non &lt;versamento&gt;." in sections[0]["text"]["div"]
    assert [len(s["entry"]) for s in sections] == [2, 1]


def test_values_of_a_section_that_the_text_has_not_stand_in_one_of_their_own():
    written = document.to_document(fill(TEMPLATE, ROW | {"text": "FE 55 %", "evidence": {}}))
    titles = [s["title"] for s in written["entry"][0]["resource"]["section"]]
    assert titles == ["Radiology Study observation (narrative)", "Conclusions"]
    assert document.problems(written, TEMPLATE) == []


@pytest.mark.parametrize(
    "text", ["", "no heading at all", "Conclusioni: ok\nReferto\nx\nreferto: y"]
)
def test_sections_leave_nothing_out_but_headings(text):
    found = prose.sections(text, TEMPLATE.headings)
    kept = "".join(text[one.first : one.end] for one in found)
    assert kept.replace(" ", "") == text.replace("Conclusioni:", "").replace(
        "Referto\n", "").replace("referto:", "").replace("\n", "").replace(" ", "")  # fmt: skip


def test_a_word_within_a_sentence_is_no_heading():
    found = prose.sections("Le conclusioni: vedi referto: sopra.", TEMPLATE.headings)
    assert [one.heading for one in found] == [""]


def test_a_text_that_does_not_fit_its_answers_is_noticed(report):
    written = document.to_document(report)
    next(o for o in observations(written) if "valueQuantity" in o)["valueQuantity"]["value"] = 56
    assert document.problems(written, TEMPLATE) == [document.DIFFERENT]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda r: r.update(questionnaire="http://example.org/other"), "a response to"),
        (lambda r: r.update(status="completed"), "completed, its values are not"),
        (lambda r: r["item"][0]["item"].pop(), "fluid: left out"),
        (lambda r: r["item"][0]["item"].append(r["item"][0]["item"][0]), "ef: answered twice"),
        (lambda r: r["item"][0]["item"][0].pop("extension"), "no review status"),
        (lambda r: r["item"][0]["item"][1]["answer"][0]["valueCoding"].update(code="x"), "none of"),
        (lambda r: r["item"][0]["item"][0].update(colour="red"), "colour"),
    ],
)
def test_a_damaged_response_is_refused(report, damage, said):
    response = questionnaire.to_response(report)
    damage(response)
    assert said in "; ".join(questionnaire.problems(response, TEMPLATE))
    with pytest.raises(DataError, match="no report in FHIR"):
        questionnaire.from_response(response, TEMPLATE)


def test_every_field_of_every_report_comes_back_both_ways(report):
    found = verdicts(half_reviewed([report, report], "reader-1"), OF_TEXTS)
    assert found[["document_valid", "response_valid"]].all(axis=None)
    assert (found[["document_same", "response_same"]] == 3).all(axis=None)


def test_no_sr_is_made_of_what_was_read_from_a_text(report):
    with pytest.raises(RequestError, match="cannot be a DICOM SR"):
        sr.to_sr(report, stand_in(report))


def test_marks_have_numbers_and_every_text_is_escaped(report):
    shown = marked_text(report)
    assert "<mark>FE<sup>2</sup></mark>" in shown
    assert "&lt;versamento&gt;" in shown
    assert "check first" in shown
    assert shown in page.to_html(report)


def test_a_template_refuses_a_key_that_is_another_resources():
    with pytest.raises(RequestError, match="cannot be a template"):
        Template(
            "x", "X", TEMPLATE.code, OWN, (Quantity("text", "T", OWN.status, "flag", "x"),), str
        )


def test_the_form_asks_first_what_is_in_doubt_and_quotes_the_text(report):
    form = ReportForm(report, "reader-1")
    assert list(form.inputs) == ["fluid", "ef", "paced"]
    assert form.states["fluid"].value.startswith("CHECK FIRST")
    assert form.lines.children[1].children[0].children[-1].value == "“FE … 55 %”"
    assert {one.description for one in form.inputs.values()} >= {"Ejection fraction (%)"}


@pytest.mark.parametrize(("given", "value"), [("", None), ("48,4", 48), ("50", 50)])
def test_a_number_may_be_edited_to_another_or_to_none(report, given, value):
    form = ReportForm(report, "reader-1")
    form.inputs["ef"].value = given
    form.buttons["ef"].click()
    assert form.report.values["ef"] == value
    assert form.report.field("ef").status == "edited"


@pytest.mark.parametrize("given", ["about half", "nan", "400"])
def test_what_is_no_possible_number_is_refused_with_its_reason(report, given):
    form = ReportForm(report, "reader-1")
    form.inputs["ef"].value = given
    form.buttons["ef"].click()
    assert form.report == report
    assert "from 5 to 90 % or None" in form.said["ef"].value


def test_a_choice_may_become_not_mentioned(report):
    form = ReportForm(report, "reader-1")
    form.inputs["fluid"].value = "not mentioned"
    form.buttons["fluid"].click()
    assert form.report.values["fluid"] is None


def test_a_review_is_kept_at_once_and_taken_up_again(report, tmp_path):
    form = ReportForm(report, "reader-1", keep=tmp_path / "kept.json")
    form.buttons["fluid"].click()
    again = ReportForm(report, "reader-2", keep=tmp_path / "kept.json")
    assert again.report == form.report
    again.inputs["ef"].value = "60"
    again.buttons["ef"].click()
    assert ReportForm(report, "reader-1", keep=tmp_path / "kept.json").report.values["ef"] == 60


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "no review"), ("{}", "no report in FHIR"), ("[]", "no report in FHIR")],
)
def test_a_damaged_review_is_refused(report, tmp_path, content, said):
    (tmp_path / "kept.json").write_text(content)
    with pytest.raises(DataError, match=said):
        ReportForm(report, "reader-1", keep=tmp_path / "kept.json")


@pytest.mark.parametrize("other", [{"ef": 54}, {"text": TEXT + " "}, {"subject": "E-2"}])
def test_the_review_of_another_report_is_refused(report, tmp_path, other):
    ReportForm(report, "reader-1", keep=tmp_path / "kept.json").buttons["ef"].click()
    with pytest.raises(DataError, match="another report"):
        ReportForm(fill(TEMPLATE, ROW | other), "reader-1", keep=tmp_path / "kept.json")
