from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from nextaim_kit.data.addresses import read_address
from nextaim_kit.data.archives.connection import Refused
from nextaim_kit.data.archives.pull import pull, reach
from nextaim_kit.data.archives.push import plan, send
from nextaim_kit.data.archives.xnat import Xnat as Client
from nextaim_kit.errors import DataError, RequestError
from tests.data.archives.stand_in import instance
from tests.data.archives.stand_in_xnat import Xnat, serving

pytestmark = pytest.mark.filterwarnings("ignore:The value length", "ignore:The pixel data is")


@pytest.fixture
def xnat() -> Iterator[Xnat]:
    """Two patients with a scan of three slices each, one with a volume beside it."""
    scans = {
        (f"XNAT_E{patient}", "2 a"): {f"{n}.dcm": instance(patient, n) for n in range(3)}
        for patient in range(2)
    }
    scans["XNAT_E0", "2 a"]["whole.nii.gz"] = b"voxels"
    with serving(Xnat(scans=scans)) as server:
        yield server


def client(xnat: Xnat) -> Client:
    found = reach(read_address(xnat.address))
    assert isinstance(found, Client)
    return found


def test_a_project_tells_what_would_come_and_how_many_bytes(xnat: Xnat) -> None:
    offer = client(xnat).offer()
    size = sum(len(c) for files in xnat.scans.values() for n, c in files.items() if "dcm" in n)
    assert (offer.studies, offer.instances, offer.bytes, offer.left) == (2, 6, size, 1)


def test_a_project_is_pulled_without_identity(xnat: Xnat, tmp_path: Path) -> None:
    done = pull(client(xnat), xnat.address, tmp_path / "out", tmp_path / "key")
    files = sorted((tmp_path / "out").rglob("*.dcm"))
    assert (done.fresh, done.missing, len(files)) == (6, 0, 6)
    assert {str(dcmread(path).PatientID)[0] for path in files} == {"P"}
    assert not any(b"Zanfregan" in path.read_bytes() for path in files)
    assert pull(client(xnat), xnat.address, tmp_path / "out", tmp_path / "key").fresh == 0


def test_a_file_whose_digest_is_another_is_asked_for_again(xnat: Xnat, tmp_path: Path) -> None:
    archive = client(xnat)
    xnat.damaged = 1 + len(xnat.scans)  # headers of two scans, and the first file
    assert pull(archive, "x", tmp_path / "out", tmp_path / "key").missing == 0
    xnat.damaged = 4  # the first file, each time
    assert pull(archive, "x", tmp_path / "other", tmp_path / "key").missing == 1


def test_an_unknown_project_and_a_wrong_password_are_told(
    xnat: Xnat, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RequestError, match="no project OTHER"):
        reach(read_address(xnat.address.replace("COVID", "OTHER"))).offer()
    monkeypatch.setenv("NEXTAIM_ARCHIVE_PASSWORD", "wr0ng")
    with pytest.raises(Refused, match="unknown, wrong or expired"):
        client(xnat).offer()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "table.csv").write_text("subject,volume\nPABCDEFGHIJ,1.5\n")
    mask = instance(
        0, 0, PatientID="PABCDEFGHIJ", PatientName="", PatientBirthDate="", PatientAge="060Y"
    )
    (folder / "mask.dcm").write_bytes(mask)
    return folder


def test_results_are_resources_and_never_go_over_others(xnat: Xnat, results: Path) -> None:
    xnat.subjects = {"PABCDEFGHIJ"}
    archive = client(xnat)
    assert {one.state for one in plan(results, archive)} == {"send"}
    assert send(plan(results, archive), archive, "results") == []
    held = {key: sorted(files) for key, files in xnat.resources.items()}
    assert held == {
        ("", "results"): ["files__table.csv"],
        ("PABCDEFGHIJ", "results"): ["mask.dcm"],
    }
    assert {one.state for one in plan(results, archive)} == {"there"}
    (results / "files" / "table.csv").write_text("subject,volume\nPABCDEFGHIJ,2.5\n")
    (state,) = {one.state for one in plan(results, archive)} - {"there"}
    assert state == "another file has its name there"
    assert send(plan(results, archive), archive, "results") == []
    assert b"1.5" in xnat.resources["", "results"]["files__table.csv"]


def test_results_of_a_subject_that_is_not_there_are_not_sent(xnat: Xnat, results: Path) -> None:
    archive = client(xnat)
    states = {one.name: one.state for one in plan(results, archive)}
    assert states["files/table.csv"] == "send"
    assert "would be nobody's" in states["mask.dcm"]


def test_the_stand_in_wants_parents_first_and_keeps_what_is_there(xnat: Xnat) -> None:
    archive = client(xnat)
    with pytest.raises(DataError, match="no such thing"):
        archive._put("/data/projects/COVID/resources/new/files/a?inbody=true", b"a")
    archive.put("", "new", "a", b"a")
    with pytest.raises(DataError, match="HTTP 409"):
        archive.put("", "new", "a", b"b")
    assert xnat.resources["", "new"] == {"a": b"a"}
