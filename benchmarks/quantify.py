"""One full-size CT from DICOM to the report, in a fresh process: seconds, processor time, memory.

    python benchmarks/quantify.py                        # 4 minutes; writes benchmarks/results
    python benchmarks/quantify.py --weights lungquant.pt # with trained networks as well
    python benchmarks/quantify.py --quick                # a small CT, to try the script itself

The CT is synthetic, 512 x 512 x 300 voxels, and is written as a DICOM series. What is measured ends
with masks, a picture, and the structured report as HTML, FHIR and DICOM SR. Beside it the plain way
in NumPy and SciPy, which holds whole volumes: the same thresholds, zoomed to 3 mm and back and
counted, without checks, picture, masks or report.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

SIZE, QUICK = (512, 512, 300), (96, 96, 64)
LIMIT_SECONDS, LIMIT_GB = {"thresholds": 5.0, "LungQuant": 15.0}, 1.0  # on two idle cores
TURNS = 3


def write_ct(size: tuple[int, int, int], folder: Path) -> None:
    """A chest with a third of its lungs ill, as a DICOM series."""
    from nextaim_kit.twins.chest_ct.acquisition import Scan, acquire
    from nextaim_kit.twins.chest_ct.anatomy import add_branches, draw_chest
    from nextaim_kit.twins.chest_ct.lesions import Disease, plant
    from nextaim_kit.twins.chest_ct.writing import save_volume

    body, place, noise = np.random.default_rng(1).spawn(3)
    chest = draw_chest(size, body)
    plant(chest, Disease(0.33, 0.2), place)
    add_branches(chest)
    hu = acquire(chest.hu, chest.grid, Scan(1.0, "smooth", 15.0), noise)
    save_volume(hu, folder.parent / "ct.nii.gz", grid=chest.grid, axes="LPS")
    write_series(sitk.DICOMOrient(sitk.ReadImage(str(folder.parent / "ct.nii.gz")), "LPS"), folder)


def write_series(image: sitk.Image, folder: Path) -> None:
    """Slices of an image in HU as a scanner writes them, rescale intercept -1024."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    folder.mkdir()
    dx, dy, dz = image.GetSpacing()
    for k, plane in enumerate(sitk.GetArrayViewFromImage(image)):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.8.498.1.{k + 1}"
        one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        one.Modality, one.PatientID = "CT", "ct"
        one.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.1"
        one.StudyInstanceUID = one.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.498.2"
        one.PatientName, one.StudyDate, one.StudyTime = "ct^", "20000101", "000000"
        one.PatientBirthDate = one.PatientSex = one.StudyID = one.AccessionNumber = ""
        one.ImagePositionPatient = [0, 0, round(k * dz, 4)]
        one.ImageOrientationPatient, one.PixelSpacing = [1, 0, 0, 0, 1, 0], [dy, dx]
        one.Rows, one.Columns, one.SamplesPerPixel = *plane.shape, 1
        one.PhotometricInterpretation, one.PixelRepresentation = "MONOCHROME2", 0
        one.BitsAllocated = one.BitsStored = 16
        one.HighBit, one.RescaleSlope, one.RescaleIntercept = 15, 1, -1024
        one.PixelData = (plane.astype(np.int32) + 1024).clip(0).astype(np.uint16).tobytes()
        one.save_as(folder / f"{k:04d}.dcm", enforce_file_format=True)


def kit(folder: Path, out: Path, weights: str) -> dict[str, Any]:
    """The kit: values, picture, masks, and the report in three forms."""
    import pandas as pd

    from nextaim_kit.studies.ct_lungquant.pictures import Keeper
    from nextaim_kit.studies.ct_lungquant.quantification import Software, quantify

    cohort = pd.DataFrame([("ct", "", str(folder))], columns=["subject", "site", "image"])
    values, failures = quantify(cohort, Software(weights), also=Keeper(out, masks=True))
    if len(failures):
        raise SystemExit(failures["problem"][0])
    row = values.iloc[0]
    write_report(dict(row), folder, out)
    return {name: float(row[name]) for name in ("right_ml", "left_ml", "involvement")}


def write_report(row: dict[str, Any], folder: Path, out: Path) -> None:
    """The structured report, which refers to the very series."""
    from nextaim_kit.files import write_text
    from nextaim_kit.report import fhir, page, sr
    from nextaim_kit.report.evidence import read_evidence
    from nextaim_kit.studies.ct_lungquant.findings.quantities import make_report

    report = make_report(row | {"picture": str(out / row["picture"])})
    ct = read_evidence(str(folder), report.subject)
    write_text(out / "patient.html", page.to_html(report))
    write_text(out / "report.fhir.json", fhir.to_json(report, ct))
    sr.save(sr.to_sr(report, ct), out / "report.sr.dcm")


