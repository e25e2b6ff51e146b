"""A network that reads a report once and answers every field by a head of its own.

Each word is seen with its neighbors. A choice weighs all words by what matters to its field; a
number is pointed at, among those of the text, or at none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import train
from nextaim_kit.machine.seeds import one_thread
from nextaim_kit.studies.report_structuring.baselines.classical import (
    languages_of,
    training_rows,
)
from nextaim_kit.studies.report_structuring.measures import Answers, at_temperature, calibrated
from nextaim_kit.studies.report_structuring.numbers import find_numbers, possible
from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, Template

_TOKEN = re.compile(r"[^\W\d_]+|[+]+|[.,;:()]")
_PAD, _UNKNOWN, _NUMBER = 0, 1, 2
_STEM = 4  # letters that a word's relatives share
_NEVER = -1e4
_LAYERS, _WIDTH = 2, 96


class Read(NamedTuple):
    """Reports as the network takes them.

    Attributes
    ----------
    words : tensor of shape (n, length, 2)
        Each word and its first letters, as places in the vocabulary.
    places : tensor of shape (n, most)
        Where the numbers stand; 0 for none.
    possible : tensor of shape (n, fields, most)
        Whether a number can be of a field, by its unit and size.
    values : array of shape (n, fields, most)
        What it is in the field's unit.
    """

    words: Tensor
    places: Tensor
    possible: Tensor
    values: NDArray[np.float64]


class ReportNet(nn.Module):
    """Words, their neighbors, and a head for each field.

    Parameters
    ----------
    vocabulary : int
    choices : sequence of int
        Values of each choice.
    numbers : int
        Fields that are numbers.
    """

    is_value: Tensor

    def __init__(
        self,
        vocabulary: int,
        choices: Sequence[int],
        numbers: int,
    ) -> None:
        super().__init__()
        width, most = _WIDTH, max(choices, default=1)
        self.embed = nn.Embedding(vocabulary, width, padding_idx=_PAD)
        self.near = nn.ModuleList(nn.Conv1d(width, width, 5, padding=2) for _ in range(_LAYERS))
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(_LAYERS))
        self.look = nn.Linear(width, len(choices) + numbers)
        self.say = nn.Parameter(torch.randn(len(choices), most, width) / width**0.5)
        self.none = nn.Parameter(torch.randn(numbers, width) / width**0.5)
        self.point = nn.Linear(width, max(numbers, 1))
        self.drop = nn.Dropout(0.2)
        is_value = torch.arange(most) < torch.tensor([*choices] or [0])[:, None]
        self.register_buffer("is_value", is_value[: len(choices)])

    def forward(self, words: Tensor, places: Tensor, possible: Tensor) -> Tensor:
        """Scores of each choice's values, then of no number and each number, shape (n, scores)."""
        words = words[:, : int((words[..., 0] > _PAD).sum(dim=1).max().clamp(min=1))]
        if self.training:  # words that it will not know
            words = torch.where(torch.rand(words.shape) < 0.1, words.clamp(max=_UNKNOWN), words)
        there = words[..., :1] > _PAD
        seen = self.embed(words).sum(dim=2)
        for near, norm in zip(self.near, self.norm, strict=True):
            around = near(self.drop(seen).mT).mT
            seen = torch.where(there, norm(seen + nn.functional.gelu(around)), 0.0)
        weight = self.look(seen).masked_fill(~there, _NEVER).softmax(dim=1)
        told = self.drop(weight.mT @ seen)
        choices, numbers = told.split([len(self.say), len(self.none)], dim=1)
        scores = torch.einsum("nfw,fcw->nfc", choices, self.say).masked_fill(~self.is_value, _NEVER)
        at = places[..., None].expand(-1, -1, seen.shape[-1])
        pointed = self.point(seen.gather(1, at)).mT[:, : len(self.none)]
        pointed = pointed.masked_fill(~possible, _NEVER)
        none = (numbers * self.none).sum(dim=2, keepdim=True)
        return torch.cat([scores.flatten(1), torch.cat([none, pointed], dim=2).flatten(1)], dim=1)


