"""A task that a study offers is whole, or refused by what is wrong with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nextaim_kit import catalog
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn import study_task
from nextaim_kit.learn.study_task import StudyTask, load_task

X = np.arange(12, dtype=float).reshape(6, 2)


def table(**changed) -> StudyTask:
    parts = {
        "name": "made", "modality": "table", "x": X, "y": [0, 1, 0, 1, 0, 1],
        "groups": list("aabcde"), "sites": list("AAABBB"),
        "features": pd.DataFrame(X, columns=["size", "grain"]), "build": lambda seed: None,
    }  # fmt: skip
    return StudyTask(**parts | changed)


def images(**changed) -> StudyTask:
    return table(**{"modality": "image", "x": np.zeros((6, 1, 4, 5))} | changed)


def test_lists_and_wide_numbers_become_arrays_of_its_types():
    task = table(y=pd.array([0, 1] * 3, "Int64"), groups=pd.Series([1, 1, 2, 3, 4, 5]))
    assert (task.x.dtype, task.y.dtype) == (np.float32, np.int8)
    assert task.groups.tolist() == ["1", "1", "2", "3", "4", "5"]
    assert (len(task), task.patients, task.names) == (6, 5, ("size", "grain"))
    assert task.cohort["label"].tolist() == [0, 1, 0, 1, 0, 1]
    assert task.by_site().to_numpy().tolist() == [["A", 2, 3, 1 / 3], ["B", 3, 3, 2 / 3]]


def test_missing_values_of_a_table_are_told_by_feature():
    x = X.copy()
    x[:3, 1] = np.nan
    task = table(x=x, features=pd.DataFrame(x, columns=["size", "grain"]))
    assert task.missing.to_dict() == {"grain": 0.5}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"modality": "volume"}, "no such modality"),
        ({"x": X[:, :, None]}, "x has another shape"),
        ({"x": np.zeros((0, 2))}, "x has another shape"),
        ({"y": [0, 1]}, "differ in length"),
        ({"y": [0, 1, 2, 0, 1, 0]}, "neither 0 nor 1"),
        ({"y": [0, 1, None, 0, 1, 0]}, "neither 0 nor 1"),
        ({"y": [1] * 6}, "all outcomes are alike"),
        ({"sites": list("ABABAB")}, "(?s)at two sites.*found: +a"),
        ({"x": np.where(X == 5, np.inf, X)}, "a number of b is infinite"),
        ({"features": pd.DataFrame(X[:, :1])}, "its features are not x"),
        ({"features": pd.DataFrame(X, columns=["size", "size"])}, "(?s)share a name.*size"),
        ({"truth": ("sise",)}, "(?s)truth is no feature.*did you mean 'size'"),
        ({"truth": np.ones((6, 2), bool)}, "truth does not fit"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changed, said):
    with pytest.raises(DataError, match=said):
        table(**changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"x": np.zeros((6, 3, 4, 5))}, "x has another shape"),
        ({"x": np.full((6, 1, 4, 5), np.nan)}, "a number of a is not finite"),
        ({"truth": np.ones((6, 1, 4, 5), bool)}, "truth does not fit"),
        ({"truth": np.ones((6, 4, 5))}, "truth does not fit"),
        ({"features": pd.DataFrame({"size": [1.0, np.inf] * 3})}, "size is infinite"),
    ],
)
def test_images_have_one_channel_no_gaps_and_masks_of_their_size(changed, said):
    assert images(truth=np.ones((6, 4, 5), bool)).truth.all()
    with pytest.raises(DataError, match=said):
        images(**changed)


def test_a_task_is_checked_again_when_a_part_is_replaced():
    with pytest.raises(DataError, match="alike"):
        replace(table(), y=np.zeros(6))


def test_what_is_made_must_be_a_task(monkeypatch):
    monkeypatch.setattr(study_task, "task_of", lambda study: lambda *asked: asked)
    with pytest.raises(DataError, match=r"(?s)of made is none.*found: +tuple"):
        load_task("made", "synthetic", 3, 1)


def test_every_task_of_the_kit_can_be_imported_and_a_near_miss_is_named():
    offered = catalog.with_task()
    assert {"ct_radiomics", "cxr_severity", "breast_masses", "asd_fusion"} <= set(offered)
    assert all(callable(catalog.task_of(study)) for study in offered)
    with pytest.raises(RequestError, match="did you mean cxr_severity"):
        load_task("cxr_sevrity", "synthetic", 3, 1)


def test_a_table_that_was_made_from_a_twin_stays_synthetic(tmp_path, monkeypatch):
    monkeypatch.setattr(study_task, "task_of", lambda study: lambda cohort, n, seed: table())
    cells = pd.DataFrame({"subject": ["a"], "provenance_synthetic": [True]})
    cells.to_csv(tmp_path / "made.csv", index=False)
    cells.drop(columns="provenance_synthetic").to_csv(tmp_path / "real.csv", index=False)
    assert load_task("made", str(tmp_path / "made.csv"), 6, 0).synthetic
    assert not load_task("made", str(tmp_path / "real.csv"), 6, 0).synthetic
