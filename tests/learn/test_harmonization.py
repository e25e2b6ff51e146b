"""ComBat gives the reference implementation's numbers, and refuses what it cannot do."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.harmonization import ComBat

VARIANTS = list(itertools.product(*[[False, True]] * 5))
TOLERANCE = 1e-10


def reference_input(real) -> pd.DataFrame:
    """The reference test's set-up: two scanners of five, every other subject of one phenotype."""
    folder = real / "ct_radiomics" / "combat_reference"
    table = pd.read_csv(folder / "testdata.csv").T.set_axis(range(10))
    table.columns = [f"f{k}" for k in range(200)]
    return table.assign(site=["1"] * 5 + ["2"] * 5, pheno=[1, 0] * 5)


def cohort(n=120, sites=3, features=8, seed=0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    member = rng.integers(0, sites, n)
    values = rng.normal(size=(n, features)) * (1 + member[:, None]) + 3 * member[:, None]
    table = pd.DataFrame(values, columns=[f"f{k}" for k in range(features)])
    return table.assign(site=[f"S{k}" for k in member])


@pytest.mark.parametrize(("parametric", "adjusted", "eb", "mean_only", "reference"), VARIANTS)
def test_every_variant_gives_the_numbers_of_r(real, parametric, adjusted, eb, mean_only, reference):
    folder = real / "ct_radiomics" / "combat_reference" / "expected_r"
    name = "parametric" if parametric else "nonparametric"
    name += "_adjusted" if adjusted else "_unadjusted"
    name += "_noeb" if not eb else ""
    name += "_meanonly" if mean_only else ""
    name += "_batchref" if reference else ""
    path = folder / f"testdata_combat_{name}_r.csv"
    if not path.exists():  # upstream misspelt one file's name
        path = folder / f"testdata_combat_{name.replace('meanonly', 'meanonl')}_r.csv"
    X = reference_input(real)
    combat = ComBat(
        covariates=["pheno"] if adjusted else [],
        parametric=parametric,
        eb=eb,
        mean_only=mean_only,
        reference="1" if reference else None,
    )
    ours = combat.fit_transform(X if adjusted else X.drop(columns="pheno"))
    assert np.abs(ours.to_numpy().T - pd.read_csv(path).to_numpy()).max() <= TOLERANCE


def test_the_python_reference_is_met_too(real):
    folder = real / "ct_radiomics" / "combat_reference" / "expected_python"
    expected = np.loadtxt(folder / "testdata_combat_parametric_adjusted_python.csv", delimiter=",")
    ours = ComBat(covariates=["pheno"]).fit_transform(reference_input(real))
    assert np.abs(ours.to_numpy().T - expected).max() <= 1e-6


def test_new_patients_without_covariates_get_the_mean_effect_as_in_r(real):
    path = real / "ct_radiomics/combat_reference/expected_r/training_test_scenario2_r.csv"
    X = reference_input(real)
    combat = ComBat(covariates=["pheno"]).fit(X)
    ours = combat.transform(X.iloc[[0, 1, 5, 6]].drop(columns="pheno"))
    assert np.abs(ours.to_numpy().T - pd.read_csv(path).to_numpy()).max() <= TOLERANCE


def test_fitting_and_transforming_in_one_go_or_two_is_the_same():
    X = cohort()
    pd.testing.assert_frame_equal(ComBat().fit_transform(X), ComBat().fit(X).transform(X))


def test_without_empirical_bayes_the_sites_agree_in_mean_and_spread():
    X = cohort()
    out = ComBat(eb=False).fit_transform(X)
    means, spreads = out.groupby(X["site"]).mean(), out.groupby(X["site"]).std()
    assert np.ptp(means.to_numpy(), axis=0).max() < 1e-10
    assert np.ptp(spreads.to_numpy(), axis=0).max() < 1e-10


@pytest.mark.parametrize("parametric", [True, False])
def test_with_empirical_bayes_the_sites_nearly_agree(parametric):
    X = cohort()
    out = ComBat(parametric=parametric).fit_transform(X)
    before = np.ptp(X.groupby("site").mean().to_numpy(), axis=0).max()
    assert np.ptp(out.groupby(X["site"]).mean().to_numpy(), axis=0).max() < before / 5


def test_the_reference_site_stays_as_it_is():
    X = cohort()
    out = ComBat(reference="S1").fit_transform(X)
    kept = X["site"] == "S1"
    assert np.array_equal(out[kept], X.loc[kept, out.columns])


def test_mean_only_leaves_the_spread():
    X = cohort()
    out = ComBat(mean_only=True).fit_transform(X)
    ratio = out.groupby(X["site"]).std() / X.groupby("site").std()
    assert np.allclose(ratio, 1)


def test_a_covariates_effect_is_kept():
    rng = np.random.default_rng(1)
    X = cohort(400).assign(age=rng.normal(60, 10, 400))
    X["f0"] += 0.5 * X["age"]
    out = ComBat(covariates=["age"]).fit_transform(X)
    assert np.polyfit(X["age"], out["f0"], 1)[0] == pytest.approx(0.5, abs=0.1)


def test_rows_and_features_keep_their_order_and_names():
    X = cohort().iloc[::-1]
    out = ComBat().fit_transform(X)
    assert list(out.index) == list(X.index)
    assert list(out.columns) == list(ComBat().fit(X).get_feature_names_out())


def test_test_patients_have_no_part_in_the_fit():
    X = cohort()
    train, test = X.iloc[:80], X.iloc[80:].copy()
    fitted = ComBat().fit(train)
    first = fitted.transform(test).iloc[0]
    test.iloc[1:, :8] = 1e6
    pd.testing.assert_series_equal(fitted.transform(test).iloc[0], first)


def test_it_is_a_step_of_a_pipeline_and_can_be_cloned():
    X = cohort()
    steps = make_pipeline(clone(ComBat(reference="S0")), StandardScaler())
    assert steps.fit_transform(X).shape == (120, 8)


def test_a_constant_feature_passes_unchanged_and_is_named():
    X = cohort().assign(flat=7.0)
    combat = ComBat()
    assert (combat.fit_transform(X)["flat"] == 7).all()
    assert combat.constant_ == ["flat"]


def test_an_unseen_site_is_refused_by_name():
    X = cohort()
    with pytest.raises(DataError, match="has not seen the site 'S2'"):
        ComBat().fit(X[X["site"] != "S2"]).transform(X)


def test_an_unseen_site_may_pass_or_be_estimated():
    X = cohort()
    seen, new = X[X["site"] != "S2"], X[X["site"] == "S2"]
    passed = ComBat(unseen="pass").fit(seen).transform(new)
    assert np.array_equal(passed, new[passed.columns])
    estimated = ComBat(unseen="estimate").fit(seen).transform(new)
    harmonized = ComBat().fit(seen).transform(seen)
    assert np.abs(estimated.mean() - harmonized.mean()).max() < 1.0


def test_the_outcome_is_never_a_covariate():
    X = cohort().assign(label=0)
    with pytest.raises(RequestError, match="must not be a covariate"):
        ComBat(covariates=["label"]).fit(X)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda X: X.assign(f0=np.nan), DataError, "missing or infinite values: f0"),
        (lambda X: X.assign(note="text"), DataError, "needs numbers: note"),
        (lambda X: X.assign(site="S0"), RequestError, "two sites or more"),
        (lambda X: X.assign(site=["A"] + ["B"] * 119), DataError, "'A' has one patient"),
        (lambda X: X.drop(columns="site"), RequestError, "misses the column 'site'"),
    ],
)
def test_what_cannot_be_harmonized_is_refused(change, error, said):
    with pytest.raises(error, match=said):
        ComBat().fit(change(cohort()))


