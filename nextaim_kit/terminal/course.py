"""A course: copies of the notebooks to learn with, and a learner's table for a teacher."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from nextaim_kit.catalog import notebooks_folder
from nextaim_kit.data.cohort.cells import guarded
from nextaim_kit.files import write_text
from nextaim_kit.show.quiz import Asked, asked
from nextaim_kit.show.tries import Progress, progress, unreadable


def copy_notebooks(to: Path, *, solutions: bool = False) -> tuple[list[Path], list[Path]]:
    """Copy all notebooks without outputs, and the texts that they link, such as the glossary.

    What is there already is a learner's work, and stays.

    Parameters
    ----------
    to : Path
        Folder that they go to, in the folders of their studies.
    solutions : bool
        Whether the solutions' cells, which hold the hints too, come along. `check` finds them in
        the kit's own notebooks.

    Returns
    -------
    tuple of list of Path
        The copies that were made, and those that were there.

    Raises
    ------
    DataError
        If the kit's notebooks are not there, or a copy cannot be written.
    """
    source = notebooks_folder()
    made, there = [], []
    for path in sorted([*source.rglob("*.ipynb"), *source.rglob("*.md")]):
        target = to / path.relative_to(source)
        if ".ipynb_checkpoints" in path.parts:
            continue
        if target.exists():
            there.append(target)
            continue
        text = path.read_text(encoding="utf-8")
        write_text(target, _to_learn(text, solutions) if path.suffix == ".ipynb" else text)
        made.append(target)
    return made, there


def _to_learn(notebook: str, solutions: bool) -> str:
    """A notebook's text without outputs, and as a learner's without solutions."""
    document = json.loads(notebook)
    document["cells"] = [
        _without_outputs(cell)
        for cell in document["cells"]
        if solutions or "solution" not in cell["metadata"].get("tags", [])
    ]
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _without_outputs(cell: dict[str, Any]) -> dict[str, Any]:
    return cell | {"outputs": [], "execution_count": None} if "outputs" in cell else cell


def export(to: Path) -> tuple[list[Progress], list[Asked], list[str]]:
    """Write how far this user got with each exercise and question as a CSV file.

    Gives what is in it, and the notebooks that cannot be read, which have a row that says so.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    exercises, questions, unread = progress(), asked(), unreadable()
    rows: list[dict[str, Any]] = [row._asdict() for row in exercises]
    rows += [row._asdict() for row in questions]
    rows += [{"notebook": name, "exercise": "cannot be read"} for name in unread]
    text = io.StringIO()
    names = dict.fromkeys(Progress._fields + Asked._fields)
    table = csv.DictWriter(text, [*names], lineterminator="\n")
    table.writeheader()
    words = {True: "yes", False: "no"}
    for row in rows:
        told = {k: words[v] if isinstance(v, bool) else v for k, v in row.items()}
        table.writerow({k: guarded(v) for k, v in told.items()})
    write_text(to, text.getvalue())
    return exercises, questions, unread
