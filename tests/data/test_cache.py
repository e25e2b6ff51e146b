"""Steps are done once, found again by what made them, and never torn, whatever happens."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.cli import main
from nextaim_kit.data.cache import cached, chunks, inventory, lazy, room, store
from nextaim_kit.data.cache.tokens import Tokens
from nextaim_kit.errors import DataError, RequestError

calls: deque[str] = deque()
SHIFT = 1


@pytest.fixture(autouse=True)
def nothing_done():
    """No calls, no warnings said, no room known from another test."""
    calls.clear()
    room._said.clear()
    room._left.clear()


@pytest.fixture
def ct(tmp_path, volume):
    """A small CT as a file; the patient's name is in its path."""
    path = tmp_path / "Rossi_Anna" / "ct.nii.gz"
    path.parent.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(volume), str(path))
    os.utime(path, (1_000_000, 1_000_000))
    return path


@pytest.fixture(scope="session")
def volume():
    """Values of a CT in HU, (z, y, x), int16."""
    rng = np.random.default_rng(0)
    return (rng.normal(0, 20, (70, 60, 90)) + np.linspace(-900, 100, 90)).astype(np.int16)


def read(path):
    calls.append("read")
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def windowed(path, *, low=-1000, high=300):
    return np.clip(read(path), low, high)


def entries():
    return [one.path for one in room.held()]


def test_a_step_is_done_once_and_read_from_then_on(ct):
    first, second = cached(windowed, ct, high=50), cached(windowed, str(ct), high=50)
    assert list(calls) == ["read"]
    assert second.dtype == np.int16
    assert np.array_equal(first, second)
    assert first.max() == 50
    second[:] = 0  # the caller's own copy
    assert cached(windowed, ct, high=50).any()


def test_other_parameters_make_another_entry(ct):
    assert cached(windowed, ct, high=50).max() == 50
    assert cached(windowed, ct, high=40).max() == 40
    assert len(entries()) == 2


def test_the_same_content_under_another_name_is_found_again(ct, tmp_path):
    cached(windowed, ct)
    moved = shutil.copy(ct, tmp_path / "other.nii.gz")
    cached(windowed, moved)
    assert len(calls) == 1


def test_another_content_under_the_same_name_is_not(ct, volume):
    cached(windowed, ct)
    sitk.WriteImage(sitk.GetImageFromArray(volume + 1), str(ct))
    assert np.array_equal(cached(windowed, ct), np.clip(volume + 1, -1000, 300))
    assert len(calls) == 2


def test_a_folder_counts_with_all_its_files(ct):
    def names(folder):
        calls.append("names")
        return {"n": len(list(Path(folder).iterdir()))}

    assert cached(names, ct.parent) == cached(names, ct.parent) == {"n": 1}
    (ct.parent / "more").write_text("x")
    assert cached(names, ct.parent) == {"n": 2}
    assert len(calls) == 2


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the user's own that is written and imported anew: gives its function `step`."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text):
        (tmp_path / "own_steps.py").write_text(text)
        sys.modules.pop("own_steps", None)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        return __import__("own_steps").step

    yield write
    sys.modules.pop("own_steps", None)


STEP = """
SIZE = 2
def helper(x):
    return x + 1
def step(x):
    '''What it does.'''
    return helper(x) * SIZE
"""


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        ("* SIZE", "- SIZE", 0),
        ("x + 1", "x + 2", 6),
        ("SIZE = 2", "SIZE = [3][0]", 6),
        ("SIZE = 2", "SIZE = dict(a=5)['a']", 10),
    ],
)
def test_an_edited_step_helper_or_constant_is_made_anew(module, old, new, result):
    assert cached(module(STEP), np.array([1])) == 4
    assert cached(module(STEP.replace(old, new)), np.array([1])) == result
    assert len(entries()) == 2


def test_comments_layout_and_documentation_make_no_difference(module):
    cached(module(STEP), np.array([1]))
    edited = STEP.replace("What it does.", "Doubles.").replace(
        "    return", "    # so\n\n    return"
    )
    cached(module(edited), np.array([1]))
    assert len(entries()) == 1


