"""Connectivity against values that are known by other means."""

from __future__ import annotations

import numpy as np
import pytest
from nilearn.connectome import ConnectivityMeasure
from sklearn.covariance import EmpiricalCovariance, LedoitWolf

from nextaim_kit.errors import DataError
from nextaim_kit.studies.asd_fusion.brains import square, upper
from nextaim_kit.studies.asd_fusion.connectivity import (
    Filled,
    Represented,
    dead_regions,
    edges_of,
    fisher_z,
    in_order,
    raw_edges,
    regions_in,
    without_signal,
)


@pytest.fixture(scope="module")
def series():
    """Series of five subjects, 80 volumes of 12 regions with a common part."""
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(5, 12, 12)) * 0.3 + np.eye(12) + 0.2
    return np.einsum("kvr,krs->kvs", rng.normal(size=(5, 80, 12)), mixing)


def test_correlations_are_numpys(series):
    for one in series:
        z = np.arctanh(upper(np.corrcoef(one.T)))
        np.testing.assert_allclose(edges_of(one), z, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(edges_of(one * 1000 + 9000), z, rtol=1e-4, atol=1e-5)


def test_partial_correlations_are_those_of_the_known_precision():
    precision = np.eye(4) + square(np.array([0.4, 0, 0, -0.3, 0, 0.2]), 4)
    drawn = np.random.default_rng(0).normal(size=(50, 4))
    white = np.linalg.qr(drawn - drawn.mean(axis=0))[0]
    exact = white @ np.linalg.cholesky(np.linalg.inv(precision)).T
    found = np.tanh(edges_of(exact, measure="partial"))
    np.testing.assert_allclose(found, [-0.4, 0, 0, 0.3, 0, -0.2], atol=1e-6)


@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize("measure", ["correlation", "partial"])
def test_measures_are_nilearns_of_series_in_standard_units(series, measure, shrink):
    """Its own shrinkage is of the units that are given, save for standardize=True."""
    kind = {"correlation": "correlation", "partial": "partial correlation"}[measure]
    estimator = LedoitWolf() if shrink else EmpiricalCovariance()
    standard = [(one - one.mean(0)) / one.std(0) for one in series]
    theirs = ConnectivityMeasure(
        kind=kind, cov_estimator=estimator, standardize="zscore_sample"
    ).fit_transform(standard)
    for one, matrix in zip(series, theirs, strict=True):
        ours = np.tanh(edges_of(one, measure=measure, shrink=shrink))
        np.testing.assert_allclose(ours, upper(matrix), atol=1e-4)


def test_shrinkage_is_that_of_ledoit_and_wolf(series):
    standard = (series[0] - series[0].mean(0)) / series[0].std(0)
    covariance = LedoitWolf().fit(standard).covariance_
    spread = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(
        np.tanh(edges_of(series[0], shrink=True)),
        upper(covariance / np.outer(spread, spread)),
        atol=1e-6,
    )


def test_a_shorter_series_is_shrunk_more(series):
    long, short = (np.abs(edges_of(series[0][:n], shrink=True)).sum() for n in (80, 20))
    plain = np.abs(edges_of(series[0][:20])).sum()
    assert short / plain < long / np.abs(edges_of(series[0])).sum()


def test_fewer_volumes_than_regions_allow_partial_correlations_by_shrinkage_alone(series):
    for volumes in (5, 12):
        few = series[0][:volumes]
        with pytest.raises(DataError, match=f"12 regions are not defined by {volumes} volumes"):
            edges_of(few, measure="partial")
        assert np.isfinite(edges_of(few, measure="partial", shrink=True)).all()
        assert np.isfinite(edges_of(few)).all()


def test_a_region_there_twice_has_no_partial_correlation_and_a_finite_z(series):
    doubled = np.column_stack([series[0], series[0][:, 0]])
    with pytest.raises(DataError, match="the series of some regions give another's"):
        edges_of(doubled, measure="partial")
    assert 8 < edges_of(doubled).max() < 9


@pytest.mark.parametrize("dead", [0.0, 7.3, np.nan, "rounding"])
def test_a_region_without_signal_is_missing_and_the_others_are_as_without_it(series, dead):
    one = series[1].copy()
    one[:, 2] = 1e4 + 1e-4 * one[:, 2] if dead == "rounding" else dead
    for measure in ("correlation", "partial"):
        edges = edges_of(one, measure=measure)
        assert dead_regions(edges[None], 12).tolist() == [[k == 2 for k in range(12)]]
        rest = upper(np.delete(np.delete(square(edges, 12), 2, 0), 2, 1))
        without = edges_of(np.delete(one, 2, axis=1), measure=measure)
        np.testing.assert_allclose(rest, without, rtol=1e-5, atol=1e-6)


def test_a_broken_volume_and_a_series_without_signal_are_refused(series):
    broken = series[0].copy()
    broken[[4, 9], 3] = np.nan, np.inf
    with pytest.raises(DataError, match="2 volumes are not finite, the first is volume 5"):
        edges_of(broken)
    with pytest.raises(DataError, match="0 of 3 regions have signal"):
        edges_of(np.ones((30, 3)))
    with pytest.raises(DataError, match="1 of 2 regions have signal"):
        edges_of(np.column_stack([np.ones(30), series[0][:30, 0]]))


def test_subjects_without_function_have_no_dead_regions():
    edges = np.zeros((2, 6), np.float32)
    edges[1] = np.nan
    assert not dead_regions(edges, 4).any()


@pytest.mark.parametrize("edges", [1, 3, 5253, 19900])
def test_a_number_of_edges_says_that_of_regions(edges):
    n = regions_in(edges)
    assert n * (n - 1) / 2 == edges
    with pytest.raises(DataError, match="no number of edges"):
        regions_in(edges + 1 if edges > 1 else 2)


R = np.array([[1, 0.5, 0.2], [0.5, 1, -0.3], [0.2, -0.3, 1]])


def with_diagonal(value, matrix=R):
    changed = np.array(matrix)
    np.fill_diagonal(changed, value)
    return changed


@pytest.mark.parametrize(
    ("matrix", "kind"),
    [(R, "r"), (with_diagonal(0), ""), (with_diagonal(np.nan), ""), (with_diagonal([1, 0, 1]), "r"),
     (with_diagonal(np.inf, np.arctanh(with_diagonal(0))), "z"), (with_diagonal(7.25), "z")],
)  # fmt: skip
def test_the_diagonal_says_what_a_matrix_holds(matrix, kind):
    edges, found = raw_edges(matrix)
    assert found == kind
    np.testing.assert_allclose(edges, upper(matrix), rtol=1e-6)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [(R + np.triu(R, 1), "not symmetric"), (np.ones((3, 4)), "not symmetric"),
     (with_diagonal(1, 3 * R), "none of correlations(.|\n)*values up to 1.5"),
     (with_diagonal([1.3, 0.8, 1.1]), "none of correlations(.|\n)*a diagonal up to 1.3")],
)  # fmt: skip
def test_what_is_no_matrix_of_correlations_is_refused(matrix, said):
    with pytest.raises(DataError, match=said):
        raw_edges(matrix)


