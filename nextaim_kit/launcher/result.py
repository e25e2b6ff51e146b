"""What a run left: its numbers beside the published ones, and the way to its files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nextaim_kit.catalog import Notebook, Thumbnail, project_folder, study_of
from nextaim_kit.errors import RequestError
from nextaim_kit.runs.cards import small
from nextaim_kit.runs.chart import comparison_html
from nextaim_kit.runs.record import FILES, NOTEBOOK, REPORT, read_record


def result(folder: Path) -> str:
    """A run's metrics beside what was published, and a figure; empty if its notebook is gone."""
    record = read_record(folder)
    if record is None:
        return ""
    try:
        study = study_of(record["notebook"])
    except RequestError:  # renamed since the run began
        return ""
    return comparison_html(record, study) + _figure(folder, record, study.thumbnail)


def _figure(folder: Path, record: Mapping[str, Any], thumbnail: Thumbnail | None) -> str:
    """The figure that the study's card shows, if it is this run's, else its first, small."""
    figures, of_card = record["figures"], thumbnail.figure if thumbnail else ""
    own = [f for f in figures if f"{record['stage']}/{f['file']}" == of_card]
    there = [f for f in own or figures if (folder / FILES / f["file"]).is_file()]
    if not there:
        return ""
    picture = small(folder / FILES / there[0]["file"], there[0]["alt"])
    if picture is None:
        return ""
    return f'<img class="nextaim-figure" src="{picture.uri}" alt="{escape(picture.alt)}">'


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
    way = quote(Path(os.path.relpath(path.resolve(), Path.cwd())).as_posix())
    return f'<a href="{way}">{_broken_at_slashes(text)}</a>'


def _broken_at_slashes(text: str) -> str:
    return escape(text).replace("/", "/<wbr>")  # where a line of a narrow card may end


def opened(notebook: Notebook) -> str:
    """A notebook's name as a link that opens it, or a learner's copy of it beside this page."""
    copy = Path.cwd() / notebook.path.parent.name / notebook.path.name
    path = copy if copy.is_file() else notebook.path
    return link(path, notebook.id) if reachable(path.parent) else _broken_at_slashes(notebook.id)


def reachable(folder: Path) -> bool:
    """Whether the server that shows the notebook shows this folder too."""
    return folder.resolve().is_relative_to(_served() or project_folder())


def _served() -> Path | None:
    """The folder that this kernel's server shows, as its own file says; None without a server."""
    from jupyter_core.paths import jupyter_runtime_dir

    told = Path(jupyter_runtime_dir()) / f"jpserver-{os.environ.get('JPY_PARENT_PID')}.json"
    try:
        return Path(json.loads(told.read_text(encoding="utf-8"))["root_dir"]).resolve()
    except (OSError, ValueError, KeyError):
        return None


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
