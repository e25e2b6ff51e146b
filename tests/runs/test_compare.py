"""The difference to a published number, in words: right, and never flattering."""

from __future__ import annotations

import pytest

from nextaim_kit.catalog import Published, Study
from nextaim_kit.runs.chart import comparison_html, interval_chart
from nextaim_kit.runs.compare import (
    NO_RUN,
    Comparison,
    Reference,
    compare,
    difference,
    in_words,
    measured_text,
    number,
)


def published(value=0.85, **more) -> Published:
    return Published(**{"metric": "AUC", "value": value, "tag": "slides", "where": "a talk"} | more)


def ours(value, low=None, high=None) -> dict:
    return {"name": "auc", "value": value, "low": low, "high": high, "n": 9, "unit": "", "note": ""}


def record(*metrics, synthetic=True) -> dict:
    data = [{"name": "x", "sha256": None, "licence": "MIT", "synthetic": synthetic}]
    return {"stage": "fit", "metrics": list(metrics), "data": data}


def study(*numbers) -> Study:
    return Study(id="s", title="S", question="?", published=list(numbers))


@pytest.mark.parametrize(
    ("measured", "reference", "words"),
    [
        (ours(0.83, 0.80, 0.86), published(), "0.02 below, inside our interval"),
        (ours(0.95, 0.92, 0.97), published(), "0.1 above, outside our interval; published value "
         "has no interval"),
        (ours(0.80, 0.78, 0.82), published(spread=0.04), "0.05 below, the intervals overlap"),
        (ours(0.70, 0.68, 0.72), published(spread=0.04), "0.15 below, the intervals "
         "do not overlap"),
        (ours(0.83), published(low=0.8, high=0.9), "0.02 below, inside the published spread; "
         "ours has no interval"),
        (ours(0.83), published(), "0.02 below, neither has an interval"),
        (ours(100.0), published(100), "equal"),
        (ours(450.0), published(100), "350 above, neither has an interval"),
        (ours(199.7, 90.0, 250.0), published(100), "100 above, inside our interval"),
        (ours(0.85, 0.80, 0.90), published(), "equal, inside our interval"),
        (ours(0.8504), published(), "equal"),
        (ours(0.8506), published(), "0.0006 above, neither has an interval"),
        (ours(0.80, 0.75, 0.85), published(), "0.05 below, inside our interval"),
        (ours(0.90, 0.85, 0.95), published(), "0.05 above, inside our interval"),
        (ours(0.79, 0.77, 0.82), published(low=0.82, high=0.9), "0.06 below, the intervals "
         "overlap"),
        (ours(0.95, 0.90, 0.97), published(low=0.82, high=0.9), "0.1 above, the intervals overlap"),
        (ours(0.95, 0.91, 0.97), published(low=0.82, high=0.9), "0.1 above, the intervals "
         "do not overlap"),
        (ours(0.79), published(spread=0.04), "0.06 below, outside the published spread; "
         "ours has no interval"),
        (None, published(), NO_RUN),
    ],
)  # fmt: skip
def test_the_difference_is_said_in_words(measured, reference, words):
    assert difference(measured, reference) == words


def test_a_number_matches_ours_by_its_alias_and_lends_it_its_name():
    found = compare(record(ours(0.8)), study(published(notebook="fit", matches="auc")))
    assert [(c.name, c.label, len(c.references)) for c in found] == [("auc", "AUC", 1)]


def test_versions_of_a_method_share_the_name_of_their_number():
    numbers = [published(metric=f"Dice, {v}", notebook="fit", matches="auc") for v in ("v1", "v2")]
    assert compare(record(ours(0.8)), study(*numbers))[0].label == "Dice"
    numbers += [published(metric="F1", notebook="fit", matches="auc")]
    assert compare(record(ours(0.8)), study(*numbers))[0].label == "AUC"


def test_two_names_of_one_number_leave_it_its_own():
    numbers = [published(metric=m, notebook="fit", matches="auc") for m in ("joint", "best of ten")]
    assert compare(record(ours(0.8)), study(*numbers))[0].label == "AUC"


def test_numbers_of_our_own_are_folded_away_where_others_stand_beside_published_ones():
    beside = comparison_html(record(ours(0.8)), study(published(notebook="fit", matches="auc")))
    assert "<details" not in beside
    alone = comparison_html(record(ours(0.8)), study())
    assert "<details open><summary>1 number of this run" in alone
    assert '<th scope="col">published</th>' not in alone
    other = ours(0.7) | {"name": "mean"}
    both = record(ours(0.8)) | {"metrics": [ours(0.8), other]}
    shown = comparison_html(both, study(published(notebook="fit", matches="auc")))
    assert "<details><summary>1 more number of this run" in shown


