from __future__ import annotations

from random import Random

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED
from nextaim_kit.studies.report_structuring.twin import Quality, make_reports, make_set
from nextaim_kit.studies.report_structuring.writing import noise
from nextaim_kit.studies.report_structuring.writing.identities import fiscal_code, identity


def within(count: int, n: int, rate: float) -> bool:
    """Whether a count is one that a rate can give."""
    return binomtest(int(count), int(n), rate).pvalue > 1e-4


def done(made, what: str) -> pd.Series:
    return made.truth["noise"].map(lambda noise: noise.get(what, 0))


def test_a_rate_changes_only_what_it_is_of():
    clean = make_reports(40)
    labels = make_reports(40, quality=Quality(template_errors=0.3, systematic=0.5))
    assert clean.table["text"].equals(labels.table["text"])
    assert clean.truth["spans"].equals(labels.truth["spans"])
    typed = make_reports(40, quality=Quality(typos=0.2))
    assert clean.truth["values"].equals(typed.truth["values"])
    assert not clean.table["text"].equals(typed.table["text"])


def test_words_are_misspelled_at_their_rate_and_spans_follow():
    made = make_reports(300, quality=Quality(typos=0.05))
    letters = made.table["text"].str.replace(r"^[^:\n]*:", "", regex=True)
    words = letters.str.findall(r"[^\W\d_]{4,}").map(len).sum()
    assert 0.8 < done(made, "typos").sum() / (0.05 * words) < 1.1
    for text, truth in zip(made.table["text"], made.truth.itertuples(), strict=True):
        assert all(text[a:b].strip() for of in truth.spans.values() for a, b in of)


@pytest.mark.parametrize(
    ("quality", "what"),
    [
        (Quality(missing_sections=0.3), "lost_section"),
        (Quality(copy_paste=0.3), "copied_from pasted_from"),
        (Quality(contradictions=0.3), "contradiction"),
    ],
)
def test_reports_are_spoiled_at_their_rate(quality, what):
    made = make_reports(600, quality=quality)
    hit = sum(bool(noise.keys() & set(what.split())) for noise in made.truth["noise"])
    # Not every report has what a conclusion could contradict.
    assert within(hit, 600, 0.3) or (what == "contradiction" and 0.2 < hit / 600 < 0.3)


def test_a_contradiction_stands_against_the_evidence_and_the_findings_win():
    clean, made = make_reports(200), make_reports(200, quality=Quality(contradictions=1.0))
    assert clean.truth["values"].equals(made.truth["values"])
    for text, truth in zip(made.table["text"], made.truth.itertuples(), strict=True):
        for key in set(truth.noise.get("contradiction", ())) & set(truth.values):
            last = truth.earlier[key][-1][0]
            assert last > max(text.rindex("\n"), truth.spans[key][0][0])


def test_what_only_a_lost_section_said_is_not_mentioned():
    clean, made = make_reports(100), make_reports(100, quality=Quality(missing_sections=1.0))
    lost = done(made, "lost_section")
    gone = made.values["pattern"][lost == "55110-1"]
    assert set(gone) == {NOT_MENTIONED}
    assert (clean.values["pattern"].loc[gone.index] != NOT_MENTIONED).any()


def test_copies_lie_across_splits_and_name_their_source():
    made = make_set("hospital_1", quality=Quality(copy_paste=0.4))
    table = made.table.set_index("subject")
    copied = {s: n["copied_from"] for s, n in made.truth["noise"].items() if "copied_from" in n}
    pairs = [(table.loc[s, "split"], table.loc[source, "split"]) for s, source in copied.items()]
    assert ("test", "train") in pairs
    assert all(table.loc[s, "patient"] != table.loc[t, "patient"] for s, t in copied.items())
    same = [table.loc[s, "text"] == table.loc[source, "text"] for s, source in copied.items()]
    assert 0.1 < sum(same) / len(same) < 0.9


def test_a_pasted_block_is_no_evidence():
    clean, made = make_reports(200), make_reports(200, quality=Quality(copy_paste=0.5))
    pasted = [s for s, noise in made.truth["noise"].items() if "pasted_from" in noise]
    assert len(pasted) > 20
    assert made.truth.loc[pasted, "values"].equals(clean.truth.loc[pasted, "values"])
    assert all(len(made.truth.loc[s, "earlier"]) >= 1 for s in pasted)


@pytest.mark.parametrize("rate", [0.02, 0.1])
def test_an_annotator_errs_at_the_rate_and_errors_come_together(rate):
    made = make_reports(1000, quality=Quality(template_errors=rate))
    keys = [field.key for field in made.template.fields if field.choices]
    wrong = made.table.set_index("subject")[keys] != made.values[keys]
    assert wrong.to_numpy().mean() == pytest.approx(rate, rel=0.2)
    by_report = wrong.sum(axis=1)
    assert by_report.var() > 1.3 * by_report.mean()


def test_the_second_annotator_errs_alone():
    made = make_reports(800, quality=Quality(template_errors=0.1))
    keys = [field.key for field in made.template.fields if field.choices]
    table, true = made.table.set_index("subject"), made.values[keys]
    first = table[keys] != true
    second = table[[f"second_{key}" for key in keys]].set_axis(keys, axis=1) != true
    assert second.to_numpy().mean() == pytest.approx(0.05, rel=0.2)
    both = (first & second).to_numpy().mean()
    assert both == pytest.approx(first.to_numpy().mean() * second.to_numpy().mean(), rel=0.5)


def test_an_annotator_with_habits_enters_silence_as_absence():
    made = make_reports(800, quality=Quality(systematic=0.25))
    habits = made.table["annotator"] == "B"
    assert within(habits.sum(), 800, 0.25)
    silent = (made.values["consolidation"] == NOT_MENTIONED).to_numpy()
    entered = made.table["consolidation"]
    assert set(entered[silent & habits]) == {"absent"}
    assert set(entered[silent & ~habits]) == {NOT_MENTIONED}
    assert "uncertain" not in set(made.table.loc[habits, "septal_thickening"])


def test_made_up_people_are_planted_and_found():
    made = make_reports(300, quality=Quality(identifiers=0.2))
    count = made.truth["identifiers"].map(len)
    assert within((count > 0).sum(), 300, 0.2)
    for text, spans in zip(made.table["text"], made.truth["identifiers"], strict=True):
        assert all("C.F." in text[a:b] for a, b in spans)
        assert ("C.F." in text) == bool(spans)


def test_a_fiscal_code_has_its_control_letter():
    assert fiscal_code("Rossi", "Mario", (1, 1, 1980), "M", "H501") == "RSSMRA80A01H501U"
    assert fiscal_code("Bianchi", "Anna", (12, 10, 1951), "F", "G702")[:11] == "BNCNNA51R52"
    assert identity(Random(1), "it") == identity(Random(1), "it")


@given(word=st.text("abcdefghilmnopqrstuvzàèù", min_size=4, max_size=14), seed=st.integers(0, 99))
def test_a_slip_changes_a_word_a_little(word, seed):
    made = noise.mistyped(word, Random(seed))
    assert made != word or len(set(word)) == 1
    assert abs(len(made) - len(word)) <= len(word)
    assert made[0] == word[0] or "'" in made


@given(word=st.text("abcdefghilmnopqrstuvz", min_size=8, max_size=14), seed=st.integers(0, 99))
def test_a_word_cut_short_ends_with_a_period(word, seed):
    made = noise.shortened(word, Random(seed))
    assert word.startswith(made.removesuffix("."))
    assert 5 <= len(made) <= 7
