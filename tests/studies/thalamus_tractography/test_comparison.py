"""Maps against maps, with values by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.thalamus_tractography import comparison
from nextaim_kit.studies.thalamus_tractography.definitions import BOX_SHAPE, TARGETS


def ball(center=(19, 30, 24), radius=6.0):
    apart = np.linalg.norm(np.moveaxis(np.indices(BOX_SHAPE), 0, -1) - np.array(center), axis=-1)
    return np.clip(1 - apart / radius, 0, 1).astype(np.float32)


def maps(**where):
    return np.stack([ball(**where)] * len(TARGETS), -1)


THALAMUS = ball(radius=12.0) > 0


def test_a_map_agrees_with_itself_and_with_half_of_its_values():
    for found in (maps(), 0.5 * maps()):  # each is cut at half of its own largest value
        rows = comparison.scores(found, maps(), THALAMUS)
        assert [row["target"] for row in rows] == list(TARGETS)
        assert rows[0]["dice"] == rows[0]["dice_25"] == rows[0]["surface_dsc"] == 1
        assert rows[0]["hd95"] == rows[0]["volume"] == 0
        assert rows[0]["correlation"] == pytest.approx(1, abs=1e-5)


def test_an_empty_map_agrees_with_nothing_and_aims_at_the_middle_of_the_box():
    row = comparison.scores(0 * maps(), maps(), THALAMUS)[0]
    assert (row["dice"], row["volume"], row["correlation"]) == (0, -1, 0)
    np.testing.assert_allclose(comparison.target_point(0 * ball()), [-12.5, -11.5, 7.5])


def test_the_target_is_where_the_map_is_and_moves_with_it():
    first = comparison.target_point(ball())
    np.testing.assert_allclose(first, [-31 + 19, -41 + 30, -16 + 24], atol=1e-5)
    moved = comparison.target_point(ball(center=(22, 34, 24)))
    assert np.linalg.norm(moved - first) == pytest.approx(5)
    table = comparison.compared(
        {"a": [maps(center=(22, 34, 24))]}, {"b": [maps()]}, {"s": THALAMUS}
    )
    assert table["mm"].dropna().tolist() == pytest.approx([5])


def test_target_errors_are_those_of_ten_patients_by_hand():
    mm = [0.6, 1.1, 2.0, 0.9, 3.4, 1.5, 0.8, 2.6, 1.2, 1.0]
    table = pd.DataFrame({"way": "one", "mm": mm})
    found = comparison.target_errors(table, ["way"], n_boot=200, seed=0).set_index("metric")
    assert found.loc["target_mm", "value"] == pytest.approx(1.15)
    assert found.loc["target_beyond_2mm", "value"] == pytest.approx(0.2)
    assert (found["low"] <= found["value"]).all()
    assert (found["value"] <= found["high"]).all()


def test_a_resampled_percentile_is_numpy_s_of_the_subjects_that_were_drawn():
    mm = np.random.default_rng(0).lognormal(size=37)
    times = np.random.default_rng(1).multinomial(37, np.full(37, 1 / 37), 20).astype(float)
    for share in (0, 50, 95, 100):
        found = comparison._percentile(mm, share)(times)
        drawn = [np.percentile(np.repeat(mm, often.astype(int)), share) for often in times]
        assert found == pytest.approx(np.array(drawn), abs=1e-12)


def test_shares_that_are_true_are_calibrated():
    shares = np.random.default_rng(0).random((*BOX_SHAPE, len(TARGETS)))
    right = comparison.calibration([shares], [shares], [THALAMUS])
    assert comparison.calibration_error(right) == pytest.approx(0, abs=1e-9)
    half = comparison.calibration([shares], [0.5 * shares], [THALAMUS])
    assert comparison.calibration_error(half) == pytest.approx(0.25, abs=0.01)


def test_the_time_at_equal_agreement_is_read_between_the_counts():
    table = pd.DataFrame({"seconds": [1.0, 3.0, 9.0], "agreement": [0.5, 0.7, 0.8]})
    assert comparison.at_equal_agreement(table, 0.6) == (pytest.approx(2.0), True)
    assert comparison.at_equal_agreement(table, 0.9) == (9.0, False)
