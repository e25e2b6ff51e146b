"""A shift between sites is told, ComBat in the folds hides it, and leaks are what they are."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn import site
from nextaim_kit.learn.harmonization import ComBat
from nextaim_kit.learn.metrics import auc, auc_interval
from nextaim_kit.learn.models import SmallNetwork
from nextaim_kit.learn.site import SiteModel, SiteResult, chance, harmonized, tell_site

FEATURES = [f"f{k}" for k in range(8)]


def cohort(n=90, shift=1.0, sites=3, rows=1, seed=0) -> pd.DataFrame:
    """Patients of three sites, whose features lie `shift` apart."""
    member = np.repeat(np.arange(n) % sites, rows)
    values = np.random.default_rng(seed).normal(size=(n * rows, 8)) + shift * member[:, None]
    subject = np.repeat([f"P{k}" for k in range(n)], rows)
    table = pd.DataFrame(values, columns=FEATURES)
    return table.assign(subject=subject, site=[f"S{k}" for k in member])


def run(table, features=FEATURES, **options) -> SiteResult:
    """Told by a model with `options`, of its own or of its folds."""
    own = {f.name: options.pop(f.name) for f in fields(SiteModel) if f.name in options}
    return tell_site(table, features, SiteModel(**own), **{"n_boot": 0, "folds": 3, **options})


def mean_auc(**options) -> float:
    return float(np.mean([run(cohort(seed=seed), **options).pooled for seed in range(4)]))


@pytest.mark.parametrize("model", ["logistic", "mlp", "xgboost"])
def test_a_planted_shift_between_sites_is_told(model):
    assert run(cohort(), model=model).pooled > 0.85


def test_without_a_shift_the_sites_are_told_by_chance():
    aucs = [run(cohort(shift=0, seed=seed)).pooled for seed in range(6)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.08)


def test_combat_in_the_folds_brings_it_near_chance():
    assert mean_auc() > 0.9
    assert mean_auc(combat=ComBat()) == pytest.approx(0.5, abs=0.12)


def test_the_leak_flatters_the_harmonization():
    honest, leaky = mean_auc(combat=ComBat()), mean_auc(combat=ComBat(), leaky=True)
    assert leaky < honest - 0.03


@pytest.mark.parametrize("leaky", [False, True])
def test_only_the_leak_shows_the_left_out_patients_to_combat(leaky, monkeypatch):
    sizes, fit = [], ComBat.fit

    def spy(self, X, y=None):
        sizes.append(len(X))
        return fit(self, X, y)

    monkeypatch.setattr(ComBat, "fit", spy)
    run(cohort(), combat=ComBat(), leaky=leaky)
    assert sizes == ([90] if leaky else [60, 60, 60])


def test_a_shift_of_skewed_features_is_hidden_once_they_have_normal_scores():
    table = cohort()
    table[FEATURES] = np.exp(2 * table[FEATURES])
    options = {"model": "xgboost", "combat": ComBat()}
    assert run(table, **options).pooled > 0.9
    assert run(table, rank_normal=True, **options).pooled == pytest.approx(0.5, abs=0.15)


def test_the_leak_may_take_ranks_first_too():
    options = {"combat": ComBat(), "leaky": True, "rank_normal": True}
    assert run(cohort(), **options).pooled < 0.5


def test_covariates_stand_beside_the_features_and_do_not_tell_the_site():
    table = cohort()
    table["age"] = np.random.default_rng(0).normal(60, 9, 90)
    assert run(table, combat=ComBat(covariates=["age"])).pooled < 0.62


def test_a_leak_without_combat_is_refused():
    with pytest.raises(DataError, match="nothing can leak without ComBat"):
        run(cohort(), leaky=True)


@pytest.mark.parametrize("leaky", [False, True])
@pytest.mark.parametrize(
    ("sites", "said"),
    [
        (["S0"] * 90, "site is the same in all rows\n.*at least two classes\n.*site S0: 90"),
        (["small"] * 2 + ["S1"] * 88, "site small cannot be in every one of 3 folds"),
        ([None] + ["S0", "S1"] * 44 + ["S1"], "1 rows have no site"),
    ],
)
def test_one_site_or_one_too_small_is_refused_by_name(sites, said, leaky):
    with pytest.raises(DataError, match=said):
        run(cohort().assign(site=sites), combat=ComBat(), leaky=leaky)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"f2": np.inf}, "not finite numbers: f2"), ({"f3": "text"}, "not finite numbers: f3")],
)
def test_features_that_are_no_finite_numbers_are_refused_by_name(change, said):
    with pytest.raises(DataError, match=said):
        run(cohort().assign(**change))


@pytest.mark.parametrize("column", ["site", "subject", "f0"])
def test_a_table_without_a_needed_column_is_refused(column):
    with pytest.raises(RequestError, match=f"no column '{column}'|absent: {column}"):
        run(cohort().drop(columns=column))


def test_an_unknown_model_or_covariate_is_refused():
    with pytest.raises(RequestError, match=r"no model 'svm'\n.*xgboost, logistic, mlp"):
        run(cohort(), model="svm")
    with pytest.raises(RequestError, match="no column 'age' to harmonize by"):
        run(cohort(), combat=ComBat(covariates=["age"]))


def test_the_outcome_is_refused_as_covariate():
    with pytest.raises(RequestError, match="outcome cannot be a covariate"):
        run(cohort().assign(label=0), combat=ComBat(covariates=["label"]))


@pytest.mark.parametrize("combat", [None, ComBat()])
def test_missing_values_are_imputed(combat):
    table = cohort()
    table[FEATURES] = table[FEATURES].mask(np.random.default_rng(0).random((90, 8)) < 0.1)
    result = run(table, combat=combat)
    assert np.isfinite(result.scores).all()
    assert result.pooled > 0.85 or combat is not None


def test_the_epochs_reach_the_network(monkeypatch):
    epochs, fit = [], SmallNetwork.fit

    def spy(self, X, y):
        epochs.append(self.max_iter)
        return fit(self, X, y)

    monkeypatch.setattr(SmallNetwork, "fit", spy)
    run(cohort(), model="mlp", epochs=7)
    assert epochs == [7, 7, 7]


def test_the_mean_is_over_folds_and_repeats():
    result = run(cohort(shift=0.3), repeats=2)
    assert list(result.folds) == ["repeat", "fold", "auc"]
    assert result.folds[["repeat", "fold"]].to_numpy().tolist() == [
        [repeat, fold] for repeat in (0, 1) for fold in (0, 1, 2)
    ]
    assert result.mean == pytest.approx(result.folds["auc"].mean(), abs=1e-12)
    assert result.sd == pytest.approx(result.folds["auc"].std(), abs=1e-12)
    assert len(set(result.folds["auc"])) > 3


def test_every_site_stands_against_the_rest_and_the_pooled_value_is_their_mean():
    table = cohort(100, shift=0.5)
    result = run(table)
    by_site = result.per_site
    assert by_site["site"].tolist() == ["S0", "S1", "S2"]
    assert by_site["n"].tolist() == [34, 33, 33]
    against = auc(table["site"] == "S1", result.scores[0, :, 1])
    assert by_site["auc"].tolist()[1] == pytest.approx(against, abs=1e-12)
    assert result.pooled == pytest.approx(by_site["auc"].mean(), abs=1e-12)


def test_predictions_are_a_probability_of_each_site_for_each_row():
    table = cohort().set_axis([5] * 90)
    found = run(table, repeats=2)
    assert found.scores.shape == (2, 90, 3)
    assert found.subject.tolist() == table["subject"].tolist()
    assert found.scores.sum(axis=2) == pytest.approx(1, abs=1e-6)


def test_the_pooled_value_is_the_mean_of_the_repeats_and_not_that_of_their_mean(monkeypatch):
    table = cohort()
    first, second = (site.patient_folds(table, 3, seed=seed, by=("site",)) for seed in (0, 1))
    parts = iter([first, second, first, second])
    monkeypatch.setattr(site, "patient_folds", lambda *_, **__: next(parts))
    both, one, other = (run(table, repeats=n) for n in (2, 1, 1))
    assert both.scores == pytest.approx(np.concatenate([one.scores, other.scores]), abs=1e-12)
    assert both.pooled == pytest.approx((one.pooled + other.pooled) / 2, abs=1e-12)
    assert one.pooled != other.pooled


def test_two_sites_are_told_by_their_numbers():
    table = cohort(sites=2)
    result = run(table.assign(site=(table["site"] == "S1").astype(int)))
    assert result.per_site["site"].tolist() == ["0", "1"]
    assert result.pooled > 0.85


def test_the_interval_holds_the_pooled_value_and_narrows_with_patients():
    few, many = (run(cohort(n, shift=0.3), n_boot=200) for n in (60, 600))
    for result in (few, many):
        assert result.low < result.pooled < result.high
    assert many.high - many.low < (few.high - few.low) / 2


def test_the_interval_of_two_sites_is_that_of_their_auc():
    table = cohort(200, shift=0.3, sites=2)
    result = run(table, n_boot=500)
    known = auc_interval(table["site"] == "S1", result.scores[0, :, 1], n_boot=500)
    assert (result.pooled, result.low, result.high) == pytest.approx(known, abs=0.02)


def test_the_interval_draws_patients_and_not_their_rows():
    one = cohort(60, shift=0.3)
    twice = pd.concat([one, one])
    whole = run(twice, n_boot=200)
    torn = run(twice.assign(subject=[f"R{k}" for k in range(120)]), n_boot=200)
    assert whole.high - whole.low > 1.2 * (torn.high - torn.low)


def test_without_resamples_there_is_no_interval():
    result = run(cohort(), n_boot=0)
    assert np.isnan([result.low, result.high]).all()


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    table = cohort(shift=0.3)
    first, again, other = (run(table, n_boot=50, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.scores, again.scores)
    assert (first.low, first.high) == (again.low, again.high)
    assert first.pooled != other.pooled


def test_shuffled_sites_cannot_be_told_and_a_leak_goes_below():
    table = cohort()
    nothing = chance(table, FEATURES, SiteModel(), permutations=6, folds=3)
    asked = SiteModel(combat=ComBat(), leaky=True)
    leak = chance(table, FEATURES, asked, permutations=6, folds=3)
    assert nothing.shape == (6,)
    assert nothing.mean() == pytest.approx(0.5, abs=0.08)
    assert leak.mean() < nothing.mean() - 0.03


def test_the_paired_difference_of_a_result_to_itself_is_nothing():
    result = run(cohort(shift=0.3))
    assert result.less(result, n_boot=50) == (0.0, 0.0, 0.0)


def test_the_paired_difference_is_that_of_the_values_with_an_interval_around_it():
    table = cohort()
    before, after = run(table), run(table, combat=ComBat())
    value, low, high = before.less(after, n_boot=200)
    assert value == pytest.approx(before.pooled - after.pooled, abs=1e-12)
    assert 0 < low < value < high


@pytest.mark.parametrize("rank_normal", [False, True])
def test_harmonized_features_have_the_sites_at_one_mean_and_the_rest_unchanged(rank_normal):
    table = cohort().assign(note="kept")
    ready = harmonized(table, FEATURES, ComBat(), rank_normal=rank_normal)
    apart = [t.groupby("site")[FEATURES].mean().std().max() for t in (table, ready)]
    assert apart[1] < 0.35 * apart[0]
    pd.testing.assert_frame_equal(ready.drop(columns=FEATURES), table.drop(columns=FEATURES))


@pytest.mark.parametrize("combat", [ComBat(), ComBat(eb=False), ComBat(parametric=False)])
def test_a_table_that_was_harmonized_before_is_recognized(combat):
    rng = np.random.default_rng(0)
    names, member = [f"f{k}" for k in range(40)], np.arange(150) % 3
    values = rng.normal(size=(150, 40)) + rng.normal(size=(3, 40))[member]
    table = pd.DataFrame(values, columns=names).assign(site=member.astype(str))
    assert site.alike_beyond_chance(table, names) == 1
    assert site.alike_beyond_chance(harmonized(table, names, combat), names) == 0.005


@pytest.mark.parametrize("shift", [0, 0.3, 1])
def test_raw_tables_are_not_taken_for_harmonized_ones(shift):
    found = [site.alike_beyond_chance(cohort(shift=shift, seed=k), FEATURES) for k in range(8)]
    assert min(found) > 0.01


@pytest.mark.parametrize("change", [{"site": "A"}, {name: 1.0 for name in FEATURES}])
def test_one_site_or_features_that_are_all_alike_say_nothing_of_harmonization(change):
    assert site.alike_beyond_chance(cohort().assign(**change), FEATURES) == 1


def test_combat_with_empirical_bayes_goes_below_one_half_on_noise_and_without_it_does_not():
    noise = cohort(n=200, shift=0, sites=5)
    options = {"permutations": 6, "folds": 5}
    shrunk, plain = (SiteModel(combat=ComBat(eb=eb)) for eb in (True, False))
    assert chance(noise, FEATURES, shrunk, **options).mean() < 0.46
    plain = chance(noise, FEATURES, plain, **options).mean()
    assert plain == pytest.approx(0.5, abs=0.04)
