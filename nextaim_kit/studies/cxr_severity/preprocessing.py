"""Films as the networks see them: square, with even contrast, and varied while training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from nextaim_kit.data.cohort.subjects import Row, each
from nextaim_kit.data.images.films import read_film, read_mask
from nextaim_kit.errors import DataError
from nextaim_kit.studies.cxr_severity.cohorts import given, usable

Films = NDArray[np.float32]
Shape = tuple[int, int]
Part = tuple[slice, slice]
_FLAT = (0.02, 0.9)  # a bar: of its pixels this share lies within this part of the film's range
_LOOK = 512  # rows and columns that are looked at for bars
_LEAST = 0.1  # of the film that must be left, else nothing is cut off


def film_part(pixels: NDArray) -> Part:
    """Rows and columns between bars: a letterbox, a frame, what a collimator kept dark.

    A bar is a border whose every line is nearly one gray, dark or bright, but for letters on it.
    Of 229 real films 33 lose a line or more, and 8 more than a twentieth of their area.
    """
    step = -(-max(pixels.shape) // _LOOK)
    small = np.asarray(pixels[::step, ::step], np.float32)
    near = _FLAT[0] * float(np.subtract(*np.percentile(small, [99.5, 0.5])))
    rows, columns = slice(0, len(small)), slice(0, small.shape[1])
    for _ in range(4):  # a frame in a frame
        rows = _between(small[:, columns], rows, near)
        columns = _between(small[rows].T, columns, near)
    if small[rows, columns].size < _LEAST * small.size:
        return slice(0, pixels.shape[0]), slice(0, pixels.shape[1])
    found = [slice(s.start * step, s.stop * step) for s in (rows, columns)]
    return found[0], found[1]


def _between(lines: NDArray, inside: slice, near: float) -> slice:
    """The lines from the first that is not flat to the last, within those left so far."""
    left = lines[inside]
    flat = (np.abs(left - np.median(left, axis=1, keepdims=True)) <= near).mean(1) >= _FLAT[1]
    if flat.all():
        return inside
    return slice(inside.start + int(flat.argmin()), inside.stop - int(flat[::-1].argmin()))


@dataclass(frozen=True)
class Frame:
    """A film's size as it is stored, and the part of it that the networks see."""

    shape: Shape = (0, 0)
    part: Part = (slice(0, 0), slice(0, 0))

    @classmethod
    def of(cls, pixels: NDArray) -> Self:
        """The frame of a film."""
        return cls((pixels.shape[0], pixels.shape[1]), film_part(pixels))

    @property
    def seen(self) -> Shape:
        """Rows and columns of that part."""
        rows, columns = (
            len(range(*s.indices(n))) for s, n in zip(self.part, self.shape, strict=True)
        )
        return rows, columns

    def back(self, labels: NDArray) -> NDArray:
        """Labels of that part at the film's size, 0 outside."""
        whole = np.zeros(self.shape, labels.dtype)
        whole[self.part] = labels
        return whole


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
    table: pd.DataFrame,
    size: int,
    *,
    inverted: ArrayLike | None = None,
    cut: Sequence[Frame] | None = None,
) -> tuple[Films, list[Frame], pd.DataFrame]:
    """Films as the networks see them, without the bars at their borders.

    Parameters
    ----------
    table : DataFrame
        ``subject``, ``image``.
    size : int
        Edge in pixels.
    inverted : array-like of bool, optional
        Films known to be inverted when shown as their headers say: they are turned.
    cut : sequence of Frame, optional
        Of films of the same sizes that these are cut like; by default each by its own bars.

    Returns
    -------
    films : array of shape (n, size, size)
        Zero where a film cannot be used.
    frames : list of Frame
        What has been cut off; masks are cut alike.
    failures : DataFrame
        Films that cannot be used, as of `data.each.Done`.
    """
    known = False if inverted is None else np.asarray(inverted, bool)
    frames: list[Any] = [*cut] if cut else [None] * len(table)
    rows = table[["subject", "image"]].assign(inverted=known, frame=np.array(frames, object))
    found = each(rows, _even, workers=1, size=size)
    films, seen = np.zeros((len(table), size, size), np.float32), [Frame()] * len(table)
    for k, (film, frame) in zip(np.flatnonzero(found.done), found.results, strict=True):
        films[k], seen[k] = film, frame
    return films, seen, found.failures


