"""A network without its last layer, whatever study it is of, and one for tables."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nextaim_kit.errors import DataError
from nextaim_kit.learn.study_task import StudyTask

Build = Callable[[int], nn.Module]


def builder(task: StudyTask) -> Build:
    """What makes a task's network: its own, or of a table whose model is none, `table_network`."""
    if isinstance(task.build(0), nn.Module):
        return task.build
    return partial(table_network, task.x.shape[1])


def table_network(features: int, seed: int, width: int = 32) -> nn.Module:
    """Two layers of a table's features, before a logit."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(features, width), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1),
    )  # fmt: skip


def _last(net: nn.Module) -> tuple[str, nn.Linear]:
    found = [(name, one) for name, one in net.named_modules() if isinstance(one, nn.Linear)]
    if not found or not found[-1][0]:
        raise DataError("the network has no last layer to take off", expected="a torch.nn.Linear")
    return found[-1]


def body_of(net: nn.Module) -> tuple[nn.Module, int]:
    """A copy of a network without its last linear layer, and how many numbers it then gives.

    Raises
    ------
    DataError
        If it has no such layer.
    """
    body = deepcopy(net)
    name, last = _last(body)
    body.set_submodule(name, nn.Identity())
    return body, last.in_features


def with_body(net: nn.Module, body: nn.Module) -> nn.Module:
    """A network whose last layer is its own, all else what a body learned.

    Raises
    ------
    DataError
        If the body is of another network.
    """
    own, learned = net.state_dict(), body.state_dict()
    last = {f"{_last(net)[0]}.{part}" for part in ("weight", "bias")}
    differ = sorted(own.keys() - last ^ learned.keys())
    differ += [name for name in learned if name in own and own[name].shape != learned[name].shape]
    if differ:
        raise DataError("the body is of another network", found=", ".join(differ[:3]))
    net.load_state_dict(learned, strict=False)
    return net


class Seen:
    """Inputs as a network takes them: a table's standardized by some rows, images as they are.

    Parameters
    ----------
    task : StudyTask
    rows : array of int
        By which a table is standardized; a missing value becomes their mean.
    """

    def __init__(self, task: StudyTask, rows: NDArray) -> None:
        self.task = task
        if task.modality == "table":
            known = task.x[rows].astype(float)
            there = ~np.isnan(known)
            count = np.maximum(there.sum(0), 1)
            self.mean = np.where(there, known, 0).sum(0) / count
            spread = np.sqrt(np.where(there, (known - self.mean) ** 2, 0).sum(0) / count)
            self.spread = np.where(spread > 0, spread, np.inf)

    def __call__(self, rows: NDArray) -> Tensor:
        """Inputs of some rows."""
        x = self.task.x[rows]
        if self.task.modality == "table":
            x = np.nan_to_num((x - self.mean) / self.spread).clip(-10, 10)
        return torch.from_numpy(np.ascontiguousarray(x, np.float32))
