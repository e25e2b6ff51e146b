"""The trial hub, really started: logging in, the form, a server by a profile, its end."""

import json
import os
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import kubernetes_validate
import pytest
import requests
from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1
from websocket import create_connection

pytestmark = pytest.mark.rest

PROJECT = Path(__file__).resolve().parents[2]
PROTOCOL = "v1.kernel.websocket.jupyter.org"
LONG = "'x' * 11_000_000"


@pytest.fixture(scope="module")
def served(trial_hub):
    """Somebody whose server runs by the profile of a 10 GB slice."""
    visitor = trial_hub.visit()
    visitor.start("mig-1g-10gb")
    yield visitor
    visitor.stop()


def test_without_the_password_nobody_comes_in(trial_hub):
    form = {"username": "eve", "password": "guessed-wrongly"}
    assert requests.post(f"{trial_hub.address}/hub/login", data=form).status_code == 403
    page = requests.get(f"{trial_hub.address}/hub/spawn")
    assert "/hub/login" in page.url


def test_the_form_offers_every_profile_of_the_values(trial_hub, values):
    page = trial_hub.visit("grace").ask("GET", "/hub/spawn").text
    profiles = values["singleuser"]["profileList"]
    for profile in profiles:
        assert f'value="{profile["slug"]}"' in page
        assert profile["display_name"] in page
        assert profile["description"] in page


def test_a_profile_that_there_is_not_is_refused(trial_hub):
    asked = {"profile": "mig-7g-80gb"}
    answer = trial_hub.visit("grace").ask("POST", "/hub/api/users/grace/server", json=asked)
    assert answer.status_code >= 400


def test_the_manifest_of_the_chosen_profile_is_written_and_valid(served):
    pod = served.hub.manifest()
    kubernetes_validate.validate(pod, "1.32", strict=True)
    (container,) = pod["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/mig-1g.10gb"] == "1"
    assert {"name": "NEXTAIM_EXPECTS", "value": "1g.10gb"} in container["env"]


def test_the_manifest_holds_nothing_of_this_machine(served):
    pod = served.hub.manifest()
    (container,) = pod["spec"]["containers"]
    assert container["image"].startswith("registry.example.org/")
    assert "args" not in container  # the image starts the server itself
    text = json.dumps(pod)
    assert not [path for path in (str(PROJECT), sys.prefix, os.environ["PATH"]) if path in text]


def test_the_manifest_s_file_holds_no_token(served):
    (container,) = served.hub.manifest()["spec"]["containers"]
    tokens = [v["value"] for v in container["env"] if "TOKEN" in v["name"]]
    assert tokens
    assert set(tokens) == {"<token>"}


def test_the_server_answers_and_opens_the_start_page(served):
    page = served.ask("GET", f"/user/{served.user}/")
    assert page.url.endswith("/lab/tree/notebooks/start_here.ipynb")
    listing = served.ask("GET", f"/user/{served.user}/api/contents/notebooks").json()
    assert "ct_radiomics" in {entry["name"] for entry in listing["content"]}


def test_the_kit_in_the_server_sees_the_profile_s_limits_and_promise(served, wait_until, tmp_path):
    said = tmp_path / "said.json"
    code = (
        "import json, os; from nextaim_kit import doctor; from nextaim_kit.machine import limits;"
        "print(json.dumps([limits.memory_limit(), *map(os.environ.get, "
        "['MEM_LIMIT', 'NEXTAIM_EXPECTS'])]))"
    )
    type_in_terminal(served, f'{sys.executable} -c "{code}" > {said}.part; mv {said}.part {said}')
    wait_until(said.exists)
    memory, limit, promise = json.loads(said.read_text())
    assert memory <= int(limit) == 16 * 2**30
    assert promise == "1g.10gb"


