"""T5's architecture: built small from a configuration, or read from a folder of weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.machine.seeds import one_thread
from nextaim_kit.studies.report_structuring.text_model.tokenizer import EOS, PAD, UNK, Pieces, only

IGNORED = -100  # of targets: nothing is to be written there


@dataclass(frozen=True)
class Shape:
    """Widths and depths of a network: `d_model`, `d_kv`, `d_ff`, layers of each half, heads."""

    d_model: int
    d_kv: int
    d_ff: int
    layers: int
    heads: int


# The last four as published with mT5 (Xue et al. 2021, arXiv:2010.11934).
SHAPES: Mapping[str, Shape] = {
    "nano": Shape(64, 16, 128, 2, 4),
    "micro": Shape(128, 32, 256, 2, 4),
    "mini": Shape(256, 64, 512, 3, 4),
    "mt5-small": Shape(512, 64, 1024, 8, 6),
    "mt5-base": Shape(768, 64, 2048, 12, 12),
    "mt5-large": Shape(1024, 64, 2816, 24, 16),
    "mt5-xl": Shape(2048, 64, 5120, 24, 32),
}
MT5_VOCABULARY = 250_112
_SMALL = 128  # width of a network that two cores train no faster than one
_FAR = 200  # tokens; farther ones share the last weight
_KINDS = {"mt5": "MT5ForConditionalGeneration", "t5": "T5ForConditionalGeneration"}


class TextNet(nn.Module):
    """Gives, for texts and what should be written, how unlikely that is.

    All of it is computed in single precision, whatever the machine trains in: half precision
    overflows in mT5's feed-forward layers.
    """

    def __init__(self, t5: Any) -> None:
        super().__init__()
        self.t5 = t5

    def forward(self, source: Tensor, target: Tensor, given: Tensor | None = None) -> Tensor:
        """Negative log-likelihood of each text, of shape (n,); `IGNORED` tokens are none of it.

        `given` is what the decoder is shown of `target`, if not all.
        """
        scores = self.logits(self.hidden(source), source, target if given is None else given)
        return nn.functional.cross_entropy(
            scores.transpose(1, 2), target, ignore_index=IGNORED, reduction="none"
        ).sum(1)

    def hidden(self, source: Tensor) -> Tensor:
        """What the encoder makes of texts, of shape (n, tokens, width)."""
        with torch.autocast(source.device.type, enabled=False):
            return self.t5.encoder(input_ids=source, attention_mask=source != PAD)[0]

    def logits(self, hidden: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Of shape (n, tokens, vocabulary), each token with those before it given."""
        given = target.masked_fill(target == IGNORED, PAD)
        given = nn.functional.pad(given[:, :-1], (1, 0), value=PAD)
        with torch.autocast(source.device.type, enabled=False):
            found = self.t5(encoder_outputs=(hidden,), attention_mask=source != PAD,
                            decoder_input_ids=given, use_cache=False)  # fmt: skip
        return found.logits

    @property
    def config(self) -> dict[str, Any]:
        """What the network can be built from again."""
        told = {"model_type": self.t5.config.model_type, "tied": self.tied}
        return json.loads(json.dumps(self.t5.config.to_diff_dict() | told))

    @property
    def tied(self) -> bool:
        """Whether what is read and what is written have the same embeddings."""
        return self.t5.lm_head.weight is self.t5.shared.weight

    @property
    def repeated(self) -> list[str]:
        """Weights that are those of ``t5.shared`` again."""
        same = ["encoder.embed_tokens", "decoder.embed_tokens", *["lm_head"] * self.tied]
        return [f"t5.{name}.weight" for name in same]


def build(size: str, vocabulary: int) -> TextNet:
    """A network with random weights, whose heads begin by looking near.

    Parameters
    ----------
    size : str
        One of `SHAPES`.
    vocabulary : int
        Tokens.

    Raises
    ------
    RequestError
        If there is no such size.
    """
    net = plain(size, vocabulary)
    _begin_locally(net)
    return net


def plain(size: str, vocabulary: int) -> TextNet:
    """The same, with all of its weights as the library draws them."""
    if size not in SHAPES:
        raise RequestError(f"no size {size!r}", expected=", ".join(SHAPES))
    shape = SHAPES[size]
    return of_config({
        "model_type": "mt5", "vocab_size": vocabulary, "d_model": shape.d_model,
        "d_kv": shape.d_kv, "d_ff": shape.d_ff, "num_layers": shape.layers,
        "num_heads": shape.heads,
    })  # fmt: skip


def _begin_locally(net: TextNet) -> None:
    """Let heads begin by looking near, each farther than the one before, the last anywhere.

    The first weights of the relative positions fall with distance, as those of Press et al. 2022
    (arXiv:2108.12409) do for good: with a hundred reports, that neighbors matter is not found.
    """
    for half in (net.t5.encoder, net.t5.decoder):
        first = half.block[0].layer[0].SelfAttention
        bias, heads = first.relative_attention_bias.weight, first.n_heads
        distance = torch.arange(-_FAR, _FAR + 1)
        bucket = first._relative_position_bucket(
            distance, not first.is_decoder, first.relative_attention_num_buckets,
            first.relative_attention_max_distance,
        )  # fmt: skip
        slopes = 2.0 ** (-4 * torch.arange(heads) / heads)
        slopes[-1] = 0.0
        with torch.no_grad():
            for k in bucket.unique().tolist():
                bias[k] -= slopes * distance[bucket == k].abs().float().mean()


