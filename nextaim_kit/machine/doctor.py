"""Look at a machine: what works, what does not, and how to mend it."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from nextaim_kit.catalog import project_folder
from nextaim_kit.data.files import cache_folder, data_folder
from nextaim_kit.machine import gpu, limits

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
        graphics(),
        *viewers(),
    ]


def python(found: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Judge the interpreter's version: pyradiomics 3.0.1 cannot be built with a newer one."""
    detail = ".".join(map(str, found))
    if found[:2] == (3, 11):
        return Finding("Python", "ok", detail)
    mend = "remake the environment with it: make clean, then make lab PYTHON=python3.11"
    return Finding("Python", "fail", f"{detail}, but 3.11 is needed", mend)


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
        return Finding("packages", "ok", f"{len(pins)} as locked")
    more = len(missing + other) - 5
    detail = "; ".join((missing + other)[:5]) + (f"; and {more} more" if more > 0 else "")
    return Finding("packages", "fail" if missing else "warn", detail, _INSTALL)


def read_pins(lock: Path) -> dict[str, str]:
    """Names and versions of a lock file."""
    lines = (line.partition("#")[0].strip() for line in lock.read_text().splitlines())
    return dict(line.split("==", 1) for line in lines if line)


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
    detail = f"/dev/shm has {free / 2**20:.0f} MiB free: {workers} loader processes"
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


def graphics(found: gpu.Gpu | None = None) -> Finding:
    """Report the GPU or MIG slice that a trial allocation found, or finds now."""
    found = found or gpu.find_gpu()
    if found.kind != "none":
        what = "MIG slice" if found.kind == "mig" else "GPU"
        memory = f"{found.free / _GIB:.1f} of {found.total / _GIB:.1f} GiB free"
        return Finding("GPU", "ok", f"{what} {found.name}, {memory}")
    if found.problem:
        mend = "install a torch that fits the driver; until then all runs on the processor"
        return Finding("GPU", "warn", found.problem, mend)
    return Finding("GPU", "ok", "none; everything runs on the processor")


def viewers() -> list[Finding]:
    """Report which volume viewers can work."""
    about: Mapping[str, str] = {
        "ipyniivue": "works offline",
        "itkwidgets": "the browser loads its viewer from the internet; blank without",
    }
    found = [Finding("viewer: static", "ok", "figures of slices, always")]
    for name, detail in about.items():
        there = find_spec(name) is not None
        mend = "" if there else _INSTALL
        detail = detail if there else "not installed"
        found.append(Finding(f"viewer: {name}", "ok" if there else "warn", detail, mend))
    return found


def _installed(name: str) -> str:
    """Version without a local tag such as ``+cpu``; empty if not installed."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return ""
