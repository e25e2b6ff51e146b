"""Stores are whole or not at all, and tell what was done to them."""

from __future__ import annotations

import datetime
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pyrage
import pytest

from nextaim_kit.data.store import keys, making, sealed
from nextaim_kit.data.store.checking import destroy_key, verify, write_out
from nextaim_kit.data.store.keys import KEY
from nextaim_kit.data.store.making import make_store
from nextaim_kit.data.store.passphrase import FILE, VALUE, passphrase
from nextaim_kit.data.store.sealed import GONE, HEAD, MANIFEST, open_store
from nextaim_kit.errors import DataError, KitError, RequestError
from tests.data.store.conftest import NAME, PHRASE


@pytest.fixture
def no_phrase(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """Stores that are made have a key of which no pass-phrase is asked."""
    monkeypatch.setattr(making, "_key", lambda folder: key)


def below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_is_written_out_is_what_was_sealed(store: Path, ward: Path, tmp_path: Path) -> None:
    write_out(open_store(store), tmp_path / "clear")
    assert below(tmp_path / "clear") == below(ward)
    assert (tmp_path / "clear").stat().st_mode & 0o077 == 0


def test_neither_names_nor_contents_can_be_seen_in_a_store(sealed_once: Path, ward: Path) -> None:
    names = " ".join(str(path) for path in sealed_once.rglob("*"))
    text = b"".join(below(sealed_once).values())
    assert NAME not in names
    assert not [part for part in (NAME.encode(), b"cohort.csv", b"DICM") if part in text]
    assert (ward / "series").is_dir()  # it is there to be found


def test_any_age_opens_a_store(sealed_once: Path, its_key: str) -> None:
    one = pyrage.x25519.Identity.from_str(its_key)
    names = json.loads(pyrage.decrypt((sealed_once / MANIFEST).read_bytes(), [one]))
    assert f"images/{NAME}_0.nii.gz" in names


def test_a_whole_store_has_nothing_wrong(store: Path) -> None:
    assert verify(open_store(store)) == []


def test_what_was_done_to_a_file_is_named(store: Path) -> None:
    opened = open_store(store)
    places = {name: opened.place(name) for name in opened.files}
    damaged, missing, one, other, empty = "cohort.csv", "film.png", *(
        f"images/mask{n}.nii.gz" for n in (0, 1, 2)
    )  # fmt: skip
    whole = bytearray(places[damaged].read_bytes())
    whole[-5] ^= 1
    places[damaged].write_bytes(whole)
    places[missing].unlink()
    swapped = places[one].read_bytes(), places[other].read_bytes()
    places[other].write_bytes(swapped[0])
    places[one].write_bytes(swapped[1])
    places[empty].write_bytes(b"")
    (store / "files" / "more.age").write_bytes(b"more")
    assert verify(opened) == [
        "cohort.csv: damaged bytes",
        "film.png: no file",
        f"{one}: an earlier or another file's",
        f"{other}: an earlier or another file's",
        f"{empty}: damaged bytes",
        "files/more.age: not a file of this store",
    ]


@pytest.mark.usefixtures("no_phrase")
def test_a_file_of_an_earlier_state_is_named(tmp_path: Path, key: str) -> None:
    (tmp_path / "in").mkdir()
    states = []
    for text in ("before", "after!"):
        (tmp_path / "in" / "a.txt").write_text(text)
        states.append(make_store(tmp_path / "in", tmp_path / text).store)
    shutil.copy(states[0].place("a.txt"), states[1].place("a.txt"))
    assert verify(states[1]) == ["a.txt: an earlier or another file's"]
    assert states[0].place("a.txt").name == states[1].place("a.txt").name


@pytest.mark.parametrize("part", [HEAD, MANIFEST])
def test_a_head_or_manifest_that_was_changed_is_refused(store: Path, part: str, key: str) -> None:
    if part == HEAD:
        said = json.loads((store / HEAD).read_text())
        (store / HEAD).write_text(json.dumps(said | {"until": ""}))
    else:
        recipient = pyrage.x25519.Identity.from_str(keys.unlock(store)).to_public()
        (store / MANIFEST).write_bytes(pyrage.encrypt(b"{}", [recipient]))
    with pytest.raises(DataError, match="is not what was sealed"):
        open_store(store)


def test_a_wrong_pass_phrase_is_told_from_a_missing_one(
    sealed_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VALUE, "another one")
    with pytest.raises(RequestError, match="does not open the store ward") as told:
        open_store(sealed_once)
    assert "another one" not in str(told.value)
    monkeypatch.delenv(VALUE)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115
    with pytest.raises(RequestError, match="the store ward is locked"):
        open_store(sealed_once)


def test_a_pass_phrase_comes_from_a_file_that_others_may_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "phrase").write_text(f"{PHRASE}\n")
    monkeypatch.delenv(VALUE)
    monkeypatch.setenv(FILE, str(tmp_path / "phrase"))
    (tmp_path / "phrase").chmod(0o640)
    with pytest.raises(RequestError, match="others may read"):
        passphrase("ward")
    (tmp_path / "phrase").chmod(0o600)
    assert passphrase("ward") == PHRASE


