"""How much of this machine is ours: cores and memory by control group, hub and hardware.

A container or a batch job sees the whole host in most interfaces. The smallest of what the
control groups (versions 2 and 1), the hub (``CPU_LIMIT``, ``MEM_LIMIT``) and the hardware allow
is what counts. `root` stands for the file system's root, so that tests can plant files.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
_WORKER_MEMORY = 2 * 2**30
_WORKER_SHARED_MEMORY = 256 * 2**20


def cpu_count(root: Path = ROOT) -> int:
    """Cores that this process may use, at least 1."""
    quotas = [_quota(folder) for folder in _groups("cpu", root)]
    known = [cores for cores in (*quotas, _limit("CPU_LIMIT")) if cores is not None]
    return max(1, int(min([*known, _cores()])))


def process_count() -> int:
    """Worker processes to start for work that fills a core each: one per core.

    Under a debugger, such as JupyterLab's, none beside this one: a child would wait without end
    for the debugger to connect.
    """
    pydevd = sys.modules.get("pydevd")
    if pydevd is not None and pydevd.get_global_debugger() is not None:
        return 1
    return cpu_count()


def memory_limit(root: Path = ROOT) -> int:
    """Bytes of memory that this process and its siblings in the group may hold together."""
    limits = [_memory(folder)[0] for folder in _groups("memory", root)]
    known = [size for size in (*limits, _limit("MEM_LIMIT")) if size is not None]
    return int(min([*known, _meminfo("MemTotal", root)]))


def memory_available(root: Path = ROOT) -> int:
    """Bytes that can still be taken now; file caches count as free, as the kernel drops them."""
    free = [_meminfo("MemAvailable", root), memory_limit(root)]
    for folder in _groups("memory", root):
        limit, used = _memory(folder)
        if limit is not None and used is not None:
            free.append(limit - used)
    return max(0, int(min(free)))


def memory_kills(root: Path = ROOT) -> int:
    """How many processes the kernel has killed for want of memory since the machine started."""
    lines = (_read(root / "proc" / "vmstat") or "").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def shared_memory(root: Path = ROOT) -> int:
    """Free bytes in ``/dev/shm``, through which loader processes hand over batches; 0 if absent."""
    try:
        return shutil.disk_usage(root / "dev" / "shm").free
    except OSError:
        return 0


def loader_workers(root: Path = ROOT) -> int:
    """Loader processes that cores, memory and ``/dev/shm`` can bear; 0 is loading in the process.

    Each is given 2 GiB of memory and 256 MiB of shared memory. A container's default of 64 MiB
    of shared memory bears none: a loader would be killed with a bus error.
    """
    by_memory = memory_available(root) // _WORKER_MEMORY
    by_shared_memory = shared_memory(root) // _WORKER_SHARED_MEMORY
    return min(cpu_count(root), by_memory, by_shared_memory)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """Folders of the process's groups for a controller, each with its parents up to the mount.

    In a container the path may lie outside what is mounted; the mount itself then has the limits.
    """
    top = root / "sys" / "fs" / "cgroup"
    for line in (_read(root / "proc" / "self" / "cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mounts = [top, top / "unified"]
        elif controller in controllers.split(","):
            mounts = [top / controllers, top / controller]
        else:
            continue
        for mount in mounts:
            folder = Path(os.path.normpath(mount / path.lstrip("/")))
            yield from (f for f in (folder, *folder.parents) if f.is_relative_to(mount))
            if not folder.is_relative_to(mount):
                yield mount


def _quota(folder: Path) -> float | None:
    """Cores that a group may use, by either version's files; None without a limit."""
    both = (_read(folder / "cpu.max") or "").split()
    if not both:
        both = [_read(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    quota, period = (_number(text) for text in both) if len(both) == 2 else (None, None)
    return quota / period if quota and period and quota > 0 else None


def _memory(folder: Path) -> tuple[float | None, float | None]:
    """Limit of a group and what it holds without inactive file pages, in bytes."""
    limit = _number(_read(folder / "memory.max"))
    used = _number(_read(folder / "memory.current"))
    if limit is None and used is None:
        limit = _number(_read(folder / "memory.limit_in_bytes"))
        used = _number(_read(folder / "memory.usage_in_bytes"))
    if used is not None:
        lines = (_read(folder / "memory.stat") or "").splitlines()
        fields = dict(line.split(maxsplit=1) for line in lines if " " in line)
        cached = fields.get("total_inactive_file", fields.get("inactive_file", "0"))
        used -= _number(cached) or 0
    return limit, used


def _meminfo(field: str, root: Path) -> float:
    for line in (_read(root / "proc" / "meminfo") or "").splitlines():
        if line.startswith(f"{field}:"):
            return float(line.split()[1]) * 1024
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _limit(variable: str) -> float | None:
    value = _number(os.environ.get(variable))
    return value if value and value > 0 else None


def _number(text: str | None) -> float | None:
    """Read a number; None for "max", an empty text or none at all."""
    try:
        return float(text or "")
    except ValueError:
        return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
