"""What the twin's own truth would reach, and how much of it a model does."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from nextaim_kit.learn.metrics import within_auc_interval
from nextaim_kit.studies.asd_fusion.brains import Brains
from nextaim_kit.studies.asd_fusion.twin import Synthetic, Truth, make_twin


@lru_cache(maxsize=1)
def twin_of(subjects: int, seed: int) -> Synthetic:
    """The twin of `make_twin`, kept, so that its truth costs no second making."""
    return make_twin(subjects, seed=seed)


def truth_of(brains: Brains, seed: int) -> Truth | None:
    """What was planted, if these are all brains of a twin of this seed; nothing of others."""
    if not brains.synthetic:
        return None
    made = twin_of(len(brains), seed)
    same = np.array_equal(made.brains.connectivity, brains.connectivity, equal_nan=True)
    return made.truth if same else None


def shares(models: pd.DataFrame, tested: pd.DataFrame, truth: Truth) -> pd.DataFrame:
    """How much of what could be told each model tells: (AUC - 0.5) / (the oracle's - 0.5).

    Parameters
    ----------
    models : DataFrame
        ``name``, and ``value``, ``low``, ``high``: AUC within sites.
    tested : DataFrame
        ``subject``, ``site``, ``y`` of those whom it is of.
    truth : Truth

    Returns
    -------
    DataFrame
        ``name``; ``oracle``, the AUC within sites of the planted severity itself; ``value``,
        ``low``, ``high``: the share of it, the oracle taken as known; ``shown`` and
        ``share_of_shown``, of a model of one modality: the AUC of what that modality shows of
        severity, without the scan's noise, and the share of that.

    Examples
    --------
    >>> who = pd.DataFrame({"subject": list("abcd"), "severity": [0, 1, 2, 3.0]})
    >>> truth = Truth(None, None, who.assign(function=[0, 2, 1, 3.0], structure=0.0))
    >>> tested = who[["subject"]].assign(site="A", y=[0, 0, 1, 1])
    >>> models = pd.DataFrame({"name": ["function, linear"], "value": 0.6, "low": 0.5, "high": 0.7})
    >>> shares(models, tested, truth).round(2).to_dict("records")[0]["share_of_shown"]
    0.4
    """
    known = tested[["subject"]].merge(truth.subjects, on="subject", how="left")

    def auc_of(what: str) -> float:
        site, y = tested["site"], tested["y"]
        return within_auc_interval(site, y, known[what], by_size=True, n_boot=1)[0]

    oracle, shown = auc_of("severity"), {p: auc_of(p) for p in ("function", "structure")}
    found = models[["name"]].assign(oracle=oracle)
    for end in ("value", "low", "high"):
        found[end] = (models[end] - 0.5) / (oracle - 0.5)
    found["shown"] = models["name"].str.extract(r"^(function|structure)\b")[0].map(shown)
    return found.assign(share_of_shown=(models["value"] - 0.5) / (found["shown"] - 0.5))
