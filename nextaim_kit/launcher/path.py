"""The path: lessons first, then the studies, and how far somebody has come on it."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from IPython.display import HTML, Javascript, display

from nextaim_kit import catalog
from nextaim_kit.catalog import Level, Notebook, Study
from nextaim_kit.launcher.look import style
from nextaim_kit.launcher.result import opened
from nextaim_kit.runs.board import latest_runs
from nextaim_kit.runs.pages import render
from nextaim_kit.runs.record import runs_folder
from nextaim_kit.runs.run_cost import minutes_text
from nextaim_kit.show.tries import progress

_WORDS, _LINES = 200, 20  # of prose and of code that are read in a minute
_ADDRESS = re.compile(r"\]\([^)]*\)|^\[[^\]\n]+\]: .*$", re.M)  # of a link, which nobody reads
_LESSONS = "lessons"
_ITALIAN = ("lezione o studio", "livello", "prima", "lettura", "esecuzione")
_LEVELS = {"beginner": "base", "intermediate": "intermedio", "advanced": "avanzato"}
_TIED = "\N{NO-BREAK SPACE}"
_TO_THE_PATH = """setTimeout(() => document.querySelector(".nextaim-path")
    ?.closest(".jp-Cell")?.previousElementSibling?.scrollIntoView({block: "start"}), 500)"""


@dataclass(frozen=True)
class Step:
    """A lesson, or a study with its notebooks in order."""

    name: str
    title: str
    italian: str
    level: Level
    after: Sequence[str]
    notebooks: Sequence[Notebook]

    @property
    def reading(self) -> int:
        """Minutes of reading, to the next five."""
        return 5 * math.ceil(sum(map(reading_minutes, self.notebooks)) / 5)

    @property
    def running(self) -> float:
        """Minutes of running all with the defaults, as declared."""
        return sum(n.resources["tutorial"].longest for n in self.notebooks)


def steps() -> list[Step]:
    """All steps in order: a lesson each, then a study each."""
    return [step for study in catalog.studies() for step in _steps(study)]


def _steps(study: Study) -> list[Step]:
    every = list(study.notebooks.values())
    if study.id != _LESSONS:
        return [Step(study.id, study.title, study.italian, study.level, study.after, every)]
    before: list[list[str]] = [[], *([one.id] for one in every)]
    return [
        Step(one.id, one.title, one.italian, study.level, after, [one])
        for one, after in zip(every, before, strict=False)
    ]


def reading_minutes(notebook: Notebook) -> float:
    """Minutes that its text and its code take, without exercises and what comes out."""
    cells = json.loads(notebook.path.read_text(encoding="utf-8"))["cells"]
    text = {kind: "".join("".join(c["source"]) + "\n" for c in cells if c["cell_type"] == kind)
            for kind in ("markdown", "code")}  # fmt: skip
    words = _ADDRESS.sub("]", text["markdown"]).split()
    return len(words) / _WORDS + len(text["code"].splitlines()) / _LINES


def path_markdown(language: Literal["english", "italian"] = "english") -> str:
    """The path as a table of Markdown, with links from the notebooks' folder.

    Parameters
    ----------
    language : str
        Of the page that it stands on; the notebooks are in English.

    Examples
    --------
    >>> path_markdown().splitlines()[2][:66]
    '| 1. [A medical image and its numbers](lessons/1_image.ipynb) | be'
    """
    italian = language == "italian"
    head = _ITALIAN if italian else ("lesson or study", "level", "first", "read", "run")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for number, step in enumerate(steps(), 1):
        first, *others = step.notebooks
        more = "".join(f" · [{k}]({_way(n)})" for k, n in enumerate(others, 2))
        title = step.italian if italian else step.title
        cells = [
            f"{number}. [{title}]({_way(first)}){more}",
            _LEVELS[step.level] if italian else step.level,
            ", ".join(map(_link, map(catalog.find, step.after))),
            f"{step.reading}{_TIED}min", minutes_text(step.running).replace(" ", _TIED),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _link(notebook: Notebook) -> str:
    return f"[{notebook.stage.replace('_', ' ')}]({_way(notebook)})"


def _way(notebook: Notebook) -> str:
    return Path(os.path.relpath(notebook.path, catalog.notebooks_folder())).as_posix()


def path() -> None:
    """Show what comes next on the path, and what was run here; the page is moved to it.

    JupyterLab goes to the last cell when all are run. From there a script brings the reader back.
    """
    display(HTML(style() + _path()))
    display(Javascript(_TO_THE_PATH))


def _path() -> str:
    runs = runs_folder()
    tried: dict[str, list[bool]] = {}
    for one in progress():
        tried.setdefault(one.notebook, []).append(one.solved)
    marks = [
        (step, [bool(latest_runs(runs / n.id)) for n in step.notebooks],
         [solved for n in step.notebooks for solved in tried.get(n.id, [])])
        for step in steps()
    ]  # fmt: skip
    left = (
        n for step, done, _ in marks for n, one in zip(step.notebooks, done, strict=True) if not one
    )
    return render(
        "path.html.j2", package=__package__, marks=marks, following=next(left, None), opened=opened
    )
