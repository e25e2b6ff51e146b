"""The cache of steps beside stored copies: bytes of a development path, seconds of an epoch.

    python benchmarks/cache.py         # 6 minutes; writes benchmarks/results/cache.json

The raw data are 20 synthetic CTs of 512 x 384 x 100 voxels with their masks. The path is that of
the study ct_lungquant: what `EXPERIMENTS` says is tried on all of them, one after the other. By
the kit each deterministic step is kept once, and chance is drawn anew. By copies, as was done when
21 GB became 3.5 TB, each experiment writes what its network reads, and each augmentation.
An epoch takes a random part of each CT, varies it, and does a training step of U-net2.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from nextaim_kit.data.cache import space
from nextaim_kit.files import write_text
from nextaim_kit.machine.limits import cpu_count
from nextaim_kit.machine.seeds import seed_everything
from nextaim_kit.studies.ct_lungquant.networks import nets as networks
from nextaim_kit.studies.ct_lungquant.networks import preparing
from nextaim_kit.studies.ct_lungquant.networks.items import Patches
from nextaim_kit.studies.ct_lungquant.networks.preparing import Prepared
from nextaim_kit.studies.ct_lungquant.twin import make_twin

SUBJECTS, SIZE, TURNS, PATCH = 20, (512, 384, 100), 4, (64, 64, 64)
AUGMENTED = 10  # copies of each CT that are stored varied
LIMIT = 1.0
# Spacing in mm, and what else is tried; all but the spacing is done on the fly by the kit.
EXPERIMENTS: list[tuple[tuple[float, float, float], str]] = [
    ((4.0, 4.0, 4.0), "v1"),
    ((4.0, 4.0, 4.0), "v2: box first, sides apart"),
    ((2.0, 2.0, 3.4), "v2, as many voxels as published"),
    ((2.0, 2.0, 3.4), "DynUNet"),
    ((2.0, 2.0, 3.4), "mirrored and noisier"),
    ((2.0, 2.0, 2.0), "v2, finer slices"),
]
COMPARED = EXPERIMENTS[2][0]


def by_the_kit(cohort: pd.DataFrame) -> int:
    """Bytes that the whole path leaves in the cache."""
    for spacing, _ in EXPERIMENTS:
        preparing.prepare(cohort, spacing)
    return sum(entry.bytes for entry in space.held())


def by_copies(cohort: pd.DataFrame) -> tuple[int, int]:
    """Bytes of the same path in files: what networks read (float32, masks uint8), and varied."""
    plain = 0
    for spacing, _ in EXPERIMENTS:
        cases, *_ = preparing.prepare(cohort, spacing)
        plain += sum((4 + 1 + 1) * int(np.prod(case.shape)) for case in cases)
    return plain, plain * (1 + AUGMENTED)


class Copies:
    """A prepared subject as stored copies, read as many do: the whole file, for each item."""

    def __init__(self, case: Prepared, folder: Path, *, mapped: bool) -> None:
        self.folder, self.mode = folder / case.subject, "r" if mapped else None
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("hu", "lungs", "lesions"):
            np.save(self.folder / f"{name}.npy", np.asarray(case.store[name][...]))

    def __getitem__(self, name: str) -> Any:
        return np.load(self.folder / f"{name}.npy", mmap_mode=self.mode)


def epoch(cases: Sequence[Prepared], seed: int) -> tuple[float, float]:
    """Seconds of reading, and of all, of one pass over the CTs."""
    torch.manual_seed(seed)
    net, loss = networks.segmenter(1), networks.loss("v2")
    adam = torch.optim.Adam(net.parameters())
    items = Patches(cases, "lesions", PATCH, augment=True)
    reading, began = 0.0, time.perf_counter()
    for index in range(len(items)):
        before = time.perf_counter()
        hu, mask = items[index]
        reading += time.perf_counter() - before
        adam.zero_grad()
        loss(net(hu[None]), mask[None]).backward()
        adam.step()
    return reading, time.perf_counter() - began


def epochs(ways: dict[str, Sequence[Prepared]]) -> dict[str, dict[str, float]]:
    """Each way in turns, the same chance for all; the first turn warms up."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(1 + TURNS):
        for name, cases in ways.items():
            seconds = epoch(cases, turn)
            found[name] += [seconds] if turn else []
    return {
        name: {
            "seconds": round(statistics.median(whole for _, whole in times), 3),
            "seconds_reading": round(statistics.median(reading for reading, _ in times), 3),
            "over_stored_copies": round(
                statistics.median(
                    whole / other
                    for (_, whole), (_, other) in zip(times, found["npy"], strict=True)
                ),
                3,
            ),
        }
        for name, times in found.items()
    }


def measure(folder: Path) -> dict[str, Any]:
    """All figures."""
    os.environ["NEXTAIM_CACHE"] = str(folder / "cache")
    cohort = make_twin(SUBJECTS, size=SIZE)
    time.sleep(2.5)  # a file just written is not remembered by its time stamp
    files = [Path(path) for name in ("image", "lungs", "lesions") for path in cohort[name]]
    raw = sum(path.stat().st_size for path in files)
    kit, (plain, varied) = by_the_kit(cohort), by_copies(cohort)
    cases, *_ = preparing.prepare(cohort, COMPARED)
    ways = {"cache": cases}
    for name, mapped in (("npy", False), ("npy_mapped", True)):
        ways[name] = [replace(c, store=Copies(c, folder / name, mapped=mapped)) for c in cases]
    return {
        "hardware": f"{cpu_count()} cores",
        "raw": {"synthetic_cts": SUBJECTS, "voxels": SIZE, "megabytes": round(raw / 1e6, 1)},
        "experiments": len(EXPERIMENTS),
        "bytes_written_over_raw_bytes": {
            "cache": round(kit / raw, 3),
            "copies_of_each_experiment": round(plain / raw, 2),
            f"copies_and_{AUGMENTED}_augmentations_of_each": round(varied / raw, 2),
        },
        "epoch": epochs(ways),
    }


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    seed_everything(0)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder))
    print(json.dumps(result, indent=1))
    write_text(options.out / "cache.json", json.dumps(result, indent=1) + "\n")
    share, over = result["bytes_written_over_raw_bytes"]["cache"], result["epoch"]["cache"]
    if share > LIMIT:
        raise SystemExit(f"more than {LIMIT:g} of the raw bytes: {share}")
    print(f"an epoch takes {over['over_stored_copies']} of what it takes from stored copies")


if __name__ == "__main__":
    main()
