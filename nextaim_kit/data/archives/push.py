"""Results go back, to a research archive that holds the pseudonymous study, and over nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nextaim_kit.data.archives.dicomweb import DicomWeb
from nextaim_kit.data.archives.xnat import Xnat, is_whole
from nextaim_kit.data.images.dicom import is_dicom, opened
from nextaim_kit.data.privacy.audit import audit
from nextaim_kit.errors import DataError, KitError, RequestError, refused_if_damaged
from nextaim_kit.files import files_below

_ORPHANS = (
    "the archive does not hold this study under this pseudonym: there it would be nobody's."
    " Results never go to the archive that the patients' own images came from"
)


@dataclass(frozen=True)
class Parcel:
    """One file that is to be sent.

    Parameters
    ----------
    path : Path
    name : str
        Its path below the folder.
    state : str
        ``send``, ``there`` (already, and the same), or why it is not sent.
    patient, study, instance : str
        Of DICOM.
    removed : bool
        Whether its header says that identity was removed.
    """

    path: Path
    name: str
    state: str
    patient: str = ""
    study: str = ""
    instance: str = ""
    removed: bool = False


def plan(folder: Path, archive: DicomWeb | Xnat, *, begin: bool = False) -> list[Parcel]:
    """What would be sent of a folder, and why the rest would not.

    Parameters
    ----------
    folder : Path
    archive : DicomWeb or Xnat
    begin : bool, optional
        Whether studies that the archive does not hold may be sent to it: images that say that
        identity was removed, by which a research archive begins.

    Returns
    -------
    list of Parcel

    Raises
    ------
    RequestError
        If there is no folder, or identity is found in it.
    ArchiveDown, Refused, DataError
    """
    if not folder.is_dir():
        raise RequestError(f"no folder {folder}", mend="give a run's folder, or one of results")
    told = [one for one in audit(folder) if one.verdict == "identity"]
    if told:
        raise RequestError(
            f"{folder.name} tells of people, and is not sent",
            expected="no identity by nextaim data audit",
            found="; ".join(f"{one.file}: {one.where}" for one in told[:3]),
            mend=f"nextaim data audit {folder} names all",
        )
    parcels = [_parcel(path, folder) for path in files_below(folder)]
    if isinstance(archive, DicomWeb):
        return _for_dicomweb(archive, parcels, begin)
    return _for_xnat(archive, parcels, folder.name)


def _parcel(path: Path, folder: Path) -> Parcel:
    name = path.relative_to(folder).as_posix()
    if not is_dicom(path):
        return Parcel(path, name, "no DICOM")
    try:
        with refused_if_damaged(f"{name} cannot be read"):
            data = opened(path, stop_before_pixels=True)
    except (DataError, OSError):
        return Parcel(path, name, "it cannot be read")
    names = ("PatientID", "StudyInstanceUID", "SOPInstanceUID")
    patient, study, instance = (str(data.get(name) or "") for name in names)
    state = "send" if patient and study and instance else "without UIDs"
    removed = data.get("PatientIdentityRemoved") == "YES"
    return Parcel(path, name, state, patient, study, instance, removed)


def _for_dicomweb(archive: DicomWeb, parcels: list[Parcel], begin: bool) -> list[Parcel]:
    studies = {one.study for one in parcels if one.state == "send"}
    holds = {study: archive.holds(study).get(study) for study in sorted(studies)}
    there = {s: archive.instances_of(s) if holds[s] is not None else set() for s in studies}
    out, seen = [], set()
    for one in parcels:
        if one.state == "send":
            held = holds[one.study]
            new = held is None and begin and one.removed
            if one.instance in there[one.study] or one.instance in seen:
                one = replace(one, state="there")
            elif held != one.patient and not new:
                one = replace(one, state=_ORPHANS)
            seen.add(one.instance)
        out.append(one)
    return out


def _for_xnat(archive: Xnat, parcels: list[Parcel], resource: str) -> list[Parcel]:
    patients = {one.patient for one in parcels}
    known = {patient for patient in patients if not patient or archive.holds_subject(patient)}
    held = {patient: archive.resource(patient, resource) for patient in sorted(known)}
    out = []
    for one in parcels:
        if one.patient not in known:
            out.append(replace(one, state=_ORPHANS))
            continue
        row = held[one.patient].get(_flat(one.name))
        same = row is not None and is_whole(row, one.path.read_bytes())
        state = "send" if row is None else "there" if same else "another file has its name there"
        out.append(replace(one, state=state))
    return out


def _flat(name: str) -> str:
    """A path as one name, as XNAT lists it."""
    return name.replace("/", "__")


def send(
    parcels: list[Parcel],
    archive: DicomWeb | Xnat,
    resource: str,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[tuple[Parcel, str]]:
    """Send what is to be sent; gives those that did not arrive, and why.

    Parameters
    ----------
    parcels : list of Parcel
        By `plan`.
    archive : DicomWeb or Xnat
    resource : str
        Name of the resource of XNAT, by which results stay together.
    progress : callable, optional

    Raises
    ------
    RequestError
        If the archive does not let this user in.
    """
    chosen, failed = [one for one in parcels if one.state == "send"], []
    for at, one in enumerate(chosen, 1):
        try:
            _one(one, archive, resource)
        except RequestError:
            raise
        except KitError as error:
            failed.append((one, error.what + (f": {error.found}" if error.found else "")))
        if progress:
            progress(at, len(chosen), one.name)
    if isinstance(archive, DicomWeb):
        studies = {one.study for one in chosen}
        there = set().union(*(archive.instances_of(study) for study in sorted(studies)))
        known = {one for one, _ in failed}
        lost = [one for one in chosen if one.instance not in there and one not in known]
        failed += [(one, "it is not there afterwards") for one in lost]
    return failed


def _one(parcel: Parcel, archive: DicomWeb | Xnat, resource: str) -> None:
    content = parcel.path.read_bytes()
    if isinstance(archive, DicomWeb):
        archive.store(parcel.study, content)
    else:
        archive.put(parcel.patient, resource, _flat(parcel.name), content)
