"""Which notebooks run on which cards, as the command line shows it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nextaim_kit.catalog import Notebook
from nextaim_kit.memory import cards


def print_plan(console: Console, notebooks: Sequence[Notebook], names: Sequence[str]) -> None:
    """Print for each notebook that trains on a GPU a line for each card, with its hours there.

    Raises
    ------
    RequestError
        If there is no such card.
    """
    found, asked = cards.on_cards(notebooks, names), cards.chosen(names)
    for notebook, rows in found.groupby("notebook", sort=False):
        sizes = rows.drop_duplicates("profile").set_index("profile")["gpu_gb"]
        heads = [f"{profile}, {gb:g} GB" for profile, gb in sizes.items()]
        table = Table("card", "", "usable GB", "torch's build", "trains in", *heads, box=None)
        for name, card in asked.items():
            told = [card.build or "none", card.precision if card.build else ""]
            cells = [_cell(row) for _, row in rows[rows["card"] == name].iterrows()]
            table.add_row(name, card.title, f"{card.memory_gb:g}", *told, *cells)
        console.print(f"[bold]{escape(str(notebook))}[/]", table, "")
    if found.empty:
        console.print("no profile of these takes a GPU")
        return
    console.print(
        "* the least of these cards that serves. Hours are estimates, nothing was run: the minutes "
        "declared for a slice of 10 GB, by published throughput (single precision, bandwidth)."
    )


def _cell(row: pd.Series) -> str:
    if not row["fits"]:
        return f"[red]{row['why'].partition(':')[0]}[/]"
    low, high = row["hours_low"], row["hours_high"]
    span = f"{low:.2g}" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g}"
    return f"{span} h" + " *" * bool(row["least"])
