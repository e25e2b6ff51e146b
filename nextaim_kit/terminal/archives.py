"""Archives on the command line: what is pulled from them, pushed to them, and linked again."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from nextaim_kit.errors import RequestError
from nextaim_kit.places import placed
from nextaim_kit.terminal.cache import size
from nextaim_kit.terminal.privacy import KEY, profile_of

Spec = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS", help="dicomweb+https://host/path?… or xnat+https://host/project."
    ),
]
Trust = Annotated[
    Path | None,
    typer.Option(
        "--trust",
        parser=placed,
        metavar="FILE",
        help="Certificates to trust (NEXTAIM_ARCHIVE_TRUST).",
    ),
]
Key = Annotated[
    Path | None,
    typer.Option("--key", parser=placed, metavar="PATH", help="File of the key, outside of OUT."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands to those of data."""
    app.command("pull")(pull_archive)
    app.command("push")(push_results)
    app.command("relink")(relink_results)


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _agreed(question: str, otherwise: str, yes: bool) -> bool:
    """Whether to go on: by --yes, or by who sits at the terminal."""
    if yes or (sys.stdin.isatty() and typer.confirm(question)):
        return True
    _console().print(f"{otherwise}; --yes does it without asking")
    return False


def pull_archive(
    address: Spec,
    out: Annotated[
        Path | None,
        typer.Argument(parser=placed, metavar="[OUT]", help="Folder; else one among the data."),
    ] = None,
    key: Key = None,
    keep: Annotated[
        str,
        typer.Option(help="What stays, of: dates (moved), patient, device, descriptors, faces."),
    ] = "dates,patient,descriptors",
    trust: Trust = None,
    yes: Yes = False,
) -> None:
    """Pull images from a DICOMweb archive or an XNAT, without identity.

    Says what would come, and asks. Each instance is cleaned in memory as it arrives, as `nextaim
    data deidentify` does; no file with identity is written. The same command goes on where it was
    stopped. User and password, or a token, come from NEXTAIM_ARCHIVE_USER and
    NEXTAIM_ARCHIVE_PASSWORD, or NEXTAIM_ARCHIVE_TOKEN, else from the system's keyring.
    """
    from nextaim_kit.data.addresses import read_address
    from nextaim_kit.data.archives.pull import pull, reach
    from nextaim_kit.progress import ProgressLine

    place = read_address(address)
    profile = profile_of(keep)
    out = out or place.folder()
    key = key or out.parent / KEY
    archive, console = reach(place, trust), _console()
    offer = archive.offer()
    known = "" if offer.bytes is None else f", {size(offer.bytes)}"
    console.print(escape(
        f"{place.shown}: {offer.studies} studies, {len(offer.series)} series, "
        f"{offer.instances} instances{known}"
    ))  # fmt: skip
    for count, why in (
        (offer.others, "it offers though they do not match: not pulled"),
        (offer.repeated, "it names more than once: pulled once"),
        (offer.left, "are no DICOM: not pulled"),
    ):
        if count:
            console.print(f"[yellow]{count} {why}[/]")
    if not _agreed(f"Pull them into {out}?", "nothing was pulled", yes):
        return
    done = pull(archive, place.shown, out, key, profile, ProgressLine("pulling", "instances"))
    _say_pulled(console, done, key)
    raise typer.Exit(1 if done.left_out or done.missing or done.grew else 0)


def _say_pulled(console: Console, done: Any, key: Path) -> None:
    there = len(done.arrived) - len(done.left_out)
    console.print(f"{there} instances in {escape(str(done.folder))}, {done.fresh} of them now")
    for why, count in sorted(Counter(one.left_out for one in done.left_out).items()):
        console.print(f"[yellow]{count} left out:[/] {escape(why)}")
    if masked := sum(one.masked for one in done.arrived):
        console.print(f"[yellow]writing was covered in {masked}: look at them[/]")
    if defaced := sum(one.defaced for one in done.arrived):
        console.print(f"the face was cut off the heads in {defaced} images")
    if heads := sum(one.head for one in done.arrived):
        console.print(f"[yellow]{heads} images may still show a face[/]")
    if done.missing:
        console.print(f"[red]{done.missing} did not come whole: give the same command again[/]")
    if done.grew:
        console.print("[red]the archive still changes: give the same command again later[/]")
    made = " (made now: keep it safe, it cannot be made again)" if done.key_made else ""
    console.print(f"key: {escape(str(key))}{made}")
    console.print("What came is pseudonymous, still personal data.")


