"""Warm kernels are forked ready, live as long as their user, and give way to cold ones."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time

import nbformat
import pytest
from jupyter_client import KernelManager
from nbclient.exceptions import DeadKernelError

from nextaim_kit.cli import main
from nextaim_kit.errors import RunError
from nextaim_kit.runs.execution import Observer, execute_cells
from nextaim_kit.runs.warm import place, server, settled
from nextaim_kit.runs.warm.client import PARENT, Fork, hold, stop

pytestmark = pytest.mark.rest


@pytest.fixture
def warm(tmp_path_factory, monkeypatch):
    """Folder of a server of its own, which imports little."""
    folder = tmp_path_factory.mktemp("w")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("NEXTAIM_WARM_IMPORTS", "ipykernel.kernelapp,numpy")
    yield folder
    stop()


def run(tmp_path, *sources):
    """Output of cells that are run in a warm kernel."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "in.ipynb")
    execute_cells(tmp_path / "in.ipynb", tmp_path / "out.ipynb", {}, Observer())
    found = nbformat.read(tmp_path / "out.ipynb", 4)
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
    with hold() as connection:
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
        place.socket_paths()
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


AT_ONCE = """\
import os, signal, socket, sys, time
from pathlib import Path
from nextaim_kit.runs.warm.server import Server
path = Path(sys.argv[1])
path.touch()
server = Server(path, lambda *_: "", 1.0)
server.door = socket.socket()
server.signals = {signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: server._stop())}
os.register_at_fork(after_in_child=lambda: time.sleep(0.5))
lease, user = socket.socketpair()
if server._fork(lease, {}, []):
    time.sleep(20)
    os._exit(3)
lease.close()
pid = int(eval(user.recv(100))["pid"])
os.killpg(pid, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), path.exists())
"""


def test_a_signal_ends_a_fork_that_has_just_begun_and_leaves_the_server_alone(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", AT_ONCE, str(tmp_path / "door")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.stdout == "-15 True\n", ran.stderr


def test_it_ends_too_when_its_parent_was_gone_before_it_knew(module, tmp_path):
    parent = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                            capture_output=True, text=True, check=True)  # fmt: skip
    environment = os.environ | {PARENT: parent.stdout.strip()}
    ran = subprocess.run([*module, "kept", "wait"], cwd=tmp_path, env=environment, timeout=60)
    assert ran.returncode == 1
    assert not (tmp_path / "kept").exists() or (tmp_path / "kept").read_text() == "whole"


def test_without_a_server_a_module_runs_cold(module, warm, tmp_path):
    (warm / f"nextaim-{os.getuid()}").mkdir(mode=0o755)
    ran = subprocess.run([*module, "kept"], capture_output=True, text=True, cwd=tmp_path)
    assert ran.stdout.startswith("['kept'] False yes")
    assert "a cold one is started" in ran.stderr
    assert ran.returncode == 3
    (warm / f"nextaim-{os.getuid()}").rmdir()


PROBE = """\
import sys
warm = "numpy" in sys.modules
import json, locale, os, signal, tempfile, time, warnings
environment = {name: os.environ[name] for name in os.environ if name not in ("NEXTAIM_WARM", "_")}
import numpy
import threadpoolctl
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
found = {
    "environment": environment,
    "status": [status[n].split() for n in ("Umask", "Groups", "SigIgn", "CapEff", "Cpus_allowed")],
    "limits": open("/proc/self/limits").read(), "cgroup": open("/proc/self/cgroup").read(),
    "nice": [os.getpriority(os.PRIO_PROCESS, 0), open("/proc/self/oom_score_adj").read()],
    "time": [time.tzname, time.strftime("%c %z", time.localtime(0))],
    "locale": [locale.setlocale(locale.LC_ALL), sys.getfilesystemencoding(), "\\u00fc"],
    "files": [tempfile.gettempdir(), os.getcwd(), os.path.expanduser("~"), os.read(0, 9).hex()],
    "python": [sys.path, str(sys.flags), sys.warnoptions, sys.argv, sys.orig_argv, sys.prefix],
    "streams": [[f.encoding, f.errors, f.write_through] for f in (sys.stdin, sys.stdout)],
    "filters": list(map(str, warnings.filters)), "main": __spec__.name,
    "hash": hash("a") if os.environ.get("PYTHONHASHSEED") else 0, "debug": __debug__,
    "signals": {str(s): str(signal.getsignal(s)) for s in signal.Signals},
    "threads": sorted(str(pool["num_threads"]) for pool in threadpoolctl.threadpool_info()),
    "session": [os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()],
}
if "matplotlib" in os.environ.get("NEXTAIM_WARM_IMPORTS", ""):
    import matplotlib
    found["plots"] = {n: str(v) for n, v in dict.items(matplotlib.rcParams) if n != "backend"}
    found["plots"]["backend"] = os.environ.get("MPLBACKEND") and matplotlib.get_backend()
    found["settings"] = [matplotlib.matplotlib_fname(), matplotlib.get_configdir()]
print(json.dumps([warm, found]))
"""


