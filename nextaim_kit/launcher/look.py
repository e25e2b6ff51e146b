"""How the start page looks, in either theme of JupyterLab, and how it says times and outcomes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from nextaim_kit.runs.record import outcome_text

# A sign and a word each: no meaning hangs on a color.
OUTCOMES = {
    "running": "▶ running",
    "done": "✓ done",
    "complete": "✓ done",
    "incomplete": "⚠ incomplete",
    "failed": "✗ failed",
    "cancelled": "■ cancelled",
    "killed": "✗ killed",
    "strange": "✗ cannot be read",
}


def ending(record: Mapping[str, Any]) -> str:
    """How a run ended: sign, word, and how many of its subjects were left out or warned."""
    first, comma, more = outcome_text(record).partition(", ")
    return OUTCOMES[first] + comma + more


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
