"""Encrypted stores on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nextaim_kit.places import placed

_STORE = typer.Argument(parser=placed, metavar="STORE", help="The store's folder.")


def register(app: typer.Typer) -> None:
    """Add the commands to those of data."""
    store = typer.Typer(help="Encrypted stores: cohorts that lie on disk under a pass-phrase.")
    app.add_typer(store, name="store", no_args_is_help=True)
    store.command("make")(make)
    store.command("list")(show)
    store.command("verify")(check)
    store.command("open")(write_clear)
    store.command("expire")(expire)


def make(
    source: Annotated[
        Path, typer.Argument(parser=placed, metavar="FOLDER", help="Images, tables, sidecars.")
    ],
    folder: Annotated[Path, typer.Argument(parser=placed, metavar="STORE", help="New folder.")],
    license: Annotated[str, typer.Option(help="License of the data, kept with them.")] = "",
    agreement: Annotated[
        str, typer.Option(help="Agreement by which they were shared, kept with them.")
    ] = "",
    until: Annotated[
        str, typer.Option(metavar="DATE", help="Last day they may be read: 2027-12-31.")
    ] = "",
) -> None:
    """Seal a folder's files in a new encrypted store; the folder itself stays as it is.

    The pass-phrase is that of NEXTAIM_STORE_PASSPHRASE, of the file that
    NEXTAIM_STORE_PASSPHRASE_FILE names, or asked for. Nobody can read the store without it. A call
    that was killed goes on when it is repeated.
    """
    from nextaim_kit.data.store.checking import fingerprint_of
    from nextaim_kit.data.store.making import make_store
    from nextaim_kit.progress import ProgressLine

    terms = {"license": license, "agreement": agreement, "until": until}
    made = make_store(source, folder, **terms, progress=ProgressLine("sealing", "files"))
    kept = f", {made.kept} of them before" if made.kept else ""
    out = _console()
    out.print(f"{made.kept + made.written} files sealed{kept}; {fingerprint_of(made.store)}")
    out.print(
        f"{escape(str(source))} is still there in the clear: see that the store opens "
        f"(nextaim data store verify), then remove it."
    )


def show(store: Annotated[Path, _STORE]) -> None:
    """Say what a store is, on which terms it may be read, and name its files."""
    from nextaim_kit.data.store.checking import fingerprint_of
    from nextaim_kit.data.store.sealed import open_store, read_head

    out, head = _console(), read_head(store)
    for name in ("id", "license", "agreement", "until"):
        out.print(f"{name:10}{escape(getattr(head, name)) or 'not said'}")
    opened = open_store(store)
    out.print(f"{'state':10}{fingerprint_of(opened)}")
    table = Table("file", "bytes", box=None)
    for name, of in sorted(opened.files.items()):
        table.add_row(escape(name), f"{of.size:,}")
    out.print(table)


def check(store: Annotated[Path, _STORE]) -> None:
    """Decrypt every file of a store, and name what is damaged, missing, extra or another.

    Ends with 1 if there is any. A whole store in an earlier state has another state's digits.
    """
    from nextaim_kit.data.store.checking import fingerprint_of, verify
    from nextaim_kit.data.store.sealed import open_store
    from nextaim_kit.progress import ProgressLine

    opened = open_store(store)
    wrong = verify(opened, ProgressLine("reading", "files"))
    for line in wrong:
        _console().print(f"[bold red]wrong:[/] {escape(line)}")
    well = f"{len(opened.files)} files are as they were sealed; state {fingerprint_of(opened)}"
    _console().print(f"{len(wrong)} wrong" if wrong else well)
    raise typer.Exit(1 if wrong else 0)


def write_clear(
    store: Annotated[Path, _STORE],
    folder: Annotated[Path, typer.Argument(parser=placed, metavar="FOLDER", help="New folder.")],
) -> None:
    """Write a store's files in the clear. Runs need no such copy: they take the store itself."""
    from nextaim_kit.data.store.checking import write_out
    from nextaim_kit.data.store.sealed import open_store
    from nextaim_kit.progress import ProgressLine

    opened = open_store(store)
    write_out(opened, folder, ProgressLine("writing", "files"))
    _console().print(f"{len(opened.files)} files in the clear: {escape(str(folder))}")


def expire(
    stores: Annotated[
        list[Path], typer.Argument(parser=placed, metavar="STORE...", help="Folders of stores.")
    ],
    now: Annotated[bool, typer.Option("--now", help="Before the last day, too.")] = False,
) -> None:
    """Destroy the keys of stores whose last day is past, and note the day in each.

    No proof of deletion: copies of the key, in backups or in what a disk keeps of itself, still
    open the store with the pass-phrase.
    """
    from nextaim_kit.data.store.checking import destroy_key

    for store in stores:
        day = destroy_key(store, now)
        _console().print(f"{escape(store.name)}: key destroyed on {day}, noted in the store")
    _console().print("Copies of the key elsewhere, as in backups, have to be removed there.")


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)
