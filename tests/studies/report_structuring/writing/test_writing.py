from __future__ import annotations

from itertools import product

import pytest

from nextaim_kit.studies.report_structuring.twin import make_reports
from nextaim_kit.studies.report_structuring.writing import grammar
from nextaim_kit.studies.report_structuring.writing.grammar import Forms, compiled
from nextaim_kit.studies.report_structuring.writing.lexicon import lexicon
from nextaim_kit.studies.report_structuring.writing.numerals import in_words


@pytest.fixture
def used(monkeypatch):
    """Which forms were taken, as (text, whether it is held out)."""
    taken: list[tuple[str, bool]] = []
    index = Forms.index

    def noting(self, writer):
        at = index(self, writer)
        taken.append((self.texts[at], at >= self.known))
        return at

    monkeypatch.setattr(Forms, "index", noting)
    return taken


@pytest.mark.parametrize(("name", "language"), [*product(("covid_ct", "echo"), ("it", "en"))])
def test_held_out_forms_are_in_no_training_text_and_in_test_texts(used, name, language):
    for style in ("hospital_1", "hospital_2", "house_3"):
        make_reports(60, name, style=style, language=language)
    assert not any(held_out for _, held_out in used)
    used.clear()
    make_reports(150, name, language=language, held_out=True)
    choices = [held_out for _, held_out in used]
    assert 0.1 < sum(choices) / len(choices) < 0.5


def test_about_thirty_percent_of_forms_are_held_out():
    words = lexicon("covid_ct", "it")
    lists = [f for of in (*words.says.values(), *words.tables.values()) for f in of.values()]
    lists += [n.forms for of in words.nouns.values() for n in of.values()] + [*words.cues.values()]
    several = [forms for forms in lists if len(forms.texts) > 2]
    held_out = sum(len(forms.texts) - forms.known for forms in several)
    assert held_out / sum(len(forms.texts) for forms in several) == pytest.approx(0.3, abs=0.04)


def test_a_negation_governs_a_list_and_is_evidence_of_each():
    made = make_reports(80, "covid_ct")
    shared = 0
    for truth in made.truth.itertuples():
        starts = [spans[0] for key, spans in truth.spans.items() if truth.values[key] == "absent"]
        shared += len(starts) - len(set(starts))
    assert shared > 60


def test_italian_numbers_are_spelled_and_elided():
    assert [in_words(n, "it") for n in (0, 1, 21, 28, 33, 80, 81)] == [
        "zero", "uno", "ventuno", "ventotto", "trentatré", "ottanta", "ottantuno",
    ]  # fmt: skip
    assert in_words(99, "en") == "ninety-nine"
    texts = make_reports(400, "covid_ct", held_out=True).table["text"]
    assert not texts.str.contains(r"\b(?:al|il|del) (?:8\d?|11|1)%").any()
    assert texts.str.contains(r"(?:all'|l'|dell')8").any()


def test_the_article_and_verb_agree_with_the_noun():
    texts = make_reports(400, "covid_ct").table["text"].str.lower()
    assert not texts.str.contains(r"si (?:osserva|apprezza|rileva) (?:aree|noduli|opacità)\b").any()
    assert not texts.str.contains(r"si \w+ano (?:versamento|enfisema|pneumotorace)\.").any()
    assert not texts.str.contains(r"verosimile (?:noduli|strie)|verosimili (?:versa|enf)").any()


def test_a_phrase_says_its_parts():
    assert callable(compiled("a (b|c) [d #x] {e/f} <y:g> \\(h\\)"))
    assert compiled("same") is compiled("same")
    assert grammar.HELD_OUT == 0.3
