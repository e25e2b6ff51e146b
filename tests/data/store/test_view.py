"""A store is read as its folder was, and nothing of it is left on disk."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from cloudpickle import register_pickle_by_value
from joblib.externals.loky import get_reusable_executor
from PIL import Image

from nextaim_kit.data.cache import cached
from nextaim_kit.data.cache.space import held
from nextaim_kit.data.cohort.fingerprint import fingerprint
from nextaim_kit.data.cohort.loading import load_cohort, problems
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.data.images.films import read_film
from nextaim_kit.data.images.reading import read_image, read_mask
from nextaim_kit.data.store import memory, sealed, view
from nextaim_kit.errors import DataError, RequestError
from tests.data.store.conftest import KINDS, NAME, PHRASE, pattern

register_pickle_by_value(sys.modules[__name__])  # tests are no package that a worker could import


def mean_inside(row: dict) -> dict:
    inside = sitk.GetArrayFromImage(read_mask(row["mask"])) > 0
    return {"mean": float(sitk.GetArrayFromImage(read_image(row["image"]))[inside].mean())}


def first_bytes(row: dict) -> bytes:
    with open(row["image"], "rb") as file:  # without a word to the kit
        return file.read(64)


def of_series(row: dict) -> np.ndarray:
    return voxels(row["image"])


def voxels(path: str) -> np.ndarray:
    return sitk.GetArrayFromImage(read_image(path))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sealed_cohort_gives_the_numbers_of_the_plain_one(
    store: Path, ward: Path, workers: int
) -> None:
    plain, opened = load_cohort(str(ward)), load_cohort(str(store))
    assert problems(opened).empty
    assert opened[["subject", "site", "label"]].equals(plain[["subject", "site", "label"]])
    found = each(opened, mean_inside, workers=workers)
    assert found.failures.empty
    assert len(found.results) == len(KINDS)
    assert found.results == each(plain, mean_inside, workers=1).results


def test_workers_that_were_there_before_read_a_store_too(store: Path, ward: Path) -> None:
    get_reusable_executor().shutdown(wait=True)  # those of an earlier test know of stores
    before = each(load_cohort(str(ward)), first_bytes, workers=2)
    after = each(load_cohort(str(store)), first_bytes, workers=2)
    assert len(after.results) == len(KINDS)
    assert after.results == before.results


def test_a_series_a_film_and_a_table_within_a_store_are_read(store: Path, ward: Path) -> None:
    series = find_source(f"{store}/series").path
    assert np.array_equal(voxels(str(series)), pattern(9))
    film = find_source(f"{store}/film.png").path
    assert np.array_equal(np.asarray(Image.open(film)), np.asarray(Image.open(ward / "film.png")))
    assert np.array_equal(read_film(film).shown, read_film(ward / "film.png").shown)
    assert pd.read_csv(find_source(f"{store}/cohort.csv").path).shape == (len(KINDS), 5)
    assert find_source(f"{store}/empty.txt").path.read_text() == ""


def test_a_folder_without_a_table_is_found_in_a_store_as_on_disk(store: Path, ward: Path) -> None:
    plain = load_cohort(str(ward / "series"), columns=("image",))
    opened = load_cohort(f"{store}/series", columns=("image",))
    assert opened["subject"].tolist() == plain["subject"].tolist()
    assert opened.attrs["seen"] == plain.attrs["seen"]


def test_headers_that_were_read_once_hold_while_files_come_and_go(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, shown = load_cohort(f"{store}/series", columns=("image",)), view.view_of(store)
    assert (shown.data / "series").is_dir()
    monkeypatch.setattr(view, "_GRACE", 0.0)
    monkeypatch.setattr(view, "_NOTE", 0.0)
    shown.budget = 1  # each file goes when the next one comes
    for workers in (1, 2):
        twice = pd.concat([cohort, cohort.assign(subject="again")], ignore_index=True)
        found = each(twice, of_series, columns=["image"], workers=workers)
        assert found.failures["problem"].tolist() == []
        assert [np.array_equal(one, pattern(9)) for one in found.results] == [True, True]


def test_a_store_has_its_folders_fingerprint_and_its_own_terms(store: Path, ward: Path) -> None:
    plain, opened = fingerprint(str(ward)), fingerprint(str(store))
    assert opened["sha256"] == plain["sha256"]
    terms = {"licence": "research only", "agreement": "DTA 7", "until": "2999-12-31"}
    assert opened == plain | terms
    assert find_source(str(store)).spec == str(store)


def test_nothing_is_decrypted_before_it_is_asked_for(store: Path) -> None:
    load_cohort(str(store))
    fingerprint(str(store))
    shown = view.view_of(store)
    there = {path for path in shown.data.rglob("*") if path.is_file()}
    filled = {path for path in there if path.stat().st_size}
    assert {p.name for p in filled if p.suffix not in (".nrrd", ".mha", ".mhd")} == {"cohort.csv"}
    empty = {path for path in there - filled if path.name != "empty.txt"}
    assert {path.stat().st_mode & 0o777 for path in empty} == {0}  # who does not ask is refused
    assert {path.stat().st_mode & 0o777 for path in filled} == {0o400}


def test_nothing_of_a_store_is_left_on_disk(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(work))
    monkeypatch.setenv("NEXTAIM_CACHE", str(work / "cache"))
    cohort = load_cohort(str(store))
    each(cohort, mean_inside, workers=1, keep=True)
    cached(voxels, str(find_source(f"{store}/series").path))
    with tempfile.NamedTemporaryFile(delete=False) as copy:
        copy.write(pattern(0).tobytes() + NAME.encode())
    text = b"".join(path.read_bytes() for path in work.rglob("*") if path.is_file())
    assert held() == []
    assert not (work / "cache" / "hashes.json").exists()
    for planted in (NAME.encode(), pattern(0).tobytes()[:64], pattern(9).tobytes()[:64]):
        assert planted not in text
    assert copy.name.startswith(str(view.view_of(store).folder))


def test_what_is_looked_for_would_be_found_of_a_plain_cohort(
    ward: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTAIM_CACHE", str(tmp_path / "cache"))
    cached(voxels, str(ward / "series"))
    assert [one.step.rpartition(".")[2] for one in held()] == ["voxels"]


def test_a_damaged_file_is_named_and_costs_no_other_subject(store: Path) -> None:
    opened = sealed.open_store(store)
    opened.place(f"images/{NAME}_1.nii").write_bytes(b"age-encryption.org/v1\n")
    found = each(load_cohort(str(store)), mean_inside, workers=1)
    assert found.failures["subject"].tolist() == ["P1"]
    assert f"{NAME}_1.nii of the store ward is not what was sealed" in found.failures["problem"][0]
    assert len(found.results) == len(KINDS) - 1


def test_contents_stay_within_their_budget(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort, shown = load_cohort(str(store)), view.view_of(store)
    monkeypatch.setattr(view, "_GRACE", 0.0)
    largest = max(of.size for of in shown.store.files.values())
    shown.budget = 2 * largest
    for _ in range(3):  # what was emptied is filled again
        found = each(cohort, mean_inside, workers=1)
        assert found.failures.empty
        there = sum(path.stat().st_size for path in shown.data.rglob("*") if path.is_file())
        assert there <= shown.budget + shown.budget // 8


def test_what_is_open_outlives_being_emptied(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = view.view_of(store)
    path = shown.data / f"images/{NAME}_1.nii"
    mapped = np.memmap(path, np.uint8, "r")
    before = mapped.tobytes()
    monkeypatch.setattr(view, "_GRACE", 0.0)
    shown.budget = 1
    view.fill(shown.data / "cohort.csv")
    assert path.stat().st_size == 0
    assert mapped.tobytes() == before


_READER = """
import sys, time
from nextaim_kit.data.store import keys
keys.unlock = lambda *args: sys.argv[2]
from nextaim_kit.data.datasets.source import find_source
path = find_source(sys.argv[1]).path / "cohort.csv"
print(path, len(path.read_text()), flush=True)
time.sleep(60)
"""


def test_a_process_that_is_killed_leaves_nothing_in_memory(sealed_once: Path, its_key: str) -> None:
    command = [sys.executable, "-c", _READER, str(sealed_once), its_key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout
        path = Path(reader.stdout.readline().split()[0])
        assert path.is_file()
        reader.kill()
    ends = time.monotonic() + 30
    while path.parents[2].exists() and time.monotonic() < ends:
        time.sleep(0.05)
    assert not path.parents[2].exists()


def test_a_second_reader_is_not_asked_again(
    sealed_once: Path, its_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", _READER, str(sealed_once), its_key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout
        reader.stdout.readline()
        monkeypatch.delenv("NEXTAIM_STORE_PASSPHRASE")
        assert len(load_cohort(str(sealed_once))) == len(KINDS)
        reader.kill()


def test_a_store_whose_last_day_passes_is_refused_by_the_loader(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datetime

    load_cohort(str(store))
    monkeypatch.setattr(sealed, "today", lambda: datetime.date(3000, 1, 1))
    with pytest.raises(RequestError, match="may not be read any more"):
        load_cohort(str(store))


def test_other_machines_are_not_asked_to_read_a_store(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTAIM_DASK", "tcp://host:8786")
    with pytest.raises(RequestError, match="on this machine only"):
        load_cohort(str(store))


def test_a_machine_without_a_folder_in_memory_says_so(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "ROOTS", (f"{tmp_path}/nextaim-store-0/",))
    with pytest.raises(DataError, match="no folder in memory"):
        load_cohort(str(store))
    assert not (tmp_path / "nextaim-store-0").exists()


def test_where_a_view_lies_stands_in_no_page(store: Path) -> None:
    shown = view.view_of(store)
    text = memory.without_places(f"read {shown.data}/film.png")
    assert text == "read ward/film.png"


def test_the_key_stands_in_no_representation(store: Path) -> None:
    opened = sealed.open_store(store)
    assert not re.search("AGE-SECRET-KEY|Zanz", repr(opened) + str(view.view_of(store)))
    assert PHRASE not in repr(opened)


def test_a_ward_that_moves_stays_the_store_it_was(store: Path, tmp_path: Path) -> None:
    moved = Path(shutil.move(store, tmp_path / "elsewhere"))
    assert len(load_cohort(str(moved))) == len(KINDS)
