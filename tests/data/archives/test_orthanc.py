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
import pandas as pd
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from nextaim_kit.data.addresses import PULLED, read_address
from nextaim_kit.data.archives.connection import Refused
from nextaim_kit.data.archives.dicomweb import DicomWeb
from nextaim_kit.data.archives.pull import reach
from nextaim_kit.data.privacy.audit import audit
from nextaim_kit.errors import RequestError
from nextaim_kit.report import sr
from nextaim_kit.report.evidence import read_evidence
from nextaim_kit.studies.ct_lungquant.findings.quantities import load_values, make_reports
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
    for name in ("cache", "data"):
        patch.setenv(f"NEXTAIM_{name.upper()}", str(root / name))
    twin = make_twin(12, size=SIZE, slice_mm=5.0, kernel="smooth", workers=1)
    images = [Path(path) for path in twin["image"]]
    with orthanc.running(root / "a") as source, orthanc.running(root / "b") as research:
        out = read_address(source.address).folder()
        found = SimpleNamespace(root=root, out=out, source=source, research=research)
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
    command += ["--key", str(ward.root / "key"), "--yes", "--trust", str(ward.source.certificate)]
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


def test_all_that_was_pulled_is_measured_and_its_seg_and_sr_come_back_as_they_were(
    ward: SimpleNamespace, tmp_path: Path
) -> None:
    """As a user does it: the notebook with the archive's address as its cohort, then two pushes."""
    kit(ward, "run", "ct_lungquant/quantification", "--out", str(tmp_path / "runs"),
        "-p", f"cohort={ward.source.address}", "-p", "save_masks=true")  # fmt: skip
    (record,) = (tmp_path / "runs").rglob("run.json")
    measured = load_values(str(record.parent / "files" / "values.csv"))
    sent = write_results(measured, record.parent / "files", ward.out, tmp_path / "results")
    push = ["data", "push", "--yes", "--trust", str(ward.research.certificate)]
    kit(ward, *push, "--new-studies", str(ward.out), ward.research.address)
    kit(ward, *push, str(tmp_path / "results"), ward.research.address)
    held = {data.SOPInstanceUID: data for data in again(client(ward.research))}
    back = {uid: data for uid, data in held.items() if data.Modality != "CT"}
    assert len(measured) == len({data.PatientID for data in back.values()}) == STUDIES
    assert measured["right_ml"].add(measured["left_ml"]).between(500, 9000).all()
    assert len(held) == len(ward.sent) + 2 * STUDIES
    assert back == sent


def write_results(
    measured: pd.DataFrame, files: Path, images: Path, out: Path
) -> dict[str, Dataset]:
    """SEG of both lungs and SR of each patient of a run, by their UIDs."""
    reports, failed = make_reports(measured)
    assert failed.empty
    out.mkdir()
    written = []
    for name, report in reports.items():
        evidence = read_evidence(str(images / name), name)
        sr.save(sr.to_sr(report, evidence), out / f"{name}.sr.dcm")
        slices = [dcmread(path) for path in (images / name).rglob("*.dcm")]
        mask = sitk.ReadImage(str(files / "masks" / f"{name}_lungs.nii.gz"))
        write_seg(slices, sitk.GetArrayFromImage(mask), out / f"{name}.seg.dcm")
        written += [dcmread(out / f"{name}.{kind}.dcm") for kind in ("sr", "seg")]
    return {data.SOPInstanceUID: data for data in written}


def kit(ward: SimpleNamespace, *command: str) -> None:
    """Give a command as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", "nextaim_kit.cli", *command], capture_output=True, text=True,
        env=os.environ | {"NEXTAIM_DATA": str(ward.root / "data")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def again(archive: DicomWeb) -> Iterator[Dataset]:
    """All instances that an archive gives."""
    for series in archive.offer().series:
        for _, content in archive.fetch(series, archive.items(series)):
            yield dcmread(io.BytesIO(content or b""))


def write_seg(slices: list[Dataset], lungs: NDArray, path: Path) -> None:
    """The mask of the lungs, right 1 and left 2, as a binary SEG of the series."""
    from highdicom.seg import Segmentation, SegmentDescription
    from highdicom.uid import UID
    from pydicom.sr.codedict import codes

    slices.sort(key=lambda one: one.ImagePositionPatient[2])
    kinds = [
        SegmentDescription(
            n, side, codes.SCT.AnatomicalStructure, codes.SCT.Lung, "MANUAL"
        )
        for n, side in ((1, "right"), (2, "left"))
    ]  # fmt: skip
    seg = Segmentation(
        slices, lungs.astype(np.uint8), "BINARY", kinds, UID(), 900, UID(), 1, "nextaim_kit",
        "test", "1", "none",
    )  # fmt: skip
    assert seg.pixel_array.any()
    seg.save_as(path)
