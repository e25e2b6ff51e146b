"""The consensus is what the rule says, and what is measured against it is what was planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.learn.metrics import auc
from nextaim_kit.studies.ct_lungquant.panel import choices
from nextaim_kit.studies.ct_lungquant.panel.consensus import (
    Rule,
    account,
    against_consensus,
    against_readers,
    at_limit,
    by_site,
    left_out,
    reach,
    too_rare,
)
from nextaim_kit.studies.ct_lungquant.panel.kappas import software_as_reader, software_codes
from nextaim_kit.studies.ct_lungquant.panel.questions import with_cuts
from nextaim_kit.studies.ct_lungquant.panel.readers import SCALES, Panel, read_panel
from nextaim_kit.twins.chest_ct.population import patients

NOTHING = dict.fromkeys(SCALES, 0.0)
SURE = Panel(readers=3, bias=NOTHING, error=NOTHING, limits=0.0, missing=0.0)
ANSWERS = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1], [1, np.nan, np.nan, np.nan]])
NAN = np.nan


@pytest.fixture(scope="module")
def values():
    """What software without errors measures."""
    table, rng = patients(), np.random.default_rng(0)
    ill, n = table["truth_involvement"] > 0, len(table)
    left = np.where(rng.random(n) < 0.2, rng.integers(0, 2, n), rng.beta(5, 5, n))
    table["truth_left"] = np.where(ill, left, np.nan)
    table["truth_upper"] = np.where(ill, rng.beta(1.2, 3, n), np.nan)
    table["truth_lesions_ml"] = 10 * table["truth_involvement"]
    kept = table[["subject", "site", *(c for c in table if c.startswith("truth_"))]]
    return kept.assign(**{c.removeprefix("truth_"): kept[c] for c in kept if "truth_" in c})


@pytest.fixture(scope="module")
def readings(values):
    return read_panel(values)


def agreed(readings, values, rule=None):
    return {n: reach(q, readings, values, rule or Rule()) for n, q in with_cuts().items()}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(), [NAN, 1, 0, NAN]),
        (Rule(ties="yes"), [1, 1, 0, NAN]),
        (Rule(ties="no"), [0, 1, 0, NAN]),
        (Rule(least=1), [NAN, 1, 0, 1]),
        (Rule(0.0, "no"), [1, 1, 1, NAN]),
        (Rule(1.0, "yes"), [0, 0, 0, NAN]),
        (Rule(2 / 3), [0, 1, 0, NAN]),
    ],
)
def test_a_consensus_follows_its_rule(rule, expected):
    np.testing.assert_array_equal(rule.of(ANSWERS), expected)


def test_a_panel_of_one_or_two_has_a_consensus_all_the_same():
    np.testing.assert_array_equal(Rule().of(ANSWERS[:, :1]), [1, 1, 0, 1])


def test_a_sure_panel_and_a_right_software_agree_on_every_question(values):
    sure = agreed(read_panel(values, SURE), values)
    np.testing.assert_array_equal(against_consensus(sure, n_boot=20, seed=0)["value"], 1)
    for name, table in sure.items():
        assert table["share"].dropna().isin([0, 1]).all()
        limit = with_cuts()[name].limit
        used = table[table["used"]]
        np.testing.assert_array_equal(used["y"] == 1, used["score"] >= limit)


def test_the_software_s_classes_are_those_of_a_sure_panel(values):
    sure = read_panel(values, SURE)
    first = sure[sure["reader"] == "R01"].set_index("subject")
    for label, scale in SCALES.items():
        told = first[label].map({v: k for k, v in enumerate(scale)}).astype(float).dropna()
        pd.testing.assert_series_equal(
            software_codes(values, label)[told.index], told, check_names=False
        )


def test_every_subject_is_accounted_for(readings, values):
    counted = account(agreed(readings, values))
    rest = counted.drop(columns="question").sum(axis=1)
    np.testing.assert_array_equal(rest, len(values))
    healthy = (values["involvement"] == 0).sum()
    assert counted.set_index("question")["no_consensus"]["type"] >= healthy - 3


def test_a_software_that_sees_no_lesion_is_left_out_and_counted(readings, values):
    blind = values.assign(consolidation=values["consolidation"].mask(values.index < 10))
    counted = account(agreed(readings, blind)).set_index("question")
    assert counted["no_lesion_seen"]["type"] > 5
    assert counted["no_lesion_seen"]["zones"] == 0


def test_the_auc_is_that_of_the_consensus(readings, values):
    tables = agreed(readings, values)
    found = against_consensus(tables, n_boot=50, seed=1).set_index("question")
    used = tables["zones"][tables["zones"]["used"]]
    assert found["value"]["zones"] == pytest.approx(auc(used["y"], used["score"]))
    assert (found["low"] <= found["value"]).all()
    assert (found["value"] <= found["high"]).all()


def test_a_consensus_with_too_few_of_an_answer_has_no_auc_and_says_why(readings, values):
    table = agreed(readings, values)["zones"]
    used = table[table["used"]]
    few = pd.concat([used[used["y"] == 0], used[used["y"] == 1].head(4)])
    enough = pd.concat([used[used["y"] == 0], used[used["y"] == 1].head(5)])
    found = against_consensus({"few": few, "enough": enough}, n_boot=20, seed=0)
    assert found["value"].isna().tolist() == [True, False]
    assert found["rarer"].tolist() == [4, 5]
    (said,) = too_rare(found)
    assert said.startswith(f"few: no AUC, 4 of {len(few)} patients")


def test_a_software_that_says_half_keeps_its_auc_and_misses_at_its_limit(readings, values):
    half = values.assign(involvement=values["involvement"] / 2)
    whole, less = agreed(readings, values), agreed(readings, half)
    aucs = [against_consensus(t, n_boot=0, seed=0)["value"][0] for t in (whole, less)]
    assert aucs[0] == pytest.approx(aucs[1])
    found = [
        at_limit(with_cuts(), t, n_boot=20, seed=0).set_index(["question", "metric"])["value"]
        for t in (whole, less)
    ]
    recall = [table["involvement", "recall"] for table in found]
    assert recall[0] > 0.8 > 0.7 > recall[1]
    assert found[1]["involvement", "specificity"] == 1


def test_the_accuracy_at_the_limit_stands_beside_the_commoner_answer(readings, values):
    tables = agreed(readings, values)
    found = at_limit(with_cuts(), tables, n_boot=20, seed=0).set_index(["question", "metric"])
    used = tables["sides"][tables["sides"]["used"]]
    right = (used["score"] >= 10) == (used["y"] == 1)
    assert found["value"]["sides", "accuracy"] == pytest.approx(right.mean())
    assert found["commoner"]["sides", "recall"] == pytest.approx(used["y"].mean())


def test_a_right_software_beats_a_left_out_reader_and_noise_does_not(readings, values):
    question, names = with_cuts()["zones"], sorted(readings["reader"].unique())
    noise = values.assign(upper=np.random.default_rng(3).random(len(values)))
    options = {"n_boot": 100, "seed": 0}
    good, bad = (left_out(question, readings, v, Rule(), names, **options) for v in (values, noise))
    assert good["difference"][1] > 0 > bad["difference"][2]
    assert bad["software"][0] == pytest.approx(0.5, abs=0.12)
    difference = good["software"][0] - good["reader"][0]
    assert good["difference"][0] == pytest.approx(difference)


def test_a_reader_who_says_the_same_of_all_has_no_auc_and_the_others_have(readings, values):
    same = readings["reader"] == "R03"
    constant = readings.assign(zones=readings["zones"].mask(same, "lower"))
    found = against_readers(with_cuts()["zones"], constant, values, n_boot=20, seed=0)
    assert found.loc[found["value"].isna(), "reader"].tolist() == ["R03"]
    assert found["n"].min() > 100


def test_a_right_software_passes_for_a_good_reader(readings, values):
    found = software_as_reader(readings, values, n_boot=50).set_index(["who", "label"])
    assert (found.loc["difference", "low"] > 0).all()


def test_a_consensus_of_one_answer_has_no_auc_and_ends_no_run(readings, values):
    nobody = readings.assign(zones=readings["zones"].where(readings["zones"].isna(), "lower"))
    zones, rule = {"zones": with_cuts()["zones"]}, Rule()
    agreed = {"zones": reach(zones["zones"], nobody, values, rule)}
    assert against_consensus(agreed, n_boot=20, seed=0)["value"].isna().all()
    assert at_limit(zones, agreed, n_boot=20, seed=0).empty
    readers = sorted(nobody["reader"].unique())
    found = left_out(zones["zones"], nobody, values, rule, readers, n_boot=20, seed=0)
    assert np.isnan([*found.values()]).all()


def test_where_nobody_sees_a_lesion_all_is_said_to_be_empty(readings, values):
    unread = readings.assign(type=None, sides=None, zones=None, ct_ss=1, percent=0.0)
    none = values.assign(involvement=0.0, consolidation=np.nan, left=np.nan, upper=np.nan)
    asked = with_cuts()
    agreed = {name: reach(one, unread, none, Rule()) for name, one in asked.items()}
    counted = account(agreed).set_index("question")
    assert (counted["yes"] == 0).all()
    assert len(too_rare(against_consensus(agreed, n_boot=20, seed=0))) == 4
    assert choices.all_choices(unread, none).empty
    sizes = choices.by_panel_size(asked["type"], unread, none, Rule(), [1, 3], draws=5, seed=0)
    assert sizes.empty
    disputed = {"type": choices.dispute(asked["type"], agreed["type"], none)}
    assert choices.reasons(disputed, n_boot=20, seed=0).empty


def test_sites_with_too_few_of_an_answer_have_no_auc(readings, values):
    site = pd.Series(np.where(values.index < 6, "small", "large"), values["subject"])
    found = by_site(agreed(readings, values), site, n_boot=20, seed=0)
    assert found[found["site"] == "small"]["value"].isna().all()
    assert found[found["site"] == "large"]["value"].notna().all()


def test_the_choice_made_beforehand_is_among_all_choices(readings, values):
    every = choices.all_choices(readings, values)
    own = against_consensus(agreed(readings, values), n_boot=0, seed=0).set_index("question")
    asked = {name: q.asked for name, q in with_cuts().items()}
    usual = every[every["rule"] == "more than half, ties left out"].set_index("asked")["auc"]
    for name, text in asked.items():
        assert usual[text] == pytest.approx(own["value"][name])
    assert every.groupby("question")["auc"].agg(np.ptp).min() > 0.01
    assert not every.duplicated(["asked", "rule"]).any()


def test_more_readers_make_a_reference_that_a_right_software_meets_better(readings, values):
    grown = choices.by_panel_size(
        with_cuts()["zones"], readings, values, Rule(), (1, 5, 13), draws=60, seed=0
    )
    assert grown["value"].is_monotonic_increasing
    spread = grown["high"] - grown["low"]
    assert spread.iloc[0] > 1.3 * spread.iloc[-1]


def test_readers_divide_near_the_limit(readings, values):
    tables = agreed(readings, values)
    asked = with_cuts()
    disputed = {n: choices.dispute(asked[n], t, values) for n, t in tables.items()}
    found = choices.reasons(disputed, n_boot=100, seed=0).set_index(["reason", "question"])
    assert (found.loc["distance from the limit", "high"] < 0).all()
    assert disputed["zones"]["divided"].between(0, 1).all()


def test_a_cut_says_what_is_asked_and_where_the_limit_is():
    other = with_cuts(involvement_from=4, type_from="consolidation", zones_from="upper")
    assert other["involvement"].limit == 50
    assert other["involvement"].asked.startswith("50 %")
    assert other["type"].yes == ("consolidation",)
    assert other["zones"].limit == pytest.approx(200 / 3)
    assert other["sides"].limit == 10