def test_all_subjects_of_a_cohort_are_taken_as_correlations_or_as_fisher_z_together(capsys):
    r = np.array([[0.5, 0.9, -0.2], [0.1, 0.2, 0.3]])
    z, wrong = fisher_z(r, ["", ""])
    np.testing.assert_allclose(z, np.arctanh(r), rtol=1e-6)
    assert "taken as correlations" in capsys.readouterr().out
    beyond = np.array([[0.5, 1.9, -0.2], [0.1, 0.2, 0.3]])
    z, wrong = fisher_z(beyond, ["", ""])
    np.testing.assert_allclose(z, beyond, rtol=1e-6)
    assert wrong == ["", ""]
    z, wrong = fisher_z(np.vstack([r, beyond[:1]]), ["r", "", ""])
    assert [bool(w) for w in wrong] == [False, True, False]
    assert z[0, 0] == pytest.approx(np.arctanh(0.5))


def test_values_that_no_fisher_z_has_are_named_and_infinite_ones_are_finite():
    z, wrong = fisher_z(np.array([[0.5, 127, 3], [0.5, np.inf, -np.inf]]), ["", ""])
    assert wrong == ["values up to 127, which no Fisher z has", ""]
    assert 8 < z[1, 1] == -z[1, 2] < 9
    z, _ = fisher_z(np.array([[0.5, 127, 0.3], [0.5, 0.2, 0.3]]), ["", ""])
    assert z[1, 0] == pytest.approx(np.arctanh(0.5))  # a sick one is no sign of z


