"""Steps are done once, found again by what made them, and never torn, whatever happens."""

from __future__ import annotations

import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from collections import deque

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import zarr

from nextaim_kit import errors
from nextaim_kit.cli import main
from nextaim_kit.data.cache import cached, lazy, space
from nextaim_kit.data.cache.identity import digest, said
from nextaim_kit.data.cohort.fingerprint import fingerprint
from nextaim_kit.errors import DataError, RequestError

calls: deque[str] = deque()


@pytest.fixture(autouse=True)
def nothing_done():
    calls.clear()
    errors._warned.clear()


@pytest.fixture(scope="session")
def volume():
    """Values of a CT in HU, (z, y, x), int16."""
    rng = np.random.default_rng(0)
    return (rng.normal(0, 20, (70, 160, 90)) + np.linspace(-900, 100, 90)).astype(np.int16)


@pytest.fixture
def ct(tmp_path, volume):
    """A CT as a file; the patient's name is in its path."""
    path = tmp_path / "Rossi_Anna" / "ct.nii.gz"
    path.parent.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(volume), str(path))
    os.utime(path, (1_000_000, 1_000_000))
    return path


def read(path):
    calls.append("read")
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def windowed(path, *, low=-5000, high=5000):
    return np.clip(read(path), low, high)


def both(path):
    return {"image": torch.from_numpy(read(path)), "body": read(path) > -200, "small": np.ones(2)}


def given(*, what):
    return what


def entries():
    return [one.path for one in space.held()]


def test_a_step_is_done_once_and_read_from_then_on(ct):
    first, second = cached(windowed, ct, high=50), cached(windowed, str(ct), high=50)
    assert list(calls) == ["read"]
    assert second.dtype == np.int16
    assert np.array_equal(first, second)
    second[:] = 0  # the caller's own copy
    assert cached(windowed, ct, high=50).any()
    assert entries()[0].stat().st_size < first.nbytes


def test_other_parameters_and_versions_make_other_entries(ct):
    assert cached(windowed, ct, high=50).max() == 50
    assert cached(windowed, ct, high=40).max() == 40
    cached(windowed, ct, high=40, version=2)
    assert len(entries()) == 3


def test_a_file_counts_by_its_content_wherever_it_lies(ct, tmp_path, volume):
    cached(windowed, ct)
    cached(windowed, shutil.copy(ct, tmp_path / "other.nii.gz"))
    assert len(calls) == 1
    folder = said(ct.parent)
    sitk.WriteImage(sitk.GetImageFromArray(volume + 1), str(ct))
    assert np.array_equal(cached(windowed, ct), volume + 1)
    assert said(ct.parent) != folder


def test_an_edited_step_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for text, value in (("x + 1", 2), ("x + 2", 3)):
        (tmp_path / "own_steps.py").write_text(f"def step(x):\n    return {text}\n")
        sys.modules.pop("own_steps", None)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        assert cached(__import__("own_steps").step, np.array([1])) == value
    assert len(entries()) == 2


@pytest.mark.parametrize(
    "what",
    [
        np.arange(4000).reshape(40, 100).astype(np.int16),
        np.arange(1000, dtype=">i4"),
        np.array([1.5, np.nan, np.inf, -0.0] * 500, np.float32),
        np.arange(3600.0).reshape(60, 60)[::2, ::-1].T,
        np.arange(2400).reshape(3, 800) % 3 == 0,
        np.exp(1j * np.arange(300)),
        np.array(3.25),
        np.zeros((0, 4), np.uint8),
    ],
    ids=lambda what: str(what.dtype),
)
def test_arrays_come_back_to_the_bit(what):
    cached(given, what=what)
    found = cached(given, what=what)
    assert len(entries()) == 1
    assert (found.dtype, found.shape, found.tobytes()) == (what.dtype, what.shape, what.tobytes())


