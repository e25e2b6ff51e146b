"""From a real archive to a report and back: pulled, killed, measured, pushed, read again."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from nextaim_kit.data.addresses import PULLED, read_address
from nextaim_kit.data.archives.connection import Refused
from nextaim_kit.data.archives.dicomweb import DicomWeb
from nextaim_kit.data.archives.pull import reach
from nextaim_kit.data.archives.push import plan, send
from nextaim_kit.data.cohort.loading import load_cohort
from nextaim_kit.data.privacy.audit import audit
from nextaim_kit.errors import RequestError
from nextaim_kit.report import sr
from nextaim_kit.report.evidence import read_evidence
from nextaim_kit.studies.ct_lungquant.findings.quantities import make_report
from nextaim_kit.studies.ct_lungquant.quantification import Software, quantify
from nextaim_kit.studies.ct_lungquant.twin import make_twin
from tests.conftest import absent
from tests.data.archives import orthanc
from tests.data.archives.chests import IDENTITIES, studies

pytestmark = pytest.mark.rest
STUDIES, SIZE = 20, (64, 48, 24)


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A hospital's Orthanc with 20 studies and an empty research one; all pulled, thrice killed."""
    if not orthanc.there():
        absent("Orthanc with its DICOMweb plugin (Debian packages orthanc, orthanc-dicomweb)")
    root = tmp_path_factory.mktemp("orthanc")
    patch = pytest.MonkeyPatch()
    patch.setenv("NEXTAIM_ARCHIVE_USER", orthanc.USER)
    patch.setenv("NEXTAIM_ARCHIVE_PASSWORD", orthanc.PASSWORD)
    patch.setenv("NEXTAIM_CACHE", str(root / "cache"))
    twin = make_twin(12, size=SIZE, slice_mm=5.0, kernel="smooth", workers=1)
    images = [Path(path) for path in twin["image"]]
    with orthanc.running(root / "a") as source, orthanc.running(root / "b") as research:
        found = SimpleNamespace(root=root, out=root / "out", source=source, research=research)
        found.sent = [one for study in studies(images, STUDIES) for one in study]
        archive = client(source)
        for content in found.sent:
            archive.store(str(header(content).StudyInstanceUID), content)
        found.seen = [pull(found, kill_after=count) for count in (40, 150, 300)] + [pull(found)]
        yield found
    patch.undo()


def client(server: orthanc.Orthanc) -> DicomWeb:
    found = reach(read_address(server.address), server.certificate)
    assert isinstance(found, DicomWeb)
    return found


def header(content: bytes) -> Dataset:
    return dcmread(io.BytesIO(content), stop_before_pixels=True)


def pull(ward: SimpleNamespace, kill_after: int = 0) -> int:
    """Pull as a user does; killed once so many files are there. Gives how many there are."""
    command = [sys.executable, "-m", "nextaim_kit.cli", "data", "pull", ward.source.address]
    command += [str(ward.out), "--key", str(ward.root / "key"), "--yes"]
    command += ["--trust", str(ward.source.certificate)]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE)
    while kill_after and process.poll() is None:
        if len(files(ward.out)) >= kill_after:
            os.killpg(process.pid, signal.SIGKILL)
            break
        time.sleep(0.01)
    said = process.communicate()[0].decode()
    assert process.returncode == (-signal.SIGKILL if kill_after else 0), said
    return len(files(ward.out))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("P*/*/*/[!.]*.dcm"))


def test_what_was_killed_three_times_is_there_once_and_whole(ward: SimpleNamespace) -> None:
    assert 40 <= ward.seen[0] < ward.seen[1] < ward.seen[2] < ward.seen[3] == len(ward.sent)
    pulled = [dcmread(path) for path in files(ward.out)]
    assert len({data.SOPInstanceUID for data in pulled}) == len(ward.sent) == STUDIES * SIZE[2]
    assert len({data.PatientID for data in pulled}) == STUDIES
    same = {data.PixelData for data in pulled} & {
        dcmread(io.BytesIO(one)).PixelData for one in ward.sent
    }
    record = json.loads((ward.out / PULLED).read_text())
    changed = sum(data.PixelData not in same for data in pulled)
    assert changed == record["writing_covered"] < len(pulled) / 20
    assert record["instances"] == len(pulled)


