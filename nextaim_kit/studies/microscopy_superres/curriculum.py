"""Sets of fields one after another: divided, learned from, and forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import delayed
from torch import nn

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.final import Seen
from nextaim_kit.learn.training import Fitted
from nextaim_kit.machine.workers import parallel
from nextaim_kit.studies.microscopy_superres.networks import Features, load_saved
from nextaim_kit.studies.microscopy_superres.pairs import Pair
from nextaim_kit.studies.microscopy_superres.preparation import Aligned, halves
from nextaim_kit.studies.microscopy_superres.training import (
    Set,
    Size,
    train_gan,
    train_psnr,
)

# Networks A, B and C of the project's talk; which sets B and C learned from is a guess.
TALK = ["biosr_like", "alpha_tub_1", "alpha_tub_2+beta_tub_1+beta_tub_2"]
_FEW = 2000  # updates of all trainings: below, processes take longer to start than they save
_HALVED = 2  # fields of a set: so few are halved, and learned from and tested on, each
_TESTED = 1 / 3
_LEFT = ", left half"


@dataclass(frozen=True)
class Divided:
    """Pairs of a set: to learn from, to look at in training, and to test on.

    Attributes
    ----------
    train, val, test : list of Pair
    halved : bool
        Each field is on both sides, with a gap; `val` is what is learned from.
    """

    train: list[Pair]
    val: list[Pair]
    test: list[Pair]
    halved: bool = False

    def learned_from(self) -> list[str]:
        """Names of what is learned from, also of halves."""
        return [p.subject + _LEFT * self.halved for p in [*self.train, *self.val]]

    def without(self, seen: Seen) -> tuple[Divided, list[str]]:
        """Without those to test on that networks were trained on earlier; and their names."""
        names = [p.subject for p in self.test]
        known = set(seen.among(names))
        if not self.halved:  # an earlier run that halved it learned from its left half
            known |= {n for n in names if seen.among([n + _LEFT])}
        test = [p for p in self.test if p.subject not in known]
        return replace(self, test=test), sorted(known)


def divide(ready: Aligned, *, seed: int) -> tuple[dict[str, Divided], pd.DataFrame]:
    """Divide each set's fields: a third to test on, one to look at, the others to learn from.

    Sets are the sites; where no site is known each of few fields is a set. Of a set with one or
    two fields the left halves are learned from and the right halves tested. Pairs that share
    something seen are on one side; of halved ones a single pair is taken, the least moved one.

    Returns
    -------
    divided : dict of str to Divided
    left_out : DataFrame
        ``subject``, ``problem``.

    Raises
    ------
    DataError
        If a single field is too narrow to be halved (`preparation.halves`).
    """
    table = ready.table.assign(row=np.arange(len(ready.pairs)), set=_sets(ready.table))
    # A field belongs to the set in which it first comes: in another one it could be tested on.
    first = table.groupby("field")["set"].transform("first")
    wrong = table[table["set"] != first]
    left = [wrong[["subject"]].assign(problem="it shows a field of another set")]
    found = {}
    for name, rows in table[table["set"] == first].groupby("set", sort=False):
        if rows["field"].nunique() > _HALVED:
            found[str(name)] = _by_field(rows, ready.pairs, seed)
        else:
            rows = rows.sort_values(["moved", "scale"], kind="stable")
            again = rows["field"].duplicated()
            left.append(rows.loc[again, ["subject"]].assign(problem="another cut of its field"))
            cut = [halves(ready.pairs[k]) for k in rows.loc[~again, "row"]]
            one, other = [a for a, _ in cut], [b for _, b in cut]
            found[str(name)] = Divided(one, one, other, halved=True)
    return found, pd.concat(left, ignore_index=True)


def _sets(table: pd.DataFrame) -> pd.Series:
    if table["site"].nunique() > 1 or table["field"].nunique() > 6:
        return table["site"]
    return table["field"]


def _by_field(rows: pd.DataFrame, pairs: Sequence[Pair], seed: int) -> Divided:
    fields = sorted(rows["field"].unique())
    order = np.random.default_rng(seed).permutation(len(fields))
    tested = max(1, round(_TESTED * len(fields)))
    parts = (order[tested + 1 :], order[tested : tested + 1], order[:tested])
    train, val, test = (
        [pairs[r] for r in rows.loc[rows["field"].isin({fields[k] for k in part}), "row"]]
        for part in parts
    )
    return Divided(train, val, test)


def forget_known(
    divided: Mapping[str, Divided], seen: Seen
) -> tuple[dict[str, Divided], pd.DataFrame]:
    """Sets without the pairs to test on that networks were trained on; these by name.

    Raises
    ------
    DataError
        If a set has none left.
    """
    parts = {name: one.without(seen) for name, one in divided.items()}
    empty = [name for name, (one, _) in parts.items() if not one.test]
    if empty:
        raise DataError(
            f"the networks were trained on all that {empty[0]} has to test on",
            expected="other fields",
            mend="begin without weights, or give another cohort",
        )
    known = [(n, "it trained the networks to begin with") for _, ns in parts.values() for n in ns]
    left = pd.DataFrame(known, columns=["subject", "problem"])
    return {name: one for name, (one, _) in parts.items()}, left


@dataclass(frozen=True)
class Begun:
    """What a training begins with.

    Attributes
    ----------
    divided : dict of str to Divided
    left_out : DataFrame
        ``subject``, ``problem``.
    nets : dict of str to Module
        Networks of an earlier run, empty without one.
    seen : Seen or None
        Fields that they were trained on.
    """

    divided: dict[str, Divided]
    left_out: pd.DataFrame
    nets: dict[str, nn.Module]
    seen: Seen | None = None


def begin(ready: Aligned, networks: str = "", *, seed: int) -> Begun:
    """`divide` fields; none is tested on that trained the networks to begin with.

    Parameters
    ----------
    ready : Aligned
    networks : str
        A networks.safetensors of an earlier run; empty: there is none.
    seed : int
    """
    divided, left = divide(ready, seed=seed)
    if not networks:
        return Begun(divided, left, {})
    earlier = load_saved(Path(networks))
    divided, known = forget_known(divided, earlier.seen)
    return Begun(divided, pd.concat([left, known]), earlier.nets, earlier.seen)


def stages(divided: Mapping[str, Divided], asked: Sequence[str], steps: int) -> list[Set]:
    """Sets to learn from, one after the other.

    Parameters
    ----------
    divided : mapping of str to Divided
    asked : sequence of str
        Names of sets; several of one stage are joined by "+". Empty: all at once.
    steps : int
        Updates of each stage.

    Raises
    ------
    RequestError
        If there is no such set.
    """
    found = []
    for name in asked or ["+".join(divided)]:
        parts = [part.strip() for part in name.split("+")]
        if not set(parts) <= set(divided):
            raise RequestError(
                "there is no such set of fields", expected=", ".join(divided), found=name,
                mend="name sets of the cohort, or none to take all at once",
            )  # fmt: skip
        train, val = ([p for n in parts for p in getattr(divided[n], k)] for k in ("train", "val"))
        found.append(Set(name, train, val, steps))
    return found


@dataclass(frozen=True)
class Learned:
    """Networks of one seed, one for each stage.

    Attributes
    ----------
    seed : int
    curriculum : list of Fitted
        Each goes on from the one before.
    alone : list of Fitted
        Each from its own stage's set alone, in as many updates as the curriculum took until then.
        The first is the curriculum's.
    """

    seed: int
    curriculum: list[Fitted]
    alone: list[Fitted]


def learn_in_order(
    sets: Sequence[Set], size: Size, seeds: Sequence[int], *, folder: Path,
    start: nn.Module | None = None, **how: Any,
) -> list[Learned]:  # fmt: skip
    """Learn pixel by pixel in the order of the sets and, beside it, from each alone; per seed.

    On a CPU trainings run side by side, a core each.

    Parameters
    ----------
    sets, size, start
        As of `train_psnr`.
    seeds : sequence of int
    folder : Path
    **how
        ``rate`` and ``memory`` of `train_psnr`.
    """
    asked, jobs = [], []
    for seed in seeds:
        ways = [list(sets)] + [
            [replace(one, steps=sum(s.steps for s in sets[: k + 1]))]
            for k, one in enumerate(sets) if k
        ]  # fmt: skip
        for k, way in enumerate(ways):
            place = folder / f"seed {seed}" / ("curriculum" if not k else f"alone {k + 1}")
            asked.append((way, place, seed))
    call = partial(train_psnr, size=size, start=start, **how)
    jobs = [delayed(call)(way, folder=place, seed=seed) for way, place, seed in asked]
    short = sum(s.steps for way, *_ in asked for s in way) < _FEW
    alone = short or torch.cuda.is_available() or len(jobs) == 1
    results = iter(parallel(jobs, n_jobs=1 if alone else None, batch_size=1))
    learned = []
    for seed in seeds:
        whole = next(results)
        others = [next(results)[0] for _ in sets[1:]]
        learned.append(Learned(seed, whole, [whole[0], *others]))
    return learned


def fine_tuned(
    learned: Set, size: Size, start: nn.Module, folder: Path, *, members: int, width: int,
    rate: float, seed: int,
) -> list[nn.Module]:  # fmt: skip
    """Networks fine-tuned from one against a judge, by several seeds: they differ where they guess.

    Parameters
    ----------
    learned : Set
    size : Size
    start : Module
        What all of them begin with.
    folder : Path
    members : int
    width : int
        Of the random `Features` of the perceptual loss.
    rate : float
        As of `train_gan`.
    seed : int
        Of the first; the others have the next ones.
    """
    how: dict[str, Any] = {"features": Features(width=width), "rate": rate}
    return [
        train_gan([learned], size, start, folder=folder / f"gan {k}", seed=seed + k, **how)[-1].net
        for k in range(members)
    ]
