"""Whether data are those that a training began with: a look at some items, cheap at every start."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from nextaim_kit.learn.loop import length

Glance = Mapping[str, Any]
_MOST, _BYTES = 128, 4_000_000  # items, and what they hold together, the first one apart
_TWICE = 8  # items that are looked at twice, to see whether they stay the same
_NEAR = 1e-4  # what another processor makes of the same data differs by less


def glance(part: Dataset) -> Glance:
    """What some items of a data set hold, as plain values for `alike`.

    They are spread evenly: all of a small set, up to 128 of a large one, fewer where each holds
    much. Each is drawn with a seed of its own, and torch's chance is as before afterwards. Of a
    set whose items are random in any other way nothing can be told.

    Parameters
    ----------
    part : Dataset

    Returns
    -------
    mapping
        ``shape``, a hash of names, shapes, types and words; ``numbers``, a weighted mean of each
        tensor; both None where nothing can be told.

    Examples
    --------
    >>> one, other = ([(torch.ones(3), torch.tensor(y))] for y in (0, 1))
    >>> alike(glance(one), glance(one)), alike(glance(one), glance(other))
    (True, False)
    """
    size = length(part)
    with torch.random.fork_rng(devices=[]):
        first = sum(leaf.nbytes for leaf in _leaves(_item(part, 0)) if isinstance(leaf, Tensor))
        many = max(1, min(_MOST, size, _BYTES // max(first, 1)))
        places = np.linspace(0, size - 1, many).astype(int).tolist()
        told = [_told(_item(part, place)) for place in places]
        again = [_told(_item(part, place)) for place in places[:_TWICE]]
    if told[:_TWICE] != again:
        return {"shape": None, "numbers": None}
    words = hashlib.sha256("\n".join(word for word, _ in told).encode()).hexdigest()
    return {"shape": words, "numbers": [number for _, numbers in told for number in numbers]}


def alike(before: Glance, now: Glance) -> bool:
    """Whether two glances can be of the same data; one that tells nothing is like any other."""
    if before.get("shape") is None or now.get("shape") is None:
        return True
    pairs = zip(before["numbers"], now["numbers"], strict=False)
    return before["shape"] == now["shape"] and all(
        math.isclose(a, b, rel_tol=_NEAR, abs_tol=1e-12) for a, b in pairs
    )


def _item(part: Dataset, place: int) -> Any:
    torch.default_generator.manual_seed(place)  # the processor's alone: a GPU draws no items
    return part[place]


def _told(item: Any) -> tuple[str, list[float]]:
    """Words and shapes of an item, and a number for each of its tensors."""
    words, numbers = [], []
    for leaf in _leaves(item):
        if isinstance(leaf, Tensor):
            words.append(f"{leaf.dtype} {tuple(leaf.shape)}")
            numbers.append(_number(leaf))
        else:
            words.append(leaf)
    return " ".join(words), numbers


def _number(x: Tensor) -> float:
    """A mean in which places and signs count, and nothing cancels out, so that it is stable."""
    flat = x.detach().cpu().double().nan_to_num().flatten()
    if not len(flat):
        return 0.0
    weights = 1.5 + torch.sin(torch.arange(len(flat), dtype=torch.double))
    return float(((flat.abs() + flat / 2) * weights).mean())


def _leaves(item: Any) -> Iterator[Tensor | str]:
    if isinstance(item, Tensor):
        yield item.as_subclass(Tensor)
    elif isinstance(item, np.ndarray) and item.dtype.kind in "biuf":
        yield torch.from_numpy(np.ascontiguousarray(item))
    elif isinstance(item, bool | int | float):
        yield torch.tensor(item)
    elif isinstance(item, str):
        yield repr(item)
    elif isinstance(item, Mapping):
        for name, value in item.items():
            yield str(name)
            yield from _leaves(value)
    elif isinstance(item, Sequence):
        yield f"{len(item)} of"
        for value in item:
            yield from _leaves(value)
    else:
        yield type(item).__name__
