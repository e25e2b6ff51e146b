"""Learning to write a template's values from labeled reports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.utils.data import Dataset

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import train
from nextaim_kit.studies.report_structuring.measures import calibrated
from nextaim_kit.studies.report_structuring.schema import Template
from nextaim_kit.studies.report_structuring.text_model import network, tokenizer
from nextaim_kit.studies.report_structuring.text_model.answering import TextModel
from nextaim_kit.studies.report_structuring.text_model.constraint import spelled
from nextaim_kit.studies.report_structuring.text_model.form import Form, Numbers
from nextaim_kit.studies.report_structuring.text_model.pretraining import (
    SENTINELS,
    Held,
    Item,
    each_token,
    falling,
    item,
    padded,
    pretrain,
)


@dataclass(frozen=True)
class Training:
    """How a text model is trained.

    Attributes
    ----------
    model : str
        A size (`network.SHAPES`), to begin with random weights, or a folder of published weights.
    pieces : int
        Of the tokenizer that is learned for a size.
    pretraining : int
        Epochs over the texts without labels, for a size.
    epochs, batch_size : int
    rate : float
    numbers : {"marked", "copied"}
        As of `Form`.
    one_by_one : bool
        Each field is asked for by itself, as questions are answered.
    unread : float
        Share of a training report's tokens that the network is not shown, another each time, so
        that it does not rely on single words.
    seed : int
    """

    model: str = "nano"
    pieces: int = 1000
    pretraining: int = 1
    epochs: int = 70
    batch_size: int = 8
    rate: float = 3e-3
    numbers: Numbers = "marked"
    one_by_one: bool = False
    unread: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class Begun:
    """A network that knows the language, and no template yet."""

    net: network.TextNet
    pieces: tokenizer.Pieces
    form: Form
    language: str


def begin(
    texts: Sequence[str], template: Template, training: Training, folder: Path, *,
    language: str = "it",
) -> Begun:  # fmt: skip
    """A tokenizer and a network to begin with.

    Of a size they are learned from texts alone, no label seen; of a folder they are read, and the
    vocabulary is trimmed to what the texts use.

    Parameters
    ----------
    texts : sequence of str
        For training, with labels or without: no validation or test reports among them.
    template : Template
    training : Training
    folder : Path
        Of checkpoints: a killed training goes on from them.
    language : str

    Raises
    ------
    DataError
        If the folder of weights cannot be used (`network.read_network`, `tokenizer.read_pieces`).
    """
    form = Form(template, training.numbers)
    sources = [form.question(text, language).source for text in texts]
    if training.model not in network.SHAPES:
        return _published(Path(training.model), form, sources, language)
    pieces = tokenizer.learn_pieces(sources, training.pieces, own=[*SENTINELS, *form.own])
    make = partial(network.build, training.model, len(pieces))
    if not training.pretraining:
        torch.manual_seed(training.seed)
        return Begun(make(), pieces, form, language)
    how = falling(training.pretraining, training.batch_size, training.rate, len(texts))
    tokens = [pieces.encode(source) for source in sources]
    with network.threads(network.SHAPES[training.model].d_model):
        found = pretrain(make, tokens, pieces.sentinels, how, folder=folder, seed=training.seed)
    return Begun(found.net, pieces, form, language)  # type: ignore[arg-type]


def _published(folder: Path, form: Form, sources: Sequence[str], language: str) -> Begun:
    if not folder.is_dir():
        raise RequestError(
            f"no text model {str(folder)!r}",
            expected=f"{', '.join(network.SHAPES)}, or a folder of weights",
            mend="set model to one",
        )  # fmt: skip
    pieces = tokenizer.read_pieces(folder, sources)
    empty = form.question("", language)
    words = [word for slot in empty.slots for word in (slot.before, *slot.options)]
    net = network.read_network(folder, pieces)
    net, pieces = network.trimmed(net, pieces, sources, [*words, *"#0123456789.-"])
    return Begun(net, pieces, form, language)


def fit_text_model(
    table: pd.DataFrame, begun: Begun, training: Training, folder: Path
) -> TextModel:
    """Fine-tune on the reports of the split ``train``; those of ``validation`` choose the epoch.

    Parameters
    ----------
    table : DataFrame
        ``text``, ``split``, a column for each field of the template, and where languages are
        mixed ``language``.
    begun : Begun
    training : Training
    folder : Path
        Of checkpoints: a killed training goes on from them.

    Raises
    ------
    DataError
        If there are no reports to train on or to validate on.
    """
    parts = [table[table["split"] == name] for name in ("train", "validation")]
    for name, part in zip(("train", "validation"), parts, strict=True):
        if part.empty:
            raise DataError(f"no reports in the split {name!r}", found=f"{len(table)} reports")
    first, second = (
        Labeled(part, begun, training.one_by_one, unread)
        for part, unread in zip(parts, (training.unread, 0.0), strict=True)
    )
    first.tell()
    held: Dataset = Held(second, training.seed) if training.one_by_one else second
    how = falling(training.epochs, training.batch_size, training.rate, len(first))
    task = Task(
        lambda: network.of_config(begun.net.config),
        each_token,
        first,
        held,
        collate=padded,
        start=begun.net,
    )
    with network.threads(begun.net.t5.config.d_model):
        found = train(task, how, folder=folder, seed=training.seed)
    model = TextModel(
        found.net, begun.pieces, begun.form, begun.language,  # type: ignore[arg-type]
        max(_READ, first.longest()), training.one_by_one, name=f"{Path(training.model).name} T5",
    )  # fmt: skip
    return calibrated(model, parts[1])


class Labeled(Dataset):
    """Reports as they are given to the network, and what is to be written of them."""

    def __init__(
        self, table: pd.DataFrame, begun: Begun, one_by_one: bool, unread: float = 0.0
    ) -> None:
        language = table.get("language", pd.Series(begun.language, table.index))
        self.questions = [
            begun.form.question(str(text), str(one))
            for text, one in zip(table["text"], language, strict=True)
        ]
        rows: list[Any] = table.to_dict("records")
        self.chosen = [
            question.chosen(row, begun.form.template)
            for question, row in zip(self.questions, rows, strict=True)
        ]
        self.pieces, self.one_by_one, self.unread = begun.pieces, one_by_one, unread
        self.sources = [begun.pieces.encode(one.source) for one in self.questions]

    def __len__(self) -> int:
        return len(self.questions) * (_DRAWN if self.one_by_one else 1)

    def __getitem__(self, k: int) -> Item:
        k = k % len(self.questions)
        slots, chosen = self.questions[k].slots, [max(0, one) for one in self.chosen[k]]
        if self.one_by_one:
            at = int(torch.randint(len(slots), ()))
            slots, chosen = slots[at : at + 1], chosen[at : at + 1]
        written = spelled(slots, self.pieces, chosen)
        if not self.unread:
            return item(self.sources[k], written)
        always = {token for slot in slots for token in self.pieces.spell(slot.before)}
        given = _hidden(written, _FORGOTTEN, always)
        return item(_hidden(self.sources[k], self.unread), written, given)

    def longest(self) -> int:
        """Tokens of the longest report."""
        return max(map(len, self.sources))

    def tell(self) -> None:
        """Say which labels cannot be learned, since no text would support them."""
        lost = sum(one < 0 for row in self.chosen for one in row)
        if lost:
            print(f"{lost} numbers among the training labels are not in their texts: they are "
                  "learned as not mentioned")  # fmt: skip


def _hidden(tokens: list[int], share: float, but: Collection[int] = ()) -> list[int]:
    """Tokens, a share of them unknown."""
    gone = (torch.rand(len(tokens)) < share).tolist()
    pairs = zip(tokens, gone, strict=True)
    return [tokenizer.UNK if lost and token not in but else token for token, lost in pairs]


_FORGOTTEN = 0.5  # share of the answers before, which are not to be guessed from one another
_DRAWN = 4  # fields of a report that are asked for in an epoch, one by one
_READ = 512  # tokens of a report that are read at once, or as many as the longest in training
