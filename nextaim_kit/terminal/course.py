"""A course: copies of the notebooks to learn with, and a learner's table for a teacher."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from nextaim_kit.catalog import notebooks_folder
from nextaim_kit.files import write_text
from nextaim_kit.show.tries import Progress, progress


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


def export(to: Path) -> list[Progress]:
    """Write how far this user got with each exercise as a CSV file, and give what is in it.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    rows = progress()
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(Progress._fields)
    for row in rows:
        table.writerow("yes" if v is True else "no" if v is False else v for v in row)
    write_text(to, text.getvalue())
    return rows
