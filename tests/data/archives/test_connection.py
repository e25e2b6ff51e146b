import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import pytest

from nextaim_kit.data.addresses import read_address
from nextaim_kit.data.archives.connection import ArchiveDown, Connection
from nextaim_kit.data.archives.credentials import credentials, trusted
from nextaim_kit.data.archives.multipart import Cut
from nextaim_kit.errors import RequestError
from tests.data.archives import stand_in
from tests.data.archives.http_here import Handler, serving_by
from tests.data.archives.orthanc import make_certificate
from tests.data.archives.stand_in import StandIn

ADDRESS = read_address("dicomweb+https://example.org/web")


def test_an_unknown_certificate_is_refused_with_how_to_trust_it(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")

    class Own(Handler, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization"))
            self.say(204)

    asked: list[str | None] = []
    with serving_by(Own, context) as port:
        address = read_address(f"dicomweb+https://localhost:{port}/dicom-web")
        with pytest.raises(RequestError, match="cannot be trusted") as error:
            Connection(address).json("/studies")
        assert f"openssl s_client -showcerts -connect localhost:{port}" in str(error.value)
        assert asked == []
        assert Connection(address, certificate).json("/studies") == []


def test_a_file_of_no_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("nothing")
    with pytest.raises(RequestError, match=r"a\.pem is no file of certificates"):
        trusted(tmp_path / "a.pem")
    with pytest.raises(RequestError, match=r"b\.pem is no file of certificates"):
        trusted(tmp_path / "b.pem")


def test_half_a_credential_or_one_with_a_new_line_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NEXTAIM_ARCHIVE_PASSWORD", "s3c\nret")
    with pytest.raises(RequestError, match="control character") as error:
        credentials(ADDRESS)
    assert "s3c" not in str(error.value)
    monkeypatch.delenv("NEXTAIM_ARCHIVE_PASSWORD")
    with pytest.raises(RequestError, match="NEXTAIM_ARCHIVE_PASSWORD is not"):
        credentials(ADDRESS)


def test_the_keyring_is_asked_for_the_host_where_the_environment_says_nothing(
    monkeypatch: pytest.MonkeyPatch, ward: StandIn
) -> None:
    monkeypatch.delenv("NEXTAIM_ARCHIVE_USER")
    monkeypatch.delenv("NEXTAIM_ARCHIVE_PASSWORD")
    own = SimpleNamespace(username=stand_in.USER, password=stand_in.PASSWORD)
    held = {f"nextaim 127.0.0.1:{ward.port}": own}
    ring = SimpleNamespace(get_credential=lambda service, _: held.get(service))
    monkeypatch.setitem(sys.modules, "keyring", ring)
    monkeypatch.setitem(sys.modules, "keyring.errors", SimpleNamespace(KeyringError=OSError))
    assert len(Connection(read_address(ward.address)).json("/studies")) == 3
    held.clear()
    with pytest.raises(RequestError, match="does not let this user in"):
        Connection(read_address(ward.address)).json("/studies")


def test_nobody_there_is_told_without_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    with stand_in.serving(StandIn()) as gone:
        address = read_address(gone.address + "?PatientID=QV-1")
    with pytest.raises(ArchiveDown, match="after 4 tries") as error:
        Connection(address).json("/studies", {"PatientID": "QV-1"})
    assert "QV-1" not in str(error.value)


def test_a_run_that_is_given_an_address_with_a_password_repeats_it_nowhere(tmp_path: Path) -> None:
    spec = "dicomweb+https://ada:s3cret@example.org/web"
    command = [sys.executable, "-m", "nextaim_kit.cli", "data", "pull", spec, "--yes"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "NEXTAIM_ARCHIVE_USER" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_members_of_a_list_come_whole_however_it_is_cut_into_chunks(
    ward: StandIn, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [{"a": "è]},{"}, {"b": [1, {"c": None}]}, {}]
    raw = json.dumps(wanted, indent=1, ensure_ascii=False).encode()
    connection = Connection(read_address(ward.address))

    def rows(content: bytes) -> Iterator[dict]:
        chunks = [content[at : at + size] for at in range(0, len(content), size)]
        monkeypatch.setattr(connection, "chunks", lambda _: iter(chunks))
        return connection.rows("/studies", "application/json")

    assert list(rows(raw)) == wanted
    with pytest.raises(Cut, match="before its last member"):
        list(rows(raw[:-3]))


def test_headers_that_never_come_whole_end_a_pull_before_anything_is_written(
    ward: StandIn, pulled, tmp_path: Path
) -> None:
    ward.cut_headers = True
    with pytest.raises(ArchiveDown, match="headers that end too soon"):
        pulled(ward)
    assert list(tmp_path.rglob("*.dcm")) == []
