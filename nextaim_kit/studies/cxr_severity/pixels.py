"""Films as the networks see them: square, with even contrast, and varied while training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from nextaim_kit.data.films import read_film, read_mask
from nextaim_kit.errors import DataError

Films = NDArray[np.float32]
Shape = tuple[int, int]


def even(pixels: NDArray, size: int) -> Films:
    """A film shrunk to `size` by `size`, clipped, with mean 0 and spread 1.

    It is clipped to its 0.5th and 99.9th percentile: metal is a small part of a film, and is kept.
    The film's proportions are not: a mask is stretched back in the same way.
    """
    small = shrunk(np.asarray(pixels, np.float32), size)
    clipped = np.clip(small, *np.percentile(small, [0.5, 99.9]))
    spread = clipped.std()
    return (clipped - clipped.mean()) / (spread if spread > 0 else 1)


def shrunk(pixels: NDArray, size: int) -> Films:
    """A picture of `size` by `size`, each pixel the mean of those that it stands for."""
    picture = Image.fromarray(np.asarray(pixels, np.float32))
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR), np.float32)


def load_even(
    paths: Iterable[str | Path], size: int, *, inverted: ArrayLike | None = None
) -> tuple[Films, list[Shape], dict[int, str]]:
    """Films as the networks see them.

    Parameters
    ----------
    paths : iterable of paths
    size : int
        Edge in pixels.
    inverted : array-like of bool, optional
        Films known to be inverted when shown as their headers say: they are turned.

    Returns
    -------
    films : array of shape (n, size, size)
        Zero where a film cannot be used.
    shapes : list of (rows, columns)
        Of the films as they are.
    problems : dict of int to str
        Position and reason of each film that cannot be used.
    """
    paths = list(paths)
    known = np.zeros(len(paths), bool) if inverted is None else np.asarray(inverted, bool)
    films = np.zeros((len(paths), size, size), np.float32)
    shapes: list[Shape] = []
    problems: dict[int, str] = {}
    for k, path in enumerate(paths):
        shapes.append((0, 0))
        try:
            film = read_film(path)
            shapes[k] = (film.pixels.shape[0], film.pixels.shape[1])
            films[k] = even(-film.shown if known[k] else film.shown, size)
        except DataError as error:
            problems[k] = str(error)
    return films, shapes, problems


def load_masks(
    paths: Iterable[str | Path], shapes: Sequence[Shape], *, bits: int = 0
) -> tuple[list[NDArray[np.bool_]], dict[int, str]]:
    """Masks at their films' sizes.

    Parameters
    ----------
    paths : iterable of paths
        An empty one stands for no mask, which is a problem too.
    shapes : sequence of (rows, columns)
        Of the films.
    bits : int
        Where values are sums of powers of two: those that count. 0: all that is not 0.

    Returns
    -------
    masks : list of arrays of bool
    problems : dict of int to str
        Position and reason of each mask that cannot be used, is empty, or has another size.
    """
    masks: list[NDArray[np.bool_]] = []
    problems: dict[int, str] = {}
    for k, (path, shape) in enumerate(zip(paths, shapes, strict=True)):
        mask = np.zeros(shape, bool)
        try:
            mask = _mask(path, shape, bits)
        except DataError as error:
            problems[k] = str(error)
        masks.append(mask)
    return masks, problems


def at_size(masks: Sequence[NDArray[np.bool_]], size: int) -> NDArray[np.bool_]:
    """Masks stretched to (n, size, size), as their films are; an empty one stays empty."""
    blank = np.zeros((size, size), bool)
    return np.stack([shrunk(mask, size) > 0.5 if mask.size else blank for mask in masks])


def lungs_only(films: Films, lungs: NDArray[np.bool_]) -> Films:
    """Films of which the lungs are left, with mean 0 and spread 1 among themselves; 0 elsewhere.

    Nothing beside the lungs, such as metal, can then be told by their contrast either. A film
    without lungs is 0 all over.

    Parameters
    ----------
    films : array of shape (n, size, size)
    lungs : array of bool of the same shape
    """
    size = np.maximum(lungs.sum((1, 2), keepdims=True), 1)
    mean = np.where(lungs, films, 0).sum((1, 2), keepdims=True) / size
    apart = np.where(lungs, films - mean, 0)
    spread = np.sqrt((apart**2).sum((1, 2), keepdims=True) / size)
    return (apart / np.where(spread > 0, spread, 1)).astype(np.float32)


def _mask(path: str | Path, shape: Shape, bits: int) -> NDArray[np.bool_]:
    if not path:
        raise DataError("no mask given")
    values = read_mask(path)
    mask = (values & bits if bits else values) > 0
    name = Path(path).name
    if mask.shape != shape:
        raise DataError(
            f"the mask {name} and its film differ in size",
            expected="{} by {} pixels".format(*shape[::-1]),
            found="{} by {}".format(*mask.shape[::-1]),
        )
    if not mask.any():
        raise DataError(f"the mask {name} is empty", expected="marked pixels")
    return mask


def jitter(film: Tensor, *, shift: int) -> Tensor:
    """Mirror a film, shift it by up to `shift` pixels and vary its contrast, by torch's chance.

    Takes and gives shape (h, w), mean 0; what leaves on one side comes in on the other.
    """
    film = film.flip(1) if torch.rand(()) < 0.5 else film
    down, right = torch.randint(-shift, shift + 1, (2,)).tolist()
    film = torch.roll(film, (down, right), (0, 1))
    return film.sign() * film.abs() ** (0.7 + 0.6 * torch.rand(()))
