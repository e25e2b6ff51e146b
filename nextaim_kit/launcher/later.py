"""What goes on in the kernel while the page is open."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from nextaim_kit.machine.gpu import FIND_GPU, Gpu

_tasks: set[asyncio.Task[Any]] = set()  # the loop itself holds them only weakly
_found: list[Gpu] = []


def later(work: Coroutine[Any, Any, None]) -> None:
    """Let work go on beside the cells; without a kernel's loop nothing is done."""
    try:
        task = asyncio.get_running_loop().create_task(work)
    except RuntimeError:
        work.close()
        return
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def gpu_found() -> Gpu | None:
    """The GPU or slice, None as long as nobody knows."""
    return _found[0] if _found else None


def when_gpu_is_found(tell: Callable[[], None]) -> None:
    """Call once it is known; asked in a process of its own, since importing torch takes long."""
    if _found:
        tell()
    else:
        later(_look(tell))


async def _look(tell: Callable[[], None]) -> None:
    asked = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FIND_GPU,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    answer, _ = await asked.communicate()
    gpu = Gpu(problem="the GPU could not be asked: see nextaim doctor")
    _found[:] = [gpu if asked.returncode else Gpu(**json.loads(answer))]
    tell()