def test_a_keyring_is_asked_by_the_stores_id(monkeypatch: pytest.MonkeyPatch) -> None:
    ring, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    known = {("nextaim_kit", "a1"): PHRASE}
    ring.get_password = lambda *asked: known.get(asked)  # type: ignore[attr-defined]
    errors.KeyringError = RuntimeError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", ring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115
    monkeypatch.delenv(VALUE)
    assert passphrase("ward", "a1") == PHRASE
    with pytest.raises(RequestError, match="is locked"):
        passphrase("ward", "b2")


def test_a_short_pass_phrase_makes_no_store(
    ward: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VALUE, "short")
    with pytest.raises(RequestError, match="too short"):
        make_store(ward, tmp_path / "store")


def test_a_key_is_locked_with_work_that_a_busy_machine_does_not_lessen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works = [15, 16, 18, 20]
    encrypt = lambda *given: b"age-encryption.org/v1\n-> scrypt c2FsdA %d\n" % works.pop(0)  # noqa: E731
    monkeypatch.setattr(pyrage.passphrase, "encrypt", encrypt)
    assert keys.lock("key", PHRASE).endswith(b" 18\n")
    works[:] = [16] * 100
    with pytest.raises(DataError, match="too busy to lock a key well"):
        keys.lock("key", PHRASE)


