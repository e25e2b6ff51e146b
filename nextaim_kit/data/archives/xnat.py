"""Archives of the XNAT kind, by its REST interface: experiments are studies, scans are series.

Written after its documentation and tried on a stand-in that enforces it, not on a real XNAT.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from pydicom import Dataset, dcmread

from nextaim_kit.data.archives.archive import Offer, Series
from nextaim_kit.data.archives.connection import Connection, NotThere, Refused
from nextaim_kit.data.archives.multipart import Cut
from nextaim_kit.errors import DataError, RequestError

_HEADER = 1 << 20  # bytes in which a header is looked for
_TRIES = 2  # of a file whose digest is not what the archive says
Row = Mapping[str, Any]


class Xnat:
    """A project of an XNAT.

    Parameters
    ----------
    connection : Connection
    """

    def __init__(self, connection: Connection) -> None:
        self.connection, self.project = connection, connection.address.project
        self._files: dict[tuple[str, str], list[Row]] = {}

    def _rows(self, path: str) -> list[Row]:
        found = self.connection.json(f"/data{path}", {"format": "json"})
        try:
            return list(found["ResultSet"]["Result"])
        except (TypeError, KeyError) as error:
            raise DataError(
                f"{self.connection.address.host} answers no table of XNAT",
                expected='{"ResultSet": {"Result": […]}}',
            ) from error

    def _exists(self) -> None:
        try:
            self._rows(f"/projects/{self.project}/experiments")
        except NotThere as error:
            raise RequestError(
                f"no project {self.project} on {self.connection.address.host}",
                mend="see its id on the project's page; who may not see it is told the same",
            ) from error

    def offer(self) -> Offer:
        """Scans of the project with their DICOM files; others are counted.

        Raises
        ------
        RequestError
            If the project is not there.
        ArchiveDown, Refused, DataError
        """
        self._exists()
        self._files.clear()
        series, left, repeated = [], 0, 0
        for one in self._rows(f"/projects/{self.project}/experiments"):
            study = str(one["ID"])
            for scan in self._rows(f"/experiments/{quote(study, safe='')}/scans"):
                name = str(scan["ID"])
                if (study, name) in self._files:
                    repeated += 1
                    continue
                path = f"/experiments/{quote(study, safe='')}/scans/{quote(name, safe='')}/files"
                files = self._rows(path)
                dicom = [file for file in files if _is_dicom(file)]
                left += len(files) - len(dicom)
                self._files[study, name] = dicom
                sizes = [int(file["Size"]) for file in dicom if str(file.get("Size")).isdecimal()]
                size = sum(sizes) if len(sizes) == len(dicom) else None
                if dicom:
                    series.append(Series(study, name, len(dicom), size))
        return Offer(sorted(series, key=lambda s: (s.study, s.name)), 0, repeated, left)

    def items(self, series: Series) -> list[str]:
        """Addresses of a scan's DICOM files, each once, sorted."""
        return sorted({str(file["URI"]) for file in self._files[series.study, series.name]})

    def headers(self, series: Series) -> Iterator[Dataset]:
        """The header of a scan's first file: there is no service of metadata."""
        for uri in self.items(series)[:1]:
            with contextlib.suppress(Cut, NotThere, Refused), self._opened(uri) as answer:
                start = next(self.connection.chunks(answer, _HEADER), b"")
                with contextlib.suppress(Exception):  # cut off where it may: then it says nothing
                    yield dcmread(io.BytesIO(start), stop_before_pixels=True, force=True)

    def _opened(self, uri: str):  # type: ignore[no-untyped-def]  # a context manager's own type
        return self.connection.answer("GET", quote(uri, safe="/%"))

    def fetch(self, series: Series, wanted: list[str]) -> Iterator[tuple[str, bytes | None]]:
        """Bring files one by one, each compared with the size and digest that the archive tells."""
        files = {str(file["URI"]): file for file in self._files[series.study, series.name]}
        for uri in wanted:
            for _ in range(_TRIES):
                with contextlib.suppress(Cut, NotThere), self._opened(uri) as answer:
                    content = self.connection.content(answer)
                    if is_whole(files[uri], content):
                        yield uri, content
                        break

    def holds_subject(self, label: str) -> bool:
        """Whether the project has a subject of this label."""
        rows = self._rows(f"/projects/{self.project}/subjects")
        return any(label in (row.get("label"), row.get("ID")) for row in rows)

    def resource(self, subject: str, name: str) -> dict[str, Row]:
        """Files of a resource of the project or of a subject, by name; none where it is not."""
        try:
            rows = self._rows(f"{self._place(subject)}/resources/{quote(name)}/files")
        except NotThere:
            return {}
        return {str(row["Name"]): row for row in rows}

    def _place(self, subject: str) -> str:
        of = f"/subjects/{quote(subject, safe='')}" if subject else ""
        return f"/projects/{self.project}{of}"

    def put(self, subject: str, resource: str, name: str, content: bytes) -> None:
        """Store a file in a resource, which is made where it is not there; never over another.

        Raises
        ------
        DataError
            If it is not there afterwards with this size and digest.
        ArchiveDown, Refused
        """
        place = f"/data{self._place(subject)}/resources/{quote(resource)}"
        if resource not in {str(r.get("label")) for r in self._resources(subject)}:
            self._put(place, b"")
        self._put(f"{place}/files/{quote(name, safe='')}?inbody=true", content)
        if not is_whole(self.resource(subject, resource).get(name, {"Size": "-1"}), content):
            raise DataError(f"{name} did not arrive as it was sent", mend="look at the resource")

    def _resources(self, subject: str) -> list[Row]:
        return self._rows(f"{self._place(subject)}/resources")

    def _put(self, path: str, content: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        with self.connection.answer("PUT", path, data=content, headers=headers):
            pass


def _is_dicom(file: Row) -> bool:
    said = f"{file.get('file_format') or ''} {file.get('collection') or ''}".upper()
    return "DICOM" in said or str(file["Name"]).lower().endswith((".dcm", ".ima"))


def is_whole(file: Row, content: bytes) -> bool:
    """Whether bytes are what the archive's list says: their number, and their MD5 where told."""
    digest = str(file.get("digest") or "").lower()
    told = str(file.get("Size") or "")
    own = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return (not told or int(told) == len(content)) and digest in ("", own)
