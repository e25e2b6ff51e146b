"""One DICOM file without identity: header, file meta, pixels, name."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, Sequence
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    PYDICOM_IMPLEMENTATION_UID,
    UID,
    ExplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    RawDataStorage,
)

from nextaim_kit.data.images.dicom import opened
from nextaim_kit.data.privacy.burnt_in import CannotLook, Looked, clean_pixels
from nextaim_kit.data.privacy.elements import ElementCleaner
from nextaim_kit.data.privacy.faces import Faces, cutter
from nextaim_kit.data.privacy.profile import Profile
from nextaim_kit.data.privacy.scrubbing import Scrubber
from nextaim_kit.errors import DataError
from nextaim_kit.files import atomic_path

_METHOD = "DICOM PS3.15 Basic Profile, nextaim_kit"
_DOCUMENTS = "1.2.840.10008.5.1.4.1.1.104."  # encapsulated PDF, CDA and models
_STANDARD = "1.2.840.10008."
_HEADER_OF_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True)
class Written:
    """What became of one instance.

    Parameters
    ----------
    path : Path
        Where it lies, below the output.
    masked : bool
        Whether writing in its pixels was covered.
    defaced : bool
        Whether a face was cut off.
    face : bool
        Whether one may still be seen.
    """

    path: Path
    masked: bool
    defaced: bool
    face: bool


def write_instance(
    path: Path, out: Path, scrubber: Scrubber, profile: Profile, faces: Faces
) -> Written:
    """Write a DICOM file without identity, below `out`, named by its new UIDs.

    Raises
    ------
    DataError
        If it is of a kind that cannot be cleaned, its pixels cannot be looked at, or it is of a
        head whose face cannot be cut off.
    """
    return write_dataset(opened(path), path, out, scrubber, profile, faces)


def write_dataset(
    data: Dataset, path: Path, out: Path, scrubber: Scrubber, profile: Profile, faces: Faces
) -> Written:
    """Write a data set without identity, as `write_instance` does; `path` is its name in errors.

    The data set is changed. It may have come from anywhere, and need not lie on a disk.

    Raises
    ------
    DataError
    """
    refuse_kind(data, path)
    patient = str(data.get("PatientID") or "").strip() or _stand_in(data)
    cleaner = ElementCleaner(scrubber, profile)
    cut, face = faces.of(data)
    try:
        looked = clean_pixels(data, cutter(data, path, cut) if cut else None)
    except CannotLook as error:
        raise DataError(
            f"{path.name} is left out: {error}", mend="see its pixels by hand"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of values against the standard, which go or stay as they are
        cleaner.clean(data, patient)
    stamp(data, scrubber.key.pseudonym(patient), profile, looked, cleaner.private, bool(cut))
    target = out / _place(data)
    _write(data, target)
    scrubber.counts.update(cleaner.removed)
    return Written(target, looked.masked, cut is not None, face)


def refuse_kind(data: Dataset, path: Path) -> None:
    """Refuse what no rule cleans: documents in a DICOM envelope, raw data, makers' own kinds.

    Raises
    ------
    DataError
    """
    meta = getattr(data, "file_meta", FileMetaDataset())
    kind = UID(str(data.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or ""))
    why = ""
    if kind == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in data:
        why = "a DICOMDIR, which lists names and does not fit the new files"
    elif kind.startswith(_DOCUMENTS) or "EncapsulatedDocument" in data:
        why = "a document (PDF, CDA or model) in a DICOM envelope"
    elif kind == RawDataStorage or not kind.startswith(_STANDARD):
        why = f"an object of a kind that is not the standard's ({kind or 'none'})"
    if why:
        raise DataError(
            f"{path.name} is left out: {why}", mend="pass it on by hand, once looked at"
        )


def _stand_in(data: Dataset) -> str:
    """Who an instance without a patient's number belongs to: the name, else the study."""
    name = f"{data.get('PatientName') or ''}|{data.get('PatientBirthDate') or ''}"
    return name if len(name) > 1 else str(data.get("StudyInstanceUID") or "")


def stamp(
    data: Dataset, pseudonym: str, profile: Profile, looked: Looked, private: bool, defaced: bool
) -> None:
    """Set who it is now, and what was done (PS3.15 E.1.1, codes of CID 7050)."""
    if data.get("SpecificCharacterSet") or not _is_ascii(data):
        data.SpecificCharacterSet = "ISO_IR 192"
    data.PatientName = data.PatientID = pseudonym
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = _METHOD
    items = []
    for code, meaning in profile.codes(pixels=looked.masked, private=private, faces=defaced):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", meaning
        items.append(item)
    data.DeidentificationMethodCodeSequence = Sequence(items)
    data.LongitudinalTemporalInformationModified = "MODIFIED" if profile.dates else "REMOVED"
    if looked.looked:
        data.BurnedInAnnotation = "NO"
    if defaced:
        data.RecognizableVisualFeatures = "NO"


def _is_ascii(data: Dataset) -> bool:
    return all(
        str(element.value).isascii()
        for element in data.iterall()
        if element.VR in ("LO", "SH", "ST", "LT", "UT", "UC", "PN")
    )


def _place(data: Dataset) -> Path:
    """Folder and name of an instance: patient, study, series, instance, by their new UIDs."""
    uids = [
        str(data.get(k) or "none")
        for k in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    ]
    return Path(str(data.PatientID), uids[0], uids[1], f"{uids[2]}.dcm")


def _write(data: Dataset, target: Path) -> None:
    """Write with a new file meta and an empty preamble: neither is data of the patient."""
    if not data.get("SOPInstanceUID"):
        raise DataError(
            "an instance without a SOPInstanceUID", expected="one, by which it is named"
        )
    if target.exists():
        raise DataError(
            "two files hold the same instance", expected="one file for each SOPInstanceUID"
        )
    old = data.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = data.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    meta.TransferSyntaxUID = old
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = "NEXTAIM_KIT"
    data.file_meta, data.preamble = meta, b"\0" * 128
    with atomic_path(target) as partial:
        data.save_as(partial, enforce_file_format=True)