def test_a_busy_machine_is_not_taken_for_a_wrong_pass_phrase(
    sealed_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [3]

    def busy(*given: object) -> bytes:
        left[0] -= 1
        if left[0] >= 0:
            raise pyrage.DecryptError("Excessive work parameter for passphrase.\n")
        return b"the key"

    monkeypatch.setattr(pyrage.passphrase, "decrypt", busy)
    assert keys.unlock(sealed_once) == "the key"
    left[0] = 1000
    with pytest.raises(DataError, match="too slow, or too busy"):
        keys.unlock(sealed_once)


_KILLED = """
import os, sys
from pathlib import Path
from nextaim_kit.data.store import making
making._key = lambda folder: sys.argv[3]
(Path(sys.argv[2]) / "key.age").parent.mkdir()
(Path(sys.argv[2]) / "key.age").write_bytes(b"")
def stop(done, total, name):
    if done == 7:
        os.kill(os.getpid(), 9)
making.make_store(Path(sys.argv[1]), Path(sys.argv[2]), progress=stop)
"""


@pytest.mark.usefixtures("no_phrase")
def test_a_call_that_was_killed_goes_on_and_is_no_store_before(
    ward: Path, tmp_path: Path, key: str
) -> None:
    source, folder = shutil.copytree(ward, tmp_path / "in"), tmp_path / "store"
    command = [sys.executable, "-c", _KILLED, str(source), str(folder), key]
    assert subprocess.run(command, check=False).returncode == -9
    with pytest.raises(DataError, match="is not finished"):
        open_store(folder, key)
    (folder / "files" / ".partial-1.age").write_bytes(b"cut off")
    changed = source / "cohort.csv"
    changed.write_text(changed.read_text().replace("P0", "P7"))
    made = make_store(source, folder)
    assert (made.kept, made.written) == (6, len(made.store.files) - 6)
    assert verify(open_store(folder, key)) == []
    write_out(made.store, tmp_path / "clear")
    assert below(tmp_path / "clear") == below(source)


@pytest.mark.usefixtures("no_phrase")
def test_a_full_disk_leaves_nothing_half_written(
    ward: Path, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(read: object, written: object, recipients: object) -> None:
        written.write(b"age-encryption.org")  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pyrage, "encrypt_io", full)
    with pytest.raises(DataError, match="No space left"):
        make_store(ward, tmp_path / "store")
    assert below(tmp_path / "store") == {}


@pytest.mark.usefixtures("no_phrase")
def test_a_disk_that_is_too_small_is_refused_before(
    ward: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match="no room for the store"):
        make_store(ward, tmp_path / "store")


@pytest.mark.usefixtures("no_phrase")
def test_a_file_that_changes_while_it_is_read_is_refused(
    ward: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shutil.copytree(ward, tmp_path / "in")
    real = pyrage.encrypt_io

    def slow(*given: object) -> None:
        real(*given)
        with (source / "cohort.csv").open("a") as file:
            file.write("P8,A,1,,\n")

    monkeypatch.setattr(pyrage, "encrypt_io", slow)
    with pytest.raises(DataError, match=r"cohort\.csv changed while it was read"):
        make_store(source, tmp_path / "store")
    assert not (tmp_path / "store" / HEAD).exists()


@pytest.mark.parametrize("store", ["", "inner", ".."])
def test_a_store_within_its_source_is_refused(ward: Path, store: str) -> None:
    before = below(ward)
    with pytest.raises(RequestError, match="lie in one another"):
        make_store(ward, ward / store)
    assert below(ward) == before


def test_a_folder_with_other_things_is_left_alone(ward: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(RequestError, match="holds other things"):
        make_store(ward, tmp_path / "notes")
    with pytest.raises(RequestError, match="is there already"):
        write_out(sealed.Store(ward, sealed.Head("1"), ""), tmp_path / "notes")
    assert below(tmp_path / "notes") == {"mine.txt": b"mine"}


@pytest.mark.parametrize("day", ["tomorrow", "2001-01-01", "2030-02-30"])
def test_a_last_day_that_is_none_to_come_is_refused(ward: Path, tmp_path: Path, day: str) -> None:
    with pytest.raises(RequestError, match="last day is none that is to come"):
        make_store(ward, tmp_path / "store", until=day)


def test_past_its_last_day_a_store_is_refused_and_its_key_destroyed(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RequestError, match="may still be read"):
        destroy_key(store)
    held = os.open(store / KEY, os.O_RDONLY)
    before = os.pread(held, 1 << 16, 0)
    monkeypatch.setattr(sealed, "today", lambda: datetime.date(3000, 1, 1))
    with pytest.raises(RequestError, match="may not be read any more"):
        open_store(store)
    assert destroy_key(store) == "3000-01-01"
    assert not (store / KEY).exists()
    after = os.pread(held, 1 << 16, 0)
    os.close(held)
    assert len(after) == len(before)
    assert sum(a == b for a, b in zip(after, before, strict=True)) < len(before) / 4
    assert json.loads((store / GONE).read_text())["destroyed"] == "3000-01-01"
    for read in (open_store, destroy_key):
        with pytest.raises(RequestError, match="was destroyed"):
            read(store)


def test_a_key_is_destroyed_before_its_day_only_when_asked(store: Path) -> None:
    assert destroy_key(store, now=True) == str(datetime.date.today())
    with pytest.raises(KitError, match="was destroyed"):
        open_store(store)


def test_a_key_that_is_lost_is_named(sealed_once: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(sealed_once, tmp_path / "ward")
    (copy / KEY).unlink()
    with pytest.raises(DataError, match=r"key\.age of the store ward cannot be read"):
        open_store(copy)
