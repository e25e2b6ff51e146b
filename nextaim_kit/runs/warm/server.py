"""The warm server: imports once what is heavy, then becomes a kernel or a run by forking.

It runs in one thread, and makes no CUDA context, thread pool or random state before a fork. It
ends by itself when nobody has used it for a while. It speaks lines of JSON over its socket:

- ``{"command", "env", "state"}`` with four file descriptors, input, output, errors and folder: a
  process that does what ``python -m MODULE`` would, most often a kernel. That answers ``{"pid"}``
  and, when that ended, ``{"status"}``. The connection is its lease: closed, it ends.
- ``{"hold": true, "env", "state"}``: the server stays until this connection is closed. It
  answers ``{"held"}``.
- ``{"stop": true}``: it takes no more, and ends with the last one.

Who is not as its own caller was, is answered ``{"differs": what}``: see `settled`.

Two variables of its environment change it: ``NEXTAIM_WARM_IMPORTS`` (modules, with commas between)
and ``NEXTAIM_WARM_LINGER`` (seconds without a user after which it ends).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from nextaim_kit.runs.warm import own_modules, settled
from nextaim_kit.runs.warm.place import say

# Not pyplot, which chooses a backend.
HEAVY = (
    # a kernel, and what runs one
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "IPython",
    "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.logger",
    "IPython.core.oinspect", "IPython.extensions.storemagic", "jinja2",
    "nbconvert", "papermill", "pydantic.dataclasses", "pydantic.main", "pydantic.type_adapter",
    "pydantic.types", "rich.emoji", "rich.live", "rich.progress", "rich.table", "sqlite3",
    "tornado.platform.asyncio", "tornado.queues", "typer",
    # what notebooks import
    "matplotlib.backends.backend_agg", "numpy", "pandas", "scipy.ndimage", "scipy.optimize",
    "scipy.stats", "skimage.filters", "sklearn.linear_model", "sklearn.model_selection",
    "SimpleITK", "torch", "torch.utils.data", "monai.data", "monai.losses", "monai.metrics",
    "monai.networks.nets", "monai.transforms", "lightning.pytorch", "xgboost",
    "tabulate",  # which torch imports at a process's end
)  # fmt: skip
LINGER = 300.0  # seconds without a user after which it ends
_BEGAN = time.time_ns()
_PATIENCE = 5.0  # seconds within which a request has to be whole
# Threads do not live on in a fork: none of BLAS, none of the Arrow library's memory; and CUDA is
# asked without a context. The other pools start with their first use, as large as each fork says.
_POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_INLINE = "module://matplotlib_inline.backend_inline"
_BEFORE_IMPORTS = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}

Process = Callable[[], None]


def main(path: str) -> int:
    """Import, listen at `path`, serve; in a fork, be what was asked for."""
    caller = (settled.inherited(), dict(os.environ))
    for name in _POOLS:
        os.environ.pop(name, None)
    os.environ.update(_BEFORE_IMPORTS)
    kit: dict[str, own_modules.State] = {}
    read = settled.read_by(lambda: kit.update(_import()))
    _pools(), _plotting()
    why = unfit()
    if why:
        print(why, file=sys.stderr)
        return 1
    linger = float(os.environ.get("NEXTAIM_WARM_LINGER", LINGER))
    server = Server(Path(path), partial(settled.difference, caller, read=read), linger)
    process = server.run()
    if process:
        own_modules.forget_changed(kit)
        _be(process, server.streams)
    return 0


def _import() -> dict[str, own_modules.State]:
    """Import what is asked for, or all; give the kit's own of it."""
    own = os.environ.get("NEXTAIM_WARM_IMPORTS")
    for name in own.split(",") if own else HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if own:
        return {}
    _make_ready()
    return own_modules.import_modules()


def _make_ready() -> None:
    """Have libraries make what they make at their first use: parsers, patterns, templates."""
    from importlib.metadata import version

    from IPython.core.inputtransformer2 import TransformerManager
    from jupyter_client.provisioning import KernelProvisionerFactory
    from matplotlib.rcsetup import validate_backend
    from nbconvert.filters import Highlight2HTML
    from nbformat import v4, validator
    from pydantic import TypeAdapter

    from nextaim_kit.runs import pages

    for minor in range(6):
        validator.validate(v4.new_notebook(nbformat_minor=minor))
    code = "@one\nclass A:\n    b = f'{1.5:g}' + \"\"  # c\n%time def\n"
    Highlight2HTML()(code, language="ipython3")
    TransformerManager().transform_cell(code)
    version("numpy")
    validate_backend(_INLINE)  # which looks for what is installed
    TypeAdapter(int)
    pages.compile_all()
    KernelProvisionerFactory.instance()  # so does this


