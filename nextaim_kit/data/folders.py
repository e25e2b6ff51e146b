"""Subjects found in a folder: pairs of image and mask files, or DICOM series with their masks."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from nextaim_kit.data import dicom

Row = dict[str, str]
_PAIR = re.compile(
    r"(?P<subject>.+)_(?P<role>image|mask|label|seg)"
    r"\.(nii|nii\.gz|nrrd|mha|dcm)$",
    re.IGNORECASE,
)
# A volume that stands for a subject by itself; masks beside it do not.
_VOLUME = re.compile(
    r"(?P<subject>.+?)(?<!_mask)(?<!_label)(?<!_seg)(?<!_lungs)(?<!_lesions)"
    r"\.(nii|nii\.gz|nrrd|mha)$",
    re.IGNORECASE,
)


def subjects_in(folder: Path, *, need_mask: bool = True) -> tuple[list[Row], list[Row]]:
    """Find the subjects of a folder.

    Pairs ``<subject>_image.*`` with ``<subject>_mask|label|seg.*``; where there are none, DICOM:
    one sub-folder per subject, or one patient's files directly in the folder. Names come from
    folders. Several patients in one flat folder get a pseudonym made from their PatientID. Where
    no mask is needed, each other volume in a file of its own (NIfTI, NRRD, MetaImage), also in a
    sub-folder, is a subject, named by its file, or by its folder where it is alone there.

    Parameters
    ----------
    folder : Path
    need_mask : bool, optional
        Whether a subject without a mask is of no use.

    Returns
    -------
    subjects : list of dict
        ``subject``, ``image``, and ``mask`` where there is one, sorted by subject.
    problems : list of dict
        ``subject`` and ``problem`` of each subject that was left out.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    if any((match := _PAIR.match(p.name)) and _role(match) == "image" for p in files):
        return _sorted_out(_pairs(files), _pair_row, need_mask)
    instances, damaged = dicom.scan(folder)
    patients = _patients(instances, folder, need_mask)
    rows, problems = _sorted_out(patients, _dicom_row, need_mask)
    problems = _with_damage(problems, damaged, folder)
    if need_mask:
        return rows, problems
    return _with_volumes(rows, problems, folder)


def _with_volumes(
    rows: list[Row], problems: list[Row], folder: Path
) -> tuple[list[Row], list[Row]]:
    """Rows with those of volumes in one file each, of which none has a name that is there twice."""
    found: dict[str, list[Path]] = defaultdict(list)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    together = Counter(path.parent for path in files)
    for path in files:
        if (match := _VOLUME.match(path.name)) and not path.name.startswith("."):
            alone = path.parent != folder and together[path.parent] == 1
            found[path.parent.name if alone else match["subject"]].append(path)
    taken = {row["subject"] for row in rows}
    for subject, paths in sorted(found.items()):
        if len(paths) > 1 or subject in taken:
            problem = f"{len(paths)} volumes of this name: {', '.join(map(dicom.named, paths))}"
            problems.append({"subject": subject, "problem": problem})
        else:
            rows.append({"subject": subject, "image": str(paths[0])})
    return sorted(rows, key=lambda row: row["subject"]), problems


def _with_damage(problems: list[Row], damaged: list[Path], folder: Path) -> list[Row]:
    """Problems with the damaged files that may explain them, by the subject's folder."""
    of: dict[str, list[Path]] = defaultdict(list)
    for path in damaged:
        parts = path.relative_to(folder).parts
        of[parts[0] if len(parts) > 1 else folder.resolve().name].append(path)
    told = [
        {**row, "problem": f"{row['problem']}; {_damage(of.pop(row['subject']))}"}
        if row["subject"] in of
        else row
        for row in problems
    ]
    return told + [{"subject": name, "problem": _damage(files)} for name, files in of.items()]


def _damage(files: list[Path]) -> str:
    return f"{len(files)} damaged file{'s' * (len(files) > 1)}: {_names(files[:5])}"


