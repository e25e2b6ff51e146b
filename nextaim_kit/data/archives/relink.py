"""Results under the patients' own numbers again: for who holds the key and the original images.

A pseudonym cannot be undone. Who has the key makes those of the original numbers once more, and
sees which is which.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset

from nextaim_kit.data.images.dicom import is_dicom, opened
from nextaim_kit.data.privacy.learning import values_of
from nextaim_kit.data.privacy.secret import Key
from nextaim_kit.errors import DataError, RequestError, refused_if_damaged
from nextaim_kit.files import atomic_path, files_below, private_folder, refuse_nested

_TEXTS = {".csv", ".tsv", ".json", ".txt", ".md", ".html"}
_STANDS = re.compile(r"\bP[A-Z2-7]{10}\b|\b2\.25\.\d{1,39}\b")
_OF_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "IssuerOfPatientID")
_OF_STUDY = (
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "StudyDescription",
    "ReferringPhysicianName",
)  # fmt: skip
_STAMPS = (
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)  # fmt: skip


@dataclass
class Originals:
    """Pseudonyms, and whose they are.

    Parameters
    ----------
    key : Key
    """

    key: Key
    names: dict[str, str] = field(default_factory=dict)  # pseudonym or UID: the original
    people: dict[str, Dataset] = field(default_factory=dict)  # pseudonym: the patient's elements
    studies: dict[str, Dataset] = field(default_factory=dict)  # original UID: the study's

    def learn(self, data: Dataset) -> None:
        """Learn what one original header calls patient, study, series, instance and the rest."""
        number = str(data.get("PatientID") or "").strip()
        if number:
            pseudonym = self.key.pseudonym(number)
            self.names[pseudonym] = number
            self.people.setdefault(pseudonym, _those(data, _OF_PATIENT))
        self.studies.setdefault(str(data.get("StudyInstanceUID")), _those(data, _OF_STUDY))
        for element in data.iterall():
            if element.VR == "UI":
                for uid in map(str, values_of(element)):
                    self.names[self.key.uid(uid)] = uid


def _those(data: Dataset, names: Iterable[str]) -> Dataset:
    found = Dataset()
    found.update({data[name].tag: data[name] for name in names if name in data})
    return found


def originals_of(headers: Iterable[Dataset], key: Key) -> Originals:
    """What original headers say, such as those of `headers_of` or of an archive.

    Raises
    ------
    RequestError
        If there is none.
    """
    found = Originals(key)
    for header in headers:
        found.learn(header)
    if not found.names:
        raise RequestError("no original image is there", expected="the images that were pulled")
    return found


def headers_of(folder: Path) -> Iterator[Dataset]:
    """Headers of the DICOM files below a folder."""
    for path in files_below(folder):
        if is_dicom(path):
            with refused_if_damaged(f"{path.name} cannot be read"):
                yield opened(path, stop_before_pixels=True)


def relink(folder: Path, originals: Originals, out: Path) -> tuple[int, list[str]]:
    """Write a copy of results under the original numbers, readable by its owner alone.

    Parameters
    ----------
    folder : Path
    originals : Originals
    out : Path
        A new folder, not within `folder`.

    Returns
    -------
    written : int
    left : list of str
        Files that name none of these patients, or cannot be changed.

    Raises
    ------
    RequestError
        If a folder is not as it has to be, or nothing fits: then the key, or the originals, are
        others.
    """
    refuse_nested(folder, out)
    if not folder.is_dir() or out.exists():
        raise RequestError(
            "folders of results and of their copy are not as they have to be",
            expected=f"results in {folder}, and {out} new and elsewhere",
        )
    changed: list[tuple[Path, Callable[[Path], None]]] = []
    left = []
    for path in files_below(folder):
        name = path.relative_to(folder)
        write = _dicom(path, originals) if is_dicom(path) else _text(path, originals)
        changed += [(name, write)] if write else []
        left += [] if write else [name.as_posix()]
    if not changed:
        raise RequestError(
            f"nothing in {folder.name} is of these patients",
            expected="results made with this key from these originals",
            mend="give the key and the originals of the same pull",
        )
    private_folder(out)
    for name, write in changed:
        with atomic_path(out / name, mode=0o600) as partial:
            write(partial)
    return len(changed), left


def _text(path: Path, originals: Originals) -> Callable[[Path], None] | None:
    if path.suffix.lower() not in _TEXTS:
        return None
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    new = _STANDS.sub(lambda found: originals.names.get(found[0], found[0]), text)
    if new == text:
        return None
    content = new.encode("utf-8", "surrogateescape")

    def write(to: Path) -> None:
        to.write_bytes(content)

    return write


def _dicom(path: Path, originals: Originals) -> Callable[[Path], None] | None:
    try:
        with refused_if_damaged(path.name):
            data = opened(path)
    except DataError:
        return None
    pseudonym = str(data.get("PatientID") or "")
    own = originals.people.get(pseudonym)
    if own is None:
        return None
    _back(data, originals)
    study = originals.studies.get(str(data.get("StudyInstanceUID")), Dataset())
    for name in (*_STAMPS, *_OF_PATIENT, *_OF_STUDY):
        data.pop(name, None)
    data.update(own)
    data.update(study)
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    return lambda to: data.save_as(to, enforce_file_format=True)


def _back(data: Dataset, originals: Originals) -> None:
    """Put original UIDs into a data set and its items; those that results made stay."""
    for element in data.iterall():
        uids = [str(one) for one in values_of(element)] if element.VR == "UI" else []
        new = [originals.names.get(uid, uid) for uid in uids]
        if new != uids:
            element.value = new if len(new) > 1 else new[0]
