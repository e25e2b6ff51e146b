"""A small language model of reports, and whether it repeats what it has read of one patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from nextaim_kit.errors import DataError
from nextaim_kit.machine.seeds import one_thread
from nextaim_kit.studies.challenges.privacy.training import Training, make_private, quiet

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

_DIGITS = "0123456789"
CODES = 10_000  # of four digits
_FIRST = ("ana", "leo", "eva", "ugo", "ida", "pio")
_SURNAMES = ("rossi", "bianchi", "greco", "conti", "marino", "costa", "fontana", "riva")
_LONG = 26  # characters of a sentence that is no phrase which every report has
_LONGEST = 400  # characters of a text that are read


@dataclass(frozen=True)
class Language:
    """A trained model of characters.

    Attributes
    ----------
    net : GPT2LMHeadModel
    letters : str
        The characters it knows; 0 ends a text and pads.
    epsilon, delta : float
        Privacy of one text that was spent: infinite without any.
    """

    net: GPT2LMHeadModel
    letters: str
    epsilon: float = float("inf")
    delta: float = 0.0

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


def without_repeats(texts: Sequence[str]) -> list[str]:
    """The same texts, each long sentence that stood in an earlier one left out.

    A text of which nothing new remains stays with its last sentence. Deduplication: Lee et al.
    2022, arXiv:2107.06499.
    """
    seen: set[str] = set()
    kept = []
    for one in texts:
        sentences = one.split(". ")
        new = [part for part in sentences if len(part) < _LONG or part not in seen]
        seen.update(sentences)
        kept.append(". ".join(new or sentences[-1:]))
    return kept


def learn_language(
    texts: Sequence[str], *, letters: str, how: Training, width: int = 64, seed: int = 0
) -> Language:
    """Train a two-layer GPT-2 of characters from scratch (Radford et al. 2019).

    Parameters
    ----------
    texts : sequence of str
        One of each patient.
    letters : str
        Characters of all reports, of members and others.
    how : Training
        By Adam (decoupled weight decay), private if it has an epsilon: a text adds one clipped
        gradient to a step.
    width : int
    seed : int

    Returns
    -------
    Language
    """
    with torch.random.fork_rng(devices=[]), quiet(), one_thread():
        torch.manual_seed(seed)
        model = Language(_network(len(letters) + 1, width), letters)
        optimizer: Any = torch.optim.AdamW(
            model.net.parameters(), how.learning_rate, weight_decay=how.weight_decay
        )
        loader = DataLoader(TensorDataset(model.encoded(texts)), how.batch, shuffle=True)
        net, spent = cast(Any, model.net), (float("inf"), 0.0, 0.0)
        if how.epsilon is not None:
            net, optimizer, loader, spent = make_private(net, optimizer, loader, how, seed)
        net.train()
        for _ in range(how.epochs):
            for (rows,) in loader:
                optimizer.zero_grad()
                if len(rows):
                    _by_letter(net, rows).nanmean(dim=1).mean().backward()
                    optimizer.step()
    model.net.eval()
    return Language(getattr(net, "_module", net), letters, *spent[:2])


def _network(letters: int, width: int) -> GPT2LMHeadModel:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=letters, n_positions=_LONGEST + 2, n_embd=width, n_layer=2, n_head=4,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
        tie_word_embeddings=False,  # Opacus counts a weight that is used twice but once
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def _by_letter(net: nn.Module, rows: Tensor) -> Tensor:
    """Minus the log-probability of each character given those before; NaN where there is none."""
    seen = rows[:, : int((rows >= 0).sum(dim=1).max())]
    at = torch.arange(seen.shape[1] - 1).expand(len(seen), -1)  # a row each, for gradients by text
    logits = net(input_ids=seen[:, :-1].clamp_min(0), position_ids=at).logits
    loss = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), seen[:, 1:], ignore_index=-1, reduction="none"
    )
    return loss.masked_fill(seen[:, 1:] < 0, float("nan"))


def losses(model: Language, texts: Sequence[str]) -> NDArray[np.float64]:
    """Mean minus log-probability of a character of each text, in nats, shape (texts,)."""
    rows = model.encoded(texts)
    with torch.no_grad():
        parts = [_by_letter(model.net, some).nanmean(dim=1) for some in rows.split(64)]
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
    threes = model.encoded([f"{k:03d}" for k in range(1000)])[:, 1:-1]
    digits = [model.letters.index(d) + 1 for d in _DIGITS]
    with torch.no_grad():
        read = model.net(input_ids=model.encoded([start])[:, :-1], use_cache=True)
        read.past_key_values.batch_repeat_interleave(1000)
        more = model.net(input_ids=threes, past_key_values=read.past_key_values).logits
    logits = torch.cat([read.logits[:, -1:].expand(1000, -1, -1), more], dim=1)
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