def _even(row: Row, *, size: int) -> tuple[Films, Frame]:
    shown = read_film(row["image"]).shown
    frame = row["frame"] or Frame.of(shown)
    return even((-shown if row["inverted"] else shown)[frame.part], size), frame


def load_masks(
    table: pd.DataFrame, column: str, frames: Sequence[Frame], *, bits: int = 0
) -> tuple[list[NDArray[np.bool_]], pd.DataFrame]:
    """Masks at their films' sizes, cut as their films are.

    Parameters
    ----------
    table : DataFrame
        ``subject``, and paths of masks in `column`, which may be absent. No mask is a failure too.
    column : str
    frames : sequence of Frame
        Of the films.
    bits : int
        Where values are sums of powers of two: those that count. 0: all that is not 0.

    Returns
    -------
    masks : list of arrays of bool
        Empty where a mask cannot be used.
    failures : DataFrame
        Masks that cannot be used, are empty or have another size, as of `data.each.Done`.
    """
    shapes: Any = [frame.shape for frame in frames]
    rows = table[["subject"]].assign(mask=given(table, column), shape=shapes)
    found = each(rows, _mask, workers=1, bits=bits)
    masks = [np.zeros(frame.shape, bool) for frame in frames]
    for k, mask in zip(np.flatnonzero(found.done), found.results, strict=True):
        masks[k] = mask
    return [mask[frame.part] for mask, frame in zip(masks, frames, strict=True)], found.failures


def load_with_lungs(
    table: pd.DataFrame, size: int, *, needed: bool = True
) -> tuple[pd.DataFrame, Films, NDArray[np.bool_], pd.DataFrame]:
    """The films of a table that can be used, as networks see them, and their lungs.

    Parameters
    ----------
    table : DataFrame
        As of `cohorts.load_films`; what cannot be used is added to its problems.
    size : int
        Edge in pixels.
    needed : bool
        Whether a film without lungs is of no use.

    Returns
    -------
    table : DataFrame
        The rows that are left.
    films, lungs : arrays of shape (n, size, size)
        Of these rows.
    without : DataFrame
        Masks of all rows that cannot be used, as of `data.each.Done`.
    """
    films, frames, unread = load_even(table, size, inverted=table.get("truth_inverted"))
    lungs, without = load_masks(table, "lungs", frames)
    keep = usable(table, unread, without if needed else without.head(0))
    return table[keep].reset_index(drop=True), films[keep], at_size(lungs, size)[keep], without


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


def _mask(row: Row, *, bits: int) -> NDArray[np.bool_]:
    if not row["mask"]:
        raise DataError("no mask given")
    values = read_mask(row["mask"])
    mask = (values & bits if bits else values) > 0
    name = Path(row["mask"]).name
    if mask.shape != row["shape"]:
        raise DataError(
            f"the mask {name} and its film differ in size",
            expected="{} by {} pixels".format(*row["shape"][::-1]),
            found="{} by {}".format(*mask.shape[::-1]),
        )
    if not mask.any():
        raise DataError(f"the mask {name} is empty", expected="marked pixels")
    return mask


def jitter(film: Tensor, *, shift: int) -> Tensor:
    """Mirror a film, shift it by up to `shift` pixels and vary its contrast, by torch's chance.

    Takes and gives shape (h, w), mean 0. What leaves on one side is lost, and the border's line is
    repeated on the other. A mirrored chest has its heart on the right: use it only for questions
    to which sides do not matter.
    """
    film = film.flip(1) if torch.rand(()) < 0.5 else film
    down, right = torch.randint(0, 2 * shift + 1, (2,)).tolist()
    wide = pad(film[None, None], [shift] * 4, mode="replicate")[0, 0]
    film = wide[down : down + film.shape[0], right : right + film.shape[1]]
    return film.sign() * film.abs() ** (0.7 + 0.6 * torch.rand(()))
