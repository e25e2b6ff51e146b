"""A hub on one machine, for trying: the profiles of values.yaml, servers as local processes.

Everybody who has the password works as the same system user. It listens on 127.0.0.1 alone.
``make hub`` starts it; docs/hub.md names the variables that it reads.
"""

import os
import secrets
import socket
import sys
from pathlib import Path

import yaml
from jupyterhub.utils import random_port

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
sys.path.insert(0, str(HERE))
from trial import TrialSpawner, spawner_settings  # noqa: E402  # lies beside this file

LOOPBACK = "127.0.0.1"
values = yaml.safe_load((HERE / "values.yaml").read_text())
state = Path(os.environ.get("NEXTAIM_HUB_STATE") or PROJECT / ".hub").resolve()
port = int(os.environ.get("NEXTAIM_HUB_PORT") or 8000)
password = os.environ.get("NEXTAIM_HUB_PASSWORD") or secrets.token_urlsafe(9)
idle = int(os.environ.get("NEXTAIM_HUB_IDLE") or values["cull"]["timeout"])

with socket.socket() as trial:
    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if trial.connect_ex((LOOPBACK, port)) == 0:
        sys.exit(f"port {port} is taken: name another, as in make hub NEXTAIM_HUB_PORT=8010")
state.mkdir(parents=True, exist_ok=True)

c = get_config()  # noqa: F821  # JupyterHub gives it
c.JupyterHub.log_level = "WARN"
c.JupyterHub.bind_url = f"http://{LOOPBACK}:{port}"
c.JupyterHub.hub_bind_url = f"http://{LOOPBACK}:{random_port()}"
c.JupyterHub.db_url = "sqlite:///:memory:"
c.JupyterHub.cookie_secret = secrets.token_bytes(32)
programs = Path(sys.executable).parent
os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"  # `nextaim` in the servers' terminals
c.ConfigurableHTTPProxy.command = [
    *(sys.executable, str(HERE / "proxy.py")),
    "--proxy-timeout=3600000",  # ms; its 20 s would cut off the page that waits for a server
]
c.ConfigurableHTTPProxy.api_url = f"http://{LOOPBACK}:{random_port()}"
c.ConfigurableHTTPProxy.auth_token = secrets.token_hex(16)
c.ConfigurableHTTPProxy.pid_file = str(state / "proxy.pid")

c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = password
c.Authenticator.allow_all = True

c.JupyterHub.spawner_class = TrialSpawner
for name, value in spawner_settings(values).items():
    setattr(c.KubeSpawner, name, value)
c.Spawner.http_timeout = 120  # a busy machine takes long to import a server
c.TrialSpawner.manifests = str(state / "manifests")
c.TrialSpawner.env_keep = []  # for the manifest
c.TrialSpawner.home_dir_template = str(state / "home" / "{username}")
c.TrialSpawner.local = {
    "cmd": [sys.executable, "-m", "jupyterhub.singleuser"],
    "args": [
        "--log-level=WARN",
        "--LabApp.news_url=None",  # nothing is asked of the internet
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        # No login shell, as which a terminal would forget the PATH that leads to `nextaim`.
        "--ServerApp.terminado_settings=shell_command=['bash']",
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ],
    "default_url": "/lab/tree/notebooks/start_here.ipynb",
    "notebook_dir": str(PROJECT),
    "env_keep": [
        *("PATH", "PYTHONPATH", "LANG", "LC_ALL"),
        *(name for name in os.environ if name.startswith("NEXTAIM_") and "HUB" not in name),
    ],
}

c.JupyterHub.services = [
    {
        "name": "culler",
        "command": [
            *(sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={idle}"),
            f"--cull-every={min(values['cull']['every'], max(1, idle // 4))}",
        ],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["culler"],
    }
]

print(f"==> the hub comes up at http://{LOOPBACK}:{port} (Ctrl-C ends it and its servers)")
print(f"==> log in with any name and the password {password}", flush=True)
