"""Tractography of the thalamus: streamlines per second by workers, and networks in their place.

    python benchmarks/tractography.py          # two minutes; writes benchmarks/results
    python benchmarks/tractography.py --quick  # small numbers, to try the script itself

*Tracking.* One synthetic hemisphere in 2.5 mm: streamlines from every voxel of the left thalamus,
along its true directions with noise, followed by dipy in one process and in two. Both give the same
maps, which is checked. Seconds are by the clock, the best of some turns, with the start of the
processes apart; beside them stand dipy's own seconds for the same starts, in one call.

*Networks.* Of one box: seconds and memory of a prediction by the networks of the tutorial's size;
and the seconds of a training by `learn.train`, beside a loop written by hand that does the same
updates and validations. The weights and images are drawn by chance: only time is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nextaim_kit.files import write_text
from nextaim_kit.machine.limits import cpu_count
from nextaim_kit.studies.thalamus_tractography import tracking
from nextaim_kit.studies.thalamus_tractography.orientations import Orientations
from nextaim_kit.studies.thalamus_tractography.reference import Tracking, directions_of
from nextaim_kit.studies.thalamus_tractography.regions import regions_of
from nextaim_kit.studies.thalamus_tractography.tracking import Regions, Walk, track


def one_head(edge: float) -> tuple[Orientations, Regions]:
    """Directions, seed and targets of a synthetic subject."""
    from nextaim_kit.studies.thalamus_tractography.twin import Scan, make_twin

    with tempfile.TemporaryDirectory() as folder:
        os.environ["NEXTAIM_CACHE"] = folder
        how = {"sites": ("north",), "seed": 1, "workers": 1, "progress": lambda *_: None}
        row = make_twin(1, scan=Scan(edge=edge), **how).iloc[0].to_dict()
        along, _, _ = directions_of(row, Tracking(), 1)
        return along, regions_of(row, "left", along.affine, along.inside.shape)[0]


def best_of(call: Callable[[], Any], turns: int) -> float:
    """Seconds of the clock of the fastest turn, after one that warms up."""
    found = []
    for _ in range(1 + turns):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return min(found[1:])


def tracked(quick: bool) -> dict[str, Any]:
    """Streamlines per second of 1 and 2 workers, and of dipy alone."""
    along, regions = one_head(5.0 if quick else 2.5)
    walk, turns = Walk(8 if quick else 60), 1 if quick else 3
    launched = int(regions.seed.sum()) * walk.per_voxel
    seconds, maps = {}, {}
    for workers in (1, 2):
        seconds[workers] = best_of(lambda n=workers: track(along, regions, walk, workers=n), turns)
        maps[workers] = track(along, regions, walk, workers=workers).maps
    if not (maps[1] == maps[2]).all():
        raise SystemExit("one worker and two do not give the same maps")
    starts = tracking._launches(along, regions.seed, walk, 1)
    alone = best_of(lambda: list(tracking._dipy(along, walk, 1, *starts)), turns)
    rates = {f"streamlines_per_s_{n}_workers": round(launched / s) for n, s in seconds.items()}
    return {"launched": launched, "voxels": int(np.count_nonzero(regions.seed)), **rates,
            "dipy_alone_per_s": round(launched / alone),
            "kit_over_dipy": round(seconds[1] / alone, 2)}  # fmt: skip


def networks(quick: bool) -> dict[str, Any]:
    """Prediction of a box, and a training beside a loop written by hand."""
    import torch

    from nextaim_kit.memory.measuring import peak_of
    from nextaim_kit.studies.thalamus_tractography import targeting, training
    from nextaim_kit.studies.thalamus_tractography.definitions import BOX_SHAPE, TARGETS
    from nextaim_kit.studies.thalamus_tractography.tensor import Tensors

    rng, widths = np.random.default_rng(0), (4, 8) if quick else (16, 32, 64)
    tensors = Tensors(1e-3 * rng.random((*BOX_SHAPE, 6)).astype(np.float32))
    mask = np.zeros(BOX_SHAPE, bool)
    mask[9:29, 12:44, 12:34] = True
    inputs = training.INPUTS["tensor"]
    nets = targeting.Networks(training.UNet(1, 1, widths), (training.UNet(inputs, 6, widths),))
    seconds = best_of(lambda: targeting.maps_in(mask, tensors, nets), 1 if quick else 5)
    held = peak_of(lambda: targeting.maps_in(mask, tensors, nets))
    part = training.around(mask)
    shown = training.seen(tensors, mask, "tensor")[(slice(None), *part)]
    wanted = np.concatenate([rng.random((len(TARGETS), *shown.shape[1:])), mask[part][None]])
    pairs = [(shown, wanted.astype(np.float32))] * 8
    items = training.Boxes(pairs, "right", tensor=training.DIRECTED["tensor"])
    checked, epochs = training.Boxes(pairs[:2], "none"), 1 if quick else 8
    how = training.Training(widths, epochs)
    build = partial(training.UNet, inputs, len(TARGETS), widths)

    def by_kit() -> None:
        with tempfile.TemporaryDirectory() as folder:
            task = training.Task(build, training.map_loss, items, checked)
            how.fit(task, Path(folder))

    def by_hand() -> None:
        net = build().to(memory_format=torch.channels_last_3d)
        optimizer = torch.optim.Adam(net.parameters(), 1e-2)
        for _ in range(epochs):
            net.train()
            for seen, target in torch.utils.data.DataLoader(items, 2, shuffle=True):
                optimizer.zero_grad()
                training.map_loss(net(seen), target).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                for seen, target in torch.utils.data.DataLoader(checked, 2):
                    training.map_loss(net(seen), target)

    kit, hand = (best_of(call, 1 if quick else 3) for call in (by_kit, by_hand))
    return {"prediction_s": round(seconds, 3), "prediction_mb": round(held / 1e6),
            "updates": 4 * epochs, "training_s": round(kit, 2), "by_hand_s": round(hand, 2),
            "kit_over_hand": round(kit / hand, 2)}  # fmt: skip


PARTS: dict[str, Callable[[bool], dict[str, Any]]] = {"tracking": tracked, "networks": networks}


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--only", choices=list(PARTS), help="one part; the others stay as they are")
    options = parser.parse_args()
    place = options.out / "tractography.json"
    held = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    result = {"hardware": f"{cpu_count()} cores"}
    for name, part in PARTS.items():
        asked = options.only in (None, name)
        result[name] = part(options.quick) if asked else held.get(name)
    print(json.dumps(result, indent=1))
    write_text(place, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
