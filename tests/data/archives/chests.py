"""Synthetic chest CTs as a hospital holds them: DICOM, with made-up names."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

NAMES = ("Zanfregan^Oldrada", "Brughetti^Ansovino", "Tarquezzi^Ildebranda", "Mezzalupo^Gisberto")
IDENTITIES = ["Zanfregan", "Brughetti", "Tarquezzi", "Mezzalupo", "Quavallesca", "QV-0077"]
_ROOT = "1.2.826.0.1.3680043.8.498.7"


def studies(images: list[Path], count: int) -> Iterator[list[bytes]]:
    """Files of so many studies, of as many patients, from a few images in turn."""
    for number in range(count):
        image = sitk.DICOMOrient(sitk.ReadImage(str(images[number % len(images)])), "LPS")
        yield [_file(one) for one in _slices(image, number)]


def _slices(image: sitk.Image, number: int) -> Iterator[Dataset]:
    dx, dy, dz = image.GetSpacing()
    study = f"{_ROOT}.{number + 1}"
    for k, plane in enumerate(sitk.GetArrayViewFromImage(image)):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = (
            ExplicitVRLittleEndian,
            CTImageStorage,
        )
        meta.MediaStorageSOPInstanceUID = f"{study}.1.{k + 1}"
        one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        one.StudyInstanceUID, one.SeriesInstanceUID = study, f"{study}.1"
        one.FrameOfReferenceUID, one.Modality, one.InstanceNumber = f"{study}.2", "CT", k + 1
        one.PatientName, one.PatientID = NAMES[number % len(NAMES)], f"QV-0077{number:03d}"
        one.PatientBirthDate, one.PatientSex, one.PatientAge = "19500412", "F", "069Y"
        one.StudyDate, one.StudyTime, one.StudyID = "20190312", "101500", str(number)
        one.AccessionNumber, one.InstitutionName = f"ACC77{number:05d}", "Ospedale Quavallesca"
        one.ReferringPhysicianName = NAMES[(number + 1) % len(NAMES)]
        surname = NAMES[(number + 1) % len(NAMES)].partition("^")[0]
        one.StudyDescription, one.SeriesDescription = "Torace senza mdc", f"torace, dott. {surname}"
        one.ImagePositionPatient, one.SliceThickness = [0, 0, round(k * dz, 4)], round(dz, 4)
        one.ImageOrientationPatient, one.PixelSpacing = [1, 0, 0, 0, 1, 0], [dy, dx]
        one.Rows, one.Columns, one.SamplesPerPixel = *plane.shape, 1
        one.PhotometricInterpretation, one.PixelRepresentation = "MONOCHROME2", 0
        one.BitsAllocated = one.BitsStored = 16
        one.HighBit, one.RescaleSlope, one.RescaleIntercept = 15, 1, -1024
        one.PixelData = (plane.astype(np.int32) + 1024).clip(0).astype(np.uint16).tobytes()
        yield one


def _file(data: Dataset) -> bytes:
    held = io.BytesIO()
    data.save_as(held, enforce_file_format=True)
    return held.getvalue()
