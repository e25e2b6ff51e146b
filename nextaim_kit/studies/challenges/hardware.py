"""The same training on other hardware: threads, code, precision, and a GPU where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from nextaim_kit.learn.intervals import SHARE, mean_interval
from nextaim_kit.studies.challenges.workarounds import Volumes, Way, loss, probability, scores

_RATE = 0.01  # of Adam


@dataclass(frozen=True)
class Setting:
    """What a training runs on.

    Attributes
    ----------
    name : str
    device : str
    threads : int
        Of a CPU.
    own_kernels : bool
        Whether oneDNN's kernels are used on a CPU; else torch's plain ones.
    half : bool
        Whether it computes in bfloat16 where torch's rules allow it.
    seed : int
        Added to the seed of all: other first weights and another order of the patients.
    """

    name: str
    device: str = "cpu"
    threads: int = 1
    own_kernels: bool = True
    half: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Trace:
    """What a training left: its losses, weights, and Dice and probabilities of patients.

    Attributes
    ----------
    losses : array of shape (updates,)
    weights : array of float32
    dice : array of shape (patients,)
    probability : array of float32
        Of all voxels of all patients.
    """

    losses: NDArray[np.float64]
    weights: NDArray[np.float32]
    dice: NDArray[np.float64]
    probability: NDArray[np.float32]


def settings(seeds: int = 3) -> tuple[list[Setting], pd.DataFrame]:
    """What can be tried here, the first being the mark, and ``setting``, ``why`` of the others.

    Parameters
    ----------
    seeds : int
        Other seeds on the same hardware, beside which all differences are seen.
    """
    found = [Setting("one thread"), Setting("once more"), Setting("two threads", threads=2),
             Setting("plain code", own_kernels=False), Setting("bfloat16", half=True)]  # fmt: skip
    left = []
    if torch.cuda.is_available():
        found.append(Setting("GPU", device="cuda"))
    else:
        left.append(("GPU", "there is none at hand"))
    found += [Setting(f"seed + {k}", seed=k) for k in range(1, seeds + 1)]
    return found, pd.DataFrame(left, columns=["setting", "why"])


def trace(setting: Setting, way: Way, parts: tuple[Volumes, Volumes], *, updates: int,
          seed: int) -> Trace:  # fmt: skip
    """Train so many updates from the same first weights on the same batches, and look.

    Parameters
    ----------
    setting : Setting
    way : Way
        Whole volumes, without work-around.
    parts : (volumes, volumes)
        To learn from, and to be tried on.
    updates, seed : int
    """
    torch.manual_seed(seed + setting.seed)
    net = way.build().to(setting.device).train()
    rng = np.random.default_rng(seed + setting.seed)
    descent = torch.optim.Adam(net.parameters(), lr=_RATE)
    losses = []
    with _as(setting):
        for _ in range(updates):
            drawn = rng.choice(len(parts[0]), min(way.batch_size, len(parts[0])), replace=False)
            x, y = (torch.stack([parts[0][k][i] for k in drawn]).to(setting.device)
                    for i in (0, 1))  # fmt: skip
            with torch.autocast(setting.device, torch.bfloat16, enabled=setting.half):
                found = loss(net(x).float(), y)
            descent.zero_grad()
            found.backward()
            descent.step()
            losses.append(found.item())
    net = net.cpu().eval()
    told = [probability(net, way, image) for image, _ in parts[1]]
    weights = torch.cat([p.detach().ravel() for p in net.parameters()]).numpy()
    return Trace(np.array(losses), weights, scores(told, parts[1]), np.stack(told))


@contextmanager
def _as(setting: Setting) -> Iterator[None]:
    kernels: Any = torch.backends.mkldnn
    gpu: Any = torch.backends.cudnn
    before = torch.get_num_threads(), kernels.enabled, gpu.deterministic
    torch.set_num_threads(setting.threads)
    kernels.enabled, gpu.deterministic = setting.own_kernels, True
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        kernels.enabled, gpu.deterministic = before[1], before[2]


def compared(traces: Mapping[str, Trace], *, n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
    """How far each training ended from the first one.

    Returns
    -------
    DataFrame
        ``name``, ``first_loss`` (difference of the first loss), ``loss`` (largest of the curve),
        ``weight`` and ``probability`` (largest of any), ``value``, ``low``, ``high`` (difference
        of the patients' mean Dice and its interval), and ``spread``: the Dice's difference in
        units of the largest one that another seed made; NaN if there was no other seed.
    """
    (_, mark), *others = traces.items()
    rows = []
    for name, one in others:
        moved = [np.abs(one.losses - mark.losses), np.abs(one.weights - mark.weights),
                 np.abs(one.probability - mark.probability)]  # fmt: skip
        dice = mean_interval(one.dice - mark.dice, bounds=(-1, 1), n_boot=n_boot, seed=seed)
        rows.append((name, moved[0][0], *(m.max() for m in moved), *dice))
    names = ["name", "first_loss", "loss", "weight", "probability", "value", "low", "high"]
    table = pd.DataFrame(rows, columns=names)
    seeds = table["value"][table["name"].str.startswith("seed")].abs()
    spread = seeds.max() if len(seeds) and seeds.max() > 0 else np.nan
    return table.assign(spread=table["value"].abs() / spread)


def drifts(traces: Mapping[str, Trace]) -> dict[str, NDArray[np.float64]]:
    """By how much each training's loss is off the first one's, update by update."""
    (_, mark), *others = traces.items()
    return {name: np.abs(one.losses - mark.losses) for name, one in others}


def tolerance(table: pd.DataFrame, names: Sequence[str]) -> float:
    """Within which Dice agrees, of some rows of `compared`: the farther end of any interval."""
    ends = table[table["name"].isin(list(names))][["low", "high"]].abs()
    return float(np.clip(ends.to_numpy().max(initial=0.0), *SHARE))
