"""A pull: what an archive offers comes to a folder, without identity, each instance once."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from nextaim_kit import __version__
from nextaim_kit.data.addresses import PULLED, Address
from nextaim_kit.data.archives.archive import Archive, Offer, Series
from nextaim_kit.data.archives.arriving import Arriving
from nextaim_kit.data.archives.cleaning import Cleaner
from nextaim_kit.data.archives.connection import Connection
from nextaim_kit.data.archives.dicomweb import DicomWeb
from nextaim_kit.data.archives.ledger import LEDGER, Arrived, Ledger
from nextaim_kit.data.archives.xnat import Xnat
from nextaim_kit.data.privacy.learning import learn_dataset
from nextaim_kit.data.privacy.lexicon import Lexicon
from nextaim_kit.data.privacy.profile import Profile
from nextaim_kit.data.privacy.scrubbing import Scrubber
from nextaim_kit.data.privacy.secret import load_key
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import write_json
from nextaim_kit.progress import Progress

_ROUNDS = 3  # how often an archive that grows meanwhile is asked again
_UID = r"2\.25\.\d+"
_OURS = re.compile(rf"P[A-Z2-7]{{10}}/{_UID}/{_UID}/(?:{_UID}\.dcm|\.partial-[^/]+)")


@dataclass
class Pulled:
    """What a pull left.

    Attributes
    ----------
    folder : Path
    offer : Offer
        As it was at last.
    arrived : list of Arrived
        All of the folder, also of earlier pulls.
    fresh : int
        How many came now.
    missing : int
        How many the archive names and does not give whole.
    grew : bool
        Whether the archive says something else each time that it is asked.
    key_made : bool
    """

    folder: Path
    offer: Offer
    arrived: list[Arrived] = field(default_factory=list)
    fresh: int = 0
    missing: int = 0
    grew: bool = False
    key_made: bool = False

    @property
    def left_out(self) -> list[Arrived]:
        return [one for one in self.arrived if one.left_out]


def reach(address: Address, trust: Path | None = None) -> DicomWeb | Xnat:
    """The archive that an address leads to.

    Raises
    ------
    RequestError
        If credentials or certificates are not as they have to be.
    """
    connection = Connection(address, trust)
    return DicomWeb(connection) if address.kind == "dicomweb" else Xnat(connection)


def pull(
    archive: Archive,
    shown: str,
    out: Path,
    key: Path,
    profile: Profile | None = None,
    progress: Progress | None = None,
) -> Pulled:
    """Bring what an archive offers, without identity; goes on where an earlier pull ended.

    Parameters
    ----------
    archive : Archive
    shown : str
        Its address, as it may stand in the folder.
    out : Path
        A new folder, or that of an earlier pull of the same.
    key : Path
        File of the key; made where there is none, for a new folder.
    profile : Profile, optional
    progress : callable, optional

    Returns
    -------
    Pulled

    Raises
    ------
    RequestError
        If key, folder or credentials are not as they have to be, or the archive has nothing.
    DataError
        If the archive goes down, or the disk is full; what has come stays, and is gone on from.
    """
    profile = profile or Profile()
    if (out / LEDGER).exists() and not key.exists():
        raise RequestError(
            f"the key {key.name}, with which {out.name} was begun, is not there",
            expected="the same: without it nobody can tell what has come already",
            mend="give its place with --key; if it is lost, pull into a new folder",
        )
    offer = archive.offer()
    if not offer.instances:
        raise RequestError(
            "the archive has nothing of this", found=f"{offer.others} that do not match"
        )
    secret, made = load_key(key, out)
    ledger = Ledger(out, secret, profile, shown)
    ledger.begin()
    (out / PULLED).unlink(missing_ok=True)
    _forget_strays(ledger)
    done = Pulled(out, offer, key_made=made)
    arriving = Arriving(archive, ledger, keep=profile.faces)
    _in_rounds(arriving, done, ledger, Cleaner(Scrubber(secret, Lexicon()), profile, out), progress)
    if wrong := ledger.wrong():
        raise DataError(
            f"{len(wrong)} files of {out.name} are not as they were written",
            expected="their bytes and SHA-256",
            found=", ".join(one.path for one in wrong[:3]),
            mend="see whether the disk is whole, then give the same command: they come again",
        )
    done.arrived = sorted(ledger.lines.values(), key=lambda one: one.item)
    if not done.missing and not done.grew:
        _write_record(done, ledger)
    return done


def _in_rounds(
    arriving: Arriving, done: Pulled, ledger: Ledger, cleaner: Cleaner, progress: Progress | None
) -> None:
    """Pull what is left, then ask again, until the archive says what it said before."""
    for _ in range(_ROUNDS):
        lacking = _lacking(arriving.archive, done.offer, ledger)
        if lacking:
            _learn(arriving, done.offer, cleaner.scrubber.lexicon)
        wanted = [arriving.wanted(series, names) for series, names in lacking]
        count = sum(len(one.names) for one in wanted)
        for at, line in enumerate(cleaner.all(arriving.all(wanted), count), 1):
            ledger.add(line)
            if progress:
                progress(at, count, f"instance {at}")
        items = {ledger.item(name) for one in wanted for name in one.names}
        done.missing = len(items - ledger.lines.keys())
        done.fresh = len(ledger.fresh)
        now = arriving.archive.offer()
        done.grew = now != done.offer
        done.offer = now
        if not done.grew:
            return


def _lacking(archive: Archive, offer: Offer, ledger: Ledger) -> list[tuple[Series, list[str]]]:
    """Of each series what has not come yet; what two series name comes once."""
    found, seen = [], set(ledger.lines)
    for series in offer.series:
        items = [name for name in archive.items(series) if ledger.item(name) not in seen]
        seen |= {ledger.item(name) for name in items}
        if items:
            found.append((series, items))
    return found


def _learn(arriving: Arriving, offer: Offer, lexicon: Lexicon) -> None:
    """What headers of all series tell of people and of parts of the body, before any comes."""
    for series in offer.series:
        for header in arriving.archive.headers(series):
            learn_dataset(lexicon, header)
            arriving.hear(series, header)


def _forget_strays(ledger: Ledger) -> None:
    """Remove what a killed pull had written and not noted: it comes again."""
    known = {one.path for one in ledger.lines.values()}
    for path in sorted(ledger.folder.glob("P*/2.25.*/2.25.*/*")):
        name = path.relative_to(ledger.folder).as_posix()
        if name not in known and _OURS.fullmatch(name):
            path.unlink()


def _write_record(done: Pulled, ledger: Ledger) -> None:
    """Say, last of all, that the folder is whole; it holds no identity and no time."""
    there = [one for one in done.arrived if not one.left_out]
    first = json.loads(ledger.path.read_text(encoding="utf-8").partition("\n")[0])
    whys = Counter(one.left_out.partition(" (")[0] for one in done.left_out)
    record = {
        "made_by": f"nextaim_kit {__version__}",
        "archive": first["archive"],
        "options": first["options"],
        "studies": done.offer.studies,
        "series": len(done.offer.series),
        "instances": len(there),
        "bytes": sum(one.bytes for one in there),
        "left_out": dict(sorted(whys.items())),
        "writing_covered": sum(one.masked for one in there),
        "without_its_face": sum(one.defaced for one in there),
        "may_show_a_face": sum(one.head for one in there),
        "said": "pseudonymous, still personal data (GDPR, recital 26)",
    }
    write_json(done.folder / PULLED, record)
