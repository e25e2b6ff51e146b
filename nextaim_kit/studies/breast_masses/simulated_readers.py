"""Made-up pairs, and readers who rate by arithmetic: they prove the computation, and nothing else.

A simulated reader does not look. What it answers follows from whether a pair is true, from the
pair, from its own leniency, and from chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.breast_masses.prototypes.crops import Crops, cut
from nextaim_kit.studies.breast_masses.reading.pairs import Pairs, save_pairs
from nextaim_kit.studies.breast_masses.reading.questions import QUESTIONS
from nextaim_kit.studies.breast_masses.twin import Look, make_twin
from nextaim_kit.twins.twin import chance

_LIMITS = (-0.5, 0.5)  # of what is felt, between no and partly, and partly and yes
_BOX = 24  # px of half a millimeter: edge of a patch
LOOK = Look(spacing=0.5, views=("MLO",), breasts="affected")


@dataclass(frozen=True)
class Panel:
    """How simulated readers differ; all but `readers` in units of what is felt.

    Parameters
    ----------
    readers : int
    gap : float
        How much better a true pair is felt to be than a wrong aid; 0: there is no difference.
    pair, leniency, noise : float
        Spread between pairs (whoever looks), between readers (whatever they look at), and of what
        is left.
    """

    readers: int = 5
    gap: float = 1.5
    pair: float = 0.6
    leniency: float = 0.4
    noise: float = 0.7

    def __post_init__(self) -> None:
        if self.readers < 1 or min(self.gap, self.pair, self.leniency, self.noise) < 0:
            raise RequestError(
                "no panel reads like this",
                expected="one reader or more, and no spread below 0",
                found=str(self),
            )


def simulated_answers(
    pairs: Pairs, panel: Panel | None = None, *, seed: int = 2024
) -> pd.DataFrame:
    """Let a simulated panel rate pairs; the answers as `show.ratings.read_answers` gives them.

    A reader's answer to a pair is the same whoever else reads and whatever else is read.
    """
    panel = panel or Panel()
    rows = []
    for k in range(panel.readers):
        reader = f"simulated-{k + 1:02d}"
        lenient = chance(seed, reader).normal(0, 1, len(QUESTIONS)) * panel.leniency
        for pair, wrong in zip(pairs.table["pair"], pairs.table["wrong_aid"], strict=True):
            felt = chance(seed, pair).normal(0, 1, len(QUESTIONS)) * panel.pair
            felt += chance(seed, f"{reader} {pair}").normal(0, 1, len(QUESTIONS)) * panel.noise
            felt += lenient + panel.gap * (-0.5 if wrong else 0.5)
            given = np.searchsorted(_LIMITS, felt)
            rows += [(reader, pair, *one) for one in zip(QUESTIONS, given, strict=True)]
    return pd.DataFrame(rows, columns=["reader", "item", "question", "answer"])


def made_up_pairs(path: str | Path, cases: int = 20, *, seed: int = 2024) -> Pairs:
    """Pair masses of the study's twin, without any network, and keep the pairs.

    Each case is in a true pair, beside a mass of another patient with the same margin, both marked
    on the same side of their rims; and in a wrong aid, beside a patch of tissue away from the mass,
    in a crop of the same class.

    Parameters
    ----------
    path : path
        Ends in ``.npz``.
    cases : int
    seed : int
    """
    crops = cut(make_twin(3 * cases // 2 + 12, look=LOOK, marker="none", seed=seed)).crops
    rng, table, labels = chance(seed, "pairs"), crops.table, crops.y
    tissue = [_tissue(*one) for one in zip(crops.pictures, crops.masks, strict=True)]
    made = [one for case in rng.permutation(len(table)) for one in _both(crops, case, tissue, rng)]
    case, beside, wrong, here, there = (
        np.array(part) for part in zip(*made[: 2 * cases], strict=True)
    )
    pictures = (255 * crops.pictures).round().astype(np.uint8)
    paired = pd.DataFrame({
        "subject": crops.patients[case],
        "image": table["subject"].to_numpy(str)[case],
        "prototype": pd.factorize(table["margin"], sort=True)[0][case],
        "source": table["subject"].to_numpy(str)[beside],
        "contribution": np.repeat(rng.gamma(4, 0.25, len(case) // 2), 2),
        "label": labels[case],
        "prototype_label": labels[beside],
        "wrong_aid": wrong,
    })  # fmt: skip
    boxes, source_boxes = (np.hstack([corner, corner + _BOX]) for corner in (here, there))
    return save_pairs(
        path,
        paired,
        test=pictures[case],
        source=pictures[beside],
        boxes=boxes,
        source_boxes=source_boxes,
        seed=seed,
    )


def _both(
    crops: Crops, case: int, tissue: list[NDArray], rng: np.random.Generator
) -> list[tuple[Any, ...]]:
    """A case's true pair and wrong aid: case, crop beside it, wrong or not, corners of patches.

    There are none where no other patient's mass has such a margin.
    """
    margins = crops.table["margin"].to_numpy(str)
    others = crops.patients != crops.patients[case]
    alike = np.flatnonzero(others & (margins == margins[case]))
    if not len(alike):
        return []
    example, at = rng.choice(alike), rng.uniform(0, 2 * np.pi)
    of_class = np.flatnonzero(others & (crops.y == crops.y[example]))
    wrong = rng.choice([k for k in of_class if k != example and len(tissue[k])])
    here, there = (_rim(crops.masks[k], at) for k in (case, example))
    return [(case, example, False, here, there),
            (case, wrong, True, here, rng.choice(tissue[wrong]))]  # fmt: skip


def _rim(mask: NDArray[np.bool_], at: float) -> NDArray[np.int64]:
    """Corner of the patch whose middle is on the rim of a mass, at an angle from the crop's."""
    ray = np.arange(len(mask) / 2)[:, None] * (np.sin(at), np.cos(at)) + len(mask) / 2
    inside = mask[tuple(ray.astype(int).T)]
    rim = ray[np.flatnonzero(inside).max(initial=0)]
    return (rim - _BOX / 2).round().astype(int).clip(0, len(mask) - _BOX)


def _tissue(picture: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Corners, 4 px apart, of patches with nothing of the mass and little that is not breast."""
    within, breast = (
        sliding_window_view(part, (_BOX, _BOX))[::4, ::4] for part in (mask, picture > 0)
    )
    return 4 * np.argwhere(~within.any(axis=(2, 3)) & (breast.mean(axis=(2, 3)) > 0.9))
