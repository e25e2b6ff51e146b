from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.report_structuring.schema import (
    NOT_MENTIONED,
    TEMPLATES,
    Field,
    read_template,
)


def values_of(field: Field) -> st.SearchStrategy:
    """Whatever a field may hold."""
    if field.choices:
        return st.sampled_from([*field.choices, NOT_MENTIONED])
    number = st.floats(field.low, field.high).map(lambda value: round(value, field.decimals) + 0.0)
    return st.none() | number


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_is_serialized_is_parsed_to_the_same_values(name, data):
    template = read_template(name)
    values = {field.key: data.draw(values_of(field)) for field in template.fields}
    text = template.serialize(values)
    assert template.parse(text) == values
    assert template.serialize(template.parse(text)) == text


@given(text=st.text(alphabet="ef=; ?x1.0-nainf", max_size=30))
def test_a_text_parses_only_if_it_is_the_one_that_is_written(text):
    template = read_template("echo_short")
    try:
        values = template.parse(text)
    except DataError:
        return
    assert template.serialize(values) == text


@pytest.mark.parametrize(
    "word", ["", "nan", "inf", "-0", "55.0", "055", "5e1", " 55", "99", "None"]
)
def test_a_number_is_written_in_one_way_only(word):
    template = read_template("echo")
    text = template.serialize(template.empty()).replace("; ef=?", f"; ef={word}")
    with pytest.raises(DataError, match="ef"):
        template.parse(text)


@pytest.mark.parametrize("word", ["", "not_mentioned", "sinu", "Sinus", "sinus "])
def test_a_choice_is_written_in_one_way_only(word):
    template = read_template("echo")
    text = template.serialize(template.empty()).replace("rhythm=?", f"rhythm={word}")
    with pytest.raises(DataError, match="rhythm"):
        template.parse(text)


def test_short_forms_have_at_most_twenty_fields_of_the_whole_one_in_order():
    for name in ("covid_ct", "echo"):
        whole, short = read_template(name), read_template(f"{name}_short")
        assert len(short.fields) <= 20 < len(whole.fields)
        assert [f for f in whole.fields if f.short] == list(short.fields)


def test_what_is_not_said_counts_as_not_mentioned_and_numbers_are_rounded():
    template = read_template("echo")
    values = template.check({"rhythm": float("nan"), "ef": "", "lvedd": 5.24, "window": None})
    assert values == template.empty() | {"lvedd": 5.2}


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"ef": 99}, "field ef\n  expected: a number from 10 to 85 %"),
        ({"rhythm": "sinusal"}, "field rhythm\n  expected: sinus or fibrillation"),
        ({"rythm": "sinus"}, "did you mean 'rhythm'"),
        ({"ef": "fifty"}, "field ef"),
    ],
)
def test_a_value_that_the_template_does_not_allow_is_refused_by_name(values, match):
    with pytest.raises(DataError, match=match):
        read_template("echo").check(values)


OWN = """
name: knee
title: {en: Knee}
sections: {18782-3: {en: Findings}}
fields:
  - {key: effusion, label: {en: effusion}, choices: [present, absent]}
  - {key: size, label: {en: size}, unit: mm, low: 1, high: 40}
"""


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_share_where_percent_are_asked_is_refused_and_not_rounded(share):
    covid = read_template("covid_ct")
    with pytest.raises(DataError, match=f"field extent: {share} looks like a share"):
        covid.entered({"extent": share})
    assert covid.entered({"extent": 100 * share})["extent"] == round(100 * share)
    assert covid.entered({"extent": 0})["extent"] == 0


def test_a_template_of_ones_own_is_read_from_its_file(tmp_path):
    path = tmp_path / "template.yaml"
    path.write_text(OWN)
    assert read_template(path).serialize({"size": 12}) == "effusion=?; size=12"


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("[present, absent]", "[present, present]", "once each"),
        ("[present, absent]", "[yes it is, no]", "pattern"),
        ("low: 1", "low: 90", "greater high"),
        ("key: size", "key: effusion", "said twice"),
        ("high: 40}", "high: 40, section: 1-1}", "not declared: 1-1"),
        ("name: knee", "name: [", "cannot be read"),
        ("unit: mm", "units: mm", "fields.1.units"),
    ],
)
def test_a_damaged_template_is_refused_with_its_place(tmp_path, old, new, match):
    path = tmp_path / "template.yaml"
    path.write_text(OWN.replace(old, new))
    with pytest.raises(DataError, match=match):
        read_template(path)


def test_an_unknown_template_is_refused_with_the_names_there_are():
    with pytest.raises(RequestError, match="covid_ct_short"):
        read_template("mammography")