@dataclass(frozen=True)
class Encoder:
    """A trained network with its vocabulary.

    Attributes
    ----------
    template : Template
    net : ReportNet
    vocabulary : tuple of str
        From the place after those of padding, unknown words and numbers.
    language, name : str
    temperature : float
        That makes the confidence mean what it says; of the validation reports.
    """

    template: Template
    net: nn.Module
    vocabulary: tuple[str, ...]
    language: str = "it"
    name: str = "encoder"
    temperature: float = 1.0

    def answer(self, texts: Sequence[str], languages: Sequence[str] | None = None) -> Answers:
        """Of each field the value with the highest score."""
        if not len(texts):
            return Answers.of({key: ([], []) for key in self.template.by_key})
        read = read_reports(texts, languages_of(texts, languages, self.language),
                            self.template, self.vocabulary)  # fmt: skip
        scores = apply(self.net, (read.words, read.places, read.possible), batch_size=64)
        choices, numbers = parted(scores, self.template)
        p, q = choices.softmax(dim=2).numpy(), numbers.softmax(dim=2).numpy()
        columns, of_kind = {}, {"choice": 0, "number": 0}
        for field in self.template.fields:
            k = of_kind[field.kind]
            chance = (p if field.kind == "choice" else q)[:, k]
            best = chance.argmax(axis=1)
            if field.kind == "choice":
                values = np.array([*field.choices, NOT_MENTIONED], dtype=object)[best]
            else:
                known = np.c_[np.full(len(texts), np.nan), read.values[:, k]]
                values = known[np.arange(len(texts)), best]
            columns[field.key] = values, at_temperature(chance.max(axis=1), self.temperature)
            of_kind[field.kind] += 1
        return Answers.of(columns)

    def plain(self) -> tuple[dict[str, Any], dict[str, NDArray]]:
        """What it is made of, for `methods.saved`."""
        weights = {k: v.detach().cpu().numpy() for k, v in self.net.state_dict().items()}
        return {"vocabulary": list(self.vocabulary), "temperature": self.temperature}, weights

    @classmethod
    def restored(
        cls, template: Template, told: Mapping[str, Any], arrays: Mapping[str, NDArray]
    ) -> Encoder:
        """From its plain parts."""
        net = network_for(template, told["vocabulary"])
        net.load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()})
        own = (told["language"], told["name"], told["temperature"])
        return cls(template, net.eval(), tuple(told["vocabulary"]), *own)


def fit_encoder(
    table: pd.DataFrame,
    validation: pd.DataFrame,
    template: Template,
    *,
    folder: Path,
    epochs: int = 60,
    seed: int = 0,
    language: str = "it",
) -> Encoder:
    """Train a network on all fields at once; the validation reports say when to stop.

    Parameters
    ----------
    table, validation : DataFrame
        Reports with ``text``, a column for each field and, where known, ``language``.
    template : Template
    folder : Path
        Of the checkpoints (`learn.train`).
    epochs : int
        At most.
    seed : int
    language : str
        Of texts, where the table does not say.
    """
    rows = training_rows(table, template)
    vocabulary = _vocabulary(rows["text"])
    parts = [
        _items(training_rows(part, template), template, vocabulary, language)
        for part in (rows, validation)
    ]
    build = partial(network_for, template, vocabulary)
    task = Task(build, partial(_loss, template=template), *parts)
    settings = {"weight_decay": 0.01}
    recipe = Recipe(epochs, batch_size=16, learning_rate=3e-3, optimizer=torch.optim.AdamW,
                    settings=settings, patience=12, clip=1.0)  # fmt: skip
    with one_thread():  # two cores would wait for one another at each of so small steps
        fitted = train(task, recipe, folder=folder, seed=seed)
    return calibrated(Encoder(template, fitted.net, vocabulary, language), validation)


def network_for(template: Template, vocabulary: Sequence[str]) -> ReportNet:
    """An untrained network for a template."""
    sizes = [len(field.choices) + 1 for field in template.fields if field.kind == "choice"]
    return ReportNet(len(vocabulary) + 3, sizes, len(template.fields) - len(sizes))


