"""What the commands of stores say, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pyrage
import pytest
from typer.testing import CliRunner, Result

from nextaim_kit.commands import app
from nextaim_kit.data.store import keys, making
from nextaim_kit.errors import RequestError


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a command; stores have a key that no pass-phrase has to open."""
    key = str(pyrage.x25519.Identity.generate())
    monkeypatch.setattr(making, "_key", lambda folder: key)
    monkeypatch.setattr(keys, "unlock", lambda *args: key)
    (tmp_path / "in" / "Zanzottera").mkdir(parents=True)
    (tmp_path / "in" / "Zanzottera" / "a.txt").write_text("a")
    (tmp_path / "in" / "b.txt").write_text("bb")

    def run(*arguments: str) -> Result:
        paths = (str(tmp_path / a[1:]) if a.startswith("@") else a for a in arguments)
        return CliRunner().invoke(app, ["data", "store", *paths])

    return run


def test_a_store_is_made_listed_checked_and_opened(said, tmp_path: Path) -> None:
    made = said("make", "@in", "@store", "--agreement", "DTA 7", "--until", "2999-12-31")
    assert "2 files sealed" in made.output
    assert "still there in the clear" in made.output
    listed = said("list", "@store").output
    for part in ("DTA 7", "2999-12-31", "Zanzottera/a.txt", "not said"):
        assert part in listed
    state = made.output.split("; ")[1].split()[0]
    assert state in listed
    checked = said("verify", "@store")
    assert (checked.exit_code, state in checked.output) == (0, True)
    assert said("open", "@store", "@out").exit_code == 0
    assert (tmp_path / "out" / "Zanzottera" / "a.txt").read_text() == "a"


def test_what_is_wrong_is_named_and_ends_with_1(said, tmp_path: Path) -> None:
    said("make", "@in", "@store")
    next((tmp_path / "store").rglob("files/*/*.age")).write_bytes(b"")
    checked = said("verify", "@store")
    assert checked.exit_code == 1
    assert "damaged bytes" in checked.output
    assert "1 wrong" in checked.output


def test_a_key_is_destroyed_and_that_is_noted(said, tmp_path: Path) -> None:
    said("make", "@in", "@store")
    (tmp_path / "store" / "key.age").write_bytes(b"key")
    kept = said("expire", "@store")
    assert isinstance(kept.exception, RequestError)
    assert (tmp_path / "store" / "key.age").exists()
    ended = said("expire", "@store", "--now")
    assert "key destroyed on" in ended.output
    assert "Copies of the key elsewhere" in ended.output
    assert json.loads((tmp_path / "store" / "key_destroyed.json").read_text())["destroyed"]
    assert not (tmp_path / "store" / "key.age").exists()
