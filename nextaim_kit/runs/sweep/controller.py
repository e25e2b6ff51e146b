"""Runs a sweep: starts the engine on what is left of a plan, watches it, and says how it ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextaim_kit.errors import DataError, RequestError, RunError, mend_of
from nextaim_kit.machine.limits import cpu_count, memory_available
from nextaim_kit.places import placed, plain
from nextaim_kit.runs.record import locked_file
from nextaim_kit.runs.sweep.plan import Plan, Row, require_current
from nextaim_kit.runs.sweep.state import (
    CANCELED,
    LOGS,
    SLOTS,
    Ending,
    Progress,
    ending_path,
    forget,
    passed_on,
    progress,
    read_ending,
)  # fmt: skip
from nextaim_kit.yaml_text import parse_yaml

WORKFLOW = Path(__file__).parents[1] / "workflow"
LOG = "engine.log"
_PATIENCE = 60.0  # seconds that an engine may take to end when it is asked to
_POLL = 0.5

Heard = Callable[[Row, Ending], None]


def engines() -> list[str]:
    """Names of the engines that the kit has a profile for."""
    return sorted(p.parent.name for p in WORKFLOW.glob("*/config.yaml"))


@dataclass(frozen=True)
class Engine:
    """Where rows run.

    Attributes
    ----------
    profile : Path
        Folder of a Snakemake profile.
    executor : str
        Snakemake's executor, as the profile says.
    jobs : int, optional
        At most so many at once.
    resources : list of str
        ``name=value``: what the site wants of each job, such as ``slurm_partition=gpu``.
    """

    profile: Path
    executor: str
    jobs: int | None = None
    resources: tuple[str, ...] = ()

    @classmethod
    def named(cls, on: str, jobs: int | None = None, resources: tuple[str, ...] = ()) -> Engine:
        """The engine of a name, or of a folder with a Snakemake profile.

        Raises
        ------
        RequestError
            If there is none, or it lacks what it wants of each job.
        """
        places = (WORKFLOW / on, placed(on))
        folder = next((f for f in places if (f / "config.yaml").is_file()), None)
        if folder is None:
            raise RequestError(
                f"no engine {on!r}",
                expected=f"{', '.join(engines())}, or a folder with a Snakemake profile",
            )
        profile = parse_yaml((folder / "config.yaml").read_text(encoding="utf-8")) or {}
        said = [plain(resource, "a resource") for resource in resources]
        names = [resource.partition("=")[0] for resource in said if "=" in resource]
        if len(names) < len(resources):
            raise RequestError(f"cannot read -r {' -r '.join(resources)}", expected="-r NAME=VALUE")
        if "workflow.vkd" in str(profile) and "vkd_queue" not in names:
            raise RequestError(f"{on} wants to know a queue", mend="give it: -r vkd_queue=NAME")
        return cls(folder.resolve(), profile.get("executor", "local"), jobs, resources)

    @property
    def is_local(self) -> bool:
        return self.executor == "local"

    @property
    def ending(self) -> signal.Signals:
        """How Snakemake is ended: at SIGTERM it would wait for its jobs, at SIGINT it cancels them.

        Local rows end with it, however it ended.
        """
        return signal.SIGKILL if self.is_local else signal.SIGINT


def run(plan: Plan, engine: Engine, heard: Heard, waited: Callable[[Progress], None]) -> Progress:
    """Run what is left of a plan to its end, and give how all rows ended.

    Parameters
    ----------
    plan : Plan
        As it is frozen.
    engine : Engine
    heard : callable
        Called with a row and its ending, once for each, as they come.
    waited : callable
        Called with what is known so far: at once, then twice a second.

    Raises
    ------
    RunError
        If another process runs this sweep, it is canceled, or the engine itself fails.
    RequestError
        If a row takes more than this machine has.
    """
    with held(plan):
        before = progress(plan)
        forget(before)
        waited(before)
        if before.over:
            return before
        require_current(plan, [row for row in plan.rows if row.id not in before.endings])
        limits = _limits(plan, before) if engine.is_local else None
        with _warm(engine), _engine(plan, engine, limits) as process:
            canceled = _watch(plan, process, before, heard, waited)
        after = progress(plan)
        if canceled:
            raise RunError(f"the sweep {plan.name} was canceled", found=_counted(after))
        if process.returncode and after.endings.keys() == before.endings.keys():
            raise _engine_failed(plan, process.returncode)
        return after


@contextlib.contextmanager
def held(plan: Plan) -> Iterator[None]:
    """Hold a sweep for this process.

    Raises
    ------
    RunError
        If another one runs it.
    """
    busy = RunError(
        f"the sweep {plan.name} is being run by another process",
        expected="one at a time in a folder",
        mend="nextaim sweep status FILE shows it; nextaim sweep cancel FILE ends it",
    )
    with locked_file(plan.folder / ".lock", busy):
        yield


def lost(state: Progress) -> list[tuple[Row, list[str]]]:
    """Rows that started and left no ending, with the last lines of their log.

    Told when the engine is through; rows that they feed did not start.
    """
    gone = [row for row in state.plan.rows if row.id not in state.endings]
    logs = [(row, state.plan.folder / LOGS / f"{row.id}.log") for row in gone]
    return [(row, _last_lines(log)) for row, log in logs if log.exists()]


def cancel(plan: Plan) -> bool:
    """Ask for the end of a sweep, wherever its rows run; whether somebody runs it here."""
    if not plan.folder.is_dir():
        return False
    (plan.folder / CANCELED).touch()
    with contextlib.suppress(RunError), held(plan):
        return False
    return True


@dataclass(frozen=True)
class _Limits:
    """What local rows may take together."""

    cores: int
    memory_mb: int
    slots: tuple[str, ...]  # a device for each run with a GPU that fits


def _limits(plan: Plan, before: Progress) -> _Limits:
    left = [plan.resources(row) for row in plan.rows if row.id not in before.endings]
    memory_mb = memory_available() // 10**6
    largest = max(takes.memory_gb for takes in left)
    if 1000 * largest > memory_mb:
        raise RequestError(
            f"a run of the sweep {plan.name} takes more memory than there is",
            expected=f"{largest:g} GB, as its profile declares",
            found=f"{memory_mb / 1000:.1f} GB free here",
            mend="end other programs, take a smaller profile, or a larger machine with --on",
        )
    vram = max(takes.vram_gb for takes in left)
    return _Limits(cpu_count(), memory_mb, _slots(vram) if vram else ())


def _slots(vram_gb: float) -> tuple[str, ...]:
    """Devices, each as often as a run fits into its memory; empty without a GPU: on the CPU."""
    from nextaim_kit.machine.gpu import device_memories

    rooms = {device: int(free / 1e9 / vram_gb) for device, free in device_memories().items()}
    if rooms and not any(rooms.values()):
        raise RequestError(
            "a run of the sweep takes more GPU memory than there is",
            expected=f"{vram_gb:g} GB, as its profile declares",
            mend="take a smaller profile, or another GPU with --on",
        )
    return tuple(device for device, room in rooms.items() for _ in range(room))


@contextlib.contextmanager
def _warm(engine: Engine) -> Iterator[None]:
    """Keep the warm server over the sweep; on a cluster it would cost what it saves."""
    if not engine.is_local or os.environ.get("NEXTAIM_WARM") == "0":
        yield
        return
    from nextaim_kit.runs.warm.client import hold

    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError, RunError):  # each row says by itself why it is cold
            held.enter_context(hold())
        yield


@contextlib.contextmanager
def _engine(
    plan: Plan, engine: Engine, limits: _Limits | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Snakemake on what is left; it never outlives this process."""
    environment = {**os.environ, **passed_on()}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    if limits and limits.slots:
        environment[SLOTS] = ",".join(limits.slots)
    if not engine.is_local:
        environment["NEXTAIM_WARM"] = "0"
    try:
        log = (plan.folder / LOG).open("wb")
    except OSError as error:
        raise DataError(
            f"the folder {plan.folder} cannot be written to",
            found=error.strerror or str(error),
            mend=mend_of(error, "give another folder with --out or NEXTAIM_RUNS"),
        ) from error
    with log:
        process = subprocess.Popen(
            _command(plan, engine, limits), cwd=plan.folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            preexec_fn=_Follow(engine.ending),
        )  # fmt: skip
    try:
        yield process
    finally:
        _end(process, engine)