def plain(folder: Path, out: Path, weights: str) -> dict[str, Any]:
    """The same thresholds on whole volumes: zoomed to 3 mm and back, then counted; no picture."""
    from scipy import ndimage

    from nextaim_kit.studies.ct_lungquant import threshold
    from nextaim_kit.studies.ct_lungquant.morphology import ball

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    hu = sitk.GetArrayFromImage(image).astype(np.float32)
    own = np.array(image.GetSpacing()[::-1])
    small = ndimage.zoom(hu, own / 3.0, order=1)
    spacing = tuple((own * hu.shape / small.shape).tolist())
    lungs, _ = threshold.find_lungs(small, spacing)
    ill = (ndimage.gaussian_filter(small, 0.7) > threshold.ILL_HU) & (lungs > 0)
    ill = ndimage.binary_opening(ill, ball(4.5, spacing))
    back = np.array(hu.shape) / small.shape
    right, left, sick = (
        ndimage.zoom(mask.astype(np.float32), back, order=1)[: hu.shape[0]] >= 0.5
        for mask in (lungs == 1, lungs == 2, ill)
    )
    ml = float(np.prod(own)) / 1000
    share = 100 * np.count_nonzero(sick & (right | left)) / np.count_nonzero(right | left)
    return {"right_ml": ml * float(right.sum()), "left_ml": ml * float(left.sum()),
            "involvement": float(share)}  # fmt: skip


WAYS = {"thresholds": kit, "LungQuant": kit, "plain NumPy and SciPy": plain}


def child(way: str, folder: Path, out: Path, weights: str) -> None:
    """In a process of its own: seconds of the work, with the kit's own imports, and its peak.

    Processor time is that of the whole process, of all its threads and with Python's start.
    """
    start = time.perf_counter()
    values = WAYS[way](folder, out, weights)
    seconds, cpu = time.perf_counter() - start, time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    said = {"seconds": seconds, "cpu_seconds": cpu, "peak_gb": peak}
    print(json.dumps({name: round(n, 2) for name, n in said.items()} | {"values": values}))


def measured(way: str, folder: Path, out: Path, weights: str) -> dict[str, Any]:
    """Start a child and take its last line."""
    command = [sys.executable, __file__, "--child", way, "--series", str(folder), "--out", str(out)]
    done = subprocess.run(
        [*command, "--weights", weights], capture_output=True, text=True, check=False,
        env=os.environ | {"NEXTAIM_CACHE": tempfile.mkdtemp(dir=out.parent)},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr or done.stdout)
    return {"way": way, **json.loads(done.stdout.strip().splitlines()[-1])}


def middle(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """A way's turns as one row: the medians of seconds and processor time, the highest peak."""
    times = ("seconds", "cpu_seconds")
    medians = {name: statistics.median(turn[name] for turn in turns) for name in times}
    seconds = sorted(turn["seconds"] for turn in turns)
    peak = max(turn["peak_gb"] for turn in turns)
    return turns[0] | medians | {"turns": seconds, "peak_gb": peak}


def within(row: dict[str, Any]) -> bool:
    """Whether one of the kit's ways kept the time and the memory that it is allowed."""
    return row["seconds"] <= LIMIT_SECONDS[row["way"]] and row["peak_gb"] <= LIMIT_GB


def main() -> None:
    """Make the CT, measure each way in turn, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--weights", default="")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--child", choices=["make", *WAYS], help=argparse.SUPPRESS)
    parser.add_argument("--series", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    size = QUICK if given.quick else SIZE
    if given.child == "make":
        write_ct(size, given.series)
        return
    if given.child:
        child(given.child, given.series, given.out, given.weights)
        return
    from nextaim_kit.files import write_text
    from nextaim_kit.machine.limits import cpu_count

    ways = [way for way in WAYS if way != "LungQuant" or given.weights]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "series"
        # In a process of its own: a later one would inherit the peak of this one's memory.
        make = [sys.executable, __file__, "--child", "make", "--series", str(folder)]
        subprocess.run(make + ["--quick"] * given.quick, check=True)
        turns: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
        for way in ways * (1 if given.quick else TURNS):
            own = given.weights if way == "LungQuant" else ""
            turns[way].append(measured(way, folder, Path(temporary) / "out", own))
            print(turns[way][-1])
    rows = [middle(own) for own in turns.values()]
    own, beside = rows[0], rows[-1]
    result = {
        "size": size, "cores": cpu_count(), "load": round(os.getloadavg()[0], 1), "ways": rows,
        **{f"{name}_over_plain": round(own[whole] / beside[whole], 2) for name, whole in
           (("seconds", "seconds"), ("cpu", "cpu_seconds"), ("peak", "peak_gb"))},
        "limits": {"seconds": LIMIT_SECONDS, "peak_gb": LIMIT_GB},
        "within_limits": {row["way"]: within(row) for row in rows[:-1]},
    }  # fmt: skip
    write_text(given.out / "quantify.json", json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
