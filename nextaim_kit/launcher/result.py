"""What a run left: its numbers beside the published ones, and the way to its files."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from urllib.parse import quote

from nextaim_kit.catalog import project_folder, study_of
from nextaim_kit.runs.compare import comparison_html
from nextaim_kit.runs.record import NOTEBOOK, REPORT, read_record


def result(folder: Path) -> str:
    """A run's metrics beside what was published."""
    record = read_record(folder)
    if record is None:
        return ""
    return comparison_html(record, study_of(record["notebook"]))


def links(folder: Path) -> str:
    """Links to a run's files, report first; only its folder where no server shows it."""
    record = read_record(folder)
    if record is None:
        return ""
    names = [name for name in (REPORT, NOTEBOOK) if name in record["files"]]
    names += sorted(name for name in record["files"] if name not in names)
    title = f"<b>{escape(record['notebook'])}</b>, run {escape(record['id'])}"
    if not reachable(folder):
        place = "/".join(folder.parts[-3:])
        return f"<p>{title}: {len(names)} files in {escape(place)} below the runs' folder</p>"
    first = " · ".join(link(folder / name, name) for name in names[:2])
    rest = "".join(f"<li>{link(folder / name, name)}</li>" for name in names[2:])
    more = f"<details><summary>{len(names) - 2} files</summary><ul>{rest}</ul></details>"
    return f"<div class='nextaim-links'><p>{title}: {first}</p>{more if rest else ''}</div>"


def link(path: Path, text: str) -> str:
    """A link that JupyterLab opens, written from the notebook's folder as in Markdown."""
    way = quote(Path(os.path.relpath(path, Path.cwd())).as_posix())
    return f'<a href="{way}">{escape(text)}</a>'


def reachable(folder: Path) -> bool:
    """Whether the server that shows the project shows this folder too."""
    return folder.resolve().is_relative_to(project_folder())


def report(folder: Path) -> str:
    """A run's report as a frame, which needs no server to hand it over."""
    path = folder / REPORT
    if not path.is_file():
        return "<p>This run left no report.</p>"
    return frame(path.read_text(encoding="utf-8"), "the run's report")


def frame(page: str, title: str) -> str:
    """A page within the page, kept apart from it: it cannot reach the notebook."""
    return (
        f"<div><iframe class='nextaim-frame' title='{escape(title)}' "
        f"sandbox='allow-scripts allow-popups' srcdoc=\"{escape(page)}\"></iframe></div>"
    )
