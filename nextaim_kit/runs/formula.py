"""Prose as a page by itself shows it: formulas as outlines, words with their meaning on hover."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import urlsplit

from nbconvert.filters.markdown_mistune import IPythonRenderer


class PageRenderer(IPythonRenderer):
    """nbconvert's markdown renderer, for a page that has to stand by itself."""

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """Keep links to the outside; the notebooks' own words show their meaning on hover."""
        if urlsplit(url).scheme or url.startswith("#"):
            return super().link(text, url, title)
        return f'<abbr title="{escape(title)}">{text}</abbr>' if title else text

    def inline_math(self, body: str) -> str:
        """Draw a formula within a line."""
        return formula(body) or super().inline_math(body)

    def block_math(self, body: str) -> str:
        """Draw a formula of its own line."""
        drawn = formula(body)
        return f'<p class="formula">{drawn}</p>' if drawn else super().block_math(body)


def formula(latex: str) -> str:
    """Draw a formula by matplotlib's math text as SVG in the text's color.

    Parameters
    ----------
    latex : str
        Without the dollar signs.

    Returns
    -------
    str
        SVG whose spoken text is `latex`; empty where math text does not know a command.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    source = " ".join(latex.split())
    try:
        path = TextPath(
            (0, 0), f"${source}$", size=100, prop=FontProperties(math_fontfamily="stix")
        )
    except (ValueError, RuntimeError):
        return ""
    if not len(path.vertices):
        return ""
    box = path.get_extents()
    size = f"width:{box.width / 92:.2f}em;height:{box.height / 92:.2f}em"
    return (
        f'<svg class="formula" role="img" aria-label="{escape(source)}" '
        f'viewBox="{box.x0:.0f} {-box.y1:.0f} {box.width:.0f} {box.height:.0f}" '
        f'style="{size};vertical-align:{box.y0 / 92:.2f}em">'
        f'<path d="{_outline(path)}"></path></svg>'
    )


def _outline(path: Any) -> str:
    letters = {1: "M", 2: "L", 3: "Q", 4: "C"}
    drawn = []
    for points, code in path.iter_segments(curves=True, simplify=False):
        if code not in letters:
            drawn.append("Z")
            continue
        pairs = points.reshape(-1, 2)
        drawn.append(letters[code] + " ".join(f"{x:.0f} {-y:.0f}" for x, y in pairs))
    return "".join(drawn)
