"""A stand-in for XNAT's REST: it lets nobody in unasked, wants parents first, and keeps all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

from tests.data.archives.http_here import Handler, serving_by

_SCAN = re.compile(r"/data/experiments/([^/]+)/scans/([^/]+)/files$")
_SCANS = re.compile(r"/data/experiments/([^/]+)/scans$")
_PLACE = r"/data/projects/(?P<project>[^/]+)(?:/subjects/(?P<subject>[^/]+))?"
_RESOURCE = re.compile(_PLACE + r"/resources/(?P<name>[^/]+)$")
_RESOURCES = re.compile(_PLACE + r"/resources$")
_FILES = re.compile(_PLACE + r"/resources/(?P<name>[^/]+)/files(?:/(?P<file>[^/]+))?$")


@dataclass
class Xnat:
    """What it holds.

    Attributes
    ----------
    scans : dict
        By experiment and scan: files by name.
    subjects : set of str
    resources : dict
        By subject (nothing for the project) and name: files by name.
    damaged : int
        Files that it gives with another byte.
    """

    project: str = "COVID"
    scans: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    subjects: set[str] = field(default_factory=set)
    resources: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    damaged: int = 0
    port: int = 0

    @property
    def address(self) -> str:
        return f"xnat+http://127.0.0.1:{self.port}/{self.project}"


@contextlib.contextmanager
def serving(xnat: Xnat) -> Iterator[Xnat]:
    """The stand-in on a port of this machine's loopback."""

    class Own(Handler, BaseHTTPRequestHandler):
        def _let_in(self) -> bool:
            if not self.is_known():
                self.say(401)
            return self.is_known()

        def _table(self, rows: list[dict]) -> None:
            table = {"ResultSet": {"Result": rows, "totalRecords": str(len(rows))}}
            self.say(200, json.dumps(table).encode())

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if not self._let_in():
                return
            if path == f"/data/projects/{xnat.project}/experiments":
                self._table([{"ID": e} for e in sorted({e for e, _ in xnat.scans})])
            elif path == f"/data/projects/{xnat.project}/subjects":
                self._table([{"ID": f"S_{s}", "label": s} for s in sorted(xnat.subjects)])
            elif found := _SCANS.match(path):
                self._table([{"ID": s} for e, s in sorted(xnat.scans) if e == found[1]])
            elif found := _SCAN.match(path):
                files = xnat.scans[found[1], found[2]]
                self._table(_rows(files, path, "DICOM"))
            elif (found := _RESOURCES.match(path)) and self._parents(found):
                own = [n for s, n in xnat.resources if s == (found["subject"] or "")]
                self._table([{"label": name} for name in own])
            elif (found := _FILES.match(path)) and self._parents(found):
                held = xnat.resources.get((found["subject"] or "", found["name"]))
                self.say(404) if held is None else self._table(_rows(held, path, found["name"]))
            else:
                self._file(path)

        def _parents(self, found: re.Match[str]) -> bool:
            subject = found["subject"]
            return found["project"] == xnat.project and (not subject or subject in xnat.subjects)

        def _file(self, path: str) -> None:
            found = _SCAN.match(path.rpartition("/")[0])
            content = found and xnat.scans.get((found[1], found[2]), {}).get(
                path.rpartition("/")[2]
            )
            if content and xnat.damaged:
                xnat.damaged -= 1
                content = content[:-1] + bytes([content[-1] ^ 1])
            self.say(200, content) if content else self.say(404)

        def do_PUT(self) -> None:
            body = self.body()
            parts = urlsplit(self.path)
            path = unquote(parts.path)
            if not self._let_in():
                return
            made, filled = _RESOURCE.match(path), _FILES.match(path)
            found = made or filled
            if not found or not self._parents(found):
                self.say(404)
                return
            key = (found["subject"] or "", found["name"])
            if made:
                self.say(409 if key in xnat.resources else 201)
                xnat.resources.setdefault(key, {})
            elif key not in xnat.resources or parse_qs(parts.query).get("inbody") != ["true"]:
                self.say(404)
            elif filled["file"] in xnat.resources[key]:
                self.say(409)
            else:
                xnat.resources[key][filled["file"]] = body
                self.say(201)

    with serving_by(Own) as xnat.port:
        yield xnat


def _rows(files: dict[str, bytes], path: str, collection: str) -> list[dict]:
    return [
        {
            "Name": name,
            "Size": str(len(content)),
            "digest": hashlib.md5(content).hexdigest(),
            "URI": f"{path}/{name}",
            "collection": collection if name.endswith(".dcm") else "NIFTI",
        }
        for name, content in sorted(files.items())
    ]