def read_reports(
    texts: Sequence[str], languages: Sequence[str], template: Template, vocabulary: Sequence[str]
) -> Read:
    """Reports as the network takes them; none is cut."""
    known = {word: k for k, word in enumerate(vocabulary, 3)}
    fields = [field for field in template.fields if field.kind == "number"]
    told = [_tokens(text, language) for text, language in zip(texts, languages, strict=True)]
    length = max(5, *(len(tokens) for tokens, _ in told))
    most = max(1, *(len(numbers) for _, numbers in told))
    words = np.zeros((len(texts), length, 2), np.int64)
    places = np.zeros((len(texts), most), np.int64)
    values = np.full((len(texts), len(fields), most), np.nan)
    for row, (tokens, numbers) in enumerate(told):
        for at, token in enumerate(tokens):
            both = (token, f"{token[:_STEM]}…")
            words[row, at] = [known.get(w, _UNKNOWN) for w in both] if token else _NUMBER
        places[row, : len(numbers)] = [at for at, token in enumerate(tokens) if not token]
        for k, field in enumerate(fields):
            can = [possible(field, number) for number in numbers]
            values[row, k, : len(can)] = [np.nan if v is None else v for v in can]
    can_be = torch.from_numpy(~np.isnan(values))
    return Read(torch.from_numpy(words), torch.from_numpy(places), can_be, values)


def parted(scores: Tensor, template: Template) -> tuple[Tensor, Tensor]:
    """Scores of choices, shape (n, fields, values), and of numbers, (n, fields, 1 + most)."""
    sizes = [len(field.choices) + 1 for field in template.fields if field.kind == "choice"]
    numbers = len(template.fields) - len(sizes)
    n, first = len(scores), len(sizes) * max(sizes, default=1)
    choices = scores[:, :first].reshape(n, len(sizes), -1)
    rest = scores[:, first:]
    return choices, rest.reshape(n, numbers, rest.shape[1] // max(numbers, 1))


def _tokens(text: str, language: str) -> tuple[list[str], list[Any]]:
    """Words of a text, an empty one for each number, and the numbers."""
    numbers, tokens, end = find_numbers(text, language), [], 0
    for number in numbers:
        tokens += [*_TOKEN.findall(text[end : number.start].lower()), ""]
        end = number.end
    return [*tokens, *_TOKEN.findall(text[end:].lower())], numbers


def _vocabulary(texts: Iterable[str]) -> tuple[str, ...]:
    """Words of the training texts and the beginnings of words, in order."""
    words = {word for text in texts for word in _TOKEN.findall(text.lower())}
    return tuple(sorted(words | {f"{word[:_STEM]}…" for word in words}))


def _items(
    table: pd.DataFrame, template: Template, vocabulary: Sequence[str], language: str
) -> Any:
    """Items of a data set: what the network takes of a report, and the place of each value."""
    known = languages_of(table["text"], table.get("language"), language)
    read = read_reports(table["text"].tolist(), known, template, vocabulary)
    targets, k = [], 0
    for field in sorted(template.fields, key=lambda field: field.kind):  # choices come first
        true = table[field.key]
        if field.kind == "choice":
            order = [*field.choices, NOT_MENTIONED]
            targets.append([order.index(value) for value in true.fillna(NOT_MENTIONED)])
        else:
            near = np.abs(read.values[:, k] - true.to_numpy(float)[:, None]) < 1e-6
            # A number that the text does not have cannot be pointed at: nothing is learned of it.
            found = np.where(near.any(axis=1), near.argmax(axis=1) + 1, -100)
            targets.append(np.where(true.isna(), 0, found).tolist())
            k += 1
    answers = torch.tensor(targets).T
    inputs = zip(read.words, read.places, read.possible, strict=True)
    return list(zip(inputs, answers, strict=True))


def _loss(scores: Tensor, target: Tensor, *, template: Template) -> Tensor:
    """Mean cross-entropy over the fields."""
    choices, numbers = parted(scores, template)
    one = nn.functional.cross_entropy(choices.mT, target[:, : choices.shape[1]], reduction="sum")
    two = nn.functional.cross_entropy(numbers.mT, target[:, choices.shape[1] :], reduction="sum")
    return (one + two) / target.numel()
