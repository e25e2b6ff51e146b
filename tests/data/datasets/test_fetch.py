"""Fetching from a server on this machine that cuts, lies and forgets as asked."""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
import socket
import threading
import zipfile
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from nextaim_kit.data.datasets import download, unpack
from nextaim_kit.data.datasets.fetch import fetch, verify, where
from nextaim_kit.data.datasets.manifest import load_manifest
from nextaim_kit.errors import DataError, RequestError

TOY = {
    "name": "toy",
    "title": "A toy",
    "version": "1",
    "access": "open",
    "terms": "none",
    "licence": "CC0-1.0",
    "citation": "nobody",
    "deidentified": True,
    "studies": ["ct_radiomics"],
}
CONTENT = bytes(range(256)) * 8192  # 2 MiB, more than one chunk
PAGE = b"<!DOCTYPE html><html><head><title>Please sign in</title></head></html>"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Range")))
        self.server.authorization = self.headers.get("Authorization")
        plan = self.server.plan
        body = plan.files.get(unquote(self.path))
        if plan.busy:
            plan.busy -= 1
            return self.answer(503, b"later")
        if body is None:
            return self.answer(404, b"no")
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, plan.tag)
        if asked and plan.ranges and same:
            start = int(asked[1])
            if start >= len(body):
                return self.answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
            extra = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            return self.answer(206, body[start:], extra)
        return self.answer(200, body)

    def answer(self, code, body, extra=None):
        plan = self.server.plan
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", plan.kind)
        if plan.tag:
            self.send_header("ETag", plan.tag)
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if plan.cuts and code in (200, 206):
            plan.cuts -= 1
            body = body[: plan.cut_at]
        self.wfile.write(body)
        self.close_connection = True


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "WAIT_SECONDS", 0.0)
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.seen = []
    http.plan = SimpleNamespace(
        files={"/data/a.bin": CONTENT},
        kind="application/octet-stream",
        tag='"one"',
        ranges=True,
        busy=0,
        cuts=0,
        cut_at=1_500_000,
    )
    http.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield http
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def toy(tmp_path, monkeypatch, server):
    """The data set `toy` of one file on the server; call it to change its manifest."""
    monkeypatch.setenv("NEXTAIM_MANIFESTS", str(tmp_path))
    file = {
        "path": "a.bin",
        "url": f"{server.url}/data/a.bin",
        "bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }

    def make(file_changes=None, **changes):
        whole = TOY | {"files": [file | (file_changes or {})]} | changes
        (tmp_path / "toy.yaml").write_text(yaml.safe_dump(whole))

    make()
    make.file = file
    return make


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_file_is_fetched_and_verified(toy, server):
    report = fetch("toy")
    assert [s.state for s in report.states] == ["ok"]
    assert (where("toy") / "a.bin").read_bytes() == CONTENT
    assert names(where("toy")) == ["a.bin"]


def test_a_whole_file_is_not_asked_for_again(toy, server):
    fetch("toy")
    fetch("toy")
    assert len(server.seen) == 1


def test_progress_counts_the_bytes(toy):
    heard = []
    fetch("toy", progress=lambda *news: heard.append(news))
    assert heard[-1] == ("a.bin", len(CONTENT), len(CONTENT))


def test_a_cut_transfer_goes_on_where_it_was_cut(toy, server):
    server.plan.cuts = 1
    fetch("toy")
    (_, first), (_, second) = server.seen
    assert first is None
    assert 1_500_000 - 65_536 <= int(second.removeprefix("bytes=").removesuffix("-")) <= 1_500_000
    assert verify("toy")[0].state == "ok"


def test_what_came_before_a_failed_run_is_used_by_the_next(toy, server):
    server.plan.cuts, server.plan.cut_at = download.TRIES, 100_000
    with pytest.raises(DataError, match="did not come whole"):
        fetch("toy")
    assert "a.bin" not in names(where("toy"))
    fetch("toy")
    assert server.seen[-1][1] == f"bytes={4 * 65_536}-"
    assert names(where("toy")) == ["a.bin"]


def test_a_server_without_ranges_is_asked_for_all_again(toy, server):
    server.plan.cuts, server.plan.ranges = 1, False
    fetch("toy")
    assert verify("toy")[0].state == "ok"


def test_a_part_of_another_version_is_thrown_away(toy, server):
    server.plan.cuts, server.plan.cut_at = download.TRIES, 100_000
    server.plan.files["/data/a.bin"] = b"\xff" * len(CONTENT)
    with pytest.raises(DataError):
        fetch("toy")
    server.plan.files["/data/a.bin"], server.plan.tag = CONTENT, '"two"'
    assert fetch("toy").states[0].state == "ok"


def test_a_stale_part_that_no_tag_betrays_is_fetched_afresh(toy, server):
    server.plan.tag = ""
    server.plan.cuts, server.plan.cut_at = download.TRIES, 100_000
    server.plan.files["/data/a.bin"] = b"\xff" * len(CONTENT)
    with pytest.raises(DataError):
        fetch("toy")
    server.plan.files["/data/a.bin"] = CONTENT
    assert fetch("toy").states[0].state == "ok"
    assert server.seen[-1][1] is None


def test_a_part_that_is_already_whole_only_needs_its_name(toy, server):
    server.plan.cuts, server.plan.cut_at = download.TRIES, 100_000
    with pytest.raises(DataError):
        fetch("toy")
    part = where("toy") / "a.bin.part"
    part.write_bytes(CONTENT)
    fetch("toy")
    assert verify("toy")[0].state == "ok"


def test_a_busy_server_is_asked_again(toy, server):
    server.plan.busy = 2
    assert fetch("toy").states[0].state == "ok"


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
@pytest.mark.parametrize("known", [True, False])
def test_a_web_page_instead_of_the_file_is_recognized(toy, server, kind, known):
    toy({} if known else {"bytes": None, "sha256": None})
    server.plan.files["/data/a.bin"], server.plan.kind = PAGE, kind
    with pytest.raises(DataError, match=r"web page.*(\n.*)*Please sign in"):
        fetch("toy")
    assert names(where("toy")) == []


def test_a_wrong_hash_leaves_nothing_under_the_name(toy, server):
    server.plan.files["/data/a.bin"] = CONTENT[:-1] + b"!"
    with pytest.raises(DataError, match="not the file of the manifest"):
        fetch("toy")
    assert names(where("toy")) == []


def test_a_wrong_size_is_refused_where_no_hash_is_known(toy, server):
    toy({"sha256": None})
    server.plan.files["/data/a.bin"] = CONTENT[:-1]
    with pytest.raises(DataError, match="2,097,151 bytes"):
        fetch("toy")
    assert names(where("toy")) == []


def test_a_wrong_file_that_was_there_stays_until_a_right_one_has_come(toy, server):
    where("toy").mkdir(parents=True)
    (where("toy") / "a.bin").write_text("mine")
    server.plan.files = {}
    with pytest.raises(DataError):
        fetch("toy")
    assert (where("toy") / "a.bin").read_text() == "mine"


def test_a_file_without_checksum_is_fetched_and_said_unverified(toy):
    toy({"bytes": None, "sha256": None})
    report = fetch("toy")
    assert [state.state for state in report.states] == ["present, not verifiable"]
    assert "could not be verified" in report.states[0].detail


def test_a_missing_page_is_named_at_once(toy, server):
    server.plan.files = {}
    with pytest.raises(DataError, match="HTTP 404"):
        fetch("toy")
    assert len(server.seen) == 1


def test_one_lost_file_does_not_lose_the_others(toy, server):
    toy(files=[toy.file | {"path": "b.bin", "url": f"{server.url}/b"}, toy.file])
    with pytest.raises(DataError, match="1 of 2 files of toy"):
        fetch("toy")
    assert [s.state for s in verify("toy")] == ["missing", "ok"]


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_without_network_the_mirror_and_the_folder_are_named(toy):
    toy({"url": f"http://127.0.0.1:{closed_port()}/a.bin"})
    with pytest.raises(DataError, match=r"NEXTAIM_MIRROR") as caught:
        fetch("toy")
    assert str(where("toy")) in str(caught.value)
    assert "Connection refused" in str(caught.value)


def test_offline_nothing_is_asked(toy, server, monkeypatch):
    monkeypatch.setenv("NEXTAIM_OFFLINE", "1")
    with pytest.raises(DataError, match="NEXTAIM_OFFLINE"):
        fetch("toy")
    assert server.seen == []


@pytest.mark.parametrize("as_url", [False, True])
def test_a_folder_mirror_needs_no_network(toy, tmp_path, monkeypatch, as_url):
    toy({"url": f"http://127.0.0.1:{closed_port()}/a.bin"})
    mirror = tmp_path / "mirror of mine"
    (mirror / "toy").mkdir(parents=True)
    (mirror / "toy" / "a.bin").write_bytes(CONTENT)
    monkeypatch.setenv("NEXTAIM_MIRROR", mirror.as_uri() if as_url else str(mirror))
    assert fetch("toy").states[0].state == "ok"


def test_a_mirror_at_an_address_is_asked_first(toy, server, monkeypatch):
    server.plan.files = {"/mirror/toy/a b.bin": CONTENT}
    toy({"path": "a b.bin"})
    monkeypatch.setenv("NEXTAIM_MIRROR", f"{server.url}/mirror/")
    assert fetch("toy").states[0].state == "ok"


def test_user_and_password_of_a_mirror_are_sent_and_neither_told_nor_noted(
    toy, server, monkeypatch, tmp_path
):
    monkeypatch.setattr(download, "TRIES", 1)
    monkeypatch.setenv("NEXTAIM_MIRROR", server.url.replace("//", "//ada:s%2F3cret@"))
    server.plan.files["/toy/a.bin"], server.plan.cuts = CONTENT, 1
    with pytest.raises(DataError, match="did not come whole") as said:
        fetch("toy")
    (note,) = where("toy").glob("*.part.json")
    assert "s/3cret" not in (shown := f"{said.value}{note.read_text()}".replace("%2F", "/"))
    assert server.url in shown
    assert server.authorization == "Basic " + b64encode(b"ada:s/3cret").decode()


@pytest.mark.parametrize("address", ["https://ada:s3/cret@host", "ftp://ada:s3cret@host"])
def test_an_address_that_cannot_be_read_is_refused_without_its_password(toy, monkeypatch, address):
    monkeypatch.setenv("NEXTAIM_MIRROR", address)
    with pytest.raises(RequestError, match=r"https?://") as said:
        fetch("toy")
    assert "s3" not in str(said.value)
    assert said.value.__cause__ is None


def test_what_a_mirror_lacks_comes_from_the_source(toy, server, monkeypatch):
    monkeypatch.setenv("NEXTAIM_MIRROR", f"{server.url}/mirror")
    fetch("toy")
    assert [path for path, _ in server.seen] == ["/mirror/toy/a.bin", "/data/a.bin"]


def test_a_file_without_checksum_comes_from_its_source_and_from_the_mirror_where_that_fails(
    toy, server, monkeypatch
):
    toy({"bytes": None, "sha256": None})
    monkeypatch.setenv("NEXTAIM_MIRROR", f"{server.url}/mirror")
    server.plan.files["/mirror/toy/a.bin"] = b"another one"
    fetch("toy")
    assert [path for path, _ in server.seen] == ["/data/a.bin"]
    assert (where("toy") / "a.bin").read_bytes() == CONTENT
    (where("toy") / "a.bin").unlink()
    del server.plan.files["/data/a.bin"]
    assert fetch("toy").states[0].state == "present, not verifiable"
    assert (where("toy") / "a.bin").read_bytes() == b"another one"


def test_a_mirror_that_is_not_there_is_named(toy, monkeypatch):
    monkeypatch.setenv("NEXTAIM_MIRROR", "/no/such/folder")
    with pytest.raises(RequestError, match="/no/such/folder"):
        fetch("toy")


def test_data_under_registration_come_with_steps_then_are_verified(toy, server):
    toy(access="registration", how_to_get=["Sign the form.", "Download."])
    with pytest.raises(RequestError, match=r"1\. Sign the form\.\n +2\. Download") as caught:
        fetch("toy")
    assert str(where("toy")) in str(caught.value)
    assert verify("toy")[0].state == "missing"
    where("toy").mkdir(parents=True)
    (where("toy") / "a.bin").write_bytes(CONTENT)
    assert [s.state for s in fetch("toy").states] == ["ok"]
    assert server.seen == []


def test_verify_tells_a_wrong_size_from_a_wrong_hash(toy):
    where("toy").mkdir(parents=True)
    (where("toy") / "a.bin").write_bytes(b"short")
    assert verify("toy")[0].state == "wrong size"
    (where("toy") / "a.bin").write_bytes(b"\0" * len(CONTENT))
    state = verify("toy")[0]
    assert (state.state, state.bad) == ("wrong hash", True)


def test_a_full_disk_is_said(toy, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download.os, "replace", full)
    with pytest.raises(DataError, match="No space left"):
        fetch("toy")


def zipped(path, **files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path.read_bytes()


def test_an_archive_is_unpacked_beside_itself_once(toy, server, tmp_path):
    body = zipped(tmp_path / "z.zip", **{"s/a.txt": "A", "b.txt": "B"})
    server.plan.files["/set.zip"] = body
    digest = hashlib.sha256(body).hexdigest()
    file = {"path": "set.zip", "url": f"{server.url}/set.zip", "sha256": digest, "unpack": True}
    toy(files=[file])
    fetch("toy")
    assert names(where("toy")) == ["set.zip", "set/b.txt", "set/s/a.txt"]
    fetch("toy")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "entry", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "c:evil", "a\\b"]
)
def test_an_archive_that_leaves_its_folder_is_refused(tmp_path, entry):
    inside = tmp_path / "in"
    inside.mkdir()
    zipped(inside / "z.zip", **{"good.txt": "g", entry: "evil"})
    with pytest.raises(DataError, match="the entry"):
        unpack.unpack(inside / "z.zip")
    assert names(tmp_path) == ["in/z.zip"]