def test_structures_tensors_and_images_keep_their_types(ct):
    def several(path):
        image = sitk.ReadImage(str(path))
        image.SetSpacing((0.7, 0.8, 1.25))
        return {"a": (np.float32(2.5), [1, None]), 3: torch.ones(9, 99), "image": image}

    for found in (cached(several, ct), cached(several, ct)):
        assert found["a"] == (np.float32(2.5), [1, None])
        assert torch.equal(found[3], torch.ones(9, 99))
        assert found["image"].GetSpacing() == (0.7, 0.8, 1.25)
    assert len(entries()) == 1


WHERE = [
    np.s_[3:67, 5:55, 20:84], np.s_[...], np.s_[..., 7], np.s_[-1], np.s_[::3, ::-1, 2:4],
    np.s_[1, 2, 3], np.s_[5:2], np.s_[None, 4:5], None, np.s_[[1, 5]], np.s_[60:900, -9:],
]  # fmt: skip


@pytest.mark.parametrize("where", WHERE, ids=str)
def test_a_part_is_what_a_slice_of_the_whole_is(ct, volume, where):
    cached(windowed, ct)
    part = lazy(windowed, ct)[where]
    assert np.shape(part) == np.shape(volume[where])
    assert np.array_equal(part, volume[where])
    with pytest.raises(IndexError, match="out of bounds"):
        lazy(windowed, ct)[70]
    assert len(calls) == 1


def test_a_patch_reads_only_the_chunks_it_meets(ct, monkeypatch, volume):
    cached(windowed, ct)
    names, get = [], zarr.ZipStore.__getitem__
    monkeypatch.setattr(zarr.ZipStore, "__getitem__", lambda s, n: names.append(n) or get(s, n))
    assert np.array_equal(lazy(windowed, ct)[:8, :8, :8], volume[:8, :8, :8])
    assert [name for name in names if name.startswith("0/0")] == ["0/0.0.0"]
    assert "0/1.1.0" in zipfile.ZipFile(entries()[0]).namelist()


def test_an_array_of_a_dict_is_read_by_its_name(ct, volume):
    lazily = lazy(both, ct)
    for _ in range(2):  # made, then read
        assert np.array_equal(lazily["body"][3:5, :, 4], (volume > -200)[3:5, :, 4])
        assert np.array_equal(lazily["image"], volume)
        assert (lazily["image"].shape, lazily["image"].dtype) == (volume.shape, np.int16)
        assert lazily["small"][1] == 1
    assert len(calls) == 2
    with pytest.raises(RequestError, match="no array under the name 'mask'"):
        lazily["mask"][0]


def test_steps_in_a_row_are_done_only_as_far_as_needed(ct):
    for _ in range(2):
        made = cached(flipped, lazy(windowed, ct, high=9))
        assert made.max() == 9
        for path in entries():
            if "windowed" in str(path):
                path.unlink()
    assert len(calls) == 1
    assert cached(flipped, lazy(both, ct)["body"]).dtype == bool


def flipped(array):
    return array[::-1]


