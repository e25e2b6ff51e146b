"""A detector's seconds: on a mammogram of 1024 pixels, and per training step beside a plain loop.

    python benchmarks/detection.py         # two minutes; writes benchmarks/results

YOLOv8 of size n. Both trainings have the same network, loss, pictures, augmentation and optimizer
and train in turns; the clock is in the loss that both call: what lies between two calls is one
step, with everything around it. Suppression is timed on 3,000 boxes. All are seconds of the
processor in one thread, which other programs on the machine do not lengthen much: several cores
take less time by the clock.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from nextaim_kit.files import write_text
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import train as train_task
from nextaim_kit.machine.limits import cpu_count
from nextaim_kit.machine.seeds import seed_everything
from nextaim_kit.studies.breast_masses.detectors.augmentation import (
    Augmentation,
    MassPictures,
    padded,
)
from nextaim_kit.studies.breast_masses.detectors.boxes import suppressed
from nextaim_kit.studies.breast_masses.detectors.marks import find
from nextaim_kit.studies.breast_masses.detectors.training import build, loss_of

TURNS, EPOCHS, BATCH, EDGE, RATE = 3, 2, 8, 128, 0.002
LIMIT = 1.05
batches = partial(padded, most=16)


class Clocked(nn.Module):
    """A loss that notes when it is called in training."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss, self.called = loss, [0.0]

    def forward(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The loss."""
        if torch.is_grad_enabled():
            self.called.append(time.process_time())
        return self.loss(output, target)


def spots(n: int, seed: int, how: Augmentation | None) -> MassPictures:
    """Noise with a box in each picture."""
    draw = torch.Generator().manual_seed(seed)
    box = torch.tensor([[40.0, 40, 80, 80]])
    return MassPictures(torch.rand(n, EDGE, EDGE, generator=draw), [box] * n, [True] * n, how)


def plain(train: MassPictures, val: MassPictures, loss: Clocked) -> None:
    """What one would write by hand."""
    net = build("yolov8")
    adam = torch.optim.AdamW(net.parameters(), RATE)
    for _ in range(EPOCHS):
        net.train()
        for x, y in DataLoader(train, BATCH, shuffle=True, collate_fn=batches):
            adam.zero_grad()
            torch.stack(list(loss(net(x), y).values())).sum().backward()
            adam.step()
        net.eval()
        with torch.no_grad():
            for x, y in DataLoader(val, BATCH, collate_fn=batches):
                loss(net(x), y)


def kit(train: MassPictures, val: MassPictures, loss: Clocked) -> None:
    """The same by the kit's one call."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        task = Task(partial(build, "yolov8"), loss, train, val, collate=batches)
        recipe = Recipe(EPOCHS, BATCH, RATE, torch.optim.AdamW)
        train_task(task, recipe, folder=Path(folder))


def steps(loss: Clocked) -> list[float]:
    """Seconds between calls; the few that an epoch's end lies between are the longest."""
    return [b - a for a, b in zip(loss.called[1:], loss.called[2:], strict=False)]


def seconds_of(call, turns: int = TURNS) -> float:
    """Median seconds of the processor for a call, after one that warms up."""
    found = []
    for _ in range(1 + turns):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return statistics.median(found[1:])


def training() -> dict[str, float]:
    """Median seconds per step of both sides."""
    train, val = spots(64, 0, Augmentation()), spots(16, 1, None)
    found: dict[str, list[float]] = {"plain": [], "kit": []}
    for turn in range(1 + TURNS):
        for name, side in (("plain", plain), ("kit", kit)):
            loss = Clocked(loss_of(build("yolov8"), (EDGE, EDGE)))
            side(train, val, loss)
            found[name] += steps(loss) if turn else []  # the first turn warms up
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    seed_everything(0)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    mammogram = rng.random((1, 1024, 1024), np.float32)
    corner = rng.uniform(0, 900, (3000, 2))
    boxes, scores = np.c_[corner, corner + rng.uniform(1, 120, (3000, 2))], rng.random(3000)
    net = build("yolov8").eval()
    took = training()
    result = {
        "hardware": f"one thread of {cpu_count()} cores",
        "clock": "seconds of the processor",
        "yolov8n_1024_pixels_s": round(seconds_of(lambda: find(net, mammogram)), 3),
        "suppression_3000_boxes_s": round(seconds_of(lambda: suppressed(boxes, scores)), 3),
        "plain_ms_per_step": round(took["plain"] * 1000, 1),
        "kit_ms_per_step": round(took["kit"] * 1000, 1),
        "kit_over_plain": round(took["kit"] / took["plain"], 3),
    }
    print(json.dumps(result, indent=1))
    write_text(options.out / "detection.json", json.dumps(result, indent=1) + "\n")
    if result["kit_over_plain"] > LIMIT:
        raise SystemExit(f"more than {LIMIT:g} times a plain loop")


if __name__ == "__main__":
    main()