def test_a_number_of_another_stage_is_left_out():
    found = compare(record(ours(0.8)), study(published(notebook="other", matches="auc")))
    assert [(c.name, c.words) for c in found] == [("auc", "not published")]


def test_a_published_number_that_the_run_did_not_measure_is_said_to_be_missing():
    found = compare(record(ours(0.8)), study(published(metric="recall", notebook="fit")))
    assert found[0].references[0].words == "not in this run"


def test_several_published_numbers_stand_beside_one_of_ours():
    numbers = [published(v, notebook="fit", matches="auc") for v in (0.85, 0.83)]
    (found,) = compare(record(ours(0.8)), study(*numbers))
    assert [r.published.value for r in found.references] == [0.85, 0.83]


def test_numbers_are_written_short_but_not_coarse():
    assert [number(v) for v in (100.0, 0.8, 0.815, 0.00012, 123.456)] == [
        "100", "0.80", "0.815", "1.2e-04", "123.5",
    ]  # fmt: skip
    assert [number(v) for v in (999_999, 1_000_000, -0.0006, 99.95, 100.25, 1000.5, -3.0)] == [
        "999999", "1e+06", "-0.001", "99.95", "100.2", "1000", "-3",
    ]  # fmt: skip


def test_a_measured_value_is_written_with_its_interval_and_unit():
    assert measured_text(ours(0.8471, 0.8109, 0.8822)) == "0.847 [0.811, 0.882]"
    assert measured_text(ours(7.0) | {"unit": "ml"}) == "7 ml"
    (found,) = compare(record(ours(0.8, 0.7, 0.9)), study())
    assert (found.value, found.interval) == ("0.800", "[0.700, 0.900]")
    assert Comparison("auc").text == Comparison("auc").value == "-"


def test_a_published_number_is_written_with_its_spread_or_interval():
    texts = [Reference(p, "").text for p in (published(), published(spread=0.04),
             published(low=0.8, high=0.9))]  # fmt: skip
    assert texts == ["0.85", "0.85 ± 0.04", "0.85 [0.80, 0.90]"]


def test_a_metric_without_a_published_name_is_written_in_words():
    assert in_words("site_auc_after_combat") == "site AUC after ComBat"


def test_the_table_for_a_notebook_brings_its_style_and_says_synthetic():
    html = comparison_html(record(ours(0.8, 0.7, 0.9)), study(published(notebook="fit")))
    assert "<style>" in html
    assert "SYNTHETIC DATA" in html
    assert "SYNTHETIC" not in comparison_html(record(ours(0.8), synthetic=False), study())


def test_text_from_a_study_file_is_escaped():
    number = published(where="<b>talk</b>", note="<script>", notebook="fit", matches="auc")
    html = comparison_html(record(ours(0.8, 0.7, 0.9)), study(number))
    assert "<script>" not in html
    assert "<b>talk" not in html


def test_a_doi_becomes_a_link():
    html = comparison_html(record(), study(published(doi="10.1/x", notebook="fit")))
    assert '<a href="https://doi.org/10.1/x">a talk</a>' in html


def test_the_chart_names_every_value_for_those_who_cannot_see_it():
    numbers = study(published(spread=0.04, notebook="fit", matches="auc"))
    (comparison,) = compare(record(ours(0.8, 0.75, 0.84)), numbers)
    chart = interval_chart(comparison)
    assert (
        'aria-label="this run: 0.80, from 0.75 to 0.84; a talk: 0.85, from 0.81 to 0.89"' in chart
    )
    assert chart.count("<circle") == chart.count("<path") == 1


def test_equal_numbers_without_intervals_need_no_chart():
    (comparison,) = compare(record(ours(100.0)), study(published(100, notebook="fit",
                                                                 matches="auc")))  # fmt: skip
    assert interval_chart(comparison) == ""


@pytest.mark.parametrize(
    ("source", "link"),
    [
        ({"where": "A 2023 (doi:10.1/x-(1)a), here"}, "https://doi.org/10.1/x-(1)a"),
        ({"where": "arXiv:2312.15462v1: a table"}, "https://arxiv.org/abs/2312.15462"),
        ({"where": "B (PMC8964015)"}, "https://pmc.ncbi.nlm.nih.gov/articles/PMC8964015/"),
        ({"where": "arXiv:2312.15462", "doi": "10.1/x"}, "https://doi.org/10.1/x"),
        ({"where": "a talk"}, ""),
    ],
)
def test_a_source_is_linked_by_its_number(source, link):
    assert published(**source).link == link
