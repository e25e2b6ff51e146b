"""Every reader on damaged files: each is read, or refused with an error of the kit's own.

    python benchmarks/fuzz.py             # a thousand files a reader; writes results/fuzz.json
    python benchmarks/fuzz.py --cases 40  # fewer, as the tests do
    python benchmarks/fuzz.py --only nifti --case 17  # one again, with its traceback

A small sound file of each kind is changed in one to four places: bytes anywhere or in its head set
to chance or to extremes, parts cut off, doubled or removed, and elements of DICOM emptied, removed
or filled with nonsense. Headers of volumes whose voxels lie in another file lead elsewhere, packed
volumes grow behind their header, and once in thirty times a pipe stands in the file's place. The
number of a case says all of it. Cases are read in forks within bounded memory and time, so that a
crash, a flood or an endless loop is found and counted, not suffered.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import random
import resource
import signal
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import highdicom
import nibabel
import numpy as np
import pandas as pd
import pydicom
import SimpleITK as sitk
from highdicom.seg import SegmentDescription
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    RTStructureSetStorage,
    generate_uid,
)

from nextaim_kit.data.cohort.features import load_table
from nextaim_kit.data.cohort.loading import load_cohort
from nextaim_kit.data.datasets.manifest import load_manifest
from nextaim_kit.data.images import films
from nextaim_kit.data.images.image_4d import read_image_4d
from nextaim_kit.data.images.reading import read_image, read_mask
from nextaim_kit.errors import DataError, KitError
from nextaim_kit.files import write_text
from nextaim_kit.runs.sweep.spec import read_sweep
from nextaim_kit.studies.asd_fusion.sources import load_brains

CASES, SECONDS, MEMORY = 1000, 20, 3_000_000_000
BATCH = 50  # cases of a fork
EDGE, DEPTH = 40, 4  # voxels of a sound file
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
SHEET = "xl/worksheets/sheet1.xml"
ELSEWHERE = (
    b"../v.raw", b"/etc/passwd", b"/dev/zero", b"%s.raw", b"v%d.raw 1 4 1", b"LIST\nv.raw", b"LIST",
    b"pipe", b"LOCAL", b"v.raw\rElementDataFile = ../v.raw", b".", b"v.raw\0", b"",
)  # fmt: skip
NONSENSE = ("", " ", "nan", "inf", "-1", "0", "1e400", "99999999999", "a", "\\", "é", "1\\2\\3")


@dataclass(frozen=True)
class Kind:
    """A sound file, what reads it, how a changed one is packed, and what lies beside it."""

    file: str
    sound: bytes
    read: Callable[[Path], Any]
    pack: Callable[[bytes], bytes] = bytes
    beside: Mapping[str, bytes] = field(default_factory=dict)


def kinds() -> dict[str, Kind]:
    """All that the kit reads, by name."""
    values = np.random.default_rng(0).normal(-300, 300, (DEPTH, EDGE, EDGE)).astype(np.int16)
    ct, inside = sitk.GetImageFromArray(values), np.zeros_like(values, np.uint8)
    inside[1:3, 10:20, 12:30] = 1
    slices = [dicom_slice(values[z], z) for z in range(DEPTH)]
    others = {f"{z}.dcm": to_bytes(slices[z]) for z in range(1, DEPTH)}
    film = np.random.default_rng(1).integers(0, 4000, (EDGE, EDGE)).astype(np.uint16)
    table = feature_rows()
    found = {
        name: Kind(f"ct{suffix}", itk(ct, suffix), read_image)
        for name, suffix in (("nifti", ".nii"), ("nrrd", ".nrrd"), ("metaimage", ".mha"))
    }
    found |= apart(values)
    found["nifti_4d"] = Kind("bold.nii", itk(sitk.JoinSeries([ct, ct]), ".nii"), read_image_4d)
    found["nifti_gz"] = Kind("ct.nii.gz", itk(ct, ".nii"), read_image, gzip.compress)
    found["nifti_bomb"] = Kind("ct.nii.gz", itk(ct, ".nii"), read_image, grown)
    found["metaimage_packed"] = Kind("ct.mha", itk(ct, ".mha", packed=True), read_image)
    found["nrrd_packed"] = Kind("ct.nrrd", itk(ct, ".nrrd", packed=True), read_image)
    labels = sitk.GetImageFromArray(inside)
    found["nifti_mask"] = Kind("m.nii", itk(labels, ".nii"), lambda p: read_mask(p, like=ct))
    found["dicom_series"] = Kind(
        "0.dcm", to_bytes(slices[0]), lambda p: read_image(p.parent), beside=others
    )
    found["dicom_enhanced"] = Kind("e.dcm", to_bytes(enhanced(values)), read_image)
    found["rtstruct"] = Kind("r.dcm", to_bytes(contours()), lambda p: read_mask(p, like=ct))
    region = to_bytes(segments(slices, inside))
    found["seg"] = Kind("s.dcm", region, lambda p: read_mask(p, like=ct))
    found["film_dicom"] = Kind("f.dcm", to_bytes(dicom_film(film)), films.read_film)
    for name, suffix in (("png", "PNG"), ("jpeg", "JPEG"), ("tiff", "TIFF"), ("bmp", "BMP")):
        gray = film if name in ("png", "tiff") else (film >> 4).astype(np.uint8)
        pack = checked if name == "png" else bytes
        found[f"film_{name}"] = Kind(f"f.{name}", picture(gray, suffix), films.read_film, pack)
    color = np.dstack([(film >> shift).astype(np.uint8) for shift in (4, 3, 2)])
    found["picture"] = Kind("p.png", picture(color, "PNG"), films.read_picture, checked)
    mask = picture((film > 9).astype(np.uint8), "PNG")
    found["film_mask"] = Kind("m.png", mask, films.read_mask, checked)
    for suffix, write in WRITERS.items():
        found[f"features_{suffix}"] = Kind(f"t.{suffix}", write(table), as_features)
    book = WRITERS["xlsx"](table)
    sheet = zipfile.ZipFile(io.BytesIO(book)).read(SHEET)
    found["features_sheet"] = Kind("s.xlsx", sheet, as_features, partial(with_sheet, book))
    rows = table[["subject", "site", "label"]].assign(image="ct.nii", mask="m.nii")
    files = {"ct.nii": b"", "m.nii": b""}
    found["cohort"] = Kind(
        "cohort.csv", WRITERS["csv"](rows), lambda p: load_cohort(str(p)), beside=files
    )
    found |= brain_kinds()
    project = Path(__file__).resolve().parents[1]
    sweep = project / "notebooks/ct_radiomics/sweep.yaml"
    found["sweep"] = Kind("sweep.yaml", sweep.read_bytes(), read_sweep)
    manifest = project / "data_manifests/ibsi_ct_phantom.yaml"
    found["manifest"] = Kind(manifest.name, manifest.read_bytes(), as_manifest)
    return found


def apart(values: np.ndarray) -> dict[str, Kind]:
    """Volumes whose voxels lie in a file of their own: headers, of which half lead elsewhere."""
    beside = {"v.raw": values.tobytes(), "%s.raw": values.tobytes(), "ct.img": values.tobytes()}
    size = f"{EDGE} {EDGE} {DEPTH}"
    meta = (f"ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = False\n"
            f"ElementSpacing = 1 1 1\nDimSize = {size}\nElementType = MET_SHORT\n"
            "ElementDataFile = v.raw\n")  # fmt: skip
    nrrd = (f"NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: {size}\n"
            "space directions: (1,0,0) (0,1,0) (0,0,1)\nendian: little\nencoding: raw\n"
            "space origin: (0,0,0)\ndata file: v.raw\n\n")  # fmt: skip
    pair = nibabel.Nifti1Pair(values.T, np.eye(4)).header.binaryblock
    found = {name: Kind(f"ct.{name}", text.encode(), read_image, beside=beside)
             for name, text in (("mhd", meta), ("nhdr", nrrd))}  # fmt: skip
    return found | {"nifti_pair": Kind("ct.hdr", pair, read_image, beside=beside)}


def grown(content: bytes) -> bytes:
    """Packed, with 16 MB of zeros behind a file that is not sound any more, or one that is."""
    pack = zlib.compressobj(1, wbits=31)
    sound = random.Random(content).random() < 0.5
    zeros = [pack.compress(bytes(1 << 20)) for _ in range(0 if sound else 16)]
    return b"".join([pack.compress(content), *zeros, pack.flush()])


def brain_kinds() -> dict[str, Kind]:
    """Series, matrices and tables of a cohort of brains: one subject's file among sound ones."""
    rng, who = np.random.default_rng(3), ["50003", "50004", "50005"]
    series = [rng.normal(size=(30, 5)).round(4) for _ in who]
    people = pd.DataFrame({"SUB_ID": who, "SITE_ID": "NYU", "DX_GROUP": [1, 2, 1], "SEX": 1,
                           "AGE_AT_SCAN": [9.5, 12, 31], "FIQ": [100, -9999, 95],
                           "func_mean_fd": [0.1, 0.05, 0.2]})  # fmt: skip
    area = people[["SUB_ID"]].assign(lh_cuneus_area=900.0, rh_cuneus_thickness=2.1)
    stats = pd.DataFrame({"lh.aparc.thickness": who, "lh_cuneus_thickness": [2.1, 2.2, 2.0]})
    ramp = people[["SUB_ID"]].rename(columns={"SUB_ID": "participant_id"})
    ramp = ramp.assign(site=1, asd=[1, 0, 1], sex="M", age=[9.5, 12, 31])
    files = [f"{name}_rois_ho.1D" for name in who]
    sound = dict(zip(files, map(array_text, series), strict=True))
    csv, tsv = WRITERS["csv"], WRITERS["tsv"]
    beside = {"phenotypes.csv": csv(people)} | {name: sound[name] for name in files[1:]}
    first, square = series[0], np.corrcoef(series[0].T)
    found = {"brains_1d": Kind(files[0], sound[files[0]], as_brains)}
    found["brains_tsv"] = Kind("50003_timeseries.tsv", array_text(first), as_brains)
    found["brains_npy"] = Kind("50003_timeseries.npy", array_bytes(first), as_brains)
    found["brains_matrix"] = Kind("50003_relmat.tsv", array_text(square), as_brains)
    for name, kind in found.items():
        found[name] = replace(kind, beside=beside)
    edges = np.array([np.corrcoef(v.T)[np.triu_indices(5, 1)] for v in series])
    pack = Kind("pack.npz", array_bytes(edges), as_brains, partial(in_pack, np.array(who)))
    found["brains_pack"] = replace(pack, beside={"phenotypes.csv": csv(people)})
    found["brains_phenotypes"] = Kind("phenotypes.csv", csv(people), as_brains, beside=sound)
    found["brains_ramp"] = Kind("participants.csv", csv(ramp), as_brains,
                                beside={"anatomy.csv": csv(area)})  # fmt: skip
    found["brains_stats"] = Kind("lh.thickness.tsv", tsv(stats), as_brains,
                                 beside={"phenotypes.csv": csv(people)})  # fmt: skip
    return found