@pytest.mark.parametrize(
    ("covariates", "said"),
    [
        ({"scanner": lambda X: X["site"].map({"S0": "GE", "S1": "Philips", "S2": "GE"})},
         "'scanner' cannot be told from the site(.|\n)*determine exactly"),
        ({"kvp": lambda X: X["site"].map({"S0": 100, "S1": 120, "S2": 140})},
         "'kvp' cannot be told"),
        ({"age": lambda X: np.arange(120.0), "months": lambda X: 12 * np.arange(120.0) + 5},
         "'months' cannot be told"),
        ({"sex": lambda X: "F"}, "'sex' cannot be told(.|\n)*same value in all"),
        ({"dose": lambda X: 1.5}, "'dose' cannot be told(.|\n)*same value in all"),
        ({"age": lambda X: [np.nan, *range(119)]}, "'age' is missing in 1 patients"),
        ({"age": lambda X: [np.inf, *range(119)]}, "'age' is missing in 1 patients"),
        ({"sex": lambda X: [None, *["F", "M"] * 59, "F"]}, "'sex' is missing in 1 patients"),
        ({"age": lambda X: pd.array([None, *range(119)], dtype="Int64")}, "'age' is missing"),
    ],
)  # fmt: skip
def test_a_covariate_that_cannot_be_kept_is_refused_by_name(covariates, said):
    X = cohort()
    X = X.assign(**{name: make(X) for name, make in covariates.items()})
    with pytest.raises(DataError, match=said):
        ComBat(covariates=list(covariates)).fit(X)


