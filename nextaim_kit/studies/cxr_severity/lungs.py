"""Lungs on a film: what the U-Net learns from, what it gives, and how right it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from nextaim_kit.data.cohort.loading import save_cohort
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.intervals import SHARE
from nextaim_kit.learn.intervals import summary as mean_summary
from nextaim_kit.learn.recipe import Plateau, Recipe
from nextaim_kit.learn.segmentation import agreement, largest_parts, mean_dice
from nextaim_kit.learn.splits import Rows
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import Fitted, train
from nextaim_kit.studies.cxr_severity.cohorts import given
from nextaim_kit.studies.cxr_severity.film_checks import doubts
from nextaim_kit.studies.cxr_severity.preprocessing import (
    Films,
    Frame,
    Shape,
    at_size,
    load_even,
    load_masks,
    shrunk,
)
from nextaim_kit.studies.cxr_severity.unet import Architecture, ResidualBlock, lung_net

Mask = NDArray[np.bool_]
Rotation = tuple[Rows, Rows, Rows]
TOLERANCE = 0.01  # of the film's longer edge, by which borders may lie apart: 3.5 mm of 35 cm
_SMALLEST = 0.1  # of the larger lung: what is smaller is no lung


class LungFilms(Dataset):
    """Films and their masks.

    Parameters
    ----------
    films : array of shape (n, size, size)
        Even ones.
    masks : sequence of arrays of bool, of any sizes
    augment : bool
        Turn, shift, scale, mirror, and vary gray levels as films of other hospitals would.
    """

    def __init__(self, films: Films, masks: Sequence[Mask], *, augment: bool = False) -> None:
        size = films.shape[1]
        self.films = torch.from_numpy(films)[:, None]
        self.masks = torch.from_numpy(at_size(masks, size))[:, None]
        self._vary = _variation(size) if augment else None

    def __len__(self) -> int:
        return len(self.films)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        film, mask = self.films[index], self.masks[index].float()
        if self._vary is None:
            return film, mask
        # The chance of a training is torch's, so that a resumed one draws the same again.
        self._vary.set_random_state(int(torch.randint(2**31, ())))
        with _plain_tensors():
            varied = self._vary({"film": film, "mask": mask})
        return varied["film"], (varied["mask"] > 0.5).float()


@contextmanager
def _plain_tensors() -> Iterator[None]:
    """MONAI's transforms note where a film came from; here nobody asks, and it takes time."""
    from monai.data import get_track_meta, set_track_meta

    before = get_track_meta()
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(before)


def _variation(size: int) -> Any:
    from monai.transforms import (
        Compose,
        RandAdjustContrastd,
        RandAffined,
        RandBiasFieldd,
        RandFlipd,
        RandGaussianNoised,
        RandGaussianSmoothd,
    )

    both = ["film", "mask"]
    return Compose([
        RandAffined(both, prob=0.8, rotate_range=0.2, translate_range=0.08 * size, scale_range=0.15,
                    mode="bilinear", padding_mode="border"),
        RandFlipd(both, 0.5, spatial_axis=1),
        RandAdjustContrastd("film", 0.6, gamma=(0.6, 1.7), retain_stats=True),
        RandBiasFieldd("film", degree=2, coeff_range=(0.0, 0.25), prob=0.3),
        RandGaussianSmoothd("film", (0.3, 1.0), (0.3, 1.0), prob=0.3),
        RandGaussianNoised("film", 0.4, std=0.15),
    ])  # fmt: skip


def dice_loss() -> nn.Module:
    """Soft Dice loss on logits (Milletari et al. 2016, doi:10.1109/3DV.2016.79)."""
    from monai.losses import DiceLoss

    return DiceLoss(sigmoid=True)


def recipe(epochs: int, batch_size: int, learning_rate: float, *, accumulate: int = 1) -> Recipe:
    """How the study trains: Adam with amsgrad (Reddi et al. 2018, arXiv:1904.09237).

    The rate is halved after 8 epochs without a better validation Dice, down to 5e-6.
    """
    return Recipe(
        epochs, batch_size, learning_rate, settings={"amsgrad": True}, accumulate=accumulate,
        schedule=Plateau(8, lowest=5e-6),
    )  # fmt: skip


@dataclass(frozen=True)
class LungTraining:
    """A network for the lungs and how it is trained.

    Attributes
    ----------
    recipe : Recipe
    architecture : str
    save_memory : bool
        Compute the residual blocks' activations twice instead of keeping them.
    seed : int
    """

    recipe: Recipe
    architecture: Architecture = "residual_unet"
    save_memory: bool = False
    seed: int = 0

    def train(self, first: Dataset, second: Dataset, folder: Path, *, start: str = "") -> Fitted:
        """Train on one part, keep the weights with the best Dice on the other.

        `start` is a file of weights to begin with.
        """
        task = Task(
            partial(lung_net, self.architecture), dice_loss(), first, second,
            metrics={"dice": mean_dice}, monitor="val_dice", mode="max",
            start=Path(start) if start else None,
        )  # fmt: skip
        blocks = (ResidualBlock,) if self.save_memory else ()
        return train(task, self.recipe, folder=folder, recompute=blocks, seed=self.seed)


