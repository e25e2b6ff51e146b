"""The text that a report was read from, with the places that speak for each value marked.

A mark has the numbers of its values, so that nobody needs to see a color; the list beside the text
has the same numbers, in the order in which values are best checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from nextaim_kit.report import codes
from nextaim_kit.report.model import CHECK_FIRST, Field, Report

STYLE = """
.read { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; color: #1c2127; background: #fff; font-size: 0.9rem; }
.read .words { flex: 3 1 24rem; white-space: pre-wrap; line-height: 1.8; margin: 0; }
.read ol { flex: 2 1 18rem; margin: 0; padding-left: 2rem; }
.read mark { background: #FBE3B5; color: #1c2127; border-bottom: 2px solid #9a5b00; padding: 0 1px; }
.read sup { font-size: 0.7em; }
.read .first { font-weight: bold; border-left: 4px solid #a34700; padding-left: 0.3rem; }
"""  # noqa: E501


def marked_text(report: Report, only: Sequence[str] = ()) -> str:
    """HTML of the text with its marks, beside the values that they speak for.

    Parameters
    ----------
    report : Report
        Read from a text.
    only : sequence of str, optional
        Keys of the values to mark and list; by default those that the text mentions.
    """
    keys = list(only) or [k for k in report.order if report.field(k).ai_value is not None]
    items = "".join(str(_item(report, report.field(key))) for key in keys)
    words = "".join(_pieces(report, keys))
    return (
        f"<style>{STYLE}</style><div class='read'>"
        f"<p class='words'>{words}</p><ol>{items}</ol></div>"
    )


def _pieces(report: Report, keys: Sequence[str]) -> Iterator[str]:
    text = report.text
    spans = [(n, *span) for n, key in enumerate(keys, 1) for span in report.field(key).evidence]
    cuts = sorted({0, len(text), *(end for _, *span in spans for end in span)})
    for first, end in pairwise(cuts):
        numbers = [n for n, a, b in spans if a <= first and end <= b]
        piece = escape(text[first:end])
        ends = [n for n, _, b in spans if b == end and n in numbers]
        said = Markup("<sup>{}</sup>").format(", ".join(map(str, ends))) if ends else ""
        yield str(Markup("<mark>{}{}</mark>").format(piece, said) if numbers else piece)


def _item(report: Report, one: Field) -> Markup:
    value = one.what.written(one.value)
    state = codes.status_words(one.status)
    state += f", confidence {one.confidence:.2f}" if one.confidence is not None else ""
    if not report.unsupported(one):
        return Markup("<li>{}: <b>{}</b> <small>({})</small></li>").format(
            one.what.label, value, state
        )
    return Markup("<li class='first'>{}: {} <small>({})</small>: {}</li>").format(
        one.what.label, value, state, CHECK_FIRST
    )