@pytest.mark.parametrize("name", ["label", "death", "ICU_admission", "os_months", "Severity"])
def test_an_outcome_of_any_name_is_never_a_covariate(name):
    X = cohort().assign(**{name: np.arange(120) % 2})
    with pytest.raises(RequestError, match="must not be a covariate"):
        ComBat(covariates=[name]).fit(X)


def test_an_outcome_under_another_name_is_known_by_its_values():
    y = np.arange(120) % 2
    X = cohort().assign(group=np.where(y, "b", "a"))
    with pytest.raises(RequestError, match="outcome 'group' must not be a covariate"):
        ComBat(covariates=["group"]).fit(X, y)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda X: X.assign(sex="other"), DataError, "'sex' has levels(.|\n)*other"),
        (lambda X: X.assign(sex=np.nan), DataError, "'sex' is missing in 120"),
        (lambda X: X.assign(age="old"), DataError, "'age' was a number in the fit"),
        (lambda X: X.drop(columns="age"), RequestError, "misses the column 'age'"),
        (lambda X: X.assign(site=None), DataError, "'site' is missing in 120"),
        (lambda X: X.assign(f0=np.nan), DataError, "missing or infinite values: f0"),
    ],
)
def test_what_differs_from_the_fit_is_refused_by_name_at_transform(change, error, said):
    X = cohort().assign(age=np.arange(120.0) % 50, sex=["F", "M"] * 60)
    combat = ComBat(covariates=["age", "sex"]).fit(X)
    with pytest.raises(error, match=said):
        combat.transform(change(X))


def test_a_site_of_patients_that_are_all_alike_is_refused_by_name():
    X = cohort()
    X.loc[X["site"] == "S1", [f"f{k}" for k in range(8)]] = 3.0
    with pytest.raises(DataError, match="site 'S1': all its patients have the same features"):
        ComBat().fit(X)


def test_patients_that_are_alike_everywhere_pass_unchanged():
    X = cohort().assign(**{f"f{k}": 1.0 for k in range(8)})
    assert (ComBat().fit_transform(X) == 1).all(axis=None)


@pytest.mark.parametrize("parametric", [True, False])
def test_features_that_are_copies_of_each_other_give_numbers(parametric):
    X = cohort(features=1)
    X = X.assign(copy=X["f0"])
    found = ComBat(parametric=parametric).fit_transform(X)
    assert np.isfinite(found.to_numpy(float)).all()


def test_a_single_feature_cannot_borrow_strength():
    with pytest.raises(DataError, match="at least two features"):
        ComBat().fit(cohort(features=1))
    alone = ComBat(eb=False).fit_transform(cohort(features=1))
    assert np.isfinite(alone.to_numpy(float)).all()


@pytest.mark.parametrize("variant", [{}, {"mean_only": True}, {"parametric": False}])
def test_one_varying_feature_beside_a_constant_one_is_refused(variant):
    X = cohort(features=1).assign(flat=1.0)
    with pytest.raises(DataError, match="of which one varies"):
        ComBat(**variant).fit(X)


def test_a_feature_that_is_constant_in_one_site_spoils_no_other():
    X = cohort()
    X.loc[X["site"] == "S1", "f0"] = 3.0
    for parametric in (True, False):
        found = ComBat(parametric=parametric).fit_transform(X)
        assert np.isfinite(found.drop(columns="f0").to_numpy(float)).all()


