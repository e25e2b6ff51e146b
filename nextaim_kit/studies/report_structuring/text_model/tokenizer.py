"""Pieces of words: a SentencePiece model, and tokens of our own behind its own.

SentencePiece is asked directly: `T5Tokenizer` gives an empty vocabulary without a word where it is
given a file in place of a folder, and drops characters that it does not know.
"""

from __future__ import annotations

import io
import re
import string
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from nextaim_kit.errors import DataError, RequestError

PAD, EOS, UNK = 0, 1, 2
_MARKS = re.compile(r"(#\d+)")
# Always in the vocabulary, whatever the texts hold: what an Italian or English keyboard writes.
_LETTERS = string.printable[:95] + "àèéìíòóùúÀÈÉÌÒÙ°²³µ±≥≤\u00d7\u2013\u2018\u2019\u201c\u201d"
_LONGEST = 32  # characters of a piece at most


class Pieces:
    """What texts are cut into, and the numbers of it.

    Parameters
    ----------
    spiece : bytes
        A SentencePiece model.
    own : sequence of str
        Tokens of our own, numbered behind those of the model.

    Examples
    --------
    >>> pieces = learn_pieces(["vetro smerigliato bilaterale"] * 9, 150, own=["ggo=", "present"])
    >>> pieces.text(pieces.spell("ggo=present"))
    'ggo=present'
    """

    def __init__(self, spiece: bytes, own: Sequence[str] = ()) -> None:
        import sentencepiece

        self.spiece, self.own = spiece, tuple(own)
        self._model = sentencepiece.SentencePieceProcessor(model_proto=spiece)
        self._learned = self._model.get_piece_size()
        self.texts: tuple[str, ...] = (*map(self._written, range(self._learned)), *self.own)

    def _written(self, number: int) -> str:
        """What a piece stands for in a text; nothing where it is a sign of the model's."""
        model, name = self._model, self._model.id_to_piece(number)
        silent = model.is_control(number) or model.is_unknown(number) or model.is_byte(number)
        return "" if silent or "<extra_id" in name else name.replace("\u2581", " ")

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def sentinels(self) -> tuple[int, ...]:
        """Tokens that stand for a span left out."""
        return tuple(k for k, text in enumerate(self.texts) if text.startswith("<extra_id"))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {text: k for k, text in reversed([*enumerate(self.texts)]) if text}

    def encode(self, text: str) -> list[int]:
        """Numbers of a text's pieces, and the end; a numbered mark such as #3 is one of ours."""
        found: list[int] = []
        for part in _MARKS.split(text) if self.own else [text]:
            own = self._numbers.get(part, -1)
            if own >= self._learned and _MARKS.fullmatch(part):
                found.append(own)
            else:
                found += self._model.encode(part)
        return [*found, EOS]

    def unknown(self, texts: Iterable[str]) -> dict[str, int]:
        """Characters that no piece has, and how often they come, the most frequent first."""
        counts: dict[str, int] = {}
        for char in "".join(text for text in texts if UNK in self.encode(text)):
            if not char.isspace() and UNK in self.encode(char):
                counts[char] = counts.get(char, 0) + 1
        return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))

    @lru_cache(maxsize=50_000)  # noqa: B019 - a tokenizer lives as long as its model
    def spell(self, text: str) -> tuple[int, ...]:
        """The fewest tokens whose texts, end to end, are a text; of equals, the longest first.

        Raises
        ------
        DataError
            If no tokens spell it; names the characters.
        """
        numbers = self._numbers
        best: list[tuple[int, ...] | None] = [None] * len(text) + [()]
        for start in range(len(text) - 1, -1, -1):
            for end in range(min(len(text), start + _LONGEST), start, -1):
                rest, one = best[end], numbers.get(text[start:end])
                here = best[start]
                if one is None or rest is None:
                    continue
                if here is None or len(rest) + 1 < len(here):
                    best[start] = (one, *rest)
        if best[0] is None:
            strange = sorted({char for char in text if char not in numbers})
            raise DataError(
                f"the tokenizer cannot write {text[:60]!r}",
                expected="pieces for every character of the template",
                found="none for " + ", ".join(map(repr, strange[:10])),
                mend="train the tokenizer on the target format too, or take another model",
            )
        return best[0]

    def text(self, numbers: Iterable[int]) -> str:
        """What tokens stand for, end to end."""
        return "".join(self.texts[k] for k in numbers if k < len(self.texts))


