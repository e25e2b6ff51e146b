"""The report as one page for a person: self-contained, printable, every text escaped."""

from __future__ import annotations

import base64
from pathlib import Path

from nextaim_kit.errors import DataError
from nextaim_kit.report import codes
from nextaim_kit.report.marked_text import marked_text
from nextaim_kit.report.model import Report

_PNG = b"\x89PNG\r\n\x1a\n"


def to_html(report: Report) -> str:
    """The page as HTML, its picture inside.

    Raises
    ------
    DataError
        If the report's picture is not a PNG file that is there.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [
        {
            "code": section,
            "text": report.impression if section == report.template.sections[-1] else "",
            "fields": [f for f in report.fields if f.what.section == section],
        }
        for section in report.template.sections
    ]
    doubts = report.doubts
    said = {key: [d.text for d in doubts if key in d.keys] for key in report.values}
    return environment.get_template("page.html.j2").render(
        report=report,
        sections=sections,
        doubts=doubts,
        said=said,
        words=codes.status_words,
        picture=embedded(report),
        marked=Markup(marked_text(report)) if report.text else "",
        alt=report.template.caption.replace("{subject}", report.subject),
    )


def embedded(report: Report) -> str:
    """The report's picture as the address of an image; empty without one.

    Raises
    ------
    DataError
        If it is not a PNG file that is there.
    """
    if not report.picture:
        return ""
    path = Path(report.picture)
    content = path.read_bytes() if path.is_file() else b""
    if not content.startswith(_PNG):
        raise DataError(
            f"{report.subject}: the picture {path.name} cannot be shown",
            expected="a PNG file beside the table of values",
            found="another file" if content else "none",
            mend="make the picture again, or leave its cell empty",
        )
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
