"""Temperature scaling: one number that makes a network's probabilities mean what they say."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from nextaim_kit.errors import DataError

_LOWEST, _HIGHEST = 0.05, 20.0


def temperature(y: ArrayLike, logit: ArrayLike) -> float:
    """Temperature that makes the outcomes most likely; fit it on validation patients only.

    Parameters
    ----------
    y : array-like of shape (n,)
        Outcomes 0/1.
    logit : array-like of shape (n,)
        What the network gave before the sigmoid.

    Returns
    -------
    float
        From 0.05 to 20; above 1 the network was too sure of itself. It never changes the order
        of the patients, nor on which side of one half a probability lies: an intercept, as
        another share of the outcome makes, it cannot mend.

    Raises
    ------
    DataError
        If there is not one finite logit for each outcome, or only one outcome.

    References
    ----------
    Guo et al. 2017, arXiv:1706.04599.
    """
    y, logit = np.asarray(y, float), np.asarray(logit, float)
    if y.shape != logit.shape or not np.isfinite(logit).all() or set(np.unique(y)) != {0.0, 1.0}:
        raise DataError(
            "no temperature can be fitted",
            expected="both outcomes, 0 and 1, and a finite logit for each patient",
            found=f"outcomes {sorted(set(y.ravel().tolist()))[:5]}, {logit.size} logits",
        )
    signed = (2 * y - 1) * logit

    def mean_loss(log_t: float) -> float:
        return float(np.logaddexp(0, -signed / np.exp(log_t)).mean())

    bounds = (np.log(_LOWEST), np.log(_HIGHEST))
    return float(np.exp(minimize_scalar(mean_loss, bounds=bounds, method="bounded").x))


def scaled(logit: ArrayLike, by: float) -> NDArray[np.float64]:
    """Probabilities of logits at a temperature."""
    return expit(np.asarray(logit, float) / by)
