"""The kit's training beside a plain hand-written PyTorch loop: same net, data, order, steps.

    python benchmarks/training_loop.py         # a minute; writes benchmarks/results

Both sides train in turns, a few times over, and the fastest turn of each counts: what else the
machine does can only slow a turn down.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from nextaim_kit.data.files import write_text
from nextaim_kit.learn.fit import fit
from nextaim_kit.machine.limits import cpu_count
from nextaim_kit.machine.seeds import seed_everything

TURNS, EPOCHS, BATCH = 5, 3, 8
LIMIT = 1.05


def network() -> nn.Module:
    """A small encoder and decoder, about what a step on a film of 128 x 128 costs."""
    torch.manual_seed(0)
    from monai.networks.nets import BasicUNet

    return BasicUNet(spatial_dims=2, in_channels=1, out_channels=1, features=(8, 8, 16, 32, 64, 8))


def films(n: int, seed: int) -> TensorDataset:
    """Noise with a disk in it, and the disk as the mask."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 1, 128, 128, generator=draw)
    grid = torch.stack(torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij"))
    y = ((grid - 64) ** 2).sum(0).lt(900).float().expand(n, 1, 128, 128)
    return TensorDataset(x + y, y.clone())


def plain(train: TensorDataset, val: TensorDataset) -> None:
    """What one would write by hand: train, validate, keep the best and the last weights."""
    net, loss, best = network(), nn.BCEWithLogitsLoss(), float("inf")
    adam = torch.optim.Adam(net.parameters(), 1e-4)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(EPOCHS):
            net.train()
            for x, y in DataLoader(train, BATCH, shuffle=True):
                adam.zero_grad()
                loss(net(x), y).backward()
                adam.step()
            net.eval()
            with torch.no_grad():
                now = sum(loss(net(x), y).item() for x, y in DataLoader(val, BATCH))
            state = {"net": net.state_dict(), "adam": adam.state_dict()}
            torch.save(state, Path(folder) / "last.pt")
            if now < best:
                best = now
                torch.save(state, Path(folder) / "best.pt")


def kit(train: TensorDataset, val: TensorDataset) -> None:
    """The same by the kit's one call."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        fit(
            network, nn.BCEWithLogitsLoss(), train, val,
            folder=Path(folder), epochs=EPOCHS, batch_size=BATCH,
        )  # fmt: skip


def fastest(sides: dict[str, Callable[[], None]], turns: int) -> dict[str, float]:
    """Seconds of the fastest turn of each side, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(1 + turns):
        for name, work in sides.items():
            start = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in seconds.items()}


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    seed_everything(0)
    train, val = films(160, 0), films(32, 1)
    found = fastest({"plain": lambda: plain(train, val), "kit": lambda: kit(train, val)}, TURNS)
    steps = EPOCHS * len(train) // BATCH
    result = {
        "hardware": f"{cpu_count()} cores",
        "steps": steps,
        "plain_ms_per_step": round(found["plain"] / steps * 1000, 2),
        "kit_ms_per_step": round(found["kit"] / steps * 1000, 2),
        "kit_over_plain": round(found["kit"] / found["plain"], 3),
    }
    print(json.dumps(result, indent=1))
    write_text(options.out / "training_loop.json", json.dumps(result, indent=1) + "\n")
    if result["kit_over_plain"] > LIMIT:
        raise SystemExit(f"more than {LIMIT:g} times a plain loop")


if __name__ == "__main__":
    main()
