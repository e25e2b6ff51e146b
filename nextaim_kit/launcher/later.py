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
_waiting: list[Callable[[], None]] = []


def later(work: Coroutine[Any, Any, None]) -> bool:
    """Let work go on beside the cells; False without a kernel's loop: nothing is done then."""
    try:
        task = asyncio.get_running_loop().create_task(work)
    except RuntimeError:
        work.close()
        return False
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return True


def gpu_found() -> Gpu | None:
    """The GPU or slice, None as long as nobody knows."""
    return _found[0] if _found else None


def when_gpu_is_found(tell: Callable[[], None]) -> None:
    """Call once it is known; asked in a process of its own, since importing torch takes long."""
    if _found:
        tell()
    else:
        _waiting.append(tell)
        if len(_waiting) == 1 and not later(_look()):
            _waiting.clear()


async def _look() -> None:
    try:
        asked = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FIND_GPU,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        answer, _ = await asked.communicate()
        said = answer.rstrip().rpartition(b"\n")[2]  # torch may have said something before
        _found[:] = [Gpu(**json.loads(said))]
    except (OSError, ValueError, TypeError):  # no process can be started, or it said nothing
        _found[:] = [Gpu(problem="the GPU could not be asked: see nextaim doctor")]
    while _waiting:
        _waiting.pop(0)()
