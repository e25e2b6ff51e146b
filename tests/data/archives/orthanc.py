"""A real Orthanc with its DICOMweb plugin, in a network of its own: nobody but the test reaches it.

Orthanc listens on all addresses. It is started where there are none, and one socket of this
machine's loopback, made before, leads to it. TLS ends at that door, as behind most hospitals'
proxies: Debian's Orthanc 1.10.1 falls over its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "reader", "s3cret-of-the-ward"
_PORT = 8042  # within the network of its own
_SET_FLAGS, _UP = 0x8914, 1  # SIOCSIFFLAGS, IFF_UP


@dataclass(frozen=True)
class Orthanc:
    """One that runs."""

    port: int
    certificate: Path

    @property
    def address(self) -> str:
        return f"dicomweb+https://localhost:{self.port}/dicom-web"


def there() -> bool:
    """Whether it is installed, and networks of one's own can be made."""
    found = PLUGIN.exists() and shutil.which("Orthanc") and shutil.which("unshare")
    return bool(found) and subprocess.run([*_apart(), "true"]).returncode == 0


def _apart() -> list[str]:
    return ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Orthanc]:
    """Start one on an empty database; it ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate = make_certificate(folder)
    config = {
        "Name": "test", "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"), "Plugins": [str(PLUGIN)], "HttpPort": _PORT,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD}, "DicomServerEnabled": False,
        "OverwriteInstances": False,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(config))
    with socket.create_server(("127.0.0.1", 0)) as door:
        command = [*_apart(), sys.executable, __file__, str(door.fileno()), str(folder)]
        process = subprocess.Popen(command, pass_fds=[door.fileno()], start_new_session=True)
        port = door.getsockname()[1]
    try:
        _wait(port, certificate)
        yield Orthanc(port, certificate)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)


def make_certificate(folder: Path) -> Path:
    """A certificate for localhost that is signed by itself; both.pem has its key too."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(command, check=True, capture_output=True)
    both = (folder / "key.pem").read_text() + (folder / "certificate.pem").read_text()
    (folder / "both.pem").write_text(both)
    return folder / "certificate.pem"


def _wait(port: int, certificate: Path) -> None:
    address = f"https://localhost:{port}/dicom-web/studies"
    for _ in range(300):
        with contextlib.suppress(requests.RequestException):
            if requests.get(address, auth=(USER, PASSWORD), verify=str(certificate)).ok:
                return
        time.sleep(0.1)
    raise TimeoutError("Orthanc does not answer")


async def main(door: int, folder: Path) -> None:
    """Within the network of its own: Orthanc, and the door to it, which speaks TLS."""
    with socket.socket() as any_socket:  # up: there is a loopback, and nothing else
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh", b"lo", _UP))
    with (folder / "orthanc.log").open("w") as log:
        subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    open_door = socket.socket(fileno=door)
    server = await asyncio.start_server(_relay, sock=open_door, ssl=context)
    await server.serve_forever()


async def _relay(near: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        far, ask = await asyncio.open_connection("127.0.0.1", _PORT)
        await asyncio.gather(_pass_on(near, ask), _pass_on(far, answer))
    answer.close()


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 18):
            sink.write(data)
            await sink.drain()
    sink.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
