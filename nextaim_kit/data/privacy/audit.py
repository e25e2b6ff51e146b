"""What identity is left in a folder: every file opened, every text in it looked at.

Nothing here is shared with what removes identity: neither tables, nor rules, nor words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nextaim_kit.data.privacy.audit_readers import CannotRead, Said, said_by
from nextaim_kit.data.privacy.audit_rules import judged
from nextaim_kit.errors import RequestError
from nextaim_kit.files import files_below

#: What a UID under 2.25 is made of: a random number, in which any short one is met by chance.
UUID_DIGITS = re.compile(r"\d{30,}")


@dataclass(frozen=True)
class Finding:
    """Something in a file that tells a person, or may.

    Parameters
    ----------
    file : str
        Path below the folder.
    where : str
        Element, key, column, line or part of the file.
    what : str
        What it is taken for.
    verdict : {'identity', 'look'}
        Whether it tells a person, or somebody has to look.
    """

    file: str
    where: str
    what: str
    verdict: str


def audit(
    folder: Path,
    names: list[str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    most: int | None = None,
) -> list[Finding]:
    """Look for identity in each file below a folder.

    Parameters
    ----------
    folder : Path
    names : list of str, optional
        Identities to be looked for anywhere: names, numbers, addresses.
    progress : callable, optional
    most : int, optional
        Look at no more files, spread evenly over the folder.

    Returns
    -------
    list of Finding
        Sorted by file; what was found is not repeated in it.

    Raises
    ------
    RequestError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise RequestError(f"no folder {folder}", mend="give the folder to be looked at")
    wanted = [_loose(name) for name in names or [] if len(_loose(name)) > 2]
    shut: list[Path] = []
    paths = files_below(folder, shut)
    if most and len(paths) > most:
        paths = [paths[at * len(paths) // most] for at in range(most)]
    findings = [_unread(path, folder, "a folder that cannot be opened") for path in shut]
    for done, path in enumerate(paths, 1):
        findings += _of_file(path, folder, wanted)
        if progress:
            progress(done, len(paths), f"file {done}")
    return sorted(set(findings), key=lambda f: (f.file, f.verdict, f.where, f.what))


def _of_file(path: Path, folder: Path, wanted: list[str]) -> list[Finding]:
    file = str(path.relative_to(folder))
    try:
        said = [Said("name of the file", "", file), *said_by(path)]
    except CannotRead as error:
        return [_unread(path, folder, str(error))]
    found = []
    for one in said:
        found += [Finding(file, one.where, what, verdict) for what, verdict in judged(one)]
        loose = _loose(one.text)
        number = _loose(UUID_DIGITS.sub(" ", one.text))
        if any(name in (number if name.isdigit() else loose) for name in wanted):
            found.append(Finding(file, one.where, "one of the names looked for", "identity"))
    return found


def _unread(path: Path, folder: Path, why: str) -> Finding:
    return Finding(str(path.relative_to(folder)), "the whole of it", why, "look")


def _loose(text: str) -> str:
    """Letters and digits alone, without accents and case: "D'Amico, A." is "damicoa"."""
    low = unicodedata.normalize("NFKD", text).casefold()
    return "".join(one for one in low if one.isalnum())