def probe(folder, before, changes, **kept):
    """What a process says of itself cold and warm, called in `folder` after `before` by a shell."""
    (folder / "probe.py").write_text(PROBE)
    (folder / "new").mkdir(exist_ok=True)
    changes = {name: value.format(folder=folder) for name, value in changes.items()}
    command = [sys.executable, "-m", "nextaim_kit.runs.warm.client", "probe"]
    said = []
    for asked in ("0", "1"):
        ran = subprocess.run(["sh", "-c", f'{before} exec "$@"', "sh", *command], cwd=folder,
                             env=os.environ | kept | changes | {"NEXTAIM_WARM": asked},
                             capture_output=True, text=True, check=True)  # fmt: skip
        said.append(json.loads(ran.stdout))
    (cold_is_warm, cold), (is_warm, warm) = said
    assert (cold_is_warm, is_warm) == (False, True), ran.stderr
    return cold, warm


@pytest.mark.parametrize(("before", "changes"), [
    ("umask 077; ulimit -n 300; ulimit -S -v 9000000;", {}),
    ("renice -n 5 $$ >/dev/null; taskset -pc 0 $$ >/dev/null;", {}),
    ("umask 0; trap '' HUP INT; echo 500 >/proc/$$/oom_score_adj;", {}),
    ("", {"PYTHONPATH": "{folder}/new", "PYTHONHASHSEED": "5", "PYTHONOPTIMIZE": "1"}),
    ("", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONUNBUFFERED": ""}),
    ("", {"PYTHONIOENCODING": "latin-1:replace", "PYTHONSAFEPATH": "1", "PYTHONPATH": "{folder}",
          "PYTHONWARNINGS": "error::ImportWarning", "HOME": "{folder}/new"}),
    ("", {"PYTHONDEVMODE": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}),
    ("umask 027; ulimit -c 0; ulimit -S -s 4096; ulimit -t 500; trap '' TERM USR1;", {}),
    ("", {"LC_ALL": "C.UTF-8", "LC_NUMERIC": "C", "LANGUAGE": "de", "PYTHONWARNINGS": "ignore"}),
    ("renice -n 9 $$ >/dev/null; ulimit -u 4000;", {"PYTHONINTMAXSTRDIGITS": "0", "TZ": "UTC-3"}),
    ("", {"PYTHONPATH": "{folder}/new:{folder}", "PYTHONNODEBUGRANGES": "1", "PYTHONVERBOSE": ""}),
])  # fmt: skip
def test_what_is_settled_at_a_process_s_start_is_as_in_a_cold_one(warm, tmp_path, before, changes):
    cold, forked = probe(tmp_path, before, changes, NEXTAIM_WARM_IMPORTS="numpy,threadpoolctl")
    assert cold == forked


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Folder of a server that plots, for all tests that need one and the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("s")))
        patch.setenv("NEXTAIM_WARM_IMPORTS", "numpy,threadpoolctl,matplotlib.pyplot")
        yield {name: os.environ[name] for name in ("XDG_RUNTIME_DIR", "NEXTAIM_WARM_IMPORTS")}
        stop()


