"""What the exercises of the radiomics notebooks expect, computed from the reader's own tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk

from nextaim_kit.show.feedback import feedback
from nextaim_kit.studies.ct_radiomics.extraction import feature_columns


def check_most_severe_site(answer: Any, cohort: pd.DataFrame) -> None:
    """Site with the largest share of severe patients."""
    share = cohort.groupby("site")["label"].mean().dropna()
    if share.empty:
        print("This cohort has no outcomes: nothing to answer.")
        return
    hint = "the mean of a column of zeros and ones is a share: cohort.groupby('site')..."
    feedback(answer, str(share.idxmax()), hint=hint)


def check_volume(answer: Any, lesion: sitk.Image) -> None:
    """Volume of a lesion in ml, from its mask of 0 and 1."""
    voxels = np.count_nonzero(sitk.GetArrayViewFromImage(lesion))
    expected = voxels * np.prod(lesion.GetSpacing()) / 1000
    hint = "voxels in the mask, times the volume of one voxel in cubic mm, divided by 1000"
    feedback(answer, expected, tolerance=1e-3, hint=hint)


def check_follows_volume(answer: Any, features: pd.DataFrame) -> None:
    """Texture feature whose rank follows lesion volume most closely."""
    names = [n for n in feature_columns(features) if "shape" not in n and "firstorder" not in n]
    rank = features[names].corrwith(features["lesion_volume_ml"], method="spearman").abs()
    if rank.isna().all():
        print("One patient, or patients of one volume: there is nothing to rank.")
        return
    hint = "features[names].corrwith(features['lesion_volume_ml'], method='spearman')"
    # Several may tie to the last digit, as counts of the same voxels do.
    tied = [n for n in names if rank[n] > rank.max() - 1e-9]
    feedback(answer, answer if answer in tied else tied[0], hint=hint)


def check_sensitivity(answer: Any, predictions: pd.DataFrame) -> None:
    """Sensitivity when everyone above a probability of one half is called severe."""
    called = predictions.loc[predictions["y"] == 1, "p"] >= 0.5
    hint = "among the patients with y == 1, the share with p >= 0.5"
    feedback(answer, called.mean(), tolerance=1e-3, hint=hint)


def check_ppv_elsewhere(answer: Any, sensitivity: float, specificity: float) -> None:
    """Positive predictive value where one in ten is severe, by the same two rates."""
    true, false = 0.1 * sensitivity, 0.9 * (1 - specificity)
    if true + false == 0:
        print("Nobody is called severe: there is nothing to answer.")
        return
    hint = "of 1000 patients 100 are severe: how many of them, and of the other 900, are called so?"
    feedback(answer, true / (true + false), tolerance=0.01, hint=hint)


def check_beats_baseline(answer: Any, low: float, high: float) -> None:
    """Whether the interval of the difference in AUC to a baseline lies above zero."""
    hint = "'yes' if the interval of the difference lies above zero as a whole, else 'no'"
    feedback(answer, "yes" if low > 0 else "no", hint=hint)


def check_chance_level(answer: Any) -> None:
    """AUC, one site against the rest, of a model that guesses."""
    feedback(answer, 0.5, tolerance=1e-6, hint="what is the AUC of a coin?")


def check_false_discoveries(answer: Any, n_features: int) -> None:
    """Features below p = 0.05 if none had anything to do with the outcome."""
    hint = "each of them has one chance in twenty"
    feedback(answer, 0.05 * n_features, tolerance=0.01, hint=hint)


def check_both(answer: Any, significance: pd.DataFrame) -> None:
    """Number of features significant both before and after ComBat, at q < 0.05."""
    both = (significance["q_before"] < 0.05) & (significance["q_after"] < 0.05)
    feedback(answer, int(both.sum()), hint="two conditions, joined by &, then summed")
