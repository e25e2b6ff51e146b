"""Copies are found, all of them, and no split tears them apart."""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.report_structuring.reading.duplicates import (
    copy_groups,
    drawn_split,
    near_pairs,
    shared,
    torn,
    whole,
)

WORDS = ["cuore", "nei", "limiti", "versamento", "pleurico", "assente", "opacita", "basale",
         "destra", "lieve", "noduli"]  # fmt: skip


def random_texts(n, seed=0):
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, 12)) for _ in range(n)]
    near = [text.replace("lieve", "lievi").replace("nei", "ne") for text in texts[::2]]
    return [*texts, *near, texts[0].upper() + "."]


def grams(text):
    text = " ".join(text.lower().replace(".", "").split())
    return {text[k : k + 8] for k in range(len(text) - 7)}


@pytest.mark.parametrize("alike", [0.5, 0.8, 0.95])
def test_all_pairs_are_found_that_a_comparison_of_each_with_each_finds(alike):
    texts = random_texts(60)
    every = {}
    for (i, a), (j, b) in combinations(enumerate(map(grams, texts)), 2):
        share = len(a & b) / len(a | b)
        if share >= alike:
            every[i, j] = share
    found = near_pairs(texts, alike=alike)
    pairs = list(zip(found["one"].astype(int), found["other"].astype(int), strict=True))
    assert dict(zip(pairs, found["alike"], strict=True)) == pytest.approx(every)


def test_case_and_punctuation_make_no_other_report():
    assert near_pairs(["Nulla. ", "nulla"])["alike"].tolist() == [1.0]
    assert near_pairs([]).empty
    assert near_pairs(["uno"]).empty


def test_a_patient_s_reports_and_copies_of_copies_are_one_group():
    texts = ["vetro smerigliato bilaterale", "cuore nei limiti", "cuore nei limiti.", "altro qui"]
    group = copy_groups(texts, ["P1", "P1", "P2", "P3"])
    assert group[0] == group[1] == group[2] != group[3]


def test_a_torn_group_goes_to_the_test():
    table = pd.DataFrame({
        "subject": list("abcde"),
        "group": [0, 0, 1, 1, 2],
        "split": ["train", "test", "validation", "train", "train"],
    })  # fmt: skip
    assert torn(table)["subject"].tolist() == ["b", "a", "d", "c"]
    mended = table.assign(split=whole(table))
    assert mended["split"].tolist() == ["test", "test", "validation", "validation", "train"]
    assert torn(mended).empty


def test_a_drawn_split_tears_nothing_and_repeats():
    table = pd.DataFrame({"group": np.arange(200) // 3})
    split = drawn_split(table, seed=3)
    assert torn(table.assign(split=split, subject=range(200))).empty
    assert split.equals(drawn_split(table, seed=3))
    assert not split.equals(drawn_split(table, seed=4))
    assert split.value_counts()["test"] == pytest.approx(20, abs=3)


def test_copies_in_another_cohort_are_told():
    assert shared(["cuore nei limiti"], ["altro", "Cuore nei limiti!"]).tolist() == [False, True]


def test_three_thousand_reports_take_seconds():
    start = time.perf_counter()
    near_pairs(random_texts(2000, seed=1))
    assert time.perf_counter() - start < 10
