"""Files that lead elsewhere, never end or grow when they are unpacked are refused by name."""

from __future__ import annotations

import gzip
import io
import os
import signal
import socket
import tracemalloc
import zipfile
import zlib
from contextlib import contextmanager
from functools import partial

import nibabel
import numpy as np
import openpyxl
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image

from nextaim_kit.data.cohort.fingerprint import fingerprint
from nextaim_kit.data.cohort.numbers import read_numbers
from nextaim_kit.data.cohort.sheets import header_of
from nextaim_kit.data.cohort.tables import read_table
from nextaim_kit.data.images import films
from nextaim_kit.data.images.dicom import is_dicom, opened
from nextaim_kit.data.images.image_4d import read_image_4d
from nextaim_kit.data.images.reading import read_image
from nextaim_kit.errors import DataError
from nextaim_kit.files import sha256_of
from nextaim_kit.learn.array_file import load_arrays
from nextaim_kit.learn.model_file import load_models
from nextaim_kit.learn.weights import read_tensors
from nextaim_kit.report.sr_reading import read as read_report
from nextaim_kit.runs.sweep.spec import read_sweep

EDGE = 20
VALUES = np.arange(EDGE**3, dtype=np.int16).reshape(EDGE, EDGE, EDGE)
ELSEWHERE = "does not say in one way where its voxels are"


def meta(*lines, size=EDGE, packed=False):
    head = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        f"CompressedData = {packed}",
        "ElementSpacing = 1 1 1",
        f"DimSize = {size} {size} {size}",
        "ElementType = MET_SHORT",
    ]
    return "\n".join([*head, *lines, ""]).encode()  # fmt: skip


def nrrd(*lines, size=EDGE, encoding="raw"):
    head = [
        "NRRD0004",
        "type: short",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {size} {size} {size}",
        "space directions: (1,0,0) (0,1,0) (0,0,1)",
        "endian: little",
        f"encoding: {encoding}",
        "space origin: (0,0,0)",
    ]
    return "\n".join([*head, *lines, "", ""]).encode()  # fmt: skip


