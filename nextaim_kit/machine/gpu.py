"""Which GPU or MIG slice there is, found by using it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from nextaim_kit.errors import RunError

_TRIAL = 16 * 2**20


@dataclass(frozen=True)
class Gpu:
    """A CUDA device as found.

    Attributes
    ----------
    kind : {"none", "gpu", "mig"}
        Whether there is none, a whole one, or a slice of one.
    name : str
        As the driver names it; empty if there is none.
    total, free : int
        Memory in bytes; of a slice, the slice's own.
    problem : str
        Why a device that seems to be there cannot be used; empty otherwise.
    """

    kind: Literal["none", "gpu", "mig"] = "none"
    name: str = ""
    total: int = 0
    free: int = 0
    problem: str = ""


def find_gpu() -> Gpu:
    """Find the first CUDA device by a real allocation and sum on it.

    Utilization and memory as the management library reports them are not available inside a
    MIG slice or name the whole card, hence the trial.
    """
    try:
        import torch
    except (ImportError, OSError) as error:
        return Gpu(problem=f"torch cannot be imported: {error}")
    try:
        if not torch.cuda.is_available():
            return Gpu(problem=_driver_without_cuda(torch))
        return _try_device(torch)
    except (RuntimeError, AssertionError) as error:
        return Gpu(problem=(str(error).splitlines() or [type(error).__name__])[0])


FIND_GPU = (
    "import dataclasses, json; from nextaim_kit.machine.gpu import find_gpu;"
    "print(json.dumps(dataclasses.asdict(find_gpu())))"
)
"""Lines for a process of its own that prints what `find_gpu` found, as JSON."""


def device_memories() -> dict[str, int]:
    """Free bytes of every CUDA device, by what ``CUDA_VISIBLE_DEVICES`` calls it; empty without.

    Asked in a process of its own: a context would hold memory of each device.

    Raises
    ------
    RunError
        If they cannot be asked.
    """
    free = _asked_of_each("mem_get_info(i)[0]")
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return dict(zip(named or map(str, range(len(free))), free, strict=False))


@cache
def device_sizes() -> list[int]:
    """Bytes that each visible CUDA device has, of a slice the slice's own; empty without.

    Asked in a process of its own, as above.
    """
    return _asked_of_each("mem_get_info(i)[1]")


def _asked_of_each(question: str) -> list[int]:
    lines = (
        "import torch; cuda = torch.cuda;"
        f"print(*(cuda.{question} for i in range(cuda.device_count())))"
    )
    asked = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, check=False
    )
    if asked.returncode:
        raise RunError("the GPUs cannot be asked", found=asked.stderr.strip().rpartition("\n")[2])
    return [int(word) for word in asked.stdout.split()]


def _try_device(torch: Any) -> Gpu:
    block = torch.ones(_TRIAL // 4, dtype=torch.float32, device="cuda:0")
    total_of_ones = int(block.sum().item())
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info(0)
    name = torch.cuda.get_device_properties(0).name
    del block
    torch.cuda.empty_cache()
    if total_of_ones != _TRIAL // 4:
        return Gpu(name=name, problem=f"{name} adds wrongly: {total_of_ones}")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    kind: Literal["gpu", "mig"] = "mig" if "MIG" in f"{name} {visible}" else "gpu"
    return Gpu(kind, name, int(total), int(free))


def _driver_without_cuda(torch: Any) -> str:
    if not os.path.exists("/dev/nvidiactl"):
        return ""
    if torch.version.cuda is None:
        return "an NVIDIA driver is there, but this torch is built for the CPU alone"
    return f"an NVIDIA driver is there, but torch (CUDA {torch.version.cuda}) finds no device"
