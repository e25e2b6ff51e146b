"""Lay out the site's pages for Sphinx: notebooks as they were run, studies, guides, functions.

    python docs/stage.py GALLERY SOURCE

The pages keep their places in the project, so that the links between them hold.
"""

from __future__ import annotations

import base64
import importlib
import inspect
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.runs.compare import Reference

PROJECT = Path(__file__).parents[1]
ROOMS = ("data", "learn", "show")
OTHERS = {
    "runs.context": ("start", "Run"), "twins.twin": ("Twin",), "memory.planning": ("plan",),
    "errors": ("KitError", "DataError", "RequestError", "RunError"),
}  # fmt: skip
# A word of the glossary is a heading here, whose place has the same name, as Sphinx wants it.
WORD = re.compile(r'^<a id="[^"]+"></a>\*\*(.+?)\*\* · ', re.M)
PLACE = re.compile(r'^<a id="[^"]+"></a>\n', re.M)
# What a page cannot show without a kernel, or may not run.
ACTIVE = ("application/vnd.jupyter.widget-view+json", "application/javascript")


def main(gallery: Path, source: Path) -> None:
    """Write all pages; what was not run is shown without outputs."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(PROJECT / "docs", source / "docs", ignore=shutil.ignore_patterns("*.py"))
    for name in ("conf.py", "index.md"):
        shutil.copyfile(PROJECT / "docs" / name, source / name)
    (source / "docs/index.md").unlink()
    shutil.copytree(gallery, source / "extra/gallery")
    studies = catalog.studies()
    words = (PROJECT / "notebooks/glossary.md").read_text(encoding="utf-8")
    write(source / "notebooks/glossary.md", PLACE.sub("", WORD.sub(r"### \1\n\n", words)))
    for name in ("start_here", "inizia_qui"):
        start = json.loads((PROJECT / f"notebooks/{name}.ipynb").read_text(encoding="utf-8"))
        start["cells"] = start["cells"][:2]  # what can be read; the others are for JupyterLab
        write_notebook(source / f"notebooks/{name}.ipynb", start)
    for study in studies:
        write(source / "notebooks" / study.id / "index.md", of_study(study))
        for notebook in study.notebooks.values():
            run = gallery / notebook.id / "notebook.ipynb"
            shown = json.loads((run if run.is_file() else notebook.path).read_text())
            write_notebook(source / "notebooks" / study.id / notebook.path.name, shown)
    write(source / "studies.md", of_studies(studies))
    shutil.copyfile(PROJECT / "CONTRIBUTING.md", source / "CONTRIBUTING.md")
    guides = [f"docs/{page.stem}" for page in sorted((source / "docs").glob("*.md"))]
    guides.append("CONTRIBUTING")
    write(source / "guides.md", "\n".join(["# Guides", "", *toctree(guides), ""]))
    write(source / "api/index.rst", of_functions(source / "api"))


def write(path: Path, text: str) -> None:
    """Write a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_notebook(path: Path, notebook: dict[str, Any]) -> None:
    """Write a notebook whose solutions are folded, and whose outputs need no kernel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for cell in notebook["cells"]:
        tags = cell["metadata"].setdefault("tags", [])
        if "solution" in tags:
            tags.append("hide-cell")
        for output in cell.get("outputs", []):
            for kind in ACTIVE:
                output.get("data", {}).pop(kind, None)
        if cell.get("outputs"):
            cell["outputs"] = [o for o in cell["outputs"] if o.get("data", True)]
        for name, held in cell.pop("attachments", {}).items():
            own = f"{path.stem}_{name}"
            (path.parent / own).write_bytes(base64.b64decode(next(iter(held.values()))))
            cell["source"] = "".join(cell["source"]).replace(f"attachment:{name}", own)
    write(path, json.dumps(notebook))


def of_study(study: catalog.Study) -> str:
    """A study's page: its question, what was published, its notebooks."""
    lines = [f"# {study.title}", "", study.question, ""]
    if study.thumbnail and study.thumbnail.until_run:
        lines += [f"![{study.thumbnail.alt}](../../{study.thumbnail.until_run})", ""]
    if study.published:
        lines += ["| published | value | where |", "|---|---|---|"]
        rows = ((p.metric, Reference(p, "").text, _linked(p)) for p in study.published)
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines.append("")
    names = [notebook.path.name for notebook in study.notebooks.values()]
    return "\n".join([*lines, "## Notebooks", "", *toctree(names), ""])


def _linked(number: catalog.Published) -> str:
    return f"[{number.where}](<{number.link}>)" if number.link else number.where


def of_studies(studies: list[catalog.Study]) -> str:
    """All studies, with their questions."""
    lines = ["# Studies", "", '<a href="gallery/index.html">All results at a glance</a>', ""]
    lines += [f"- [{s.title}](notebooks/{s.id}/index.md): {s.question}" for s in studies]
    return "\n".join([*lines, "", *toctree([f"notebooks/{s.id}/index" for s in studies]), ""])


def of_functions(folder: Path) -> str:
    """The page of all functions; each room's is written beside it."""
    for room in ROOMS:
        module = importlib.import_module(f"nextaim_kit.{room}")
        title, about = f"nextaim_kit.{room}", inspect.getdoc(module).splitlines()[0]
        found = [f"nextaim_kit.{room}.{name}" for name in sorted(module.__all__)]
        write(folder / f"{room}.rst", summary(title, about, found))
    found = [f"nextaim_kit.{place}.{name}" for place, names in OTHERS.items() for name in names]
    write(folder / "others.rst", summary("Runs, twins, memory, errors", "", found))
    pages = [*ROOMS, "others"]
    return "\n".join(["Functions", "=========", "", ".. toctree::", ""]
                     + [f"   {name}" for name in pages]) + "\n"  # fmt: skip


def summary(title: str, about: str, names: list[str]) -> str:
    """A table of functions, with a page for each."""
    lines = [
        title,
        "=" * len(title),
        "",
        about,
        "",
        ".. autosummary::",
        "   :toctree: generated",
        "",
    ]
    return "\n".join(lines + [f"   {name}" for name in names]) + "\n"


def toctree(pages: list[str]) -> list[str]:
    """The list of pages below this one, as MyST has it."""
    return ["```{toctree}", ":maxdepth: 1", "", *pages, "```"]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
