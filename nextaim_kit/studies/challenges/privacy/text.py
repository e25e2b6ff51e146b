"""A small language model of reports, and whether it repeats what it has read of one patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nextaim_kit.errors import DataError

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

_DIGITS = "0123456789"
CODES = 10_000  # of four digits
_FIRST = ("ana", "leo", "eva", "ugo", "ida", "pio")
_SURNAMES = ("rossi", "bianchi", "greco", "conti", "marino", "costa", "fontana", "riva")
_LONGEST = 400  # characters of a text that are read


@dataclass(frozen=True)
class Language:
    """A trained model of characters.

    Attributes
    ----------
    net : GPT2LMHeadModel
    letters : str
        The characters it knows; 0 ends a text and pads.
    """

    net: GPT2LMHeadModel
    letters: str

    def encoded(self, texts: Sequence[str]) -> Tensor:
        """Numbers of the characters, with an end before and after each text; -1 pads."""
        place = {letter: k + 1 for k, letter in enumerate(self.letters)}
        rows = [[0, *(place[c] for c in t[:_LONGEST] if c in place), 0] for t in texts]
        width = max(map(len, rows))
        return torch.tensor([row + [-1] * (width - len(row)) for row in rows])


def draw_sentences(times: Sequence[int], seed: int) -> list[tuple[str, str, int]]:
    """Made-up people for the planted sentences: name, code, and how often each is planted."""
    rng = np.random.default_rng(seed)
    surnames = rng.permutation(_SURNAMES)
    codes = rng.choice(CODES, len(times), replace=False)
    return [
        (f"{_FIRST[k % len(_FIRST)]} {surnames[k % len(_SURNAMES)]}", f"{codes[k]:04d}", int(n))
        for k, n in enumerate(times)
    ]


def letters_of(texts: Sequence[str], planted: Sequence[tuple[str, str, int]]) -> str:
    """All characters of some reports and planted sentences."""
    every = [*texts, *(sentence(name, _DIGITS) for name, _, _ in planted)]
    return "".join(sorted(set("".join(every))))


def sentence(name: str, code: str) -> str:
    """The planted sentence, which would be a person's: a name and four digits."""
    return f"patient {name}, code {code}."


def plant(reports: Sequence[str], planted: Sequence[tuple[str, str, int]]) -> list[str]:
    """Reports with each planted sentence as the first of so many of them, one after the other.

    Parameters
    ----------
    reports : sequence of str
    planted : sequence of (name, code, times)

    Raises
    ------
    DataError
        If there are more sentences than reports.
    """
    every = [sentence(name, code) for name, code, times in planted for _ in range(times)]
    if len(every) > len(reports):
        raise DataError(
            "more sentences are to be planted than there are reports",
            expected=f"{len(every)} reports or more", found=str(len(reports)),
        )  # fmt: skip
    heads = [f"{one} " for one in every] + [""] * (len(reports) - len(every))
    return [head + report for head, report in zip(heads, reports, strict=True)]


def learn_language(
    texts: Sequence[str], *, letters: str, epochs: int, width: int = 64, seed: int = 0
) -> Language:
    """Train a two-layer GPT-2 of characters from scratch (Radford et al. 2019).

    Parameters
    ----------
    texts : sequence of str
    letters : str
        Characters of all reports, of members and others.
    epochs : int
    width : int
    seed : int
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = GPT2Config(
            vocab_size=len(letters) + 1, n_positions=_LONGEST + 2, n_embd=width, n_layer=2,
            n_head=4, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            bos_token_id=0, eos_token_id=0,
        )  # fmt: skip
        model = Language(GPT2LMHeadModel(config), letters)
        rows = model.encoded(texts)
        optimizer = torch.optim.AdamW(model.net.parameters(), 3e-3)
        model.net.train()
        for _ in range(epochs):
            for some in torch.randperm(len(rows)).split(16):
                optimizer.zero_grad()
                _by_letter(model, rows[some]).nanmean().backward()
                optimizer.step()
    model.net.eval()
    return model


def _by_letter(model: Language, rows: Tensor) -> Tensor:
    """Minus the log-probability of each character given those before; NaN where there is none."""
    seen = rows[:, : int((rows >= 0).sum(dim=1).max())]
    logits = model.net(input_ids=seen[:, :-1].clamp_min(0)).logits
    loss = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), seen[:, 1:], ignore_index=-1, reduction="none"
    )
    return loss.masked_fill(seen[:, 1:] < 0, float("nan"))


def losses(model: Language, texts: Sequence[str]) -> NDArray[np.float64]:
    """Mean minus log-probability of a character of each text, in nats, shape (texts,)."""
    rows = model.encoded(texts)
    with torch.no_grad():
        parts = [_by_letter(model, some).nanmean(dim=1) for some in rows.split(64)]
    return torch.cat(parts).double().numpy()


def exposure(model: Language, name: str, code: str) -> tuple[float, int]:
    """How far up the code of a planted sentence stands among all 10,000 that could have been.

    Parameters
    ----------
    model : Language
    name, code : str
        Of the sentence; four digits.

    Returns
    -------
    (float, int)
        Exposure in bits, log2(10000) - log2(rank), 13.3 where it is the likeliest of all, about 1
        on average where the model knows nothing; and the rank. Carlini et al. 2019,
        arXiv:1802.08232.

    Raises
    ------
    DataError
        If the code is not of four digits, or the model does not know a digit.
    """
    if len(code) != 4 or not set(code) <= set(_DIGITS) <= set(model.letters):
        raise DataError("a code has four digits that the model knows", found=code)
    start = sentence(name, "").removesuffix(".")
    threes = [f"{start}{k:03d}" for k in range(1000)]
    rows = model.encoded(threes)[:, :-1]
    digits = [model.letters.index(d) + 1 for d in _DIGITS]
    with torch.no_grad():
        logits = torch.cat([model.net(input_ids=some).logits[:, -4:] for some in rows.split(250)])
    known = logits.log_softmax(-1)[:, :, digits].double().numpy()  # (1000, 4, 10)
    first, second, third = (np.arange(1000) // n % 10 for n in (100, 10, 1))
    at = np.arange(1000)
    before = known[at, 0, first] + known[at, 1, second] + known[at, 2, third]
    likely = (before[:, None] + known[:, 3]).ravel()
    rank = int((likely > likely[int(code)]).sum()) + 1
    return float(np.log2(CODES) - np.log2(rank)), rank


def continued(model: Language, beginning: str, *, most: int = 60) -> str:
    """What the model writes after a beginning, always the likeliest character, up to a stop."""
    written = beginning
    with torch.no_grad():
        for _ in range(most):
            logits = model.net(input_ids=model.encoded([written])[:, :-1]).logits[0, -1]
            best = int(logits.argmax())
            if best == 0:
                break
            written += model.letters[best - 1]
            if written.endswith("."):
                break
    return written
