"""Super-resolution: adversarial steps beside a plain loop, fields per minute, and large images.

    python benchmarks/superres.py          # six minutes; writes benchmarks/results
    python benchmarks/superres.py --quick  # small numbers, to try the script itself

*Steps.* Same networks, patches, losses and optimizers; both trainings take turns, one thread, and
the clock is in the loss that both call: what lies between two calls is one step of both networks,
with everything around it. The overhead is the median over pairs of turns. *Fields*: pairs of
widefield and STORM that the twin makes in one process, each with its truth. *Large images*: the
small generator, four times as fine, in a process of its own, in tiles with the halo that it sees,
and in one pass where memory holds it; all in as many threads as there are cores.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from nextaim_kit.files import write_text
from nextaim_kit.machine.limits import cpu_count
from nextaim_kit.machine.seeds import seed_everything
from nextaim_kit.studies.microscopy_superres.networks import (
    Discriminator,
    Generator,
    receptive_radius,
)

TURNS, EPOCHS, BATCH, EDGE, SCALE, WEIGHT, RATE = 5, 2, 4, 64, 4, 0.1, 1e-4
LIMIT = 1.05
TILE = 256
small = partial(Generator, SCALE, 32, 2, 16, 1)
judge = partial(Discriminator, EDGE, 16, 1)


class Clocked(nn.Module):
    """L1 that notes when it is called in training."""

    def __init__(self) -> None:
        super().__init__()
        self.called = [0.0]

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        if torch.is_grad_enabled():
            self.called.append(time.process_time())
        return functional.l1_loss(output, target)


def judged(first: Tensor, second: Tensor, sign: float) -> Tensor:
    """Relativistic average loss: `sign` 1 of the judge, 0 of what it judges (arXiv:1807.00734)."""
    apart = torch.cat([first - second.mean(), second - first.mean()])
    wanted = torch.cat([torch.full_like(first, sign), torch.full_like(second, 1 - sign)])
    return functional.binary_cross_entropy_with_logits(apart, wanted)


def fooled(real: Tensor, made: Tensor) -> Tensor:
    """What the generator minimizes."""
    return judged(real, made, 0.0)


def caught(real: Tensor, made: Tensor) -> Tensor:
    """What the judge minimizes."""
    return judged(real, made, 1.0)


def patches(n: int, seed: int) -> TensorDataset:
    """Noise, and the same noise smoothed on a finer grid."""
    x = torch.rand(
        n, 1, EDGE // SCALE, EDGE // SCALE, generator=torch.Generator().manual_seed(seed)
    )
    return TensorDataset(x, functional.interpolate(x, scale_factor=SCALE, mode="bicubic"))


def plain(train: TensorDataset, val: TensorDataset, loss: Clocked) -> None:
    """What one would write by hand."""
    net, judging = small(), judge()
    first, second = (torch.optim.Adam(one.parameters(), RATE) for one in (net, judging))
    for _ in range(EPOCHS):
        net.train()
        for x, y in DataLoader(train, BATCH, shuffle=True):
            judging.requires_grad_(False)
            made = net(x)
            value = loss(made, y) + WEIGHT * fooled(judging(y).detach(), judging(made))
            first.zero_grad()
            value.backward()
            first.step()
            judging.requires_grad_(True)
            second.zero_grad()
            made = judging(made.detach())
            caught(judging(y), made).backward()
            second.step()
        net.eval()
        with torch.no_grad():
            for x, y in DataLoader(val, BATCH):
                loss(net(x), y)


def kit(train: TensorDataset, val: TensorDataset, loss: Clocked) -> None:
    """The same by the kit's one call."""
    from nextaim_kit.learn.recipe import Recipe
    from nextaim_kit.learn.task import Adversary, Task
    from nextaim_kit.learn.training import train as train_task

    adversary = Adversary(judge, caught, fooled, WEIGHT, RATE)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        task = Task(small, loss, train, val, adversary=adversary)
        train_task(task, Recipe(EPOCHS, BATCH, RATE), folder=Path(folder))


