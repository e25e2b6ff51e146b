"""The memory planner against the truth, and how far it carries in 9.5 GB.

    python benchmarks/memory.py         # some minutes; writes benchmarks/results

Truth on a CPU is what torch's profiler sees the allocator give and take in two real updates of a
plain loop; where CUDA is, also the most that its allocator gave out and held. The rest is computed:
the largest cube that a 3-D U-Net of full width can be trained on, and a plan for a BraTS volume.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nextaim_kit.files import write_text
from nextaim_kit.machine.gpu import find_gpu
from nextaim_kit.machine.limits import cpu_count
from nextaim_kit.machine.seeds import seed_everything
from nextaim_kit.memory.dry_run import block_kinds, dry_run
from nextaim_kit.memory.measuring import measure, train
from nextaim_kit.memory.planning import Plan, plan
from nextaim_kit.memory.step_memory import GB, Device, Memory, Step

SLICE_GB, GRID = 9.5, 16
BRATS = (4, 240, 240, 144)
MEAN_LIMIT, WORST_LIMIT = 0.02, 0.08


def unet(channels: int = 1, width: int = 16, units: int = 2, norm: str = "instance") -> nn.Module:
    """MONAI's 3-D U-Net with four levels."""
    from monai.networks.nets import UNet

    levels = [width * 2**level for level in range(4)]
    return UNet(3, channels, 3, levels, (2, 2, 2), num_res_units=units, norm=norm)


def dynunet(channels: int = 1, width: int = 16, residual: bool = False) -> nn.Module:
    """MONAI's DynUNet, nnU-Net's network, with four levels."""
    from monai.networks.nets import DynUNet

    strides, filters = [1, 2, 2, 2], [width * 2**level for level in range(4)]
    return DynUNet(3, channels, 3, [3] * 4, strides, strides[1:], filters, res_block=residual)


def brats() -> nn.Module:
    """MONAI's U-Net, whose first layer halves the resolution: four inputs, five levels from 32."""
    from monai.networks.nets import UNet

    return UNet(3, 4, 3, (32, 64, 128, 256, 512), (2, 2, 2, 2), num_res_units=2)


def full() -> nn.Module:
    """nnU-Net's kind of network, which begins at full resolution: five levels from 32."""
    from monai.networks.nets import DynUNet

    filters, strides = [32, 64, 128, 256, 320], [1, 2, 2, 2, 2]
    return DynUNet(3, 4, 3, [3] * 5, strides, strides[1:], filters)


