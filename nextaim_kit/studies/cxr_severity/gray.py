"""Is a film stored with its gray levels inverted? The study's classifier, and a rule beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import expit
from skimage.transform import resize
from torch import Tensor, nn
from torch.utils.data import Dataset

from nextaim_kit.data.cohort.loading import save_cohort
from nextaim_kit.data.cohort.subjects import Row, each
from nextaim_kit.data.images.films import read_film
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.inference import apply
from nextaim_kit.studies.cxr_severity.cohorts import given
from nextaim_kit.studies.cxr_severity.preprocessing import film_part, jitter

Prepared = NDArray[np.float32]

EDGE = 50  # pixels
_SURE = 0.8  # probability above which a film is turned, if the rule agrees
_CLEAR = 0.75  # of the rule, in spreads of the film: above it the rule alone raises a doubt
_BORDER = 0.08  # of each side, cut away: labels, black frames


def prepare(pixels: NDArray) -> Prepared:
    """A film as the classifier sees it, shape (50, 50).

    Without bars at its borders, clipped to its 5th and 95th percentile, its border cut away,
    shrunk, with mean 0 and spread 1.
    """
    pixels = pixels[film_part(pixels)]
    rows, columns = (round(_BORDER * n) for n in pixels.shape)
    inner = pixels[rows : len(pixels) - rows, columns : pixels.shape[1] - columns].astype(float)
    clipped = np.clip(inner, *np.percentile(inner, [5, 95]))
    small = resize(clipped, (EDGE, EDGE), order=3, anti_aliasing=True)
    spread = small.std()
    return ((small - small.mean()) / (spread if spread > 0 else 1)).astype(np.float32)


def load_prepared(table: pd.DataFrame) -> tuple[Prepared, pd.DataFrame]:
    """Films as the classifier sees them, shown as their headers say.

    Returns
    -------
    films : array of shape (n, 50, 50)
        Zero where a film cannot be used.
    failures : DataFrame
        Films that cannot be used, as of `data.each.Done`.
    """
    found = each(table, _prepared, columns=["image"], workers=1)
    films = np.zeros((len(table), EDGE, EDGE), np.float32)
    films[found.done] = found.results or 0
    return films, found.failures


def _prepared(row: Row) -> Prepared:
    return prepare(read_film(row["image"]).shown)


def stored_inverted(table: pd.DataFrame, column: str = "") -> NDArray[np.bool_]:
    """Which films of a table are known to be inverted: by `column`, or as the twin knows them.

    Raises
    ------
    RequestError
        If the column is not there.
    DataError
        If it holds anything but 0 and 1; names the first such film.
    """
    if not column and "truth_inverted" not in table:
        return np.zeros(len(table), bool)
    column = column or "truth_inverted"
    if column not in table:
        raise RequestError(f"the table has no column {column}", expected=", ".join(table.columns))
    values = pd.to_numeric(table[column].replace({"True": 1, "False": 0}), errors="coerce")
    strange = ~values.isin([0, 1]).to_numpy()
    if strange.any():
        first = table[strange].iloc[0]
        raise DataError(
            f"{column} of {first['subject']} does not say whether the film is inverted",
            expected="0 or 1",
            found=repr(first[column]),
        )
    return values.to_numpy() == 1


class Encodings(Dataset):
    """Prepared films, each as it should be (0) and inverted (1).

    Parameters
    ----------
    films : array of shape (n, 50, 50)
        Not inverted.
    augment : bool
        Mirror, shift by up to two pixels and vary contrast, by torch's random numbers.
    """

    def __init__(self, films: Prepared, *, augment: bool = False) -> None:
        self.films, self.augment = torch.from_numpy(films), augment

    def __len__(self) -> int:
        return 2 * len(self.films)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        film, inverted = self.films[index // 2], index % 2
        if self.augment:
            film = jitter(film, shift=2)
        film = -film if inverted else film
        return film[None], torch.tensor([float(inverted)])


def classifier() -> nn.Module:
    """The study's network: about 20 000 weights; its output is a logit.

    A convolution, then two blocks of 16 and two of 32 channels, each with two normalizations, a
    leaky ReLU (0.2) and channel dropout (0.1), pooled by two after every block.
    """

    def block(given: int, made: int) -> list[nn.Module]:
        return [
            nn.Conv2d(given, made, 3, padding=1),
            nn.BatchNorm2d(made),
            nn.LeakyReLU(0.2),
            nn.BatchNorm2d(made),
            nn.Dropout2d(0.1),
            nn.MaxPool2d(2),
        ]

    layers = [nn.Conv2d(1, 16, 3, padding=1), *block(16, 16), *block(16, 16)]
    layers += [*block(16, 32), *block(32, 32)]
    head = [nn.Dropout(0.1), nn.Linear(32, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head)


def predict(net: nn.Module, films: Prepared) -> NDArray[np.float64]:
    """Probability that each prepared film, shape (n, 50, 50), is inverted."""
    return expit(apply(net, films[:, None], batch_size=256)[:, 0].double().numpy())


def rule(films: Prepared) -> NDArray[np.float64]:
    """A rule without learning: how much brighter the sides' lung fields are than the middle.

    In a film as it should be, the spine and the heart in the middle are brighter than the lungs
    beside them; inverted, darker. Shape (n, 50, 50) gives n scores, positive where inverted.
    """
    height = slice(EDGE // 5, 4 * EDGE // 5)
    sides = np.r_[EDGE // 6 : 2 * EDGE // 5, 3 * EDGE // 5 : 5 * EDGE // 6]
    middle = films[:, height, 2 * EDGE // 5 + 2 : 3 * EDGE // 5 - 2].mean(axis=(1, 2))
    return (films[:, height][:, :, sides].mean(axis=(1, 2)) - middle).astype(float)


def framed(films: Prepared, inverted: NDArray, width: int) -> Prepared:
    """Prepared films with a frame of `width` pixels, bright where a film is correct, else dark."""
    framed = films.copy()
    inside = np.zeros(films.shape[1:], bool)
    inside[width : EDGE - width, width : EDGE - width] = True
    framed[:, ~inside] = np.where(np.asarray(inverted) == 0, 3.0, -3.0)[:, None]
    return framed


def decide(net: nn.Module, table: pd.DataFrame) -> pd.DataFrame:
    """What is to be done about each film of a table.

    Headers are honored first (`read_film`); network and rule then look at what is shown. Only where
    both find it inverted is it turned, and marked if a header said otherwise. Where they disagree,
    or the network is not sure (0.2 to 0.8), it stays as its header says, and is marked to be looked
    at. A network trained on the twin alone, on 229 real films: none is turned, 3 are marked; of
    the same films inverted, 222 are turned and 7 marked.

    Parameters
    ----------
    net : torch.nn.Module
        Of `classifier`, trained.
    table : DataFrame
        ``subject``, ``image``.

    Returns
    -------
    DataFrame
        Row by row ``subject``, ``file``, ``photometric``, ``probability`` (of being inverted,
        after the header was honored), ``inverted``, ``turned`` (against what is stored),
        ``note``; a film that cannot be read has its reason there and no probability.
    """
    found = each(table, _decided, columns=["image"], workers=1, net=net)
    unread = found.failures.rename(columns={"problem": "note"})[["subject", "note"]]
    unread = unread.assign(photometric="", probability=np.nan, inverted=False, turned=False)
    decided = pd.concat([found.table("subject"), unread]).astype({"inverted": bool, "turned": bool})
    rows = table[["subject"]].assign(file=[Path(path).name for path in table["image"]])
    columns = ["subject", "file", "photometric", "probability", "inverted", "turned", "note"]
    return rows.merge(decided, how="left", on="subject")[columns]


def _decided(row: Row, *, net: nn.Module) -> dict[str, Any]:
    film = read_film(row["image"])
    small, says = prepare(film.shown)[None], film.photometric
    probability, by_rule = float(predict(net, small)[0]), float(rule(small)[0])
    note, wrong = _doubt(probability, by_rule), False
    if not note and probability > _SURE:
        wrong, note = True, f"stored as {says}, but shown so it is inverted" if says else ""
    known = {"photometric": says or "", "note": note, "probability": probability}
    return known | {"inverted": wrong, "turned": wrong != (says == "MONOCHROME1")}


def _doubt(probability: float, by_rule: float) -> str:
    if 1 - _SURE <= probability <= _SURE:
        return f"not sure ({probability:.2f}): look at it"
    wrong = probability > _SURE
    if (by_rule < 0) if wrong else (by_rule > _CLEAR):
        one, other = ("inverted", "right") if wrong else ("right", "inverted")
        return f"the network calls it {one} ({probability:.2f}), the rule {other}: look at it"
    return ""


def save_corrected(
    table: pd.DataFrame, decisions: pd.DataFrame, folder: Path, *, synthetic: bool
) -> Path:
    """Write films with bones bright as a cohort that can be moved; give its table's path.

    A picture that is correct is copied as it is, any other film written as PNG, of 8 bits if its
    values are, else of 16. Masks go along, films that cannot be read do not. What was known of
    the encoding before (``truth_inverted``) is no longer true, and is left out.

    Parameters
    ----------
    table : DataFrame
        ``subject``, ``image``, and what else there is.
    decisions : DataFrame
        Of `decide`, for the same rows.
    folder : Path
    synthetic : bool
    """
    read = decisions["probability"].notna().to_numpy()
    kept, known = table[read], decisions[read]
    masks = {name: given(kept, name) for name in ("mask", "lungs", "lesions") if name in kept}
    copied = (known["photometric"] == "") & ~known["inverted"]
    films = (
        path if copy else _bones_bright(path, bool(turn))
        for path, copy, turn in zip(kept["image"], copied, known["inverted"], strict=True)
    )
    saved = kept.drop(columns="truth_inverted", errors="ignore")
    saved = saved.assign(turned=known["turned"].to_numpy())
    return save_cohort(saved, folder, {"image": films, **masks}, synthetic=synthetic)


def _bones_bright(path: str, inverted: bool) -> NDArray[np.uint8] | NDArray[np.uint16]:
    film = read_film(path)
    pixels = -film.shown if inverted else film.shown
    low, high = float(pixels.min()), float(pixels.max())
    if film.photometric is None and (pixels == np.rint(pixels)).all() and high - low <= 255:
        return np.rint(pixels + 255 * inverted).astype(np.uint8)
    return np.rint((pixels.astype(float) - low) / (high - low) * 65535).astype(np.uint16)