def unfit() -> str:
    """Why this process cannot be forked safely; empty if it can."""
    threads = max(len(os.listdir("/proc/self/task")), threading.active_count())
    if threads > 1:
        return f"{threads} threads are alive after the imports"
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
        return "the imports made a CUDA context"
    return ""


class Server:
    """Waits for users and forks a process for each.

    Parameters
    ----------
    path : Path
        Of its socket.
    differs : callable
        Names what is settled otherwise in a caller, given by its state and environment.
    linger : float
        Seconds without a user after which it ends.
    """

    def __init__(self, path: Path, differs: Callable[[Any], str], linger: float) -> None:
        self.path, self.differs, self.linger = path, differs, linger
        self.forks: dict[int, socket.socket] = {}
        self.holders: list[socket.socket] = []
        self.used = time.monotonic()

    def run(self) -> Process | None:
        """Serve until nobody is left; None then, and in a fork what it has to do."""
        self.signals = {
            signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: self._stop()),
            # Ctrl-C is meant for a fork's user.
            signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
        }
        gc.collect()
        self.streams = _streams()
        for one in list(weakref.finalize._registry):  # type: ignore[attr-defined]
            one.atexit = False  # what the imports made is not a fork's to take down
        gc.freeze()  # so that a fork's collector does not copy all these pages
        with socket.socket(socket.AF_UNIX) as self.door, _ended_forks() as self.bell:
            unfinished = self.path.with_suffix(".new")
            unfinished.unlink(missing_ok=True)
            self.door.bind(str(unfinished))
            self.door.listen(64)
            unfinished.replace(self.path)  # who finds it can connect
            self.used = time.monotonic()
            while not self._over():
                waiting = [self.door, self.bell, *self.holders]
                for one in select.select(waiting, [], [], 1.0)[0]:
                    if one is self.bell:
                        self.bell.recv(4096)
                    elif one is not self.door:
                        self._let_go(one)
                    elif process := self._answer():
                        return process
                self._reap()
            self.path.unlink(missing_ok=True)
        return None

    def _over(self) -> bool:
        if self.forks or self.holders:
            self.used = time.monotonic()
            return False
        return time.monotonic() - self.used > self.linger

    def _stop(self) -> None:
        self.linger = -1.0
        self.path.unlink(missing_ok=True)  # nobody else finds it

    def _let_go(self, holder: socket.socket) -> None:
        self.holders.remove(holder)
        holder.close()

    def _reap(self) -> None:
        while self.forks:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            lease = self.forks.pop(pid)
            with contextlib.suppress(OSError):  # the user may be gone
                say(lease, status=os.waitstatus_to_exitcode(status))
            lease.close()

    def _answer(self) -> Process | None:
        """Take one request; None but in a fork."""
        lease, _ = self.door.accept()
        lease.settimeout(_PATIENCE)
        files = list[int]()
        try:
            request = _received(lease, files)
            if request.get("stop"):
                self._stop()
            elif differs := self.differs((request["state"], request["env"])):
                say(lease, differs=differs)
            elif request.get("hold"):
                say(lease, held=True)
                self.holders.append(lease)
                return None
            elif len(files) == 4 and request["command"]:
                return self._fork(lease, request, files)
        # A user that went away, or speaks otherwise, and no more processes or memory.
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            pass
        for one in files:
            os.close(one)
        lease.close()
        return None

    def _fork(
        self, lease: socket.socket, request: dict[str, Any], files: list[int]
    ) -> Process | None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)  # not for these handlers
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            while files:
                os.close(files.pop())
            self.forks[pid] = lease
            return None
        # Other users' leases must not be kept open by this fork.
        for one in (self.door, *self.forks.values(), *self.holders):
            one.close()
        lease.settimeout(None)
        for number, handler in self.signals.items():
            signal.signal(number, handler)
        os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with contextlib.suppress(OSError):  # the user may be gone
            say(lease, pid=os.getpid())  # from here on, a signal finds it
        return lambda: _become(lease, request, files)


@contextlib.contextmanager
def _ended_forks() -> Iterator[socket.socket]:
    """A socket in which something lies once a fork has ended; nothing of it stays in a fork."""
    bell, striker = socket.socketpair()
    with bell, striker:
        striker.setblocking(False)
        before = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(striker.fileno(), warn_on_full_buffer=False)
        try:
            yield bell
        finally:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, before)


def _received(lease: socket.socket, files: list[int]) -> dict[str, Any]:
    text = b""
    while not text.endswith(b"\n"):
        part, more, _, _ = socket.recv_fds(lease, 65536, 4)
        files += more
        if not part:
            raise OSError("closed before the request was whole")
        text += part
    return json.loads(text)


