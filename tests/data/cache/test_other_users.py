"""What another user of the machine left is neither run nor believed."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr

from nextaim_kit import errors
from nextaim_kit.data.cache import cached, space
from nextaim_kit.data.cache.store import _names
from nextaim_kit.data.hashes import content_hashes
from nextaim_kit.files import cache_folder, sha256_of
from tests.conftest import absent

OTHER = 65534  # nobody


@pytest.fixture(autouse=True)
def nothing_said():
    errors._warned.clear()


@pytest.fixture
def shared(monkeypatch):
    """A cache that all users may write to, as /tmp is."""
    folder = Path(tempfile.mkdtemp(prefix="shared-"))
    folder.chmod(0o1777)
    monkeypatch.setenv("NEXTAIM_CACHE", str(folder))
    yield folder
    shutil.rmtree(folder)


def as_other(*command):
    if os.getuid() != 0:
        absent("a second user, as whom only root can act")
    return subprocess.run(command, user=OTHER, group=OTHER, extra_groups=[], capture_output=True)


def counted(k):
    return np.arange(int(k[0]))


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def poisoned(path, mark):
    """The entry at a path with another value in it."""
    stream = io.BytesIO()
    pickle.dump(Payload(mark), stream)
    with zarr.ZipStore(str(path), mode="w") as archive:
        group = zarr.group(archive)
        group.create_dataset("value", data=np.frombuffer(stream.getvalue(), np.uint8))
        archive["names"] = _names(archive)
    path.chmod(0o644)


def test_a_poisoned_entry_runs_where_it_is_ones_own(tmp_path):
    cached(counted, np.array([3]))
    (entry,) = space.held()
    poisoned(entry.path, tmp_path / "ran")
    cached(counted, np.array([3]))
    assert (tmp_path / "ran").is_dir()  # so that the next tests prove something


def test_an_entry_of_another_user_is_not_read_but_made_anew(shared, tmp_path):
    cached(counted, np.array([3]))
    (entry,) = space.held()
    poisoned(entry.path, tmp_path / "ran")
    planted = Path(tempfile.mkdtemp(prefix="planted-", dir=shared))
    planted.chmod(0o755)
    shutil.move(shared / "steps", planted / "steps")
    (planted / "steps").chmod(0o755)
    assert as_other("cp", "-r", str(planted / "steps"), str(shared)).returncode == 0
    assert (shared / "steps").stat().st_uid == OTHER
    with pytest.warns(UserWarning, match="not read: it belongs to another user; set NEXTAIM_CACHE"):
        assert cached(counted, np.array([3])).tolist() == [0, 1, 2]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("what", ["steps", "entry"])
def test_an_entry_that_others_may_write_to_is_not_read(what, tmp_path):
    cached(counted, np.array([3]))
    (entry,) = space.held()
    poisoned(entry.path, tmp_path / "ran")
    (space.steps_folder() if what == "steps" else entry.path).chmod(0o777)
    with pytest.warns(UserWarning, match="not read: others may write to it"):
        assert cached(counted, np.array([3])).tolist() == [0, 1, 2]
    assert not (tmp_path / "ran").exists()
    assert cached(counted, np.array([3])).tolist() == [0, 1, 2]  # and is one's own again
    assert space.held()[0].path.stat().st_mode & 0o077 == 0


def test_no_umask_makes_a_cache_that_is_refused(tmp_path, recwarn):
    before = os.umask(0)
    try:
        cached(counted, np.array([3]))
        cached(counted, np.array([3]))
    finally:
        os.umask(before)
    assert not recwarn.list


def test_another_user_reads_nothing_of_ones_steps(shared):
    cached(counted, np.array([3]))
    (entry,) = space.held()
    assert as_other("cat", str(entry.path)).returncode != 0
    assert as_other("ls", str(space.steps_folder())).returncode != 0


def test_an_entry_that_root_keeps_for_all_is_read_by_others(shared):
    cached(counted, np.array([3]))
    (entry,) = space.held()
    poisoned(entry.path, shared / "read")
    for place in (space.steps_folder(), entry.path.parent):
        place.chmod(0o755)
    assert as_other("true").returncode == 0
    os.seteuid(OTHER)
    try:
        cached(counted, np.array([3]))
        assert (shared / "read").stat().st_uid == OTHER
    finally:
        os.seteuid(0)


def test_hashes_that_another_user_wrote_are_not_believed(shared, tmp_path):
    file = tmp_path / "ct.nii"
    file.write_bytes(b"these very bytes")
    os.utime(file, (1_000_000, 1_000_000))
    content_hashes([file])
    memo = cache_folder() / "hashes.json"
    wrong = {stamp: "0" * 64 for stamp in json.loads(memo.read_text())}
    memo.unlink()
    assert as_other("sh", "-c", f"echo '{json.dumps(wrong)}' > {memo}").returncode == 0
    with pytest.warns(UserWarning, match="not used: it belongs to another user"):
        assert content_hashes([file]) == [sha256_of(file)]
