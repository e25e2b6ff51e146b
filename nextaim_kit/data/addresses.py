"""Addresses of archives that a cohort may stand in, DICOMweb or XNAT, and where it is pulled to."""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl, urlsplit

from nextaim_kit.errors import RequestError
from nextaim_kit.files import data_folder

PULLED = "pull.json"  # written last: what is there is whole
OF_STUDIES = (
    "StudyDescription", "StudyDate", "ModalitiesInStudy", "StudyInstanceUID", "PatientID",
    "PatientName", "AccessionNumber", "StudyID",
)  # fmt: skip
OF_SERIES = ("Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber")
NAMING = {"PatientID", "PatientName", "AccessionNumber", "StudyID"} | {
    "StudyInstanceUID",
    "SeriesInstanceUID",
}
_SCHEME = re.compile(r"(dicomweb|xnat)\+(https?)://", re.IGNORECASE)
_HERE = {"localhost", "127.0.0.1", "::1"}
_EXPECTED = (
    "dicomweb+https://host/path?StudyDescription=… or xnat+https://host/project; without user,"
    " password and fragment"
)


@dataclass(frozen=True)
class Address:
    """An archive, and what of it is meant.

    Parameters
    ----------
    kind : {'dicomweb', 'xnat'}
    url : str
        Root of its service, without a query.
    project : str
        Of XNAT.
    filters : tuple of (str, str)
        Attributes of DICOM and what they are to match; ``*`` and ``?`` stand for any characters.
    """

    kind: str
    url: str
    project: str = ""
    filters: tuple[tuple[str, str], ...] = ()

    @property
    def host(self) -> str:
        """Host, and port where one is told."""
        return urlsplit(self.url).netloc

    @property
    def naming(self) -> list[str]:
        """Filters whose values tell a patient."""
        return [name for name, _ in self.filters if name in NAMING]

    @property
    def shown(self) -> str:
        """The address as it may stand in a record: what tells a patient is left out."""
        said = [f"{n}={'…' if n in NAMING else value}" for n, value in self.filters]
        project = f"/{self.project}" if self.project else ""
        query = f"?{'&'.join(said)}" if said else ""
        return f"{self.kind}+{self.url}{project}{query}"

    def folder(self) -> Path:
        """Folder that it is pulled to where none is given, there or not.

        Raises
        ------
        RequestError
            If the address names a patient: a name made from it could be guessed back.
        """
        if self.naming:
            raise RequestError(
                "an address that names a patient has no folder of its own",
                expected="the folder that it is, or was, pulled to",
                found=f"a value for {', '.join(self.naming)}",
                mend="nextaim data pull ADDRESS OUT; then give OUT as the cohort",
            )
        digest = hashlib.sha256(self.shown.encode()).hexdigest()[:10]
        name = re.sub(r"[^\w.-]+", "_", self.host.rpartition("@")[2])
        return data_folder() / "archives" / f"{name}-{digest}"


def is_address(spec: str) -> bool:
    """Whether a cohort's spec is an archive's address."""
    return bool(_SCHEME.match(spec))


def read_address(spec: str) -> Address:
    """Read an archive's address.

    Raises
    ------
    RequestError
        If it is none, holds a user or password, is not encrypted and not of this machine, or asks
        by an attribute that is not known. What it holds is not repeated where it may be secret.

    Examples
    --------
    >>> read_address("dicomweb+https://example.org/dicom-web?Modality=CT").filters
    (('Modality', 'CT'),)
    """
    begin = _SCHEME.match(spec)
    if begin is None:
        raise RequestError("no address of an archive", expected=_EXPECTED)
    kind, scheme = begin[1].lower(), begin[2].lower()
    try:
        parts = urlsplit(f"{scheme}://{spec[begin.end() :]}")
        _, host = parts.port, parts.hostname
    except ValueError:
        raise RequestError("an archive's address cannot be read", expected=_EXPECTED) from None
    if parts.username is not None or parts.password is not None or parts.fragment:
        _refuse_secret()
    if not host:
        raise RequestError("an archive's address without a host", expected=_EXPECTED)
    if scheme == "http" and host not in _HERE:
        raise RequestError(
            f"the archive {host} would be asked in the clear",
            expected="https: whoever listens would read patients and passwords",
            mend=f"give {kind}+https://…",
        )
    path = parts.path.rstrip("/")
    project = ""
    if kind == "xnat":
        path, _, project = path.rpartition("/")
        if not re.fullmatch(r"[\w-]+", project):
            raise RequestError("an address of XNAT without a project", expected=_EXPECTED)
    filters = _filters(parts.query, kind)
    return Address(kind, f"{scheme}://{parts.netloc.lower()}{path}", project, filters)


def _refuse_secret() -> NoReturn:
    raise RequestError(
        "an archive's address holds a user, a password or a fragment",
        expected=_EXPECTED,
        mend="set NEXTAIM_ARCHIVE_USER and NEXTAIM_ARCHIVE_PASSWORD, or NEXTAIM_ARCHIVE_TOKEN",
    )


def _filters(query: str, kind: str) -> tuple[tuple[str, str], ...]:
    pairs = parse_qsl(query, keep_blank_values=True)
    known = (*OF_STUDIES, *OF_SERIES) if kind == "dicomweb" else ()
    for name, value in pairs:
        near = difflib.get_close_matches(name, known, n=1)
        if name not in known or not value.strip():
            raise RequestError(
                "an archive cannot be asked so",
                expected=", ".join(f"{one}=…" for one in known) or "no query for XNAT",
                found=f"{name[:40]!r}" if name not in known else f"{name} without a value",
                mend=f"did you mean {near[0]}?" if near and name not in known else "",
            )
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise RequestError("an archive's address asks twice by one attribute", mend="keep one")
    return tuple(sorted(pairs))
