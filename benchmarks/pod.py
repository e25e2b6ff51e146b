"""Every notebook inside a small pod: 2 cores and 4 GB, as a hub gives them.

    python benchmarks/pod.py                    # half an hour; writes benchmarks/results/pod.json
    python benchmarks/pod.py --cpus 1 --shm 64 ct_radiomics

Each notebook runs in control groups of its own, with everything it starts: no warm kernels, whose
server would stand outside. Needs root and control groups of version 1; without them only
``MEM_LIMIT`` and ``CPU_LIMIT`` say what there is, nothing enforces it, and the result says so.

Peak memory is the most that the group's processes held (anonymous pages and shared memory, looked
at five times a second). What the kernel counted also has the cache of files, which it drops
when it needs room.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.files import write_text
from nextaim_kit.machine.limits import cpu_count, memory_limit
from nextaim_kit.runs.chain import feeders
from nextaim_kit.runs.record import FILES, RECORD, read_record

GB, PERIOD, LOOK = 10**9, 100_000, 0.2
GROUPS = Path("/sys/fs/cgroup")


class Pod:
    """A control group for memory and one for cores; without rights, neither."""

    def __init__(self, cpus: int, memory: int) -> None:
        self.memory, self.cpu = (
            GROUPS / c / f"nextaim-pod-{time.monotonic_ns()}" for c in ("memory", "cpu")
        )
        self.limits = {
            self.memory / "memory.limit_in_bytes": memory,
            self.cpu / "cpu.cfs_period_us": PERIOD,
            self.cpu / "cpu.cfs_quota_us": cpus * PERIOD,
        }
        self.enforced = False

    def __enter__(self) -> Pod:
        try:
            for group in (self.memory, self.cpu):
                group.mkdir()
            for file, value in self.limits.items():
                file.write_text(str(value))
            self.enforced = True
        except OSError as error:
            self.__exit__()
            print(f"no control groups ({error.strerror}): the limits are said, not enforced")
        return self

    def __exit__(self, *_: object) -> None:
        for group in (self.memory, self.cpu):
            with contextlib.suppress(OSError):
                group.rmdir()

    def join(self) -> None:
        """Put this process into the groups; what it starts stays in them."""
        for group in (self.memory, self.cpu) if self.enforced else ():
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def held(self) -> int:
        """Bytes of anonymous pages and shared memory that the group holds now."""
        if not self.enforced:
            return 0
        fields = dict(
            line.split() for line in (self.memory / "memory.stat").read_text().splitlines()
        )
        return int(fields["total_rss"]) + int(fields["total_shmem"])

    def counted(self) -> dict[str, Any]:
        """What the kernel counted: the most with files' cache, and processes that it killed."""
        if not self.enforced:
            return {}
        most = int((self.memory / "memory.max_usage_in_bytes").read_text())
        killed = (self.memory / "memory.oom_control").read_text().split()[-1]
        return {"peak_with_file_cache_gb": round(most / GB, 2), "killed": int(killed)}


def measure(command: list[str], options: argparse.Namespace, runs: Path) -> dict[str, Any]:
    """Run a command in a pod: exit code, minutes, memory, and the last of what it said."""
    memory = int(options.memory * GB)
    hub = {"MEM_LIMIT": str(memory), "CPU_LIMIT": str(options.cpus)}
    own = {"NEXTAIM_WARM": "0", "NEXTAIM_RUNS": str(runs), "NEXTAIM_CACHE": str(runs / "cache")}
    with Pod(options.cpus, memory) as pod, tempfile.TemporaryFile("w+") as said:
        began, peak = time.monotonic(), 0
        process = subprocess.Popen(
            [*small_shared_memory(options.shm), *command], env=os.environ | hub | own,
            stdout=said, stderr=subprocess.STDOUT, preexec_fn=pod.join,
        )  # fmt: skip
        while process.poll() is None:
            peak = max(peak, pod.held())
            time.sleep(LOOK)
        found = {
            "exit_code": process.returncode,
            "minutes": round((time.monotonic() - began) / 60, 2),
            "peak_gb": round(peak / GB, 2) if pod.enforced else None,
            **pod.counted(),
            "enforced": pod.enforced,
        }
        said.seek(0)
        return found | ({"said": said.read().splitlines()[-6:]} if process.returncode else {})


def small_shared_memory(megabytes: int | None) -> list[str]:
    """What makes a command see a ``/dev/shm`` of this size: its own mounts; needs root."""
    if megabytes is None:
        return []
    mount = f'mount -t tmpfs -o size={megabytes}m tmpfs /dev/shm && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh"]


def notebooks(names: list[str]) -> Iterator[catalog.Notebook]:
    """The notebooks asked for, else all, in the order of their studies."""
    every = names or [study.id for study in catalog.studies()]
    yield from (catalog.find(one) for name in every for one in catalog.expand(name))


def run(notebook: catalog.Notebook, done: dict[str, Path], options: Any, runs: Path) -> dict:
    """One notebook, fed by those that ran before it."""
    fed = {p: done[who] / FILES / file for p, (who, file) in feeders(notebook.id, done).items()}
    command = [sys.executable, "-m", "nextaim_kit.cli", "run", notebook.id]
    command += ["--force", "--profile", options.profile]
    command += [word for name, path in fed.items() for word in ("-p", f"{name}={path}")]
    found = measure(command, options, runs)
    records = (runs / notebook.id).glob(f"*/{RECORD}")
    latest = max(records, key=lambda path: path.stat().st_mtime, default=None)
    record = read_record(latest.parent) if latest else None
    if latest and record and record["outcome"] != "failed":
        done[notebook.id] = latest.parent
    return {"outcome": record["outcome"] if record else "failed"} | found


def main() -> None:
    """Run, print, write; exit code 1 if a notebook failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", help="ids or studies; all of them if none is named")
    parser.add_argument("--profile", default="tutorial")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--memory", type=float, default=4, help="GB of 10**9 bytes")
    parser.add_argument("--shm", type=int, help="MB of /dev/shm")
    parser.add_argument("--runs", type=Path, help="folder that keeps the runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "pod.json")
    options = parser.parse_args()
    found: dict[str, dict] = {}
    done: dict[str, Path] = {}
    with tempfile.TemporaryDirectory() as lost:
        runs = (options.runs or Path(lost)).absolute()
        for notebook in notebooks(options.notebooks):
            found[notebook.id] = run(notebook, done, options, runs)
            print(notebook.id, json.dumps(found[notebook.id]), flush=True)
    pod = {name: getattr(options, name) for name in ("profile", "cpus", "memory", "shm")}
    host = {"cores": cpu_count(), "memory_gb": round(memory_limit() / GB, 1)}
    result = {"pod": pod, "machine": host, "notebooks": found}
    write_text(options.out, json.dumps(result, indent=1) + "\n")
    raise SystemExit(any(one["outcome"] == "failed" or one["exit_code"] for one in found.values()))


if __name__ == "__main__":
    main()
