"""What is promised is kept where it should be, and known answers are found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import betabinom

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.metrics import evaluate
from nextaim_kit.studies.challenges.reliability import judged
from nextaim_kit.studies.challenges.reliability.judged import Fitted, Told

HELD, TESTED, ALPHA = 60, 100, 0.1


def patients(n, seed=0, *, truth=1.0):
    """Logits, and outcomes whose log odds are `truth` times these."""
    rng = np.random.default_rng(seed)
    logit = 2 * rng.standard_normal(n)
    return (rng.random(n) < expit(truth * logit)).astype(int), logit


def told(y, logit, fitted=None) -> Told:
    fitted = fitted or Fitted(1.0, np.inf, 0.0)
    n = len(y)
    parts = (np.full(n, part) for part in (fitted.temperature, fitted.bound, fitted.sure))
    return Told(y, logit, np.arange(n).astype(str), np.full(n, "A"), *parts)


def coverages(truth=1.0, splits=200):
    """Patients covered in each of many divisions of patients, the tested of another truth."""
    found = []
    for seed in range(splits):
        fitted = Fitted.on(*patients(HELD, 2 * seed), alpha=ALPHA)
        found.append(told(*patients(TESTED, 2 * seed + 1, truth=truth), fitted).covered.sum())
    return np.array(found)


def test_over_200_divisions_coverage_follows_its_beta_binomial_law():
    k = int(np.ceil((HELD + 1) * (1 - ALPHA)))
    law = betabinom(TESTED, k, HELD + 1 - k)
    found = coverages()
    assert found.mean() == pytest.approx(law.mean(), abs=3.5 * law.std() / np.sqrt(200))
    low, high = judged.coverage_law(HELD, TESTED, ALPHA)
    inside = np.mean((found >= TESTED * low) & (found <= TESTED * high))
    assert 0.91 < inside <= 1.0
    assert found.std() == pytest.approx(law.std(), rel=0.2)


def test_under_a_shift_to_less_certain_outcomes_coverage_falls_to_what_the_shift_says():
    # A set of one outcome misses more where outcomes are less certain than the logits say; sets
    # of both or none are as they were, and so is who has which.
    bound = np.mean([Fitted.on(*patients(HELD, 2 * k), alpha=ALPHA).bound for k in range(200)])
    _, logit = patients(200_000, 7)
    one = abs(logit) > bound
    said = {t: np.where(one, expit(t * abs(logit)), bound >= 0).mean() for t in (1.0, 0.3)}
    assert said[0.3] < said[1.0] - 0.05
    assert coverages(0.3).mean() / TESTED == pytest.approx(said[0.3], abs=0.02)


def test_no_temperature_changes_a_set():
    y, logit = patients(HELD)
    sets = [told(*patients(50, 1), Fitted.on(y, logit)).sets]
    hot = Fitted.on(y, logit / 3)
    new = patients(50, 1)
    sets.append(told(new[0], new[1] / 3, hot).sets)
    assert np.array_equal(*sets)


def test_too_few_held_back_make_sets_of_both_and_no_share_is_refused():
    assert judged.bound_of(np.arange(8), 0.1) == np.inf
    assert judged.bound_of(np.arange(9), 0.1) == 8
    assert judged.coverage_law(8, 50, 0.1) == (1.0, 1.0)
    with pytest.raises(RequestError, match="no share can be missed"):
        judged.bound_of([1.0], 1.0)


def test_coverage_is_told_by_group_with_exact_intervals():
    y, logit = np.array([0, 1, 1, 1]), np.array([-3.0, 3, -3, 3])
    found = judged.coverage_by(told(y, logit, Fitted(1.0, 1.0, 0.0)), {"outcome": y.astype(str)})
    assert found["value"].tolist() == [0.75, 1.0, pytest.approx(2 / 3)]
    assert found["low"].iloc[1] == pytest.approx(0.025)
    assert (found["both"] == 0).all()


def test_the_calibration_error_is_the_kit_s():
    y, logit = patients(300)
    found = evaluate(y, expit(logit), n_boot=0).set_index("metric")
    assert judged.ece(y, expit(logit)) == pytest.approx(found.loc["ece", "value"])


@pytest.mark.parametrize("n", [50, 400])
def test_a_perfect_model_s_error_at_n_is_that_of_outcomes_drawn_from_its_probabilities(n):
    p = np.full(n, 0.3)  # one bin: the error is the mean absolute error of a binomial share
    value, low, high = judged.perfect_ece(p, draws=4000)
    assert value == pytest.approx(np.sqrt(2 / np.pi * 0.3 * 0.7 / n), rel=0.06)
    assert low < value < high
    rng = np.random.default_rng(5)
    p = rng.random(n)
    found = judged.ece(rng.random((2000, n)) < p, p)
    _, low, high = judged.perfect_ece(p)
    assert np.mean((found > low) & (found < high)) == pytest.approx(0.95, abs=0.02)


def test_the_interval_of_the_ece_holds_its_value_and_narrows_with_patients():
    rng = np.random.default_rng(5)
    wide = []
    for n in (100, 1600):
        p = rng.random(n)
        y = rng.random(n) < np.clip(p + 0.15, 0, 1)
        value, low, high = judged.ece_interval(y, p)
        assert value == pytest.approx(judged.ece(y, p))
        assert 0 <= low < value < high
        wide.append(high - low)
    assert wide[0] > 2.5 * wide[1]


def test_rows_of_one_patient_have_one_outcome_and_err_together():
    alone = judged.perfect_ece(np.full(200, 0.5))
    pairs = judged.perfect_ece(np.full(200, 0.5), groups=np.arange(200) // 2)
    assert pairs[0] == pytest.approx(np.sqrt(2) * alone[0], rel=0.08)


def test_temperature_brings_a_model_that_is_too_sure_nearer_to_perfect():
    y, logit = patients(2000)
    sure = told(y, 3 * logit, Fitted.on(*((lambda a: (a[0], 3 * a[1]))(patients(2000, 1)))))
    found = judged.calibrated(sure, n_boot=50).set_index(["metric", "name"])["value"]
    assert sure.temperature[0] == pytest.approx(3, rel=0.15)
    slope = found["calibration_slope"]
    assert slope["as given"] == pytest.approx(1 / 3, rel=0.15)
    assert slope["at the temperature"] == pytest.approx(1, rel=0.15)
    assert found["ece"]["at the temperature"] < found["ece"]["as given"] / 3


def test_the_oracle_s_area_is_its_formula_and_chance_s_the_share_of_errors():
    rng, errors = np.random.default_rng(0), 0.2
    wrong = np.arange(4000) < 4000 * errors
    one = np.ones((1, 4000))
    oracle = judged.area_of(wrong, ~wrong)(one)[0]
    assert oracle == pytest.approx(errors + (1 - errors) * np.log(1 - errors), abs=1e-3)
    assert judged.area_of(wrong, rng.random(4000))(one)[0] == pytest.approx(errors, abs=0.03)
    share, risk = judged.risk_coverage(wrong, ~wrong)
    assert risk[share <= 1 - errors].max() == 0
    assert risk[-1] == pytest.approx(errors)


def test_a_model_lies_between_the_oracle_and_chance():
    y, logit = patients(400)
    found = judged.selective(told(y, logit), n_boot=100).set_index("name")["value"]
    assert found["oracle"] < found["model"] < found["chance"]


def test_answers_are_asked_of_the_share_that_was_to_be_kept():
    fitted = Fitted.on(*patients(1000), keep=0.7)
    assert told(*patients(4000, 1), fitted).kept.mean() == pytest.approx(0.7, abs=0.03)


def test_a_model_beside_itself_has_no_more_and_beside_a_better_one_less():
    y, logit = patients(500)
    noisy = told(y, logit + 3 * np.random.default_rng(1).standard_normal(500))
    same = judged.beside(noisy, noisy, n_boot=50)
    assert (same[["value", "low", "high"]] == 0).all(axis=None)
    better = judged.beside(noisy, told(y, logit), n_boot=200).set_index("metric")
    assert better.loc["auc", "low"] > 0
    assert (better.loc[["brier", "area"], "high"] < 0).all()