def test_a_name_that_is_bound_anew_is_seen_in_the_same_process(module):
    step = module(STEP)
    found = [cached(step, np.array([1]))[0]]
    for name, value in (("SIZE", 5), ("helper", abs)):
        setattr(sys.modules["own_steps"], name, value)
        found.append(cached(step, np.array([1]))[0])
    assert found == [4, 10, 5]


def test_a_list_that_is_changed_in_place_is_seen(module):
    step = module("SIZES = [1, 2]\ndef step(x):\n    return x * sum(SIZES)\n")
    assert cached(step, np.array([1])) == 3
    sys.modules["own_steps"].SIZES.append(3)
    assert cached(step, np.array([1])) == 6


def image_of(array):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.7, 0.8, 1.25))
    image.SetOrigin((-1.5, 2, 3))
    return image


def given(kind):
    rng = np.random.default_rng(1)
    return {
        "int16": rng.integers(-1024, 3071, (40, 30, 20)).astype(np.int16),
        "big endian": np.arange(1000, dtype=">i4"),
        "float32": np.array([1.5, np.nan, np.inf, -0.0] * 500, np.float32),
        "float16": rng.normal(size=(9, 400)).astype(np.float16),
        "bool": rng.random((3, 800)) > 0.5,
        "complex": np.exp(1j * np.arange(300)),
        "no axis": np.array(3.25),
        "empty": np.zeros((0, 4), np.uint8),
        "not contiguous": rng.normal(size=(60, 50))[::2, ::-1].T,
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["int16", "big endian", "float32", "float16", "bool", "complex", "no axis", "empty",
     "not contiguous"],
)  # fmt: skip
def test_arrays_come_back_to_the_bit(kind):
    first, second = cached(given, kind=kind), cached(given, kind=kind)
    assert len(entries()) == 1
    assert second.dtype == first.dtype
    assert second.shape == first.shape
    assert second.tobytes() == first.tobytes()


def test_structures_keep_their_types():
    def several():
        return {"a": (np.float32(2.5), [1, "x", None, True]), 3: np.ones(2), "nan": float("inf")}

    cached(several)
    found = cached(several)
    assert list(found) == ["a", 3, "nan"]
    assert found["a"] == (np.float32(2.5), [1, "x", None, True])
    assert type(found["a"][0]) is np.float32
    assert found["nan"] == float("inf")


def test_images_keep_their_geometry():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    cached(image_of, array)
    found, first = cached(image_of, array), image_of(array)
    assert found.GetSpacing() == first.GetSpacing()
    assert found.GetOrigin() == first.GetOrigin()
    assert np.array_equal(sitk.GetArrayFromImage(found), array)
    assert len(entries()) == 1


WHERE = [
    np.s_[3:67, 5:55, 20:84], np.s_[...], np.s_[..., 7], np.s_[-1], np.s_[::3, ::-1, 2:4],
    np.s_[1, 2, 3], np.s_[5:2], np.s_[None, 4:5], None, np.s_[[1, 5]], np.s_[60:900, -9:],
]  # fmt: skip


@pytest.mark.parametrize("where", WHERE, ids=str)
def test_a_part_is_what_a_slice_of_the_whole_is(ct, volume, where):
    part = lazy(windowed, ct, low=-5000, high=5000)[where]
    assert np.shape(part) == np.shape(volume[where])
    assert np.array_equal(part, volume[where])


def test_a_patch_reads_only_the_chunks_it_meets(ct, monkeypatch):
    lazily = lazy(windowed, ct)
    assert lazily.shape == (70, 60, 90)
    assert lazily.dtype == np.int16
    names = []
    of_entry = chunks.Entry.bytes
    monkeypatch.setattr(
        chunks.Entry, "bytes", lambda self, name: names.append(name) or of_entry(self, name)
    )
    patch = lazily[:8, :8, :8]
    assert np.array_equal(patch, cached(windowed, ct)[:8, :8, :8])
    assert names[2] == "0/0.0.0"
    assert names[3] == ".zattrs"  # where the second, whole reading begins


def test_an_array_of_a_dict_is_read_by_its_name(ct, volume):
    def both(path):
        return {"image": read(path), "body": read(path) > -200}

    lazily = lazy(both, ct)
    assert np.array_equal(lazily["body"][3:5, :, 4], (volume > -200)[3:5, :, 4])
    assert np.array_equal(np.asarray(lazily["image"]), volume)
    assert lazily["image"].dtype == np.int16
    with pytest.raises(RequestError, match="no array under the name 'mask'"):
        lazily["mask"][0]


