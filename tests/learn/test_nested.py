"""Nested cross-validation is honest: a planted leak is caught, and tested rows choose nothing."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn import nested
from nextaim_kit.learn.feature_checks import check_features
from nextaim_kit.learn.harmonization import ComBat
from nextaim_kit.learn.method import Method
from nextaim_kit.learn.metrics import auc, operating_point
from nextaim_kit.learn.nested import (
    NestedResult,
    final_model,
    nested_cv,
    shuffled_aucs,
)
from nextaim_kit.learn.splits import leave_one_site_out, patient_folds

FEATURES = [f"f{k}" for k in range(6)]


def cohort(n=60, features=6, effect=1.5, rows=1, seed=0) -> pd.DataFrame:
    """Patients of three sites, of whom f0 and f1 tell the outcome and the others nothing."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(n) % 2)
    values = rng.normal(size=(n * rows, features))
    values[:, :2] += effect * np.repeat(label, rows)[:, None]
    table = pd.DataFrame(values, columns=[f"f{k}" for k in range(features)])
    beside = {
        "subject": [f"P{k:02d}" for k in range(n)],
        "site": [f"S{k % 3}" for k in range(n)],
        "label": label,
    }
    return table.assign(**{name: np.repeat(column, rows) for name, column in beside.items()})


SMALL = Method("logistic", ks=(1, 3), grid={"C": [0.1]}, inner=2)


def run(table, features=FEATURES, **options) -> NestedResult:
    """A small nested cross-validation with `options` of the method or of its folds."""
    method = replace(
        SMALL, **{f.name: options.pop(f.name) for f in fields(Method) if f.name in options}
    )
    return nested_cv(table, features, method, **{"outer": 3, "n_jobs": 1, **options})


def pooled_auc(result) -> float:
    patients = result.pooled()
    return auc(patients["y"], patients["p"])


def test_the_planted_leak_is_caught():
    honest, leaky = [], []
    names = [f"f{k}" for k in range(500)]
    for seed in range(6):
        noise = cohort(features=500, effect=0, seed=seed)
        options = {"ks": (10,), "outer": 5, "seed": seed}
        honest.append(pooled_auc(run(noise, names, **options)))
        leaky.append(pooled_auc(run(noise, names, leaky=True, **options)))
    assert np.mean(honest) == pytest.approx(0.5, abs=0.12)
    assert np.mean(leaky) > 0.8
    assert min(np.subtract(leaky, honest)) > 0.1
    assert np.mean(leaky) - np.mean(honest) > 0.25


def test_a_real_effect_is_found_and_its_features_are_chosen():
    result = run(cohort(90, effect=2), ks=(2,), selectors=("xgboost",))
    assert pooled_auc(result) > 0.85
    assert [set(names) for names in result.selected] == [{"f0", "f1"}] * 3


@pytest.mark.parametrize("model", ["xgboost", "mlp"])
def test_the_other_models_find_it_too(model):
    grid = {"n_estimators": [30]} if model == "xgboost" else {"max_iter": [100]}
    assert pooled_auc(run(cohort(effect=2), model=model, grid=grid, ks=(2,))) > 0.8


def test_every_row_is_tested_once_in_every_repeat():
    table = cohort()
    result = run(table, repeats=2)
    tested = result.predictions
    assert tested.groupby(["repeat", "subject"]).size().tolist() == [1] * 120
    assert sorted(np.concatenate(result.test_index[:3])) == list(range(60))
    assert list(tested) == ["subject", "site", "fold", "repeat", "y", "p", "threshold"]
    assert tested["p"].between(0, 1).all()


def test_repeats_have_other_folds():
    first, second = np.split(np.array(run(cohort(), repeats=2).test_index), 2)
    assert not np.array_equal(first, second)


def test_patients_of_several_rows_are_never_torn_apart():
    table = cohort(rows=2)
    for test in run(table).test_index:
        inside = table["subject"].iloc[test]
        assert (inside.value_counts() == 2).all()


def test_folds_are_alike_in_label_and_site_where_asked():
    table = cohort()
    table["label"] = np.repeat([0, 1], 30)
    for test in run(table, by=("label", "site")).test_index:
        counts = table.iloc[test].groupby(["label", "site"]).size()
        assert counts.between(3, 4).all()
        assert len(counts) == 6


