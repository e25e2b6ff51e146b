"""A cohort of brains: kept and read again, cut, joined."""

from __future__ import annotations

import resource
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.data.cohort.fingerprint import fingerprint
from nextaim_kit.errors import DataError
from nextaim_kit.studies.asd_fusion.brains import (
    WHO,
    Brains,
    institution_of,
    joined,
    read_brains,
    square,
    upper,
)
from nextaim_kit.studies.asd_fusion.phenotypes import completed

N, REGIONS = 5, 4


def make(prefix="A", regions=REGIONS, features=("CSF", "lh_x_area"), n=N, synthetic=False):
    rng = np.random.default_rng(len(prefix))
    table = completed(
        pd.DataFrame(
            {"subject": [f"{prefix}{k}" for k in range(n)], "site": "NYU", "label": 1, "age": 9.5}
        )
    )
    table.loc[0, "label"] = pd.NA
    edges = rng.normal(size=(n, regions * (regions - 1) // 2)).astype(np.float32)
    edges[1, :2] = np.nan
    edges[2] = np.nan
    structure = pd.DataFrame(rng.normal(size=(n, len(features))), columns=list(features))
    structure.iloc[3:] = np.nan
    names = pd.DataFrame({"region": [f"region {k + 1}" for k in range(regions)]})
    places = names.assign(network="unknown", x=1.5, y=np.nan, z=-3.0)
    problems = [{"subject": "Z", "problem": "no phenotype"}]
    return Brains(table[WHO], edges, structure, places, synthetic, problems)


def assert_same(found, brains):
    pd.testing.assert_frame_equal(found.table, brains.table)
    of_none = {"check_column_type": False, "check_dtype": len(brains.regions) > 0}
    pd.testing.assert_frame_equal(found.structure, brains.structure, **of_none)
    pd.testing.assert_frame_equal(found.regions, brains.regions, **of_none)
    np.testing.assert_array_equal(found.connectivity, brains.connectivity)
    assert found.connectivity.dtype == np.float32
    assert (found.synthetic, found.problems) == (brains.synthetic, brains.problems)
    assert found.functional.tolist() == brains.functional.tolist()
    assert found.structural.tolist() == brains.structural.tolist()


@pytest.mark.parametrize("synthetic", [False, True])
@pytest.mark.parametrize("regions", [REGIONS, 0])
@pytest.mark.parametrize("features", [("CSF", "lh_x_area"), ()])
def test_what_is_kept_is_read_again_exactly(tmp_path, regions, features, synthetic):
    brains = make(regions=regions, features=features, synthetic=synthetic)
    brains.save(tmp_path / "features.parquet")
    assert_same(read_brains(tmp_path / "features.parquet"), brains)
    assert fingerprint(str(tmp_path / "features.parquet"))["synthetic"] is synthetic


def test_other_tables_and_damaged_ones_are_refused(tmp_path):
    path = tmp_path / "features.parquet"
    make().table.to_parquet(path)
    with pytest.raises(DataError, match=r"features.parquet is no table of brains"):
        read_brains(path)
    make().save(path)
    whole = path.read_bytes()
    for damaged in (whole[:-9], b"", whole[:50] + b"\xff" * 300 + whole[350:], b"a,b\n"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="no table of brains"):
            read_brains(path)


def test_a_table_of_full_size_is_kept_and_fingerprinted_in_bounded_time_and_memory(tmp_path):
    n, regions = 687, 200
    brains = make(n=n, regions=regions)
    path = tmp_path / "features.parquet"
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    brains.save(path)
    found = fingerprint(str(path))
    np.testing.assert_array_equal(read_brains(path).connectivity, brains.connectivity)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert found["sha256"]
    assert time.monotonic() - begun < 30
    assert held < 1_500_000  # kB; the edges are 55 MB


def test_parts_of_a_cohort_are_taken_by_position_or_mask():
    brains = make()
    by_mask, by_place = brains.at(brains.functional), brains.at(np.array([0, 1, 3, 4]))
    assert_same(by_mask, by_place)
    assert by_mask.table.index.tolist() == [0, 1, 2, 3]
    assert (brains.functional.tolist(), brains.structural.tolist()) == (
        [True, True, False, True, True],
        [True, True, True, False, False],
    )


def test_a_matrix_is_symmetric_and_its_edges_go_row_by_row():
    matrix = square(np.arange(1, 7), 4)
    assert matrix.tolist() == [[0, 1, 2, 3], [1, 0, 4, 5], [2, 4, 0, 6], [3, 5, 6, 0]]
    assert upper(matrix).tolist() == [1, 2, 3, 4, 5, 6]
    assert square(np.ones((3, 6)), 4).shape == (3, 4, 4)
    np.testing.assert_array_equal(upper(make().matrix(0)), make().connectivity[0])


def test_two_cohorts_are_joined_with_what_both_have(capsys):
    both = joined(make(), make("BB", features=("lh_x_area", "eTIV"), synthetic=True))
    assert (len(both), both.synthetic, len(both.problems)) == (10, True, 2)
    assert both.structure.columns.tolist() == ["lh_x_area"]
    assert both.table["subject"].tolist()[4:6] == ["A4", "BB0"]
    assert "2 structural features are in one cohort alone, not used: CSF, eTIV" in (
        capsys.readouterr().out
    )


def renamed(brains):
    return replace(brains, regions=brains.regions.assign(region=list("abcd")))


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (make(), "5 subjects are in both cohorts(.|\n)*A0, A1"),
        (make("BB", regions=5), "other regions(.|\n)*4: region 1(.|\n)*5: region 1"),
        (renamed(make("BB")), "other regions(.|\n)*found:    4: a, b, c, d"),
        (make("BB", features=("eTIV",)), "no structural feature of the same name"),
        (make("BB", features=()), "no structural feature(.|\n)*found:    none"),
    ],
)
def test_cohorts_that_do_not_go_together_are_refused(second, said):
    with pytest.raises(DataError, match=said):
        joined(make(), second)


def test_a_site_named_like_one_of_abide_is_an_institution_of_its_own():
    assert [institution_of(s) for s in ("UM_1", "Pisa_1", "ABIDEII-NYU_2")] == [
        "UM", "Pisa_1", "NYU"
    ]  # fmt: skip


def test_of_what_kind_the_edges_are_is_kept_and_other_kinds_are_not_joined(tmp_path):
    partial = replace(make("B"), edge="partial, shrunk")
    partial.save(tmp_path / "features.parquet")
    assert read_brains(tmp_path / "features.parquet").edge == "partial, shrunk"
    with pytest.raises(DataError, match="not of one kind"):
        joined(make("A"), partial)