def cross_validate(
    training: LungTraining,
    films: Films,
    masks: Sequence[Mask],
    rotations: Sequence[Rotation],
    folder: Path,
    *,
    start: str = "",
) -> list[Fitted]:
    """A network for each rotation of training, validation and test part, in that order.

    Parameters
    ----------
    training : LungTraining
    films, masks
        As `LungFilms` takes them.
    rotations : sequence of (train, val, test)
        Row positions, as `learn.splits.rotations` gives them.
    folder : Path
        A checkpoint folder for each goes below it.
    start : str
        File of weights to begin with.
    """
    fitted = []
    for k, (learned, val, _) in enumerate(rotations):
        first, second = (
            LungFilms(films[rows], [masks[i] for i in rows], augment=augment)
            for rows, augment in ((learned, True), (val, False))
        )
        fitted.append(training.train(first, second, folder / f"round_{k}", start=start))
    return fitted


def predict(net: nn.Module, films: Films) -> Films:
    """Probability of lung, shape (n, size, size), of even films of that shape."""
    return apply(net, films[:, None])[:, 0].sigmoid().numpy()


def predict_tests(fitted: Sequence[Fitted], films: Films, rotations: Sequence[Rotation]) -> Films:
    """Probabilities of the test films of all rotations, one rotation after the other."""
    return np.concatenate([
        predict(one.net, films[test]) for one, (_, _, test) in zip(fitted, rotations, strict=True)
    ])  # fmt: skip


def lung_labels(probability: Films, shape: Shape) -> NDArray[np.uint8]:
    """Lungs on a film of `shape`: 1 the one on the film's left, the patient's right; 2 the other.

    The two largest parts of what is more likely lung than not, without holes; a part of less
    than a tenth of the larger one is none.
    """
    from PIL import Image

    picture = Image.fromarray(np.asarray(probability, np.float32))
    likely = np.asarray(picture.resize(shape[::-1], Image.Resampling.BILINEAR)) >= 0.5
    parts = largest_parts(likely, 2)
    sizes = np.bincount(parts.ravel(), minlength=3)[1:]
    if sizes.min() < _SMALLEST * sizes.max():
        parts = largest_parts(likely, 1)
        column = np.nonzero(parts)[1]
        parts[parts > 0] = 1 if len(column) and column.mean() < shape[1] / 2 else 2
    return parts.astype(np.uint8)


def scores(table: pd.DataFrame, labels: Sequence[NDArray], masks: Sequence[Mask]) -> pd.DataFrame:
    """How well each film's lungs agree with its mask, at the film's own size.

    Parameters
    ----------
    table : DataFrame
        ``subject``, ``patient``, ``site``.
    labels, masks : sequences of arrays
        Predicted and true, each pair of one shape.

    Returns
    -------
    DataFrame
        ``subject, patient, site, dsc, surface_dsc, hd95``; distances in percent of the film's
        longer edge, the surface DSC with a tolerance of 1 percent.
    """
    rows = []
    for predicted, truth in zip(labels, masks, strict=True):
        edge = max(truth.shape)
        found = agreement(truth, predicted > 0, tolerance=TOLERANCE * edge)
        rows.append({**found, "hd95": 100 * found["hd95"] / edge})
    who = table[["subject", "patient", "site"]].reset_index(drop=True)
    return pd.concat([who, pd.DataFrame(rows, columns=["dsc", "surface_dsc", "hd95"])], axis=1)


def score_ways(
    ways: Mapping[str, Sequence[NDArray]], table: pd.DataFrame, masks: Sequence[Mask]
) -> dict[str, pd.DataFrame]:
    """`scores` of each way's probabilities of lung, which have the size that networks see."""
    return {
        way: scores(table, [lung_labels(p, m.shape) for p, m in zip(ps, masks, strict=True)], masks)
        for way, ps in ways.items()
    }


def summary(by_way: Mapping[str, pd.DataFrame], *, n_boot: int, seed: int) -> pd.DataFrame:
    """Means over patients with their intervals: ``way, metric, value, low, high, n``."""
    table = pd.concat(by_way, names=["way"]).reset_index("way")
    kept = ["way", "patient", "dsc", "surface_dsc", "hd95"]
    how: dict[str, Any] = {"groups": "patient", "n_boot": n_boot, "seed": seed}
    return mean_summary(table[kept], "way", bounds={"dsc": SHARE, "surface_dsc": SHARE}, **how)


def twin_films(table: pd.DataFrame, size: int) -> tuple[LungFilms, LungFilms]:
    """Films of the synthetic twin to learn from, every fifth of them to validate on."""
    films, frames, _ = load_even(table, size, inverted=table["truth_inverted"])
    masks, _ = load_masks(table, "lungs", frames)
    val = np.arange(len(table)) % 5 == 0
    train, held = (
        LungFilms(films[rows], [masks[k] for k in np.flatnonzero(rows)], augment=augment)
        for rows, augment in ((~val, True), (val, False))
    )
    return train, held


