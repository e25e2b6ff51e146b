"""A folder without identity: everything in it is cleaned by its kind, or left out by name."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nextaim_kit import __version__
from nextaim_kit.data.images.dicom import is_dicom, opened
from nextaim_kit.data.privacy import files_of_text, instances, volumes
from nextaim_kit.data.privacy.folding import words
from nextaim_kit.data.privacy.kanonymity import Generalized
from nextaim_kit.data.privacy.learning import learn_dataset
from nextaim_kit.data.privacy.lexicon import Lexicon
from nextaim_kit.data.privacy.profile import OPTIONS, Profile
from nextaim_kit.data.privacy.scrubbing import Scrubber
from nextaim_kit.data.privacy.secret import load_key
from nextaim_kit.errors import DataError, RequestError, mend_of
from nextaim_kit.files import files_below, take_place, write_json

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
    tables : list of Generalized
        How alike the rows of each table are, and what it took.
    found : Counter
        What was replaced or removed, by kind.
    key_made : bool
    """

    written: Counter[str] = field(default_factory=Counter)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    covered: list[str] = field(default_factory=list)
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
    scrubber = Scrubber(made[0], _learned(paths, source))
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=out.parent))
    try:
        for done, path in enumerate(paths, 1):
            _one(path, source, partial, scrubber, profile, report)
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
    return report


def _refuse_folders(source: Path, out: Path) -> None:
    if not source.is_dir():
        raise RequestError(f"no folder {source}", mend="give the folder to be cleaned")
    a, b = source.resolve(), out.resolve()
    if a.is_relative_to(b) or b.is_relative_to(a):
        raise RequestError(
            "input and output lie in one another",
            expected="an output beside the input: else what is cleaned lies with what is not",
            mend="give another output",
        )
    if out.exists() and (not out.is_dir() or any(os.scandir(out))):
        raise RequestError(
            f"{out} is there already", expected="a new folder", mend="move it away, or give another"
        )
    if out.is_dir():
        out.rmdir()


def _learned(paths: list[Path], source: Path) -> Lexicon:
    """The people that headers, sidecars and tables tell of."""
    lexicon = Lexicon()
    for path in paths:
        try:
            if is_dicom(path):
                learn_dataset(lexicon, opened(path, stop_before_pixels=True))
            elif not volumes.is_volume(path):
                files_of_text.learn(lexicon, path)
        except Exception:  # what cannot be read teaches nothing, and is left out by name below
            continue
    return lexicon


def _one(
    path: Path, source: Path, out: Path, scrubber: Scrubber, profile: Profile, report: Report
) -> None:
    """Clean one file, or say why it is left out; a fault of the disk ends it all."""
    name = str(path.relative_to(source))
    try:
        report.written[_cleaned(path, source, out, scrubber, profile, report)] += 1
    except DataError as error:
        if isinstance(error.__cause__, OSError) and error.what.startswith("cannot write"):
            raise error.__cause__ from error
        report.left_out.append((name, error.what + (f": {error.found}" if error.found else "")))
    except OSError:
        raise
    except Exception as error:  # a damaged file may raise anything; it is never passed on
        report.left_out.append((name, f"it cannot be read ({type(error).__name__})"))


def _cleaned(
    path: Path, source: Path, out: Path, scrubber: Scrubber, profile: Profile, report: Report
) -> str:
    if is_dicom(path):
        done = instances.write_instance(path, out, scrubber, profile)
        report.written["with writing covered"] += done.masked
        report.covered += [str(path.relative_to(source))] * done.masked
        if done.head:
            report.written["of a head, not defaced"] += 1
        return "DICOM"
    patient = scrubber.lexicon.owner(str(path.relative_to(source))) or files_of_text.owner_of(
        path, scrubber
    )
    target = out / _named(path.relative_to(source), scrubber, patient)
    if target.exists():
        raise DataError("another file has the same name once names are taken out")
    if volumes.is_volume(path):
        volumes.write_volume(path, target, scrubber, patient)
        return "volume"
    kind, tables = files_of_text.write(path, target, scrubber, patient, profile.k)
    report.tables += tables
    return kind


def _named(path: Path, scrubber: Scrubber, patient: str) -> Path:
    """Path of a file without identity, its suffixes as they are."""
    suffix = (
        "".join(path.suffixes[-2:])
        if path.name.endswith((".nii.gz", ".img.gz", ".hdr.gz"))
        else path.suffix
    )
    stem = path.name[: len(path.name) - len(suffix)]
    folders = [scrubber.name(part, patient) for part in path.parent.parts]
    return Path(*folders, scrubber.name(stem, patient) + suffix.lower())


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
            "left_out": dict(sorted(left_out.items())),
            "tables": [
                {"rows": len(t.table), "k_before": t.before, "k": t.after}
                | {"columns": t.columns, "told_less": round(t.lost, 3)}
                for t in report.tables
            ],
            "replaced_or_removed": dict(sorted(report.found.items())),
        },
    )
