"""Seconds per training step: the kit's one call beside a plain hand-written PyTorch loop.

    python benchmarks/training_loop.py         # a minute; writes benchmarks/results

Same network, data, batches and optimizer. Both sides train in turns, and the clock is in the loss
that both call: what lies between two calls is one step, with everything around it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from nextaim_kit.files import write_text
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import train as train_task
from nextaim_kit.machine.limits import cpu_count
from nextaim_kit.machine.seeds import seed_everything

TURNS, EPOCHS, BATCH = 5, 2, 8
LIMIT = 1.05


class Clocked(nn.Module):
    """Binary cross-entropy that notes when it is called in training."""

    def __init__(self) -> None:
        super().__init__()
        self.loss, self.called = nn.BCEWithLogitsLoss(), [0.0]

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        if torch.is_grad_enabled():
            self.called.append(time.perf_counter())
        return self.loss(output, target)


def network() -> nn.Module:
    """A small encoder and decoder, about what a step on a film of 128 x 128 costs."""
    from monai.networks.nets import BasicUNet

    return BasicUNet(spatial_dims=2, in_channels=1, out_channels=1, features=(8, 8, 16, 32, 64, 8))


def films(n: int, seed: int) -> TensorDataset:
    """Noise with a disk in it, and the disk as the mask."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 1, 128, 128, generator=draw)
    grid = torch.stack(torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij"))
    y = ((grid - 64) ** 2).sum(0).lt(900).float().expand(n, 1, 128, 128)
    return TensorDataset(x + y, y.clone())


def plain(train: TensorDataset, val: TensorDataset, loss: Clocked) -> None:
    """What one would write by hand."""
    net = network()
    adam = torch.optim.Adam(net.parameters(), 1e-4)
    for _ in range(EPOCHS):
        net.train()
        for x, y in DataLoader(train, BATCH, shuffle=True):
            adam.zero_grad()
            loss(net(x), y).backward()
            adam.step()
        net.eval()
        with torch.no_grad():
            for x, y in DataLoader(val, BATCH):
                loss(net(x), y)


def kit(train: TensorDataset, val: TensorDataset, loss: Clocked) -> None:
    """The same by the kit's one call."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        task = Task(network, loss, train, val)
        train_task(task, Recipe(EPOCHS, BATCH), folder=Path(folder))


def steps(loss: Clocked) -> list[float]:
    """Seconds between calls; the few that an epoch's end lies between are the longest."""
    return [b - a for a, b in zip(loss.called[1:], loss.called[2:], strict=False)]


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    seed_everything(0)
    train, val = films(160, 0), films(32, 1)
    found: dict[str, list[float]] = {"plain": [], "kit": []}
    for turn in range(1 + TURNS):
        for name, side in (("plain", plain), ("kit", kit)):
            loss = Clocked()
            side(train, val, loss)
            found[name] += steps(loss) if turn else []  # the first turn warms up
    median = {name: statistics.median(values) for name, values in found.items()}
    result = {
        "hardware": f"{cpu_count()} cores",
        "steps": len(found["kit"]),
        "plain_ms_per_step": round(median["plain"] * 1000, 2),
        "kit_ms_per_step": round(median["kit"] * 1000, 2),
        "kit_over_plain": round(median["kit"] / median["plain"], 3),
    }
    print(json.dumps(result, indent=1))
    write_text(options.out / "training_loop.json", json.dumps(result, indent=1) + "\n")
    if result["kit_over_plain"] > LIMIT:
        raise SystemExit(f"more than {LIMIT:g} times a plain loop")


if __name__ == "__main__":
    main()
