"""A DICOM header is read once in a process, by whoever asks first, and again once it changes."""

from __future__ import annotations

import os
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from cloudpickle import register_pickle_by_value

from nextaim_kit.data.cohort.loading import load_cohort
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.data.images.dicom import read_header
from nextaim_kit.data.images.headers import header_of, scan
from nextaim_kit.data.images.pixels import frame_values
from nextaim_kit.data.images.reading import read_image
from nextaim_kit.data.images.remembered import HEADERS, Remembered
from nextaim_kit.errors import DataError, gathered_warnings

register_pickle_by_value(sys.modules[__name__])  # tests are no package that a worker could import


def opens(reader, below):
    """How often files below a folder are opened while `reader` runs."""
    seen, counting = [], [True]
    sys.addaudithook(lambda event, args: counting[0] and event == "open" and seen.append(args[0]))
    reader()
    counting[0] = False
    names = [Path(os.path.abspath(name)) for name in seen if isinstance(name, str | Path)]
    return sum(name.is_relative_to(below) and name.is_file() for name in names)


def aged(paths):
    """Files as they are some days later: what was just written might still change unseen."""
    for path in paths:
        os.utime(path, (1e9, 1e9))
    return paths


def changed(path, **values):
    data = pydicom.dcmread(path)
    data.update(values)
    data.save_as(path)


@pytest.fixture
def paths(tmp_path, dicom_files, stored):
    return aged(dicom_files.series(tmp_path / "P", stored))


@pytest.mark.parametrize("suffix", [".dcm", ""])
def test_a_slice_is_opened_for_its_header_and_for_its_pixels(tmp_path, dicom_files, stored, suffix):
    for path in dicom_files.series(tmp_path, stored):
        path.rename(path.with_suffix(suffix))
    read_header(next(tmp_path.iterdir()))  # what is imported at first use is opened too
    assert opens(lambda: read_image(tmp_path), tmp_path) == 2 * len(stored)


def test_what_a_cohort_s_scan_has_learned_is_not_read_again(tmp_path, paths):
    def reader():
        cohort = load_cohort(str(tmp_path), columns=("image",))
        read_image(cohort["image"][0])
        read_image(os.path.relpath(cohort["image"][0]))

    assert opens(reader, tmp_path) == 3 * len(paths)  # headers, pixels, pixels


def test_what_is_no_dicom_is_looked_at_once(tmp_path, paths):
    for name in ("README", "notes"):
        (tmp_path / "P" / name).touch()
    aged((tmp_path / "P").iterdir())
    assert opens(lambda: (scan(tmp_path), scan(tmp_path)), tmp_path) == len(paths) + 2


def test_workers_are_told_what_the_cohort_s_scan_has_learned(tmp_path, paths, dicom_files, stored):
    aged(dicom_files.series(tmp_path / "Q", stored))

    def step(row):
        there = Path(row["image"])
        return os.getpid(), opens(lambda: scan(there), there)

    cohort = load_cohort(str(tmp_path), columns=("image",))
    found = each(cohort, step, columns=["image"], workers=2).results
    assert [count for _, count in found] == [0, 0]
    assert os.getpid() not in dict(found)


def test_a_header_that_has_changed_is_read_again(tmp_path, paths):
    assert {one.patient for one in scan(tmp_path)[0]} == {"Rossi^Anna"}
    changed(paths[0], PatientID="Bruni^Eva")
    aged(paths[:1])
    assert opens(lambda: scan(tmp_path), tmp_path) == 1
    assert header_of(paths[0]).patient == "Bruni^Eva"


def test_a_file_just_written_is_not_remembered(tmp_path, dicom_files, stored):
    (path,) = dicom_files.series(tmp_path, stored[:1])
    status = path.stat()
    header_of(path)
    changed(path, PatientID="Verdi^Lia.")  # as many bytes
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert header_of(path).patient == "Verdi^Lia."


@pytest.mark.parametrize("transfer", ["plain", "packed"])
def test_a_slice_that_changes_between_header_and_pixels_is_refused(paths, transfer):
    if transfer == "packed":
        data = pydicom.dcmread(paths[0])
        data.compress(pydicom.uid.RLELossless)
        data.save_as(paths[0])
    image = header_of(paths[0])
    changed(paths[0], RescaleIntercept=-1024)
    with pytest.raises(DataError, match=rf"{paths[0].name} has changed since its header was read"):
        next(frame_values(image, "CT", [0], set()))


def test_slices_with_slopes_of_their_own_are_each_read_by_their_own(tmp_path, dicom_files, stored):
    def change(data, z):
        data.RescaleSlope, data.RescaleIntercept = z + 1, -10 * z

    aged(dicom_files.series(tmp_path, stored, change=change))
    scan(tmp_path)
    z = np.arange(len(stored))[:, None, None]
    found = sitk.GetArrayFromImage(read_image(tmp_path))
    assert np.array_equal(found, stored.astype(int) * (z + 1) - 10 * z)


def test_what_slices_share_is_told_apart_where_it_differs(tmp_path, dicom_files, stored):
    def change(data, z):
        data.PatientID, data.SpecificCharacterSet = (
            "J\u00fcrgen",
            "ISO_IR 100" if z else "ISO_IR 192",
        )

    paths = dicom_files.series(tmp_path, stored[:2], change=change)
    kept = [read_header(path) for path in paths]
    assert [one.patient for one in kept] == ["J\u00fcrgen", "J\u00fcrgen"]
    assert kept[0].position != kept[1].position
    assert kept[0].uid != kept[1].uid
    assert kept[0].stored is kept[1].stored


def test_every_reading_warns_alike_and_repeats_no_patient_s_name(tmp_path, dicom_files, stored):
    def change(data, z):
        data.SpecificCharacterSet, data.PhotometricInterpretation = "NONSENSE", "MONOCHROME1"
        data.PatientID = "R" * 65  # longer than it may be

    with warnings.catch_warnings(action="ignore"):
        aged(dicom_files.series(tmp_path, stored, change=change))
    said = []
    for _ in range(2):
        with gathered_warnings() as found:
            read_image(tmp_path)
        said.append(found)
    assert said[0] == said[1]
    assert len(said[0]) == 1
    assert "MONOCHROME1 says how to show" in said[0][0]


def test_a_header_is_remembered_in_less_than_4_kb(tmp_path, dicom_files):
    aged(dicom_files.series(tmp_path, np.zeros((200, 2, 2), np.uint16)))
    scan(tmp_path / "none")
    tracemalloc.start()
    scan(tmp_path)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(HEADERS.below(str(tmp_path))) == 200
    assert held < 200 * 4000


def test_of_too_many_files_the_first_are_forgotten():
    few, stamp = Remembered(3), (1, 2, 3, 4)
    for name in ("a/1", "a/2", "b/1", "b/2", "b/2"):
        few.remember(f"/{name}", stamp, name)
    assert [path for path, *_ in few.below("/a") + few.below("/b")] == ["/a/2", "/b/1", "/b/2"]
    few.remember("/c", stamp, "c")
    assert few.below("/a") == []
    assert few.below("/b/1") == [("/b/1", stamp, "b/1")]
    assert few.recall("/c", stamp) == ["c"]
    assert few.recall("/c", (1, 2, 3, 5)) == []


def test_a_folder_whose_name_goes_on_is_another():
    few = Remembered(9)
    for path in ("/P/1", "/P1/1", "/P/s/1"):
        few.remember(path, (0, 0, 0, 0), path)
    assert [path for path, *_ in few.below("/P")] == ["/P/1", "/P/s/1"]
