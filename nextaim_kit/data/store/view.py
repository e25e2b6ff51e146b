"""A store as a folder in memory: all names at once, contents when a file is opened.

Readers of images and tables, SimpleITK's among them, want paths. So a store is shown as a folder
of empty files in a file system that lies in memory (``/dev/shm``), open to this user alone. A file
is filled when `files.require_file` or Python's own ``open`` is asked for it, by whichever process;
when more than a share of memory is taken, those that were asked for longest ago are emptied. The
folder goes when the process ends, also if it is killed.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nextaim_kit.data.store import memory, sealed
from nextaim_kit.data.store.sealed import Head, Sealed, Store
from nextaim_kit.errors import DataError, RequestError, warn_once
from nextaim_kit.files import before_reading
from nextaim_kit.machine.limits import memory_available

_SHARE = 4  # of the memory that is free, one part holds contents
_GRACE, _LEAST = 10.0, 1.0  # seconds a file stays that was asked for, as it is about to be opened
_NOTE = 2.0  # seconds for which the note of that may lag behind
_SELF = "view.json"


@dataclass
class View:
    """A store's folder in memory.

    Attributes
    ----------
    store : Store
    folder : Path
        Holds ``data/<name of the store>``, a folder of work, and what other processes need.
    budget : int
        Bytes of contents that may lie there.
    """

    store: Store
    folder: Path
    budget: int
    since: int = 0  # bytes that this process filled since it looked what lies there

    @property
    def data(self) -> Path:
        """The folder that stands for the store."""
        return self.folder / "data" / self.store.name

    @property
    def terms(self) -> dict[str, str]:
        """License, agreement and last day, where they are given."""
        head = self.store.head
        named = {"licence": head.license, "agreement": head.agreement, "until": head.until}
        return {name: value for name, value in named.items() if value}


_devices: set[int] = set()  # file systems that views lie in
_views: dict[str, View] = {}  # by folder, in this process
_kept_open: list[Any] = []  # locks and pipes of the views that are this process's own


def in_use() -> bool:
    """Whether this process reads a store: then it keeps nothing of what it makes on disk."""
    return bool(_views)


def shows(status: os.stat_result) -> bool:
    """Whether a file is one of a view: its time of change is made of its content's hash."""
    return status.st_dev in _devices and status.st_mode & 0o777 in (0o000, 0o400)