class _Follow:
    """Run in a child before its program starts: it is to get a signal when its parent is gone."""

    def __init__(self, number: int) -> None:
        self._number, self._prctl = number, ctypes.CDLL(None).prctl

    def __call__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's `&` has it ignored
        self._prctl(1, self._number)  # PR_SET_PDEATHSIG


def _end(process: subprocess.Popen[bytes], engine: Engine) -> None:
    """End what still runs of it: here its rows too, which leave nothing half made."""
    if process.poll() is not None:
        return
    process.send_signal(engine.ending)
    until = time.monotonic() + _PATIENCE
    with contextlib.suppress(ProcessLookupError):  # all of them have ended
        if engine.is_local:
            os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < until:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _command(plan: Plan, engine: Engine, limits: _Limits | None) -> list[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", WORKFLOW / "Snakefile",
               "--directory", plan.folder, "--profile", engine.profile, "--nolock", "--keep-going",
               "--rerun-incomplete", "--rerun-triggers", "mtime", "--scheduler", "greedy",
               "--config", f"local={int(engine.is_local)}"]  # fmt: skip
    if limits:
        command += ["--cores", limits.cores, "--resources", f"mem_mb={limits.memory_mb}"]
        command += [f"runs={engine.jobs}"] if engine.jobs else []
        command += [f"gpu={len(limits.slots)}"] if limits.slots else []
    else:
        command += ["--jobs", engine.jobs] if engine.jobs else []
        command += _slurm_options() if engine.executor == "slurm" else []
    wanted = [_as_text(resource) for resource in engine.resources]
    of_gpus = [r for r in wanted if r.startswith("gpu")]
    if others := [r for r in wanted if r not in of_gpus]:
        command += ["--default-resources", *others]
    if of_gpus:
        command += ["--set-resources", *(f"run_gpu:{r}" for r in of_gpus)]
    return [str(part) for part in command]


