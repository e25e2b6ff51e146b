"""What a run leaves is its user's alone, and holds no secret of theirs."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import pytest

from nextaim_kit import catalog, doctor
from nextaim_kit.errors import RequestError
from nextaim_kit.files import atomic_path, private_folder
from nextaim_kit.runs.board import collect
from nextaim_kit.runs.record import is_done, locked_file, read_record, runs_folder, write_record
from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.runner import execute
from tests.conftest import WHOLE

NOBODY = 65534


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Set this process's umask for a test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def test_folders_of_runs_and_those_made_above_them_are_their_users_alone(toy, umask):
    toy()
    folder = prepare("toy/draw", "smoke", {}).folder
    with locked_file(folder / ".lock"):
        pass
    above = [folder, folder.parent, folder.parents[1], runs_folder()]
    assert [rights(path) for path in above] == [0o700] * 4


@pytest.mark.parametrize(("mask", "given"), [(0o022, 0o750), (0o007, 0o770), (0o077, 0o700)])
def test_a_group_that_shares_gets_what_the_umask_leaves_it(
    tmp_path, monkeypatch, umask, mask, given
):
    monkeypatch.setenv("NEXTAIM_SHARED", "group")
    umask(mask)
    assert rights(private_folder(tmp_path / "a" / "b").parent) == given


def test_a_folder_that_is_there_keeps_its_rights_and_the_doctor_names_it(tmp_path, umask):
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    runs = tmp_path / "runs"
    assert doctor.rights(runs).verdict == "ok"
    runs.mkdir()
    assert rights(private_folder(runs)) == 0o755
    found = doctor.rights(runs)
    assert (found.verdict, found.mend[:12]) == ("warn", "chmod go= /t")
    runs.chmod(0o700)
    assert doctor.rights(runs).verdict == "ok"


def test_sharing_with_anybody_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTAIM_SHARED", "all")
    with pytest.raises(RequestError, match="expected: group"):
        private_folder(tmp_path / "a")


def test_the_umask_is_never_wider_than_the_caller_s_while_a_file_is_written(
    tmp_path, monkeypatch, umask
):
    set_to = []
    monkeypatch.setattr(os, "umask", lambda mask: (set_to.append(mask), umask(mask))[1])
    umask(0o027)
    with atomic_path(tmp_path / "a.txt") as partial:
        partial.write_text("a")
    assert rights(tmp_path / "a.txt") == 0o640
    assert all(mask & 0o027 == 0o027 for mask in set_to)


@contextlib.contextmanager
def another_user():
    """Be nobody for a while."""
    if os.getuid():
        pytest.skip("left out: only root can be two users")
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def test_another_user_of_the_machine_neither_reads_nor_makes_a_run_and_sees_their_own(toy, umask):
    toy()
    folder = private_folder(prepare("toy/draw", "smoke", {}).folder)
    write_record(folder, WHOLE)
    studies = catalog.studies()
    for path in (runs_folder(), *runs_folder().parents):
        path.chmod(path.stat().st_mode | 0o055)
    with another_user():
        assert read_record(folder) is None
        with pytest.raises(PermissionError):
            (folder / "run.json").read_text()
        with pytest.raises(RequestError, match=r"cannot be made(.|\n)*see to the rights"):
            private_folder(folder.parent / "another")
        assert [row for row in collect(runs_folder(), studies) if row.record] == []
    assert is_done(folder)


def left_in(*folders: Path) -> dict[Path, bytes]:
    """Every file below, and its name, as bytes."""
    found = [p for folder in folders for p in folder.rglob("*") if p.is_file()]
    return {p: str(p.relative_to(p.anchor)).encode() + p.read_bytes() for p in found}


def test_no_file_that_a_run_leaves_holds_a_planted_secret(toy, tmp_path, monkeypatch):
    home, own, folder = (tmp_path / name for name in ("home", "s3cret-ward", "left"))
    home.mkdir()
    own.mkdir()
    (own / "cohort.csv").write_text("subject\nx\n")
    toy("import pandas as pd; run.table(pd.read_csv(cohort), 'cohort')")
    for name in ("RUNS", "CACHE", "DATA", "PROGRESS"):
        monkeypatch.setenv(f"NEXTAIM_{name}", str(folder / name))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("IPYTHONDIR", str(home / ".ipython"))
    monkeypatch.setenv("NEXTAIM_MIRROR", "https://ada:s3cret@localhost:1/sets")
    monkeypatch.setenv("API_TOKEN", "s3cret")
    # A folder that is open to others holds no warm kernel: a cold one is started in its stead.
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / f"nextaim-{os.getuid()}").mkdir(mode=0o755)
    request = prepare("toy/draw", "smoke", {"cohort": str(own / "cohort.csv")})
    execute(request)
    assert is_done(request.folder)
    left = left_in(home, folder)
    assert len(left) > 5
    assert [path for path, content in left.items() if b"s3cret" in content] == []
