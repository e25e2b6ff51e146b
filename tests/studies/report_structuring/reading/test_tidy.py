"""A report's text is made readable where that is certain, and refused where it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextaim_kit.errors import DataError
from nextaim_kit.studies.report_structuring.reading.tidy import language_of, repaired, tidied

ITALIAN = (
    "È già così: opacità ≤ 3 cm, perché né più né meno… “L\u2019aorta” è 5 ± 1 mm; 36 °C; 10 m²"
)


@pytest.mark.parametrize("page", ["cp1252", "cp850", "mac_roman"])
def test_letters_that_were_read_with_another_code_come_back_exactly(page):
    letters = "È già così, perché né più; la città"
    assert repaired(letters.encode().decode(page, "ignore")) in (letters, letters.replace("à", "Ã"))
    assert repaired("perché è così".encode().decode(page)) == "perché è così"


def test_a_text_that_went_wrong_twice_comes_back_too():
    once = ITALIAN.encode().decode("latin-1")
    assert repaired(once) == repaired(once.encode().decode("latin-1")) == ITALIAN


@given(st.text(alphabet="aàèéìòùÈÀ °±«»' .,;:\n<>&5"))
def test_what_is_right_stays_as_it_is(text):
    assert repaired(text) == text


def test_a_letter_whose_half_is_lost_is_refused():
    for text in ("opacitÃ  bilaterali", "opacit\ufffd", "nÃ© so nÃ  altro"):
        with pytest.raises(DataError, match="letters of the report are broken"):
            tidied(text)


def test_html_is_taken_out_and_said():
    text = "<p class='x'>Il VSx &egrave; dilatato.</p><br/>FE &lt; 30&nbsp;%<!-- bozza -->"
    assert tidied(text) == ("Il VSx è dilatato.\n\nFE < 30 %", ("HTML", "unprinted characters"))


def test_less_than_is_no_tag_and_an_exponent_no_digit():
    assert tidied("FE <30% e DTD >5,2; p<b").text == "FE <30% e DTD >5,2; p<b"
    assert tidied("10<sup>3</sup>/mm<sup>3</sup>").text == "10³/mm³"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("REFERTO: a. CONCLUSIONI: b. REFERTO: c.", "two reports"),
        ("Referto n. 12/A: nulla.\nReferto n. 13/A: nulla.", "two reports"),
        ("FINDINGS: a\nIMPRESSION: b\n\nFINDINGS: c\nIMPRESSION: d", "two reports"),
        ("TC TORACE\nNulla di rilievo.\n\nTC TORACE\nVersamento.", "two reports"),
        ("Nulla. Il medico radiologo A. Altro. Il medico radiologo B.", "two reports"),
        ("", "empty"),
        (" - \n", "empty"),
        ("x" * 32767, "cut by a spreadsheet"),
        ("{\\rtf1\\ansi Torace}", "RTF"),
        ("<?xml version='1.0'?><ClinicalDocument/>", "XML"),
        ("referti/2020/123.pdf", "a file's name"),
        ("#NOME?", "spreadsheet's error"),
        ("Versamento <s>destro</s> sinistro", "struck through"),
        ("㰀爀㸀 砀礀", "not in Latin letters"),
    ],
)
def test_what_is_no_single_report_is_refused(text, why):
    with pytest.raises(DataError, match=why):
        tidied(text)


def test_an_addendum_is_a_part_of_its_report():
    text = "Referto: a.\nConclusioni: b.\nADDENDUM\nConclusioni: c."
    assert tidied(text) == (text, ())


def test_letters_in_two_parts_are_composed_and_signs_without_width_go():
    text, notes = tidied("perche\u0301 no\u200b")
    assert (text, notes) == ("perché no", ("unprinted characters", "composed letters"))


def test_the_language_is_told_by_its_commonest_words():
    assert language_of("The heart is normal in size and the lungs are clear.") == "en"
    assert language_of("Non si apprezza versamento; cuore nei limiti della norma.") == "it"
    assert language_of("No se observa derrame pleural en los senos.") == "es"
    assert language_of("FE 55%") == ""
