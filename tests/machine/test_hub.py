"""A hub is told of a run, and its absence or silence disturbs none."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from IPython.core.interactiveshell import InteractiveShell

from nextaim_kit.machine import hub


@pytest.fixture
def heard(monkeypatch):
    """Listen as a hub does; gives what was posted, and the answer's status to be changed."""

    class Hub(BaseHTTPRequestHandler):
        posts, status = [], 200

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.posts.append((self.path, self.headers["Authorization"], body))
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/hub/api/users/ada/activity"
        monkeypatch.setenv("JUPYTERHUB_ACTIVITY_URL", address)
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "a-secret")
        monkeypatch.setenv("JUPYTERHUB_SERVER_NAME", "gpu")
        monkeypatch.setenv("JUPYTERHUB_ACTIVITY_INTERVAL", "1")
        yield Hub
        server.shutdown()


def until(condition):
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.02)
    raise AssertionError("waited in vain")


def talking():
    return any(t.name == "hub-activity" for t in threading.enumerate())


def test_the_hub_hears_of_a_run_more_than_once_and_no_more_after_it(heard):
    with hub.kept_awake():
        until(lambda: len(heard.posts) >= 2)
    until(lambda: not talking())
    path, authorization, body = heard.posts[0]
    assert (path, authorization) == ("/hub/api/users/ada/activity", "token a-secret")
    assert body["servers"]["gpu"]["last_activity"] == body["last_activity"]
    assert body["last_activity"] < heard.posts[1][2]["last_activity"]


def test_a_hub_that_refuses_is_said_once_without_the_token(heard, caplog):
    heard.status = 403
    with caplog.at_level(logging.WARNING), hub.kept_awake():
        until(lambda: len(heard.posts) >= 2)
    assert caplog.messages == ["the hub was not told of this run: HTTPError"]
    assert "a-secret" not in caplog.text


def test_a_hub_that_is_gone_does_not_break_the_run(monkeypatch, caplog):
    monkeypatch.setenv("JUPYTERHUB_ACTIVITY_URL", "http://127.0.0.1:9/activity")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "a-secret")
    with hub.kept_awake():
        until(lambda: caplog.messages)
    assert caplog.messages == ["the hub was not told of this run: ConnectionError"]


def test_a_cell_that_runs_for_long_is_told_to_the_hub(heard):
    shell = InteractiveShell.instance()
    try:
        for _ in range(2):  # said again, it changes nothing
            hub.kept_awake_by_cells()
        shell.user_ns |= {"until": until, "heard": heard}
        assert shell.run_cell("until(lambda: heard.posts)").success
        until(lambda: not talking())
        assert shell.run_cell("1").success
    finally:
        InteractiveShell.clear_instance()
    assert heard.posts[0][1] == "token a-secret"


def test_without_a_hub_there_is_no_thread(monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_API_TOKEN", raising=False)
    until(lambda: not talking())  # of the tests before
    with hub.kept_awake():
        assert not talking()
