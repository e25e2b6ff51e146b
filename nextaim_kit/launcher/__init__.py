"""The face in a notebook: what is here, a form for each notebook, runs as they go, results.

Each function shows one part of the start page; the same things are done by the command line.
"""

from __future__ import annotations

from nextaim_kit.launcher.form import form
from nextaim_kit.launcher.overview import board, machine, runs, studies
from nextaim_kit.launcher.path import path

__all__ = ["board", "form", "machine", "path", "runs", "studies"]
