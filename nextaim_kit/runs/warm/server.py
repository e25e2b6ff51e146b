"""The warm server: imports once what is heavy, then becomes a kernel or a run by forking.

It runs in one thread, and makes no CUDA context, thread pool or random state before a fork. It
ends by itself when nobody has used it for a while. It speaks lines of JSON over its socket:

- ``{"argv", "env", "cwd"}`` with three file descriptors: a process that runs the module
  ``argv[0]``, most often a kernel. It answers ``{"pid"}`` and, when that ended, ``{"status"}``.
  The connection is its lease: closed, it ends.
- ``{"hold": true}``: the server stays until this connection is closed.
- ``{"stop": true}``: it takes no more, and ends with the last one.

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
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nextaim_kit.runs.warm.place import say, socket_path

# Not pyplot, which chooses a backend, and nothing of this kit, whose files a developer changes.
HEAVY = (
    # a kernel, and what runs one
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "IPython", "jinja2",
    "nbconvert", "papermill", "pydantic", "rich.live", "rich.progress", "rich.table", "typer",
    # what notebooks import
    "matplotlib.backends.backend_agg", "numpy", "pandas", "scipy.ndimage", "scipy.optimize",
    "scipy.stats", "skimage.filters", "sklearn.linear_model", "sklearn.model_selection",
    "SimpleITK", "torch", "torch.utils.data", "monai.data", "monai.losses", "monai.metrics",
    "monai.networks.nets", "monai.transforms", "lightning.pytorch", "xgboost",
)  # fmt: skip
LINGER = 300.0  # seconds without a user after which it ends
_PATIENCE = 5.0  # seconds within which a request has to be whole
# Threads do not live on in a fork: none of BLAS, none of the Arrow library's memory; and CUDA is
# asked without a context.
_BEFORE_IMPORTS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}

Process = Callable[[], None]


def main() -> int:
    """Import, listen, serve; in a fork, be what was asked for."""
    os.environ.update(_BEFORE_IMPORTS)
    own = os.environ.get("NEXTAIM_WARM_IMPORTS")
    for name in own.split(",") if own else HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    why = unfit()
    if why:
        print(why, file=sys.stderr)
        return 1
    linger = float(os.environ.get("NEXTAIM_WARM_LINGER", LINGER))
    process = Server(socket_path(), linger=linger).run()
    if process:
        _be(process)
    return 0


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
    linger : float
        Seconds without a user after which it ends.
    """

    def __init__(self, path: Path, *, linger: float) -> None:
        self.path, self.linger = path, linger
        self.forks: dict[int, socket.socket] = {}
        self.holders: list[socket.socket] = []
        self.used = time.monotonic()

    def run(self) -> Process | None:
        """Serve until nobody is left; None then, and in a fork what it has to do."""
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for a fork's user
        gc.collect()
        gc.freeze()  # so that a fork's collector does not copy all these pages
        with socket.socket(socket.AF_UNIX) as self.door:
            unfinished = self.path.with_suffix(".new")
            unfinished.unlink(missing_ok=True)
            self.door.bind(str(unfinished))
            self.door.listen(64)
            unfinished.replace(self.path)  # who finds it can connect
            while not self._over():
                waiting = [self.door, *self.holders]
                for one in select.select(waiting, [], [], 0.05 if self.forks else 1.0)[0]:
                    if one is not self.door:
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
        try:
            request, files = _received(lease)
        except (OSError, ValueError):  # a user that went away, or speaks otherwise
            lease.close()
            return None
        if request.get("hold"):
            self.holders.append(lease)
        elif len(files) == 3 and {"argv", "env", "cwd"} <= set(request):
            return self._fork(lease, request, files)
        else:
            if request.get("stop"):
                self._stop()
            lease.close()
        return None

    def _fork(
        self, lease: socket.socket, request: dict[str, Any], files: list[int]
    ) -> Process | None:
        try:
            pid = os.fork()
        except OSError:  # no more processes or memory: who asked starts a cold one
            for file in files:
                os.close(file)
            lease.close()
            return None
        if pid:
            for file in files:
                os.close(file)
            self.forks[pid] = lease
            with contextlib.suppress(OSError):
                say(lease, pid=pid)
            return None
        # Other users' leases must not be kept open by this fork.
        for one in (self.door, *self.forks.values(), *self.holders):
            one.close()
        lease.settimeout(None)
        return lambda: _become(lease, request, files)


def _received(lease: socket.socket) -> tuple[dict[str, Any], list[int]]:
    text, files = b"", list[int]()
    while not text.endswith(b"\n"):
        part, more, _, _ = socket.recv_fds(lease, 65536, 3)
        if not part:
            raise OSError("closed before the request was whole")
        text, files = text + part, files + more
    request = json.loads(text)
    if not isinstance(request, dict):
        raise ValueError("a request is an object")
    return request, files


def _be(process: Process) -> None:
    """Be what was asked for, and end as an interpreter does, but for freeing all it imported.

    That takes half a second, in which nothing happens that the end of the process would not do.
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
    for one in gc.get_objects():
        if isinstance(one, io.IOBase) and not one.closed and one.writable():
            with contextlib.suppress(OSError, ValueError):
                one.flush()
    os._exit(code)


def _become(lease: socket.socket, request: dict[str, Any], files: list[int]) -> None:
    """From here on, be a process like one that was started cold."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    _fresh_chance()
    _as_the_environment_says()
    sys.argv = request["argv"]
    watch = threading.Thread(target=_end_with, args=(lease,), daemon=True)
    if sys.argv[0] == "ipykernel_launcher":
        _be_kernel(watch)
    else:
        watch.start()
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _be_kernel(watch: threading.Thread) -> None:
    application: Any = importlib.import_module("ipykernel.kernelapp")
    # Where a cold kernel watches its parent, this one watches its lease.
    application.ParentPollerUnix = lambda **_: watch
    # Read from the environment at import, which was the server's.
    parent = f"--IPKernelApp.parent_handle={os.environ.get('JPY_PARENT_PID') or os.getppid()}"
    sys.argv.append(parent)
    application.launch_new_instance()


def _fresh_chance() -> None:
    seed = int.from_bytes(os.urandom(4))
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def _as_the_environment_says() -> None:
    """Thread pools and the plotting backend, which were settled at import."""
    from nextaim_kit.machine.seeds import size_threads

    size_threads()
    if "matplotlib" in sys.modules:
        backend = os.environ.get("MPLBACKEND") or "module://matplotlib_inline.backend_inline"
        sys.modules["matplotlib"].rcParams["backend"] = backend


def _end_with(lease: socket.socket) -> None:
    """End with whatever was started here when the user is gone, however that came."""
    with contextlib.suppress(OSError):
        while lease.recv(1024):
            pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
