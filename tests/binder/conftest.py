"""A hub of this machine, and the pods that a cluster would be asked for."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

PROJECT = Path(__file__).resolve().parents[2]
HUB = PROJECT / "binder" / "hub"
CONFIG = Path("binder") / "hub" / "jupyterhub_config.py"
PASSWORD = "a-password-for-tests"


@dataclass
class TrialHub:
    """A hub that runs: where it is, how to log in, and what it would have sent to a cluster."""

    address: str
    state: Path
    process: subprocess.Popen
    user: str = "ada"
    password: str = PASSWORD

    @property
    def manifest_path(self) -> Path:
        return self.state / "manifests" / f"{self.user}.json"

    def manifest(self) -> dict[str, Any]:
        return json.loads(self.manifest_path.read_text())

    def visit(self, user: str | None = None) -> Visitor:
        return Visitor(self, user or self.user)


@dataclass
class Visitor:
    """Somebody logged in at a hub, without a browser."""

    hub: TrialHub
    user: str

    @cached_property
    def session(self) -> requests.Session:
        session = requests.Session()
        session.get(f"{self.hub.address}/hub/login").raise_for_status()
        form = {"username": self.user, "password": self.hub.password}
        form["_xsrf"] = session.cookies.get("_xsrf", path="/hub/")
        session.post(f"{self.hub.address}/hub/login", data=form).raise_for_status()
        return session

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"X-XSRFToken": self.session.cookies.get("_xsrf", path="/hub/")}
        return self.session.request(method, self.hub.address + path, headers=headers, **more)

    def server(self) -> dict[str, Any] | None:
        """What the hub says of this user's server; None without one."""
        return self.ask("GET", f"/hub/api/users/{self.user}").json()["servers"].get("")

    def start(self, profile: str) -> None:
        """Ask for a server by a profile's name and wait until it is ready."""
        path = f"/hub/api/users/{self.user}/server"
        self.ask("POST", path, json={"profile": profile}).raise_for_status()
        until(lambda: (self.server() or {}).get("ready"))
        self.ask("GET", f"/user/{self.user}/").raise_for_status()  # logs in at the server, too

    def stir(self) -> bool:
        """Keep the culler off, as somebody at the browser would."""
        now = {"last_activity": datetime.now(UTC).isoformat()}
        path = f"/hub/api/users/{self.user}/activity"
        return self.ask("POST", path, json={"servers": {"": now}}).ok

    def stop(self) -> None:
        self.ask("DELETE", f"/hub/api/users/{self.user}/server").raise_for_status()
        until(lambda: self.server() is None)


def until(condition: Any, patience: float = 400) -> None:
    """Wait until something holds; far longer than it should take is a failure."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


@contextmanager
def running_hub(state: Path, project: Path = PROJECT, **variables: str):
    """Start a project's trial hub on a free port, and end it with all that it started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"PORT": str(port), "PASSWORD": PASSWORD, "STATE": str(state)}
    own = {f"NEXTAIM_HUB_{name}": value for name, value in own.items()}
    folders = {f"NEXTAIM_{name.upper()}": str(state / name) for name in ("cache", "data", "runs")}
    plain = {name: value for name, value in os.environ.items() if "JUPYTERHUB" not in name}
    with (state / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(project / CONFIG)],
            env=plain | {"PYTHONPATH": str(project)} | folders | own | variables,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=state,
        )
    hub = TrialHub(f"http://127.0.0.1:{port}", state, process)
    try:
        until(lambda: process.poll() is not None or answers(hub.address))
        assert process.poll() is None, (state / "log").read_text()
        yield hub
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(300)


def answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/hub/health", timeout=5).ok
    except requests.RequestException:
        return False


@pytest.fixture(scope="session")
def wait_until():
    """Wait for what takes a while."""
    return until


@pytest.fixture(scope="session")
def start_hub(tmp_path_factory):
    """Start a hub of one's own with these variables."""
    return lambda **variables: running_hub(tmp_path_factory.mktemp("hub"), **variables)


@pytest.fixture(scope="session")
def trial_hub(tmp_path_factory):
    """One trial hub for all tests of this process."""
    with running_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture(scope="session")
def values() -> dict[str, Any]:
    """The values for zero-to-jupyterhub's chart."""
    return yaml.safe_load((HUB / "values.yaml").read_text())


@pytest.fixture(scope="session")
def trial():
    """The module `binder/hub/trial.py`."""
    spec = importlib.util.spec_from_file_location("trial", HUB / "trial.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pod_of(trial, values):
    """Gives the pod that KubeSpawner would ask a cluster for, by a profile's name."""
    from traitlets.config import Config

    async def manifest(profile: str) -> dict[str, Any]:
        config = Config({"KubeSpawner": trial.spawner_settings(values)})
        spawner = trial.KubeSpawner(_mock=True, config=config)
        spawner.user_options = {"profile": profile}
        await spawner.load_user_options()
        pod = await spawner.get_pod_manifest()
        plain = spawner.api.api_client.sanitize_for_serialization(pod)
        await spawner.api.api_client.close()
        return plain

    return lambda profile: asyncio.run(manifest(profile))
