"""Fingerprints follow the content of the data and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from types import SimpleNamespace

import pandas as pd
import pytest

from nextaim_kit.data import hashes
from nextaim_kit.data.cohort import fingerprint as module
from nextaim_kit.data.cohort.fingerprint import MARK, fingerprint
from nextaim_kit.data.datasets.source import Source
from nextaim_kit.data.hashes import content_hashes
from nextaim_kit.errors import RequestError
from nextaim_kit.files import cache_folder


@pytest.fixture
def table(tmp_path):
    """A cohort of two small files in a folder of its own."""
    folder = tmp_path / "one" / "study"
    (folder / "ct").mkdir(parents=True)
    (folder / "ct" / "1.dcm").write_text("slice")
    (folder / "mask.nii").write_text("mask")
    (folder / "cohort.csv").write_text("subject,age,image,mask\na,70,ct,mask.nii\n")
    for path in folder.rglob("*"):
        os.utime(path, (1_000_000, 1_000_000))
    return folder / "cohort.csv"


def test_the_twin_has_no_hash():
    assert fingerprint("synthetic") == {
        "name": "synthetic", "sha256": None, "licence": "Apache-2.0", "synthetic": True,
    }  # fmt: skip


def test_data_that_move_keep_their_fingerprint(table, tmp_path):
    before = fingerprint(str(table))
    moved = shutil.move(str(tmp_path / "one"), str(tmp_path / "two"))
    assert fingerprint(f"{moved}/study/cohort.csv") == before
    assert len(before["sha256"]) == 64
    assert before["synthetic"] is False
    assert str(tmp_path) not in json.dumps(before)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("cohort.parquet", pd.DataFrame.to_parquet),
        ("cohort.xlsx", pd.DataFrame.to_excel),
        ("cohort.csv.gz", pd.DataFrame.to_csv),
        ("cohort.tsv", partial(pd.DataFrame.to_csv, sep="\t")),
        ("semicolons.csv", partial(pd.DataFrame.to_csv, sep=";")),
    ],
)
def test_a_table_of_any_form_counts_the_files_it_names(table, name, write):
    path = table.with_name(name)
    write(pd.read_csv(table), path, index=False)
    before = fingerprint(str(path))["sha256"]
    (table.parent / "ct" / "1.dcm").write_text("another slice")
    assert fingerprint(str(path))["sha256"] != before


def test_a_folder_with_a_table_has_the_fingerprint_of_the_table(table):
    assert fingerprint(str(table.parent))["sha256"] == fingerprint(str(table))["sha256"]


@pytest.mark.parametrize("name", ["ct/1.dcm", "mask.nii", "cohort.csv"])
def test_any_changed_file_changes_the_fingerprint(table, name):
    before = fingerprint(str(table))["sha256"]
    with (table.parent / name).open("a") as stream:
        stream.write("\n")
    assert fingerprint(str(table))["sha256"] != before


def test_files_the_table_does_not_name_do_not_count(table):
    before = fingerprint(str(table))
    (table.parent / "70").write_text("an age is no path")
    (table.parent / "notes.txt").write_text("mine")
    assert fingerprint(str(table)) == before


def test_a_missing_file_does_not_stop_the_fingerprint(table):
    before = fingerprint(str(table))["sha256"]
    (table.parent / "mask.nii").unlink()
    assert fingerprint(str(table))["sha256"] != before


def test_a_folder_counts_names_and_content_but_no_hidden_files(table):
    folder = table.parent / "ct"
    before = fingerprint(str(folder))["sha256"]
    (folder / ".DS_Store").write_text("noise")
    assert fingerprint(str(folder))["sha256"] == before
    (folder / "1.dcm").rename(folder / "2.dcm")
    assert fingerprint(str(folder))["sha256"] != before


def test_a_feature_table_is_taken_by_its_bytes(tmp_path):
    (tmp_path / "features.parquet").write_bytes(b"one")
    before = fingerprint(str(tmp_path / "features.parquet"))["sha256"]
    (tmp_path / "features.parquet").write_bytes(b"two")
    assert fingerprint(str(tmp_path / "features.parquet"))["sha256"] != before


def test_a_file_seen_before_is_not_read_again(table, monkeypatch):
    before = fingerprint(str(table))
    monkeypatch.setattr(hashes, "sha256_of", lambda path: pytest.fail(f"read {path} again"))
    assert fingerprint(str(table)) == before


def test_a_file_just_written_is_not_remembered(tmp_path):
    (tmp_path / "new").write_text("a")
    content_hashes([tmp_path / "new"])
    assert not (cache_folder() / "hashes.json").exists()


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"x": 3}', "\x00"])
def test_a_damaged_memory_only_costs_time(table, damage):
    before = fingerprint(str(table))
    (cache_folder() / "hashes.json").write_text(damage)
    assert fingerprint(str(table)) == before
    assert len(json.loads((cache_folder() / "hashes.json").read_text())) >= 3


def test_a_memory_that_cannot_be_written_is_done_without(table, monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE", "/proc/nowhere")
    assert len(fingerprint(str(table))["sha256"]) == 64


def test_an_unknown_spec_has_no_fingerprint(tmp_path):
    with pytest.raises(RequestError, match="no data at"):
        fingerprint(str(tmp_path / "nowhere"))


def test_a_table_made_from_a_twin_says_so_wherever_it_is_copied(tmp_path):
    table = pd.DataFrame({"subject": ["a"], "feature": [1.0]})
    for name, mark in (("plain", {}), ("real", {MARK: False}), ("twin", {MARK: True})):
        marked = table.assign(**mark)
        marked.to_parquet(tmp_path / f"{name}.parquet")
        marked.to_csv(tmp_path / f"{name}.csv", index=False)
    for kind in ("csv", "parquet"):
        found = {n: fingerprint(str(tmp_path / f"{n}.{kind}")) for n in ("plain", "real", "twin")}
        assert [f["synthetic"] for f in found.values()] == [False, False, True]


def test_files_of_one_name_in_several_folders_all_count(tmp_path):
    rows = []
    for k in range(3):
        (tmp_path / f"P{k}").mkdir()
        (tmp_path / f"P{k}" / "ct.bin").write_text(f"patient {k}")
        rows.append({"subject": f"P{k}", "image": str(tmp_path / f"P{k}" / "ct.bin")})
    pd.DataFrame(rows).to_csv(tmp_path / "cohort.csv", index=False)
    seen = {fingerprint(str(tmp_path / "cohort.csv"))["sha256"]}
    for k in range(3):
        (tmp_path / f"P{k}" / "ct.bin").write_text(f"patient {k}, corrected")
        seen.add(fingerprint(str(tmp_path / "cohort.csv"))["sha256"])
    assert len(seen) == 4


def test_a_cell_with_a_home_or_spaces_counts_what_the_reader_opens(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("i.bin", "m.bin"):
        (tmp_path / name).write_text("one")
    (tmp_path / "cohort.csv").write_text("subject,image,mask\nP1,~/i.bin, m.bin \n")
    before = fingerprint(str(tmp_path / "cohort.csv"))["sha256"]
    for name in ("i.bin", "m.bin"):
        (tmp_path / name).write_text("two")
        after = fingerprint(str(tmp_path / "cohort.csv"))["sha256"]
        assert after != before
        before = after


def test_files_that_a_data_set_s_table_names_elsewhere_count_too(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "people.csv").write_text("subject,image\nA,../ct.nii\n")
    manifest = SimpleNamespace(licence="CC0-1.0", layout={"cohort": "people.csv"})
    source = Source("set", folder, manifest)
    seen = set()
    for content in ("one", "another"):
        (tmp_path / "ct.nii").write_text(content)
        seen.add(fingerprint(source)["sha256"])
    assert len(seen) == 2


def test_what_a_manifest_says_of_its_columns_is_a_part_of_the_data(tmp_path, monkeypatch):
    source = Source("toy", tmp_path, SimpleNamespace(licence="MIT", layout={"labels": "dead"}))
    monkeypatch.setattr(module, "find_source", lambda _: source)
    (tmp_path / "table.csv").write_text("subject\nP1\n")
    before = fingerprint("toy")["sha256"]
    source.manifest.layout["labels"] = "icu"
    assert fingerprint("toy")["sha256"] != before