def array_text(values: np.ndarray) -> bytes:
    """Numbers with tabs between them."""
    out = io.StringIO()
    np.savetxt(out, values, "%.4f", "\t")
    return out.getvalue().encode()


def array_bytes(values: np.ndarray) -> bytes:
    """A ``.npy``."""
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def in_pack(names: np.ndarray, edges: bytes) -> bytes:
    """An ``.npz`` of subjects' names and a ``.npy`` whose checksum fits, whatever it holds."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as pack:
        pack.writestr("fc.npy", edges)
        pack.writestr("sub_id.npy", array_bytes(names))
    return out.getvalue()


def as_brains(path: Path) -> Any:
    """Read the folder; refuse it where the damaged file's subject is left out."""
    brains = load_brains(str(path.parent))
    if brains.problems:
        raise DataError("somebody is left out", found=str(brains.problems))
    return brains


def as_features(path: Path) -> Any:
    """Read a table of features."""
    return load_table(str(path))


def as_manifest(path: Path) -> Any:
    """Read a manifest that lies anywhere."""
    os.environ["NEXTAIM_MANIFESTS"] = str(path.parent)
    return load_manifest(path.stem)


def checked(content: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what is in them, so that what is in them is read."""
    at, parts = 8, [content[:8]]
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4])
        body = content[at + 4 : at + 8 + size]
        parts += [content[at : at + 4], body, zlib.crc32(body).to_bytes(4)]
        at += 12 + size
    return b"".join([*parts, content[at:]])


def with_sheet(book: bytes, sheet: bytes) -> bytes:
    """A workbook whose first sheet is another one."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, sheet if name == SHEET else old.read(name))
    return out.getvalue()


def itk(image: sitk.Image, suffix: str, *, packed: bool = False) -> bytes:
    """Bytes of an image in one of ITK's formats."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"image{suffix}"
        sitk.WriteImage(image, str(path), packed)
        return path.read_bytes()


def picture(values: np.ndarray, suffix: str) -> bytes:
    """Bytes of a picture."""
    out = io.BytesIO()
    Image.fromarray(values).save(out, format=suffix)
    return out.getvalue()


def feature_rows() -> pd.DataFrame:
    """A table of six features named as pyradiomics does."""
    rng = np.random.default_rng(2)
    names = [f"original_firstorder_{n}" for n in ("Mean", "Median", "Energy", "Entropy", "Range")]
    table = pd.DataFrame(rng.normal(size=(12, len(names))), columns=names)
    table.insert(0, "label", rng.integers(0, 2, 12))
    table.insert(0, "site", list("AB") * 6)
    table.insert(0, "subject", [f"S{i}" for i in range(12)])
    return table


def _excel(table: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    table.to_excel(out, index=False)
    return out.getvalue()


WRITERS: dict[str, Callable[[pd.DataFrame], bytes]] = {
    "csv": lambda table: table.to_csv(index=False).encode(),
    "tsv": lambda table: table.to_csv(index=False, sep="\t").encode(),
    "xlsx": _excel,
    "parquet": lambda table: table.to_parquet(index=False),
}


def dataset(storage: str, modality: str, *, number: int = 0) -> Dataset:
    """What all DICOM files here say of themselves."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    uid = generate_uid(entropy_srcs=[modality, str(number)])
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = storage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = uid
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.Modality, data.PatientID, data.PatientName = modality, "A", "A^B"
    data.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    data.SeriesInstanceUID = generate_uid(entropy_srcs=["series", modality])
    data.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame"])
    for name in ("StudyDate", "StudyTime", "AccessionNumber", "PatientBirthDate", "PatientSex"):
        setattr(data, name, "")
    data.StudyID, data.SeriesNumber, data.InstanceNumber = "1", 1, number + 1
    return data


def with_pixels(data: Dataset, values: np.ndarray) -> Dataset:
    """The data set with gray pixels of 16 bits."""
    data.Rows, data.Columns = values.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, int(values.dtype.kind == "i")
    data.PixelData = values.tobytes()
    return data


def dicom_slice(values: np.ndarray, z: int) -> Dataset:
    """One slice of the CT."""
    data = dataset(CTImageStorage, "CT", number=z)
    data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, z], [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.SliceThickness = [1, 1], 1
    data.RescaleSlope, data.RescaleIntercept = 1, 0
    return with_pixels(data, values)


def enhanced(values: np.ndarray) -> Dataset:
    """The CT in one multi-frame file."""
    data, shared = dataset(EnhancedCTImageStorage, "CT", number=99), Dataset()
    measures, turned, change = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [1, 1], 1
    turned.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    change.RescaleSlope, change.RescaleIntercept, change.RescaleType = 1, 0, "HU"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turned]
    shared.PixelValueTransformationSequence = [change]
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], []
    for z in range(len(values)):
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, z]
        frame.PlanePositionSequence = [place]
        data.PerFrameFunctionalGroupsSequence.append(frame)
    data.NumberOfFrames = len(values)
    return with_pixels(data, values)


