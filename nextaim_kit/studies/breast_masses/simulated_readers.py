"""Made-up pairs, and readers who rate by arithmetic: they prove the computation, and nothing else.

A simulated reader does not look. What it answers follows from whether a pair is true, from the
pair, from its own leniency, and from chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.breast_masses.pairs import Pairs, save_pairs
from nextaim_kit.studies.breast_masses.reading import QUESTIONS
from nextaim_kit.twins.noise import smooth_noise
from nextaim_kit.twins.twin import chance

_LIMITS = (-0.5, 0.5)  # of what is felt, between no and partly, and partly and yes
_BOX = 18  # px, edge of a patch


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


def made_up_pairs(path: str | Path, cases: int = 20, *, size: int = 64, seed: int = 2024) -> Pairs:
    """Draw `cases` synthetic cases, each in a true pair and with a wrong aid, and keep them.

    Half of the masses are round and smooth, half have spicules; a true pair shows the rims of two
    masses of one kind, a wrong aid tissue beside another mass of that kind.

    Parameters
    ----------
    path : path
        Ends in ``.npz``.
    cases : int
    size : int
        Edge of a crop in px, 56 or more.
    seed : int
    """
    rows, arrays = [], []
    for k in range(cases):
        rng = chance(seed, f"pair {k}")
        label, subject = k % 2, f"synthetic-{k + 1:03d}"
        at = float(rng.uniform(0, 2 * np.pi))  # what is alike in a true pair: this side of the rim
        case, box = _crop(rng, label, size, at)
        count = float(rng.gamma(4, 0.25))
        for wrong in (False, True):
            example, rim = _crop(rng, label, size, at)
            corner = _beside(rng, size) if wrong else rim
            source = f"training-{2 * k + wrong + 1:03d}"
            rows.append((subject, f"{subject}-crop", k % 6, source, count, label, label, wrong))
            arrays.append((case, example, box, corner))
    columns = ["subject", "image", "prototype", "source", "contribution", "label",
               "prototype_label", "wrong_aid"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    test, source_crops, *corners = (np.array(part) for part in zip(*arrays, strict=True))
    boxes, source_boxes = (np.hstack([at, at + _BOX]) for at in corners)
    return save_pairs(
        path,
        table,
        test=test,
        source=source_crops,
        boxes=boxes,
        source_boxes=source_boxes,
        seed=seed,
    )


def _crop(
    rng: np.random.Generator, spiculated: int, size: int, at: float
) -> tuple[NDArray, NDArray]:
    """A mass in tissue, and the corner of a patch on its rim at an angle."""
    y, x = np.indices((size, size)) - (size - 1) / 2
    radius, turn = rng.uniform(9, 12), rng.uniform(0, 2 * np.pi)
    angle = np.arctan2(y, x)
    spikes = np.abs(np.cos(rng.integers(4, 7) * angle + turn)) ** 6
    edge = radius * (1 + (0.9 if spiculated else 0.05) * spikes)
    mass = 1 / (1 + np.exp((np.hypot(y, x) - edge) / 0.9))
    tissue = sum(s * smooth_noise((size, size), s, rng) for s in (1, 2, 4, 8)) / 8
    pixels = (95 + 22 * tissue + 70 * mass).clip(0, 255).astype(np.uint8)
    middle = (size - _BOX) / 2 + radius * np.array([np.sin(at), np.cos(at)])
    return pixels, middle.round().astype(int)


def _beside(rng: np.random.Generator, size: int) -> NDArray:
    """Corner of a patch in a crop's corner, where no mass reaches."""
    far = size - _BOX - 2
    return np.array([2, far])[rng.integers(0, 2, 2)]