def test_the_proxy_hands_on_bytes_and_more_of_them_than_10_mib(served):
    session = Session()
    ask = session.msg("execute_request", {"code": "", "user_expressions": {"long": LONG}})
    parts = [session.pack(ask[name]) for name in ("header", "parent_header", "metadata", "content")]
    array = bytes(range(256))  # no UTF-8 text
    kernel = post(served, "api/kernels").json()["id"]
    with socket_of(served, f"api/kernels/{kernel}/channels", subprotocols=[PROTOCOL]) as socket:
        assert socket.getsubprotocol() == PROTOCOL
        socket.send_binary(serialize_msg_to_ws_v1([*parts, array], "shell"))
        while b'"execute_reply"' not in (answer := socket.recv())[:1000]:
            pass
    assert len(answer) > 11_000_000


def test_a_server_with_a_run_outlives_the_culler_and_one_without_does_not(
    start_hub, wait_until, toy, tmp_path
):
    over = tmp_path / "over"
    toy(f"import os, time\nwhile not os.path.exists({str(over)!r}): time.sleep(0.5)")
    quick = {"NEXTAIM_HUB_IDLE": "15", "NEXTAIM_NOTEBOOKS": os.environ["NEXTAIM_NOTEBOOKS"]}
    with start_hub(**quick) as hub:
        runs, idles = hub.visit("ada"), hub.visit("grace")
        runs.start("cpu")
        type_in_terminal(runs, "JUPYTERHUB_ACTIVITY_INTERVAL=3 nextaim run toy/draw")
        wait_until(lambda: runs.stir() and list((hub.state / "runs").rglob(".lock")))
        idles.start("cpu")
        wait_until(lambda: idles.server() is None)
        assert runs.server()["ready"]
        over.touch()
        wait_until(lambda: runs.server() is None)
    (record,) = (hub.state / "runs").rglob("run.json")
    assert json.loads(record.read_text())["outcome"] == "complete"


def test_the_end_of_the_hub_is_the_end_of_its_servers_and_proxy(start_hub, wait_until):
    with start_hub() as hub:
        hub.visit().start("cpu")
        assert len(processes_of(hub)) >= 4  # hub, proxy, culler, server
    wait_until(lambda: not processes_of(hub))


def test_a_port_that_is_taken_is_said_in_one_line(trial_hub, tmp_path):
    port = trial_hub.address.rpartition(":")[2]
    config = PROJECT / "binder" / "hub" / "jupyterhub_config.py"
    command = [sys.executable, "-m", "jupyterhub", "-f", str(config)]
    own = os.environ | {"NEXTAIM_HUB_PORT": port, "NEXTAIM_HUB_STATE": str(tmp_path)}
    done = subprocess.run(command, env=own, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode
    assert f"port {port} is taken" in done.stderr


def processes_of(hub):
    """Processes of the hub: its children, and those with its folder in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            child = f"PPid:\t{hub.process.pid}\n" in (path.parent / "status").read_text()
            its = child or str(hub.state).encode() in path.read_bytes()
            found += [path.parent.name] if its else []
    return found


def type_in_terminal(visitor, command):
    """Type a command into a terminal of the server, and leave."""
    name = post(visitor, "api/terminals").json()["name"]
    with socket_of(visitor, f"terminals/websocket/{name}") as socket:
        socket.send(json.dumps(["stdin", command + "\r"]))
        while command[:20] not in socket.recv():
            pass


def post(visitor, path):
    """Ask the visitor's own server to make something."""
    place = f"/user/{visitor.user}/"
    token = {"X-XSRFToken": visitor.session.cookies.get("_xsrf", path=place)}
    made = visitor.session.post(visitor.hub.address + place + path, headers=token)
    made.raise_for_status()
    return made


def socket_of(visitor, path, **more):
    """A WebSocket of the visitor's own server."""
    host, place = visitor.hub.address.removeprefix("http://"), f"/user/{visitor.user}/{path}"
    cookies = {c.name: c.value for c in visitor.session.cookies if place.startswith(c.path)}
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return closing(create_connection(f"ws://{host}{place}", cookie=cookie, timeout=60, **more))