@pytest.mark.parametrize("combat", [None, ComBat()])
def test_what_is_tested_chooses_nothing(combat):
    table = cohort()
    train, test = patient_folds(table, 3, seed=0)[0]
    changed = table.copy()
    changed.loc[test, "label"] = 1 - table.loc[test, "label"]
    changed.loc[test, FEATURES] = 1e3 * table.loc[test, FEATURES] - 50
    changed.loc[test[:5], "f0"] = np.nan
    options = {"splits": [(train, test)], "grid": {"C": [0.01, 1.0]}, "combat": combat}
    first, second = run(table, **options), run(changed, **options)
    pd.testing.assert_frame_equal(first.chosen, second.chosen)
    assert first.predictions["threshold"].equals(second.predictions["threshold"])
    assert first.selected == second.selected
    rows = table.iloc[train]
    ours, theirs = (result.models[0].predict_proba(rows) for result in (first, second))
    assert np.array_equal(ours, theirs)
    assert not first.predictions["p"].equals(second.predictions["p"])


def test_the_leak_does_let_the_tested_rows_choose():
    table = cohort(effect=0)
    train, test = patient_folds(table, 3, seed=0)[0]
    planted = table.copy()
    planted.loc[test, "f5"] = 100.0 * table.loc[test, "label"]
    options = {"splits": [(train, test)], "ks": (1,)}
    assert run(planted, leaky=True, **options).selected == [["f5"]]
    assert run(planted, **options).selected == run(table, **options).selected != [["f5"]]


def test_imputation_is_fitted_in_the_fold():
    table = cohort()
    train, test = patient_folds(table, 3, seed=0)[0]
    table.loc[train[:4], "f2"] = np.nan
    table.loc[test, "f2"] = 1e6
    model = run(table, splits=[(train, test)], selectors=("none",)).models[0]
    medians = model["impute"].transformer_.statistics_
    assert medians == pytest.approx(table[FEATURES].iloc[train].median(), abs=1e-12)


def test_settings_are_chosen_by_inner_auc():
    table = cohort(effect=0.7)
    alone = [run(table, ks=(k,), seed=2).chosen["inner_auc"] for k in (1, 2, 4)]
    both = run(table, ks=(4, 1, 2), seed=2).chosen
    assert both["inner_auc"].to_numpy() == pytest.approx(np.max(alone, axis=0), abs=1e-12)
    assert both["k"].tolist() == [(1, 2, 4)[k] for k in np.argmax(alone, axis=0)]


def test_the_inner_auc_of_noise_is_near_chance():
    names = [f"f{k}" for k in range(100)]
    runs = [run(cohort(features=100, effect=0, seed=s), names, ks=(10,)) for s in range(6)]
    inner = np.mean([result.chosen["inner_auc"].mean() for result in runs])
    assert inner == pytest.approx(0.5, abs=0.12)


def test_the_threshold_is_youdens_on_the_training_rows_left_out_inside(monkeypatch):
    seen = []

    def spy(y, p):
        seen.append((y, operating_point(y, p)))
        return seen[-1][1]

    monkeypatch.setattr(nested, "operating_point", spy)
    table = cohort()
    result = run(table, seed=3)
    for (y, threshold), test in zip(seen, result.test_index, strict=True):
        assert sorted(y) == sorted(table["label"].drop(test))
        tested = result.predictions["subject"].isin(table["subject"].iloc[test])
        assert set(result.predictions.loc[tested, "threshold"]) == {threshold}


def test_every_choice_is_told_with_its_fold():
    chosen = run(cohort(), selectors=("mrmr", "none"), grid={"C": [0.1, 1.0]}).chosen
    assert list(chosen) == ["fold", "repeat", "selector", "k", "C", "inner_auc"]
    assert chosen["fold"].tolist() == [0, 1, 2]
    assert set(chosen["C"]) <= {0.1, 1.0}


def test_models_take_rows_of_the_table_and_give_its_predictions():
    table = cohort()
    result = run(table, combat=ComBat())
    p = [
        m.predict_proba(table.iloc[t])[:, 1]
        for m, t in zip(result.models, result.test_index, strict=True)
    ]
    assert np.array_equal(np.concatenate(p), result.predictions["p"])


def test_no_selection_keeps_all_features_and_large_numbers_are_cut():
    assert run(cohort(), selectors=("none",)).selected == [FEATURES] * 3
    assert run(cohort(), ks=(99,)).chosen["k"].tolist() == [6] * 3


def test_the_numbers_do_not_depend_on_the_processes():
    options = {"selectors": ("mrmr", "mutual_information"), "repeats": 2}
    one, two = run(cohort(), **options), run(cohort(), n_jobs=2, **options)
    pd.testing.assert_frame_equal(one.predictions, two.predictions, check_exact=True)
    pd.testing.assert_frame_equal(one.chosen, two.chosen, check_exact=True)
    assert one.selected == two.selected