@pytest.mark.parametrize(("changes", "rc"), [
    ({"TZ": "Asia/Kolkata", "TMPDIR": "{folder}/new", "SOME": "OTHER", "TERM": "dumb"}, ""),
    ({"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "1", "MPLBACKEND": "svg"}, ""),
    ({"OMP_NUM_THREADS": "1,1"}, "lines.linewidth: 7"),
    ({"OF_THE_ÜSER": "äöü\n = x", "EMPTY": "", "NEXTAIM_RUNS": "{folder}/ü"}, ""),
    ({"TZ": ":America/St_Johns", "LINES": "10", "COLUMNS": "33"}, ""),
    ({"TMP": "{folder}/new", "TEMP": "/", "PATH": "/usr/bin:/bin"}, "font.size: 3"),
    ({"MPLBACKEND": "agg", "OMP_NUM_THREADS": "2", "NEXTAIM_CACHE": "{folder}/new"}, ""),
    ({"TZ": "CET-1CEST", "TMPDIR": "{folder}/new", "MPLBACKEND": "module://nowhere"}, ""),
    ({"CUDA_VISIBLE_DEVICES": "", "NEXTAIM_DATA": "~/a b", "XYZ": "'\"$(id)"}, "axes.grid: True"),
])  # fmt: skip
def test_what_can_be_handed_to_a_fork_takes_no_other_server(shared, tmp_path, changes, rc):
    if rc:
        (tmp_path / "matplotlibrc").write_text(rc)
    cold, forked = probe(tmp_path, "", changes, **shared)
    assert cold == forked
    servers = os.listdir(f"{shared['XDG_RUNTIME_DIR']}/nextaim-{os.getuid()}")
    assert len([name for name in servers if name.endswith(".sock")]) == 1


def test_a_module_beside_the_notebook_is_found_and_no_command_stays_in_the_history(warm, tmp_path):
    (tmp_path / "helper.py").write_text("x = 5")
    lines = (
        "import helper, sys; print(helper.x, '' in sys.path, [a for a in sys.argv if 'hist' in a])"
    )
    assert run(tmp_path, lines) == ["5 True ['--HistoryManager.hist_file=:memory:']"]


def test_where_no_server_is_alike_a_cold_kernel_is_started_with_one_line(
    warm, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(place, "_MOST", 1)
    with hold():
        monkeypatch.setenv("PYTHONHASHSEED", "5")
        assert run(tmp_path, "import sys; print('numpy' in sys.modules)") == ["False"]
    line = "no warm kernel (PYTHONHASHSEED is another than any warm server's): a cold one"
    assert capfd.readouterr().err.count(line) == 1


@pytest.mark.parametrize(("options", "why"), [
    ({"stdout": subprocess.DEVNULL}, "stdout cannot be given"), ({"independent": True}, "indep"),
    ({"cwd": "/absent"}, "No such file"),
])  # fmt: skip
def test_how_only_a_cold_kernel_can_be_started_starts_one(warm, capfd, options, why):
    manager = KernelManager(kernel_name=place.KERNEL)
    with contextlib.suppress(FileNotFoundError):  # as a cold one says it
        manager.start_kernel(**options)
        manager.shutdown_kernel(now=True)
    assert f"no warm kernel ({why}" in capfd.readouterr().err.replace("[Errno 2] ", "")


@pytest.mark.parametrize("command", [["python", "-X", "dev", "-m", "a"], ["/bin/true", "-m", "a"]])
def test_another_interpreter_or_another_way_of_starting_it_is_not_forked(warm, command):
    with pytest.raises(OSError, match="not this interpreter's -m MODULE"):
        Fork(command)


def test_variables_that_imports_read_by_name_are_known_and_copies_are_none():
    lines = ["dict(os.environ)", "os.environ.items()", "os.getenv('A')", "'B' in os.environ"]
    lines += ["os.environ.get('HOME')", "[os.environ[name] for name in list(os.environ)]"]
    lines += ["os.get_exec_path()"]  # it asks in bytes too
    names = settled.read_by(lambda: [eval(line) for line in lines])
    assert names == {"A", "B", "HOME", "PATH"}
    here, there = ({}, {"A": "1", "C": "1", "TERM": "x"}), ({}, {"A": "2", "C": "2", "TERM": "y"})
    assert settled.difference(here, there, names | {"TERM"}) == "A"
    assert settled.difference(here, there, {"TERM"}) == ""
    assert settled.difference(here, (({}, {**here[1], "PYTHONX": "1"})), set()) == "PYTHONX"


def test_only_this_user_can_enter_the_folder_of_the_socket(warm):
    path = place.socket_paths()[0]
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_request_that_is_no_request_is_no_harm(warm, tmp_path):
    pid = server_pid()
    others = (b'{"env": 1, "state": {}}\n', b'{"env": {}, "state": {}}\n', b'{"state": 3}\n')
    for text in (b"", b"no json\n", b'{"command": []}\n', b"[]\n", *others):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(place.socket_paths()[0]))
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
