"""Readers' answers: kept whole, read back, refused where they cannot be; and their page."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.show.rating_page import RatingPage
from nextaim_kit.show.ratings import Answers, Sheet, read_answers

SHEET = Sheet("abc", ("P1", "P2", "P3"), {"alike": "Alike?", "real": "Real?"}, ("no", "yes"))


def picture(item):
    return np.zeros((4, 4, 3), np.uint8), f"picture of {item} <b>"


def page(folder, reader="ann") -> RatingPage:
    return RatingPage(
        Answers(folder / f"{reader}.json", SHEET, reader), ["P2", "P3", "P1"], picture
    )


def kept(path, **change) -> dict:
    content = {"of": "abc", "reader": "ann", "answers": {"P1": {"alike": "yes"}}} | change
    path.write_text(json.dumps(content))
    return content


def test_an_answer_is_in_the_file_at_once_and_there_after_a_reload(tmp_path):
    page(tmp_path).choices["alike"].value = "yes"
    again = page(tmp_path)
    assert again.item == "P2"
    assert again.choices["alike"].value == "yes"
    assert again.choices["real"].value is None
    assert [path.name for path in tmp_path.iterdir()] == ["ann.json"]


def test_the_page_goes_on_at_the_first_that_is_not_rated(tmp_path):
    first = page(tmp_path)
    for choice in first.choices.values():
        choice.value = "no"
    again = page(tmp_path)
    assert again.item == "P3"
    assert again.where.value == "<b>Picture 2 of 3</b>, 1 rated"
    again.back.click()
    assert [choice.value for choice in again.choices.values()] == ["no", "no"]
    again.open.click()
    assert again.item == "P3"


def test_going_through_the_pictures_changes_no_answer(tmp_path):
    seen = page(tmp_path)
    seen.choices["real"].value = "yes"
    before = (tmp_path / "ann.json").read_bytes()
    for _ in range(4):
        seen.next.click()
    assert (tmp_path / "ann.json").read_bytes() == before
    assert seen.choices["real"].value is None


def test_two_open_pages_of_a_reader_lose_nothing(tmp_path):
    one, other = page(tmp_path), page(tmp_path)
    one.choices["alike"].value = "yes"
    other.go(1)
    other.choices["alike"].value = "no"
    table, unread = read_answers(tmp_path, SHEET)
    assert table[["item", "answer"]].to_numpy().tolist() == [["P2", 1], ["P3", 0]]
    assert unread.to_numpy().tolist() == [["ann", "4 answers not given"]]


def test_an_answer_that_cannot_be_kept_is_said_on_the_page(tmp_path):
    seen = page(tmp_path)
    (tmp_path / "ann.json").write_text("{")
    seen.choices["alike"].value = "yes"
    assert "Not kept." in seen.said.value
    assert (tmp_path / "ann.json").read_text() == "{"


def test_the_picture_s_alternative_text_is_escaped(tmp_path):
    assert 'alt="picture of P2 &lt;b&gt;"' in page(tmp_path).shown.value


def test_answers_of_several_readers_come_by_reader(tmp_path):
    for reader, answer in (("ben", "no"), ("ann", "yes")):
        Answers(tmp_path / f"{reader}.json", SHEET, reader).put("P3", "real", answer)
    table, _ = read_answers(tmp_path, SHEET)
    assert table.to_numpy().tolist() == [["ann", "P3", "real", 1], ["ben", "P3", "real", 0]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"of": "xyz"}, "answers to other pictures"),
        ({"answers": {"P9": {"alike": "yes"}}}, "unknown picture"),
        ({"answers": {"P1": {"nice": "yes"}}}, "unknown question"),
        ({"answers": {"P1": {"alike": "maybe"}}}, "no answer of the scale"),
        ({"answers": {"P1": {"alike": 7}}}, "no answer of the scale"),
        ({"answers": {"P1": {"alike": ["yes"]}}}, "no answer of the scale"),
        ({"answers": {"P1": "yes"}}, "can be read"),
        ({"answers": []}, "can be read"),
        ({"reader": 3}, "can be read"),
        ({"more": 1}, "can be read"),
        ({"answers": {}}, "has no answers"),
    ],
)
def test_a_file_that_is_none_of_these_answers_is_refused(tmp_path, change, said):
    kept(tmp_path / "ann.json", **change)
    with pytest.raises(DataError, match=said):
        read_answers(tmp_path, SHEET)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"of"', "\x00\x01"])
def test_a_damaged_file_is_refused(tmp_path, text):
    (tmp_path / "ann.json").write_text(text)
    with pytest.raises(DataError, match=r"ann\.json holds no answers that can be read"):
        read_answers(tmp_path / "ann.json", SHEET)


def test_a_reader_who_is_there_twice_is_refused_with_both_files(tmp_path):
    kept(tmp_path / "ann.json")
    kept(tmp_path / "copy.json")
    with pytest.raises(DataError, match=r"ann\.json and copy\.json"):
        read_answers(tmp_path, SHEET)


def test_a_folder_without_answers_is_refused(tmp_path):
    with pytest.raises(DataError, match="has no answers"):
        read_answers(tmp_path, SHEET)


def test_another_reader_s_file_is_not_written_on(tmp_path):
    kept(tmp_path / "ann.json")
    with pytest.raises(DataError, match="another reader"):
        Answers(tmp_path / "ann.json", SHEET, "ben")


@pytest.mark.parametrize("name", ["", "Ann Smith", "../ann", ".ann", "a" * 41])
def test_a_reader_needs_a_pseudonym(tmp_path, name):
    with pytest.raises(RequestError, match="pseudonym"):
        Answers(tmp_path / "x.json", SHEET, name)
