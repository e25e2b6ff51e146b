"""One division of the crops: a network, its calibration, and what it says of those left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from nextaim_kit.learn.calibration import scaled, temperature
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.metrics import operating_point
from nextaim_kit.learn.splits import Rows
from nextaim_kit.studies.breast_masses.prototypes.crops import Crops
from nextaim_kit.studies.breast_masses.prototypes.protopnet import (
    ProtoPNet,
    ResNet18,
    contributions,
    similarities,
)

Rotation = tuple[Rows, Rows, Rows]


class Shown(Dataset):
    """Crops and outcomes; with `augment` in one of a square's 8 positions and shifted a little."""

    def __init__(self, crops: Crops, rows: Rows, *, augment: bool = False) -> None:
        self.films = crops.films[rows]
        self.y = torch.from_numpy(crops.y[rows])
        self.shift = self.films.shape[-1] // 16 if augment else 0

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        film = self.films[index]
        return (moved(film, self.shift) if self.shift else film), self.y[index]


def moved(film: Tensor, shift: int) -> Tensor:
    """A crop turned by quarters, mirrored and shifted by up to `shift` pixels, by torch's chance.

    A mass has no upper side. What leaves on one side is lost, and the border's line is repeated
    on the other.
    """
    turns, mirror = torch.randint(0, 4, ()).item(), torch.rand(()) < 0.5
    film = torch.rot90(film, int(turns), (1, 2))
    film = film.flip(2) if mirror else film
    down, right = torch.randint(0, 2 * shift + 1, (2,)).tolist()
    wide = functional.pad(film[None], [shift] * 4, mode="replicate")[0]
    return wide[:, down : down + film.shape[1], right : right + film.shape[2]]


@dataclass(frozen=True)
class Fold:
    """A network, what was set on its validation part, and the rows that it has not seen.

    Attributes
    ----------
    net : ProtoPNet or ResNet18
    temperature, threshold : float
        Fitted on the validation part.
    train, test : array of int
    history : DataFrame
        Of the training, with its ``stage``.
    prototypes : DataFrame
        What `push` gives, with ``kept``; empty for a ResNet18.
    """

    net: Any
    temperature: float
    threshold: float
    train: Rows
    test: Rows
    history: pd.DataFrame
    prototypes: pd.DataFrame

    def logits(self, films: Tensor) -> NDArray[np.float64]:
        """Log-odds of malignant before calibration."""
        return log_odds(self.net, films)

    def predict(self, films: Tensor) -> NDArray[np.float64]:
        """Calibrated probabilities of malignant."""
        return scaled(self.logits(films), self.temperature)


def log_odds(net: ProtoPNet | ResNet18, films: Tensor) -> NDArray[np.float64]:
    """What a network gives for malignant less what it gives for benign."""
    if isinstance(net, ProtoPNet):
        return contributions(net, similarities(net, films)).sum(1).double().numpy()
    both = apply(net, films, batch_size=64)
    return (both[:, 1] - both[:, 0]).double().numpy()


def settled(
    net: Any, crops: Crops, rotation: Rotation, history: pd.DataFrame,
    prototypes: pd.DataFrame | None = None,
) -> Fold:  # fmt: skip
    """The fold with its temperature and threshold, by the masses of the validation part."""
    first, val, test = rotation
    by_mass = pd.DataFrame({"y": crops.y[val], "raw": log_odds(net, crops.films[val])})
    by_mass = by_mass.groupby(crops.table["lesion"].to_numpy()[val]).mean()
    by = temperature(by_mass["y"], by_mass["raw"])
    threshold = operating_point(by_mass["y"], scaled(by_mass["raw"], by))
    made = pd.DataFrame() if prototypes is None else prototypes
    return Fold(net, by, threshold, first, test, history, made)