def test_an_index_out_of_bounds_is_refused(ct):
    with pytest.raises(IndexError, match="out of bounds"):
        lazy(windowed, ct)[70]


def test_steps_in_a_row_are_done_only_as_far_as_needed(ct):
    def doubled(array):
        calls.append("doubled")
        return 2 * array

    def chain():
        return cached(doubled, lazy(windowed, ct, high=9))

    assert chain().max() == 18
    assert list(calls) == ["read", "doubled"]
    for path in entries():
        if "windowed" in str(path):
            path.unlink()
    assert chain().max() == 18
    assert len(calls) == 2


def test_zarr_opens_an_entry(ct, volume):
    zarr = pytest.importorskip("zarr")
    cached(windowed, ct, low=-5000, high=5000)
    group = zarr.open_group(zarr.ZipStore(str(entries()[0]), mode="r"), mode="r")
    assert np.array_equal(group["0"][:], volume)


# --- what may go wrong -------------------------------------------------------------------------


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "empty":
        content = bytearray()
    elif how == "truncated":
        content = content[: len(content) // 2]
    else:
        place = {"chunk": len(content) // 3, "note": content.rindex(b'"variant"') + 12}[how]
        content[place] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["chunk", "note", "truncated", "empty"])
def test_a_damaged_entry_is_made_anew_and_said_once(ct, how):
    first = cached(windowed, ct)
    for path in entries():
        damage(path, how)
    with pytest.warns(UserWarning, match=r"a damaged entry of .*windowed"):
        assert np.array_equal(cached(windowed, ct), first)
    damage(entries()[0], how)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(lazy(windowed, ct)[...], first)
        assert np.array_equal(cached(windowed, ct), first)
    assert len(calls) == 3


def test_a_step_that_draws_random_numbers_is_not_kept(ct):
    def noisy(path):
        return read(path) + np.random.normal(size=90)

    with pytest.warns(UserWarning, match="draws random numbers, so what it gives is not kept"):
        first = cached(noisy, ct)
    assert not np.array_equal(first, cached(noisy, ct))
    assert not entries()


def test_without_a_folder_the_value_is_given_and_the_mend_is_said_once(ct, monkeypatch, volume):
    monkeypatch.setenv("NEXTAIM_CACHE", "/proc/nowhere")
    with pytest.warns(UserWarning, match=r"/proc/nowhere.*NEXTAIM_CACHE"):
        assert np.array_equal(cached(windowed, ct, high=5000, low=-5000), volume)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lazily = lazy(windowed, ct, high=5000, low=-5000)
        assert np.array_equal(lazily[3:5], volume[3:5])
        assert np.array_equal(lazily[5:8], volume[5:8])
    assert len(calls) == 2  # what could not be kept is held while it is read by the part


def test_a_folder_that_may_only_be_read_is_still_read(ct, monkeypatch):
    first = cached(windowed, ct)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr(os, "utime", refuse)
    assert np.array_equal(cached(windowed, ct), first)
    with pytest.warns(UserWarning, match="Permission denied in .*steps"):
        assert cached(windowed, ct, high=7).max() == 7


def test_a_disk_that_is_full_costs_only_time():
    code = (
        "import numpy as np; from nextaim_kit.data.cache import cached\n"
        "def step(n): return np.random.default_rng(0).normal(size=100_000)\n"
        "print(sum(cached(step, np.zeros(k)).size for k in range(3)))"
    )

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    command = [sys.executable, "-B", "-c", code]
    ended = subprocess.run(command, preexec_fn=full, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["300000"]
    assert ended.stderr.count("steps are not kept") == 1
    assert "nextaim data cache prune" in ended.stderr
    assert not [path for path in room.steps_folder().rglob("*") if path.is_file()]


WORKER = """
import sys, time
import numpy as np
from nextaim_kit.data.cache import cached
def step(k):
    return np.random.default_rng(int(k[0])).integers(-1000, 1000, (60, 60, 60)).astype(np.int16)
print("ready", flush=True)
for turn in range(int(sys.argv[1])):
    for k in range(8):
        assert cached(step, np.array([k])).sum() == step([k]).sum()
print("done")
"""


def test_processes_that_are_killed_while_they_write_leave_nothing_torn():
    command = [sys.executable, "-B", "-W", "error", "-c", WORKER]
    doomed = [subprocess.Popen([*command, "1000"], stdout=subprocess.PIPE) for _ in range(2)]
    for number, process in enumerate(doomed):
        process.stdout.readline()
        time.sleep(0.03 * number)
        process.kill()
        process.communicate()
    others = [subprocess.Popen([*command, "2"], stdout=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[0].split()[-1] for process in others] == [b"done"] * 3
    assert len(entries()) == 8
    for path in entries():
        with path.open("rb") as stream:
            chunks.Entry(stream.fileno()).check()


def test_what_a_killed_process_left_is_removed_after_a_day():
    folder = room.steps_folder() / "step"
    folder.mkdir(parents=True)
    for name, age in ((".partial-old.zip", 90_000), (".partial-new.zip", 60)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age,) * 2)
    assert main(["data", "cache", "prune", "--all"]) == 0
    assert [path.name for path in folder.iterdir()] == [".partial-new.zip"]


# --- how much there may be ---------------------------------------------------------------------


def noise(k):
    return np.random.default_rng(int(k[0])).integers(0, 256, 100_000).astype(np.uint8)


def fill(count, start=0):
    for k in range(start, start + count):
        cached(noise, np.array([k]))
        identity = lazy(noise, np.array([k]))._identity
        os.utime(identity.path, (time.time() - (20 - k) * 86_400,) * 2)


def kept():
    return [k for k in range(20) if store.there(lazy(noise, np.array([k]))._identity)]


def test_the_least_recently_used_goes_first_when_the_quota_is_reached(monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE_GB", "0.00055")
    fill(5)
    cached(noise, np.array([0]))  # used now
    cached(noise, np.array([9]))
    assert 0 in kept()
    assert 9 in kept()
    assert 1 not in kept()
    assert sum(one.bytes for one in room.held()) <= room.quota()


def test_the_quota_holds_however_much_is_written(monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE_GB", "0.0005")
    for k in range(20):
        fill(1, k)
        assert sum(one.bytes for one in room.held()) <= room.quota()


def test_an_entry_that_is_read_is_not_removed():
    fill(2)
    with store.opened(lazy(noise, np.array([0]))._identity) as entry:
        assert inventory.remove_all(room.held())[1] == 1
        assert np.array_equal(entry.array(0), noise([0]))
    assert kept() == [0]


def test_a_quota_too_small_for_the_work_is_said(monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE_GB", "0.00025")
    for k in range(2):
        cached(noise, np.array([k]))
    with pytest.warns(UserWarning, match="too little for what works here now"):
        cached(noise, np.array([2]))


def test_an_entry_larger_than_the_quota_is_not_kept(monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE_GB", "0.00005")
    with pytest.warns(UserWarning, match=r"has no room in the cache's 5e-05 GB"):
        assert cached(noise, np.array([1])).size == 100_000
    assert not list(room.steps_folder().rglob("*.zip"))


def test_a_quota_of_zero_keeps_nothing(monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE_GB", "0")
    fill_value = cached(noise, np.array([1]))
    assert fill_value.size == 100_000
    assert not room.steps_folder().exists()


def test_a_quota_that_is_no_number_is_refused(monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE_GB", "ten")
    with pytest.raises(RequestError, match="NEXTAIM_CACHE_GB is no size"):
        room.quota()


# --- what is refused ---------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.nii is not there"):
        cached(windowed, tmp_path / "absent.nii")


def test_a_file_given_as_a_text_parameter_is_refused_and_as_a_path_counts(ct):
    def masked(array, *, mask):
        return array * read(mask)

    with pytest.raises(RequestError, match="'mask' is the name of a file"):
        cached(masked, np.array(2), mask=str(ct))
    cached(masked, np.array(2), mask=ct)
    ct.write_bytes(ct.read_bytes() + b"\0")
    with contextlib.suppress(RuntimeError):  # with such an end it need not be readable
        cached(masked, np.array(2), mask=ct)
    assert len(calls) == 2


@pytest.mark.parametrize("name", ["ct.mhd", "ct.hdr"])
def test_a_header_without_its_voxels_is_refused(tmp_path, name):
    (tmp_path / name).write_text("header")
    with pytest.raises(DataError, match="keeps its voxels in another file"):
        cached(windowed, tmp_path / name)


def test_a_parameter_that_cannot_be_told_from_others_is_refused():
    with pytest.raises(RequestError, match=r"generator are alike cannot be told"):
        cached(given, kind=(k for k in "ab"))


def test_a_result_that_cannot_be_kept_is_refused():
    with pytest.raises(DataError, match=r"gave a builtins\.set"):
        cached(lambda: {1, 2})


# --- privacy and the command line --------------------------------------------------------------


def test_only_the_user_may_look_and_no_name_or_path_is_told(ct):
    cached(windowed, ct)
    assert room.steps_folder().stat().st_mode & 0o077 == 0
    for path in room.cache_folder().rglob("*"):
        assert "Rossi" not in path.name
        assert not path.is_file() or b"Rossi" not in path.read_bytes()


def test_list_tells_entries_variants_and_their_share_of_the_inputs(ct, capsys):
    for high in (10, 20):
        cached(windowed, ct, high=high)
    assert main(["data", "cache", "list"]) == 0
    (row,) = inventory.summaries()
    assert (row.variants, row.entries, row.input_bytes) == (2, 2, ct.stat().st_size)
    shown = capsys.readouterr().out
    assert "test_cache.windowed" in shown
    assert f"{row.bytes / row.input_bytes:.2f}" in shown
    assert "just now" in shown


def test_size_tells_what_else_lies_in_the_cache(capsys):
    fill(1)
    (room.cache_folder() / "twins").mkdir()
    (room.cache_folder() / "twins" / "a").write_bytes(b"x" * 3000)
    assert main(["data", "cache", "size"]) == 0
    shown = capsys.readouterr().out
    assert "NEXTAIM_CACHE_GB" in shown
    assert "3 kB" in shown


def test_prune_shows_what_would_go_and_removes_it_only_when_told(capsys):
    fill(3)
    assert main(["data", "cache", "prune", "--step", "noise"]) == 0
    assert "nothing was removed" in capsys.readouterr().out
    assert len(kept()) == 3
    assert main(["data", "cache", "prune", "--to", "0.00021", "--yes"]) == 0
    assert kept() == [1, 2]
    assert main(["data", "cache", "prune", "--older-than", "18.5", "--yes"]) == 0
    assert kept() == [2]
    assert main(["data", "cache", "prune", "--all", "-y"]) == 0
    assert not kept()


@pytest.mark.parametrize(("answer", "left"), [(False, [0]), (True, [])])
def test_prune_asks_where_someone_can_answer(monkeypatch, answer, left):
    fill(1)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda question: answer)
    assert main(["data", "cache", "prune", "--all"]) == 0
    assert kept() == left


def test_an_empty_cache_is_said_to_be_empty(capsys):
    assert main(["data", "cache", "list"]) == 0
    assert "nothing is kept" in capsys.readouterr().out
    assert main(["data", "cache", "prune", "--all"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "does not know what to remove"),
        (["--step", "noize"], "did you mean tests.data.test_cache.noise"),
        (["--to", "-1"], "Invalid value"),
    ],
)
def test_a_request_to_prune_that_cannot_be_meant_exits_with_2(capsys, arguments, said):
    fill(1)
    assert main(["data", "cache", "prune", *arguments]) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")
    assert kept() == [0]


# --- what tells one step from another ----------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.clip, np.round),
        (np.add, np.subtract),
        (len, abs),
        (Path.is_file, Path.is_dir),
        (np.float32(1), np.float64(1)),
        ((1, 2), [1, 2]),
        (True, 1),
        (np.zeros(2), np.zeros((2, 1))),
        (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0])),
        (lambda x: x + 1, lambda x: x + 2),
    ],
)
def test_different_things_are_told_apart(one, other):
    assert Tokens().of(one) != Tokens().of(other)
    assert Tokens().of(one) == Tokens().of(one)


def test_a_constant_path_in_code_is_not_read_as_an_input(module):
    step = module(
        "from pathlib import Path\nROOT = Path('/')\ndef step(x):\n    return x, ROOT.name\n"
    )
    assert cached(step, 3)[1] == ""
