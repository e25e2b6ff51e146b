"""Somebody at a browser: logs in at the trial hub and works in JupyterLab."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

PATIENCE = 180_000  # milliseconds; far longer than anything should take
IDLE = """() => [...document.querySelectorAll('.jp-StatusBar-Item')].some(
    item => item.textContent.endsWith('| Idle'))"""

SETTLED = """() => ![...document.querySelectorAll('.jp-InputPrompt')].some(
    prompt => prompt.textContent === '[*]:')"""


class Visit:
    """A person's page of a browser, with what it asked for and how often the person clicked.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
    hub : TrialHub
    screens : path
        Folder of the pictures.
    """

    def __init__(self, browser: Any, hub: Any, screens: Path) -> None:
        self.hub, self.screens, self.clicks = hub, screens, 0
        self.context = browser.new_context(viewport={"width": 1440, "height": 1000})
        self.context.set_default_timeout(PATIENCE)
        self.asked: list[str] = []
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.page = self.context.new_page()
        self.page.on("websocket", lambda socket: self.asked.append(socket.url))
        self.page.on("dialog", lambda dialog: dialog.accept())  # leave a page not saved

    @property
    def foreign(self) -> list[str]:
        """What was asked of another machine."""
        places = [(urlsplit(url), url) for url in self.asked]
        here = ("data", "blob", "attachment")  # the last: a picture within the notebook
        remote = [(place, url) for place, url in places if place.scheme not in here]
        return [url for place, url in remote if place.hostname != "127.0.0.1"]

    def click(self, place: Any) -> None:
        """Click at a place once all cells ran and it is at rest.

        While figures above it come it moves away from under a click.
        """
        self.clicks += 1
        place.wait_for()
        self.page.wait_for_function(SETTLED)
        boxes: list[Any] = []
        end = time.monotonic() + PATIENCE / 1000
        while len(boxes) < 4 or any(box != boxes[-1] for box in boxes[-4:]):
            assert time.monotonic() < end, "it never came to rest"
            place.scroll_into_view_if_needed()
            boxes.append(place.bounding_box())
            self.page.wait_for_timeout(150)
        place.click()

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)

    def shot(self, name: str, place: Any = None) -> None:
        """Save a picture of the page, a place on it in view, small enough to be kept."""
        path = self.screens / f"{name}.png"
        if place:
            place.scroll_into_view_if_needed()
        self.page.screenshot(path=path)
        Image.open(path).quantize(256).save(path, optimize=True)

    def log_in(self) -> None:
        self.page.goto(self.hub.address)
        self.shot("login")
        self.page.get_by_label("Username").fill(self.hub.user)
        self.page.get_by_label("Password").fill(self.hub.password)
        self.click(self.button("Sign in"))
        self.page.wait_for_url(lambda url: "login" not in url)

    def choose(self, profile: str) -> None:
        """Start a server by a profile's words in the form."""
        self.click(self.page.get_by_role("radio", name=profile))
        self.shot("spawner")
        self.click(self.button("Start"))
        self.page.wait_for_url("**/lab/tree/**")

    def open(self, notebook: str) -> None:
        """Open a notebook, alone, and run all its cells."""
        own = f"workspaces/{time.monotonic_ns()}"  # no tabs of an earlier time
        self.page.goto(f"{self.hub.address}/user/{self.hub.user}/lab/{own}/tree/{notebook}")
        self.run_all()

    def menu(self, name: str, item: str) -> None:
        self.click(self.page.get_by_role("menuitem", name=name, exact=True))
        self.click(self.page.get_by_role("menuitem", name=item, exact=True))

    def run_all(self) -> None:
        """Run all cells once the kernel is there: before, JupyterLab calls it idle, too."""
        self.page.locator(".jp-Notebook").wait_for()
        self.page.wait_for_function(IDLE)
        self.menu("Run", "Run All Cells")

    def link(self, name: str) -> Any:
        """The first link with this text to a file of the server."""
        return self.page.locator("a[href*='/files/']", has_text=name).first

    def reload(self) -> None:
        """Load the page anew, its notebook not saved, and run all cells."""
        self.page.reload(wait_until="commit")
        self.run_all()

    def restart(self) -> None:
        """Start the kernel again and run all cells."""
        self.menu("Kernel", "Restart Kernel and Run All Cells…")
        self.click(self.page.get_by_role("button", name="Confirm Kernel Restart"))

    def theme(self, name: str) -> None:
        """Change the theme: JupyterLab Light or Dark."""
        self.click(self.page.get_by_role("menuitem", name="Settings", exact=True))
        self.page.locator(".lm-Menu-item", has_text="Theme").first.hover()
        entry = self.page.get_by_text(name, exact=True)
        self.click(entry.and_(self.page.locator(".lm-Menu-itemLabel")))
        light = json.dumps(str("Dark" not in name).lower())
        self.page.wait_for_function(f"() => document.body.dataset.jpThemeLight === {light}")
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")