def contours() -> Dataset:
    """A box on two slices, as an RTSTRUCT."""
    data, roi, drawn = dataset(RTStructureSetStorage, "RTSTRUCT"), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName, drawn.ReferencedROINumber = 1, "GTV", 1
    drawn.ContourSequence = []
    for z in (1, 2):
        one = Dataset()
        one.ContourGeometricType, one.NumberOfContourPoints = "CLOSED_PLANAR", 4
        one.ContourData = [12, 10, z, 30, 10, z, 30, 20, z, 12, 20, z]
        drawn.ContourSequence.append(one)
    data.StructureSetROISequence, data.ROIContourSequence = [roi], [drawn]
    return data


def segments(slices: list[Dataset], inside: np.ndarray) -> Dataset:
    """The region as a DICOM SEG."""
    lesion = SegmentDescription(
        1, "lesion", codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Lesion, "MANUAL"
    )
    return highdicom.seg.Segmentation(
        slices, inside, "BINARY", [lesion],
        series_instance_uid=generate_uid(entropy_srcs=["seg"]), series_number=2,
        sop_instance_uid=generate_uid(entropy_srcs=["seg", "1"]), instance_number=1,
        manufacturer="kit", manufacturer_model_name="kit", software_versions="1",
        device_serial_number="1",
    )  # fmt: skip