def step_times(turns: int, items: int) -> dict[str, Any]:
    """Milliseconds of the processor per step, of both, and the overhead."""
    torch.set_num_threads(1)
    seed_everything(0)
    train, val = patches(items, 0), patches(BATCH, 1)
    medians: dict[str, list[float]] = {"plain": [], "kit": []}
    for turn in range(1 + turns):
        for name, side in (("plain", plain), ("kit", kit)):
            loss = Clocked()
            side(train, val, loss)
            # The few steps that an epoch's end lies between are the longest.
            steps = [b - a for a, b in zip(loss.called[1:], loss.called[2:], strict=False)]
            if turn:  # the first turn warms up
                medians[name].append(1000 * statistics.median(steps))
    ratios = [k / p for p, k in zip(medians["plain"], medians["kit"], strict=True)]
    return {
        "steps_each": turns * len(steps),
        "plain_ms": round(statistics.median(medians["plain"]), 2),
        "kit_ms": round(statistics.median(medians["kit"]), 2),
        "kit_over_plain": round(statistics.median(ratios), 3),
    }


def fields(count: int, pixels: int) -> dict[str, Any]:
    """How many fields the twin makes in a minute, in one process."""
    from nextaim_kit.studies.microscopy_superres.twin import Look, make_twin

    make = partial(make_twin, sets=("alpha_tub_1",), look=Look(pixels), workers=1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NEXTAIM_CACHE"] = folder
        make(1, seed=1, progress=lambda *_: None)  # fills the tables of transfer functions
        began = time.perf_counter()
        make(count, seed=2, progress=lambda *_: None)
        seconds = (time.perf_counter() - began) / count
    return {"storm_pixels": pixels * SCALE, "seconds_each": round(seconds, 3),
            "per_minute": round(60 / seconds)}  # fmt: skip


def large(edge: int, way: str) -> dict[str, Any]:
    """In a process of its own: seconds, peak memory, and a few values to compare."""
    from nextaim_kit.studies.microscopy_superres.tiling import as_function, tiled

    torch.manual_seed(0)
    net = small()
    torch.set_num_threads(cpu_count())
    image = np.random.default_rng(0).random((edge, edge)).astype(np.float32)
    began, used, seam, tiles = time.perf_counter(), time.process_time(), 0.0, 1
    if way == "whole":
        found = as_function(net)(image)
    else:
        found, seam, tiles = tiled(
            as_function(net), image, SCALE, halo=receptive_radius(net), tile=min(TILE, edge // 2),
            progress=lambda *_: None,
        )  # fmt: skip
    seconds, used = time.perf_counter() - began, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"edge": edge, "way": way, "seconds": round(seconds, 1),
            "seconds_of_cores": round(used, 1), "peak_gb": round(peak, 2),
            "tiles": tiles, "seam": seam, "values": found[7::101, 5::101].tolist()}  # fmt: skip


def in_a_child(edge: int, way: str) -> dict[str, Any]:
    """What `large` says there."""
    command = [sys.executable, __file__, "--child", way, "--edge", str(edge)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr or done.stdout)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--child", choices=["tiled", "whole"], help=argparse.SUPPRESS)
    parser.add_argument("--edge", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(large(given.edge, given.child)))
        return
    asked = [(96, "tiled"), (96, "whole")] if given.quick else LARGE
    rows = [in_a_child(*one) for one in asked]
    by = {(r["edge"], r["way"]): np.array(r.pop("values")) for r in rows}
    apart = [np.abs(by[edge, "tiled"] - by[edge, "whole"]).max()
             for edge, way in by if way == "whole"]  # fmt: skip
    result = {
        "hardware": f"{cpu_count()} cores",
        "step": step_times(*((1, 16) if given.quick else (TURNS, 80))),
        "fields": [fields(*one) for one in ([(1, 48)] if given.quick else [(20, 96), (10, 128)])],
        "large": rows,
        "tiled_less_whole": float(max(apart)),
    }
    print(json.dumps(result, indent=1))
    write_text(given.out / "superres.json", json.dumps(result, indent=1) + "\n")
    if not given.quick and result["step"]["kit_over_plain"] > LIMIT:
        raise SystemExit(f"more than {LIMIT:g} times a plain loop")
    if result["tiled_less_whole"] > 1e-5:
        raise SystemExit("tiles and one pass are not the same")


LARGE = [(512, "tiled"), (512, "whole"), (1024, "tiled"), (1024, "whole"), (2048, "tiled")]


if __name__ == "__main__":
    main()
