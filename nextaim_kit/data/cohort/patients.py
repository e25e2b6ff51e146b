"""Which DICOM files of a folder belong to one subject, and which of them are image and mask."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nextaim_kit.data.images import dicom

Home = tuple[str, ...]  # folders that tell a subject from others; the last one names it


def patients_of(instances: list[dicom.Instance], folder: Path) -> dict[Home, list[dicom.Instance]]:
    """Files of each subject, by its folders.

    A sub-folder with images is a subject, unless it holds several patients, who are then told
    apart inside it, as in the exports of archives. Where images and masks lie in folders apart,
    and where patients share a folder, each gets a pseudonym made from the PatientID.
    """
    groups: dict[str, list[dicom.Instance]] = defaultdict(list)
    for item in instances:
        parts = item.path.relative_to(folder).parts
        groups[parts[0] if len(parts) > 1 else ""].append(item)
    images = {name for name, of in groups.items() if name and any(i.is_image for i in of)}
    masks = {name for name, of in groups.items() if name and any(i.is_mask for i in of)}
    if not images or (masks and not masks & images):
        return _by_patient(instances)
    found: dict[Home, list[dicom.Instance]] = {}
    for name, group in groups.items():
        if name and len({i.patient for i in group}) > 1:
            inside = patients_of(group, folder / name)
            found |= {(name, *home): files for home, files in inside.items()}
        else:
            found[(name,) if name else ()] = group
    return found


def _by_patient(instances: list[dicom.Instance]) -> dict[Home, list[dicom.Instance]]:
    patients: dict[str, list[dicom.Instance]] = defaultdict(list)
    for item in instances:
        patients[item.patient].append(item)
    if len(patients) <= 1:
        return {(): instances} if instances else {}
    return {(pseudonym(patient),): group for patient, group in patients.items()}


def pseudonym(patient: str) -> str:
    """Name for a patient that keeps the PatientID out of tables and file names."""
    return "sub-" + hashlib.sha256(patient.encode()).hexdigest()[:8]


def series_of(group: Iterable[dicom.Instance]) -> tuple[list[dicom.Instance], list[Path]]:
    """Slices of the one image series that is meant, and the files of masks.

    Raises
    ------
    ValueError
        If there is no image series, or it is not clear which.
    """
    from nextaim_kit.data.images import dicom  # here, since pseudonyms need no pydicom

    masks = [i.path for i in group if i.is_mask]
    series: dict[str, list[dicom.Instance]] = defaultdict(list)
    for item in group:
        if item.is_image:
            series[item.series].append(item)
    if not series:
        raise ValueError("no image series")
    if len(series) > 1 and len(masks) == 1:
        meant = dicom.references(masks[0]) & set(series)
        series = {uid: series[uid] for uid in meant} if len(meant) == 1 else series
    if len(series) > 1:
        there = [f"{of[0].modality} of {len(of)} …{uid[-8:]}" for uid, of in sorted(series.items())]
        raise ValueError(
            f"{len(series)} image series ({', '.join(there[:5])}); "
            "name one in a cohort.csv as image=FOLDER#END_OF_ITS_UID"
        )
    return next(iter(series.values())), masks


def place_of_series(slices: list[dicom.Instance], instances: Iterable[dicom.Instance]) -> str:
    """Folder of a series; with the UID, since other series may lie in it."""
    folder = os.path.commonpath([item.path.parent for item in slices])
    uid = slices[0].series
    others = (i for i in instances if i.is_image and i.series != uid)
    return f"{folder}#{uid}" if any(i.path.is_relative_to(folder) for i in others) else folder
