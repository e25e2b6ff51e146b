"""Is a film stored with its gray levels inverted? The study's classifier, and a rule beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import expit
from skimage.transform import resize
from torch import Tensor, nn
from torch.utils.data import Dataset

from nextaim_kit.data.files import atomic_path
from nextaim_kit.data.films import Film, film_table, read_film
from nextaim_kit.errors import DataError

EDGE = 50  # pixels
_BORDER = 0.08  # of each side, cut away: labels, black frames


def prepare(pixels: NDArray) -> NDArray[np.float32]:
    """A film as the classifier sees it, shape (50, 50).

    Clipped to its 5th and 95th percentile, its border cut away, shrunk, with mean 0 and spread 1.
    """
    rows, columns = (round(_BORDER * n) for n in pixels.shape)
    inner = pixels[rows : len(pixels) - rows, columns : pixels.shape[1] - columns].astype(float)
    clipped = np.clip(inner, *np.percentile(inner, [5, 95]))
    small = resize(clipped, (EDGE, EDGE), order=3, anti_aliasing=True)
    spread = small.std()
    return ((small - small.mean()) / (spread if spread > 0 else 1)).astype(np.float32)


def load_prepared(paths: Sequence[str | Path]) -> tuple[NDArray[np.float32], list[dict[str, str]]]:
    """Prepared films, shape (n, 50, 50), and the files that cannot be used.

    A film that fails is a zero picture, and a row with its ``file`` and ``problem``.
    """
    films = np.zeros((len(paths), EDGE, EDGE), np.float32)
    problems = []
    for k, path in enumerate(paths):
        try:
            films[k] = prepare(read_film(path).pixels)
        except DataError as error:
            problems.append({"file": Path(path).name, "problem": str(error)})
    return films, problems


class Encodings(Dataset):
    """Prepared films, each as it should be (0) and inverted (1).

    Parameters
    ----------
    films : array of shape (n, 50, 50)
        Not inverted.
    augment : bool
        Mirror, shift by up to two pixels and vary contrast, by torch's random numbers.
    """

    def __init__(self, films: NDArray[np.float32], *, augment: bool = False) -> None:
        self.films, self.augment = torch.from_numpy(films), augment

    def __len__(self) -> int:
        return 2 * len(self.films)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        film, inverted = self.films[index // 2], index % 2
        if self.augment:
            film = film.flip(1) if torch.rand(()) < 0.5 else film
            down, right = torch.randint(-2, 3, (2,)).tolist()
            film = torch.roll(film, (down, right), (0, 1))
            film = film.sign() * film.abs() ** (0.7 + 0.6 * torch.rand(()))
        film = -film if inverted else film
        return film[None], torch.tensor([float(inverted)])


def classifier() -> nn.Module:
    """The study's network: about 25 000 weights; its output is a logit.

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


def predict(net: nn.Module, films: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probability that each prepared film, shape (n, 50, 50), is inverted."""
    net.eval()
    with torch.no_grad():
        parts = [
            net(torch.from_numpy(films[k : k + 256])[:, None]) for k in range(0, len(films), 256)
        ]
    return expit(torch.cat(parts)[:, 0].double().numpy())


def rule(films: NDArray[np.float32]) -> NDArray[np.float64]:
    """A rule without learning: how much brighter the sides' lung fields are than the middle.

    In a film as it should be, the spine and the heart in the middle are brighter than the lungs
    beside them; inverted, darker. Shape (n, 50, 50) gives n scores, positive where inverted.
    """
    height = slice(EDGE // 5, 3 * EDGE // 5)
    sides = np.r_[EDGE // 6 : 2 * EDGE // 5, 3 * EDGE // 5 : 5 * EDGE // 6]
    middle = films[:, height, 2 * EDGE // 5 + 2 : 3 * EDGE // 5 - 2].mean(axis=(1, 2))
    return (films[:, height][:, :, sides].mean(axis=(1, 2)) - middle).astype(float)


def correct_folder(net: nn.Module, folder: str | Path, out: Path) -> pd.DataFrame:
    """Turn the inverted films of a folder, and write all of them as 16-bit PNG.

    A DICOM header's MONOCHROME1 is honored first; the network then looks at what is shown. Where
    it still finds the film inverted, header and picture contradict each other: the film is turned
    and marked.

    Parameters
    ----------
    net : torch.nn.Module
        Of `classifier`, trained.
    folder : path
        Films; it is only read.
    out : Path
        Where the corrected films go.

    Returns
    -------
    DataFrame
        ``subject``, ``file``, ``photometric``, ``probability`` (of being inverted, after the
        header was honored), ``turned``, ``note``; a film that cannot be read has its reason there
        and no probability.
    """
    rows = []
    for subject, path in film_table(folder)[["subject", "image"]].itertuples(index=False):
        row = {"subject": subject, "file": Path(path).name, "photometric": "", "note": ""}
        try:
            film = read_film(path)
        except DataError as error:
            rows.append({**row, "turned": False, "note": str(error)})
            continue
        shown, says = _as_shown(film), film.photometric
        probability = float(predict(net, prepare(shown)[None])[0])
        wrong = probability >= 0.5
        note = f"stored as {says}, but shown so it is inverted" if wrong and says else ""
        _save(-shown if wrong else shown, out / f"{subject}.png")
        turned = wrong != (says == "MONOCHROME1")
        row |= {"photometric": says or "", "note": note}
        rows.append({**row, "probability": probability, "turned": turned})
    columns = ["subject", "file", "photometric", "probability", "turned", "note"]
    return pd.DataFrame(rows, columns=columns)


def _as_shown(film: Film) -> NDArray[np.float32]:
    return -film.pixels if film.photometric == "MONOCHROME1" else film.pixels


def _save(pixels: NDArray, path: Path) -> None:
    from PIL import Image

    low, high = float(pixels.min()), float(pixels.max())
    gray = np.rint((pixels.astype(float) - low) / (high - low) * 65535).astype(np.uint16)
    with atomic_path(path) as unfinished:
        Image.fromarray(gray).save(unfinished, format="PNG")
