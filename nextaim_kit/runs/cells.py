"""The cells of an executed notebook, each turned into what a page can show."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from typing import Any

from nbconvert.filters import Highlight2HTML, ansi2html
from nbconvert.filters.markdown_mistune import MarkdownWithMath

from nextaim_kit.runs.formula import PageRenderer
from nextaim_kit.runs.markup import Outline, clean

WIDGET = "application/vnd.jupyter.widget-view+json"
COMPARISON = 'class="nextaim-comparison"'  # the page has it at its head
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_CELLS = re.compile(r"(?<=>)[^<]+(?=</t[hd]>)")
_LONG = re.compile(r"\w{8,}")
_MEET = re.compile(r"(?<=_)|(?<=[a-z])(?=[A-Z])")
_RULE = re.compile(r"^-{20,}$")


@dataclass
class Block:
    """One cell of the page: prose, or code with its outputs, all safe HTML."""

    kind: str  # prose or code
    html: str = ""  # prose, or highlighted source
    label: str = ""  # what the fold over the source says
    lines: int = 0
    solution: bool = False
    exercise: bool = False
    outputs: list[Output] = field(default_factory=list)


@dataclass
class Output:
    """One output: its kind names the style, its HTML is safe."""

    kind: str  # stream, warning, picture, html, text, error
    html: str


def blocks(document: Any, outline: Outline) -> list[Block]:
    """Turn the cells of a notebook into blocks; headings are noted in `outline`.

    The parameter cells and empty ones are left out: the page's head shows the parameters.
    """
    found = []
    for cell in document.cells:
        tags = cell.metadata.get("tags", [])
        if {"parameters", "injected-parameters", "papermill-error-cell-tag"} & set(tags):
            continue
        if cell.cell_type == "markdown" and cell.source.strip():
            found.append(
                Block("prose", outline.shift(_markdown(cell.source, cell.get("attachments"))))
            )
        elif cell.cell_type == "code" and (cell.source.strip() or cell.outputs):
            found.append(_code(cell, tags))
    return found


def _markdown(source: str, attachments: dict[str, Any] | None = None) -> str:
    renderer = PageRenderer(escape=False, exclude_anchor_links=True, attachments=attachments or {})
    return clean(MarkdownWithMath(renderer=renderer).render(source), headings=True)


def _code(cell: Any, tags: list[str]) -> Block:
    lines = len(cell.source.strip().splitlines())
    solution, exercise = "solution" in tags, "exercise" in tags
    label = "Solution" if solution else "Exercise" if exercise else "Code"
    return Block(
        "code",
        Highlight2HTML()(cell.source.strip("\n"), language="ipython3"),
        label,
        lines,
        solution,
        exercise,
        list(_outputs(cell.outputs)),
    )


def _outputs(outputs: list[Any]) -> Iterator[Output]:
    for name, group in groupby(outputs, lambda one: one.get("name")):  # only streams have one
        if name:
            yield from _stream(name, "".join(output.text for output in group))
            continue
        for output in group:
            yield from _error(output) if output.output_type == "error" else _display(output)


def _stream(name: str, text: str) -> Iterator[Output]:
    # A progress bar rewrites its line: only what was left standing is shown.
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    shown = "\n".join(lines).strip("\n")
    if shown.strip():
        kind = "warning" if name == "stderr" else "stream"
        yield Output(kind, f"<pre>{ansi2html(shown)}</pre>")


def _error(output: Any) -> Iterator[Output]:
    lines = [line for line in "\n".join(output.traceback).split("\n") if not _is_rule(line)]
    head = f"<p><strong>{escape(output.ename)}</strong>: {escape(str(output.evalue))}</p>"
    trace = f"<pre>{ansi2html(chr(10).join(lines))}</pre>"
    yield Output("error", f"{head}<details open><summary>Traceback</summary>{trace}</details>")


def _is_rule(line: str) -> bool:
    return bool(_RULE.match(re.sub(r"\x1b\[[\d;]*m", "", line).strip()))


def _display(output: Any) -> Iterator[Output]:
    data = output.data
    if WIDGET in data:
        text = escape(str(data.get("text/plain", "a widget"))[:300])
        yield Output(
            "text", f"<p>Interactive view, alive only in the notebook.</p><pre>{text}</pre>"
        )
        return
    picture = next((m for m in _PICTURES if m in data), None)
    if picture:
        yield Output("picture", _picture(picture, "".join(data[picture].split()), output))
    elif "image/svg+xml" in data:
        encoded = base64.b64encode("".join(data["image/svg+xml"]).encode()).decode()
        yield Output("picture", _picture("image/svg+xml", encoded, output))
    elif COMPARISON in data.get("text/html", ""):
        yield Output("text", '<p><a href="#result">Shown at the top of this page.</a></p>')
    elif "text/html" in data:
        html = _CELLS.sub(_breakable, clean(data["text/html"]))
        if re.sub(r"<[^>]+>|\s", "", html) or "<img" in html:
            yield Output("html", html)
    elif "text/markdown" in data:
        yield Output("html", _markdown(data["text/markdown"]))
    elif str(data.get("text/plain", "")).strip():
        yield Output("text", f"<pre>{ansi2html(data['text/plain'])}</pre>")


def _breakable(cell: re.Match[str]) -> str:
    """Long names may be broken where their words meet, so that the table is less wide."""
    return _LONG.sub(lambda name: _MEET.sub("<wbr>", name[0]), cell[0])


def _picture(mime: str, encoded: str, output: Any) -> str:
    metadata = output.metadata or {}
    alt = metadata.get(mime, {}).get("alt") or metadata.get("alt") or "figure without description"
    return f'<img src="data:{mime};base64,{escape(encoded)}" alt="{escape(str(alt))}">'
