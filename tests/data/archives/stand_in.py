"""A DICOMweb archive of the tests' own, which does what it is told to do wrong."""

from __future__ import annotations

import contextlib
import io
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword

from tests.data.archives.http_here import PASSWORD, TOKEN, USER, Handler, serving_by
from tests.data.privacy.planted import base

__all__ = ["PASSWORD", "TOKEN", "USER"]
_LEVELS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_QUERY = (*_LEVELS, "PatientID", "PatientName", "StudyDescription", "Modality", "StudyDate")


def instance(patient: int, number: int, series: int = 0, **tags: Any) -> bytes:
    """A small CT slice of a made-up patient, as a file."""
    data = base(f"1.2.3.{patient + 1}.{series + 1}.{number + 1}")
    data.StudyInstanceUID = f"1.2.9.{patient + 1}"
    data.SeriesInstanceUID = f"1.2.8.{patient + 1}.{series + 1}"
    data.PatientID = f"QV-4400{patient}"
    data.PatientName = f"Zanfregan{'aeiouy'[patient % 6]}^Oldrada"
    data.StudyDescription, data.InstanceNumber = "Torace", number + 1
    for name, value in tags.items():
        setattr(data, name, value)
    return as_file(data)


def as_file(data: Dataset) -> bytes:
    held = io.BytesIO()
    data.preamble = b"\0" * 128
    data.save_as(held, enforce_file_format=True)
    return held.getvalue()


@dataclass
class StandIn:
    """What it holds and how it behaves.

    Attributes
    ----------
    files : list of bytes
    page : int
        Rows that it gives at once at most.
    repeats : bool
        Names everything twice.
    deaf : set of str
        Attributes that it does not match by.
    without : set of str
        Services that it does not have: metadata, or series (as a whole).
    cut : int
        Answers with images that end in their middle.
    cut_headers : bool
        Whether answers with headers do.
    closed_after : int, optional
        Images after which it is down, or the token is no longer good.
    closing : {'down', 'expired'}
    busy : int
        Requests that it is too busy for.
    each : callable, optional
        Called with the number of images given, as a hospital goes on working.
    """

    files: list[bytes] = field(default_factory=list)
    page: int = 10**6
    repeats: bool = False
    deaf: set[str] = field(default_factory=set)
    without: set[str] = field(default_factory=set)
    cut: int = 0
    cut_headers: bool = False
    closed_after: int | None = None
    closing: str = "down"
    busy: int = 0
    each: Callable[[int], None] | None = None
    given: int = 0
    asked: list[str] = field(default_factory=list)
    port: int = 0
    elsewhere: str = ""

    @property
    def address(self) -> str:
        return f"dicomweb+http://127.0.0.1:{self.port}/dicom-web"

    def rows(self, level: str, wanted: dict[str, str]) -> list[dict[str, Any]]:
        """Headers that match, as JSON, one for each study, series or instance."""
        found: dict[str, list[dict[str, Any]]] = {}
        for content in self.files:
            row = _header(content)
            if all(_said(row, k) == v for k, v in wanted.items() if k not in self.deaf):
                found.setdefault(_said(row, level), []).append(row)
        rows = [
            of[0] | {_tag("NumberOfSeriesRelatedInstances"): {"vr": "IS", "Value": [len(of)]}}
            for of in found.values()
        ]
        return rows * (1 + self.repeats)


@contextlib.contextmanager
def serving(archive: StandIn) -> Iterator[StandIn]:
    """The archive on a port of this machine's loopback."""

    class Own(Handler, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self._let_in():
                parts = urlsplit(self.path)
                asked = {k: v[0] for k, v in parse_qs(parts.query).items()}
                self._get(parts.path.removeprefix("/dicom-web/").split("/"), asked)

        def do_POST(self) -> None:
            body = self.body()
            if self._let_in():
                _, _, rest = body.partition(b"\r\n\r\n")
                content = rest[: rest.rindex(b"\r\n--")]
                archive.files.append(content)
                self.say(200, json.dumps({"00081199": {"vr": "SQ", "Value": [{}]}}).encode())

        def _let_in(self) -> bool:
            archive.asked.append(self.path)
            closed = archive.closed_after is not None and archive.given >= archive.closed_after
            if closed and archive.closing == "down":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return False
            if archive.busy:
                archive.busy -= 1
                self.say(503, b"")
                return False
            if archive.elsewhere:
                self.say(302, b"", Location=archive.elsewhere)
                return False
            if not self.is_known() or closed:
                self.say(401, b"no entry for Zanfregan")
                return False
            return True

        def _get(self, path: list[str], asked: dict[str, str]) -> None:
            own = dict(zip(_LEVELS, path[1::2], strict=False))
            if path[-1] in ("studies", "series", "instances"):
                level = _LEVELS[("studies", "series", "instances").index(path[-1])]
                self._list(level, own | {k: v for k, v in asked.items() if k in _QUERY}, asked)
            elif path[-1] == "metadata":
                self._metadata(own)
            else:
                self._images(own, whole="instances" not in path)

        def _list(self, level: str, wanted: dict[str, str], asked: dict[str, str]) -> None:
            start, most = int(asked.get("offset", 0)), int(asked.get("limit", 10**6))
            start = 0 if "offset" in archive.deaf else start
            rows = archive.rows(level, wanted)[start : start + min(most, archive.page)]
            kept = (*_QUERY, "NumberOfSeriesRelatedInstances")
            tags = set(map(_tag, kept))
            told = [{k: v for k, v in row.items() if k in tags} for row in rows]
            self.say(200, json.dumps(told).encode(), "application/dicom+json")

        def _metadata(self, own: dict[str, str]) -> None:
            if "metadata" in archive.without:
                self.say(404, b"")
                return
            told = json.dumps(archive.rows("SOPInstanceUID", own)).encode()
            told = told[: len(told) // 2] if archive.cut_headers else told
            self.say(200, told, "application/dicom+json")

        def _images(self, own: dict[str, str], whole: bool) -> None:
            found = [c for c in archive.files if _is(c, own)]
            if not found or (whole and "series" in archive.without):
                self.say(404, b"")
                return
            self.send_response(200)
            self.send_header(
                "Content-Type", 'multipart/related; type="application/dicom"; boundary=xx'
            )
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            for content in found:
                if archive.cut or archive.given == archive.closed_after:
                    archive.cut = max(0, archive.cut - 1)
                    self.wfile.write(b"--xx\r\n\r\n" + content[: len(content) // 2])
                    return
                self.wfile.write(
                    b"--xx\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n"
                )
                archive.given += 1
                if archive.each:
                    archive.each(archive.given)
            self.wfile.write(b"--xx--\r\n")

    with serving_by(Own) as archive.port:
        yield archive


def _is(content: bytes, own: dict[str, str]) -> bool:
    return all(_said(_header(content), name) == value for name, value in own.items())


def _said(row: dict[str, Any], name: str) -> str:
    values = row.get(_tag(name), {}).get("Value") or [""]
    return str(values[0]["Alphabetic"] if isinstance(values[0], dict) else values[0])


@lru_cache
def _tag(name: str) -> str:
    return f"{tag_for_keyword(name):08X}"


@lru_cache(maxsize=1000)
def _header(content: bytes) -> dict[str, Any]:
    data = dcmread(io.BytesIO(content), stop_before_pixels=True)
    return data.to_json_dict()
