"""A power law is found again, goes no further than twice, and is held to the size not used."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.challenges.limited.law import (
    Law,
    judged,
    overtaken,
    promised,
    three_sentences,
)
from nextaim_kit.studies.challenges.limited.measuring import Curve

SIZES = np.array([25.0, 50, 100, 200])
ERROR = np.array([0.03, 0.025, 0.02, 0.015])


def truth(n, a=0.9, b=0.35, limit=1.0):
    return limit - a * np.asarray(n, float) ** -b


def curve(seed=None, *, sizes=SIZES, **law) -> Curve:
    """A curve of a law; with a seed, off it by its errors."""
    rng = np.random.default_rng(seed or 0)
    error = ERROR[: len(sizes)]
    auc = truth(sizes, **law) + error * rng.normal(size=len(sizes)) * (seed is not None)
    boot = auc + error * rng.normal(size=(300, len(sizes)))
    return Curve("made", sizes, np.vstack([auc, boot]), error)


def test_a_law_without_error_is_found_again():
    law = Law.of(curve(limit=0.95), limit=0.95)
    assert law.a[0] == pytest.approx(0.9)
    assert law.b[0] == pytest.approx(0.35)
    assert law.at(400)[0] == pytest.approx(truth(400, limit=0.95))


def test_its_intervals_hold_the_truth_about_95_times_in_100():
    laws = [Law.of(curve(seed)) for seed in range(1, 201)]
    power = np.mean([low <= 0.35 <= high for _, low, high in (law.power for law in laws)])
    twice = np.mean([low <= truth(400) <= high for _, low, high in (law.at(400) for law in laws)])
    assert 0.89 < power < 0.99
    assert 0.89 < twice < 0.99


def test_patients_for_a_gain_are_those_where_the_law_has_it():
    law = Law.of(curve())
    needed, low, high = law.patients_for(0.02)
    assert truth(needed) - truth(200) == pytest.approx(0.02)
    assert 200 < low <= needed <= high


def test_a_gain_beyond_twice_the_patients_or_of_a_flat_curve_is_not_promised():
    assert Law.of(curve()).patients_for(0.1)[0] == np.inf
    flat = Law.of(curve(b=0.0, a=0.2))
    assert flat.patients_for(0.001)[0] == np.inf
    with pytest.raises(RequestError, match=r"(?s)beyond what the law may tell.*2\.5 times"):
        Law.of(curve()).at(500)


def test_a_law_is_held_to_the_size_that_it_was_not_fitted_to():
    found = judged([curve()]).iloc[0]
    assert (found["used"], found["patients"], found["further"]) == (3, 200, 2.0)
    assert found["predicted"] == pytest.approx(found["measured"])
    assert found["off_low"] < 0 < found["off_high"]


def test_a_curve_that_ends_early_is_seen_to_be_off():
    early = curve()
    ended = early.auc.copy()
    ended[:, -1] -= 0.12
    found = judged([Curve("made", SIZES, ended, ERROR)]).iloc[0]
    assert found["off"] == pytest.approx(0.12)
    assert found["off_low"] > 0


def test_the_largest_size_may_be_twice_the_next_and_no_more():
    with pytest.raises(RequestError, match="beyond"):
        judged([curve(sizes=np.array([25.0, 50, 160]))])


def test_a_lower_limit_promises_less():
    high, low = (promised([curve()], 0.02, limit=limit).iloc[0] for limit in (1.0, 0.9))
    assert low["auc"] < high["auc"]
    assert low["needed"] > high["needed"]
    assert high["twice"] == 400
    with pytest.raises(DataError, match=r"above a limit of 0\.8"):
        Law.of(curve(), limit=0.8)


def test_a_perfect_auc_has_a_law_too():
    perfect = Curve("made", SIZES[:3], np.vstack([[0.9, 1.0, 1.0]] * 5), ERROR[:3])
    assert 0.9 < Law.of(perfect).at(200)[0] <= 1


def test_three_sentences_name_the_best_method_and_say_when_nothing_beats_the_simple_model():
    curves = pd.DataFrame({"method": ["simple", "net"], "patients": 200, "value": [0.86, 0.80],
                           "low": 0.7, "high": 0.9})  # fmt: skip
    against = pd.DataFrame({"method": ["net"], "patients": [200], "value": [-0.06],
                            "low": [-0.1], "high": [0.02]})  # fmt: skip
    of = [Curve(name, SIZES, curve().auc, ERROR) for name in ("simple", "net")]
    asked = (judged(of), promised(of, 0.02))
    first, second, third = three_sentences(curves, against, *asked)
    assert first.startswith("Of 200 labeled patients simple makes the most")
    assert "0.860 [0.700, 0.900], above 0.5" in first
    assert second.startswith("Up to 200 patients nothing is shown to stay above the simple model")
    assert third.startswith("Twice as many patients promise simple an AUC of 0.8")
    shown = against.assign(value=0.05, low=0.01, high=0.09)
    said = three_sentences(curves, shown, *asked)[1]
    assert said.startswith("From 200 patients on net is above the simple model, there by 0.050 [")


def test_a_network_has_overtaken_where_all_larger_sizes_show_it_too():
    against = pd.DataFrame({
        "method": ["net"] * 3 + ["once"] * 3 + ["late"] * 3, "patients": [20, 40, 80] * 3,
        "value": 0.1, "low": [-0.1, 0.1, 0.1, 0.1, 0.1, -0.1, -0.1, -0.1, 0.1], "high": 0.3,
    })  # fmt: skip
    found = overtaken(against)[["method", "patients"]].to_numpy().tolist()
    assert found == [["net", 40], ["late", 80]]


def test_nothing_has_overtaken_where_nothing_was_compared():
    nothing = pd.DataFrame(columns=["method", "patients", "value", "low", "high"])
    assert overtaken(nothing).empty