def of_config(config: Mapping[str, Any]) -> TextNet:
    """A network of a configuration of T5 or mT5; input and output embeddings untied unless told."""
    import transformers

    signs = {"decoder_start_token_id": PAD, "pad_token_id": PAD, "eos_token_id": EOS}
    plain = {k: v for k, v in config.items() if k not in ("model_type", "tied", "architectures")}
    made = transformers.CONFIG_MAPPING[config["model_type"]](**plain | signs)
    t5 = getattr(transformers, _KINDS[config["model_type"]])(made)
    if made.d_model <= _SMALL:
        # Where a bias is learned, torch's own attention has the slower softmax on a CPU.
        t5.set_attn_implementation("eager")
    for module in t5.modules():
        if hasattr(module, "relative_attention_num_buckets"):
            module.dropout = 0.0  # of attention: half of a step's time on a CPU
    if not config.get("tied", False):
        # As published: mT5's two embeddings are apart, which this library would tie.
        own = torch.empty_like(t5.shared.weight).normal_(std=made.d_model**-0.5)
        t5.lm_head.weight = nn.Parameter(own)
    return TextNet(t5)


def threads(width: int) -> AbstractContextManager[None]:
    """One for a network so small that two cores wait for one another at each step; else all."""
    return one_thread() if width <= _SMALL else nullcontext()


def read_network(folder: Path, pieces: Pieces) -> TextNet:
    """The network of a local folder of weights, as mT5's and IT5's are published.

    Raises
    ------
    DataError
        If the folder is of another architecture, weights are missing or left over, or its
        vocabulary is smaller than its tokenizer's.
    """
    import transformers

    kind = _kind_of(folder)
    try:
        with _quiet(transformers.logging):
            t5, told = getattr(transformers, _KINDS[kind]).from_pretrained(
                folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(
            f"the weights of {folder.name} cannot be read",
            expected="model.safetensors or pytorch_model.bin, of this config.json",
            found=str(error).splitlines()[0][:200], mend="copy the folder anew, whole",
        ) from error  # fmt: skip
    wrong = sorted({*told["missing_keys"], *told["unexpected_keys"], *told["mismatched_keys"]})
    if wrong:
        raise DataError(
            f"the weights of {folder.name} are of another network",
            expected="those of its config.json, none missing and none left over",
            found=f"{len(wrong)} others: {', '.join(map(str, wrong[:3]))}",
            mend="put config.json and weights of one publication into the folder",
        )
    if t5.config.vocab_size < len(pieces):
        raise DataError(
            f"{folder.name}: the tokenizer is of another model",
            expected=f"at most {t5.config.vocab_size} pieces", found=str(len(pieces)),
            mend="put the spiece.model that was published with the weights beside them",
        )  # fmt: skip
    return TextNet(t5)


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Without a bar, and a warning that mT5's embeddings are apart, as they should be."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()


def _kind_of(folder: Path) -> str:
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} holds no text model", expected="a folder with config.json, the weights and "
            "spiece.model, as mT5 and IT5 are published",
            found=" ".join(str(error).split())[:200], mend="give the folder as model=",
        ) from error  # fmt: skip
    if kind not in _KINDS:
        raise DataError(
            f"{folder.name} is of another architecture", expected="model_type t5 or mt5",
            found=repr(kind), mend="take mt5-small, mt5-base, IT5 or another T5",
        )  # fmt: skip
    return str(kind)


def trimmed(
    net: TextNet, pieces: Pieces, texts: Sequence[str], written: Sequence[str] = ()
) -> tuple[TextNet, Pieces]:
    """The network and tokenizer with the pieces that some texts use, and every Latin letter.

    Of mT5-small's 300 million weights 256 are embeddings of 250,112 pieces in 101 languages. What
    is kept gives the same numbers as before; a piece that is not kept is spelled by smaller ones.

    Parameters
    ----------
    net : TextNet
    pieces : Pieces
        Of the whole vocabulary, without tokens of our own.
    texts : sequence of str
        Reports.
    written : sequence of str
        Parts of what is to be written.
    """
    used = {k for text in texts for k in pieces.encode(text)}
    used |= {k for text in written for k in pieces.spell(text)}
    letters = {k for k, t in enumerate(pieces.texts) if len(t) == 1 and ord(t) < _LATIN}
    kept = sorted({PAD, EOS, UNK} | used | letters)
    fewer = Pieces(only(pieces.spiece, kept))
    if any(_cut(fewer, t) != _cut(pieces, t) for t in texts):
        print("the vocabulary stays whole: with fewer pieces the texts would be cut otherwise")
        return net, pieces
    t5, rows = net.t5, torch.tensor(kept)
    read, write = t5.shared.weight.detach()[rows], t5.lm_head.weight.detach()[rows]
    config = net.config | {"vocab_size": len(kept)}
    smaller = of_config(config)
    sized = {"t5.shared.weight", "t5.lm_head.weight", *net.repeated}
    own = {k: v for k, v in net.state_dict().items() if k not in sized}
    smaller.load_state_dict(own, strict=False)
    smaller.t5.shared.weight.data.copy_(read)
    smaller.t5.lm_head.weight.data.copy_(write)
    return smaller, fewer


def _cut(pieces: Pieces, text: str) -> list[str]:
    return [pieces.texts[k] for k in pieces.encode(text)]


_LATIN = 0x250
