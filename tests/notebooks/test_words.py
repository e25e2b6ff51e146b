"""The glossary, and its links in the notebooks."""

from __future__ import annotations

import importlib.util
import re
from itertools import combinations

import pytest

from nextaim_kit.catalog import project_folder

spec = importlib.util.spec_from_file_location("words", project_folder() / ".ci" / "words.py")
words = importlib.util.module_from_spec(spec)
spec.loader.exec_module(words)
GLOSSARY = words.read_words()
NOTEBOOKS = {name: words.prose(document) for name, _, document in words.notebooks()}


def link(*texts, notebook="ct_radiomics/severity"):
    return words.linked(texts, GLOSSARY, notebook)


def test_glossary_and_links_are_up_to_date_else_run_words_with_write():
    assert list(words.stale()) == []


LINKS = r"\]\(\S*\)|\]\(<[^>]*>\)|^\[[^\]\n]+\]: .*$|https?://\S+"
IDENTIFIED = r"PMC\d{5,}|arXiv\W?\d{4}\.|doi:|10\.\d{4,}/|\b[A-Z]\w+ et al\.,? \d{4}"


@pytest.mark.parametrize("name", [*NOTEBOOKS])
def test_a_source_in_prose_is_a_link(name):
    for cell in NOTEBOOKS[name]:
        text = re.sub(LINKS, "](link)", "".join(cell["source"]), flags=re.M)
        bare = re.sub(r"\[[^\]]*\]\(link\)", "", text)
        assert not re.findall(IDENTIFIED, bare)


def test_each_term_has_its_meaning_in_three_sentences_and_a_reference():
    for word in GLOSSARY:
        assert word.italian, word.term
        assert re.search(r", https?://\S+$", word.source), word.term
        assert word.text.endswith("."), word.term
        assert len(re.findall(r"[.!?](?= [A-Z]|$)", word.text)) <= 3, word.term
        assert len(word.hover) <= 260, word.term
        assert '"' not in word.hover, word.term


def test_no_spelling_has_two_meanings_in_one_notebook():
    assert len({word.anchor for word in GLOSSARY}) == len(GLOSSARY)
    assert not [w.term for w in GLOSSARY if len(set(w.spellings)) < len(w.spellings)]
    for one, other in combinations(GLOSSARY, 2):
        if {form.lower() for form in one.spellings} & {form.lower() for form in other.spellings}:
            assert not [n for n in NOTEBOOKS if one.fits(n) and other.fits(n)], one.term


def test_where_a_meaning_is_kept_to_a_place_the_place_is_there():
    places = {*NOTEBOOKS, *(name.partition("/")[0] for name in NOTEBOOKS)}
    places |= {"lessons", "lessons/network"}
    assert {place for word in GLOSSARY for place in word.only} <= places


def test_a_word_is_linked_once_at_its_first_use():
    first, second = link("AUCs of *ComBat*.", "The AUC.")
    assert first.startswith("[AUCs] of *[ComBat]*.\n\n[AUCs]: ../glossary.md#auc ")
    assert second == "The AUC."


@pytest.mark.parametrize(
    "text",
    ["# AUC", "`AUC`", "$AUC$", "[the AUC](https://a.b)", "| AUC |", "```\nAUC\n```", "AUCx x-AUC"],
)
def test_no_link_is_set_where_none_belongs(text):
    assert link(text) == [text]


def test_the_source_of_a_number_is_linked_where_its_tag_stands_first():
    text = link("It is 0.8 [slides], and 0.9 [slides].")[0]
    assert text.startswith("It is 0.8 [[slides][tag slides]], and 0.9 [slides].\n\n[tag slides]:")


def test_links_come_off_as_they_were_set_and_are_set_alike_again():
    text = "An ICC(2,1), the AUC: [0.7, 0.8], area\nunder the curve [pub]; ICCs.\n"
    once = link(text, notebook="ct_lungquant/multicenter")
    assert "[ICC][ICC](2,1)" in once[0]
    assert words.plain(once[0]) == text.rstrip()
    assert link(*once, notebook="ct_lungquant/multicenter") == once


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_abbreviation_is_left_unexplained_at_its_first_use(name):
    texts = ["".join(cell["source"]) for cell in NOTEBOOKS[name]]
    assert words.unexplained(texts, GLOSSARY, name) == []


def test_an_abbreviation_is_explained_by_its_words_in_parentheses_beside_it():
    texts = ["XYZ (x, y, z) and good old things (GOT).", "A QQQ, `RRR`, XYZ"]
    assert words.unexplained(texts, GLOSSARY, "a/b") == ["QQQ"]


def test_a_notebook_leads_to_those_before_and_after_it():
    row = sorted((words.NOTEBOOKS / "ct_radiomics").glob("*.ipynb"))
    line = words.neighbors(row[1])
    assert f"({row[0].name})" in line
    assert f"({row[2].name})" in line
    assert words.plain(f"Text.\n\n{line}") == "Text."


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_leads_to_a_paper(name):
    text = "\n".join(words.plain("".join(cell["source"])) for cell in NOTEBOOKS[name])
    assert re.search(r"\]\(https://(doi\.org|arxiv\.org|jmlr\.org)/", text)
