"""A DICOMweb archive of the tests' own, which does what it is told to do wrong."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom import Dataset, dcmread

from tests.data.privacy.planted import base

USER, PASSWORD, TOKEN = "reader", "s3cret-of-the-ward", "token-of-the-ward"
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

    def rows(self, level: str, wanted: dict[str, str]) -> list[Dataset]:
        """Headers that match, one for each study, series or instance."""
        found: dict[str, Dataset] = {}
        counts: dict[str, int] = {}
        for content in self.files:
            data = dcmread(io.BytesIO(content), stop_before_pixels=True)
            if all(str(data.get(k)) == v for k, v in wanted.items() if k not in self.deaf):
                key = str(data[level].value)
                counts[key] = counts.get(key, 0) + 1
                found.setdefault(key, data)
        for key, data in found.items():
            if level == "SeriesInstanceUID":
                data.NumberOfSeriesRelatedInstances = counts[key]
        return list(found.values()) * (1 + self.repeats)


@contextlib.contextmanager
def serving(archive: StandIn) -> Iterator[StandIn]:
    """The archive on a port of this machine's loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", -1, True

        def log_message(self, *_: object) -> None:
            """Nothing, on the screen."""

        def do_GET(self) -> None:
            if self._let_in():
                parts = urlsplit(self.path)
                asked = {k: v[0] for k, v in parse_qs(parts.query).items()}
                self._get(parts.path.removeprefix("/dicom-web/").split("/"), asked)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self._let_in():
                _, _, rest = body.partition(b"\r\n\r\n")
                content = rest[: rest.rindex(b"\r\n--")]
                archive.files.append(content)
                self._say(200, json.dumps({"00081199": {"vr": "SQ", "Value": [{}]}}).encode())

        def _let_in(self) -> bool:
            archive.asked.append(self.path)
            own = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            said = self.headers.get("Authorization", "")
            closed = archive.closed_after is not None and archive.given >= archive.closed_after
            if closed and archive.closing == "down":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return False
            if archive.busy:
                archive.busy -= 1
                self._say(503, b"")
                return False
            if archive.elsewhere:
                self._say(302, b"", Location=archive.elsewhere)
                return False
            if said not in (f"Basic {own}", f"Bearer {TOKEN}") or closed:
                self._say(401, b"no entry for Zanfregan")
                return False
            return True

        def _say(self, code: int, body: bytes, kind: str = "application/json", **more: str) -> None:
            self.send_response(code)
            for name, value in {"Content-Type": kind, "Content-Length": len(body), **more}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

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
            told = [{k: v for k, v in _json(row).items() if k in map(_tag, kept)} for row in rows]
            self._say(200, json.dumps(told).encode(), "application/dicom+json")

        def _metadata(self, own: dict[str, str]) -> None:
            if "metadata" in archive.without:
                self._say(404, b"")
                return
            rows = [_json(row) for row in archive.rows("SOPInstanceUID", own)]
            told = json.dumps(rows).encode()
            told = told[: len(told) // 2] if archive.cut_headers else told
            self._say(200, told, "application/dicom+json")

        def _images(self, own: dict[str, str], whole: bool) -> None:
            found = [c for c in archive.files if _is(c, own)]
            if not found or (whole and "series" in archive.without):
                self._say(404, b"")
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

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    archive.port = http.server_port
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield archive
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def _is(content: bytes, own: dict[str, str]) -> bool:
    data = dcmread(io.BytesIO(content), stop_before_pixels=True)
    return all(str(data.get(k)) == v for k, v in own.items())


def _tag(name: str) -> str:
    data = Dataset()
    setattr(data, name, None)
    return f"{next(iter(data.keys())):08X}"


def _json(data: Dataset) -> dict[str, Any]:
    data.pop("PixelData", None)
    return data.to_json_dict()
