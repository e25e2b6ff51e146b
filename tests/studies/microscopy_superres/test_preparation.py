"""Registered, divided, mapped, cut: each by its rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.learn.final import Seen
from nextaim_kit.studies.microscopy_superres import preparation
from nextaim_kit.studies.microscopy_superres.pairs import Pair
from nextaim_kit.studies.microscopy_superres.preparation import Aligned, IntensityMap


@pytest.fixture
def made(lines):
    """Pairs with their field, by seed."""

    def make(*seeds):
        found = [lines(seed=s) for s in seeds]
        return [Pair(f"p{s}", wide, fine, 4) for s, (fine, wide) in zip(seeds, found, strict=True)]

    return make


def aligned(pairs, fields):
    table = pd.DataFrame({"subject": [p.subject for p in pairs], "field": fields})
    return Aligned(pairs, table, table[:0])


def test_the_twin_s_pairs_are_not_moved(small_twin):
    ready = preparation.align(small_twin, workers=1)
    assert len(ready.pairs) + len(ready.failures) == 5
    assert not ready.table["moved"].any()
    assert ready.table["scale"].isin([2, 4]).all()


def test_pairs_of_one_field_are_on_one_side_and_each_is_tested_once(made):
    ready = aligned(made(0, 1, 2, 3), ["a", "a", "b", "c"])
    parts = preparation.rotations(ready, 5, seed=0)
    assert sorted(np.concatenate([rows for _, _, rows in parts])) == [0, 1, 2, 3]
    for train, test, _ in parts:
        names = {p.subject for p in train}, {p.subject for p in test}
        assert not names[0] & names[1]
        assert {"p0", "p1"} <= names[0] or {"p0", "p1"} <= names[1]


def test_a_single_field_is_halved_with_a_gap(made):
    ((train, test, rows),) = preparation.rotations(aligned(made(0), ["a"]), 5, seed=0)
    assert rows.tolist() == [0]
    assert train[0].widefield.shape[1] + test[0].widefield.shape[1] == 96 - 8
    assert test[0].storm.shape == (384, 4 * 44)
    with pytest.raises(DataError, match="too narrow"):
        preparation.halves(preparation.cut_out(made(0)[0], (0, 0), (48, 48)))


def test_patches_lie_inside_and_have_structure(made):
    (pair,) = made(0)
    empty = np.zeros_like(pair.storm)
    empty[:100] = pair.storm[:100]
    half = Pair("p", pair.widefield, empty, 4)
    for r, c in preparation.patches(half, 24, 40):
        assert 0 <= r <= 72
        assert 0 <= c <= 72
        part = preparation.cut_out(half, (r, c), (24, 24)).storm
        assert (part > 0.1).mean() >= 0.02
        assert r < 25
    assert preparation.patches(pair, 200, 5) == []


def test_an_intensity_that_is_a_line_is_found(made):
    (pair,) = made(0)
    line = 0.4 * preparation.enlarged(pair) + 0.1
    mapped = IntensityMap.fit([Pair("p", pair.widefield, line, 4)])
    assert (mapped.slope, mapped.level) == pytest.approx((0.4, 0.1), abs=1e-4)
    assert mapped.mean == pytest.approx(line.mean(), abs=1e-4)


def test_the_map_depends_on_training_pairs_alone_and_the_image_s_contrast_not(made):
    one, other = made(0, 1)
    louder = Pair("p0", 3 * one.widefield + 500, one.storm, 4)
    first, second = (IntensityMap.fit([p]) for p in (one, louder))
    assert first.slope == pytest.approx(second.slope, rel=1e-3)
    assert IntensityMap.fit([one, other]).slope != first.slope


def test_black_one_gray_and_bicubic_stand_beside_each_other(made):
    pairs = made(0, 1)
    table = preparation.scores(pairs, IntensityMap.fit(pairs[:1]))
    assert table["name"].unique().tolist() == ["black", "one gray", "bicubic", "bicubic, fitted"]
    psnr = table.groupby("name")["psnr"].mean()
    assert psnr["bicubic, fitted"] > psnr["one gray"] > psnr["black"]
    assert table["psnr"][0] == pytest.approx(-10 * np.log10(np.mean(pairs[0].storm ** 2)), abs=1e-4)


def test_a_memory_is_flattered_by_patches_of_its_own_fields(made):
    pairs = made(*range(6))
    by_patch, by_field = (
        preparation.memorized(pairs, by_patch=way, each_field=30) for way in (True, False)
    )
    assert by_patch["seen"] > 0.3
    assert by_field["seen"] == 0
    assert by_patch["correlation"] > by_field["correlation"] + 0.1


def test_fields_that_networks_were_trained_on_are_not_registered(small_twin):
    table = small_twin.table.head(2)
    known = Seen.of(table["subject"].head(1))
    given, ready = preparation.load_aligned("synthetic", twin=lambda: table, workers=1, seen=known)
    assert given.left_out["subject"].tolist() == table["subject"].head(1).tolist()
    assert [p.subject for p in ready.pairs] == table["subject"].tail(1).tolist()
