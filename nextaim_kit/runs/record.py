"""The record of a run: its identity, what it holds, and when it counts as done."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from nextaim_kit.catalog import Notebook, project_folder
from nextaim_kit.errors import KitError, RunError
from nextaim_kit.files import private_folder, sha256_of, unwritable, write_json
from nextaim_kit.machine.kit import kit_version
from nextaim_kit.places import folder, placed
from nextaim_kit.runs.schema import SCHEMA, known_sound, printable, read_record_file

RECORD, NOTEBOOK, REPORT, FILES = "run.json", "notebook.ipynb", "report.html", "files"
RECORDED_ENVIRONMENT = ("CPU_LIMIT", "CUDA_VISIBLE_DEVICES", "JUPYTER_IMAGE", "MEM_LIMIT")


def runs_folder(out: str | Path | None = None) -> Path:
    """Folder of all runs: `out`, else ``NEXTAIM_RUNS``, else ``runs`` in the project."""
    return placed(out) if out else folder("NEXTAIM_RUNS", project_folder() / "runs")


def run_id(notebook: Notebook, parameters: Mapping[str, Any], data: Sequence[Mapping]) -> str:
    """Twelve hexadecimal digits of notebook source, parameters, data and kit version.

    Parameters that name data count by their content's fingerprint, not by where it lies.
    """
    status = notebook.path.stat()
    state = (status.st_mtime_ns, status.st_size, status.st_ino)
    identity = {
        "data": [{**f, "name": None} if f["sha256"] else f for f in data],
        "kit": kit_version(),
        "parameters": {k: v for k, v in sorted(parameters.items()) if k not in notebook.data},
    }
    digest = _of_cells(notebook.path, state).copy()
    digest.update(json.dumps(identity, sort_keys=True)[1:].encode())
    return digest.hexdigest()[:12]


@cache
def _of_cells(path: Path, _state: tuple[int, int, int]) -> Any:
    """Digest of an identity as far as its cells, which come first in it."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    said = json.dumps([[c["cell_type"], "".join(c["source"])] for c in cells])
    return hashlib.sha256(f'{{"cells": {said}, '.encode())


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record in `folder`, or None where there is none that can be read."""
    try:
        return read_record_file(folder / RECORD)
    except (OSError, ValueError):
        return None


def record_files(folder: Path) -> list[Path]:
    """Records of runs in a notebook's folder; none where that is another user's."""
    try:
        return list(folder.glob(f"*/{RECORD}"))
    except PermissionError:
        return []


def strange_records(runs: Path) -> dict[str, str]:
    """Records below the folder of all runs that cannot be read, and why: run -> reason."""
    found = {}
    for path in sorted(runs.glob(f"*/*/*/{RECORD}")):
        try:
            if not known_sound(path):  # most were read for the page that asks
                read_record_file(path)
        except ValueError as error:
            found["/".join(path.parts[-4:-1])] = str(error)
        except OSError:  # removed just now, or another user's
            continue
    return found


def is_done(folder: Path) -> bool:
    """Whether a run ended well and every file of it is there with its recorded hash."""
    record = read_record(folder)
    return record is not None and record["outcome"] != "failed" and not damaged(folder, record)


def outcome_text(record: Mapping[str, Any]) -> str:
    """How a run ended, such as ``complete, 3 of 3 subjects warned``.

    Examples
    --------
    >>> outcome_text({"outcome": "incomplete", "failures": 2})
    'incomplete, 2 left out'
    """
    said, warned = [record["outcome"]], record.get("warned")
    if record.get("failures"):
        said.append(f"{record['failures']} left out")
    if warned:
        said.append(f"{warned['subjects']} of {warned['of']} subjects warned")
    return ", ".join(said)


def damaged(folder: Path, record: Mapping[str, Any]) -> list[str]:
    """Names of recorded files that are missing or changed, sorted."""
    return sorted(
        name
        for name, sha256 in record["files"].items()
        if not (folder / name).is_file() or sha256_of(folder / name) != sha256
    )


def write_record(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Complete `record` with the hashes of the run's files and write it, last and whole."""
    paths = [folder / NOTEBOOK, folder / REPORT, *sorted((folder / FILES).rglob("*"))]
    hashes = {p.relative_to(folder).as_posix(): sha256_of(p) for p in paths if p.is_file()}
    whole = printable({"schema": SCHEMA, **record, "files": hashes})
    write_json(folder / RECORD, whole)
    return whole


@contextlib.contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a run's folder for one process; the lock goes with the process, however it ends."""
    busy = RunError(
        f"run {folder.name} is being made by another process",
        mend="wait for it to end, or stop it",
    )
    with locked_file(folder / ".lock", None if wait else busy):
        yield


@contextlib.contextmanager
def locked_file(path: Path, busy: KitError | None = None) -> Iterator[None]:
    """Hold a file for one process; it and its folder, this user's alone, are made if need be.

    Raises
    ------
    RequestError
        If it cannot be made.
    KitError
        `busy`, if another process holds it; without one this waits.
    """
    private_folder(path.parent)
    try:
        handle = path.open("a")
    except OSError as error:
        raise unwritable(path.parent, error) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise busy or AssertionError from None
        yield


def environment() -> dict[str, str]:
    """The few environment variables that a record may hold; never all, some are secrets."""
    return {name: os.environ[name] for name in RECORDED_ENVIRONMENT if name in os.environ}


def packages() -> dict[str, str]:
    """Installed versions of the packages that the kit declares as its own needs."""
    return dict(_packages(tuple(filter(None, map(_installed, sys.path)))))


def _installed(folder: str) -> tuple[str, int] | None:
    """A folder to import from and when it changed; None where nothing is installed in it."""
    try:
        changed = os.stat(folder or ".").st_mtime_ns
    except OSError:
        return None
    folder = os.path.abspath(folder)
    return (folder, changed) if _holds_packages(folder, changed) else None


@cache
def _holds_packages(folder: str, _changed: int) -> bool:
    kinds = (".dist-info", ".egg-info", ".egg-link")
    return not os.path.isdir(folder) or any(n.endswith(kinds) for n in os.listdir(folder))


@cache
def _packages(_installed: tuple[tuple[str, int], ...]) -> dict[str, str]:
    """Those found in such folders; whoever installs a package changes its folder."""
    from importlib.metadata import PackageNotFoundError, requires

    found = {}
    for line in requires("nextaim_kit") or []:
        if "extra ==" in line:
            continue
        name = line.split(";")[0].strip()
        for mark in "<>=!~[ ":
            name = name.split(mark)[0]
        with contextlib.suppress(PackageNotFoundError):
            found[name] = _version(name)
    return dict(sorted(found.items()))


def _version(name: str) -> str:
    """Version of an installed package, from its header alone: the whole takes 5 ms for each."""
    from importlib.metadata import distribution

    package = distribution(name)
    header = (package.read_text("METADATA") or "").partition("\n\n")[0]
    said = re.search(r"^Version:[ \t]*(\S+)[ \t]*$", header, re.M)
    return said[1] if said else package.version


def hardware() -> dict[str, Any]:
    """Processor, cores and memory in GB as found; no host name."""
    from nextaim_kit.machine.limits import cpu_count, memory_limit

    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = round(memory_limit() / 1e9, 1)
    return {"processor": (model or ["unknown"])[0], "cores": cpu_count(), "memory_gb": memory}
