"""The board as the command line shows it; no word is broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from nextaim_kit.runs.board import Row
from nextaim_kit.runs.compare import Comparison
from nextaim_kit.runs.side_by_side import SideBySide

_SHOWN = 5  # numbers of a run, where nothing was published for any


def show_board(out: Console, rows: Sequence[Row], several: Sequence[str]) -> None:
    """Print the board, and which notebooks have several runs that can be compared."""
    out.print(terminal_table(rows))
    if several:
        out.print(f"runs of a notebook side by side: nextaim board {' | '.join(several)}",
                  style="dim")  # fmt: skip
    out.print(waiting_text(rows), style="dim")


def show_runs(out: Console, found: SideBySide) -> None:
    """Print runs of a notebook, a column each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in (found.notebook, *found.runs):
        table.add_column(Text(head), overflow="fold")
    for style, lines in (("dim", found.settings), ("", found.metrics)):
        for name, values in lines:
            table.add_row(Text(name, style), *(Text(value, style) for value in values))
        table.add_row()
    out.print(table)


def terminal_table(rows: Sequence[Row]) -> Group:
    """The board for a terminal: for each run a line and its numbers; no word is broken."""
    lines: list[Any] = []
    own = [row for row in rows if row.record]
    for _, group in groupby(own, key=lambda row: (row.notebook.id, row.data, row.run)):
        every = list(group)
        first = every[0]
        lines += [Text.assemble((first.notebook.id, "bold"), f"  {first.data}  {first.run}")]
        lines += [Text(f"  terms of {first.terms}", "dim")] if first.terms else []
        table = Table(box=None, pad_edge=False, header_style="dim", expand=True, padding=(0, 1))
        for title, ratio in (("metric", 5), ("this kit [interval]", 4), ("published", 4),
                             ("difference", 5)):  # fmt: skip
            table.add_column(Text(f"  {title}" if title == "metric" else title), ratio=ratio)
        shown, more, absent = _few(every)
        for cells in (cells for row in shown for cells in _lines(row.comparison)):
            table.add_row(*map(Text, cells))
        lines += [table] if shown else []
        lines += [Text(line, "dim") for line in (_end(first.record), absent, more) if line] + [""]
    return Group(*lines or ["no study declares a metric yet" if not rows else ""])


def _few(rows: Sequence[Row]) -> tuple[list[Row], str, str]:
    """Those of a run that a terminal shows, and in a line what it does not."""
    known = [row for row in rows if row.comparison.measured]
    beside = [row for row in known if row.comparison.references]
    shown = beside or known[:_SHOWN]
    rest = len(known) - len(shown)
    absent = [row.comparison.label for row in rows if not row.comparison.measured]
    return (
        shown,
        f"  and {rest} more in its report" if rest else "",
        f"  published, not in this run: {', '.join(absent)}" if absent else "",
    )


def _end(record: Mapping[str, Any] | None) -> str:
    why = (record or {}).get("ended")
    return f"  ended early: {why}" if why else ""


def waiting_text(rows: Sequence[Row]) -> str:
    """What was not run yet, in one line; empty where all was."""
    names = list(dict.fromkeys(row.notebook.id for row in rows if not row.record))
    return f"not run yet ({len(names)}): {', '.join(names)}" if names else ""


def _lines(c: Comparison) -> Iterator[list[str]]:
    own = [f"  {c.label}", c.text]
    if not c.references:
        note = c.measured["note"] if c.measured else ""
        yield [*own, "-", note or c.words]
    for r in c.references:
        yield [*own, f"{r.text} [{r.published.tag}]", r.words]
        own = ["", ""]
