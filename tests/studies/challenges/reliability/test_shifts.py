"""What breaks at a planted site is seen to break, and samples are as large as the formula says."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.delong import delong
from nextaim_kit.studies.challenges.limited.training import Budget
from nextaim_kit.studies.challenges.reliability import shifts
from nextaim_kit.studies.challenges.reliability.judged import Fitted, Told
from tests.studies.challenges.reliability.conftest import made_table
from tests.studies.challenges.reliability.test_judged import patients, told


def survived(task, site, tmp_path):
    away = shifts.leave_sites_out(task, [site], tmp_path, Budget(20))
    home, there = [a.home for a in away], [a.there for a in away]
    return away, shifts.surviving(home, there, n_boot=200).set_index("name")


def test_at_a_site_whose_signal_is_gone_order_coverage_and_calibration_break(tmp_path):
    away, found = survived(made_table(800, away=1.0), "C", tmp_path)
    for name in ("auc", "coverage", "brier", "error_of_answered"):
        assert found.loc[name, "says"] == "worse there", name
    assert found.loc["auc", "there"] == pytest.approx(0.5, abs=0.1)
    faded = shifts.faded([away[0].home], [away[0].there], n_boot=200).set_index(["where", "name"])
    gap = faded.loc[("gap", "at the temperature")]
    assert gap["value"] > 0.1
    assert gap["low"] > 0
    ends = [faded.loc[(where, "at the temperature"), "value"] for where in ("there", "home")]
    assert gap["value"] == pytest.approx(ends[0] - ends[1])


def test_at_a_site_like_the_others_little_is_shown_to_change(tmp_path):
    _, found = survived(made_table(800), "C", tmp_path)
    assert (found["says"] == "not shown to change").sum() >= 8
    assert found.loc["coverage", "there"] == pytest.approx(0.9, abs=0.08)


def test_the_auc_is_within_each_model_whose_scores_are_on_another_scale():
    y, logit = patients(200)
    apart = told(y, logit + 50)
    found = shifts.surviving([told(y, logit), apart], [told(y, logit)], n_boot=20)
    auc = found.set_index("name").loc["auc"]
    assert auc["home"] == pytest.approx(auc["there"])


def test_gaps_are_of_the_same_draws_so_that_who_is_at_home_and_away_differs_from_nobody():
    one = told(*patients(200))
    found = shifts.surviving([one], [one], n_boot=50)
    known = found.set_index("name").loc[["auc", "brier", "calibration_slope"]]
    assert (known["home_low"] < known["home_high"]).all()
    assert not found[["gap", "gap_low", "gap_high"]].to_numpy().any()
    faded = shifts.faded([one], [one], n_boot=50).set_index("where")
    assert not faded.loc["gap", ["value", "low", "high"]].to_numpy(float).any()
    assert (faded.loc["home", "low"] < faded.loc["home", "high"]).all()


def test_at_a_site_of_less_certain_outcomes_slope_and_coverage_fall_together():
    fitted = Fitted.on(*patients(800, 3))
    found = shifts.surviving([told(*patients(800, 5), fitted)],
                             [told(*patients(800, 6, truth=0.3), fitted)], n_boot=200)  # fmt: skip
    gap = found.set_index("name")["gap_high"]
    assert gap["calibration_slope"] < 0
    assert gap["coverage"] < 0


def test_a_new_site_is_noticed_where_its_inputs_are_others(tmp_path):
    task = made_table(400)
    shifted = task.x + 4 * (task.sites == "C")[:, None]
    new = shifts.StudyTask("rows", "table", shifted, task.y, task.groups, task.sites,
                           task.features * 0 + shifted, task.build)  # fmt: skip
    for one, noticed in ((new, True), (task, False)):
        away = shifts.leave_sites_out(one, ["C"], tmp_path, Budget(20))
        found = shifts.new_sites(one, away, n_boot=50).set_index("name")["value"]
        assert (found["mean and SD"] > 0.95) == noticed
        assert (found["Mahalanobis"] > 0.95) == noticed


def test_a_gap_is_measured_where_both_sides_have_patients_enough():
    y, logit = patients(600)
    sites = np.array(["A"] * 300 + ["B"] * 297 + ["few"] * 3)
    logit[300:] = np.random.default_rng(0).standard_normal(300)
    one = told(y, logit)
    found = shifts.gaps(Told(**(vars(one) | {"sites": sites})), {"site": sites}, n_boot=200)
    assert found["group"].tolist() == ["A", "B"]
    assert found.set_index("group").loc["B", "high"] < 0 < found["low"].iloc[0]


def test_so_many_patients_see_the_gap_eight_times_in_ten():
    gap, high = 0.12, 0.85
    n = shifts.patients_to_see(gap, high, 0.5)
    seen = []
    for seed in range(400):
        rng, y = np.random.default_rng(seed), np.arange(n) % 2
        z, error = 0.0, 0.0
        for auc, sign in ((high, 1), (high - gap, -1)):
            from scipy.stats import norm

            score = rng.standard_normal(n) + np.sqrt(2) * norm.ppf(auc) * y
            found = delong(y, score)
            z += sign * found.value
            error += ((found.high - found.low) / (2 * 1.96)) ** 2
        seen.append(z / np.sqrt(error) > 1.96)
    assert np.mean(seen) == pytest.approx(0.8, abs=0.07)


def test_a_smaller_gap_takes_more_and_what_n_can_see_is_the_gap_that_takes_n():
    assert shifts.patients_to_see(0.04, 0.8, 0.3) > 3 * shifts.patients_to_see(0.08, 0.8, 0.3)
    n = shifts.patients_to_see(0.05, 0.85, 0.5)
    assert shifts.smallest_gap((n, n), 0.85, 0.5) == pytest.approx(0.05, rel=0.15)
    with pytest.raises(RequestError, match="no gap to be seen"):
        shifts.patients_to_see(0.4, 0.8, 0.5)


@pytest.mark.parametrize(
    ("gap", "better", "says"),
    [
        ((0.1, 0.01, 0.2), 1, "better there"),
        ((0.1, 0.01, 0.2), -1, "worse there"),
        ((0.1, 0.01, 0.2), 0, "changed there"),
        ((0.1, -0.01, 0.2), 1, "not shown to change"),
        ((np.nan,) * 3, 1, "not shown to change"),
    ],
)
def test_a_difference_is_said_by_its_interval(gap, better, says):
    assert shifts.said(gap, better) == says
