"""De-identification on the command line, and the look at what is left."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePath
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nextaim_kit.errors import RequestError
from nextaim_kit.files import read_text
from nextaim_kit.places import placed

KEY = "de-identification.key"
_LOOKED_AT = 500  # files of a data set that is fetched or verified
_SHOWN = 20  # of folders whose images may show a face


def register(app: typer.Typer) -> None:
    """Add the commands to those of data."""
    app.command("deidentify")(deidentify_folder)
    app.command("audit")(audit_folder)


def deidentify_folder(
    source: Annotated[
        Path, typer.Argument(parser=placed, metavar="IN", help="Folder with identities.")
    ],
    out: Annotated[Path, typer.Argument(parser=placed, metavar="OUT", help="New folder, without.")],
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            parser=placed,
            metavar="PATH",
            help="File of the key, made where there is none.",
        ),
    ] = None,
    keep: Annotated[
        str,
        typer.Option(
            help="What stays, of: dates (moved), patient, device, descriptors (cleaned), faces."
        ),
    ] = "dates,patient,descriptors",
    k: Annotated[
        int, typer.Option("--k", min=0, help="Rows of a table to be alike in age, sex, and so on.")
    ] = 0,
) -> None:
    """Write a copy of a folder without identity: images, sidecars, reports, tables.

    DICOM by the Basic Profile of PS3.15 with the options of --keep. Faces are cut off heads of CT
    and MR. The key lies outside of both
    folders; who has it can tell who is who, and without it nobody can. What cannot be cleaned is
    left out and named.
    """
    from nextaim_kit.data.privacy.deidentify import deidentify
    from nextaim_kit.progress import ProgressLine

    key = key or source.parent / KEY
    report = deidentify(
        source, out, key, profile_of(keep, k), ProgressLine("de-identifying", "files")
    )
    console = Console(highlight=False, soft_wrap=True)
    for kind, count in sorted(report.written.items()):
        if count:
            console.print(f"{count} {kind}")
    for name in report.covered:
        console.print(f"[yellow]writing covered, look at it:[/] {escape(name)}")
    for name, why in report.left_out:
        console.print(f"[yellow]left out:[/] {escape(name)}: {escape(why)}")
    folders = Counter(str(PurePath(name).parent) for name in report.faces)
    for folder, count in folders.most_common(_SHOWN):
        files = "1 file" if count == 1 else f"{count} files"
        console.print(f"[yellow]may show a face, not cut off:[/] {files} in {escape(folder)}")
    if len(folders) > _SHOWN:
        console.print(f"[yellow]and in {len(folders) - _SHOWN} more folders[/]")
    gone = sorted({column for one in report.tables for column in one.gone})
    if gone:
        console.print(f"columns taken out of tables: {escape(', '.join(gone))}")
    for one in report.tables:
        if not one.columns:
            continue
        console.print(
            f"a table of {len(one.table)} rows: at least {one.after} alike in "
            f"{escape(', '.join(one.columns))}, before {one.before}; "
            f"{one.lost:.0%} of what these columns told is gone"
        )
    made = " (made now: keep it safe, it cannot be made again)" if report.key_made else ""
    console.print(f"key: {escape(str(key))}{made}")
    console.print(
        "The output is pseudonymous, still personal data. Without the key nobody can link it back."
    )
    raise typer.Exit(1 if report.left_out else 0)


def profile_of(keep: str, k: int = 0):  # type: ignore[no-untyped-def]  # its module is loaded when it is used
    """The profile that ``--keep`` and ``--k`` ask for.

    Raises
    ------
    RequestError
        If something is to be kept that is not known.
    """
    from nextaim_kit.data.privacy.profile import OPTIONS, Profile

    chosen = {name.strip() for name in keep.split(",") if name.strip()}
    if strange := sorted(chosen - set(OPTIONS)):
        raise RequestError(f"--keep does not know {strange[0]!r}", expected=", ".join(OPTIONS))
    return Profile(**{name: name in chosen for name in OPTIONS}, k=k)


def audit_folder(
    folder: Annotated[
        Path, typer.Argument(parser=placed, metavar="FOLDER", help="What to look at.")
    ],
    names: Annotated[
        Path | None,
        typer.Option(
            "--names", parser=placed, metavar="FILE", help="Identities to look for, one a line."
        ),
    ] = None,
) -> None:
    """Say what identity is left in a folder: images, tables, reports, pages, file names.

    Ends with 1 if a person is told anywhere, or a file could not be read.
    """
    from nextaim_kit.data.privacy.audit import audit
    from nextaim_kit.progress import ProgressLine

    wanted = read_text(names).splitlines() if names else None
    findings = audit(folder, wanted, ProgressLine("looking", "files"))
    out = Console(highlight=False, soft_wrap=True)
    table = Table("verdict", "file", "where", "what", box=None)
    for one in findings:
        table.add_row(one.verdict, escape(one.file), escape(one.where), escape(one.what))
    if findings:
        out.print(table)
    told = sum(one.verdict == "identity" for one in findings)
    out.print(_verdict(told, len(findings) - told))
    raise typer.Exit(1 if findings else 0)


def look_at(console: Console, name: str) -> None:
    """Say what identity is left in a data set here that is told to be de-identified."""
    from nextaim_kit.data.datasets.fetch import where
    from nextaim_kit.data.datasets.manifest import load_manifest
    from nextaim_kit.data.privacy.audit import audit
    from nextaim_kit.progress import ProgressLine

    folder = where(name)
    if load_manifest(name).deidentified is not True or not folder.is_dir():
        return
    findings = audit(folder, progress=ProgressLine("looking", "files"), most=_LOOKED_AT)
    told = sum(one.verdict == "identity" for one in findings)
    console.print(f"told to be de-identified; of {_LOOKED_AT} files at most:", end=" ")
    console.print(_verdict(told, len(findings) - told))
    if findings:
        console.print(f"which they are: nextaim data audit {escape(str(folder))}")


def _verdict(told: int, open_: int) -> str:
    if told:
        return f"[bold red]identity is left in {told} places[/], and {open_} have to be looked at"
    if open_:
        return f"[yellow]no identity found, {open_} places have to be looked at[/]"
    return "no identity found; this is no proof that there is none"