def view_of(folder: Path) -> View:
    """Show a store as a folder in memory; once in a process.

    Parameters
    ----------
    folder : Path
        The store.

    Raises
    ------
    KitError
        As `sealed.open_store`; or if this machine has no folder in memory, or work is left to
        other machines.
    """
    head = sealed.read_head(folder)
    for view in _views.values():
        if view.store.head == head and not head.over and not _gone(folder):
            return view
    if os.environ.get("NEXTAIM_DASK", "").strip():
        raise RequestError(
            f"the store {folder.name} is read on this machine only",
            found="NEXTAIM_DASK, which leaves work to others",
            mend="unset NEXTAIM_DASK",
        )
    root = memory.root()
    with memory.turn(root):
        store = sealed.open_store(folder.resolve(), _key_in_use(root, head))
        made = Path(tempfile.mkdtemp(dir=root))
        room = min(memory_available() // _SHARE, shutil.disk_usage(root).free // 2)
        view = View(store, made, room)
        lock = os.open(made / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        _kept_open.append(lock)
        _kept_open.append(memory.watch_over(made))
        owner = os.getpid()
        atexit.register(lambda: close() if os.getpid() == owner else None)
        _lay_out(view)
    _settle(view)
    if memory.swaps():
        warn_once("this machine swaps: what is read of a store may be written to its swap space")
    return view


def _gone(folder: Path) -> bool:
    return (folder / sealed.GONE).exists()


def fill(path: str | Path) -> None:
    """See to it that a file of a view holds its content; any other path is left alone.

    Raises
    ------
    DataError
        If it is damaged, or there is no room.
    """
    found = _of(path)
    if found:
        _filled(*found)


def attend(values: Iterable[Any]) -> None:
    """Make this process one that fills files, if any of the values is a path of a view.

    A worker that was there before the view, or got its paths alone, learns of it here.
    """
    for value in values:
        if isinstance(value, str):
            _of(value)


def digest_of(path: str | Path) -> str:
    """SHA-256 of the content of a view's file, without decrypting it; else nothing."""
    found = _of(path)
    return found[0].store.files[found[1]].sha256 if found else ""


def size_of(path: Path) -> int:
    """Bytes of a file's content, be it filled or not."""
    found = _of(path)
    return found[0].store.files[found[1]].size if found else path.stat().st_size


def close() -> None:
    """Take away the views of this process; their paths lead nowhere then."""
    for held in _kept_open:
        os.close(held) if isinstance(held, int) else memory.let_go(held)
    _kept_open.clear()
    if tempfile.tempdir and tempfile.tempdir.startswith(memory.ROOTS):
        tempfile.tempdir = None
    for view in _views.values():
        shutil.rmtree(view.folder, ignore_errors=True)
    _views.clear()
    _devices.clear()


def _key_in_use(root: Path, head: Head) -> str:
    """The key of a store that another process reads now; views that nobody has any more go."""
    for folder in root.iterdir():
        if not folder.is_dir():
            continue
        try:
            lock = os.open(folder / "lock", os.O_RDWR)
        except FileNotFoundError:  # its process was killed while it made the folder
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            with contextlib.suppress(OSError, ValueError):  # it is being taken away
                said = json.loads((folder / _SELF).read_bytes())
                if said["head"] == asdict(head):
                    return str(said["key"])
        finally:
            os.close(lock)
    return ""


def _lay_out(view: View) -> None:
    """Empty files under their names, and what another process needs to fill them."""
    said = {
        "store": str(view.store.folder), "head": asdict(view.store.head), "key": view.store.key,
        "budget": view.budget, "files": {n: list(asdict(of).values()) for n, of in _files(view)},
    }  # fmt: skip
    try:
        (view.folder / "work").mkdir()
        (view.folder / _SELF).write_text(json.dumps(said))
        view.data.mkdir(parents=True)
        for name, of in _files(view):
            path = view.data / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _empty(path, of)
    except OSError as error:
        raise _no_room(view, view.store.name, error) from error


def _files(view: View) -> list[tuple[str, Sealed]]:
    return sorted(view.store.files.items())


def _empty(path: Path, of: Sealed) -> None:
    """Nobody may read it: who opens it without a word to `fill` is refused, but for root."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o000 if of.size else 0o400))
    _note(path, of)


def _note(path: str | Path, of: Sealed) -> None:
    """Note when a file was asked for; its time of change says what it holds, filled or not."""
    os.utime(path, ns=(time.time_ns(), int(of.sha256[:14], 16)))


def _settle(view: View) -> None:
    """From now on this process fills what it opens, and leaves no copy on disk."""
    if not _views:
        _hear_of_opens()
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))  # a core dump holds what was read
        tempfile.tempdir = str(view.folder / "work")
    _views[str(view.folder)] = view
    _devices.add(os.stat(view.folder).st_dev)


_hears = False


def _hear_of_opens() -> None:
    """Have Python tell of each file before it is opened (PEP 578); that cannot be taken back."""
    global _hears
    if not _hears:
        sys.addaudithook(_heard)
        _hears = True


def _heard(event: str, args: tuple) -> None:
    if event == "open" and isinstance(args[0], str | bytes):
        path = os.fsdecode(args[0])
        if path.startswith(memory.ROOTS):
            fill(path)


def _of(path: str | Path) -> tuple[View, str] | None:
    """View and name of a file that is shown; None for all others."""
    text = os.fspath(path)
    if not text.startswith(memory.ROOTS):
        return None
    text = os.path.normpath(text)
    root = next(root for root in memory.ROOTS if text.startswith(root))
    name, _, within = text[len(root) :].partition("/")
    if not within.startswith("data/"):
        return None
    folder = root + name
    view = _views.get(folder) or _of_other_process(Path(folder))
    name = text.removeprefix(f"{view.data}/") if view else ""
    return (view, name) if view and name in view.store.files else None


def _of_other_process(folder: Path) -> View | None:
    """A view that a process of this user made, whose paths were handed to this one."""
    if not (folder / "data").is_dir():
        return None
    said: Mapping[str, Any] = json.loads((folder / _SELF).read_bytes())
    files = {name: Sealed(*of) for name, of in said["files"].items()}
    store = Store(Path(said["store"]), Head(**said["head"]), said["key"], files)
    view = View(store, folder, said["budget"])
    _settle(view)
    return view


def _filled(view: View, name: str) -> None:
    path, known = view.data / name, view.store.files[name]
    try:
        status = path.stat()
    except OSError:  # who opens it says so
        return
    if status.st_size == known.size:
        if time.time() - status.st_atime > _NOTE:
            _note(path, known)
        return
    _make_room(view, known.size)
    handle, partial = tempfile.mkstemp(dir=view.folder / "work")
    try:
        with open(handle, "wb") as out:
            sealed.decrypt(view.store, name, out)
        os.chmod(partial, 0o400)
        _note(partial, known)
        os.replace(partial, path)
    except OSError as error:
        raise _no_room(view, name, error) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)


def _make_room(view: View, size: int) -> None:
    """Empty what was asked for longest ago, where contents come to more than the budget."""
    view.since += size
    free = shutil.disk_usage(view.folder).free
    if view.since < view.budget // 8 and size < free // 2:
        return
    view.since, grace = size, _GRACE if size < free // 2 else min(_GRACE, _LEAST)
    there = []
    for place, _, names in os.walk(view.data):
        for path in (os.path.join(place, name) for name in names):
            status = os.stat(path)
            if status.st_size:
                there.append((status.st_atime, status.st_size, path))
    total, most = sum(one[1] for one in there), max(0, view.budget - size)
    for asked, held, path in sorted(there):
        if total <= most or time.time() - asked < grace:
            return
        blank = Path(view.folder / "work" / f"blank-{os.getpid()}")
        blank.unlink(missing_ok=True)
        _empty(blank, view.store.files[os.path.relpath(path, view.data)])
        os.replace(blank, path)  # who has it open keeps what it was
        total -= held


def _no_room(view: View, name: str, error: OSError) -> DataError:
    return DataError(
        f"{name} of the store {view.store.name} cannot be held in memory",
        expected=f"room in {view.folder.parent.parent}",
        found=error.strerror or str(error),
        mend="give the machine or container more of it (docker --shm-size), or take fewer workers",
    )


before_reading(fill)
