"""Values of reports, written by a trained text model: constrained or free, with a confidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from nextaim_kit.learn.weights import check_same_network
from nextaim_kit.studies.report_structuring.measures import Answers, at_temperature
from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, Template, Value
from nextaim_kit.studies.report_structuring.text_model import constraint
from nextaim_kit.studies.report_structuring.text_model.form import Form, Question
from nextaim_kit.studies.report_structuring.text_model.network import TextNet, of_config, threads
from nextaim_kit.studies.report_structuring.text_model.tokenizer import PAD, Pieces
from nextaim_kit.studies.report_structuring.text_model.windows import joined, windows

_PLAIN = ("longest", "one_by_one", "temperature", "language", "name")


@dataclass(frozen=True)
class Written:
    """What a model wrote of one report, or of a window of it.

    Attributes
    ----------
    text : str
        Word for word.
    values : dict
        By field; those that could not be read are absent.
    confidence : dict of str to float
    valid : bool
        Whether the text follows the template.
    """

    text: str
    values: dict[str, Value]
    confidence: dict[str, float]
    valid: bool


@dataclass(frozen=True)
class TextModel:
    """A network that was trained to write the values of a template.

    Attributes
    ----------
    net : TextNet
    pieces : Pieces
    form : Form
    language : str
        Of texts, where none is given with them.
    longest : int
        Tokens of a report that are read at once.
    one_by_one : bool
        Whether each field is asked for by itself.
    temperature : float
        That makes the confidence mean what it says; of the validation reports.
    name : str
        What it is called in tables.
    """

    net: TextNet
    pieces: Pieces
    form: Form
    language: str = "it"
    longest: int = 512
    one_by_one: bool = False
    temperature: float = 1.0
    name: str = "mT5"

    @property
    def template(self) -> Template:
        """What it reads reports into."""
        return self.form.template

    def answer(
        self, texts: Sequence[str], languages: Sequence[str] | None = None, *,
        constrained: bool = True, beams: int = 1, batch_size: int = 64,
    ) -> Answers:  # fmt: skip
        """Values of reports.

        Parameters
        ----------
        texts : sequence of str
        languages : sequence of str, optional
            Of each text.
        constrained : bool
            Whether nothing but the template can be written, and no number but the text's.
        beams : int
            Texts that are followed at once; the most probable is taken.
        batch_size : int
            Windows at once; the answers do not depend on it.
        """
        known = list(languages) if languages is not None else [self.language] * len(texts)
        parts = [
            (row, self.form.question(text[begin:end], known[row]))
            for row, text in enumerate(texts)
            for begin, end in windows(text, self.longest, self._count)
        ]
        self._tell(texts, len(parts) - len(texts))
        order = sorted(range(len(parts)), key=lambda k: len(parts[k][1].source))
        told: dict[int, Written] = {}
        with _asked(self.net) as device:
            for begin in range(0, len(order), batch_size):
                at = order[begin : begin + batch_size]
                questions = [parts[k][1] for k in at]
                told |= zip(at, self._write(questions, device, constrained, beams), strict=True)
        rows: list[list[Written]] = [[] for _ in texts]
        for k, (row, _) in enumerate(parts):
            rows[row].append(told[k])
        return self._answers([self._one(row) for row in rows])

    def _tell(self, texts: Sequence[str], more: int) -> None:
        if more:
            print(f"{more} windows more than reports: those of more than {self.longest} tokens "
                  "are read in windows, of each field the surest answer")  # fmt: skip
        if strange := self.pieces.unknown(texts):
            print("characters that the tokenizer does not know, passed over: " + " ".join(strange))

    def _count(self, text: str) -> int:
        return len(self.pieces.encode(text))

    def _write(
        self, questions: Sequence[Question], device: torch.device, constrained: bool, beams: int
    ) -> list[Written]:
        sources = [torch.tensor(self.pieces.encode(one.source)) for one in questions]
        source = torch.nn.utils.rnn.pad_sequence(sources, batch_first=True, padding_value=PAD)
        source = source.to(device)
        hidden = self.net.hidden(source)
        turns = [[k] for k in range(len(self.template.fields))]
        texts = [""] * len(questions)
        sure: list[list[float]] = [[] for _ in questions]
        for slots in turns if self.one_by_one else [[k for turn in turns for k in turn]]:
            automata = [
                constraint.Automaton([one.slots[k] for k in slots], self.pieces)
                for one in questions
            ]
            written = generated(self.net, hidden, source, automata, constrained, beams)
            logits = self.net.logits(hidden, source, written).cpu().numpy()
            for row, tokens in enumerate(written.tolist()):
                texts[row] += self.pieces.text(tokens)
                sure[row] += constraint.confidences(automata[row], tokens, logits[row])
        return [self._read(*one) for one in zip(questions, texts, sure, strict=True)]

    def _read(self, question: Question, text: str, sure: Sequence[float]) -> Written:
        values, valid = self.form.read(text, question)
        keys = [slot.key for slot in question.slots]
        return Written(text, values, dict(zip(keys, sure, strict=True)), valid)

    def _one(self, seen: Sequence[Written]) -> Written:
        """The answer of a report from those of its windows."""
        if len(seen) == 1:
            return seen[0]
        values, confidence = {}, {}
        for f in self.template.fields:
            able = [one for one in seen if f.key in one.values]
            if able:
                said = [one.values[f.key] not in (None, NOT_MENTIONED) for one in able]
                best = able[joined(said, [one.confidence[f.key] for one in able])]
                values[f.key], confidence[f.key] = best.values[f.key], best.confidence[f.key]
        text = "\n".join(one.text for one in seen)
        return Written(text, values, confidence, all(one.valid for one in seen))

    def plain(self) -> tuple[dict[str, Any], dict[str, NDArray]]:
        """What it is made of, for `methods.saved`."""
        arrays = {k: v.detach().cpu().numpy() for k, v in self.net.state_dict().items()}
        for other in self.net.repeated:
            arrays.pop(other, None)
        arrays["spiece"] = np.frombuffer(self.pieces.spiece, np.uint8)
        own = {"own": list(self.pieces.own), "numbers": self.form.numbers}
        plain = {name: getattr(self, name) for name in _PLAIN}
        return {"config": self.net.config, **own, **plain}, arrays

    @classmethod
    def restored(
        cls, template: Template, told: Mapping[str, Any], arrays: dict[str, NDArray]
    ) -> TextModel:
        """From its plain parts."""
        pieces = Pieces(arrays.pop("spiece").tobytes(), told["own"])
        net = of_config(told["config"])
        weights = {k: torch.from_numpy(v) for k, v in arrays.items()}
        weights |= dict.fromkeys(net.repeated, weights["t5.shared.weight"])
        check_same_network(net, weights, "the file", "give the file that a run left")
        net.load_state_dict(weights)
        plain = {name: told[name] for name in _PLAIN}
        return cls(net.eval(), pieces, Form(template, told["numbers"]), **plain)

    def _answers(self, told: Sequence[Written]) -> Answers:
        empty = self.template.empty()
        values = pd.DataFrame([empty | one.values for one in told], columns=[*empty])
        for f in self.template.fields:
            values[f.key] = values[f.key].astype(object if f.choices else float)
        sure = pd.DataFrame([one.confidence for one in told], columns=[*empty], dtype=float)
        sure[:] = at_temperature(sure, self.temperature)
        unread = pd.DataFrame([{k: k not in one.values for k in empty} for one in told])
        valid = np.array([one.valid for one in told], bool)
        return Answers(values, sure, tuple(one.text for one in told), valid, unread)


def generated(
    net: TextNet, hidden: Tensor, source: Tensor, automata: Sequence[constraint.Automaton],
    constrained: bool = True, beams: int = 1, longest: int = 0, every: bool = False,
) -> Tensor:  # fmt: skip
    """Tokens that a network writes of texts, of shape (n, tokens), padded behind the end."""
    from transformers.modeling_outputs import BaseModelOutput

    longest = longest or max(one.longest for one in automata)
    only: dict[str, Any] = {}
    if constrained:
        only = {"prefix_allowed_tokens_fn": constraint.allowed_tokens(automata, longest),
                "renormalize_logits": True}  # fmt: skip
    if beams > 1:
        only["length_penalty"] = 0.0  # the most probable text, not the most probable token
    found = net.t5.generate(
        encoder_outputs=BaseModelOutput(hidden), attention_mask=source != PAD, num_beams=beams,
        do_sample=False, max_new_tokens=longest, num_return_sequences=beams if every else 1,
        **only,
    )  # fmt: skip
    return found[:, 1:]


@contextmanager
def _asked(net: TextNet) -> Iterator[torch.device]:
    """The network where it is fastest, not learning."""
    home = next(net.parameters()).device
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net.to(device).eval()
    with torch.inference_mode(), threads(net.t5.config.d_model):
        yield device
    net.to(home)
