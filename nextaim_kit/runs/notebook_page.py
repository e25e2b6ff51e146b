"""An executed notebook as one self-contained HTML page that begins with its result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from markupsafe import Markup

from nextaim_kit.catalog import Study, address
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import write_text
from nextaim_kit.runs.cells import Block, blocks
from nextaim_kit.runs.chart import comparison_html
from nextaim_kit.runs.compare import data_text, is_synthetic
from nextaim_kit.runs.markup import Outline
from nextaim_kit.runs.pages import render
from nextaim_kit.runs.parameters import Parameter, parse_cell
from nextaim_kit.runs.record import outcome_text


def render_report(notebook: Any, record: Mapping[str, Any], study: Study, to: Path) -> None:
    """Write the report of one run.

    Parameters
    ----------
    notebook : nbformat.NotebookNode or Path
        The executed notebook.
    record : mapping
        The run's record; ``files`` is not needed yet.
    study : Study
        The study that the notebook belongs to.
    to : Path
        The page to write. It loads nothing: style and figures are inside.

    Raises
    ------
    DataError
        If the notebook cannot be read, or the page cannot be written.
    """
    document = _open(notebook) if isinstance(notebook, str | Path) else notebook
    outline = Outline()
    body = blocks(document, outline)
    page = render(
        "report.html.j2",
        study=study,
        address=address,
        record=record,
        synthetic=is_synthetic(record),
        data=data_text(record),
        outcome=outcome_text(record),
        comparison=Markup(comparison_html(record, study, style=False)),  # escaped by its template
        parameters=_parameters(document, record, study),
        body=_without_own_title(body, outline, record),
        outline=[e for e in outline.entries if e[0] <= 3],
        has_error=any(o.kind == "error" for b in body for o in b.outputs),
        sections=_sections(record),
    )
    write_text(to, page)


def _open(path: str | Path) -> Any:
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the notebook {Path(path).name}", found=str(error)) from error


def _parameters(document: Any, record: Mapping[str, Any], study: Study) -> list[dict[str, Any]]:
    declared = _declared(document)
    notebook = study.notebooks.get(record["stage"])
    profile = notebook.profiles.get(record["profile"], {}) if notebook else {}
    rows = []
    for name, value in record["parameters"].items():
        parameter = declared.get(name)
        usual = profile.get(name, parameter.default) if parameter else ""
        rows.append(
            {
                "name": name,
                "value": _shown(value),
                "usual": _shown(usual),
                "changed": parameter is not None and usual != value,
                "help": parameter.help if parameter else "",
            }
        )
    return rows


def _declared(document: Any) -> dict[str, Parameter]:
    for cell in document.cells:
        if "parameters" in cell.metadata.get("tags", []):
            try:
                return parse_cell(cell.source, "this notebook", commented=False)
            except (DataError, RequestError, SyntaxError):
                return {}  # edited by hand: the values are known, their meaning is not
    return {}


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _without_own_title(body: list[Block], outline: Outline, record: Mapping) -> list[Block]:
    """Drop the notebook's own title where it only repeats the page's."""
    if body and outline.entries and body[0].kind == "prose":
        level, anchor, text = outline.entries[0]
        mark = f'<h{level} id="{anchor}">'
        start, found, rest = body[0].html.partition(mark)
        if found and not start.strip() and text.casefold() == str(record["title"]).casefold():
            body[0].html = f"{mark}The notebook{rest[rest.index('</h') :]}"
            outline.entries[0] = (level, anchor, "The notebook")
    return body


def _sections(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    longest = max((s["seconds"] for s in record["sections"]), default=0) or 1
    return [{**s, "share": round(100 * s["seconds"] / longest)} for s in record["sections"]]
