"""What the exercises of the chest X-ray notebooks expect, from the reader's own tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.show.feedback import feedback


def check_inverse(answer: Any, film: NDArray) -> None:
    """A film with its gray levels turned."""
    if answer is not Ellipsis:
        right = np.shape(answer) == film.shape and np.allclose(answer, -film)
        answer = "inverted" if right else "not inverted"
    hint = "the prepared film has mean 0: what turns each bright pixel into an equally dark one?"
    feedback(answer, "inverted", hint=hint)


def check_wrong_films(answer: Any, wrong: int) -> None:
    """Number of test pictures that the network gets wrong."""
    feedback(answer, wrong, hint="count where (probability >= 0.5) differs from the truth")


def check_archive(answer: Any, accuracy: float) -> None:
    """Wrongly turned films in an archive of 10 000, at the measured accuracy."""
    expected = 10000 * (1 - accuracy)
    feedback(answer, expected, tolerance=0.02, hint="10 000 times the share of wrong calls")
