"""The images that a DICOM SR speaks of: their headers, or a stand-in's where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom import uid as uids
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DT

from nextaim_kit.data.images.dicom import Instance, opened
from nextaim_kit.data.images.headers import scan
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.report.model import Report

# No day of a patient's: a stand-in has no time, and DICOM wants one.
NO_DATE, NO_TIME = "20000101", "000000"
_NEEDED = {
    "StudyInstanceUID": "study", "SeriesInstanceUID": "series", "SOPClassUID": "kind",
    "SOPInstanceUID": "uid",
}  # fmt: skip
NO_SOURCE = "Stand-in header: no DICOM source"


# What a stand-in claims to be: the plain image of each modality.
_STORAGE = {
    "CT": uids.CTImageStorage,
    "MR": uids.MRImageStorage,
    "MG": uids.DigitalMammographyXRayImageStorageForPresentation,
    "CR": uids.ComputedRadiographyImageStorage,
    "DX": uids.DigitalXRayImageStorageForPresentation,
    "US": uids.UltrasoundImageStorage,
}


def uid(template: str, *of: str) -> str:
    """A UID made from a template's name and texts, the same whenever they are."""
    return str(generate_uid(entropy_srcs=[f"nextaim_kit {template}", *of]))


def timed(document: Dataset, image: Dataset) -> Any:
    """Give a document the times of its image, so that the same content makes the same bytes."""
    date: Any
    time: Any
    date, time = image.get("StudyDate") or NO_DATE, image.get("StudyTime") or NO_TIME
    document.ContentDate = document.InstanceCreationDate = document.SeriesDate = date
    document.ContentTime = document.InstanceCreationTime = document.SeriesTime = time
    for observer in document.get("VerifyingObserverSequence", []):
        observer.VerificationDateTime = f"{date}{time}"
    for equipment in document.get("ContributingEquipmentSequence", []):
        equipment.ContributionDateTime = DT(f"{date}{time}")
    return document


def read_evidence(folder: str | Path, subject: str, *, modality: str = "CT") -> list[Dataset]:
    """Headers of the one series in a folder, sorted by their UIDs: the first whole.

    Of the others only what says what they are. An SR repeats the first one's patient data, name and
    birth date included.

    Raises
    ------
    DataError
        If there is not one series of the modality, it is another patient's than `subject`, or its
        headers lack a UID.
    """
    found = [one for one in scan(Path(folder))[0] if one.modality == modality and one.is_image]
    series = {one.series for one in found}
    if len(series) != 1:
        raise DataError(
            f"the evidence of a report is one {modality} series",
            found=f"{len(series)} {modality} series in {Path(folder).name}",
            mend="give the folder of the series that the values were measured on",
        )
    if {one.patient for one in found} != {subject}:
        raise DataError(
            "the CT is another patient's than the values",
            expected=f"the PatientID {subject}",
            found="another PatientID",
            mend="give this subject's series, or name subjects by their PatientID",
        )
    lacking = [name for name, said in _NEEDED.items() for one in found if not getattr(one, said)]
    if lacking:
        raise DataError(
            "the CT's header does not say what it belongs to",
            expected=", ".join(_NEEDED),
            found=f"no {lacking[0]}",
            mend="export the series again with its UIDs; they may be pseudonyms",
        )
    first, *others = sorted(found, key=lambda one: one.uid)
    whole = opened(first.path, first.stamp, stop_before_pixels=True)
    return [whole, *map(_identified, others)]


def _identified(one: Instance) -> Dataset:
    """A header that only says what it is of."""
    header = Dataset()
    for name, said in _NEEDED.items():
        setattr(header, name, getattr(one, said))
    return header


def stand_in(report: Report) -> list[Dataset]:
    """One image's header without pixels, for values that come without DICOM.

    It says in its series' description that it stands for nothing, and carries no date.

    Raises
    ------
    RequestError
        If the template's modality is not one of the known.
    """
    own, site, subject = report.template, report.site, report.subject
    if own.modality not in _STORAGE:
        raise RequestError(
            f"no stand-in is known for images of modality {own.modality}",
            expected=" or ".join(_STORAGE),
            found=own.modality,
            mend="give the headers of the images themselves",
        )
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID = _STORAGE[own.modality]
    header.SOPInstanceUID = uid(own.name, site, subject, "instance")
    header.StudyInstanceUID = uid(own.name, site, subject, "study")
    header.SeriesInstanceUID = uid(own.name, site, subject, "series")
    header.FrameOfReferenceUID = uid(own.name, site, subject, "frame")
    header.PatientID, header.PatientName = subject, f"{subject}^"
    header.PatientBirthDate = header.PatientSex = ""
    header.StudyDate, header.StudyTime = NO_DATE, NO_TIME
    header.StudyID = header.AccessionNumber = header.ReferringPhysicianName = ""
    header.Modality, header.SeriesDescription = own.modality, NO_SOURCE
    header.SeriesNumber = header.InstanceNumber = 1
    header.Rows = header.Columns = 1
    return [header]
