import pytest

from nextaim_kit import RequestError
from nextaim_kit.studies.report_structuring.numbers import NumberSpan, find_numbers, value_in


def found(text, language="it"):
    return [(n.value, n.unit) for n in find_numbers(text, language)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DTD 5,2 cm", [(5.2, "cm")]),
        ("FE:55%;TAPSE 22mm.", [(55, "%"), (22, "mm")]),
        ("VTD 110 ml/mq, 18 centimetri", [(110, "ml/m2"), (18, "cm")]),
        ("frazione di eiezione cinquantacinque per cento", [(55, "%")]),
        ("cinque virgola due cm, ventuno, centoventotto", [(5.2, "cm"), (21, ""), (128, "")]),
        ("nodulo di 12 x 8 mm, FE 50-55%", [(12, "mm"), (8, "mm"), (50, "%"), (55, "%")]),
        ("GLS -19,5 %", [(-19.5, "%")]),
        ("volume 1.200 ml", [(1200, "ml")]),
        ("severity score 18/25", [(18, "")]),
        ("un nodulo; un centimetro", [(1, "cm")]),
    ],
)
def test_italian_numbers_are_read_with_their_units(text, expected):
    assert found(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("EF fifty-five percent", [(55, "%")]),
        ("one nodule, twenty two mm", [(22, "mm")]),
        ("one hundred and five ml, one hundred", [(105, "ml"), (100, "")]),
        ("five point two cm, 1,200 ml", [(5.2, "cm"), (1200, "ml")]),
    ],
)
def test_english_numbers_are_read_with_their_units(text, expected):
    assert found(text, "en") == expected


@pytest.mark.parametrize("text", ["COVID-19", "T2", "il 12/03/2020 alle 10:30", "2020-03-12"])
def test_names_dates_and_times_are_no_numbers(text):
    assert not found(text)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("circa 1/3 del parenchima, 2 / 3", "it"),
        ("due terzi, 3 quarti, 4/5 dei lobi, 1½ cm", "it"),
        ("due centimetri e mezzo, 2 cm e mezzo", "it"),
        ("two thirds, two-thirds, 3/10 of the lung", "en"),
    ],
)
def test_what_stands_in_a_fraction_is_no_number(text, language):
    assert not find_numbers(text, language)


def test_a_score_and_a_grade_are_no_fractions():
    text = "severity score 18/25, 3/5; 2+/4+, FE 1/34"
    assert [value for value, _ in found(text)] == [18, 3, 2, 1]


def test_a_span_holds_the_characters_of_the_number_alone():
    text = "aorta di 3,4 cm"
    number = find_numbers(text)[0]
    assert text[number.start : number.end] == "3,4"


def test_a_number_of_another_kind_than_the_field_has_no_value_in_it():
    assert value_in(NumberSpan(0, 2, 52, "mm"), "cm") == 5.2
    assert value_in(NumberSpan(0, 2, 52, ""), "cm") == 52
    assert value_in(NumberSpan(0, 2, 18, "%"), "") == 18
    assert value_in(NumberSpan(0, 2, 52, "ml"), "cm") is None
    assert value_in(NumberSpan(0, 2, 52, "mm"), "") is None


def test_a_language_without_number_words_is_refused():
    with pytest.raises(RequestError, match="'fr'"):
        find_numbers("cinq", "fr")
