from pathlib import Path

import pytest
from pydicom import dcmread

from nextaim_kit.data.addresses import read_address
from nextaim_kit.data.archives.dicomweb import DicomWeb
from nextaim_kit.data.archives.pull import reach
from nextaim_kit.data.archives.push import plan, send
from nextaim_kit.data.archives.relink import headers_of, originals_of, relink
from nextaim_kit.data.privacy.secret import Key, load_key
from nextaim_kit.errors import RequestError
from tests.data.archives.stand_in import StandIn, as_file, instance, serving

pytestmark = pytest.mark.filterwarnings("ignore:The value length", "ignore:The pixel data is")


@pytest.fixture
def research():
    with serving(StandIn()) as archive:
        yield archive


@pytest.fixture
def images(ward: StandIn, pulled, tmp_path: Path) -> Path:
    """Pulled images of three patients, without identity."""
    pulled(ward)
    return tmp_path / "out"


@pytest.fixture
def results(images: Path, tmp_path: Path) -> Path:
    """A made-up mask of the first patient, and a table beside it."""
    data = dcmread(sorted(images.rglob("*.dcm"))[0])
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.9"
    data.SeriesInstanceUID, data.SeriesDescription = "1.2.826.0.1.8", "Lungs"
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "mask.dcm").write_bytes(as_file(data))
    (folder / "table.csv").write_text(f"subject,volume\n{data.PatientID},1.5\n")
    return folder


def client(archive: StandIn) -> DicomWeb:
    found = reach(read_address(archive.address))
    assert isinstance(found, DicomWeb)
    return found


def test_results_go_only_where_their_pseudonymous_study_is(
    ward: StandIn, research: StandIn, images: Path, results: Path
) -> None:
    for archive in (ward, research):
        states = {one.name: one.state for one in plan(results, client(archive))}
        assert "would be nobody's" in states["mask.dcm"]
        assert states["table.csv"] == "no DICOM"
    begun = plan(images, client(research), begin=True)
    assert send(begun, client(research), "images") == []
    assert len(research.files) == 12
    assert send(plan(results, client(research)), client(research), "results") == []
    assert len(research.files) == 13


def test_nothing_is_sent_twice(research: StandIn, images: Path) -> None:
    archive = client(research)
    assert send(plan(images, archive, begin=True), archive, "images") == []
    again = plan(images, archive, begin=True)
    assert {one.state for one in again if one.patient} == {"there"}
    assert send(again, archive, "images") == []
    assert len(research.files) == 12


def test_a_study_of_the_same_uid_and_another_patient_is_no_home(
    research: StandIn, results: Path
) -> None:
    data = dcmread(results / "mask.dcm")
    own = instance(0, 0, StudyInstanceUID=data.StudyInstanceUID, PatientID="PZZZZZZZZZZ")
    research.files = [own]
    (state,) = {one.state for one in plan(results, client(research)) if one.patient}
    assert "would be nobody's" in state


def test_images_with_identity_are_refused_before_anything_is_asked(
    research: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(instance(0, 0))
    with pytest.raises(RequestError, match="tells of people") as error:
        plan(tmp_path / "in", client(research), begin=True)
    assert "Zanfregan" not in str(error.value)
    assert research.asked == []


def test_results_are_linked_again_by_who_has_key_and_originals(
    ward: StandIn, results: Path, tmp_path: Path
) -> None:
    key, _ = load_key(tmp_path / "key", tmp_path / "x")
    (tmp_path / "originals").mkdir()
    for number, content in enumerate(ward.files):
        (tmp_path / "originals" / f"{number}.dcm").write_bytes(content)
    pseudonym = dcmread(results / "mask.dcm").PatientID
    numbers = {key.pseudonym(f"QV-4400{n}"): (f"QV-4400{n}", f"1.2.9.{n + 1}") for n in range(3)}
    for headers in (headers_of(tmp_path / "originals"), client(ward).whole_headers()):
        out = tmp_path / f"again{len(list(tmp_path.iterdir()))}"
        written, left = relink(results, originals_of(headers, key), out)
        data = dcmread(out / "mask.dcm")
        assert (written, left) == (2, [])
        assert (data.PatientID, data.StudyInstanceUID) == numbers[pseudonym]
        assert str(data.PatientName).startswith("Zanfregan")
        assert data.StudyDate == "20190312"
        assert (data.SOPInstanceUID, data.SeriesInstanceUID) == ("1.2.826.0.1.9", "1.2.826.0.1.8")
        assert "PatientIdentityRemoved" not in data
        assert numbers[pseudonym][0] in (out / "table.csv").read_text()
        assert (out / "mask.dcm").stat().st_mode & 0o077 == 0


def test_another_key_links_nothing(ward: StandIn, results: Path, tmp_path: Path) -> None:
    originals = originals_of(client(ward).whole_headers(), Key(b"another key of the same ward"))
    with pytest.raises(RequestError, match="nothing in results is of these patients"):
        relink(results, originals, tmp_path / "again")
    assert not (tmp_path / "again").exists()