def push_results(
    folder: Annotated[
        Path, typer.Argument(parser=placed, metavar="FOLDER", help="A run's folder, or results.")
    ],
    address: Spec,
    begin: Annotated[
        bool, typer.Option("--new-studies", help="Send images of studies that it does not hold.")
    ] = False,
    trust: Trust = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Send; else it is only shown.")] = False,
) -> None:
    """Send results to a research archive: DICOM by STOW-RS, files as resources of an XNAT.

    Without --yes it only says what would be sent. Nothing goes over what is there, or to an
    archive that does not hold the study under its pseudonym.
    """
    from nextaim_kit.data.addresses import read_address
    from nextaim_kit.data.archives.pull import reach
    from nextaim_kit.data.archives.push import plan, send
    from nextaim_kit.progress import ProgressLine

    archive, console = reach(read_address(address), trust), _console()
    parcels = plan(folder, archive, begin=begin)
    counts = Counter(one.state for one in parcels)
    for state, count in sorted(counts.items()):
        names = ", ".join(one.name for one in parcels if one.state == state and count < 6)
        console.print(escape(f"{count} {state}{': ' * bool(names)}{names}"))
    refused = [one for one in parcels if one.patient and one.state not in ("send", "there")]
    if not counts["send"]:
        raise typer.Exit(1 if refused else 0)
    if not yes:
        console.print("nothing was sent; --yes sends it")
        return
    failed = send(parcels, archive, folder.name, ProgressLine("sending", "files"))
    for one, why in failed:
        console.print(f"[red]not sent:[/] {escape(one.name)}: {escape(why)}")
    console.print(f"sent: {counts['send'] - len(failed)}")
    raise typer.Exit(1 if failed or refused else 0)


def relink_results(
    folder: Annotated[
        Path, typer.Argument(parser=placed, metavar="FOLDER", help="Results with pseudonyms.")
    ],
    originals: Annotated[
        str, typer.Argument(metavar="ORIGINALS", help="Folder of the original DICOM, or ADDRESS.")
    ],
    out: Annotated[Path, typer.Argument(parser=placed, metavar="OUT", help="New folder.")],
    key: Annotated[
        Path, typer.Option("--key", parser=placed, metavar="PATH", help="File of the key.")
    ],
    trust: Trust = None,
) -> None:
    """Write a copy of results under the patients' own numbers, for who holds the key.

    A pseudonym cannot be undone: the key makes those of the originals once more, and what fits is
    put in its place, in DICOM and in texts. The copy tells patients.
    """
    from nextaim_kit.data.addresses import is_address, read_address
    from nextaim_kit.data.archives.dicomweb import DicomWeb
    from nextaim_kit.data.archives.pull import reach
    from nextaim_kit.data.archives.relink import headers_of, originals_of, relink
    from nextaim_kit.data.privacy.secret import load_key

    if not key.exists():
        raise RequestError(f"no key {key}", expected="that with which the images were pulled")
    secret, _ = load_key(key, out)
    if is_address(originals):
        archive = reach(read_address(originals), trust)
        if not isinstance(archive, DicomWeb):
            raise RequestError("an XNAT gives no headers", mend="give a folder of the originals")
        headers = archive.whole_headers()
    else:
        headers = headers_of(placed(originals))
    written, left = relink(folder, originals_of(headers, secret), out)
    console = _console()
    console.print(f"{written} files in {escape(str(out))}: they tell patients, and are yours alone")
    if left:
        console.print(f"[yellow]{len(left)} that name none of these patients were left[/]")
