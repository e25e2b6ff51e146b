"""ComBat: move and scale each site's features to a common location and spread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import SplineTransformer
from sklearn.utils.validation import check_is_fitted

from nextaim_kit.data.cohort.feature_names import like_an_outcome
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.intervals import parts
from nextaim_kit.learn.shrinkage import Moments, nonparametric, parametric, posterior_mean

_KNOTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # quantiles
_CELLS = 2**18  # values that are harmonized at a time: 2 MB


class ComBat(TransformerMixin, BaseEstimator):
    """Harmonize features between sites; fit it on training patients only.

    Parameters
    ----------
    site : str
        Column of the table that names the site.
    covariates : sequence of str
        Columns whose effect is to be kept (age, sex): numbers, or categories. Never the outcome.
    parametric : bool
        Parametric priors; else they are the features' own empirical distribution.
    eb : bool
        Empirical Bayes: the features of a site shrink towards each other. Without it, plain
        location and scale.
    mean_only : bool
        Correct the location and leave the spread.
    reference : str, optional
        Site that stays as it is and to which the others are brought.
    unseen : {"error", "pass", "estimate"}
        A site met only at `transform`: refuse it, leave its rows as they are, or estimate its
        location and spread from the rows that are given (unlabeled test patients: say so).
    smooth : sequence of str
        Those of the covariates, all numbers, whose effect is a smooth curve (cubic splines between
        quantiles, straight beyond the ends) instead of a straight line, as that of age often is.

    Attributes
    ----------
    sites_ : list of str
    features_ : list of str
    constant_ : list of str
        Features that do not vary within sites; they pass unchanged.

    Notes
    -----
    `X` is a DataFrame of the features, the site column and the covariates; what comes out is
    the features alone. Where the covariates are absent at `transform`, their mean effect among
    the training patients stands for them. The site of a patient must be known to harmonize it.

    References
    ----------
    Johnson et al. 2007, doi:10.1093/biostatistics/kxj037; Fortin et al. 2018,
    doi:10.1016/j.neuroimage.2017.11.024; smooth covariates: Pomponio et al. 2020,
    doi:10.1016/j.neuroimage.2019.116450.

    Examples
    --------
    >>> size = [1.0, 2.0, 3.0, 4.0, 11.0, 12.0, 13.0, 14.0]
    >>> table = pd.DataFrame({"site": ["A"] * 4 + ["B"] * 4, "size": size})
    >>> harmonized = ComBat(eb=False).fit_transform(table)
    >>> harmonized.groupby(table["site"])["size"].mean().round(1).tolist()
    [7.5, 7.5]
    """

    def __init__(
        self,
        site: str = "site",
        covariates: Sequence[str] = (),
        *,
        parametric: bool = True,
        eb: bool = True,
        mean_only: bool = False,
        reference: str | None = None,
        unseen: Literal["error", "pass", "estimate"] = "error",
        smooth: Sequence[str] = (),
    ) -> None:
        self.site = site
        self.covariates = covariates
        self.parametric = parametric
        self.eb = eb
        self.mean_only = mean_only
        self.reference = reference
        self.unseen = unseen
        self.smooth = smooth

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Estimate each site's location and spread.

        Raises
        ------
        RequestError
            If a column is missing, an outcome is a covariate (by its name, or since it tells
            `y`), one that is to be smooth is none or no number, there is one site only, or the
            reference site is not there.
        DataError
            If a feature is not numeric, missing or infinite; a site or covariate is missing; a
            covariate is constant, or told by the sites and the others; a site has one patient,
            or does not vary; or estimates are to be shrunk towards each other and there is one
            feature only.
        """
        self._check_request(X, y)
        beside = {self.site, *self.covariates}
        self.features_ = [str(c) for c in X.columns if c not in beside]
        self._check_values(X)
        member = X[self.site].astype(str).to_numpy()
        self.sites_ = sorted(set(member))
        self._check_sites(member)
        onehot = (member[:, None] == np.array(self.sites_)).astype(float)
        categories = [c for c in self.covariates if not _is_number(X[c])]
        self._levels = {c: sorted(set(X[c]), key=str) for c in categories}
        self._curves = {name: _curve(X[name]) for name in self.smooth}
        covariates = self._design(X)
        self._check_rank(onehot, covariates)
        self._estimate(X, onehot, covariates)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Give the harmonized features, shape (n, p), with the rows and index of `X`.

        Raises
        ------
        RequestError, DataError
            As for `fit`; DataError for a level of a covariate that `fit` has not seen, or a
            site, unless `unseen` says what to do with it.
        """
        check_is_fitted(self, "features_")
        self._check_values(X)
        covariates = self._effective(X)
        member = X[self.site].astype(str).to_numpy()
        rows_of = {site: np.flatnonzero(member == site) for site in sorted(set(member))}
        stay = {site for site in rows_of if site not in self.sites_ and self.unseen == "pass"}
        moved = {
            site: self._site(site, X, rows, covariates[rows])
            for site, rows in rows_of.items()
            if site not in stay | {self.reference}
        }
        out = np.empty((len(X), len(self.features_)))
        for some, values in self._blocks(X):
            out[:, some] = values
            at = np.arange(some.start, some.stop)[~self._flat[some]]
            varying = values[:, ~self._flat[some]]
            for site, (location, spread) in moved.items():
                rows = rows_of[site]
                expected = self._intercept[at] + covariates[rows] @ self._slopes[:, at]
                standard = (varying[rows] - expected) / self._scale[at]
                moves = (standard - location[at]) / spread[at] * self._scale[at] + expected
                out[np.ix_(rows, at)] = moves
        return pd.DataFrame(out, columns=self.features_, index=X.index, copy=False)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray:
        """Names of the features that `transform` gives."""
        return np.array(self.features_, dtype=object)

    def _blocks(self, X: pd.DataFrame) -> Iterator[tuple[slice, NDArray]]:
        """Which features, some at a time, and their values, shape (n, some)."""
        at = X.columns.get_indexer(pd.Index(self.features_))
        for some in parts(len(at), len(X), cells=_CELLS):
            yield some, X.iloc[:, at[some]].to_numpy(float, na_value=np.nan)

    def _estimate(self, X: pd.DataFrame, onehot: NDArray, covariates: NDArray) -> None:
        self._mean_covariates = covariates.mean(axis=0)
        p = len(self.features_)
        several: list[list[Moments]] = [[] for _ in self.sites_]
        self._intercept, self._scale, self._flat = np.empty(p), np.empty(p), np.empty(p, bool)
        self._slopes = np.empty((covariates.shape[1], p))
        for some, values in self._blocks(X):
            variance = self._regress(some, values, onehot, covariates)
            flat = variance <= 1e-20 * np.maximum(1.0, (values**2).mean(axis=0))
            self._flat[some], self._scale[some] = flat, np.sqrt(np.where(flat, 1.0, variance))
            expected = self._intercept[some] + covariates @ self._slopes[:, some]
            standard = (values - expected) / self._scale[some]
            for k, moments in enumerate(several):
                moments.append(Moments.of(standard[onehot[:, k] == 1]))
        self.constant_ = list(np.array(self.features_, object)[self._flat])
        self._check_varying()
        self._locations: dict[str, NDArray] = {}
        self._spreads: dict[str, NDArray] = {}
        for site, moments in zip(self.sites_, several, strict=True):
            self._keep(site, Moments.beside(moments).only(~self._flat))

    def _regress(
        self, some: slice, values: NDArray, onehot: NDArray, covariates: NDArray
    ) -> NDArray:
        """Intercept and slopes of some features; their variance around these, shape (some,)."""
        design, sites = np.hstack([onehot, covariates]), len(self.sites_)
        at = self.sites_.index(self.reference) if self.reference is not None else None
        if at is not None:
            design[:, at] = 1.0  # the reference is the intercept, other sites differ from it
        beta = np.linalg.lstsq(design, values, rcond=None)[0]
        middle = beta[at] if at is not None else onehot.mean(axis=0) @ beta[:sites]
        self._intercept[some], self._slopes[:, some] = middle, beta[sites:]
        used = np.ones(len(values), bool) if at is None else onehot[:, at] == 1
        return ((values - design @ beta)[used] ** 2).mean(axis=0)

    def _keep(self, site: str, moments: Moments) -> None:
        if self.eb and not self.mean_only and len(moments.mean) and not moments.varies.any():
            raise DataError(
                f"site {site!r}: all its patients have the same features",
                expected="patients that differ, to estimate their spread",
                found=f"{moments.n} alike",
                mend="merge it with another site, drop it, or choose mean_only=True",
            )
        self._locations[site], self._spreads[site] = self._moves(moments)

    def _moves(self, moments: Moments) -> tuple[NDArray, NDArray]:
        """Location and spread of a site, of all features, from the moments of those that vary."""
        shift, variance = self._shrunk(moments)
        return _at(shift, ~self._flat, 0.0), _at(np.sqrt(variance), ~self._flat, 1.0)

    def _shrunk(self, site: Moments) -> tuple[NDArray, NDArray]:
        """Location and variance of a site's standardized rows, by features."""
        shift = site.mean
        if not len(shift):  # nothing varies anywhere
            return shift, shift
        spread = np.ones_like(shift) if self.mean_only else site.variance
        if not self.eb:
            return shift, np.where(spread > 0, spread, 1.0)
        if not self.parametric:
            shift, posterior = nonparametric(site, spread)
        elif self.mean_only:
            shift, posterior = posterior_mean(shift, 1, np.ones_like(shift)), spread
        else:
            shift, posterior = parametric(site)
        return shift, np.ones_like(shift) if self.mean_only else posterior

    def _site(
        self, site: str, X: pd.DataFrame, rows: NDArray, covariates: NDArray
    ) -> tuple[NDArray, NDArray]:
        if site in self._locations:
            return self._locations[site], self._spreads[site]
        if self.unseen == "estimate" and len(rows) > 1:
            several = []
            for some, values in self._blocks(X.iloc[rows]):
                expected = self._intercept[some] + covariates @ self._slopes[:, some]
                several.append(Moments.of((values - expected) / self._scale[some]))
            return self._moves(Moments.beside(several).only(~self._flat))
        raise DataError(
            f"ComBat has not seen the site {site!r}",
            expected=f"one of {', '.join(self.sites_)}",
            found=f"{len(rows)} patients of it",
            mend="choose unseen='pass' (left as it is) or unseen='estimate' (from two or more of "
            "its unlabeled patients)",
        )

    def _effective(self, X: pd.DataFrame) -> NDArray:
        """Covariates as numbers, or their means where the table has none, shape (n, columns)."""
        present = [c for c in self.covariates if c in X]
        if present and len(present) < len(self.covariates):
            absent = [c for c in self.covariates if c not in X]
            raise RequestError(
                f"ComBat misses the column {absent[0]!r}",
                expected="all covariates of the fit, or none (their mean effect is then taken)",
                found=", ".join(present),
            )
        return self._design(X) if present else np.tile(self._mean_covariates, (len(X), 1))

    def _design(self, X: pd.DataFrame) -> NDArray:
        """Covariates as numbers; a category as one column per level but the first."""
        columns: list[NDArray] = []
        for name in self.covariates:
            _check_complete(X, name)
            levels = self._levels.get(name)
            if levels is None and not _is_number(X[name]):
                raise DataError(f"covariate {name!r} was a number in the fit", found="other values")
            new = set(X[name]) - set(levels) if levels else set()
            if new:
                raise DataError(
                    f"covariate {name!r} has levels ComBat has not seen",
                    expected=", ".join(map(str, levels or ())),
                    found=", ".join(sorted(map(str, new))[:5]),
                    mend="merge rare levels, or take fewer folds",
                )
            if name in self._curves:
                columns += [*self._curves[name].transform(X[[name]].to_numpy(float)).T]
                continue
            made = [X[name] == level for level in levels[1:]] if levels else [X[name]]
            columns += [column.to_numpy(float) for column in made]
        return np.column_stack(columns) if columns else np.zeros((len(X), 0))

    def _check_rank(self, onehot: NDArray, covariates: NDArray) -> None:
        """Refuse a covariate that the sites, with the covariates before it, tell exactly."""
        width = dict.fromkeys(self.covariates, 1)
        width |= {name: len(levels) - 1 for name, levels in self._levels.items()}
        width |= {name: curve.n_features_out_ for name, curve in self._curves.items()}
        owners = [name for name, columns in width.items() for _ in range(columns)]
        spread = np.ptp(covariates, axis=0)
        constant = [c for c, columns in width.items() if not columns]
        constant += [name for name, one in zip(owners, spread, strict=True) if one == 0]
        scaled = (covariates - covariates.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        ranks = [
            np.linalg.matrix_rank(np.hstack([onehot, scaled[:, :k]]))
            for k in range(len(owners) + 1)
        ]
        gains = list(zip(owners, np.diff(ranks), strict=True))
        told = [name for name, gain in gains if not gain and name not in self._curves]
        told += [name for name in self._curves if not any(g for n, g in gains if n == name)]
        for name in [*constant, *told]:
            raise DataError(
                f"covariate {name!r} cannot be told from the site",
                expected="a covariate that varies within sites",
                found="the same value in all patients"
                if name in constant
                else "values that the sites (and the covariates before it) determine exactly",
                mend=f"take {name!r} out of the covariates: what it tells is the site's effect",
            )

    def _check_values(self, X: pd.DataFrame) -> None:
        missing = [c for c in [*self.features_, self.site] if c not in X]
        if missing:
            raise RequestError(f"ComBat misses the column {missing[0]!r}", found=str(list(X)[:5]))
        if not X.columns.is_unique:
            twice = X.columns[X.columns.duplicated()][0]
            raise DataError(f"ComBat: two columns are called {twice!r}", mend="rename one of them")
        kinds = zip(self.features_, X.dtypes[self.features_], strict=True)
        wrong = [c for c, kind in kinds if not _is_number(kind)]
        if wrong:
            raise DataError(
                f"ComBat needs numbers: {', '.join(wrong[:5])}",
                expected="numeric features beside the site and the covariates",
                mend="name categories in covariates, drop other text",
            )
        _check_complete(X, self.site)
        good = [np.isfinite(values).all(axis=0) for _, values in self._blocks(X)]
        broken = np.array(self.features_, object)[~np.concatenate([np.ones(0, bool), *good])]
        if len(broken):
            raise DataError(
                f"ComBat cannot take missing or infinite values: {', '.join(broken[:5])}",
                mend="impute them in a step before, fitted on the training patients",
            )

    def _check_varying(self) -> None:
        if self.eb and np.count_nonzero(~self._flat) == 1:
            raise DataError(
                "ComBat shrinks the estimates of all features towards each other",
                expected="at least two features that vary",
                found=f"{len(self._flat)}, of which one varies",
                mend="harmonize more features together, or give eb=False",
            )

    def _check_request(self, X: pd.DataFrame, y: Any) -> None:
        known = [c for c in self.covariates if c in X and self.site in X]
        by_another_name = [c for c in known if _tells(X[c], y) and not _tells(X[self.site], y)]
        outcome = [*filter(like_an_outcome, self.covariates), *by_another_name]
        if outcome:
            raise RequestError(
                f"the outcome {outcome[0]!r} must not be a covariate of ComBat",
                mend="it would carry the answer into the features (10.1016/j.neucom.2026.133146)",
            )
        absent = [c for c in [self.site, *self.covariates] if c not in X]
        if absent:
            raise RequestError(f"ComBat misses the column {absent[0]!r}", found=str(list(X)[:5]))
        no_curve = [c for c in self.smooth if c not in self.covariates or not _is_number(X[c])]
        if no_curve:
            raise RequestError(
                f"{no_curve[0]!r} cannot have a smooth effect", expected="a covariate of numbers"
            )
        if self.unseen not in ("error", "pass", "estimate"):
            raise RequestError(f"unseen={self.unseen!r}", expected="'error', 'pass' or 'estimate'")

    def _check_sites(self, member: NDArray) -> None:
        counts = {site: int((member == site).sum()) for site in self.sites_}
        if len(counts) < 2:
            raise RequestError("ComBat needs two sites or more", found=f"{counts}")
        if self.reference is not None and self.reference not in counts:
            raise RequestError(f"no reference site {self.reference!r}", expected=str(self.sites_))
        alone = [site for site, n in counts.items() if n < 2]
        if alone and not self.mean_only:
            raise DataError(
                f"site {alone[0]!r} has one patient: no spread can be estimated",
                expected="two patients or more in every site",
                mend="merge it with another site, drop it, or choose mean_only=True",
            )


def _curve(values: pd.Series) -> SplineTransformer:
    """Cubic splines between quantiles of `values`, without the constant."""
    _check_complete(values.to_frame(), str(values.name))
    knots = np.unique(np.quantile(values.to_numpy(float), _KNOTS))
    if len(knots) < 3:
        raise DataError(
            f"{values.name!r} has too few different values for a smooth effect",
            expected="a covariate that varies",
            found=f"{values.nunique()} values",
            mend="take it out of smooth",
        )
    made = SplineTransformer(knots=knots[:, None], extrapolation="linear", include_bias=False)
    return made.fit(values.to_numpy(float)[:, None])


def _tells(column: pd.Series, y: Any) -> bool:
    """Whether a column says the same as `y` by other words."""
    if y is None:
        return False
    codes, of_y = pd.factorize(column)[0], pd.factorize(np.asarray(y))[0]
    return bool(of_y.any()) and np.array_equal(codes, of_y)


def _check_complete(X: pd.DataFrame, name: str) -> None:
    column = X[name]
    lost = column.isna()
    if _is_number(column):
        lost |= ~np.isfinite(column.to_numpy(float, na_value=np.nan))
    if lost.any():
        raise DataError(
            f"ComBat: {name!r} is missing in {int(lost.sum())} patients",
            expected="a value in every row",
            found="rows " + ", ".join(map(str, X.index[lost][:5])),
            mend=f"fill {name!r}, or leave those patients out",
        )


def _is_number(column: Any) -> bool:
    """Whether a column, or its type, is of numbers."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _at(values: NDArray, where: NDArray, default: float) -> NDArray:
    full = np.full(len(where), default)
    full[where] = values
    return full