def dicom_film(values: np.ndarray) -> Dataset:
    """A radiograph."""
    return with_pixels(dataset(DigitalXRayImageStorageForPresentation, "DX"), values)


def to_bytes(data: Dataset) -> bytes:
    """A data set as a file."""
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def damaged(kind: Kind, case: int) -> bytes:
    """The sound file, changed as the number of the case says; case 0 leaves it sound."""
    chance, content = random.Random(f"{kind.file} {case}"), kind.sound
    for _ in range(chance.randint(1, 4) if case else 0):
        if kind.file.endswith(".dcm") and chance.random() < 0.5:
            content = _element_changed(content, chance)
        elif b": v.raw" in content or b"= v.raw" in content:
            content = chance.choice((_led_elsewhere, *_CHANGES[:4]))(content, chance)
        else:
            content = chance.choice(_CHANGES)(content, chance)
    return kind.pack(content)


def _somewhere(content: bytes, chance: random.Random) -> int:
    """A place in a file: often in its first 400 bytes, where headers are."""
    end = min(400, len(content)) if chance.random() < 0.6 else len(content)
    return chance.randrange(max(1, end))


def _bytes_changed(content: bytes, chance: random.Random) -> bytes:
    out = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        if out:
            out[_somewhere(content, chance)] = chance.randrange(256)
    return bytes(out)