def test_the_same_seed_gives_the_same_predictions_and_another_seed_others():
    first, again, other = (run(cohort(), seed=seed).predictions for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert first["subject"].tolist() != other["subject"].tolist()


def test_rows_are_known_by_position_whatever_their_index():
    table = cohort()
    expected = run(table).predictions
    pd.testing.assert_frame_equal(run(table.set_axis([3] * 60)).predictions, expected)


def test_rows_without_a_label_are_left_out():
    table = cohort().astype({"label": float})
    table.loc[[0, 7], "label"] = np.nan
    result = run(table)
    assert sorted(np.concatenate(result.test_index)) == sorted({*range(60)} - {0, 7})
    split = leave_one_site_out(table)
    assert len(run(table, splits=split).predictions) == 58


def test_pooling_takes_the_mean_over_repeats_and_the_majority_of_calls():
    rows = [("A", 0.2, 0.3), ("B", 0.6, 0.3), ("A", 0.6, 0.5), ("B", 0.7, 0.5), ("C", 0.1, 0.3)]
    table = pd.DataFrame(rows, columns=["subject", "p", "threshold"])
    table = table.assign(site=None, y=1, repeat=[0, 0, 1, 1, 0])
    pooled = NestedResult(table, table, [], [], []).pooled()
    assert pooled["subject"].tolist() == ["A", "B", "C"]
    assert pooled["p"].to_numpy() == pytest.approx([0.4, 0.65, 0.1])
    assert pooled["threshold"].to_numpy() == pytest.approx([0.4, 0.4, 0.3])
    assert pooled["called"].tolist() == [True, True, False]


def test_pooled_predictions_are_one_row_per_patient():
    result = run(cohort(rows=2), repeats=2)
    pooled = result.pooled().set_index("subject")
    means = result.predictions.groupby("subject")["p"].mean()
    assert len(pooled) == 60
    assert pooled.loc[means.index, "p"].to_numpy() == pytest.approx(means.to_numpy(), abs=1e-12)


def test_sites_can_be_left_out_one_at_a_time():
    table = cohort()
    result = run(table, splits=leave_one_site_out(table))
    assert result.chosen["fold"].tolist() == ["S0", "S1", "S2"]
    assert result.predictions["fold"].tolist() == result.predictions["site"].tolist()
    assert pooled_auc(result) > 0.75


def test_harmonization_refuses_the_site_left_out_unless_told_what_to_do():
    table = cohort()
    split = leave_one_site_out(table)
    with pytest.raises(DataError, match="has not seen the site 'S0'"):
        run(table, splits=split, combat=ComBat())
    passed = run(table, splits=split, combat=ComBat(unseen="pass"))
    assert passed.predictions["p"].notna().all()


def test_a_patient_on_both_sides_of_a_given_split_is_refused():
    table = cohort()
    with pytest.raises(DataError, match="fold 0 cannot be used") as said:
        run(table, splits=[(np.arange(40), np.arange(39, 60))])
    assert "1 in both" in str(said.value)


@pytest.mark.parametrize("said", ["outcome cannot be a covariate", "must not be a covariate"])
def test_the_outcome_is_refused_as_covariate_of_the_harmonization(said):
    name = "label" if said.startswith("outcome") else "severity"
    table = cohort().assign(severity=lambda t: t["label"])
    with pytest.raises(RequestError, match=said):
        run(table, combat=ComBat(covariates=[name]))


def test_a_covariate_that_is_not_there_is_refused_by_name():
    with pytest.raises(RequestError, match="no column 'age' to harmonize by"):
        run(cohort(), combat=ComBat(covariates=["age"]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "svm"}, "no model 'svm'\n.*xgboost, logistic, mlp"),
        ({"selectors": ("lasso",)}, "no selector 'lasso'\n.*mrmr, xgboost, mutual_information"),
        ({"selectors": ("mrmr", "lasso")}, "no selector 'lasso'"),
        ({"grid": {"C": [1], "depth": [2]}}, "'logistic' has no parameter depth\n.*one of C"),
        ({"ks": ()}, "nothing to choose from"),
        ({"ks": (0, 3)}, r"nothing to choose from\n.*at least 1\n.*ks \[0, 3\]"),
        ({"selectors": ()}, "nothing to choose from"),
        ({"by": ("label", "scanner")}, "no column 'scanner'"),
    ],
)
def test_unknown_choices_are_refused_with_the_known_ones(options, said):
    with pytest.raises(RequestError, match=said):
        run(cohort(), **options)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(label=1), "two classes apart\n.*both 0 and 1\n.*1 in 60 labeled rows"),
        (lambda t: t.assign(label=np.nan), "none in 0 labeled rows of 60"),
        (lambda t: t.assign(label=t["label"] + 1), "code the outcome as 0 and 1"),
        (lambda t: t.drop(columns="label"), "no column 'label'"),
        (lambda t: t.drop(columns="site"), "no column 'site'"),
        (lambda t: t.assign(label=(t.index < 2).astype(int)), "label 1 cannot be in every one of"),
        (lambda t: t.assign(subject=[None, *t["subject"][1:]]), "1 rows have no subject"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(change, said):
    with pytest.raises(DataError, match=said):
        run(change(cohort()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"f1": "text"}, "1 features are not finite numbers: f1\n"),
        ({"f1": np.inf, "f4": -np.inf}, "2 features are not finite numbers: f1, f4\n"),
    ],
)
def test_features_that_are_no_finite_numbers_are_refused_by_name(change, said):
    with pytest.raises(DataError, match=said):
        run(cohort().assign(**change))


