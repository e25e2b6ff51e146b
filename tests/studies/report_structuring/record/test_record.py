"""Answers become reports that keep what was read, where, and how sure; damage is noticed."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.report import document
from nextaim_kit.report.filling import fill_all
from nextaim_kit.report.verdicts import OF_TEXTS, half_reviewed, verdicts
from nextaim_kit.studies.report_structuring.baselines.classical import fit_majority, fit_tfidf
from nextaim_kit.studies.report_structuring.measures import Answers
from nextaim_kit.studies.report_structuring.methods import save_structurer
from nextaim_kit.studies.report_structuring.reading.cohorts import Reports
from nextaim_kit.studies.report_structuring.record import damage, evidence, exports, sheet
from nextaim_kit.studies.report_structuring.schema import TEMPLATES, read_template
from nextaim_kit.studies.report_structuring.twin import make_set
from nextaim_kit.studies.report_structuring.writing.styles import HEADINGS

TEXT = "Quesito diagnostico: dispnea. Referto: FE 55 %, versamento assente."
TABLE = pd.DataFrame({"subject": ["E-1"], "site": ["A"], "provenance_synthetic": [True]})


def reports_of(name, said, least=0.1):
    template = read_template(name)

    class Reader:
        def answer(self, texts):
            values = pd.DataFrame([template.empty() | (said if "55" in t else {}) for t in texts])
            return Answers(values, values.map(lambda _: 0.75))

    asked = evidence.Asked(Reader(), [TEXT], template)
    found = evidence.find_evidence(asked, evidence.sentence_scores(asked))
    rows = exports.record_rows(asked, found, TABLE, template, software="reader", least=least)
    reports, failed = fill_all(sheet.report_template(template, "it"), rows)
    assert failed.empty
    return reports


@pytest.fixture
def report():
    return reports_of("echo_short", {"ef": 55.0, "rhythm": "sinus"})["E-1"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_makes_a_report_that_survives_its_exports(name):
    template = read_template(name)
    said = {f.key: f.choices[0] if f.choices else f.low for f in template.fields}
    reports = reports_of(name, said) | {"none": reports_of(name, {})["E-1"]}
    found = verdicts(half_reviewed([*reports.values()] * 2, "reader-1"), OF_TEXTS)
    assert found["problems"].tolist() == [""] * 4
    assert (found[["document_same", "response_same"]] == len(template.fields)).all(axis=None)


def test_a_report_keeps_value_confidence_evidence_and_language(report):
    ef = report.field("ef")
    assert (ef.value, ef.confidence, report.quoted("ef")) == (55, 0.75, ["55"])
    assert ef.what.ucum == "%"
    assert report.field("rhythm").what.shown("sinus") == "ritmo sinusale"
    assert report.synthetic
    assert report.values["lvedd"] is None


def test_evidence_below_the_least_is_none_and_the_value_is_checked_first():
    report = reports_of("echo_short", {"ef": 55.0}, least=0.99)["E-1"]
    assert [doubt.keys for doubt in report.doubts] == [("ef",)]
    assert report.order[0] == "ef"


def test_the_document_has_the_sections_of_the_text(report):
    sections = document.to_document(report)["entry"][0]["resource"]["section"]
    codes = [section["code"]["coding"][0]["code"] for section in sections]
    assert codes[:2] == ["18785-6", "18782-3"]
    assert "FE 55 %" in sections[1]["text"]["div"]


def test_every_damage_is_noticed_but_a_number_that_is_changed_everywhere(report):
    found = damage.damaged(report).set_index("damage")["rules"]
    assert list(found[~found].index) == [damage.UNNOTICED]
    assert len(found) == len(damage.DAMAGES)


def test_all_values_are_listed_in_the_order_of_checking(report):
    right = pd.DataFrame([dict.fromkeys(report.values, True) | {"ef": False}])
    table = exports.in_order([report], right)
    assert len(table) == len(report.fields)
    assert table["field"].tolist() == report.order
    assert table.loc[~table["right"], "field"].tolist() == ["ef"]


PLANTED = "Sig. Mario Conti, nato il 12/03/1950, C.F. CNTMRA50C12H501U"


@pytest.mark.parametrize("word", ["Conti", "12/03/1950", "cntmra50c12h501u", "MARIO"])
@pytest.mark.parametrize("hidden", [False, True])
def test_what_tells_a_person_is_found_in_files_also_in_base64(tmp_path, word, hidden):
    text = f"un testo di prova, di {word}, abbastanza lungo"
    data = base64.b64encode(text.encode()).decode() if hidden else text
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "report.json").write_text(json.dumps({"data": data}))
    assert exports.left_in(tmp_path, [PLANTED]) == ["deep/report.json"]


def test_words_that_only_begin_alike_tell_nobody(tmp_path):
    (tmp_path / "a.txt").write_text("il Sig. continua, nato, mariologia, 13/03/1950, C.F.")
    assert exports.left_in(tmp_path, [PLANTED]) == []
    assert exports.left_in(tmp_path, []) == []


def test_what_was_covered_is_remembered_for_the_search():
    assert exports.covered([PLANTED, "niente"], ["niente"])[:2] == [
        "12/03/1950",
        "CNTMRA50C12H501U",
    ]
    assert "niente" in exports.covered([PLANTED, "niente"], ["niente"])


def test_headings_of_every_house_style_are_known():
    known = sheet.report_template(read_template("covid_ct")).headings
    for code, by_language in HEADINGS.items():
        assert {word for words in by_language.values() for word in words} <= {*known[code]}, code


def test_a_subject_that_is_not_there_is_refused_and_the_fullest_report_stands_in():
    with pytest.raises(RequestError, match="none of the reports"):
        exports.row_to_show(["A", "B"], "C")
    asked = SimpleNamespace(stated=np.array([[False, False], [True, False]]))
    assert exports.row_to_show(["A", "B"], "") == 0
    assert exports.row_to_show(["A", "B"], "", asked) == 1
    with pytest.raises(DataError, match="nothing was read"):
        exports.row_to_show(["A", "B"], "", SimpleNamespace(stated=asked.stated[:1]))


def test_a_review_is_kept_by_what_was_read_and_by_whom(report, monkeypatch, tmp_path):
    monkeypatch.setenv("NEXTAIM_DATA", str(tmp_path))
    place = exports.place_of(report, "reader-1")
    assert place.is_relative_to(tmp_path)
    assert place == exports.place_of(report.confirm_all("reader-2"), "reader-1")
    assert place != exports.place_of(replace(report, text="other"), "reader-1")


def test_reports_without_values_are_structured_and_exported(tmp_path):
    template = read_template("echo_short")
    table = make_set("echo").table
    structurer = fit_tfidf(table, template)
    some = table.head(2)
    done = exports.export_all(structurer, some, list(some["text"]), tmp_path, least=0.1)
    assert sorted(done.reports) == sorted(some["subject"])
    assert {p.name for p in (tmp_path / some["subject"][0]).iterdir()} == {
        "patient.html", "report.fhir.json", "questionnaire.json", "response.json",
    }  # fmt: skip


def test_a_model_of_another_template_is_refused(tmp_path):
    made = make_set("echo")
    path = save_structurer(fit_majority(made.table, made.template), tmp_path / "m.safetensors")
    reports = Reports(made.table, read_template("covid_ct_short"))
    with pytest.raises(DataError, match="fills another template"):
        exports.structurer_of(str(path), reports)
    assert exports.structurer_of(str(path), Reports(made.table, made.template)).name == "majority"


def test_without_values_and_without_a_model_there_is_nothing_to_learn_from():
    made = make_set("echo")
    with pytest.raises(DataError, match="nothing to learn from"):
        exports.structurer_of("", Reports(made.table, made.template, labeled=False))


def test_an_order_finds_errors_as_early_as_it_puts_them():
    values = pd.DataFrame({
        "confidence": [0.9, 0.5, 0.8, 0.7], "right": [True, False, True, True],
        "unsupported": [False, False, True, False], "listed": [0, 1, 2, 3],
    })  # fmt: skip
    found = {name: line[1].tolist() for name, line in exports.orders(values).items()}
    assert found["confidence"] == [0, 1, 1, 1, 1]
    assert found["doubt, then confidence"] == [0, 0, 1, 1, 1]
    assert found["the template's order"] == [0, 0, 1, 1, 1]


def test_reports_of_patients_who_trained_the_structurer_are_left_out(tmp_path):
    made = make_set("echo")
    train, reports = made.only("train").table, Reports(made.table, made.template)
    told = {"trained_on": {"name": "x", "sha256": None, "synthetic": True},
            "patients": train["patient"]}  # fmt: skip
    one = fit_majority(train, made.template)
    path = save_structurer(one, tmp_path / "m.safetensors", **told)
    table, named = exports.looked_at(reports, str(path), 15)
    assert len(table) == 15
    assert not set(table["patient"]) & set(train["patient"])
    assert set(named["subject"]) == set(train["subject"])
    assert set(exports.looked_at(reports, "", 50)[0]["split"]) == {"test"}
