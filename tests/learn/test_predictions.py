"""Films of a patient are averaged, repeats are kept apart, and patients come by subject."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.learn.delong import delong
from nextaim_kit.learn.metrics import auc_interval, evaluate
from nextaim_kit.learn.predictions import (
    auc_over_folds,
    by_repeat,
    compare_models,
    of_patients,
    pooled,
)


def table(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["subject", "site", "repeat", "y", "p", "threshold"])


@pytest.fixture
def repeated():
    """Patient B, who has two films, before patient A, who has one; two repeats."""
    return table(
        [
            ("B", "S1", 1, 1, 0.6, 0.3),
            ("B", "S1", 0, 1, 0.9, 0.6),
            ("A", "S2", 0, 0, 0.2, 0.6),
            ("B", "S1", 0, 1, 0.7, 0.6),
            ("A", "S2", 1, 0, 0.4, 0.3),
            ("B", "S1", 1, 1, 0.2, 0.3),
        ]
    )


def test_films_are_averaged_within_each_repeat(repeated):
    y, p, threshold = by_repeat(repeated)
    assert y.tolist() == [0, 1]
    assert p == pytest.approx(np.array([[0.2, 0.4], [0.8, 0.4]]))
    assert threshold == pytest.approx(np.array([[0.6, 0.3], [0.6, 0.3]]))


def test_the_order_of_rows_does_not_matter(repeated):
    mixed = repeated.sample(frac=1, random_state=0)
    for one, other in zip(by_repeat(repeated), by_repeat(mixed), strict=True):
        assert one == pytest.approx(other, abs=1e-12)
    pd.testing.assert_frame_equal(pooled(repeated), pooled(mixed))


def test_a_patient_is_one_row_with_means_over_repeats(repeated):
    found = pooled(repeated)
    assert found["subject"].tolist() == ["A", "B"]
    assert found["site"].tolist() == ["S2", "S1"]
    assert found["y"].tolist() == [0, 1]
    assert found["p"].tolist() == pytest.approx([0.3, 0.6])
    assert found["threshold"].tolist() == pytest.approx([0.45, 0.45])


def test_a_patient_is_called_who_reached_the_threshold_in_half_of_the_repeats():
    found = pooled(table([
        ("A", "S", 0, 1, 0.5, 0.5), ("A", "S", 1, 1, 0.1, 0.5),
        ("B", "S", 0, 1, 0.4, 0.5), ("B", "S", 1, 1, 0.4, 0.5),
        ("C", "S", 0, 1, 0.9, 0.5), ("C", "S", 1, 1, 0.9, 0.5),
        ("D", None, 0, 0, 0.1, 0.5), ("D", None, 1, 0, 0.5, 0.5),
    ]))  # fmt: skip
    assert found.set_index("subject")["called"].to_dict() == {
        "A": True, "B": False, "C": True, "D": True
    }  # fmt: skip


def test_a_patient_of_several_films_is_called_by_their_mean(repeated):
    one = repeated[repeated["repeat"] == 1].assign(threshold=0.5)
    _, p, threshold = by_repeat(one)
    assert pooled(one)["called"].tolist() == (p >= threshold)[:, 0].tolist()


def test_rows_of_patients_are_averaged_by_subject():
    found = of_patients(np.array(["B", "A", "B", "C"]), np.array([1, 0, 0, 1]))
    assert found.tolist() == [0, 0.5, 1]


def test_the_auc_over_folds_is_of_each_fold_s_patients_and_leaves_out_one_outcome():
    fold, y = np.repeat(range(4), 4), np.tile([0, 0, 1, 1], 4)
    p = np.tile([0.1, 0.6, 0.5, 0.9], 4) + fold / 100
    p[8:12] = [0.1, 0.2, 0.7, 0.8]
    rows = pd.DataFrame({"subject": range(16), "repeat": 0, "fold": fold, "y": y, "p": p})
    rows.loc[fold == 3, "y"] = 1
    value, low, high = auc_over_folds(rows)
    margin = 4.302653 * np.sqrt((1 / 3 + 4 / 12) * np.var([0.75, 0.75, 1], ddof=1))
    assert (value, low) == pytest.approx((5 / 6, 5 / 6 - margin), abs=1e-5)
    assert 5 / 6 + margin > high == 1  # no AUC is above 1


@pytest.fixture
def two_models():
    rng, n = np.random.default_rng(5), 60
    y = np.tile([0, 1], n // 2)
    good, bad = (1 / (1 + np.exp(-(rng.normal(size=n) + g * (y - 0.5)))) for g in (3, 0))
    plain = {"subject": range(n), "site": "A", "repeat": 0, "fold": np.arange(n) % 3, "y": y}
    return {k: pd.DataFrame({**plain, "p": p, "threshold": 0.5})
            for k, p in {"good": good, "bad": bad}.items()}  # fmt: skip


def test_models_are_measured_as_one_by_one_and_the_first_is_compared_with_the_others(two_models):
    models, gains = compare_models(two_models, act_at=0.3, n_boot=100)
    y, p, threshold = by_repeat(two_models["bad"])
    alone = evaluate(y, p, threshold=threshold, act_at=0.3, n_boot=100)
    bad = models[models["name"] == "bad"].drop(columns="name").reset_index(drop=True)
    pd.testing.assert_frame_equal(bad.iloc[:-1], alone)
    assert bad.iloc[-1]["metric"] == "auc_over_folds"
    assert tuple(bad.iloc[-1][["value", "low", "high"]]) == auc_over_folds(two_models["bad"])
    better = auc_interval(y, by_repeat(two_models["good"])[1], other=p, n_boot=100)
    formula = delong(y, by_repeat(two_models["good"])[1], other=p)[1:]
    assert gains.to_numpy().tolist() == [["good - bad", *better, "better", *formula]]


def test_models_of_other_patients_are_not_compared(two_models):
    fewer = two_models | {"bad": two_models["bad"].iloc[4:]}
    with pytest.raises(DataError, match=r"bad and good cannot be compared[\s\S]*4 patients"):
        compare_models(fewer, n_boot=10)


def test_subjects_of_one_patient_are_resampled_together(two_models):
    pairs = {n: t.assign(patient=np.arange(60) // 2) for n, t in two_models.items()}
    alone, _ = compare_models(two_models, n_boot=200)
    together, gains = compare_models(pairs, n_boot=200)
    assert together["value"].tolist() == pytest.approx(alone["value"].tolist(), nan_ok=True)
    assert together["low"].tolist() != alone["low"].tolist()
    y, p, _ = by_repeat(pairs["good"])
    expected = auc_interval(
        y, p, other=by_repeat(pairs["bad"])[1], groups=np.arange(60) // 2, n_boot=200
    )
    assert gains[["difference", "low", "high"]].to_numpy().tolist() == [list(expected)]