def short(way: str) -> str:
    """A way's name as a part of a metric's."""
    return way.lower().replace(",", "").replace(" ", "_").replace("-", "_")


def outline(
    nets: Sequence[nn.Module],
    table: pd.DataFrame,
    films: Films,
    frames: Sequence[Frame],
    *,
    unseen: NDArray[np.bool_],
) -> pd.DataFrame:
    """Outline the lungs of films by the mean of several networks.

    Parameters
    ----------
    nets : sequence of torch.nn.Module
    table : DataFrame
        The films' rows.
    films : array of shape (n, size, size)
    frames : sequence of Frame
        Of the films: the outlines have the films' own sizes, bars included.
    unseen : array of bool, shape (nets, n)
        Which networks may speak of which films: one does not of a patient that it was trained
        on, unless all were.

    Returns
    -------
    DataFrame
        The table with ``lungs`` (array: 1 the patient's right lung, 2 the left one; None where
        there is none), ``lungs_unseen`` and ``doubts``, what is strange about the film.
    """
    may = np.where(unseen.any(0), unseen, True)
    total = np.zeros_like(films)
    for net, heard in zip(nets, may, strict=True):
        total[heard] += predict(net, films[heard])
    mean = total / may.sum(0)[:, None, None]
    small = [lung_labels(one, one.shape) for one in mean]
    said = ["; ".join(doubts(film, lungs)) for film, lungs in zip(films, small, strict=True)]
    pairs = zip(mean, frames, strict=True)
    labels = [frame.back(lung_labels(p, frame.seen)) for p, frame in pairs]
    found = [one if one.any() else None for one in labels]
    lungs = pd.Series(found, table.index, dtype=object)
    heard = np.asarray(unseen.any(axis=0))
    return table.assign(lungs=lungs, lungs_unseen=heard, doubts=said)


def save(outlined: pd.DataFrame, folder: Path, *, synthetic: bool) -> Path:
    """Write films and their lungs as a cohort, with the masks that came with it."""
    files: dict[str, Any] = {"image": outlined["image"], "lungs": outlined["lungs"]}
    files |= {name: given(outlined, name) for name in ("mask", "lesions") if name in outlined}
    return save_cohort(outlined, folder, files, synthetic=synthetic)


def unseen_by(rotations: Sequence[Rotation], own: NDArray, asked: NDArray) -> NDArray[np.bool_]:
    """Which networks have not been trained or chosen on which patients, shape (rotations, asked).

    `own` are the patients of the rows that the rotations count, `asked` those of other films.
    """
    return np.stack([~np.isin(asked, own[np.r_[train, val]]) for train, val, _ in rotations])


def mean_shape(masks: Sequence[Mask], size: int) -> Films:
    """The trivial baseline: how often each pixel is lung in the training films, (size, size)."""
    return np.mean([shrunk(mask, size) for mask in masks], axis=0).astype(np.float32)


def dark_fields(film: Films) -> Films:
    """The simplest serious baseline, without learning: dark regions that do not touch the border.

    Otsu's threshold (1979, doi:10.1109/TSMC.1979.4310076), smoothed; 1 where lung, else 0.
    """
    from scipy.ndimage import binary_closing, binary_opening
    from skimage.filters import gaussian, threshold_otsu
    from skimage.segmentation import clear_border

    smooth = gaussian(film, 1.5)
    dark = binary_opening(smooth < threshold_otsu(smooth), iterations=2)
    lungs = np.isin(largest_parts(clear_border(dark), 2), (1, 2))
    return binary_closing(lungs, iterations=4).astype(np.float32)


def doubt_and_error(
    probabilities: Films, masks: Sequence[Mask]
) -> tuple[Films, NDArray[np.float64], NDArray[np.float64]]:
    """Where the network is unsure, and whether it is wrong there.

    Returns
    -------
    doubt : array of shape (n, size, size)
        Entropy of each pixel in bits, 0 to 1.
    told : array of shape (n,)
        How well a film's doubt tells its wrong pixels from its correct ones, as AUC; NaN where none
        is wrong.
    near : array of shape (n,)
        How well nearness to the network's own border tells them, without any probability.
    """
    from scipy.ndimage import distance_transform_edt

    from nextaim_kit.learn.metrics import auc

    p = np.clip(probabilities.astype(float), 1e-7, 1 - 1e-7)
    doubt = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    told, near = np.full((2, len(p)), np.nan)
    for k, mask in enumerate(masks):
        called = p[k] >= 0.5
        wrong = called != (shrunk(mask, p.shape[1]) > 0.5)
        if 0 < wrong.sum() < wrong.size:
            away = distance_transform_edt(called) + distance_transform_edt(~called)
            told[k] = auc(wrong.ravel(), doubt[k].ravel())
            near[k] = auc(wrong.ravel(), -away.ravel())
    return doubt.astype(np.float32), told, near
