"""Warm kernels are forked ready, live as long as their user, and give way to cold ones."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time

import nbformat
import papermill
import pytest
from nbclient.exceptions import DeadKernelError

from nextaim_kit.cli import main
from nextaim_kit.errors import RunError
from nextaim_kit.runs.warm import place, server
from nextaim_kit.runs.warm.client import connect, hold, stop


@pytest.fixture
def warm(tmp_path_factory, monkeypatch):
    """Folder of a server of its own, which imports little."""
    folder = tmp_path_factory.mktemp("w")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("NEXTAIM_WARM_IMPORTS", "ipykernel.kernelapp,numpy")
    yield folder
    stop()


def run(tmp_path, *sources):
    """Output of cells, run by papermill in a warm kernel."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": place.KERNEL, "display_name": "warm"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    found = papermill.execute_notebook(
        str(tmp_path / "in.ipynb"), str(tmp_path / "out.ipynb"), kernel_name=place.KERNEL,
        language="python", progress_bar=False, cwd=str(tmp_path),
    )  # fmt: skip
    return ["".join(o.get("text", "") for o in cell.outputs).strip() for cell in found.cells]


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.05)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def server_pid():
    with connect() as connection:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder)


def test_a_kernel_is_a_fork_with_its_user_s_environment_and_folder(warm, tmp_path, monkeypatch):
    monkeypatch.setenv("OF_THE_USER", "yes")
    said = run(tmp_path, "import os, sys; print('numpy' in sys.modules, os.environ['OF_THE_USER'])",
               "print(os.getppid(), os.getcwd())")  # fmt: skip
    assert said == ["True yes", f"{server_pid()} {tmp_path}"]


def test_each_kernel_draws_its_own_chance(warm, tmp_path):
    draw = "import random, numpy; print(random.random(), numpy.random.rand())"
    assert run(tmp_path, draw) != run(tmp_path, draw)