@dataclass(frozen=True)
class Setting:
    """A training step that is predicted and run."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    batch: int = 1
    accumulate: int = 1
    twice: bool = False

    def step(self, device: Device = "cpu", mixed: bool = False) -> Step:
        """As the planner takes it."""
        plain = Step(self.build, ((self.shape, "float32"),), batch_size=self.batch,
                     accumulate=self.accumulate, device=device, mixed=mixed)  # fmt: skip
        return replace(plain, recompute=tuple(block_kinds(plain)[:1])) if self.twice else plain


SETTINGS = [
    Setting("U-Net 48^3", unet, (1, 48, 48, 48)),
    Setting("U-Net 80^3", unet, (1, 80, 80, 80)),
    Setting("U-Net 64^3, batch of 3", unet, (1, 64, 64, 64), batch=3),
    Setting("U-Net 96x64x48, 4 inputs, width 32", lambda: unet(4, 32), (4, 96, 64, 48)),
    Setting("U-Net 64^3, batch norm, no residuals", lambda: unet(1, 16, 0, "batch"),
            (1, 64, 64, 64), batch=2),
    Setting("U-Net 64^3, computed twice", unet, (1, 64, 64, 64), batch=2, twice=True),
    Setting("U-Net 32^3, width 64", lambda: unet(1, 64), (1, 32, 32, 32)),
    Setting("DynUNet 48^3", dynunet, (1, 48, 48, 48)),
    Setting("DynUNet 80^3", dynunet, (1, 80, 80, 80)),
    Setting("DynUNet 64^3, residual, batch of 2", lambda: dynunet(residual=True),
            (1, 64, 64, 64), batch=2),
    Setting("DynUNet 64^3, 4 inputs, accumulated", lambda: dynunet(4), (4, 64, 64, 64),
            accumulate=2),
    Setting("DynUNet 64^3, computed twice", dynunet, (1, 64, 64, 64), batch=2, twice=True),
]  # fmt: skip


def other(kind: str, dimensions: int = 3) -> Callable[[], nn.Module]:
    """Networks of MONAI that nothing was adjusted to."""

    def build() -> nn.Module:
        from monai.networks import nets

        if kind == "UNet":
            return nets.UNet(dimensions, 1, 3, (16, 32, 64), (2, 2), num_res_units=1)
        return getattr(nets, kind)(dimensions, in_channels=1, out_channels=3)

    return build


# The formulas of machine/cpu_workspace.py were written while the settings above were looked at.
# These were chosen afterwards, and nothing was changed after they were seen.
HELD_OUT = [
    Setting("SegResNet 64^3", other("SegResNet"), (1, 64, 64, 64)),
    Setting("BasicUNet 64x48x32, batch of 2", other("BasicUNet"), (1, 64, 48, 32), batch=2),
    Setting("DynUNet 56^3, residual, width 24, computed twice",
            lambda: dynunet(width=24, residual=True), (1, 56, 56, 56), twice=True),
    Setting("2-D U-Net 192^2, batch of 8", other("UNet", 2), (1, 192, 192), batch=8),
]  # fmt: skip


def against_cpu(settings: list[Setting]) -> list[dict[str, Any]]:
    """Each setting: predicted, true, relative error."""
    rows = []
    for setting in settings:
        step = setting.step()
        predicted, true = dry_run(step).peak, measure(step).peak
        rows.append(compared(setting.name, predicted, true))
        print(rows[-1], flush=True)
    return rows


def against_cuda() -> list[dict[str, Any]]:
    """The same on a GPU in mixed precision: tensors, and with allowances what the device held."""
    rows = []
    for setting in SETTINGS:
        step = setting.step("cuda", mixed=True)
        predicted = dry_run(step)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        free = torch.cuda.mem_get_info()[0]
        train(step)
        held = torch.cuda.max_memory_reserved()
        row = compared(setting.name, predicted.tensors, torch.cuda.max_memory_allocated())
        extra = {"with_allowances_mb": predicted.peak, "reserved_mb": held, "free_mb": free}
        rows.append(row | {name: round(size / 1e6, 1) for name, size in extra.items()})
        print(rows[-1], flush=True)
    return rows


def compared(name: str, predicted: int, true: int) -> dict[str, Any]:
    """A row of the result."""
    return {
        "setting": name,
        "predicted_mb": round(predicted / 1e6, 2),
        "true_mb": round(true / 1e6, 2),
        "relative_error": round(predicted / true - 1, 5),
    }


def largest_cube(fits: Callable[[int], bool]) -> int:
    """Largest edge, a multiple of the grid, for which `fits` holds."""
    low, high = GRID, 2 * GRID
    while fits(high):
        low, high = high, 2 * high
    while high - low > GRID:
        middle = (low + high) // 2 // GRID * GRID
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def cubes(build: Callable[[], nn.Module]) -> dict[str, Any]:
    """The largest cube as it comes and by plan: all that leaves resolution and width alone."""

    def plain(edge: int) -> Memory:
        return dry_run(Step(build, (((4, edge, edge, edge), "float32"),)))

    def chosen(edge: int) -> Plan:
        return plan(build, (4, edge, edge, edge), budget_gb=SLICE_GB)

    naive = largest_cube(lambda edge: plain(edge).peak <= SLICE_GB * GB)
    planned = largest_cube(lambda edge: chosen(edge).fits)
    found = chosen(planned)
    return {
        "budget_gb": SLICE_GB,
        "naive_edge": naive,
        "naive_gb": round(plain(naive).peak / GB, 3),
        "planned_edge": planned,
        "planned_gb": round(found.memory.peak / GB, 3),
        "host_gb": round(found.memory.host / GB, 3),
        "times_the_voxels": round((planned / naive) ** 3, 2),
        "expected_time_per_voxel": round(found.taken[-1].time or 0, 2),
        "tricks": [f"{row.trick}: {row.choice}" for row in found.taken],
        "allowances_gb": {k: round(v / GB, 3) for k, v in found.memory.allowances.items()},
    }


def volume(build: Callable[[], nn.Module]) -> dict[str, Any]:
    """The plan for a whole BraTS volume."""
    found = plan(build, BRATS, budget_gb=SLICE_GB)
    print(found, flush=True)
    return {"shape": list(BRATS), **found.record(), "plan": str(found).splitlines()}


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    seed_everything(0)
    rows, held_out = against_cpu(SETTINGS), against_cpu(HELD_OUT)
    errors = [abs(row["relative_error"]) for row in rows]
    networks = {"MONAI UNet, features 32-512": brats, "MONAI DynUNet, filters 32-320": full}
    result = {
        "hardware": f"{cpu_count()} cores",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu": rows,
        "cpu_mean_error": round(statistics.mean(errors), 5),
        "cpu_worst_error": round(max(errors), 5),
        "held_out": held_out,
        "gpu": against_cuda() if find_gpu().kind != "none" else "not measured: no GPU was at hand",
        "brats": {name: volume(build) for name, build in networks.items()},
        "largest_cube": {name: cubes(build) for name, build in networks.items()},
    }
    print(json.dumps(result, indent=1))
    write_text(options.out / "memory.json", json.dumps(result, indent=1) + "\n")
    if result["cpu_mean_error"] > MEAN_LIMIT or result["cpu_worst_error"] > WORST_LIMIT:
        raise SystemExit(f"off by more than {MEAN_LIMIT:.0%} on average or {WORST_LIMIT:.0%} once")


if __name__ == "__main__":
    main()