# --- what may go wrong -------------------------------------------------------------------------


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how in ("empty", "truncated"):
        content = content[: len(content) // 2 if how == "truncated" else 0]
    else:
        place = {"chunk": len(content) // 3, "name": content.rindex(b"0/0.0.0") + 2}[how]
        content[place] += 1
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["chunk", "name", "truncated", "empty"])
def test_a_damaged_entry_is_made_anew_and_said_once(ct, how, volume):
    cached(windowed, ct)
    damage(entries()[0], how)
    with pytest.warns(UserWarning, match=r"a damaged entry of .*windowed"):
        assert np.array_equal(cached(windowed, ct), volume)
    damage(entries()[0], how)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(lazy(windowed, ct)[2:], volume[2:])
        assert np.array_equal(cached(windowed, ct), volume)
    assert len(calls) == 3


def test_without_a_folder_the_value_is_given_and_the_mend_is_said_once(ct, monkeypatch, volume):
    monkeypatch.setenv("NEXTAIM_CACHE", "/proc/nowhere")
    with pytest.warns(UserWarning, match=r"/proc/nowhere.*NEXTAIM_CACHE"):
        assert np.array_equal(cached(windowed, ct), volume)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lazily = lazy(windowed, ct)
        assert np.array_equal(lazily[3:5], volume[3:5])
        assert np.array_equal(lazily[5:8], volume[5:8])
    assert len(calls) == 2  # what could not be kept is held while it is read by the part


def test_a_folder_that_may_only_be_read_is_still_read(ct, monkeypatch, volume):
    cached(windowed, ct)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr(os, "utime", refuse)
    assert np.array_equal(cached(windowed, ct), volume)
    assert len(calls) == 1
    with pytest.warns(UserWarning, match="Permission denied in .*steps"):
        assert cached(windowed, ct, high=7).max() == 7


WORKER = """
import sys
import numpy as np
from nextaim_kit.data.cache import cached
def step(k):
    return np.random.default_rng(int(k[0])).integers(-1000, 1000, (60, 60, 60)).astype(np.int16)
print("ready", flush=True)
for turn in range(int(sys.argv[1])):
    for k in range(8):
        assert (cached(step, np.array([k])) == step([k])).all()
print("done")
"""


@pytest.fixture
def worker(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    return [sys.executable, "-B", str(tmp_path / "worker.py")]


def test_a_disk_that_is_full_costs_only_time(worker):
    def full():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    ended = subprocess.run([*worker, "1"], preexec_fn=full, capture_output=True, text=True)
    assert ended.stdout.split() == ["ready", "done"]
    assert ended.stderr.count("UserWarning: steps are done anew each time") == 1
    assert "nextaim data cache prune" in ended.stderr
    assert not [path for path in space.steps_folder().rglob("*") if path.is_file()]


def test_processes_that_are_killed_while_they_write_leave_nothing_torn(worker):
    doomed = [subprocess.Popen([*worker, "1000"], stdout=subprocess.PIPE) for _ in range(2)]
    for number, process in enumerate(doomed):
        process.stdout.readline()
        time.sleep(0.03 * number)
        process.kill()
        process.communicate()
    others = [subprocess.Popen([*worker, "2"], stdout=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[0].split()[-1] for process in others] == [b"done"] * 3
    assert len(entries()) == 8
    assert [zipfile.ZipFile(path).testzip() for path in entries()] == [None] * 8


def test_what_a_killed_process_left_is_removed_after_a_day():
    folder = space.steps_folder() / "step"
    folder.mkdir(parents=True)
    for name, age in ((".partial-old.zip", 90_000), (".partial-new.zip", 60)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age,) * 2)
    assert main(["data", "cache", "prune", "--all"]) == 0
    assert [path.name for path in folder.iterdir()] == [".partial-new.zip"]


# --- how much there may be, and the command line ------------------------------------------------


def noise(k):
    return np.random.default_rng(int(k[0])).integers(0, 256, 100_000).astype(np.uint8)


def fill(count):
    for k in range(count):
        cached(noise, np.array([k]))
        os.utime(lazy(noise, np.array([k])).entry.path, (time.time() - (20 - k) * 86_400,) * 2)


def kept():
    return [k for k in range(20) if lazy(noise, np.array([k])).entry.path.exists()]


def test_the_least_recently_used_goes_first_when_the_quota_is_reached(monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE_GB", "0.00055")
    fill(5)
    cached(noise, np.array([0]))  # used now
    cached(noise, np.array([9]))
    assert {0, 9} <= set(kept()) <= {0, 2, 3, 4, 9}
    assert sum(one.bytes for one in space.held()) <= space.quota()


def test_entries_are_not_all_looked_at_for_every_small_one(monkeypatch):
    looks = []
    monkeypatch.setattr(space, "held", lambda whole=space.held: looks.append(1) or whole())
    fill(5)
    assert len(looks) == 1
    monkeypatch.setenv("NEXTAIM_CACHE_GB", "0.005")
    cached(noise, np.array([6]))  # a fiftieth of the quota
    assert len(looks) == 2


def test_an_entry_larger_than_the_quota_is_not_kept(monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE_GB", "0.00005")
    with pytest.warns(UserWarning, match=r"more than NEXTAIM_CACHE_GB, 5e-05 GB"):
        assert cached(noise, np.array([1])).size == 100_000
    monkeypatch.setenv("NEXTAIM_CACHE_GB", "0")
    assert cached(noise, np.array([1])).size == 100_000
    assert not entries()
    monkeypatch.setenv("NEXTAIM_CACHE_GB", "ten")
    with pytest.raises(RequestError, match="NEXTAIM_CACHE_GB is no size"):
        space.quota()


def test_only_the_user_may_look_and_no_name_or_path_is_told(ct):
    cached(windowed, ct)
    assert space.steps_folder().stat().st_mode & 0o077 == 0
    for path in space.cache_folder().rglob("*"):
        assert "Rossi" not in path.name
    assert b"Rossi" not in entries()[0].read_bytes()


def test_list_and_size_tell_what_lies_there(capsys):
    assert main(["data", "cache", "list"]) == 0
    fill(1)
    assert main(["data", "cache", "list"]) == main(["data", "cache", "size"]) == 0
    shown = capsys.readouterr().out
    for text in ("nothing is kept", "test_cache.noise", "20 days ago", "NEXTAIM_CACHE_GB"):
        assert text in shown


def test_prune_shows_what_would_go_and_removes_it_only_when_told(capsys):
    fill(3)
    assert main(["data", "cache", "prune", "--step", "noise"]) == 0
    assert "nothing was removed" in capsys.readouterr().out
    assert len(kept()) == 3
    left = {("--to", "0.00025"): [1, 2], ("--older-than", "18.5"): [2], ("--all",): []}
    for arguments, expected in left.items():
        assert main(["data", "cache", "prune", *arguments, "--yes"]) == 0
        assert kept() == expected


@pytest.mark.parametrize(
    ("arguments", "text"),
    [([], "does not know what to remove"), (["--step", "noize"], "nothing is kept of a step")],
)
def test_a_request_to_prune_that_cannot_be_meant_exits_with_2(capsys, arguments, text):
    assert main(["data", "cache", "prune", *arguments]) == 2
    assert text in capsys.readouterr().err.replace("\n", " ")


# --- what is refused, and what tells one from another -------------------------------------------


def test_files_that_cannot_be_followed_are_refused(ct):
    with pytest.raises(DataError, match=r"absent\.nii is not there"):
        cached(windowed, ct.parent / "absent.nii")
    with pytest.raises(RequestError, match="'what' is the name of a file"):
        cached(given, what=str(ct))


@pytest.mark.parametrize(
    ("header", "text"),
    [("ct.mhd", "ElementDataFile = v.raw"), ("ct.nhdr", "data file: v.raw"), ("ct.hdr", "")],
)
def test_voxels_in_another_file_tell_one_volume_from_another(tmp_path, header, text):
    (tmp_path / header).write_text(f"NDims = 3\n{text}\n")
    found = set()
    for voxels in (b"one", b"another"):
        for name in ("v.raw", "ct.img"):
            (tmp_path / name).write_bytes(voxels)
        found.add(str(said(tmp_path / header)))
        found.add(fingerprint(str(tmp_path / header))["sha256"])
    assert len(found) == 4


def test_what_has_no_source_is_refused_unless_a_key_stands_for_it(ct):
    def closure(path):
        return read(path) + len(calls) * 0 + int(str(ct) == "")

    for step in (lambda path: read(path), closure, functools.partial(windowed), np.add):
        with pytest.raises(RequestError, match="give key="):
            cached(step, ct)
    assert np.array_equal(cached(closure, ct, key="1"), cached(closure, ct, key="1"))
    assert len(calls) == 1
    with pytest.raises(RequestError, match=r"generator has no name.*\n.*\n.*give key="):
        cached(given, what=(k for k in "ab"))
    with pytest.raises(DataError, match=r"given gave cannot be kept"):
        cached(given, what=(k for k in "ab"), key="1")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.float32(1), np.float64(1)), ((1, 2), [1, 2]), (True, 1), (1, 1.0), (windowed, both),
        (np.zeros(2), np.zeros((2, 1))), ({"a": 1}, {"a": 2}), (np.int8, np.int16),
    ],
)  # fmt: skip
def test_different_things_are_told_apart(one, other):
    assert digest(said(one)) == digest(said(one)) != digest(said(other))
