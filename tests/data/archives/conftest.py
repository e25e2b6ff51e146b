from collections.abc import Iterator
from pathlib import Path

import pytest

from nextaim_kit.data.addresses import read_address
from nextaim_kit.data.archives import connection
from nextaim_kit.data.archives.pull import Pulled, pull, reach
from tests.data.archives import stand_in
from tests.data.archives.stand_in import StandIn, instance, serving


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks, by the environment; nothing of the user's own."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(connection, "WAIT_SECONDS", 0.0)
    monkeypatch.setenv("NEXTAIM_ARCHIVE_USER", stand_in.USER)
    monkeypatch.setenv("NEXTAIM_ARCHIVE_PASSWORD", stand_in.PASSWORD)
    for name in ("TOKEN", "TRUST"):
        monkeypatch.delenv(f"NEXTAIM_ARCHIVE_{name}", raising=False)


@pytest.fixture
def ward() -> Iterator[StandIn]:
    """An archive of three patients with four slices each."""
    archive = StandIn([instance(patient, number) for patient in range(3) for number in range(4)])
    with serving(archive):
        yield archive


@pytest.fixture
def pulled(tmp_path: Path):
    """Pulls from a stand-in into out, with the key beside it."""

    def do(archive: StandIn, query: str = "", out: str = "out", key: str = "key") -> Pulled:
        address = read_address(archive.address + query)
        return pull(reach(address), address.shown, tmp_path / out, tmp_path / key)

    return do
