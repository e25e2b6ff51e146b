"""What the exercises of the chest X-ray notebooks expect, from the reader's own tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.show.feedback import feedback


def check_inverse(answer: Any, film: NDArray) -> None:
    """A film with its gray levels turned."""
    if answer is not Ellipsis:
        right = np.shape(answer) == film.shape and np.allclose(answer, -film)
        answer = "inverted" if right else "not inverted"
    hint = "the prepared film has mean 0: what turns each bright pixel into an equally dark one?"
    feedback(answer, "inverted", hint=hint)


def check_wrong_films(answer: Any, probability: NDArray, truth: NDArray) -> None:
    """Number of test pictures that the network gets wrong."""
    wrong = int(np.count_nonzero((probability >= 0.5) != (truth == 1)))
    hint = "from a probability of 0.5 on a picture is called inverted; truth is 1 where it is"
    feedback(answer, wrong, hint=hint)


def check_archive(answer: Any, accuracy: float) -> None:
    """Wrongly turned films in an archive of 10 000, at the measured accuracy."""
    expected = 10000 * (1 - accuracy)
    feedback(answer, expected, tolerance=0.02, hint="10 000 times the share of wrong calls")


def check_dice(answer: Any, one: NDArray, other: NDArray) -> None:
    """Dice coefficient of two masks."""
    expected = 2 * np.logical_and(one, other).sum() / (np.sum(one) + np.sum(other))
    hint = "2 * (one & other).sum(), divided by the sum of both areas"
    feedback(answer, expected, tolerance=1e-6, hint=hint)


def check_worst_border(answer: Any, scores: pd.DataFrame) -> None:
    """Film whose border lies farthest off."""
    worst = scores["subject"][scores["hd95"] == scores["hd95"].max()].astype(str).tolist()
    expected = answer if answer in worst else worst[0]
    feedback(answer, expected, hint="a large hd95 is bad: scores['hd95'].argmax() gives a row")


def check_shift(answer: Any) -> None:
    """Millimeters of 2 % of a detector of 35 cm."""
    feedback(answer, 7.0, tolerance=1e-6, hint="35 cm are 350 mm")


def check_best_without_film(answer: Any, models: pd.DataFrame) -> None:
    """Largest AUC of a model that sees no film."""
    blind = ~models["name"].isin(["fusion", "image branch"]) & (models["metric"] == "auc")
    hint = "leave 'fusion' and 'image branch' out, keep the rows with metric 'auc'"
    feedback(answer, float(models.loc[blind, "value"].max()), tolerance=1e-6, hint=hint)


def check_severe_of_called(answer: Any, sensitivity: float, specificity: float) -> None:
    """Severe patients among 100 that are called so, where one in five is severe."""
    right, wrong = 0.2 * sensitivity, 0.8 * (1 - specificity)
    hint = "of 1000 patients 200 are severe: how many of them, and of the other 800, are called so?"
    feedback(answer, 100 * right / (right + wrong), tolerance=0.01, hint=hint)


def check_missed(answer: Any, people: pd.DataFrame) -> None:
    """Severe patients that are not called so."""
    missed = int(((people["y"] == 1) & ~people["called"].astype(bool)).sum())
    feedback(answer, missed, hint="severe and not called: two conditions, joined by &")


def check_fusion_wins(answer: Any, low: float) -> None:
    """Whether the interval of the difference lies above zero."""
    hint = "'yes' if the interval of the difference lies above zero as a whole, else 'no'"
    feedback(answer, "yes" if low > 0 else "no", hint=hint)