def test_nothing_that_was_pulled_tells_of_a_person(ward: SimpleNamespace) -> None:
    assert audit(ward.out, IDENTITIES) == []
    said = {
        str(dcmread(path, stop_before_pixels=True).SeriesDescription) for path in files(ward.out)
    }
    assert said == {"torace, dott. [name]"}


def test_a_wrong_password_and_an_unknown_certificate_are_refused(
    ward: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RequestError, match="cannot be trusted"):
        reach(read_address(ward.source.address)).offer()
    monkeypatch.setenv("NEXTAIM_ARCHIVE_PASSWORD", "wr0ng")
    with pytest.raises(Refused, match="unknown, wrong or expired"):
        client(ward.source).offer()


def test_a_filter_is_asked_of_the_archive(ward: SimpleNamespace) -> None:
    query = "?PatientID=QV-007700*&Modality=CT&StudyDescription=Torace senza mdc"
    offer = reach(read_address(ward.source.address + query), ward.source.certificate).offer()
    assert (offer.studies, offer.instances, offer.others) == (10, 10 * SIZE[2], 0)


def test_seg_and_sr_of_what_was_measured_come_back_from_the_research_archive(
    ward: SimpleNamespace, tmp_path: Path
) -> None:
    cohort = load_cohort(str(ward.out), columns=("image",))
    values, failures = quantify(cohort.iloc[:1], Software())
    assert len(cohort) == STUDIES
    assert failures.empty
    row = values.iloc[0]
    assert 500 < row["right_ml"] + row["left_ml"] < 9000
    folder, results = Path(cohort["image"][0].partition("#")[0]), tmp_path / "results"
    results.mkdir()
    evidence = read_evidence(str(folder), row["subject"])
    sr.save(sr.to_sr(make_report(dict(row)), evidence), results / "report.sr.dcm")
    mask = write_seg([dcmread(path) for path in files(ward.out) if path.parent == folder], results)
    archive = client(ward.research)
    assert {one.state for one in plan(results, archive)}.isdisjoint({"send", "there"})
    images = plan(folder, archive, begin=True)
    assert send(images, archive, "images") == []
    assert send(plan(results, archive), archive, "results") == []
    back = {data.Modality: data for data in again(archive) if data.Modality != "CT"}
    assert np.array_equal(back["SEG"].pixel_array, mask.pixel_array)
    assert back["SR"].ContentSequence == dcmread(results / "report.sr.dcm").ContentSequence
    assert {data.PatientID for data in back.values()} == {evidence[0].PatientID}
    assert {one.state for one in plan(results, archive)} == {"there"}


def again(archive: DicomWeb) -> Iterator[Dataset]:
    """All instances that an archive gives."""
    for series in archive.offer().series:
        for _, content in archive.fetch(series, archive.items(series)):
            yield dcmread(io.BytesIO(content or b""))


def write_seg(slices: list[Dataset], folder: Path) -> Dataset:
    """Where there is air, as a binary SEG of the series."""
    from highdicom.seg import Segmentation, SegmentDescription
    from highdicom.uid import UID
    from pydicom.sr.codedict import codes

    slices.sort(key=lambda one: one.ImagePositionPatient[2])
    air = np.stack([one.pixel_array < 500 for one in slices]).astype(np.uint8)
    kind = SegmentDescription(
        1, "air", codes.SCT.AnatomicalStructure, codes.SCT.Lung, "MANUAL"
    )  # fmt: skip
    seg = Segmentation(
        slices, air, "BINARY", [kind], UID(), 900, UID(), 1, "nextaim_kit", "test", "1", "none"
    )
    seg.save_as(folder / "mask.dcm")
    return dcmread(folder / "mask.dcm")
