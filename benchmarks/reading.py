"""Reading a CT: packed NIfTI and a DICOM series, beside SimpleITK (ITK's NIfTI, and GDCM).

    python benchmarks/reading.py         # three minutes; writes benchmarks/results

A made-up chest of 512 x 512 x 300 voxels, with noise, in int16. For each way, in turns, a process
of its own reads once for the imports (a small one), then the volume: CPU seconds of the reading
and the memory that it took at its highest. ``dicom_known`` is the series once more whose files
were looked through before, as a cohort's scan does. What both read has to be equal. One core of a
machine that does other things as well gives the same ratios, not the same seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from nextaim_kit.files import write_text
from nextaim_kit.machine.limits import cpu_count

FASTEST = {
    "nifti": 0.85,
    "dicom": 1.25,
    "dicom_known": 1.0,
}  # of SimpleITK's CPU seconds; else this fails
READ = """
import sys, time
def peak():
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) / 1000
if sys.argv[1] == "kit":
    from pathlib import Path
    from nextaim_kit.data.images.headers import scan
    from nextaim_kit.data.images.reading import read_image as read
    def look_through(path):
        scan(Path(path))
else:
    import SimpleITK as sitk
    names = {}
    def look_through(path):
        names[path] = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(path)
    def read(path):
        if path.endswith(".gz"):
            return sitk.ReadImage(path)
        series = sitk.ImageSeriesReader()
        series.SetFileNames(names.get(path) or series.GetGDCMSeriesFileNames(path))
        return series.Execute()
read(sys.argv[3])
if sys.argv[4:]:
    look_through(sys.argv[2])
before, began = peak(), time.process_time()
image = read(sys.argv[2])
spent, memory = time.process_time() - began, peak() - before
import hashlib, SimpleITK
voxels = SimpleITK.GetArrayViewFromImage(image)
print(spent, memory, hashlib.sha256(voxels.tobytes()).hexdigest(), image.GetSpacing())
"""


def chest(slices: int, edge: int) -> np.ndarray:
    """A body with two lungs and noise, in HU."""
    y, x = (np.mgrid[:edge, :edge] / edge - 0.5) * 512
    values = np.where(np.hypot(y, x / 1.3) < 170, 40.0, -1000.0)
    for side in (-70, 70):
        values[np.hypot(y / 1.2, (x - side) / 0.7) < 70] = -850
    noise = np.random.default_rng(0)
    made = [values + noise.normal(0, 15, values.shape) for _ in range(slices)]
    return np.rint(np.stack(made)).clip(-1024, 3071).astype(np.int16)


def write_nifti(values: np.ndarray, path: Path) -> None:
    """Write a packed NIfTI as SimpleITK does."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.7, 0.7, 1.0))
    sitk.WriteImage(image, str(path), True)


def write_series(values: np.ndarray, folder: Path) -> None:
    """Write a series of plain DICOM files of 16 bits."""
    folder.mkdir()
    series, study = generate_uid(), generate_uid()
    for k, plane in enumerate(values):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = (
            CTImageStorage,
            ExplicitVRLittleEndian,
        )
        meta.MediaStorageSOPInstanceUID = generate_uid()
        data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        said = {
            "SOPClassUID": CTImageStorage, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
            "StudyInstanceUID": study, "SeriesInstanceUID": series, "FrameOfReferenceUID": study,
            "Modality": "CT", "PatientID": "made up", "ImageType": ["ORIGINAL", "PRIMARY"],
            "InstanceNumber": k + 1, "AcquisitionNumber": 1, "KVP": 120, "SliceThickness": 1,
            "ImagePositionPatient": [-180, -180, k], "PixelSpacing": [0.7, 0.7],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "Rows": plane.shape[0],
            "Columns": plane.shape[1], "SamplesPerPixel": 1, "BitsAllocated": 16,
            "PhotometricInterpretation": "MONOCHROME2", "BitsStored": 12, "HighBit": 11,
            "PixelRepresentation": 0, "RescaleSlope": 1, "RescaleIntercept": -1024,
            "RescaleType": "HU",
        }  # fmt: skip
        for name, value in said.items():
            setattr(data, name, value)
        data.PixelData = (plane.astype(np.int32) + 1024).astype("<u2").tobytes()
        pydicom.dcmwrite(folder / f"{k:04d}.dcm", data, enforce_file_format=True)


def read(way: str, path: Path, small: Path, known: bool) -> tuple[float, float, str]:
    """CPU seconds, MB, and what tells the result, of a process that reads."""
    command = [sys.executable, "-W", "ignore", "-c", READ, way, str(path), str(small)]
    command += ["known"] * known
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds, memory, found = said.split(maxsplit=2)
    return float(seconds), float(memory), found


def compared(path: Path, small: Path, turns: int, known: bool) -> dict[str, float]:
    """Medians of both ways, and of the ratio of each turn."""
    took: dict[str, list[tuple[float, float]]] = {"kit": [], "simpleitk": []}
    for _ in range(turns):
        told = set()
        for way, done in took.items():
            seconds, memory, found = read(way, path, small, known)
            done.append((seconds, memory))
            told.add(found)
        if len(told) > 1:
            raise SystemExit(f"{path.name} is read in two ways: {told}")
    pairs = zip(took["kit"], took["simpleitk"], strict=True)
    result = {"of_simpleitk": round(statistics.median(k[0] / s[0] for k, s in pairs), 2)}
    for way, done in took.items():
        result[f"{way}_cpu_s"] = round(statistics.median(one[0] for one in done), 2)
        result[f"{way}_peak_mb"] = round(statistics.median(one[1] for one in done))
    return result


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--edge", type=int, default=512)
    options = parser.parse_args()
    result = {"hardware": f"{cpu_count()} cores", "turns": options.turns}
    result["size"] = [options.edge, options.edge, options.slices]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, values in (
            ("small", chest(3, 32)),
            ("large", chest(options.slices, options.edge)),
        ):
            write_nifti(values, folder / f"{name}.nii.gz")
            write_series(values, folder / name)
        for kind, ending in (("nifti", ".nii.gz"), ("dicom", ""), ("dicom_known", "")):
            large, small = (folder / f"{name}{ending}" for name in ("large", "small"))
            result[kind] = compared(large, small, options.turns, kind.endswith("known"))
    print(json.dumps(result, indent=1))
    write_text(options.out / "reading.json", json.dumps(result, indent=1) + "\n")
    slow = [kind for kind, most in FASTEST.items() if result[kind]["of_simpleitk"] > most]
    if slow:
        raise SystemExit(f"slower than said: {', '.join(slow)}")


if __name__ == "__main__":
    main()
