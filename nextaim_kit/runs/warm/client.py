"""Asks the warm server for a process: a kernel, or any module that is run as a program.

    python -m nextaim_kit.runs.warm.client MODULE ARGUMENTS...

does what ``python -m MODULE ARGUMENTS...`` does, without the seconds that its imports take. What it
started ends with it, and it ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from nextaim_kit.errors import KitError
from nextaim_kit.runs.warm.place import say, socket_paths
from nextaim_kit.runs.warm.settled import inherited

# Number of the process whose end is to be this one's, which may have ended before this one knew.
PARENT = "NEXTAIM_PARENT"
_ANSWER = 30.0  # seconds within which a server answers
_LOOK = 0.1  # seconds between two looks whether the parent is still there
_POLITE = 10.0  # seconds to end in, before it is killed
_START = 180.0  # seconds within which a server has to have imported everything


def main() -> int:
    """Run a module in a warm process, or in a cold one where that is not possible."""
    parent = int(os.environ.pop(PARENT, 0)) or os.getppid()
    command = [sys.executable, "-m", *sys.argv[1:]]
    if os.environ.get("NEXTAIM_WARM") != "0":
        try:
            return _seen_to_its_end(Fork(command), parent)
        except (OSError, KitError) as error:
            why = error.what if isinstance(error, KitError) else str(error)
            print(f"no warm process ({why}): a cold one is started", file=sys.stderr, flush=True)
    cold = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    return _seen_to_its_end(cold, parent)


def hand_over(command: list[str]) -> int | None:
    """Exit code of a command that a warm server did; None where none is there and alike.

    Parameters
    ----------
    command : list of str
        As `Fork` takes it.
    """
    parent = os.getppid()
    try:
        fork = Fork(command, start=False)
    except (OSError, KitError):  # who does it by itself says what is wrong
        return None
    return _seen_to_its_end(fork, parent)


def _seen_to_its_end(process: Fork | subprocess.Popen[bytes], parent: int) -> int:
    """Exit status of a process that hears and stops as this one does, and ends with its parent."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.terminate())
    if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
        signal.signal(signal.SIGTSTP, lambda *_: _stop_both(process))
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK)
        if process.returncode is None and os.getppid() != parent:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLITE)
            process.kill()
            return 1
    code = process.returncode or 0
    return code if code >= 0 else 128 - code


def _stop_both(process: Fork | subprocess.Popen[bytes]) -> None:
    """Stop at Ctrl-Z, and go on when the shell says so."""
    process.send_signal(signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
    process.send_signal(signal.SIGCONT)


class Fork:
    """A forked process, with what `subprocess.Popen` offers of one.

    Parameters
    ----------
    command : list of str
        As for a cold one: interpreter, perhaps ``-P``, ``-m``, module, and the module's arguments.
    env : dict, optional
    cwd : str, optional
    start : bool, optional
        Whether a server is started where none is there.

    Raises
    ------
    OSError
        If there is no server for such a process, and none can be started.
    """

    stdin = stdout = stderr = None

    def __init__(
        self,
        command: list[str],
        *,
        env: Any = None,
        cwd: str | None = None,
        start: bool = True,
    ) -> None:
        own = command[0] in ("python", sys.executable)
        if not own or (command[1] != "-m" and command[1:3] != ["-P", "-m"]):
            raise OSError("the command is not this interpreter's -m MODULE")
        self.returncode: int | None = None
        env = dict(os.environ if env is None else env)
        with contextlib.ExitStack() as opened:
            folder = os.open(cwd or ".", os.O_PATH | os.O_DIRECTORY)
            opened.callback(os.close, folder)
            nothing = opened.enter_context(open(os.devnull, "r+"))
            printed = [one if _is_open(one) else nothing.fileno() for one in (1, 2)]
            files = [nothing.fileno(), *printed, folder]
            self._lease, said = _granted(env, files, start, command=command)
        self._text = b""
        self.pid = int(said["pid"])
        self._lease.settimeout(0)

    def poll(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        if self.returncode is None:
            try:
                self._end(self._next()["status"])
            except BlockingIOError:
                return None
            except OSError:  # the server is gone, and now the fork too
                self._end(1)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and give the exit status."""
        until = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired("fork", timeout or 0)
            select.select([self._lease], [], [], left)
        return self.returncode or 0

    def send_signal(self, number: int) -> None:
        """Send a signal to it and its processes, unless it has ended."""
        if self.poll() is None:
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def _end(self, status: int) -> None:
        self.returncode = status
        self._lease.close()

    def _next(self) -> dict[str, Any]:
        while b"\n" not in self._text:
            part = self._lease.recv(4096)
            if not part:
                raise ConnectionError("the warm server closed the connection")
            self._text += part
        line, _, self._text = self._text.partition(b"\n")
        return json.loads(line)


def hold() -> socket.socket:
    """Keep a server for callers like this one until the connection that is given is closed.

    Raises
    ------
    OSError
        If there is none, and none can be started.
    """
    return _granted(dict(os.environ), [], True, hold=True)[0]


def stop() -> bool:
    """Ask the servers to end with their last kernels; whether there was one."""
    there = [connection for path in socket_paths() if (connection := _reached(path))]
    for connection in there:
        with connection:
            say(connection, stop=True)
    return bool(there)


def _granted(
    env: dict[str, str], files: list[int], start: bool, **asked: Any
) -> tuple[socket.socket, dict[str, Any]]:
    """The connection to the first server that does what it is asked, and its answer."""
    differs, request = "", b""
    for path in socket_paths():
        connection = _reached(path) or (_there(path, env) if start else None)
        if connection is None:
            continue
        request = request or json.dumps(asked | {"env": env, "state": inherited()}).encode() + b"\n"
        connection.settimeout(_ANSWER)
        sent = socket.send_fds(connection, [request], files)
        if sent < len(request):
            connection.sendall(request[sent:])
        with connection.makefile("rb", buffering=0) as lines:  # no byte of the next line is taken
            answer = json.loads(lines.readline() or "{}")
        if not answer or "status" in answer:  # it ended before it could say what it is
            connection.close()
            raise ConnectionError("the warm server closed the connection")
        if "differs" not in answer:
            return connection, answer
        differs = answer["differs"]
        connection.close()
    raise OSError(f"{differs} is another than any warm server's" if differs else "there is none")


def _there(path: Path, env: dict[str, str]) -> socket.socket:
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several users starts it
        return _reached(path) or _started(path, env)


def _reached(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


# The folder is no place to import from, also not while this package is imported.
_SERVER = """\
import sys
sys.path[:] = [path for path in sys.path if path]
from nextaim_kit.runs.warm.server import main
sys.exit(main(sys.argv[1]))
"""


def _started(path: Path, env: dict[str, str]) -> socket.socket:
    log = path.with_suffix(".log")
    with open(log, "wb") as said:
        server = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(path)], env=env, cwd="/",
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
    until = time.monotonic() + _START
    while time.monotonic() < until and server.poll() is None:
        connection = _reached(path)
        if connection:
            return connection
        time.sleep(0.05)
    server.kill()
    lines = log.read_text(errors="replace").strip().splitlines()
    raise OSError(lines[-1] if lines else "the warm server did not start")


def _is_open(number: int) -> bool:
    """Whether this process prints anywhere; a kernel prints there too."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
