"""Decoding that cannot leave a template: an automaton of what may be written next.

What is written is a row of slots, such as ``ef=`` and one of its options. All of it is spelled in
tokens beforehand, so that any tokenizer will do which can spell the template, and the tokens that
may follow are looked up, not searched for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.report_structuring.text_model.tokenizer import EOS, PAD, Pieces

Spelled = tuple[int, ...]


@dataclass(frozen=True)
class Slot:
    """One value to be written.

    Attributes
    ----------
    key : str
        Of the field.
    before : str
        What always stands before it.
    options : tuple of str
        What may be written; the first one says that nothing is said.
    """

    key: str
    before: str
    options: tuple[str, ...]


@dataclass(eq=False)
class Node:
    """A place in what is written: the tokens that may follow, and how many there are to the end."""

    after: dict[int, Node] = field(default_factory=dict)
    fewest: int = 0
    most: int = 0
    slot: int = -1  # whose option is being written, where there is a choice


class Automaton:
    """All that may be written for one report.

    Parameters
    ----------
    slots : sequence of Slot
    pieces : Pieces

    Examples
    --------
    >>> from nextaim_kit.studies.report_structuring.text_model.tokenizer import learn_pieces
    >>> pieces = learn_pieces(["una tac"], 150, own=["side=", "left", "right"])
    >>> automaton = Automaton([Slot("side", "side=", ("?", "left", "right"))], pieces)
    >>> pieces.text(automaton.allowed([], 3)), automaton.shortest
    ('side=', 3)
    """

    def __init__(self, slots: Sequence[Slot], pieces: Pieces) -> None:
        self.slots = slots
        self.end = node = Node()
        opening: Spelled = (EOS,)
        for k in range(len(slots) - 1, -1, -1):
            # The token after an option closes it, so that 5 and 55 can be told apart.
            chain = _chain(opening[1:], node)
            node = _branches([pieces.spell(one) for one in slots[k].options], opening[0], chain, k)
            opening = pieces.spell(slots[k].before)
        self.start = _chain(opening, node)
        self._known: dict[Spelled, Node] = {(): self.start}

    @property
    def shortest(self) -> int:
        """Tokens of the shortest text, the end among them."""
        return self.start.fewest

    @property
    def longest(self) -> int:
        """Tokens of the longest text, the end among them."""
        return self.start.most

    def at(self, written: Sequence[int]) -> Node | None:
        """Where some tokens lead; None where they leave the template."""
        known = self._known.get(tuple(written))
        if known is None and written:
            before = self.at(written[:-1])
            known = before.after.get(int(written[-1])) if before else None
            if known is not None:
                self._known[tuple(written)] = known
        return known

    def allowed(self, written: Sequence[int], left: int) -> list[int]:
        """Tokens that may follow and still let the text be closed with so many left."""
        node = self.at(written)
        if node is None or not node.after:
            return [PAD]
        return [token for token, after in node.after.items() if after.fewest < left]


def spelled(slots: Sequence[Slot], pieces: Pieces, chosen: Sequence[int]) -> list[int]:
    """Tokens of the text that has one option, by its position, in each slot."""
    both = [
        (*pieces.spell(slot.before), *pieces.spell(slot.options[k]))
        for slot, k in zip(slots, chosen, strict=True)
    ]
    return [token for part in both for token in part] + [EOS]


def _chain(tokens: Spelled, end: Node) -> Node:
    for token in reversed(tokens):
        end = Node({token: end}, end.fewest + 1, end.most + 1)
    return end


def _branches(options: Sequence[Spelled], closing: int, end: Node, slot: int) -> Node:
    start = Node(slot=slot)
    for option in options:
        at = start
        for token in option:
            at = at.after.setdefault(token, Node(slot=slot))
        at.after[closing] = end
    _measure(start, end)
    return start


def _measure(node: Node, end: Node) -> None:
    if node is not end:
        for after in node.after.values():
            _measure(after, end)
        node.fewest = 1 + min(after.fewest for after in node.after.values())
        node.most = 1 + max(after.most for after in node.after.values())


def allowed_tokens(
    automata: Sequence[Automaton], longest: int
) -> Callable[[int, Tensor], list[int]]:
    """What ``generate`` asks for as ``prefix_allowed_tokens_fn``.

    Parameters
    ----------
    automata : sequence of Automaton
        Of each report of the batch.
    longest : int
        Tokens that may be written, the end among them; a text is closed in time.

    Raises
    ------
    RequestError
        If not even the shortest text can be written in so many.
    """
    least = max(one.shortest for one in automata)
    if longest < least:
        raise RequestError(
            "the answer does not fit into its tokens", expected=f"at least {least}",
            found=str(longest), mend="allow more tokens, or take a template of fewer fields",
        )  # fmt: skip

    def allowed(report: int, written: Tensor) -> list[int]:
        tokens = tuple(written[1:].tolist())
        return automata[report].allowed(tokens, longest - len(tokens))

    return allowed


def confidences(automaton: Automaton, written: Sequence[int], logits: NDArray) -> list[float]:
    """Probability of what was chosen among what the template allows, of each slot.

    NaN from where the text leaves the template, as one that nothing constrained may.

    Parameters
    ----------
    automaton : Automaton
    written : sequence of int
    logits : array of shape (n, vocabulary)
        At each of the tokens written.
    """
    found, node, slot = [1.0] * len(automaton.slots), automaton.start, 0
    for position, token in enumerate(written):
        slot = max(slot, node.slot)
        if token not in node.after:
            left = 0 if node is automaton.end else len(found) - slot
            return found[: len(found) - left] + [math.nan] * left
        if len(node.after) > 1:
            allowed = [*node.after]
            shares = softmax(logits[position, allowed].astype(float))
            found[node.slot] *= float(shares[allowed.index(token)])
        node = node.after[token]
    return found