@pytest.mark.parametrize(
    ("features", "said"),
    [(["f0", "f9"], "absent: f9"), (["f0", "label"], "other than subject, site"), ([], "cannot")],
)
def test_features_that_are_absent_or_the_outcome_are_refused(features, said):
    with pytest.raises(RequestError, match=said):
        check_features(cohort(), features)


def test_constant_and_empty_columns_do_no_harm():
    table = cohort().assign(f4=7.0, f5=np.nan)
    result = run(table, selectors=("mrmr", "none"), combat=ComBat())
    assert pooled_auc(result) > 0.75
    nothing = run(table.assign(**dict.fromkeys(FEATURES, 1.0)))
    assert nothing.predictions["p"].to_numpy() == pytest.approx(0.5, abs=0.02)


def test_on_shuffled_outcomes_a_model_that_tells_them_is_at_chance():
    method = replace(SMALL, selectors=("none",))
    ask = partial(shuffled_aucs, cohort(60, effect=2), FEATURES, method, seed=1, outer=3, n_jobs=1)
    found = ask(permutations=3)
    assert np.mean(found) == pytest.approx(0.5, abs=0.15)
    assert ask(permutations=1) == found[:1]
    assert (
        min(found) < max(found) < run(cohort(60, effect=2), selectors=("none",)).auc_over_folds()[1]
    )


def elsewhere(seed=1, **options) -> pd.DataFrame:
    other = cohort(seed=seed, **options)
    return other.assign(subject="E" + other["subject"], site="Elsewhere")


def test_an_external_cohort_takes_no_part_in_what_is_fitted():
    here, there = cohort(effect=2), elsewhere(effect=2)
    final = final_model(here, FEATURES, SMALL)
    found = final.predictions(there)
    assert found["subject"].tolist() == there["subject"].tolist()
    assert set(found["fold"]) == {"external"}
    assert auc(found["y"], found["p"]) > 0.8
    swapped = there.assign(label=1 - there["label"])
    swapped.loc[5:, FEATURES] *= 3
    again = final.predictions(swapped)
    assert again["p"].head(5).equals(found["p"].head(5))
    assert set(again["threshold"]) == set(found["threshold"]) == {final.threshold}
    unlabeled = final.predictions(there.drop(columns="label"))
    assert unlabeled["y"].isna().all()
    assert unlabeled["p"].equals(found["p"])


def test_a_final_model_is_that_of_an_outer_fold_that_trains_on_all_of_them():
    both = pd.concat([cohort(), elsewhere()], ignore_index=True)
    options = {"selectors": ("mrmr", "xgboost"), "grid": {"C": [0.1, 1.0]}}
    split = {"external": (np.arange(60), np.arange(60, 120))}
    folds = run(both, splits=split, seed=5, **options)
    final = final_model(cohort(), FEATURES, replace(SMALL, **options), seed=5)
    assert final.predictions(elsewhere()).equals(folds.predictions.astype({"y": float}))
    assert final.chosen == folds.chosen.drop(columns=["fold", "repeat"]).iloc[0].to_dict()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="f1"), "lacks 1 of 6 features[\\s\\S]*absent: f1"),
        (lambda t: t.assign(subject=t["subject"].str[1:]), "60 subjects .* trained the model"),
        (lambda t: t.assign(f1=np.inf), "f1"),
    ],
)
def test_an_external_cohort_that_cannot_be_tested_is_refused(change, words):
    with pytest.raises(DataError, match=words):
        final_model(cohort(), FEATURES, SMALL).predictions(change(elsewhere()))
