"""Synthetic CTs, made once for all tests of the study."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from nextaim_kit.studies.ct_lungquant.twin import make_twin


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep what fixtures of a whole module measure out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXTAIM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def twin_of(tmp_path_factory):
    """Make 12 small patients, once for each way of storing or scanning."""
    folder = tmp_path_factory.mktemp("twin")

    def make(**options) -> pd.DataFrame:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NEXTAIM_CACHE", str(folder))
            return make_twin(12, **{"size": (64, 48, 40), "workers": 1} | options)

    return make


@pytest.fixture(scope="session")
def ct(twin_of):
    """The CT of a mildly ill patient in HU, axes LPS; not to be changed."""
    path = twin_of().set_index("subject")["image"]["A-002"]
    return sitk.Cast(sitk.DICOMOrient(sitk.ReadImage(path), "LPS"), sitk.sitkInt16)


@pytest.fixture(scope="session")
def with_voxels():
    """Give an image other voxels, shape (z, y, x), on the same grid."""

    def change(image, voxels):
        changed = sitk.GetImageFromArray(voxels)
        changed.CopyInformation(image)
        return changed

    return change


@pytest.fixture(scope="session")
def write_series():
    """Write the slices of an image with axes LPS as a DICOM series; gives the folder."""
    root = "1.2.826.0.1.3680043.8.498"

    def write(image, folder, *, series="1", leave_out=(), rescale=True, modality="CT", tilt=0.0):
        folder.mkdir(parents=True, exist_ok=True)
        dx, dy, dz = image.GetSpacing()
        for k, plane in enumerate(sitk.GetArrayFromImage(image)):
            if k in leave_out:
                continue
            meta = FileMetaDataset()
            meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = (
                ExplicitVRLittleEndian, CTImageStorage,
            )  # fmt: skip
            meta.MediaStorageSOPInstanceUID = f"{root}.{series}.{k + 1}"
            path = folder / f"{series}_{k:03d}.dcm"
            one = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
            one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
            one.Modality, one.PatientID, one.SeriesInstanceUID = modality, "P", f"{root}.{series}"
            one.ImagePositionPatient = [0, round(k * dz * np.tan(tilt), 4), round(k * dz, 4)]
            one.ImageOrientationPatient, one.PixelSpacing = [1, 0, 0, 0, 1, 0], [dy, dx]
            one.Rows, one.Columns, one.SamplesPerPixel = *plane.shape, 1
            one.PhotometricInterpretation, one.PixelRepresentation = "MONOCHROME2", 0
            one.BitsAllocated = one.BitsStored = 16
            one.HighBit = 15
            if rescale:
                one.RescaleSlope, one.RescaleIntercept = 1, -1024
            one.PixelData = (plane.astype(int) + 1024).clip(0, 65535).astype(np.uint16).tobytes()
            one.save_as(path, enforce_file_format=True)
        return folder

    return write