def aging(n=400, seed=3):
    """Two sites of other ages; each feature follows age along a bend, and the site by a shift."""
    rng = np.random.default_rng(seed)
    site = rng.integers(0, 2, n)
    age = rng.uniform(5, 40, n) * np.where(site, 1.0, 0.4)
    bend = np.exp(-((age - 5) / 6.0))
    features = {f"f{k}": 3 * bend + 0.8 * site + rng.normal(0, 0.3, n) for k in range(8)}
    table = pd.DataFrame({"site": np.where(site, "B", "A"), "age": age, **features})
    return table, bend


def left_of_site(table, bend, combat):
    """How far apart the sites are after ComBat, once the true effect of age is taken away."""
    out = combat.fit_transform(table) - 3 * bend[:, None]
    return abs(out.groupby(table["site"]).mean().diff().iloc[-1]).mean()


def test_a_smooth_covariate_keeps_a_bent_effect_that_a_straight_line_gives_to_the_site():
    table, bend = aging()
    straight = left_of_site(table, bend, ComBat(covariates=["age"], eb=False))
    smooth = left_of_site(table, bend, ComBat(covariates=["age"], smooth=["age"], eb=False))
    assert smooth < 0.06 < 0.2 < straight


def test_a_smooth_effect_goes_straight_on_beyond_the_ages_of_the_fit():
    table, _ = aging()
    fitted = ComBat(covariates=["age"], smooth=["age"]).fit(table)
    older = pd.concat([table.iloc[[0]]] * 3).assign(age=[50.0, 60.0, 70.0])
    expected = fitted._effective(older) @ fitted._slopes
    np.testing.assert_allclose(expected[1] - expected[0], expected[2] - expected[1], atol=1e-9)


@pytest.mark.parametrize(
    ("change", "covariates", "error", "said"),
    [
        ({}, [], RequestError, "'age' cannot have a smooth effect"),
        ({"age": "old"}, ["age"], RequestError, "'age' cannot have a smooth effect"),
        ({"age": 7.0}, ["age"], DataError, "too few different values"),
        ({"age": np.nan}, ["age"], DataError, "'age' is missing in 400 patients"),
    ],
)
def test_what_cannot_be_smooth_is_refused(change, covariates, error, said):
    with pytest.raises(error, match=said):
        ComBat(covariates=covariates, smooth=["age"]).fit(aging()[0].assign(**change))


def test_a_feature_that_is_constant_in_one_site_lands_on_the_middle_of_all():
    rng = np.random.default_rng(0)
    member = np.repeat([0, 1], [70, 230])
    values = rng.normal(size=(300, 3)) + 2 * member[:, None]
    values[member == 0, 1] = 0.1  # whose mean over 70 rows is not 0.1 to the last digit
    table = pd.DataFrame(values, columns=list("abc")).assign(site=np.array(["A", "B"])[member])
    found = ComBat(eb=False).fit_transform(table)
    assert found["b"][:70].to_numpy() == pytest.approx(values[:, 1].mean(), abs=1e-9)


def test_a_wide_table_is_harmonized_in_the_memory_of_what_comes_out():
    n, p = 300, 6000
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(n, p)), columns=[f"f{k}" for k in range(p)])
    table["site"] = np.array(["A", "B", "C"])[np.arange(n) % 3]
    ComBat().fit(table.iloc[:, -20:])  # what is imported and kept once is not counted
    tracemalloc.start()
    found = ComBat().fit_transform(table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.shape == (n, p)
    assert peak < 2 * 8 * n * p  # the table beside it, once


def test_two_columns_of_one_name_are_refused():
    table = cohort(features=3)
    twice = pd.concat([table, table[["f1"]]], axis=1)
    with pytest.raises(DataError, match="two columns are called 'f1'"):
        ComBat().fit(twice)


def test_the_blocks_of_a_table_do_not_change_its_numbers(monkeypatch):
    table = cohort(features=30, n=90)
    for how in ({}, {"parametric": False}, {"mean_only": True}, {"reference": "S1"}):
        whole = ComBat(**how).fit_transform(table)
        with monkeypatch.context() as few:
            few.setattr("nextaim_kit.learn.harmonization._CELLS", 90 * 7)
            some = ComBat(**how).fit_transform(table)
        np.testing.assert_allclose(some, whole, rtol=0, atol=1e-12)