def only(spiece: bytes, kept: Iterable[int]) -> bytes:
    """A SentencePiece model with some of its pieces alone, numbered anew in their order.

    The file is a row of fields (protocol buffers): a piece is one of number 1, and what is not
    kept is left out of the row.
    """
    wanted, found = set(kept), bytearray()
    at = number = 0
    while at < len(spiece):
        tag, body = _whole_number(spiece, at)
        if tag & 7 != _BYTES:
            raise ValueError(f"a field of kind {tag & 7} in a SentencePiece model")
        length, body = _whole_number(spiece, body)
        if tag >> 3 != 1 or number in wanted:
            found += spiece[at : body + length]
        number += tag >> 3 == 1
        at = body + length
    return bytes(found)


_BYTES = 2  # how protocol buffers call a field that says its length first


def _whole_number(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def learn_pieces(texts: Iterable[str], size: int, *, own: Sequence[str] = ()) -> Pieces:
    """A SentencePiece model of some texts, case folded, and tokens of our own.

    By merging pairs: SentencePiece's other way, the unigram model, takes as pieces only what stands
    in two different words, and cuts "non" in two where texts are few and alike.

    Parameters
    ----------
    texts : iterable of str
        To learn from; no validation or test texts.
    size : int
        Pieces at most.
    own : sequence of str

    Raises
    ------
    RequestError
        If there are more characters than pieces.

    References
    ----------
    Kudo and Richardson 2018, arXiv:1808.06226.
    """
    import sentencepiece

    alphabet = [" ".join(_LETTERS)] * 2
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([*alphabet, *lines]), model_writer=written, vocab_size=size,
            model_type="bpe", character_coverage=1.0, hard_vocab_limit=False,
            normalization_rule_name="nmt_nfkc_cf", num_threads=1,
            max_sentence_length=100_000, pad_id=PAD, eos_id=EOS, unk_id=UNK, bos_id=-1,
            minloglevel=2,
        )  # fmt: skip
    except RuntimeError as error:
        raise RequestError(
            f"no tokenizer of {size} pieces can be learned", expected="more pieces than characters",
            found=str(error)[:200], mend="ask for more pieces",
        ) from error  # fmt: skip
    return Pieces(written.getvalue(), own)


def read_pieces(folder: Path, texts: Iterable[str]) -> Pieces:
    """The tokenizer of a folder of weights, which must know the characters of some texts.

    Raises
    ------
    DataError
        If there is none, or it gives unknown tokens; names the characters.
    """
    path = folder / "spiece.model"
    if not path.is_file():
        raise DataError(
            f"{folder.name} holds no tokenizer", expected="spiece.model",
            found=", ".join(sorted(one.name for one in folder.glob("*"))[:8]) or "nothing",
            mend="put the spiece.model that was published with the weights beside them",
        )  # fmt: skip
    try:
        pieces = Pieces(path.read_bytes())
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{path.name} cannot be read", expected="a SentencePiece model",
            found=str(error).splitlines()[0][:200], mend="copy it anew",
        ) from error  # fmt: skip
    texts = list(texts)
    strange = pieces.unknown(texts)
    total = sum(len("".join(text.split())) for text in texts)
    if sum(strange.values()) > _UNKNOWN * total:
        raise DataError(
            f"the tokenizer of {folder.name} does not know this language",
            expected=f"pieces for at least {1 - _UNKNOWN:.1%} of the characters",
            found=f"{sum(strange.values())} of {total} unknown: " + " ".join([*strange][:20]),
            mend="take weights of a multilingual or Italian model (mT5, IT5)",
        )
    if strange:
        print("unknown to the tokenizer, and passed over: " + " ".join(strange))
    return pieces


_UNKNOWN = 0.001
