"""Look at a machine: what works, what does not, and how to mend it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from nextaim_kit.catalog import project_folder
from nextaim_kit.files import cache_folder, data_folder
from nextaim_kit.machine import gpu, limits
from nextaim_kit.show.viewers.available import Viewer

_GIB = 2**30
_INSTALL = "run `make lab`, or any other target of the Makefile: it brings .venv up to date"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report: what was looked at, the verdict, and how to mend it."""

    name: str
    verdict: Literal["ok", "warn", "fail"]
    detail: str
    mend: str = ""


def examine(runs: Path | None = None) -> list[Finding]:
    """Look at everything the kit needs.

    Parameters
    ----------
    runs : Path, optional
        Folder of the runs, looked at beside those of cache and data.
    """
    folders = {"cache folder": cache_folder(), "data folder": data_folder()}
    if runs is not None:
        folders = {"runs folder": runs} | folders
    return [
        python(),
        packages(project_folder() / "requirements.lock"),
        kernel(),
        processor(),
        memory(),
        shared_memory(),
        *(folder(name, path) for name, path in folders.items()),
        *([rights(runs)] if runs is not None else []),
        *graphics(),
        *viewers(),
    ]


def python(found: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Judge the interpreter's version: for others the lock has no files."""
    detail = ".".join(map(str, found))
    if (3, 11) <= found[:2] <= (3, 13):
        return Finding("Python", "ok", detail)
    mend = "remake the environment with it: make clean, then make lab PYTHON=python3.13"
    return Finding("Python", "fail", f"{detail}, but 3.11, 3.12 or 3.13 is needed", mend)


def packages(lock: Path) -> Finding:
    """Compare what is installed with the versions that were tested together."""
    if not lock.is_file():
        detail = f"no {lock.name}, so versions cannot be compared"
        return Finding("packages", "warn", detail, "install from the project's folder")
    pins = read_pins(lock)
    found = {name: _installed(name) for name in pins}
    missing = [f"{name} {pin} is missing" for name, pin in pins.items() if not found[name]]
    other = [
        f"{name} is {found[name]}, not {pin}"
        for name, pin in pins.items()
        if found[name] and found[name] != pin
    ]
    if not missing + other:
        return Finding("packages", "ok", f"{sum(map(bool, found.values()))} as locked")
    more = len(missing + other) - 5
    detail = "; ".join((missing + other)[:5]) + (f"; and {more} more" if more > 0 else "")
    return Finding("packages", "fail" if missing else "warn", detail, _INSTALL)


def read_pins(lock: Path) -> dict[str, str]:
    """Names and versions of a lock file, without its hashes."""
    words = (line.partition("#")[0].split() for line in lock.read_text().splitlines())
    return dict(found[0].split("==", 1) for found in words if found)


def kernel() -> Finding:
    """Judge whether notebooks run with this very interpreter."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Finding("kernel", "fail", "no kernel named python3", _INSTALL)
    # Jupyter itself puts the running interpreter in place of such a general name.
    if command in {"python", "python3"} or Path(command).absolute() == Path(sys.executable):
        return Finding("kernel", "ok", "python3 is this environment's")
    mend = f"{sys.executable} -m ipykernel install --sys-prefix"
    return Finding("kernel", "fail", f"python3 starts another interpreter: {command}", mend)


def processor() -> Finding:
    """Report the cores that may be used."""
    return Finding("processor", "ok", f"{limits.cpu_count()} cores may be used")


def memory(root: Path = limits.ROOT) -> Finding:
    """Judge whether there is memory for a tutorial run."""
    free, limit = limits.memory_available(root), limits.memory_limit(root)
    detail = f"{free / _GIB:.1f} of {limit / _GIB:.1f} GiB free"
    if free >= 3 * _GIB:
        return Finding("memory", "ok", detail)
    mend = "close other notebooks' kernels, or ask for a larger server (tutorials need 3 GiB)"
    return Finding("memory", "warn" if free >= _GIB else "fail", detail, mend)


def shared_memory(root: Path = limits.ROOT) -> Finding:
    """Judge whether loader processes can hand over batches."""
    free, workers = limits.shared_memory(root), limits.loader_workers(root)
    room = f"{free / _GIB:.1f} GiB" if free >= _GIB else f"{free / 2**20:.0f} MiB"
    detail = f"/dev/shm has {room} free: {workers} loader processes"
    if workers:
        return Finding("shared memory", "ok", detail)
    mend = "it still works, slower; give the container more, as in --shm-size=1g"
    return Finding("shared memory", "warn", detail, mend)


def folder(name: str, path: Path, need: int = 5 * _GIB) -> Finding:
    """Judge a folder by writing a file there, and by the room on its disk.

    A folder that is not there yet is judged by the nearest one above it, and not made.
    """
    mend = f"choose another with NEXTAIM_{name.split()[0].upper()}"
    place = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=place) as trial:
            trial.write(b"\0" * 4096)
            trial.flush()
    except OSError as error:
        return Finding(name, "fail", f"{place} cannot be written: {error.strerror}", mend)
    free = shutil.disk_usage(place).free
    detail = f"{path}, {free / _GIB:.1f} GiB free"
    if free >= need:
        return Finding(name, "ok", detail)
    return Finding(name, "warn", detail, f"free space, or {mend}")


def rights(runs: Path) -> Finding:
    """Judge whether others on this machine can enter the folder of the runs.

    New runs are their user's alone in any folder; those of earlier versions are not.
    """
    name, alone = "rights of the runs", "this user's alone, or as NEXTAIM_SHARED says"
    if not runs.is_dir():
        return Finding(name, "ok", alone)
    own, *above = [path.stat().st_mode for path in (runs, *runs.resolve().parents)]
    others = own & 0o007 and all(mode & 0o001 for mode in above)
    group = own & 0o070 and os.environ.get("NEXTAIM_SHARED") != "group"
    if not (others or group):
        return Finding(name, "ok", alone)
    detail = f"{runs} is open to {'others' if others else 'its group'}; new runs in it are not"
    return Finding(name, "warn", detail, f"chmod go= {runs}; NEXTAIM_SHARED=group shares runs")


def graphics(found: gpu.Gpu | None = None) -> list[Finding]:
    """Report the GPU or MIG slice that a trial allocation finds, and whether it was promised.

    What a hub's profile promises stands in ``NEXTAIM_EXPECTS``: ``cpu``, a slice such as
    ``1g.10gb``, or a part of a card's name.

    Parameters
    ----------
    found : Gpu, optional
        What was found before; else it is looked for now.
    """
    found, expected = found or gpu.find_gpu(), os.environ.get("NEXTAIM_EXPECTS", "").strip()
    return [_gpu(found)] + ([_promise(expected, found)] if expected else [])


def _gpu(found: gpu.Gpu) -> Finding:
    if found.kind != "none":
        memory = f"{found.free / _GIB:.1f} of {found.total / _GIB:.1f} GiB free"
        return Finding("GPU", "ok", f"{_kind(found)} {found.name}, {memory}")
    if found.problem:
        mend = "install a torch that fits the driver; until then all runs on the processor"
        return Finding("GPU", "warn", found.problem, mend)
    return Finding("GPU", "ok", "none; everything runs on the processor")


def _promise(expected: str, found: gpu.Gpu) -> Finding:
    name = "promised by the hub"
    if expected == "cpu" and found.kind == "none":
        return Finding(name, "ok", "no GPU")
    if expected == "cpu":
        mend = "tell the hub's administrators: the card may have been given to others"
        return Finding(name, "warn", f"no GPU, but {_kind(found)} {found.name} is seen", mend)
    if found.kind == "none":
        mend = (
            "stop the server (File, Hub Control Panel), start it with the same profile, and tell "
            "the hub's administrators if that does not help; the profile tutorial runs without GPU"
        )
        return Finding(name, "fail", f"{expected}, but no GPU can be used", mend)
    detail = f"{expected}, but {_kind(found)} {found.name} came, {found.total / _GIB:.1f} GiB"
    slice_of = re.fullmatch(r"\d+g\.(\d+)gb", expected)
    if slice_of and found.total < 0.85 * int(slice_of[1]) * 1e9:
        mend = (
            "stop the server and start it again for another card; else run the profile tutorial, "
            "or smaller batches and patches"
        )
        return Finding(name, "fail", detail, mend)
    if expected.lower() in found.name.lower():
        return Finding(name, "ok", expected)
    mend = "it will do, at another speed: compare no times with those of the card promised"
    return Finding(name, "warn", detail, mend)


def _kind(found: gpu.Gpu) -> str:
    return "MIG slice" if found.kind == "mig" else "GPU"


def viewers() -> list[Finding]:
    """Report which volume viewers can work."""
    from nextaim_kit.show.viewers.available import why_not

    found = [Finding("viewer: static", "ok", "figures of three planes, always")]
    details: dict[Viewer, str] = {
        "slices": "planes with a slider, in any browser",
        "niivue": "by ipyniivue, works offline where the browser has WebGL",
        "itkwidgets": "its viewer is served from here, where the browser has WebGL",
    }
    for name, detail in details.items():
        why, mend = why_not(name)
        found.append(Finding(f"viewer: {name}", "warn" if why else "ok", why or detail, mend))
    return found


def _installed(name: str) -> str:
    """Version without a local tag such as ``+cpu``; empty if not installed."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return ""