def test_a_region_whose_edges_are_all_0_is_missing():
    z = without_signal(upper(np.array([R, R * [1, 1, 0] * [[1], [1], [0]]])))
    assert np.isnan(z).tolist() == [[False] * 3, [False, True, True]]


def test_edges_in_nilearns_order_are_put_in_this_one_and_what_is_in_none_is_refused(capsys):
    rng = np.random.default_rng(5)
    blocks = np.kron(np.eye(3), np.full((10, 10), 0.5)) + 0.7 * np.eye(30)
    many = rng.normal(size=(6, 60, 30)) @ blocks
    z = np.array([edges_of(one) for one in many])
    np.testing.assert_array_equal(in_order(z), z)
    assert capsys.readouterr().out == ""
    theirs = ConnectivityMeasure(
        kind="correlation", cov_estimator=EmpiricalCovariance(), vectorize=True,
        discard_diagonal=True, standardize=None,
    )  # fmt: skip
    vectors = np.arctanh(theirs.fit_transform([*many]))
    np.testing.assert_allclose(in_order(vectors), z, atol=1e-5)
    assert "lower triangle" in capsys.readouterr().out
    with pytest.raises(DataError, match="no correlation matrix of 30 regions"):
        in_order(np.roll(z, 100, axis=1))


def test_missing_edges_become_the_training_subjects_mean():
    filled = Filled().fit(np.array([[1, np.nan], [3, np.nan]], np.float32))
    assert filled.transform(np.array([[np.nan, np.nan], [5, 6]])).tolist() == [[2, 0], [5, 6]]


def represented(kind, z, shrinkage=0.5):
    return Represented(kind, shrinkage).fit(z).transform(z)


def test_the_logarithm_is_that_of_the_matrix_that_is_shrunk(series):
    from scipy.linalg import logm

    z = np.array([edges_of(one) for one in series])
    matrix = 0.7 * square(np.tanh(z[0]), 12) + np.eye(12)
    np.testing.assert_allclose(represented("log", z, 0.3)[0], upper(logm(matrix)), atol=1e-5)
    np.testing.assert_array_equal(represented("correlation", z), z)


def test_partial_correlations_of_matrices_are_those_of_their_series(series):
    z = np.array([edges_of(one) for one in series])
    exact = np.array([edges_of(one, measure="partial") for one in series])
    np.testing.assert_allclose(represented("partial", z, 0.0), exact, atol=1e-3)


def test_the_tangent_of_the_mean_is_0_and_near_nilearns(series):
    """Whitening is by the arithmetic mean here, and by the geometric one in nilearn.

    So vectors differ by the second order of how far subjects lie apart: the closer they are, the
    better they agree.
    """
    z = np.array([edges_of(one) for one in series])
    fitted = Represented("tangent", 0.5).fit(z)
    mean = np.arctanh(upper(square(np.tanh(z), 12)).mean(axis=0, keepdims=True))
    np.testing.assert_allclose(fitted.transform(mean), 0, atol=1e-5)
    differences = []
    for apart in (1.0, 0.1):
        near = np.arctanh(np.tanh(mean) + apart * (np.tanh(z) - np.tanh(mean)))
        matrices = 0.5 * square(np.tanh(near), 12) + np.eye(12)
        theirs = _nilearns_tangent(matrices)
        ours = represented("tangent", near)
        differences.append(np.abs(ours - theirs).max() / np.abs(theirs).max())
    assert differences[0] < 0.2
    assert differences[1] < 0.2 * differences[0]


def _nilearns_tangent(matrices):
    """What nilearn makes of covariances that are given, in this study's order of edges."""
    from sklearn.base import BaseEstimator

    class Given(BaseEstimator):
        def fit(self, X, y=None):
            self.covariance_ = X.T @ X / len(X)
            return self

    roots = [np.linalg.cholesky(m).T * np.sqrt(len(m)) for m in matrices.astype(float)]
    measure = ConnectivityMeasure(kind="tangent", cov_estimator=Given(), standardize=None)
    return upper(measure.fit_transform(roots))


def test_representations_are_fitted_on_the_training_subjects_alone(series):
    z = np.array([edges_of(one) for one in series])
    fitted = Represented("tangent").fit(z[:3])
    before = fitted.transform(z[:3]).copy()
    fitted.transform(z[3:])
    np.testing.assert_array_equal(fitted.transform(z[:3]), before)
    assert not np.allclose(Represented("tangent").fit(z).transform(z[:3]), before)