def _as_text(resource: str) -> str:
    """A resource whose value Snakemake does not take for Python: a partition may be named all."""
    name, _, value = resource.partition("=")
    return resource if value[:1] in "'\"" or value.isdigit() else f"{name}={value!r}"


def _slurm_options() -> list[str]:
    """Where Slurm keeps no accounts, `sacct`, which the plugin would ask, knows no job."""
    asked = ["scontrol", "show", "config"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    except OSError as error:
        raise RequestError(
            "there is no Slurm here",
            expected="its commands: sbatch, squeue, scontrol",
            found=error.strerror or str(error),
            mend="run this where jobs are submitted, or choose another engine with --on",
        ) from error
    kept = next((line for line in said.splitlines() if "AccountingStorageType" in line), "")
    return ["--slurm-status-command", "squeue"] if kept.endswith("none") else []


def _watch(
    plan: Plan,
    process: subprocess.Popen[bytes],
    state: Progress,
    heard: Heard,
    waited: Callable[[Progress], None],
) -> bool:
    """Tell what happens until the engine ends; whether the sweep was canceled."""
    endings = dict(state.endings)
    over = False
    while not over:
        over = process.poll() is not None  # then a last look
        for row in plan.rows:
            new = row.id not in endings and ending_path(plan.folder, row.id).exists()
            if new and (ending := read_ending(plan.folder, row.id)):
                endings[row.id] = ending
                heard(row, ending)
        waited(Progress(plan, dict(endings), frozenset()))
        if (plan.folder / CANCELED).exists():
            return True
        if not over:
            time.sleep(_POLL)
    return False


def _engine_failed(plan: Plan, code: int) -> RunError:
    free = shutil.disk_usage(plan.folder).free
    full = "; the disk is full" if free < 10**6 else ""
    return RunError(
        f"the engine of the sweep {plan.name} ended with {code}{full}",
        found="\n".join(["", *_last_lines(plan.folder / LOG)]),
        mend=f"all it said is in {plan.folder / LOG}; the same command goes on from here",
    )


def _last_lines(path: Path, count: int = 8) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line for line in lines if line.strip()][-count:]


def _counted(state: Progress) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(state.counts.items()))


def summary(state: Progress) -> dict[str, Any]:
    """Numbers of rows by state, all states named."""
    return {name: state.counts[name] for name in ("done", "failed", "running", "waiting")}
