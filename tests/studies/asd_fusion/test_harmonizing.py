"""Four harmonizations: what helps nothing, what flatters, and what an arm without signal shows."""

from dataclasses import replace

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.learn.metrics import within_auc_interval
from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.studies.asd_fusion.harmonizing import (
    Harmonizer,
    aucs_of,
    check_sites,
    flattery,
    four_ways,
    no_signal,
    tell_sites,
)
from nextaim_kit.studies.asd_fusion.models import Linear

FIT = Linear(["function"], C=(1.0,), folds=3)


@pytest.fixture(scope="module")
def nothing(brains):
    """The four ways on made-up diagnoses."""
    made_up = no_signal(brains, seed=3)
    parts = patient_folds(made_up.table, 5, seed=0, by=("label", "site"))
    return four_ways(FIT, "function", made_up, parts)


def within(tested):
    how = {"by_size": True, "n_boot": 100}
    return within_auc_interval(tested["site"], tested["y"], tested["logit"], **how)


def test_made_up_diagnoses_have_the_shares_asked_for_and_both_kinds_in_every_site(brains):
    shares = no_signal(brains, rare=0.2, seed=1).table.groupby("site")["label"].mean()
    assert sorted(shares.round(2)) == [0.2] * 3 + [0.8] * 3


def test_where_there_is_nothing_only_the_way_with_the_diagnosis_finds_something(nothing):
    _, low, high = within(nothing["inside the folds"])
    assert low < 0.5 < high
    assert within(nothing["with the diagnosis"])[0] > within(nothing["inside the folds"])[0] + 0.1
    gains = flattery(nothing, "function", "made up", n_boot=100, seed=0).set_index("metric")
    assert gains.loc["gain_function_with_the_diagnosis_made_up", "low"] > 0


def test_pooled_the_site_is_told_without_harmonization_and_reversed_by_the_whole_set(nothing):
    found = aucs_of(nothing, "function", "made up", n_boot=50, seed=0)
    pooled = found[found["kind"] == "pooled"].set_index("way")["value"]
    assert pooled["none"] > 0.6
    assert pooled["on the whole set"] < 0.45


def test_the_site_is_told_before_and_hardly_after(brains):
    parts = patient_folds(brains.table, 3, seed=0, by=("site",))
    before = tell_sites(brains, "structure", parts, n_boot=50)
    after = tell_sites(brains, "structure", parts, harmonized=True, n_boot=50)
    assert before[0] > 0.7 > 0.6 > after[0]


def test_new_sites_are_hardly_told_once_their_own_subjects_have_given_mean_and_spread(brains):
    new = brains.table["site"].isin(["H0_1", "H0_2", "H1_1"]).to_numpy()
    there, harmonizer = brains.at(new), Harmonizer("structure", unseen="estimate")
    parts = patient_folds(there.table, 2, seed=0, by=("site",))
    before = tell_sites(there, "structure", parts, n_boot=50)
    known = harmonizer.fit(brains.at(~new))
    after = tell_sites(there, "structure", parts, harmonized=known, n_boot=50)
    assert before[0] > 0.7
    assert after[1] < 0.5 < after[2]


def test_a_small_site_and_one_that_was_not_in_training_stay_as_they_are(brains):
    table = brains.table.copy()
    table.loc[:1, "site"] = "tiny"
    harmonizer = Harmonizer("structure").fit(replace(brains, table=table))
    other = replace(brains, table=brains.table.assign(site="elsewhere"))
    for given, rows in ((replace(brains, table=table), [0, 1]), (other, [5, 6])):
        out = harmonizer.transform(given).structure.to_numpy()[rows]
        np.testing.assert_allclose(out, given.structure.to_numpy()[rows], atol=1e-5)


def test_a_new_site_may_be_brought_near_by_its_own_unlabeled_subjects(brains):
    harmonizer = Harmonizer("structure", unseen="estimate").fit(brains)
    far = replace(brains, table=brains.table.assign(site="new"), structure=brains.structure + 5)
    moved = harmonizer.transform(far).structure
    assert abs(moved.to_numpy().mean() - brains.structure.to_numpy().mean()) < 0.2


def test_one_site_cannot_be_harmonized(brains):
    with pytest.raises(DataError, match="not two sites"):
        Harmonizer("structure").fit(replace(brains, table=brains.table.assign(site="A")))


def of_sites(brains, size):
    """The same brains at sites of so many subjects, and folds of them."""
    site = [f"S{k // size}" for k in range(len(brains))]
    named = replace(brains, table=brains.table.assign(site=site))
    return named, patient_folds(named.table, 5, seed=0, by=("label", "site"))


def test_sites_of_four_can_be_harmonized_in_five_folds(brains):
    small, splits = of_sites(brains, 4)
    check_sites(small, splits)
    found = four_ways(Linear(["structure"], C=(1.0,)), "structure", small, splits)
    assert all(np.isfinite(table["logit"]).all() for table in found.values())


@pytest.mark.parametrize("size", [2, 240])
def test_sites_too_small_or_too_few_to_be_harmonized_are_refused_at_once(brains, size):
    with pytest.raises(DataError, match=r"too few or too small [\s\S]* 3 subjects or more"):
        check_sites(*of_sites(brains, size))


def test_tested_subjects_have_no_part_in_the_harmonization_inside_the_folds(brains):
    train, test = patient_folds(brains.table, 3, seed=0)[0]
    spoiled = brains.connectivity.copy()
    spoiled[test] *= 7
    split = {"one": (train, test[:20])}
    ways = ("inside the folds",)
    rest = np.setdiff1d(test, test[:20])
    whole = spoiled.copy()
    whole[test[:20]] = brains.connectivity[test[:20]]
    one = four_ways(FIT, "function", brains, split, ways=ways)["inside the folds"]
    other = four_ways(FIT, "function", replace(brains, connectivity=whole), split, ways=ways)
    assert len(rest)
    np.testing.assert_allclose(one["logit"], other["inside the folds"]["logit"], atol=1e-6)
