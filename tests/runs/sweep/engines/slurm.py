"""A real Slurm on this machine's loopback, for tests: one node, two stand-in GPUs."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PARTITION = "batch"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
SYSTEM = Path("/etc/slurm")  # what a job reads once SLURM_CONF is taken from it, as Snakemake does
LOCK = Path("/tmp/nextaim-slurm.lock")  # one at a time, for there is one SYSTEM
DAEMON = "NEXTAIM_TESTS_SLURM"  # in the environment of the daemons and of the jobs' steps
JOB = "SLURM_JOB_ID="
OURS = re.compile(r"# nextaim_kit's tests: (/tmp/slurm-\w+) (/.+)")
SEARCH = os.pathsep.join(filter(None, [os.environ.get("PATH"), "/usr/bin", "/usr/sbin"]))

# NoInAddrAny: without it, and without its twin, the daemons listen on every address.
# config_overrides: a machine of one core may still declare two.
# DefMemPerCPU: a job that asks for no memory would be given all of it.
# batch_sched_delay: a job that can start does so within a second.
CONF = """\
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={short}/munge
StateSaveLocation={folder}/state
SlurmctldPidFile={short}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={short}/spool
SlurmdPidFile={short}/slurmd.pid
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0
GresTypes=gpu
ReturnToService=2
MinJobAge=600
KillWait=3
DefMemPerCPU=100
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:mig:2 State=UNKNOWN
PartitionName={partition} Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""
GRES = """\
AutoDetect=off
NodeName=localhost Name=gpu Type=mig File={short}/mig[0-1]
"""


class SlurmError(RuntimeError):
    """Slurm does not start, or a command of it fails."""


def missing() -> list[str]:
    """What this machine lacks to start a Slurm."""
    lacking = [program for program in PROGRAMS if not shutil.which(program, path=SEARCH)]
    return lacking if os.geteuid() == 0 else [*lacking, "root's rights"]