def test_a_killed_kernel_is_told_and_the_server_lives_on(warm, tmp_path):
    pid = server_pid()
    with pytest.raises(DeadKernelError):
        run(tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert run(tmp_path, "print(1)") == ["1"]
    assert server_pid() == pid


def test_a_kernel_ends_with_its_user(warm, tmp_path):
    lines = (
        "import os, sys, time; from nextaim_kit.runs.warm.client import Fork;"
        "fork = Fork(['python', '-m', 'ipykernel_launcher', '-f', sys.argv[1]]);"
        "print(fork.pid, flush=True); time.sleep(60)"
    )
    user = subprocess.Popen([sys.executable, "-c", lines, str(tmp_path / "c.json")],
                            stdout=subprocess.PIPE, text=True)  # fmt: skip
    pid = int(user.stdout.readline())
    until((tmp_path / "c.json").exists)
    assert alive(pid)
    user.kill()
    user.wait()
    user.stdout.close()
    until(lambda: not alive(pid))


def test_a_kernel_outlives_its_server_and_the_next_one_has_a_new_server(warm, tmp_path):
    first = server_pid()
    said = run(tmp_path, f"import os; os.kill({first}, 9)", "print('still here')")
    assert said[1] == "still here"
    assert run(tmp_path, "print(1)") == ["1"]
    assert server_pid() != first


def test_a_server_ends_when_nobody_has_used_it_for_a_while(warm, monkeypatch):
    monkeypatch.setenv("NEXTAIM_WARM_LINGER", "0.2")
    with hold():
        pid = server_pid()
        time.sleep(1.5)
        assert alive(pid)
    until(lambda: not alive(pid))
    assert not stop()


def test_a_server_that_is_to_end_lets_its_forks_end_first(warm, tmp_path):
    pid = server_pid()
    lines = "from nextaim_kit.runs.warm.client import stop; stop()", "import time; time.sleep(1.5)"
    assert run(tmp_path, *lines, "print('still here')")[-1] == "still here"
    until(lambda: not alive(pid))


def test_the_server_is_started_and_ended_by_command(warm, capsys):
    assert main(["warm"]) == 0
    assert "ready" in capsys.readouterr().out
    pid = server_pid()
    assert main(["warm", "--stop"]) == 0
    until(lambda: not alive(pid))
    assert main(["warm", "--stop"]) == 0
    assert "there is none" in capsys.readouterr().out


def test_without_a_server_a_cold_kernel_is_started_with_a_line_that_says_why(
    warm, tmp_path, monkeypatch, capfd
):
    (warm / f"nextaim-{os.getuid()}").mkdir(mode=0o755)
    assert run(tmp_path, "print(1)") == ["1"]
    assert "is not this user's alone): a cold one is started" in capfd.readouterr().err
    with pytest.raises(RunError, match="not this user's alone"):
        place.socket_path()
    (warm / f"nextaim-{os.getuid()}").rmdir()


def test_a_server_that_cannot_be_forked_says_so_and_serves_nobody(
    warm, tmp_path, monkeypatch, capfd
):
    lines = "import threading, time", "wait = threading.Thread(target=time.sleep, args=(60,))"
    module = "\n".join([*lines, "wait.daemon = True", "wait.start()"])
    (tmp_path / "threaded.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("NEXTAIM_WARM_IMPORTS", "threaded")
    assert run(tmp_path, "print(1)") == ["1"]
    assert "2 threads are alive after the imports" in capfd.readouterr().err


MODULE = """\
import os, signal, sys, time
kept = open(sys.argv[1], "w")
kept.write("whole")
signal.signal(signal.SIGTERM, lambda *_: (kept.close(), sys.exit(7)))
print(sys.argv[1:], "numpy" in sys.modules, os.environ["OF_THE_USER"], os.getcwd(), flush=True)
if sys.argv[2:] == ["wait"]:
    time.sleep(60)
sys.exit("as it has to end" if sys.argv[2:] == ["say"] else 3)
"""


@pytest.fixture
def module(warm, tmp_path, monkeypatch):
    """A program for the warm server to run; gives the command."""
    (tmp_path / "program.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OF_THE_USER", "yes")
    return [sys.executable, "-m", "nextaim_kit.runs.warm.client", "program"]


def test_any_module_runs_warm_as_it_would_cold(module, tmp_path):
    ran = subprocess.run([*module, "kept"], capture_output=True, text=True, cwd=tmp_path)
    assert ran.stdout == f"['kept'] True yes {tmp_path}\n"
    assert (ran.returncode, ran.stderr) == (3, "")
    assert (tmp_path / "kept").read_text() == "whole"
    ran = subprocess.run([*module, "kept", "say"], capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (1, "as it has to end\n")


def test_a_signal_to_the_client_is_one_to_its_process(module, tmp_path):
    client = subprocess.Popen([*module, "kept", "wait"], stdout=subprocess.PIPE, cwd=tmp_path)
    client.stdout.readline()
    client.terminate()
    assert client.wait(20) == 7
    client.stdout.close()


def test_a_process_ends_with_the_parent_of_its_client(module, tmp_path):
    lines = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    parent = subprocess.Popen([sys.executable, "-c", lines, *module, "kept", "wait"],
                              stdout=subprocess.PIPE, cwd=tmp_path)  # fmt: skip
    parent.stdout.readline()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: (tmp_path / "kept").read_text() == "whole")  # it was asked, and could close


def test_without_a_server_a_module_runs_cold(module, warm, tmp_path):
    (warm / f"nextaim-{os.getuid()}").mkdir(mode=0o755)
    ran = subprocess.run([*module, "kept"], capture_output=True, text=True, cwd=tmp_path)
    assert ran.stdout.startswith("['kept'] False yes")
    assert "a cold one is started" in ran.stderr
    assert ran.returncode == 3
    (warm / f"nextaim-{os.getuid()}").rmdir()


def test_only_this_user_can_enter_the_folder_of_the_socket(warm):
    path = place.socket_path()
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_another_environment_has_another_server(warm, monkeypatch):
    before = place.socket_path()
    monkeypatch.setenv("LD_LIBRARY_PATH", "/elsewhere")
    assert place.socket_path() != before


def test_a_request_that_is_no_request_is_no_harm(warm, tmp_path):
    pid = server_pid()
    for text in (b"", b"no json\n", b'{"argv": []}\n', b"[]\n"):
        with connect() as connection:
            connection.sendall(text)
    assert run(tmp_path, "print(1)") == ["1"]
    assert server_pid() == pid


def test_a_second_thread_makes_a_process_unfit():
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    assert "threads are alive" in server.unfit()
    over.set()
    other.join()