def _number_changed(content: bytes, chance: random.Random) -> bytes:
    size, at = chance.choice((1, 2, 4)), _somewhere(content, chance)
    value = chance.choice(EXTREMES) % 256**size
    order = chance.choice(("little", "big"))
    return content[:at] + value.to_bytes(size, order) + content[at + size :]


def _text_changed(content: bytes, chance: random.Random) -> bytes:
    at, length = _somewhere(content, chance), chance.randint(0, 6)
    return content[:at] + chance.choice(NONSENSE).encode() + content[at + length :]


def _cut_off(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _part_moved(content: bytes, chance: random.Random) -> bytes:
    a, b = sorted(_somewhere(content, chance) for _ in range(2))
    again = chance.choice((0, 2))  # removed or doubled
    return content[:a] + content[a:b] * again + content[b:]


def _led_elsewhere(content: bytes, chance: random.Random) -> bytes:
    """A name in the header is that of another file, or said in another way."""
    other = chance.choice(ELSEWHERE)
    return content.replace(b"v.raw", other) if b"v.raw" in content else _cut_off(content, chance)


_CHANGES = (_bytes_changed, _bytes_changed, _number_changed, _text_changed, _cut_off, _part_moved)


def _element_changed(content: bytes, chance: random.Random) -> bytes:
    """A DICOM file with one element, at any depth, removed, emptied or given another value."""
    try:
        data = pydicom.dcmread(io.BytesIO(content))
        element = chance.choice(sorted(data.iterall(), key=lambda e: (e.tag, str(e.value))))
        holders = [data, *(i for e in data.iterall() if e.VR == "SQ" for i in e.value)]
        holder = chance.choice([h for h in holders if element.tag in h])
        if chance.random() < 0.3:
            del holder[element.tag]
        elif element.VR in ("US", "SS", "UL", "SL"):
            holder[element.tag].value = chance.choice(EXTREMES) % 0x8000
        elif element.VR not in ("OB", "OW", "SQ"):
            holder[element.tag].value = chance.choice((None, *NONSENSE))
        elif element.VR == "SQ":
            holder[element.tag].value = list(element.value) * chance.choice((0, 2))
        return to_bytes(data)
    except Exception:  # what can no longer be parsed or written is changed as bytes
        return _bytes_changed(content, chance)


def outcome(kind: Kind, case: int, folder: Path) -> str:
    """How one case ended: "read", "refused", or what came that is no error of the kit's."""
    path = folder / kind.file
    path.unlink(missing_ok=True)
    if case % 30 == 29:
        os.mkfifo(path)
    else:
        path.write_bytes(damaged(kind, case))
    signal.alarm(SECONDS)
    try:
        kind.read(path)
        return "read"
    except KitError:
        return "refused"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:120]} ({Path(place.filename).name})"
    finally:
        signal.alarm(0)


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def _in_a_fork(kind: Kind, cases: range, report: Path) -> int:
    """Read some cases in a fork, a line for each; give how it ended."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what C libraries print of damaged files
    signal.signal(signal.SIGALRM, _too_long)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
    warnings.simplefilter("ignore")
    with report.open("a") as out, tempfile.TemporaryDirectory() as folder:
        for name, content in kind.beside.items():
            (Path(folder) / name).write_bytes(content)
        os.mkfifo(Path(folder) / "pipe")
        for case in cases:
            print(json.dumps([case, "crashed", 0.0, 0]), file=out, flush=True)
            began = time.perf_counter()
            how = outcome(kind, case, Path(folder))
            took = time.perf_counter() - began
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(json.dumps([case, how, round(took, 3), peak]), file=out, flush=True)
    os._exit(0)


def fuzz(kind: Kind, cases: int) -> dict[str, Any]:
    """Read `cases` damaged files; what came of them."""
    at = 0
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        report.touch()
        while at < cases:
            _in_a_fork(kind, range(at, min(at + BATCH, cases)), report)
            lines = [json.loads(line) for line in report.read_text().splitlines()]
            at = lines[-1][0] + 1 if lines else cases
    ends = {case: (how, took, peak) for case, how, took, peak in lines}
    how = [end[0] for end in ends.values()]
    foreign = {str(c): e[0] for c, e in ends.items() if e[0] not in ("read", "refused")}
    return {
        "cases": len(ends),
        "read": how.count("read"),
        "refused": how.count("refused"),
        "foreign": foreign | ({} if ends[0][0] == "read" else {"0": "the sound file is not read"}),
        "slowest_seconds": max(took for _, took, _ in ends.values()),
        "peak_mb": max(peak for _, _, peak in ends.values()),
    }


def main() -> None:
    """Fuzz, print, write the result; exit code 1 where anything came that is not the kit's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--only", default="", help="one kind of file")
    parser.add_argument("--case", type=int, help="one case of it, with its traceback")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    chosen = {name: kind for name, kind in kinds().items() if options.only in ("", name)}
    if options.case is not None:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            (kind,) = chosen.values()
            for name, content in kind.beside.items():
                Path(name).write_bytes(content)
            Path(kind.file).write_bytes(damaged(kind, options.case))
            print(kind.read(Path(kind.file).resolve()))
        return
    began = time.perf_counter()
    kept = options.out / "fuzz.json"
    result = json.loads(kept.read_text()) if options.only and kept.is_file() else {}
    result |= {name: fuzz(kind, options.cases) for name, kind in chosen.items()}
    print(json.dumps(result, indent=1))
    print(f"{len(chosen)} readers in {time.perf_counter() - began:.0f} s")
    write_text(kept, json.dumps(result, indent=1) + "\n")
    if any(found["foreign"] for found in result.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