class Slurm:
    """A Slurm from ``with`` to its end: commands to it go by :attr:`environment`.

    Configuration, logs and state lie in `folder`; sockets in a short folder of their own,
    since a socket's path may have 107 characters and those of pytest's folders are long.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.conf = self.folder / "slurm.conf"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
        self.environment = kept | {"SLURM_CONF": str(self.conf), "PATH": SEARCH}
        self._daemons: dict[str, subprocess.Popen] = {}
        self._lock: int | None = None
        self._short: Path | None = None

    def __enter__(self) -> Slurm:
        self._lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self._clear_system()
            self._short = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
            self._configure()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- using it ------------------------------------------------------------------------------

    def run(self, *command: str) -> str:
        """Run a command of Slurm; what it prints."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise SlurmError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout.strip()

    def submit(self, script: str, *options: str, output: Path | None = None) -> str:
        """Submit a script of the shell; the job's number."""
        output = output or self.folder / "%j.out"
        wrapped = (f"--output={output}", f"--chdir={self.folder}", f"--wrap={script}")
        return self.run("sbatch", "--parsable", *options, *wrapped).split(";")[0]

    def state(self, job: str) -> str:
        """The state of a job, ended or not: PENDING, RUNNING, COMPLETED, ..."""
        return self.run("squeue", "--states=all", "--noheader", "--format=%T", f"--jobs={job}")

    def wait(self, job: str, *states: str, seconds: float = 30) -> str:
        """Wait until a job has one of `states`; which."""
        until(lambda: self.state(job) in states, seconds, lambda: f"job {job}: {self.state(job)}")
        return self.state(job)

    def kill_job(self, job: str) -> list[int]:
        """Kill the processes of a running job, as the kernel does when memory ends."""
        until(lambda: self._processes(job), 20, lambda: f"job {job}: {self.state(job)}")
        return _signal(self._processes(job), signal.SIGKILL)

    def _processes(self, job: str) -> list[int]:
        """Of its steps; a job that has just begun has none yet."""
        with suppress(SlurmError):
            rows = self.run("scontrol", "listpids", job).splitlines()[1:]
            return [pid for row in rows if (pid := int(row.split()[0])) > 0]
        return []

    def listening(self) -> list[tuple[str, int]]:
        """Address and port of all that the daemons, steps and jobs listen to by TCP."""
        opened = set()
        for pid in _strays(self.conf):
            for handle in Path(f"/proc/{pid}/fd").glob("*"):
                with suppress(OSError):
                    opened.add(os.readlink(handle))
        found = []
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                if state == "0A" and f"socket:[{inode}]" in opened:
                    address, port = local.split(":")
                    if len(address) == 8:  # the four bytes of an integer, as this machine has them
                        address = socket.inet_ntoa(int(address, 16).to_bytes(4, sys.byteorder))
                    found.append((address, int(port, 16)))
        return found

    # --- its life ------------------------------------------------------------------------------

    def _configure(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for place in (self.folder / "state", self._short / "spool"):
            place.mkdir(exist_ok=True)
        self._short.chmod(0o755)  # munged wants a socket that everybody can reach
        for number in range(2):
            os.mknod(self._short / f"mig{number}", 0o600 | 0o020000, os.makedev(1, 3))
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        controller, node = _free_ports(2)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        values = {
            "folder": self.folder, "short": self._short, "controller": controller, "node": node,
            "cpus": max(2, os.cpu_count() or 1), "memory": memory * 8 // 10,
            "partition": PARTITION,
        }  # fmt: skip
        SYSTEM.mkdir(exist_ok=True)
        for name, text in (("slurm.conf", CONF), ("gres.conf", GRES)):
            text = f"# nextaim_kit's tests: {self._short} {self.conf}\n" + text.format(**values)
            (self.folder / name).write_text(text)
            (SYSTEM / name).write_text(text)

    def _start(self) -> None:
        munge = self._short / "munge"
        self._daemon(
            "munged", "--foreground", f"--key-file={self.folder / 'munge.key'}",
            f"--socket={munge}", f"--pid-file={munge}.pid", f"--seed-file={munge}.seed",
            f"--log-file={self.folder / 'munged.log'}", "--num-threads=2",
        )  # fmt: skip
        until(munge.is_socket, 10, self._trouble, self._check)
        self._daemon("slurmctld", "-D", "-c")
        self._daemon("slurmd", "-D", "-N", "localhost")
        until(lambda: self._node() == "idle", 30, self._trouble, self._check)

    def _daemon(self, name: str, *options: str) -> None:
        """Start a daemon that dies with us, however we die, and thinks itself on localhost."""
        command = ["setpriv", "--pdeathsig", "KILL", name, *options]
        if not _loopback(socket.gethostname()):
            # NoInAddrAny binds to the address of the machine's own name.
            renamed = 'hostname localhost && exec "$@"'
            command = ["unshare", "--uts", "sh", "-c", renamed, "sh", *command]
        with (self.folder / f"{name}.out").open("wb") as log:
            self._daemons[name] = subprocess.Popen(
                command, env=self.environment | {DAEMON: str(self.conf)}, cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def _node(self) -> str:
        with suppress(SlurmError):
            return self.run("sinfo", "--noheader", "--format=%T")
        return ""

    def _check(self) -> None:
        for name, process in self._daemons.items():
            if process.poll() is not None:
                raise SlurmError(f"{name} ended with {process.returncode}\n{self._trouble()}")

    def _trouble(self) -> str:
        """What the daemons have said last."""
        logs = [path for name in self._daemons for path in sorted(self.folder.glob(f"{name}.*"))]
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in logs)

    def stop(self) -> None:
        """End the jobs and the daemons; leave nothing but `folder`."""
        if self._lock is None:
            return
        try:
            if "slurmd" in self._daemons:
                with suppress(SlurmError, subprocess.TimeoutExpired):
                    self.run("scancel", "--user=root")
                    until(lambda: not self.run("squeue", "--noheader"), 8, str)
            for process in reversed(self._daemons.values()):
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
        finally:
            for process in self._daemons.values():
                process.kill()
                process.wait()
            self._daemons.clear()
            try:
                _sweep(self._short, self.conf)
            finally:
                os.close(self._lock)
                self._lock = None

    def _clear_system(self) -> None:
        """Take away what a run that was killed has left; never what is not ours."""
        for path in (SYSTEM / "slurm.conf", SYSTEM / "gres.conf"):
            if os.path.lexists(path):
                written = _written(path)
                if not written:
                    raise SlurmError(f"{path} is not of these tests: they leave a real Slurm alone")
                _sweep(*written)


def until(
    done: Callable[[], object],
    seconds: float,
    trouble: Callable[[], str],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Wait until `done`; after `seconds` fail with what `trouble` says."""
    end = time.monotonic() + seconds
    while not done():
        check()
        if time.monotonic() > end:
            raise SlurmError(f"not within {seconds} s: {trouble()}")
        time.sleep(0.1)


def _written(path: Path) -> tuple[Path, Path] | None:
    """Short folder and slurm.conf of the Slurm that wrote a file of SYSTEM, if it was one here."""
    if not path.is_file():
        return None
    match = OURS.match(path.read_text(errors="replace"))
    return (Path(match[1]), Path(match[2])) if match else None


def _sweep(short: Path | None, conf: Path) -> None:
    """Kill what still runs under a configuration, and remove its copies and its sockets."""
    until(lambda: not _signal(_strays(conf), signal.SIGKILL), 10, lambda: f"strays of {conf}")
    for path in (SYSTEM / "slurm.conf", SYSTEM / "gres.conf"):
        if _written(path) == (short, conf):
            path.unlink()
    if short:
        shutil.rmtree(short, ignore_errors=True)


def _strays(conf: Path) -> list[int]:
    """Daemons, steps and jobs of a configuration, and what these have started.

    A job is known by two variables: a shell from which somebody looks on has SLURM_CONF alone.
    """
    parents, found = {}, set()
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            pid = int(place.name)
            parents[pid] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            values = os.fsdecode((place / "environ").read_bytes()).split("\0")
            job = f"SLURM_CONF={conf}" in values and any(v.startswith(JOB) for v in values)
            if job or f"{DAEMON}={conf}" in values:
                found.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(pid for pid in found if _alive(pid))


def _alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def _signal(pids: list[int], number: int) -> list[int]:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    return pids


def _loopback(host: str) -> bool:
    with suppress(OSError):
        return socket.gethostbyname(host).startswith("127.")
    return False


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports
