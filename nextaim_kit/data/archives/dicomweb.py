"""Archives that speak DICOMweb (PS3.18): QIDO-RS asks, WADO-RS brings, STOW-RS stores.

Plain requests: an answer has to end as it should, no part of a study is half read, nothing is
followed to another host, and no address that tells a patient is logged. dicomweb-client, which
would serve otherwise, takes a message that breaks off for a whole one.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword

from nextaim_kit.data.addresses import OF_SERIES, Address
from nextaim_kit.data.archives.archive import Offer, Series
from nextaim_kit.data.archives.connection import TRIES, Connection, NotThere, largest
from nextaim_kit.data.archives.multipart import Cut, TooLarge, boundary_of, packed, parts
from nextaim_kit.data.privacy.faces import TELLING
from nextaim_kit.errors import DataError

_JSON = "application/dicom+json"
_DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_PAGE = 1000  # rows that are asked for at once
_TOLD = {"PN", "LO", "SH", "ST", "LT", "UT", "UC", "DA", "SQ"}  # what may tell of people
_OF_PATIENT = "00100020"
_OF_PART = {f"{tag_for_keyword(name):08X}" for name in TELLING}
# Asked for as any character, and matched here: some servers do not decode what stands for them.
_ODD = re.compile(r"[^A-Za-z0-9._*?-]")
Row = Mapping[str, Any]


class DicomWeb:
    """An archive by DICOMweb.

    Parameters
    ----------
    connection : Connection
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.address: Address = connection.address
        self._seen: set[int] = set()

    def offer(self) -> Offer:
        """Studies and series that match the address, with what the archive says they hold.

        Raises
        ------
        ArchiveDown, NotThere, Refused, DataError
        """
        of_series = {n: v for n, v in self.address.filters if n in OF_SERIES}
        of_studies = {n: v for n, v in self.address.filters if n not in of_series}
        studies, others, repeated = self._matching("/studies", of_studies, "StudyInstanceUID")
        found: list[Series] = []
        for study in sorted(studies):
            path = f"/studies/{study}/series"
            rows, more, again = self._matching(path, of_series, "SeriesInstanceUID")
            others, repeated = others + more, repeated + again
            found += [
                Series(study, uid, self._count(study, uid, rows[uid])) for uid in sorted(rows)
            ]
        return Offer(found, others, repeated)

    def _matching(
        self, path: str, filters: Mapping[str, str], name: str
    ) -> tuple[dict[str, Row], int, int]:
        """Rows by UID, how many do not match though they came, and how many came again."""
        told = {"includefield": ",".join([*filters, name])} if filters else {}
        asked = {one: _ODD.sub("?", value) for one, value in filters.items()} | told
        rows: dict[str, Row] = {}
        others = repeated = 0
        for row in self._rows(path, asked, name):
            uid = _value(row, name)
            repeated += uid in rows
            if uid and all(_matches(row, n, v) for n, v in filters.items()):
                rows[uid] = row
            else:
                others += 1
        return rows, others, repeated

    def _rows(self, path: str, asked: Mapping[str, str], name: str) -> Iterator[Row]:
        """All rows of an answer, page by page, until one brings nothing new."""
        seen: set[str] = set()
        at = 0
        while True:
            page = {"limit": str(_PAGE), "offset": str(at)}
            query = "&".join(f"{one}={value}" for one, value in {**asked, **page}.items())
            rows = self.connection.json(path, query, _JSON)
            if not isinstance(rows, list):
                raise DataError(f"{self.address.host} answers no list", expected="PS3.18, QIDO-RS")
            fresh = {_value(row, name) for row in rows} - seen
            # A server without pages gives the first again, which would count all as repeated.
            yield from rows if fresh else []
            if not fresh:
                return
            seen |= fresh
            at += len(rows)

    def _count(self, study: str, series: str, row: Row) -> int:
        said = _value(row, "NumberOfSeriesRelatedInstances")
        return int(said) if said.isdecimal() else len(self.items(Series(study, series)))

    def items(self, series: Series) -> list[str]:
        """SOP instance UIDs of a series, each once, sorted."""
        path = f"/studies/{series.study}/series/{series.name}/instances"
        return sorted(self._names(path))

    def _names(self, path: str) -> set[str]:
        name = "SOPInstanceUID"
        return {_value(row, name) for row in self._rows(path, {}, name)} - {""}

    def headers(self, series: Series) -> Iterator[Dataset]:
        """What the archive's metadata of a series say that may tell of people, each thing once.

        What tells of the part of the body is told of each series.
        """
        for row in self._metadata(series):
            fresh = {tag: one for tag, one in row.items() if self._is_fresh(series, tag, one)}
            if fresh:
                own = {_OF_PATIENT: row[_OF_PATIENT]} if _OF_PATIENT in row else {}
                yield _dataset(own | fresh)

    def whole_headers(self) -> Iterator[Dataset]:
        """Headers of all instances that match the address, without pixels."""
        for series in self.offer().series:
            yield from map(_dataset, self._metadata(series))

    def _metadata(self, series: Series) -> Iterator[Row]:
        """Headers of a series; some come again where an answer ended too soon."""
        path = f"/studies/{series.study}/series/{series.name}/metadata"
        for _ in range(TRIES):
            with contextlib.suppress(Cut):
                # Not all have this service: each instance's own header has to do then.
                with contextlib.suppress(NotThere):
                    yield from self.connection.rows(path, _JSON)
                return
        raise self.connection.down("headers that end too soon")

    def _is_fresh(self, series: Series, tag: str, element: Mapping[str, Any]) -> bool:
        part = tag in _OF_PART
        if not (part or element.get("vr") in _TOLD) or "Value" not in element:
            return False
        of = series.name if part else ""
        said = hash(f"{of} {tag}{json.dumps(element['Value'], sort_keys=True)}")
        known = said in self._seen
        self._seen.add(said)
        return not known

    def fetch(self, series: Series, wanted: list[str]) -> Iterator[tuple[str, bytes | None]]:
        """Bring instances: the series in one answer where most of it is wanted, else one by one."""
        left = dict.fromkeys(wanted)
        path = f"/studies/{series.study}/series/{series.name}"
        if 1 < len(wanted) > series.instances / 2:
            with contextlib.suppress(Cut, TooLarge, NotThere):
                for uid, content in self._parts(path):
                    if uid in left:
                        del left[uid]
                        yield uid, content
        for uid in list(left):
            try:
                for found, content in self._parts(f"{path}/instances/{uid}"):
                    if found == uid:
                        yield uid, content
            except TooLarge:
                yield uid, None
            except (Cut, NotThere):
                continue

    def _parts(self, path: str) -> Iterator[tuple[str, bytes]]:
        with self.connection.answer("GET", path, headers={"Accept": _DICOM}) as answer:
            kind = answer.headers.get("Content-Type", "")
            if kind.lower().startswith("application/dicom"):  # against the standard, but frequent
                content = self.connection.content(answer)
                yield _uid(content), content
                return
            pieces = self.connection.chunks(answer)
            for content in parts(pieces, boundary_of(kind), largest()):
                yield _uid(content), content

    def holds(self, study: str) -> dict[str, str]:
        """Pseudonym by UID of a study that is there; nothing where it is not."""
        asked = {"StudyInstanceUID": study, "includefield": "PatientID"}
        rows = self._rows("/studies", asked, "StudyInstanceUID")
        found = {_value(row, "StudyInstanceUID"): _value(row, "PatientID") for row in rows}
        return {uid: patient for uid, patient in found.items() if uid == study}

    def instances_of(self, study: str) -> set[str]:
        """SOP instance UIDs of a study."""
        return self._names(f"/studies/{study}/instances")

    def store(self, study: str, content: bytes) -> None:
        """Store one instance.

        Raises
        ------
        ArchiveDown, Refused, DataError
            Also if the archive says that it did not store it.
        """
        kind, body = packed(content)
        headers = {"Content-Type": kind, "Accept": _JSON}
        with self.connection.answer("POST", f"/studies/{study}", data=body, headers=headers) as got:
            said = self.connection.content(got)
        row = json.loads(said) if said.strip() else {}
        failed = _sequence(row, "FailedSOPSequence")
        if failed or len(_sequence(row, "ReferencedSOPSequence")) != 1:
            reason = _value(failed[0], "FailureReason") if failed else ""
            raise DataError(
                f"{self.address.host} did not store an instance",
                expected="it in ReferencedSOPSequence (PS3.18 10.5)",
                found=f"failure {int(reason):#06x} (PS3.4 I.2.2)" if reason else "no word of it",
            )


def _uid(content: bytes) -> str:
    """SOP instance UID of a DICOM file in memory; nothing where it cannot be read."""
    try:
        data = dcmread(
            io.BytesIO(content), stop_before_pixels=True, specific_tags=["SOPInstanceUID"]
        )
    except Exception:  # a damaged file may raise anything; it is then one that did not come
        return ""
    return str(data.get("SOPInstanceUID") or "")


def _dataset(row: Row) -> Dataset:
    return Dataset.from_json(json.dumps(row), lambda *_: b"")


def _tag(name: str) -> str:
    return f"{tag_for_keyword(name):08X}"


def _values(row: Row, name: str) -> list[str]:
    values = row.get(_tag(name), {}).get("Value") or []
    return [str(v.get("Alphabetic", "") if isinstance(v, dict) else v).strip() for v in values]


def _value(row: Row, name: str) -> str:
    return next(iter(_values(row, name)), "")


def _sequence(row: Row, name: str) -> list[Row]:
    return row.get(_tag(name), {}).get("Value") or []


def _matches(row: Row, name: str, asked: str) -> bool:
    """Whether a row has what was asked for: a server may leave out what it cannot match by."""
    values = _values(row, name)
    if name == "StudyDate" and "-" in asked:
        low, _, high = asked.partition("-")
        return any((low or "0") <= value <= (high or "9") for value in values)
    form = asked.upper().replace("[", "[[]")
    return any(fnmatchcase(value.upper(), form) for value in values)
