"""Pairs to rate: kept in one file, blinded, refused where they are not what they should be."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.breast_masses.reading.pairs import blinded_order, load_pairs, save_pairs


def made(n: int = 6) -> dict:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "subject": [f"s{k // 2}" for k in range(n)],
        "image": [f"s{k // 2}-cc" for k in range(n)],
        "prototype": np.arange(n) // 2,
        "source": [f"t{k}" for k in range(n)],
        "contribution": np.linspace(0.1, 1, n),
        "label": 0,
        "prototype_label": 1,
        "wrong_aid": np.arange(n) % 2 == 1,
    })  # fmt: skip
    crops = rng.integers(0, 255, (2, n, 24, 24), dtype=np.uint8)
    boxes = np.tile([2, 3, 8, 9], (n, 1)) + np.arange(n)[:, None]
    return {
        "table": table, "test": crops[0], "source": crops[1], "boxes": boxes,
        "source_boxes": boxes - 1, "seed": 1,
    }  # fmt: skip


def test_what_is_kept_comes_back_shuffled_with_each_row_its_own_pictures(tmp_path):
    given = made()
    kept = save_pairs(tmp_path / "pairs.npz", **given)
    back = load_pairs(tmp_path)
    was = given["table"].set_index("source").index.get_indexer(back.table["source"])
    assert sorted(was) == list(range(6))
    assert list(was) != list(range(6))
    np.testing.assert_array_equal(back.test, given["test"][was])
    np.testing.assert_array_equal(back.source_boxes, given["source_boxes"][was])
    assert back.table["contribution"].tolist() == given["table"]["contribution"].iloc[was].tolist()
    assert back.key == kept.key


def test_a_run_s_folder_is_as_good_as_the_file(tmp_path):
    kept = save_pairs(tmp_path / "files" / "pairs.npz", **made())
    assert load_pairs(tmp_path).key == load_pairs(tmp_path / "files" / "pairs.npz").key == kept.key


def test_the_same_pairs_make_the_same_file_and_others_another_key(tmp_path):
    first, again = (save_pairs(tmp_path / name, **made()) for name in ("a.npz", "b.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    other = made()
    other["test"][0, 0, 0] += 1
    assert first.key == again.key != save_pairs(tmp_path / "c.npz", **other).key


def test_each_reader_has_an_own_order_of_the_same_pairs(tmp_path):
    pairs = save_pairs(tmp_path / "pairs.npz", **made(12))
    orders = [blinded_order(pairs, reader, 3) for reader in ("ann", "ben", "ann")]
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[1]) == pairs.table["pair"].tolist()


def test_the_two_pairs_of_a_case_do_not_follow_each_other(tmp_path):
    twice = made(12)
    twice["table"]["image"] = [f"case {k // 2}" for k in range(12)]
    pairs = save_pairs(tmp_path / "pairs.npz", **twice)
    image = pairs.table.set_index("pair")["image"]
    for reader in ("ann", "ben", "cem", "dan"):
        shown = image[blinded_order(pairs, reader, 3)].tolist()
        assert all(one != following for one, following in pairwise(shown))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"table": made()["table"].drop(columns="label")}, "label"),
        ({"table": made()["table"].assign(verdict=1)}, "verdict"),
        ({"table": made()["table"].assign(wrong_aid=False)}, "only one of the two"),
        ({"table": made()["table"].assign(wrong_aid="no")}, "another kind in .'wrong_aid'"),
        ({"table": made()["table"].assign(contribution=np.nan)}, "another kind in .'contribution'"),
        ({"table": made()["table"].assign(subject=None)}, "another kind in .'subject'"),
        ({"test": made()["test"].astype(float)}, "float64"),
        ({"test": made()["test"][:, :8]}, "uint8"),
        ({"boxes": made()["boxes"][:5]}, "rows"),
        ({"boxes": made()["boxes"] + 11}, "inside"),
        ({"source_boxes": made()["boxes"][:, [2, 3, 0, 1]]}, "2 px or more"),
    ],
)
def test_what_are_no_pairs_is_refused(tmp_path, change, said):
    with pytest.raises(DataError, match=said):
        save_pairs(tmp_path / "pairs.npz", **(made() | change))
    assert not (tmp_path / "pairs.npz").exists()


def test_a_damaged_file_is_refused(tmp_path):
    save_pairs(tmp_path / "pairs.npz", **made())
    whole = (tmp_path / "pairs.npz").read_bytes()
    (tmp_path / "pairs.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="holds no pairs that can be read"):
        load_pairs(tmp_path)


def test_a_folder_without_pairs_says_what_it_has(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DataError, match=r"run\.json"):
        load_pairs(tmp_path)