def _be(process: Process, streams: list[io.IOBase]) -> None:
    """Be what was asked for, and end as an interpreter does, but for freeing all it imported.

    That takes half a second, in which nothing happens that the end of the process would not do.
    What the server imported is not looked through: of it `streams` are all that may be unwritten.
    """
    code = 0
    try:
        process()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        if isinstance(ending.code, str):
            print(ending.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing's forks end
    with warnings.catch_warnings(action="ignore"):
        atexit._run_exitfuncs()
    for one in (*streams, *_streams()):
        with contextlib.suppress(OSError, ValueError):
            if not one.closed and one.writable():
                one.flush()
    os._exit(code)


def _streams() -> list[io.IOBase]:
    """Streams among the objects that are not frozen.

    By their type: some object warns when it is asked for its class.
    """
    objects = gc.get_objects()
    kinds = {kind for kind in set(map(type, objects)) if issubclass(kind, io.IOBase)}
    return [one for one in objects if type(one) in kinds]


def _become(lease: socket.socket, request: dict[str, Any], files: list[int]) -> None:
    """From here on, be a process like one that was started cold."""
    os.fchdir(files[3])
    for number, file in enumerate(files):
        if number < 3:
            os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["env"])
    sys.orig_argv = request["command"]
    place = sys.orig_argv.index("-m")
    module, *arguments = sys.orig_argv[place + 1 :]
    sys.argv = [module, *arguments]
    if not sys.flags.safe_path and "-P" not in sys.orig_argv[:place]:
        sys.path.insert(0, str(Path.cwd()))
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty() or sys.stdout.line_buffering)  # type: ignore[union-attr]
    threading.Thread(target=_end_with, args=(lease,), daemon=True).start()
    if module == "ipykernel_launcher":
        _as_a_kernel()
    _as_the_environment_says()
    _fresh_chance()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _as_a_kernel() -> None:
    application: Any = importlib.import_module("ipykernel.kernelapp")
    # Where a cold kernel watches its parent, this one watches its lease.
    application.ParentPollerUnix = lambda **_: threading.Thread()
    # Read from the environment at import, which was the server's.
    parent = int(os.environ.get("JPY_PARENT_PID") or 0)
    application.IPKernelApp.parent_handle.default_value = parent
    if os.environ.get("NEXTAIM_RUN"):  # nobody debugs a headless run
        modules: dict[str, Any] = sys.modules
        modules["debugpy"] = None
        importlib.import_module("ipykernel.debugger")
        del modules["debugpy"]
    # As the kernel itself will do, but before anything was plotted with.
    os.environ["MPLBACKEND"] = os.environ.get("MPLBACKEND") or _INLINE


def _fresh_chance() -> None:
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()


def _as_the_environment_says() -> None:
    """Time zone, temporary folder, thread pools and plotting, which were settled before."""
    time.tzset()
    tempfile.tempdir = None
    pools = _said("OMP_NUM_THREADS")
    blas = _said("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
    cores = len(os.sched_getaffinity(0))
    limits = {"blas": min(blas or cores, cores)} | ({"openmp": pools} if pools else {})
    _pools().limit(limits=limits)
    if "torch" in sys.modules and (pools := pools or _said("MKL_NUM_THREADS")):
        sys.modules["torch"].set_num_threads(pools)
    if plotting := sys.modules.get("matplotlib"):
        if _plotting_file() != _plotting():  # it may lie in this folder
            read = plotting.rc_params()
            plotting.rcParamsOrig.update(read)
            plotting.rcParams.update(read)
        if backend := os.environ.get("MPLBACKEND"):
            plotting.rcParams["backend"] = backend


@cache
def _pools() -> Any:
    """The thread pools of what is imported, found before a fork: that takes 10 ms."""
    return importlib.import_module("threadpoolctl").ThreadpoolController()


@cache
def _plotting() -> tuple[Any, ...]:
    """The file that matplotlib read its settings from before a fork; none if it changed since."""
    file = _plotting_file()
    return file if file and file[1] < _BEGAN else ()


def _plotting_file() -> tuple[Any, ...]:
    """That in force here: path, time of change, size, number; none without matplotlib."""
    if "matplotlib" not in sys.modules:
        return ()
    path = os.path.abspath(sys.modules["matplotlib"].matplotlib_fname())
    status = os.stat(path)
    return (path, status.st_mtime_ns, status.st_size, status.st_ino)


def _said(*names: str) -> int:
    """The first number of threads that the environment names; 0 if it names none."""
    said = (os.environ.get(name, "").partition(",")[0].strip() for name in names)
    return next((int(number) for number in said if number.isdigit() and int(number)), 0)


def _end_with(lease: socket.socket) -> None:
    """End with whatever was started here when the user is gone, however that came."""
    with contextlib.suppress(OSError):
        while lease.recv(1024):
            pass
    os.killpg(os.getpgid(0), signal.SIGKILL)