def _sorted_out(
    subjects: Mapping[str, Any], row: Callable[[Any, bool], Row], need_mask: bool
) -> tuple[list[Row], list[Row]]:
    rows, problems = [], []
    for subject, files in sorted(subjects.items()):
        try:
            rows.append({"subject": subject, **row(files, need_mask)})
        except ValueError as error:
            problems.append({"subject": subject, "problem": str(error)})
    return rows, problems


def _role(match: re.Match[str]) -> str:
    return "image" if match["role"].lower() == "image" else "mask"


def _pairs(files: list[Path]) -> dict[str, dict[str, list[Path]]]:
    pairs: dict[str, dict[str, list[Path]]] = defaultdict(lambda: {"image": [], "mask": []})
    for path in files:
        if not path.name.startswith(".") and (match := _PAIR.match(path.name)):
            pairs[match["subject"]][_role(match)].append(path)
    return pairs


def _pair_row(pair: dict[str, list[Path]], need_mask: bool) -> Row:
    row = {"image": str(_only(pair["image"], "image"))}
    if need_mask or pair["mask"]:
        row["mask"] = str(_only(pair["mask"], "mask"))
    return row


def _only(files: list[Path], what: str) -> Path:
    if len(files) == 1:
        return files[0]
    raise ValueError(f"no {what}" if not files else f"{len(files)} {what}s: {_names(files)}")


def _names(files: Iterable[Path]) -> str:
    return ", ".join(path.name for path in files)


def _patients(
    instances: list[dicom.Instance], folder: Path, need_mask: bool
) -> dict[str, list[dicom.Instance]]:
    groups: dict[str, list[dicom.Instance]] = defaultdict(list)
    for item in instances:
        parts = item.path.relative_to(folder).parts
        groups[parts[0] if len(parts) > 1 else ""].append(item)
    if any(name and _complete(group, need_mask) for name, group in groups.items()):
        return {name or folder.resolve().name: group for name, group in groups.items()}
    return _by_patient(instances, folder)


def _complete(group: list[dicom.Instance], need_mask: bool) -> bool:
    return any(i.is_image for i in group) and (not need_mask or any(i.is_mask for i in group))


def _by_patient(instances: list[dicom.Instance], folder: Path) -> dict[str, list[dicom.Instance]]:
    patients: dict[str, list[dicom.Instance]] = defaultdict(list)
    for item in instances:
        patients[item.patient].append(item)
    if len(patients) == 1:
        return {folder.resolve().name: instances}
    return {pseudonym(patient): group for patient, group in patients.items()}


def pseudonym(patient: str) -> str:
    """Name for a patient that keeps the PatientID out of tables and file names."""
    return "sub-" + hashlib.sha256(patient.encode()).hexdigest()[:8]


def _dicom_row(group: list[dicom.Instance], need_mask: bool) -> Row:
    masks = [i.path for i in group if i.is_mask]
    series: dict[str, list[dicom.Instance]] = defaultdict(list)
    for item in group:
        if item.is_image:
            series[item.series].append(item)
    if not series:
        raise ValueError("no image series")
    mask = _only(masks, "mask") if need_mask or masks else None
    if len(series) > 1 and mask:
        meant = dicom.references(mask) & set(series)
        series = {uid: series[uid] for uid in meant} if len(meant) == 1 else series
    if len(series) > 1:
        ends = ", ".join(sorted(uid[-8:] for uid in series))
        raise ValueError(f"{len(series)} image series, UIDs ending in {ends}")
    image = _place(*series.popitem())
    return {"image": image, "mask": str(mask)} if mask else {"image": image}


def _place(uid: str, slices: list[dicom.Instance]) -> str:
    """Folder of a series; with the UID, since other series may lie in it."""
    folder = os.path.commonpath([item.path.parent for item in slices])
    others, _ = dicom.scan(Path(folder))
    alone = all(item.series == uid for item in others if item.is_image)
    return folder if alone else f"{folder}#{uid}"
