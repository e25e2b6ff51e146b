"""A record that is strange is named and left out; the others are shown."""

from __future__ import annotations

import json
import os

import pytest
from ipywidgets import Output

from nextaim_kit import catalog
from nextaim_kit.errors import DataError
from nextaim_kit.files import read_json
from nextaim_kit.launcher import overview
from nextaim_kit.runs import background
from nextaim_kit.runs.board import collect, render_board, strange_text
from nextaim_kit.runs.cards import cards
from nextaim_kit.runs.record import read_record, runs_folder, strange_records, write_record
from nextaim_kit.runs.request import Request
from nextaim_kit.show.tries import progress as tried
from nextaim_kit.show.tries import tries_file
from tests.conftest import WHOLE

METRIC = {"name": "mean", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9, "unit": "", "note": ""}
ONE = {"schema": 1, **WHOLE}
DEEP = "[" * 100_000 + "]" * 100_000
STRANGE = {
    "nothing but a schema": '{"schema": 1}',
    "another schema": json.dumps(WHOLE | {"schema": 2}),
    "no object": "[1, 2]",
    "a text for a number": json.dumps(ONE | {"failures": "two"}),
    "a text for a metric": json.dumps(ONE | {"metrics": ["mean"]}),
    "a number beyond all": json.dumps(ONE | {"metrics": [METRIC | {"value": 1e999}]}),
    "a text for a time": json.dumps(ONE | {"seconds": "long"}),
    "an unknown outcome": json.dumps(ONE | {"outcome": "splendid"}),
    "a file elsewhere": json.dumps(ONE | {"files": {"../../x": "0"}}),
    "an order to the terminal": json.dumps(ONE | {"title": "\x1b]0;mine\x07"}),
    "deep": DEEP,
    "deep within": json.dumps(ONE | {"more": 0}).replace(": 0}", f": {DEEP}}}"),
    "no text": b"\xff\xfe\x00\x01",
    "cut": json.dumps(WHOLE)[:40],
}  # fmt: skip


def leave(text: str | bytes, name: str = "strange"):
    folder = runs_folder() / "toy" / "draw" / name
    folder.mkdir(parents=True)
    (folder / "run.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def whole() -> None:
    folder = runs_folder() / "toy" / "draw" / "whole"
    folder.mkdir(parents=True)
    write_record(folder, WHOLE | {"id": "whole", "metrics": [METRIC]})


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_a_strange_record_is_none_and_named_with_its_reason_in_a_line(text):
    assert read_record(leave(text)) is None
    ((run, why),) = strange_records(runs_folder()).items()
    assert run == "toy/draw/strange"
    assert why.isprintable()


def test_board_cards_and_start_page_show_the_others_and_name_the_strange_ones(toy, tmp_path):
    toy()
    whole()
    for number, text in enumerate(STRANGE.values()):
        leave(text, f"strange{number}")
    rows = collect(runs_folder(), catalog.studies())
    assert [row.record["id"] for row in rows] == ["whole"]
    assert cards(runs_folder(), catalog.studies())[0].entries[0].record["id"] == "whole"
    assert strange_text(runs_folder()).count("cannot be read") == len(STRANGE)
    render_board(rows, tmp_path / "board.html", runs_folder())
    assert "toy/draw/strange3 (failures: " in (tmp_path / "board.html").read_text()
    overview._list_runs(table := Output())
    assert table.outputs[0]["data"]["text/html"].count("cannot be read") == overview._RECENT
    assert "✓ done" in table.outputs[0]["data"]["text/html"]


def test_what_is_recorded_is_spelled_out_so_that_it_can_be_read_again(tmp_path):
    write_record(tmp_path, WHOLE | {"metrics": [METRIC | {"name": "dice\x1b[2J\x9b"}]})
    assert read_record(tmp_path)["metrics"][0]["name"] == r"dice\x1b[2J\x9b"


def test_a_record_that_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "run.json")
    assert read_record(tmp_path) is None
    with pytest.raises(ValueError, match="not a plain file"):
        read_json(tmp_path / "run.json")


def test_a_damaged_figure_leaves_its_card_without_a_picture(toy):
    toy(thumbnail={"figure": "draw/roc.png", "alt": "a curve"})
    folder = runs_folder() / "toy" / "draw" / "whole" / "files"
    folder.mkdir(parents=True)
    (folder / "roc.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    write_record(folder.parent, WHOLE)
    (card,) = cards(runs_folder(), catalog.studies())
    assert (card.picture, card.entries[0].folder) == (None, folder.parent)


@pytest.mark.parametrize("change", [{"notebooks": []}, {"began": "soon"}, {"process": [1]}])
def test_a_strange_job_is_not_shown(change):
    folder = runs_folder() / ".background" / "x"
    folder.mkdir(parents=True)
    job = {"notebooks": ["toy/draw"], "profile": "smoke", "changed": {}, "began": 1.0,
           "process": 1, "clock": 1, "machine": "", "kills": 0}  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    assert len(background.jobs()) == 1
    (folder / "job.json").write_text(json.dumps(job | change))
    assert background.jobs() == []
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "state.json").write_text('{"cell": "third"}')
    assert background.jobs() == []


@pytest.mark.parametrize("text", ["{}", "[]", DEEP, '{"notebook": 3}'])
def test_a_strange_request_is_an_error_of_the_family(tmp_path, text):
    (tmp_path / "request.json").write_text(text)
    with pytest.raises(DataError, match=r"request\.json cannot be read"):
        Request.read(tmp_path)


def test_strange_lines_of_the_progress_file_cost_no_other(toy):
    toy()
    tries_file().parent.mkdir(parents=True)
    tries_file().write_text(f'[]\n{DEEP}\n3\n{{"notebook": {{}}}}\n\x00\n')
    assert tried() == []
