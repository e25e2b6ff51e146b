"""A folder without identity: everything in it is cleaned by its kind, or left out by name."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nextaim_kit import __version__
from nextaim_kit.data.images.dicom import is_dicom, opened
from nextaim_kit.data.privacy import files_of_text, head_volumes, instances, packed, volumes
from nextaim_kit.data.privacy.faces import Faces
from nextaim_kit.data.privacy.folding import words
from nextaim_kit.data.privacy.kanonymity import Generalized
from nextaim_kit.data.privacy.learning import learn_dataset
from nextaim_kit.data.privacy.lexicon import Lexicon
from nextaim_kit.data.privacy.profile import OPTIONS, Profile
from nextaim_kit.data.privacy.scrubbing import Scrubber
from nextaim_kit.data.privacy.secret import load_key
from nextaim_kit.errors import DataError, RequestError, mend_of
from nextaim_kit.files import files_below, refuse_nested, take_place, write_json

_SUFFIXES = words("""
    .dcm .pdf .doc .docx .zip .gz .nii .nrrd .mha .png .jpg .tif .json .csv .xlsx .txt .html
""")
LOG = "deidentification.json"
_SAID = (
    "This is pseudonymous, still personal data (GDPR, recital 26): who has the key can tell who"
    " is who."
    " Without the key nobody can link it back, its owner neither."
)
Progress = Callable[[int, int, str], None]


@dataclass
class Report:
    """What was done with a folder.

    Attributes
    ----------
    written : Counter
        Files by kind.
    left_out : list of (str, str)
        Names of files as they are in the input, and why.
    covered : list of str
        Names, as they are in the input, of images in which writing was covered.
    faces : list of str
        Names, as they are in the input, of images that may still show a face.
    tables : list of Generalized
        How alike the rows of each table are, and what it took.
    found : Counter
        What was replaced or removed, by kind.
    key_made : bool
    """

    written: Counter[str] = field(default_factory=Counter)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    covered: list[str] = field(default_factory=list)
    faces: list[str] = field(default_factory=list)
    tables: list[Generalized] = field(default_factory=list)
    found: Counter[str] = field(default_factory=Counter)
    key_made: bool = False


def deidentify(
    source: Path,
    out: Path,
    key: Path,
    profile: Profile | None = None,
    progress: Progress | None = None,
) -> Report:
    """Write a copy of a folder without identity; the same input and key give the same bytes.

    Parameters
    ----------
    source : Path
    out : Path
        A new folder, not within `source`, nor `source` within it.
    key : Path
        File of the key; made where there is none. Not in `out`.
    profile : Profile, optional
    progress : callable, optional

    Returns
    -------
    Report

    Raises
    ------
    RequestError
        If a folder is not as it has to be, or the key.
    DataError
        If the output cannot be written; then nothing of it is left.
    """
    profile = profile or Profile()
    _refuse_folders(source, out)
    shut: list[Path] = []
    paths = [path for path in files_below(source, shut) if path.resolve() != key.resolve()]
    made = load_key(key, out)
    report = Report(key_made=made[1])
    report.left_out += [
        (str(path.relative_to(source)), "a folder that cannot be opened") for path in shut
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=out.parent))
    inside = Path(tempfile.mkdtemp(prefix=".unpacked-", dir=out.parent))
    try:
        paths = _unpacked(paths, source, inside, report)
        faces = Faces(keep=profile.faces)
        scrubber = Scrubber(made[0], _learned(paths, faces))
        cleaning = _Cleaning((inside, source), partial, scrubber, profile, faces, report)
        for done, path in enumerate(paths, 1):
            cleaning.one(path)
            if progress:
                progress(done, len(paths), f"file {done}")
        report.found = scrubber.counts
        _write_log(partial / LOG, report, profile)
        partial.chmod(0o755)
        take_place(partial, out)
    except OSError as error:
        raise DataError(
            f"cannot write {out.name}", found=error.strerror or str(error), mend=mend_of(error)
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(inside, ignore_errors=True)
    return report


def _refuse_folders(source: Path, out: Path) -> None:
    if not source.is_dir():
        raise RequestError(f"no folder {source}", mend="give the folder to be cleaned")
    refuse_nested(source, out)
    if out.exists() and (not out.is_dir() or any(os.scandir(out))):
        raise RequestError(
            f"{out} is there already", expected="a new folder", mend="move it away, or give another"
        )
    if out.is_dir():
        out.rmdir()


def _unpacked(paths: list[Path], source: Path, inside: Path, report: Report) -> list[Path]:
    """The files of a folder, archives opened: they are unpacked to where nobody else reads."""
    plain = []
    for path in paths:
        if not packed.is_archive(path):
            plain.append(path)
            continue
        place = inside / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            failed = packed.unpack(path, place)
        except DataError as error:
            failed = [(place, f"{error.what}: {error.found}")]
        report.left_out += [(str(one.relative_to(inside)), why) for one, why in failed]
    return sorted(plain) + files_below(inside)


def _learned(paths: list[Path], faces: Faces) -> Lexicon:
    """The people that headers, sidecars and tables tell of."""
    lexicon = Lexicon()
    for path in paths:
        try:
            if is_dicom(path):
                header = opened(path, stop_before_pixels=True)
                faces.see(path, header)
                learn_dataset(lexicon, header)
            elif not volumes.is_volume(path):
                files_of_text.learn(lexicon, path)
        except Exception:  # what cannot be read teaches nothing, and is left out by name below
            continue
    return lexicon


@dataclass
class _Cleaning:
    """What is done with one file after the other."""

    sources: tuple[Path, ...]
    out: Path
    scrubber: Scrubber
    profile: Profile
    faces: Faces
    report: Report
    numbers: dict[Path, list[Path]] = field(default_factory=lambda: defaultdict(list))

    def one(self, path: Path) -> None:
        """Clean one file, or say why it is left out; a fault of the disk ends it all."""
        try:
            self.report.written[self._cleaned(path)] += 1
        except DataError as error:
            if isinstance(error.__cause__, OSError) and error.what.startswith("cannot write"):
                raise error.__cause__ from error
            why = error.what + (f": {error.found}" if error.found else "")
            self.report.left_out.append((self._name(path), why))
        except OSError:
            raise
        except Exception as error:  # a damaged file may raise anything; it is never passed on
            empty = not path.stat().st_size
            why = "it is empty" if empty else f"it cannot be read ({type(error).__name__})"
            self.report.left_out.append((self._name(path), why))

    def _name(self, path: Path) -> str:
        return str(self._below(path))

    def _below(self, path: Path) -> Path:
        return next(path.relative_to(one) for one in self.sources if path.is_relative_to(one))

    def _cleaned(self, path: Path) -> str:
        report, scrubber = self.report, self.scrubber
        if is_dicom(path):
            done = instances.write_instance(path, self.out, scrubber, self.profile, self.faces)
            report.written["with writing covered"] += done.masked
            report.covered += [self._name(path)] * done.masked
            report.written["without its face"] += done.defaced
            report.faces += [self._name(path)] * done.face
            return "DICOM"
        patient = scrubber.lexicon.owner(self._name(path)) or files_of_text.owner_of(path, scrubber)
        target = self._target(path, patient)
        if volumes.is_volume(path):
            self._volume(path, target, patient)
            return "volume"
        kind, tables = files_of_text.write(path, target, scrubber, patient, self.profile.k)
        report.tables += tables
        return kind

    def _target(self, path: Path, patient: str) -> Path:
        """Where a file is written: names that are one without identity are told by a number.

        Files that had one name but for their suffix, as an image and its sidecar, have one number.
        """
        folder, stem, suffix = _named(self._below(path), self.scrubber, patient)
        before = path.with_name(path.name.split(".")[0])
        same = self.numbers[folder / stem]
        if before not in same:
            same.append(before)
        number = same.index(before) + 1
        while True:
            name = stem + (f"_{number}" if number > 1 else "") + suffix
            if not (self.out / folder / name).exists():
                return self.out / folder / name
            number += 1

    def _volume(self, path: Path, target: Path, patient: str) -> None:
        """A volume, its face cut off where it is a head; not where regions are drawn in it."""
        change = None
        report = self.report
        if volumes.has_header(path) and not self.profile.faces:
            change, face = head_volumes.change_of(path, self._said(path))
            report.written["without its face"] += change is not None
            report.faces += [self._name(path)] * face
        elif any(self._beside(path, name) for name, _ in report.left_out):
            raise DataError("the header of these voxels is left out")

        def said(text: str) -> str:
            return self.scrubber.text(text, patient, short=True)

        def named(name: str) -> str:
            beside = path.with_name(name)
            return self._target(beside, self.scrubber.lexicon.owner(self._name(beside))).name

        volumes.write_volume(path, target, said, named, *([change] if change else []))

    def _beside(self, path: Path, name: str) -> bool:
        detached = name.lower().endswith((".nhdr", ".mhd"))
        return detached and Path(name).parent == self._below(path).parent and ".bv" not in path.name

    def _said(self, path: Path) -> str:
        """What names and a sidecar say of a volume."""
        beside = path.with_name(path.name.split(".")[0] + ".json")
        sidecar = beside.read_text("utf-8", "replace")[:20_000] if beside.is_file() else ""
        told = re.findall(r'"(?:BodyPart\w*|ProtocolName|\w*Description)"\s*:\s*"([^"]*)"', sidecar)
        return " ".join([self._name(path), *told])


def _named(path: Path, scrubber: Scrubber, patient: str) -> tuple[Path, str, str]:
    """Folder, name and suffix of a file without identity; pictures become PNG."""
    double = path.name.lower().endswith((".nii.gz", ".img.gz", ".hdr.gz", ".raw.gz"))
    suffix = "".join(path.suffixes[-2:]) if double else path.suffix
    stem = path.name[: len(path.name) - len(suffix)]
    folders = [scrubber.name(_stem(part), patient) for part in path.parent.parts]
    if suffix.lower() in packed.DOCUMENTS:
        suffix = ".txt"
    suffix = ".png" if suffix.lower() in files_of_text.PICTURES else suffix.lower()
    return Path(*folders), scrubber.name(stem, patient), suffix


def _stem(folder: str) -> str:
    return folder.removesuffix(".d").removesuffix(".zip").removesuffix(".ZIP") or folder


def _write_log(path: Path, report: Report, profile: Profile) -> None:
    kinds = Counter(Path(name).suffix.lower() for name, _ in report.left_out)
    left_out = {k if k in _SUFFIXES else "other": 0 for k in kinds}
    for kind, count in kinds.items():
        left_out[kind if kind in left_out else "other"] += count
    write_json(
        path,
        {
            "made_by": f"nextaim_kit {__version__}",
            "said": _SAID,
            "options": [name for name in OPTIONS if getattr(profile, name)],
            "written": dict(sorted((k, v) for k, v in report.written.items() if v)),
            "may_show_a_face": len(report.faces),
            "left_out": dict(sorted(left_out.items())),
            "tables": [
                {"rows": len(t.table), "k_before": t.before, "k": t.after}
                | {"columns": t.columns, "told_less": round(t.lost, 3)}
                for t in report.tables
            ],
            "replaced_or_removed": dict(sorted(report.found.items())),
        },
    )
