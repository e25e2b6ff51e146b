"""How the start page looks, in either theme of JupyterLab, and how it says times and outcomes."""

from __future__ import annotations

import time
from functools import cache
from importlib.resources import files

# A sign and a word each: no meaning hangs on a color.
OUTCOMES = {
    "running": "▶ running",
    "done": "✓ done",
    "complete": "✓ done",
    "incomplete": "⚠ incomplete",
    "failed": "✗ failed",
    "cancelled": "■ cancelled",
    "killed": "✗ killed",
}


@cache
def style() -> str:
    """The page's style, to stand in each output that needs it."""
    css = (files(__package__) / "start.css").read_text(encoding="utf-8")
    return f"<style>{css}</style>"


def clock(seconds: float) -> str:
    """A time as a clock shows it, such as ``2:05``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def moment(epoch: float) -> str:
    """Day and hour of this machine's clock."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(epoch))
