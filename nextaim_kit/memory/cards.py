"""Cards of the groups by name: what fits on which, with which build of torch, in how many hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from nextaim_kit.catalog import Notebook, Resources, near_miss, studies
from nextaim_kit.errors import RequestError

PROFILES = ("slice", "paper")
_REFERENCE = "mig-10"  # whose minutes the study files declare
_OLDEST = 5.0  # below it no build of torch 2.7 or later has code


@dataclass(frozen=True)
class Card:
    """A GPU or a slice of one.

    Attributes
    ----------
    title : str
    memory_gb : float
        That a process can use, in GB (10**9 bytes).
    tflops : float
        In single precision, as published.
    bandwidth : float
        Of its memory in GB/s, as published.
    capability : float
        CUDA's number for what its code is made for.

    References
    ----------
    NVIDIA's data sheets of K80 (one of its two GPUs), V100 PCIe, T4, RTX 3060, RTX 3090, Quadro RTX
    5000 and A100; a slice has the share of multiprocessors (14 or 28 of 108) and of memory
    bandwidth (an eighth or two of 2039 GB/s) of NVIDIA's MIG User Guide.
    """

    title: str
    memory_gb: float
    tflops: float
    bandwidth: float
    capability: float

    @property
    def build(self) -> str:
        """The build of torch that has code for it; empty if none has.

        As of PyTorch's support matrix (RELEASE.md): before Turing (7.5) only the builds with CUDA
        12.6, which are to end with torch 2.15 (github.com/pytorch/pytorch/issues/190385).
        """
        if self.capability < _OLDEST:
            return ""
        return "CUDA 12.6, torch before 2.15" if self.capability < 7.5 else "any with CUDA 12.6 on"

    @property
    def precision(self) -> str:
        """What the kit trains in there: bfloat16 from Ampere on, half precision before."""
        return "bfloat16" if self.capability >= 8 else "float16"


CARDS = {
    "k80": Card("Tesla K80, one of its two GPUs", 12.0, 4.4, 240, 3.7),
    "v100-16": Card("V100 16 GB", 16.0, 14.0, 900, 7.0),
    "v100-32": Card("V100 32 GB", 32.0, 14.0, 900, 7.0),
    "t4": Card("T4", 16.0, 8.1, 320, 7.5),
    "rtx3060": Card("RTX 3060 12 GB", 12.0, 12.7, 360, 8.6),
    "rtx3090": Card("RTX 3090", 24.0, 35.6, 936, 8.6),
    "rtx5000": Card("Quadro RTX 5000", 16.0, 11.2, 448, 7.5),
    "a100-40": Card("A100 40 GB", 40.0, 19.5, 1555, 8.0),
    "mig-10": Card("A100 80 GB, MIG 1g.10gb", 9.5, 19.5 * 14 / 108, 2039 / 8, 8.0),
    "mig-20": Card("A100 80 GB, MIG 2g.20gb", 19.5, 19.5 * 28 / 108, 2039 / 4, 8.0),
}


def chosen(names: Sequence[str]) -> dict[str, Card]:
    """Cards by name, in this order; of no name all of them.

    Raises
    ------
    RequestError
        If there is no such card; names the near miss.
    """
    for name in names:
        if name not in CARDS:
            near = near_miss(name, CARDS)
            raise RequestError(
                f"no card {name!r}", expected=", ".join(CARDS),
                mend=f"did you mean {near}?" if near else "take the one most like yours",
            )  # fmt: skip
    return {name: CARDS[name] for name in names or CARDS}


def hours(takes: Resources, card: Card) -> tuple[float, float]:
    """About how long it takes there: an estimate from published throughput, not measured.

    The declared minutes are those of a slice of 10 GB. A network is bound by what is computed or by
    what is read from memory; the ends are the one and the other alone.

    Examples
    --------
    >>> takes = Resources(minutes=120, memory_gb=4, vram_gb=9)
    >>> [round(end, 2) for end in hours(takes, CARDS["mig-20"])]
    [1.0, 1.0]
    """
    known = CARDS[_REFERENCE]
    ends = [known.tflops / card.tflops, known.bandwidth / card.bandwidth]
    return takes.minutes / 60 * min(ends), takes.minutes / 60 * max(ends)


def obstacle(takes: Resources, card: Card) -> str:
    """Why a profile cannot run on a card; empty if it can."""
    if not card.build:
        return "not runnable: no torch has code for it"
    if takes.vram_gb > card.memory_gb:
        return f"no: {takes.vram_gb:g} GB, it has {card.memory_gb:g}"
    return ""


def every_notebook() -> list[Notebook]:
    """All of the kit, in the order of the path."""
    return [notebook for study in studies() for notebook in study.notebooks.values()]


def on_cards(notebooks: Sequence[Notebook], names: Sequence[str] = ()) -> pd.DataFrame:
    """What of some notebooks runs on which cards.

    Parameters
    ----------
    notebooks : sequence of Notebook
        Such as `every_notebook`.
    names : sequence of str
        Of `CARDS`; none: all.

    Returns
    -------
    DataFrame
        A row for each profile that trains on a GPU and each card: ``notebook``, ``profile``,
        ``gpu_gb`` (declared), ``card``, ``fits``, ``why`` it does not, ``hours_low`` and
        ``hours_high`` (`hours`; NaN where it does not run), and ``least``: whether no smaller and
        no slower of these cards would do.

    Raises
    ------
    RequestError
        If there is no such card.
    """
    cards, rows = chosen(names), []
    for notebook in notebooks:
        for profile in PROFILES:
            takes = notebook.resources.get(profile)
            if takes is None or not takes.vram_gb:
                continue
            why = {name: obstacle(takes, card) for name, card in cards.items()}
            serve = [name for name, reason in why.items() if not reason]
            least = min(serve, key=lambda name: _size(cards[name]), default="")
            for name, card in cards.items():
                span = (float("nan"),) * 2 if why[name] else hours(takes, card)
                rows.append((notebook.id, profile, takes.vram_gb, name, not why[name], why[name],
                             *span, name == least))  # fmt: skip
    columns = ["notebook", "profile", "gpu_gb", "card", "fits", "why", "hours_low", "hours_high"]
    return pd.DataFrame(rows, columns=[*columns, "least"])


def serving(found: pd.DataFrame) -> pd.DataFrame:
    """Of each card of `on_cards`, how much it can run, and the least that runs all: the reverse.

    Returns
    -------
    DataFrame
        ``card``, ``title``, ``memory_gb``, ``torch`` (its build, or ``none``), ``trains_in``,
        ``runs`` and ``of`` (trainings), ``hours_low`` and ``hours_high`` (of those that it runs,
        one after the other), ``least`` (the smallest, then slowest that runs as many as any).
    """
    rows = []
    for name, part in found.groupby("card", sort=False):
        card, runs = CARDS[str(name)], part[part["fits"]]
        rows.append((name, card.title, card.memory_gb, card.build or "none",
                     card.precision if card.build else "", len(runs), len(part),
                     runs["hours_low"].sum(), runs["hours_high"].sum()))  # fmt: skip
    columns = ["card", "title", "memory_gb", "torch", "trains_in", "runs", "of", "hours_low"]
    table = pd.DataFrame(rows, columns=[*columns, "hours_high"])
    most = table[(table["runs"] == table["runs"].max()) & (table["runs"] > 0)]
    best = min(most["card"], key=lambda name: _size(CARDS[name]), default="")
    return table.assign(least=table["card"] == best)


def _size(card: Card) -> tuple[float, float]:
    return card.memory_gb, card.tflops
