"""Learning a language from reports without labels: spans are left out and have to be written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from nextaim_kit.learn.loop import length
from nextaim_kit.learn.recipe import Cosine, Recipe
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import Fitted, train
from nextaim_kit.studies.report_structuring.text_model.network import IGNORED, TextNet
from nextaim_kit.studies.report_structuring.text_model.tokenizer import EOS, PAD

Item = tuple[tuple[Tensor, Tensor, Tensor], Tensor]
SENTINELS = tuple(f"<extra_id_{k}>" for k in range(32))
_LONGEST = 192  # tokens of a text that are seen at once
NOISE, SPAN = 0.15, 3.0  # share of tokens left out, and their mean run, as published


def corrupted(tokens: Sequence[int], sentinels: Sequence[int]) -> tuple[list[int], list[int]]:
    """A text with spans left out, and these, each behind the sign that stands in its place.

    Parameters
    ----------
    tokens : sequence of int
        Without the end.
    sentinels : sequence of int

    References
    ----------
    Raffel et al. 2020, JMLR 21:140.
    """
    n = len(tokens)
    lost = max(1, round(NOISE * n))
    spans = min(max(1, round(lost / SPAN)), len(sentinels), max(1, n - lost))
    inner, outer = _parts(lost, spans), _parts(max(n - lost, spans), spans)
    source, target, at = [], [], 0
    for sentinel, kept, gone in zip(sentinels, outer, inner, strict=False):
        source += [*tokens[at : at + kept], sentinel]
        target += [sentinel, *tokens[at + kept : at + kept + gone]]
        at += kept + gone
    return [*source, *tokens[at:], EOS], [*target, EOS]


def _parts(total: int, parts: int) -> list[int]:
    """Random whole numbers above 0 with a sum."""
    cuts = torch.randperm(total - 1)[: parts - 1].add(1).sort().values.tolist()
    return [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]


class Corrupted(Dataset):
    """Texts with other spans left out each time; of long ones another part each time."""

    def __init__(self, texts: Sequence[list[int]], sentinels: Sequence[int]) -> None:
        self.texts, self.sentinels = texts, sentinels

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, k: int) -> Item:
        tokens = self.texts[k]
        begin = int(torch.randint(max(1, len(tokens) - _LONGEST + 1), ()))
        return item(*corrupted(tokens[begin : begin + _LONGEST], self.sentinels))


class Held(Dataset):
    """Items drawn once, to validate on."""

    def __init__(self, part: Dataset, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.items = [part[k] for k in range(length(part))]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, k: int) -> Item:
        return self.items[k]


def item(source: Sequence[int], target: Sequence[int], given: Sequence[int] = ()) -> Item:
    """An item of `learn.train`: what is read, written and shown of it, and of how many tokens."""
    texts = (torch.tensor(source), torch.tensor(target), torch.tensor(given or target))
    return texts, torch.tensor(len(target))


def padded(items: Sequence[Item]) -> Item:
    """A batch of items of different lengths."""
    pad = partial(torch.nn.utils.rnn.pad_sequence, batch_first=True)
    sources, targets, given = (list(one) for one in zip(*(t for t, _ in items), strict=True))
    texts = (
        pad(sources, padding_value=PAD), pad(targets, padding_value=IGNORED),
        pad(given, padding_value=IGNORED),
    )  # fmt: skip
    return texts, torch.stack([count for _, count in items])


def each_token(output: Tensor, target: Tensor) -> Tensor:
    """Mean over the tokens that are to be written, of texts of so many."""
    return output.sum() / target.sum()


def pretrain(
    make: Callable[[], TextNet], texts: Sequence[list[int]], sentinels: Sequence[int],
    recipe: Recipe, *, folder: Path, seed: int = 0,
) -> Fitted:  # fmt: skip
    """Learn from texts alone; a twentieth of them is held out to choose the best epoch.

    Parameters
    ----------
    make : callable
        Makes the network.
    texts : sequence of list of int
        Encoded, the end included.
    sentinels : sequence of int
    recipe : Recipe
    folder : Path
        Of checkpoints: a killed training goes on from them.
    seed : int
    """
    bare = [tokens[:-1] for tokens in texts if len(tokens) > 2]
    held = max(1, len(bare) // 20)
    first, second = (Corrupted(part, sentinels) for part in (bare[held:], bare[:held]))
    task = Task(make, each_token, first, Held(second, seed), collate=padded)
    return train(task, recipe, folder=folder, seed=seed)


def falling(epochs: int, batch_size: int, rate: float, items: int) -> Recipe:
    """AdamW with a short rise and half a cosine."""
    updates = epochs * -(-items // batch_size)
    return Recipe(
        epochs, batch_size, rate, torch.optim.AdamW, {"weight_decay": 0.01, "fused": True},
        schedule=Cosine(rate / 20, warmup=min(50, updates // 10)), clip=1.0,
    )  # fmt: skip
