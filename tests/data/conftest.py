"""Small made-up subjects: volumes, DICOM series, RTSTRUCT and SEG written in the test itself."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    RTStructureSetStorage,
    generate_uid,
)

SPACING = (2.0, 1.5, 3.0)
ORIGIN = (-10.0, 20.0, 5.0)
FRAME_GROUPS = (
    "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence",
    "PixelValueTransformationSequence", "FrameContentSequence",
)  # fmt: skip


def volume(array: np.ndarray) -> sitk.Image:
    """Give an array (z, y, x) the spacing and origin of all volumes made up here."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    return image


def _dataset(storage: str, modality: str, patient: str) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = storage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.Modality, data.PatientID, data.PatientName = modality, patient, patient
    data.StudyInstanceUID = generate_uid(entropy_srcs=["study", patient])
    data.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame", patient])
    for name in ("StudyDate", "StudyTime", "AccessionNumber", "PatientBirthDate", "PatientSex"):
        setattr(data, name, "")
    data.StudyID, data.SeriesNumber = "1", 1
    return data


def write_series(
    folder: Path,
    array: np.ndarray,
    *,
    patient: str = "Rossi^Anna",
    uid: str = "",
    slope: float = 1.0,
    intercept: float = -1000.0,
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    change: Callable[[Dataset, int], None] | None = None,
) -> list[Path]:
    """Write stored values (z, y, x) as a CT series; file names do not follow the positions.

    `change` may alter each slice's dataset, given with its number, before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    uid = uid or generate_uid()
    normal = np.cross(orientation[:3], orientation[3:])
    paths = []
    for z, plane in enumerate(array):
        data = _dataset(CTImageStorage, "CT", patient)
        data.SeriesInstanceUID = uid
        data.InstanceNumber = len(array) - z
        data.ImagePositionPatient = list(np.array(ORIGIN) + z * SPACING[2] * normal)
        data.ImageOrientationPatient = list(orientation)
        data.PixelSpacing, data.SliceThickness = [SPACING[1], SPACING[0]], SPACING[2]
        data.Rows, data.Columns = plane.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 0
        data.RescaleSlope, data.RescaleIntercept = slope, intercept
        data.PixelData = plane.astype("<u2").tobytes()
        paths.append(folder / f"ct{uid[-3:]}_{(z * 7) % len(array):02d}_{z}.dcm")
        if change:
            change(data, z)
        data.save_as(paths[-1], enforce_file_format=True)
    return paths


def write_enhanced(
    path: Path,
    array: np.ndarray,
    order: Sequence[int],
    *,
    change: Callable[[Dataset, int], None] | None = None,
    change_all: Callable[[Dataset], None] | None = None,
) -> Path:
    """Write stored values (z, y, x) as one enhanced CT, its frames in `order`.

    Each frame says all of itself; `change` may alter its groups, given with the number of its
    slice, and `change_all` the whole dataset.
    """
    data = _dataset(EnhancedCTImageStorage, "CT", "Rossi^Anna")
    data.SeriesInstanceUID = generate_uid()
    data.NumberOfFrames, (data.Rows, data.Columns) = len(order), array.shape[1:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.SharedFunctionalGroupsSequence = [Dataset()]
    data.PerFrameFunctionalGroupsSequence = []
    for z in order:
        groups = {name: Dataset() for name in FRAME_GROUPS}
        place, turn, measures, values, content = groups.values()
        place.ImagePositionPatient = [*ORIGIN[:2], ORIGIN[2] + z * SPACING[2]]
        turn.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        measures.PixelSpacing, measures.SliceThickness = [SPACING[1], SPACING[0]], SPACING[2]
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, -1000, "HU"
        content.StackID = "1"
        frame = Dataset()
        for name, group in groups.items():
            setattr(frame, name, [group])
        if change:
            change(frame, z)
        data.PerFrameFunctionalGroupsSequence.append(frame)
    data.PixelData = array[list(order)].astype("<u2").tobytes()
    if change_all:
        change_all(data)
    data.save_as(path, enforce_file_format=True)
    return path


def write_rtstruct(
    path: Path,
    rois: dict[str, list[np.ndarray]],
    *,
    patient: str = "Rossi^Anna",
    series: str = "",
    change: Callable[[Dataset], None] | None = None,
) -> Path:
    """Write closed contours, each (points, 3) in mm, under the names of their ROIs."""
    data = _dataset(RTStructureSetStorage, "RTSTRUCT", patient)
    data.SeriesInstanceUID = generate_uid()
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    if series:
        data.ReferencedFrameOfReferenceSequence = [_reference(series)]
    for number, (name, contours) in enumerate(rois.items(), 1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        for points in contours:
            contour = Dataset()
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(points)
            contour.ContourData = [f"{value:.6g}" for value in np.ravel(points)]
            drawn.ContourSequence.append(contour)
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.append(drawn)
    if change:
        change(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def _reference(series: str) -> Dataset:
    frame, study, item = Dataset(), Dataset(), Dataset()
    item.SeriesInstanceUID = series
    study.RTReferencedSeriesSequence = [item]
    frame.RTReferencedStudySequence = [study]
    return frame


def write_seg(path: Path, slices: list[Path], segments: dict[str, np.ndarray]) -> Path:
    """Write masks (z, y, x), in the order of `slices`, as the segments of a DICOM SEG."""
    import highdicom as hd
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    described = [
        SegmentDescription(
            number, name, codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Lesion, "MANUAL"
        )
        for number, name in enumerate(segments, 1)
    ]
    seg = hd.seg.Segmentation(
        [pydicom.dcmread(p) for p in slices],
        np.stack(list(segments.values()), axis=-1).astype(np.uint8),
        "BINARY",
        described,
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="kit",
        manufacturer_model_name="kit",
        software_versions="1",
        device_serial_number="1",
    )
    seg.save_as(path)
    return path


def box(z: int, x: tuple[float, float], y: tuple[float, float]) -> np.ndarray:
    """Rectangle on slice z as a contour in mm, its corners given in voxels."""
    corners = [(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])]
    return np.array([[*c, z] for c in corners]) * SPACING + ORIGIN


@pytest.fixture
def dicom_files():
    """The builders above, as one object."""
    from types import SimpleNamespace

    return SimpleNamespace(
        series=write_series,
        enhanced=write_enhanced,
        rtstruct=write_rtstruct,
        seg=write_seg,
        box=box,
        volume=volume,
    )


@pytest.fixture
def stored() -> np.ndarray:
    """Values of a small CT, (z, y, x), as a scanner stores them."""
    return np.random.default_rng(1).integers(0, 2000, (6, 10, 12)).astype(np.uint16)


@pytest.fixture
def lesion() -> np.ndarray:
    """A mask of the same shape, (z, y, x)."""
    mask = np.zeros((6, 10, 12), np.uint8)
    mask[2:5, 3:7, 4:9] = 1
    return mask


@pytest.fixture
def pairs(tmp_path, stored, lesion) -> Path:
    """A folder with image and mask of two subjects."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    for subject in ("b", "a"):
        sitk.WriteImage(volume(stored), str(folder / f"{subject}_image.nii.gz"))
        sitk.WriteImage(volume(lesion), str(folder / f"{subject}_mask.nii.gz"))
    return folder


@pytest.fixture(scope="session")
def ibsi_dicom(real, tmp_path_factory) -> Path:
    """The CT phantom's DICOM series and RTSTRUCT, unpacked."""
    folder = tmp_path_factory.mktemp("ibsi") / "phantom"
    archive = real / "ct_radiomics/ibsi_ct_phantom/dicom_series_and_rtstruct.zip"
    zipfile.ZipFile(archive).extractall(folder)
    return folder
