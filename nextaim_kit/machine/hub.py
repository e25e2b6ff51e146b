"""A run told to the JupyterHub that this server belongs to, so that no culler takes it for idle.

A hub sees requests from the browser and what kernels print. A headless run, its browser closed,
is neither, nor is a cell that trains for hours in silence: without word from them the server would
be stopped, after an hour on most hubs.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from threading import Event, Thread

_EVERY = 300.0  # seconds, as the server itself does; JUPYTERHUB_ACTIVITY_INTERVAL changes both
_cell = ExitStack()  # closed when the running cell of an open notebook ends


def kept_awake_by_cells() -> None:
    """Tell the hub while cells of this kernel's notebook run; does nothing outside of a kernel."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None or _cell_begins in shell.events.callbacks["pre_run_cell"]:
        return
    shell.events.register("pre_run_cell", _cell_begins)
    shell.events.register("post_run_cell", _cell_ends)


def _cell_begins(_info: object) -> None:
    _cell.enter_context(kept_awake(at_once=False))


def _cell_ends(_result: object) -> None:
    _cell.close()


@contextmanager
def kept_awake(*, at_once: bool = True) -> Iterator[None]:
    """Tell the hub every few minutes that this server is in use, while the block runs.

    Parameters
    ----------
    at_once : bool
        Tell it first when the block begins, rather than after some minutes.

    Notes
    -----
    Nothing is done where there is no hub. A hub that cannot be told is said once in the log, and
    disturbs the block no further.
    """
    url, token = (os.environ.get(f"JUPYTERHUB_{name}") for name in ("ACTIVITY_URL", "API_TOKEN"))
    if not url or not token:
        yield
        return
    over = Event()
    asked = (url, token, over, at_once)
    thread = Thread(target=_tell, args=asked, name="hub-activity", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _tell(url: str, token: str, over: Event, at_once: bool) -> None:
    import requests

    every, said = _interval(), False
    session = requests.Session()
    session.trust_env = False  # the token is for the hub: no proxy, no other log-in from .netrc
    if not at_once and over.wait(every):
        return
    while True:
        now = datetime.now(UTC).isoformat()
        server = {os.environ.get("JUPYTERHUB_SERVER_NAME", ""): {"last_activity": now}}
        try:
            session.post(
                url,
                json={"last_activity": now, "servers": server},
                headers={"Authorization": f"token {token}"},
                timeout=30,
            ).raise_for_status()
        except requests.RequestException as error:
            if not said:
                why = type(error).__name__
                logging.getLogger(__name__).warning("the hub was not told of this run: %s", why)
            said = True
        if over.wait(every):
            return


def _interval() -> float:
    try:
        return max(1.0, float(os.environ.get("JUPYTERHUB_ACTIVITY_INTERVAL") or _EVERY))
    except ValueError:
        return _EVERY