@contextmanager
def soon():
    """A pipe that is opened waits without end: then the test fails."""

    def late(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# --- the bytes that are meant -------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mha", "mhd", "nrrd", "nhdr"])
def test_voxels_in_a_file_beside_the_header_are_read_and_are_part_of_the_fingerprint(
    tmp_path, suffix
):
    named = meta("ElementDataFile = v.raw") if suffix[0] == "m" else nrrd("data file: v.raw")
    (tmp_path / f"ct.{suffix}").write_bytes(named)
    (tmp_path / "cohort.csv").write_text(f"subject,image\nA,ct.{suffix}\n")
    seen = set()
    for values in (VALUES, VALUES + 1):
        (tmp_path / "v.raw").write_bytes(values.tobytes())
        read = sitk.GetArrayFromImage(read_image(tmp_path / f"ct.{suffix}"))
        assert np.array_equal(read, values)
        seen |= {fingerprint(str(tmp_path / name))["sha256"]
                 for name in (f"ct.{suffix}", "cohort.csv")}  # fmt: skip
    assert len(seen) == 4


@pytest.mark.parametrize(
    "content",
    [
        meta("ElementDataFile = ../v.raw"),
        meta("ElementDataFile : ../v.raw"),
        meta("ElementDataFile = %s.raw 1 1 1"),  # which ends ITK's reader and Python with it
        meta("ElementDataFile\0x = v.raw"),
        meta("Comment = a\rElementDataFile = LOCAL", "ElementDataFile = v.raw"),
        meta("ElementDataFile = LIST", "v.raw", "/etc/passwd"),
        meta("ElementDataFile = link.raw"),
        meta("ElementDataFile = LIST"),
        nrrd("data file: ../v.raw"),
        nrrd("content: a\rDataFile: ../v.raw"),
        nrrd("data file: v%d.raw 1 1 1"),
        nrrd("data file: LIST 2", "v.raw", "../v.raw"),
        nrrd("data file: v.raw "),
        nrrd("data file: v.raw", "datafile: other.raw"),
        nrrd("data file: link.raw"),
    ],
    ids=lambda content: content.splitlines()[-1].decode(),
)
def test_voxels_are_read_from_no_other_folder_and_from_one_place(tmp_path, content):
    folder = tmp_path / "in"
    folder.mkdir()
    for place in (folder, tmp_path):
        (place / "v.raw").write_bytes(VALUES.tobytes())
    (folder / "link.raw").symlink_to(tmp_path / "v.raw")
    path = folder / ("a.mha" if content.startswith(b"Obj") else "a.nrrd")
    path.write_bytes(content)
    with pytest.raises(DataError, match=ELSEWHERE):
        read_image(path)
    assert len(fingerprint(str(path))["sha256"]) == 64


def test_a_nifti_pair_whose_voxels_are_linked_from_elsewhere_is_refused(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    nibabel.save(nibabel.Nifti1Pair(VALUES, np.eye(4)), folder / "a.hdr")
    assert read_image(folder / "a.hdr").GetSize() == (EDGE, EDGE, EDGE)
    (folder / "a.img").rename(tmp_path / "b.img")
    (folder / "a.img").symlink_to(tmp_path / "b.img")
    for name in ("a.hdr", "a.img"):
        with pytest.raises(DataError, match=ELSEWHERE):
            read_image(folder / name)


def test_only_known_kinds_of_volumes_are_read_whatever_else_itk_would_open(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(VALUES), str(tmp_path / "a.vtk"))
    with pytest.raises(DataError, match=r"a\.vtk cannot be read(.|\n)*by its suffix"):
        read_image(tmp_path / "a.vtk")


# --- no more than is promised -------------------------------------------------------------------


def bomb(head, megabytes=40, bits=31):
    pack = zlib.compressobj(1, wbits=bits)
    zeros = bytes(1 << 20)
    parts = [pack.compress(head), *(pack.compress(zeros) for _ in range(megabytes))]
    return b"".join([*parts, pack.flush()])


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.hdr"])
@pytest.mark.parametrize("axes", [3, 4])
def test_of_a_packed_volume_no_more_is_unpacked_than_its_header_promises(tmp_path, name, axes):
    kind = nibabel.Nifti1Pair if name == "a.hdr" else nibabel.Nifti1Image
    image = kind(np.zeros((4,) * axes, np.int16), np.eye(4))
    head = image.header.binaryblock if name == "a.hdr" else image.to_bytes()
    (tmp_path / name).write_bytes(head if name == "a.hdr" else bomb(head))
    (tmp_path / "a.img").write_bytes(bomb(b""))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"more than the [0-9,]* bytes that may be there"):
        (read_image if axes == 3 else read_image_4d)(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.mha", meta("ElementDataFile = LOCAL", size=9999)),
        ("a.nrrd", nrrd(size=9999)),
        ("a.nrrd", nrrd(size=9999, encoding="gzip")),
    ],
)
def test_a_header_that_promises_more_than_memory_bears_is_refused_before(tmp_path, name, content):
    (tmp_path / name).write_bytes(content + b"few")
    with pytest.raises(DataError, match=f"{name} is too large for this machine"):
        read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.mha", meta("ElementDataFile = LOCAL", size=900) + b"few", "truncated: the header"),
        ("a.nrrd", nrrd(size=900) + b"few", "truncated: the header"),
        ("a.mha", meta("ElementDataFile = LOCAL", packed=True) + bomb(b"", 20, 15),
         "packed where 16,000 are promised"),
        ("a.mha", meta("ElementDataFile = LOCAL", packed=True) + zlib.compress(bytes(15_000)),
         "15,000 bytes are packed where 16,000"),
        ("a.nrrd", nrrd("byte skip: -1", encoding="gzip") + bomb(b"", 1), "to be skipped"),
        ("a.nrrd", nrrd("line skip: 99", encoding="bzip2"), "to be skipped"),
    ],
)  # fmt: skip
def test_voxels_that_are_not_there_are_not_made_up_nor_sought_without_end(
    tmp_path, name, content, said
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_image(tmp_path / name)


@pytest.fixture
def small(monkeypatch):
    """A machine with 8 MB of memory to spare."""
    for place in ("data.bounds", "data.cohort.sheets", "data.images.dicom"):
        monkeypatch.setattr(f"nextaim_kit.{place}.memory_free", lambda: 8_000_000)


def deflated(path):
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = pydicom.uid.CTImageStorage, "1.2.3"
    data.add_new("PixelData", "OB", bytes(20_000_000))
    data.save_as(path, enforce_file_format=True)


def far_cell(path):
    book = openpyxl.Workbook()
    book.active["A1"] = "subject"
    book.active["XFD1048576"] = "far"
    book.save(path)


def zipped(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("xl/workbook.xml", bytes(20_000_000))


BOMBS = {
    "t.csv": (lambda p: p.write_bytes(bytes(2_000_000)), read_table),
    "t.csv.gz": (lambda p: p.write_bytes(bomb(b"subject\n", 2)), read_table),
    "t.tsv": (lambda p: p.write_bytes(b"1\t2\n" * 500_000), read_numbers),
    "t.xlsx": (zipped, read_table),
    "far.xlsx": (far_cell, read_table),
    "t.parquet": (lambda p: pd.DataFrame({"a": np.zeros(500_000)}).to_parquet(p), read_table),
    "f.png": (lambda p: Image.new("L", (2000, 2000)).save(p), films.read_film),
    "p.png": (lambda p: Image.new("RGB", (2000, 2000)).save(p), films.read_picture),
    "m.tif": (lambda p: Image.new("L", (2000, 2000)).save(p), films.read_mask),
    "d.dcm": (deflated, opened),
    "sr.dcm": (deflated, read_report),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_grows_beyond_memory_when_it_is_read_is_refused(tmp_path, small, name):
    write, read = BOMBS[name]
    write(tmp_path / name)
    with pytest.raises(DataError, match=r"too large for this machine|more than the|cells, which"):
        read(tmp_path / name)


def test_a_file_that_only_speaks_of_packing_is_read(tmp_path):
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = pydicom.uid.CTImageStorage, "1.2.3"
    data.AvailableTransferSyntaxUID = [pydicom.uid.DeflatedExplicitVRLittleEndian]
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert opened(tmp_path / "a.dcm").SOPInstanceUID == "1.2.3"


def with_entities(path, text):
    """A workbook whose first sheet begins with a declaration of entities."""
    book = openpyxl.Workbook()
    book.active.append(["subject", "x"])
    book.active.append(["A", "&e;"])
    book.save(path)
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    for name, part in parts.items():
        body = part.replace(b"&amp;e;", b"&e;")
        parts[name] = text.encode() + body if body != part else part
    with zipfile.ZipFile(path, "w") as new:
        for name, part in parts.items():
            new.writestr(name, part)


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        "<!DOCTYPE a [<!ENTITY a0 'lol'>"
        + "".join(f"<!ENTITY a{k + 1} '{f'&a{k};' * 10}'>" for k in range(9))
        + "<!ENTITY e '&a9;'>]>",
    ],
    ids=["another file", "a billion laughs"],
)
def test_a_spreadsheet_that_declares_entities_is_refused(tmp_path, text):
    with_entities(tmp_path / "t.xlsx", text)
    with soon(), pytest.raises(DataError, match=r"t\.xlsx cannot be read"):
        read_table(tmp_path / "t.xlsx")


def test_a_numpy_file_that_promises_more_than_it_has_takes_no_memory(tmp_path):
    out = io.BytesIO()
    told = {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(out, told)
    (tmp_path / "a.npy").write_bytes(out.getvalue() + bytes(80))
    with pytest.raises(DataError, match=r"a\.npy cannot be read"):
        read_numbers(tmp_path / "a.npy")


# --- what is no file ----------------------------------------------------------------------------


def waits(path, kind):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "link":
        os.mkfifo(path.with_name("pipe"))
        path.symlink_to("pipe")
    else:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    return path


READERS = {
    "sr.dcm": read_report,
    "a.nii": read_image, "a.nii.gz": read_image_4d, "a.nrrd": read_image, "a.mha": read_image,
    "a.dcm": read_image, "b.dcm": opened, "a.png": films.read_film, "b.png": films.read_picture,
    "c.png": films.read_mask, "a.csv": read_table, "a.xlsx": read_table, "a.parquet": read_table,
    "a.1D": read_numbers, "a.npy": read_numbers, "a.raw": sha256_of, "a.yaml": read_sweep,
    "a.pt": read_tensors, "model.json": load_models, "a.safetensors": partial(load_arrays,
    expected=""),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["pipe", "link", "device", "socket"])
def test_a_pipe_a_device_or_a_socket_is_refused_at_once_by_every_reader(
    tmp_path, monkeypatch, kind
):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    for name, read in READERS.items():
        folder = tmp_path / name.replace(".", "")
        folder.mkdir()
        monkeypatch.chdir(folder)
        path = waits(folder.relative_to(folder) / name, kind)
        with soon(), pytest.raises(DataError):
            read(path)
    with soon():
        assert (is_dicom(path), header_of(path)) == (False, [])


def test_a_pipe_beside_other_files_of_a_cohort_is_passed_by(tmp_path):
    nibabel.save(nibabel.Nifti1Image(VALUES, np.eye(4)), tmp_path / "a.nii.gz")
    before = fingerprint(str(tmp_path))["sha256"]
    os.mkfifo(tmp_path / "b.nii.gz")
    with soon():
        assert fingerprint(str(tmp_path))["sha256"] == before


def test_films_that_are_no_files_are_named(tmp_path):
    Image.new("L", (40, 40)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b")
    (tmp_path / "c.png").symlink_to("nowhere")
    table = films.film_table(tmp_path)
    assert table["subject"].tolist() == ["a", "c"]
    assert table.attrs["problems"][0]["problem"].endswith("no films: b")
    with pytest.raises(DataError, match=r"c\.png is not there"):
        films.read_film(tmp_path / "c.png")


@pytest.mark.parametrize("kind", ["pipe", "link to nothing"])
def test_a_slice_that_is_no_file_is_not_left_out_of_a_series_without_a_word(
    tmp_path, dicom_files, stored, kind
):
    dicom_files.series(tmp_path / "ct", stored)
    first = min((tmp_path / "ct").iterdir())
    first.unlink()
    os.mkfifo(first) if kind == "pipe" else first.symlink_to("nowhere")
    with soon(), pytest.raises(DataError, match=f"{first.name} cannot be read"):
        read_image(tmp_path / "ct")


def test_a_packed_text_is_still_read(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"subject,x\nA,1\n"))
    assert read_table(tmp_path / "t.csv.gz")["x"].tolist() == [1]
