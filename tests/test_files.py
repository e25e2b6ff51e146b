"""Files are written whole or not at all."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys

import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.files import atomic_path, sha256_of, take_place, write_text


def test_a_file_takes_its_name_only_when_it_is_whole(tmp_path):
    target = tmp_path / "deep" / "table.csv"
    with atomic_path(target) as partial:
        partial.write_text("a")
        assert not target.exists()
        assert partial.suffix == ".csv"
    assert target.read_text() == "a"
    assert [p.name for p in target.parent.iterdir()] == ["table.csv"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    target = tmp_path / "table.csv"
    write_text(target, "old")

    def fail_half_way() -> None:
        with atomic_path(target) as partial:
            partial.write_text("new")
            raise KeyError("half way")

    with pytest.raises(KeyError, match="half way"):
        fail_half_way()
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_disk_that_fills_up_while_writing_is_told_and_leaves_nothing(tmp_path):
    # A limit on the size of files makes the system refuse the write half way, as a full disk does.
    code = (
        "import sys; from nextaim_kit.files import write_text;"
        "write_text(sys.argv[1], 'x' * 1_000_000)"
    )

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    command = [sys.executable, "-B", "-c", code, str(tmp_path / "table.csv")]
    ended = subprocess.run(command, preexec_fn=full, capture_output=True, text=True, check=False)
    assert "DataError: cannot write table.csv" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_take_the_place_of_another_leaves_it_there(tmp_path):
    place, new = tmp_path / "place", tmp_path / "work" / "new"
    for folder, text in ((place, "old"), (new, "new")):
        folder.mkdir(parents=True)
        (folder / "said").write_text(text)
    with pytest.raises(OSError, match="No such file"):
        take_place(tmp_path / "work" / "missing", place)
    assert (place / "said").read_text() == "old"
    take_place(new, place)
    assert (place / "said").read_text() == "new"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="permission to write in"):
        write_text(tmp_path / "file" / "table.csv", "a")


@pytest.mark.parametrize("name", ["CACHE", "DATA"])
def test_a_home_that_cannot_be_written_is_told_with_the_variable_to_set(
    tmp_path, monkeypatch, name
):
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setenv(f"NEXTAIM_{name}", str(tmp_path / "home" / "kit"))
    with pytest.raises(DataError, match=f"set NEXTAIM_{name} to another folder"):
        write_text(tmp_path / "home" / "kit" / "file.txt", "text")


def test_a_hash_is_the_known_one(tmp_path):
    (tmp_path / "abc").write_text("abc")
    assert sha256_of(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")
