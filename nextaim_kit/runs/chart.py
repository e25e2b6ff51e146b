"""A run beside the published numbers: a table, and a small chart of each metric as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from nextaim_kit.catalog import Study
from nextaim_kit.runs.compare import (
    Comparison,
    compare,
    is_synthetic,
    measured_interval,
    number,
    published_interval,
)

if TYPE_CHECKING:
    from markupsafe import Markup

WIDTH, ROW, AXIS, MARGIN = 220, 16, 20, 12

Scale = Callable[[float], float]


@dataclass(frozen=True)
class _Point:
    kind: str  # ours or published
    name: str
    value: float
    low: float
    high: float


def interval_chart(comparison: Comparison) -> Markup:
    """Draw dot and interval of our value and of each published one on a common axis.

    Colors come from the style sheet through the classes ``ours`` and ``published``; the shapes
    differ too (disc and diamond), so that the chart can be read without color.
    """
    from markupsafe import Markup

    points = list(_points(comparison))
    if not points or max(p.high for p in points) - min(p.low for p in points) < 1e-9:
        return Markup("")  # dots on one spot say nothing that the number does not
    ticks = _ticks(points)
    low, high = ticks[0], ticks[-1]

    def x(value: float) -> float:
        return MARGIN + (value - low) / (high - low) * (WIDTH - 2 * MARGIN)

    bottom = ROW * len(points) + 6
    marks = [_mark(p, x, 10 + ROW * i) for i, p in enumerate(points)]
    spoken = "; ".join(_spoken(p) for p in points)
    return Markup(  # every text in it is escaped
        f'<svg class="interval" role="img" viewBox="0 0 {WIDTH} {bottom + AXIS}" '
        f'width="{WIDTH}" aria-label="{escape(spoken)}">'
        f"{''.join(_axis(ticks, x, bottom))}{''.join(marks)}</svg>"
    )


def _points(c: Comparison) -> Iterator[_Point]:
    if c.measured:
        value = float(c.measured["value"])
        yield _Point("ours", "this run", value, *(measured_interval(c.measured) or (value, value)))
    for r in c.references:
        p = r.published
        yield _Point("published", p.where, p.value, *(published_interval(p) or (p.value, p.value)))


def _ticks(points: list[_Point]) -> list[float]:
    low, high = min(p.low for p in points), max(p.high for p in points)
    step = _step(high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def _step(width: float) -> float:
    raw = width / 2
    power = 10 ** math.floor(math.log10(raw))
    return next(power * m for m in (1, 2, 5, 10) if raw <= power * m * 1.0001)


def _axis(ticks: list[float], x: Scale, y: float) -> Iterator[str]:
    first, last = x(ticks[0]), x(ticks[-1])
    yield f'<line class="axis" x1="{first:.1f}" x2="{last:.1f}" y1="{y}" y2="{y}"/>'
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    for tick in ticks:
        anchor = "start" if tick == ticks[0] else "end" if tick == ticks[-1] else "middle"
        shift = {"start": -4, "middle": 0, "end": 4}[anchor]
        yield (
            f'<line class="axis" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{y}" y2="{y + 4}"/>'
            f'<text x="{x(tick) + shift:.1f}" y="{y + 15}" text-anchor="{anchor}">'
            f"{tick:.{digits}f}</text>"
        )


def _mark(p: _Point, x: Scale, y: float) -> str:
    at, bar = x(p.value), ""
    if p.high > p.low:
        bar = f'<line x1="{x(p.low):.1f}" x2="{x(p.high):.1f}" y1="{y}" y2="{y}"/>'
    disc = f'<circle cx="{at:.1f}" cy="{y}" r="4.5"/>'
    diamond = f'<path d="M{at - 5:.1f} {y}L{at:.1f} {y - 5}L{at + 5:.1f} {y}L{at:.1f} {y + 5}Z"/>'
    shape = disc if p.kind == "ours" else diamond
    return f'<g class="{p.kind}"><title>{escape(_spoken(p))}</title>{bar}{shape}</g>'


def _spoken(p: _Point) -> str:
    interval = f", from {number(p.low)} to {number(p.high)}" if p.high > p.low else ""
    return f"{p.name}: {number(p.value)}{interval}"


def comparison_html(record: Mapping[str, Any], study: Study, *, style: bool = True) -> str:
    """Put a run beside the published numbers, as an HTML table.

    Parameters
    ----------
    record : mapping
        A run record.
    study : Study
    style : bool
        Put the table's own style before it, for a notebook; a page has it already.
    """
    from nextaim_kit.runs.pages import render

    return render(
        "comparison.html.j2",
        comparisons=compare(record, study),
        record=record,
        synthetic=is_synthetic(record),
        style=style,
        board=False,
        chart=interval_chart,
    )