def test_an_archive_with_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="the entry 'link'"):
        unpack.unpack(tmp_path / "z.zip")


def test_a_damaged_archive_is_refused_whole(tmp_path):
    body = zipped(tmp_path / "z.zip", **{"a.txt": "A" * 1000, "b.txt": "B" * 1000})
    (tmp_path / "z.zip").write_bytes(body.replace(b"B" * 1000, b"C" * 1000))
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack.unpack(tmp_path / "z.zip")
    assert names(tmp_path) == ["z.zip"]


def test_the_archives_own_folder_is_not_repeated(tmp_path):
    zipped(tmp_path / "z.zip", **{"z/a.txt": "A"})
    unpack.unpack(tmp_path / "z.zip")
    assert names(tmp_path) == ["z.zip", "z/a.txt"]


@pytest.mark.parametrize("name", ["ibsi_digital_phantom", "ibsi_ct_phantom", "ibsi_sts"])
def test_real_phantoms_come_whole_from_a_folder_mirror(name, real, tmp_path, monkeypatch):
    with (real / "PROVENANCE.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    known = {f"{r['source_repo']}/{r['source_commit']}/{r['source_path']}": r for r in rows}
    series = real / "ct_radiomics" / "ibsi_ct_phantom" / "dicom_series_and_rtstruct.zip"
    for file in load_manifest(name).files:
        target = tmp_path / "mirror" / name / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        row = known.get(unquote(urlsplit(file.url).path).lstrip("/"))
        if row:
            shutil.copyfile(real / row["file"], target)
        else:
            with zipfile.ZipFile(series) as archive:
                target.write_bytes(archive.read(file.path.removeprefix("dicom/")))
    monkeypatch.setenv("NEXTAIM_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("NEXTAIM_OFFLINE", "1")
    assert {s.state for s in fetch(name).states} == {"ok"}
    assert {s.state for s in verify(name)} == {"ok"}


def test_a_mirror_that_is_down_does_not_keep_the_source_from_being_asked(toy, monkeypatch):
    monkeypatch.setenv("NEXTAIM_MIRROR", "http://127.0.0.1:9/mirror")
    toy()
    assert [state.state for state in fetch("toy").states] == ["ok"]
