"""HTML that came from a notebook, made safe and self-contained for a page of ours."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import bleach
from bleach.css_sanitizer import ALLOWED_CSS_PROPERTIES, CSSSanitizer

_ACTIVE = re.compile(r"<(script|style|iframe|object|noscript)\b.*?(</\1\s*>|\Z)", re.I | re.S)
_HEADING = re.compile(r"<h([1-6])(?: id=\"[^\"]*\")?[^>]*>(.*?)</h\1>", re.S)
_NO_ALT = re.compile(r"<img(?![^>]*\salt=)")
_TAG = re.compile(r"<[^>]+>")


def _words(text: str) -> set[str]:
    return set(text.split())


_TAGS = _words("""
    a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption
    figure hr i img input kbd li ol p pre q s samp small span strong sub
    summary sup table tbody td tfoot th thead tr u ul var
    svg g path line circle rect ellipse polyline polygon text tspan title
""")
_HEADINGS = _words("h1 h2 h3 h4 h5 h6")
_ATTRIBUTES = _words("""
    alt aria-label class colspan headers id lang open role rowspan scope style title type
    checked disabled width height start viewBox viewbox d x y x1 x2 y1 y2 cx cy r rx ry points
    transform text-anchor fill stroke stroke-width opacity border
""")
_CSS = CSSSanitizer(
    allowed_css_properties=[
        *ALLOWED_CSS_PROPERTIES, "max-width", "max-height", "margin", "padding", "border",
        "display", "border-collapse", "opacity",
    ]
)  # fmt: skip


def clean(html: str, *, headings: bool = False) -> str:
    """Keep structure and figures; drop whatever runs or is loaded from elsewhere.

    Scripts, frames and style sheets go; an image stays if it is inside the page; a link stays.
    Headings lose their rank unless `headings`, since only prose shapes the page's outline.
    """
    passive = _ACTIVE.sub("", html)
    cleaned = bleach.clean(
        passive,
        tags=_TAGS | _HEADINGS if headings else _TAGS,
        attributes=_allowed,
        protocols=["http", "https", "mailto", "data"],
        css_sanitizer=_CSS,
        strip=True,
    )
    return _NO_ALT.sub('<img alt="figure without description"', cleaned)


def _allowed(tag: str, name: str, value: str) -> bool:
    if name == "href":
        return tag == "a" and not value.strip().lower().startswith("data:")
    if name == "src":
        return tag == "img" and value.startswith("data:image/")
    if "url(" in value.lower():  # a paint server or a background from elsewhere
        return False
    return name in _ATTRIBUTES and not (name == "type" and tag != "input")


@dataclass
class Outline:
    """The headings of a page, gathered while the notebook's markdown is rendered."""

    entries: list[tuple[int, str, str]] = field(default_factory=list)  # level, anchor, text
    _taken: set[str] = field(default_factory=set)

    def shift(self, html: str) -> str:
        """Move headings one level down, since the page has its own h1, and note each of them."""
        return _HEADING.sub(self._replace, html)

    def _replace(self, match: re.Match[str]) -> str:
        level, inner = min(int(match[1]) + 1, 6), match[2]
        text = _TAG.sub("", inner).strip()
        level = min(level, (self.entries[-1][0] if self.entries else 1) + 1)  # none is left out
        anchor = self._anchor(text)
        self.entries.append((level, anchor, text))
        return f'<h{level} id="{anchor}">{inner}</h{level}>'

    def _anchor(self, text: str) -> str:
        stem = re.sub(r"\W+", "-", text.lower()).strip("-") or "section"
        anchor, number = f"s-{stem}", 2
        while anchor in self._taken:
            anchor, number = f"s-{stem}-{number}", number + 1
        self._taken.add(anchor)
        return anchor
