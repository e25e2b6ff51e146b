"""Subjects found in a folder, whatever its layout, and what of the folder is left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from nextaim_kit.data.cohort.layouts import Subject, group
from nextaim_kit.data.cohort.patients import patients_of, place_of_series, series_of
from nextaim_kit.data.images import dicom
from nextaim_kit.data.images.headers import scan
from nextaim_kit.data.paths import files_of, is_volume, split_choice
from nextaim_kit.files import files_below

Row = dict[str, str]
_PACKED = (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar")
_NAMED = 3  # files of each kind that are named, beside their count


class Found(NamedTuple):
    """What a folder holds: `subjects` that can be used, and `problems` with the others.

    `seen` says which layouts there are and what was left out, counted, the first few by name.
    """

    subjects: list[Row]
    problems: list[Row]
    seen: str


def subjects_in(folder: Path, needed: Sequence[str] = ("image", "mask")) -> Found:
    """Find the subjects of a folder.

    DICOM by its headers (`patients.patients_of`), NIfTI, NRRD and MetaImage by their names and
    those of their folders (`layouts.group`); masks in these formats may lie beside a series. Where
    several subjects have one name, the names of their folders are added.

    Parameters
    ----------
    folder : Path
    needed : sequence of str, optional
        Roles (``image``, ``mask``, ``lungs``) without which a subject is of no use.
    """
    shut: list[Path] = []
    files = files_below(folder, shut)
    instances, damaged = scan(folder)
    headers = {*damaged, *(i.path for i in instances)}
    volumes = [path for path in files if is_volume(path.name) and path not in headers]
    subjects, layouts = group(volumes, folder)
    series = _of_dicom(instances, folder)
    for found in series:
        _take_masks(found, subjects)
    layouts |= {"DICOM"} if series else set()
    rows, problems, known = [], _damage(damaged, folder), {*damaged}
    for name, subject in _named([*subjects, *series], folder.resolve().name):
        try:
            row = _row(subject, needed)
            rows.append({"subject": name, **row})
            known |= _files(row, subject)
        except ValueError as error:
            problems[name] = "; ".join(filter(None, [str(error), problems.get(name)]))
            known |= {*subject.slices, *subject.image, *subject.mask, *subject.lungs}
    left = [path for path in files if path not in known and path.name != "DICOMDIR"]
    told = [{"subject": name, "problem": problem} for name, problem in problems.items()]
    rows.sort(key=lambda row: row["subject"])
    layouts = layouts or {"no image" if subjects else "no volume and no DICOM"}
    return Found(rows, told, _told(layouts, left, headers, shut, folder))


def without_row(folder: Path, named: Iterable[str]) -> str:
    """What to say of the volumes that a folder's table does not name; nothing if there are none."""
    known = {file for path in named for file in files_of(split_choice(path)[0].absolute())}
    volumes = [path for path in files_below(folder.absolute()) if is_volume(path.name)]
    left = [path for path in volumes if path not in known]
    return _told({"cohort.csv"}, left, set(), [], folder.absolute()) if left else ""


def _of_dicom(instances: list[dicom.Instance], folder: Path) -> list[Subject]:
    subjects = []
    for home, items in patients_of(instances, folder).items():
        subject = Subject(home, "")
        try:
            slices, subject.mask = series_of(items)
            subject.slices = [item.path for item in slices]
            subject.image = [Path(place_of_series(slices, instances))]
        except ValueError as error:
            subject.slices, subject.problem = [item.path for item in items], str(error)
        subjects.append(subject)
    return subjects


def _take_masks(series: Subject, subjects: list[Subject]) -> None:
    """Give a series the volumes beside it that are masks without an image."""
    near = [s for s in subjects if not s.image and s.home[: len(series.home)] == series.home]
    for subject in near:
        series.mask += subject.mask
        series.lungs += subject.lungs
        subjects.remove(subject)


def _named(subjects: list[Subject], folder: str) -> list[tuple[str, Subject]]:
    names = [s.name or (s.home[-1] if s.home else folder) for s in subjects]
    twice = {name for name, count in Counter(names).items() if count > 1}
    for at, subject in enumerate(subjects):
        if names[at] in twice:
            parts = subject.home if subject.name in ("", *subject.home[-1:]) else (
                *subject.home, subject.name
            )  # fmt: skip
            names[at] = "_".join(parts) or names[at]
    return sorted(zip(names, subjects, strict=True), key=lambda one: one[0])


def _row(subject: Subject, needed: Sequence[str]) -> Row:
    """The one file of each role; ValueError where one that is needed is not there or not alone."""
    if subject.problem:
        raise ValueError(subject.problem)
    row = {}
    for role in ("image", "mask", "lungs"):
        files = getattr(subject, role)
        if len(files) == 1:
            row[role] = str(files[0])
        elif files and role in needed:
            raise ValueError(f"{len(files)} {role}s: {_names(files)}; name one in a cohort.csv")
        elif role in needed:
            raise ValueError(f"no {role}")
    return row


def _files(row: Row, subject: Subject) -> set[Path]:
    places = [split_choice(row[role])[0] for role in row]
    return {*subject.slices, *(file for place in places for file in files_of(place))}


def _damage(damaged: list[Path], folder: Path) -> dict[str, str]:
    """What to say of damaged DICOM files, by the sub-folder they lie in."""
    of: dict[str, list[Path]] = defaultdict(list)
    for path in damaged:
        parts = path.relative_to(folder).parts
        of[parts[0] if len(parts) > 1 else folder.resolve().name].append(path)
    return {
        name: f"{len(files)} damaged file{'s' * (len(files) > 1)}: {_names(files)}"
        for name, files in of.items()
    }


def _told(
    layouts: Iterable[str], left: list[Path], headers: set[Path], shut: list[Path], folder: Path
) -> str:
    kinds: dict[str, list[Path]] = {"DICOM": [], "volumes": [], "packed": [], "other files": []}
    for path in left:
        packed, volume = path.name.lower().endswith(_PACKED), is_volume(path.name)
        dicoms = path in headers
        kind = "DICOM" if dicoms else "volumes" if volume else "packed" if packed else "other files"
        kinds[kind].append(path)
    kinds["folders shut or linked twice"] = shut
    parts = [
        f"{kind}: {len(of)} ({_some(path.relative_to(folder) for path in of)})"
        for kind, of in kinds.items()
        if of
    ]
    seen = f"{folder.resolve().name}: {', '.join(sorted(layouts))}"
    return seen + (f"; left out: {'; '.join(parts)}" if parts else "")


def _names(files: Iterable[Path]) -> str:
    return _some(Path(path.name) for path in files)


def _some(paths: Iterable[Path]) -> str:
    names = [path.as_posix() for path in paths]
    return ", ".join(names[:_NAMED]) + (
        f" and {len(names) - _NAMED} more" if names[_NAMED:] else ""
    )
