"""A run's kernel is reached through sockets of the user's own, which nobody can take from it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from nextaim_kit.runs.connection import kernel_connection
from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.runner import execute
from nextaim_kit.runs.warm.place import own_folder


@pytest.fixture
def short(tmp_path_factory, monkeypatch) -> Path:
    """A folder for sockets that is this test's alone."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("s")))
    monkeypatch.setenv("NEXTAIM_WARM", "0")
    return own_folder()


@pytest.fixture
def taken(monkeypatch):
    """Every port that Jupyter takes for free is another process's by the time it is bound."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        name = "jupyter_client.connect.LocalPortCache.find_available_port"
        monkeypatch.setattr(name, lambda *_: port)
        yield


def test_a_port_that_another_process_took_meanwhile_ends_no_run(toy, short, taken):
    toy()
    assert execute(prepare("toy/draw", "smoke", {}))[0]["outcome"] == "complete"
    with pytest.raises(RuntimeError, match="Kernel died before replying"):
        start_new_kernel(kernel_name="python3", startup_timeout=20)


def test_only_this_user_enters_the_folder_and_after_the_run_it_is_gone(toy, short):
    toy("import os; from ipykernel.kernelapp import IPKernelApp; app = IPKernelApp.instance(); "
        "print(app.transport, oct(os.stat(os.path.dirname(app.ip)).st_mode & 0o777))")  # fmt: skip
    request = prepare("toy/draw", "smoke", {})
    execute(request)
    assert "ipc 0o700" in (request.folder / "notebook.ipynb").read_text()
    assert not list(short.glob("kernel-*"))


def test_what_a_killed_process_left_goes_with_the_next_run_and_what_is_used_stays(short):
    (short / "kernel-x").mkdir()
    with kernel_connection() as first, kernel_connection() as second:
        folders = [Path(one.KernelManager.connection_file).parent for one in (first, second)]
        assert sorted(short.glob("kernel-*")) == sorted(folders)
    assert not list(short.glob("kernel-*"))


def test_where_no_socket_can_be_made_ports_do_it(short, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short / ("long" * 30)))
    os.mkdir(short / ("long" * 30))
    with kernel_connection() as connection:
        assert "transport" not in connection.KernelManager
    short.chmod(0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short.parent))
    with kernel_connection() as connection:
        assert "transport" not in connection.KernelManager
