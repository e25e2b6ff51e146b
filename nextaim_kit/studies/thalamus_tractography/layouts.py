"""Subjects as people keep them: BIDS, a folder of dcm2niix's, TractSeg's results; and BIDS out."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.data.cohort.loading import load_cohort, no_twin
from nextaim_kit.data.cohort.tables import resolved
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.errors import DataError
from nextaim_kit.files import atomic_path, files_below, write_json, write_text
from nextaim_kit.studies.thalamus_tractography.definitions import BUNDLES, TARGETS
from nextaim_kit.studies.thalamus_tractography.truth import Truth, read_truth

PATHS = ("t1", "dwi", "bval", "bvec", "json", "reversed", "reversed_bval", "reversed_bvec",
         "truth", "peaks", "fa", "mask", "bundles", "endings", "thalamus_left",
         "thalamus_right")  # fmt: skip
COLUMNS = ("subject", "site", "kind", *PATHS)
_NIFTI = (".nii.gz", ".nii")
_PAIR = re.compile(r"(?<![A-Za-z])(AP|PA)(?![A-Za-z])")
_OPPOSITE = {"AP": "PA", "PA": "AP"}
# What TractSeg and those who go on from it call their files, by the columns here.
_TRACTSEG = {
    "peaks": ("peaks.nii.gz",), "fa": ("FA.nii.gz", "fa.nii.gz"), "t1": ("T1w.nii.gz", "T1.nii.gz"),
    "mask": ("nodif_brain_mask.nii.gz", "brain_mask.nii.gz"), "bundles": ("bundle_segmentations",),
    "endings": ("endings_segmentations",), "thalamus_left": ("derived_thalamus_left.nii.gz",
    "thalamus_left.nii.gz"), "thalamus_right": ("derived_thalamus_right.nii.gz",
    "thalamus_right.nii.gz"),
}  # fmt: skip


def load_subjects(spec: str, *, twin: Callable[[], pd.DataFrame] = no_twin) -> pd.DataFrame:
    """Find the subjects of a cohort.

    Parameters
    ----------
    spec : str
        ``synthetic``; a BIDS folder (``sub-*/[ses-*/]dwi``); subjects of the Human Connectome
        Project (``*/T1w/Diffusion``); a folder of series as dcm2niix writes them, whose pair with
        the opposite phase encoding has AP and PA in its names; TractSeg's folder of one subject,
        or one of such folders; a ``cohort.csv`` with columns of those
        here; or a data set's name.
    twin : callable, optional
        Makes the synthetic twin.

    Returns
    -------
    DataFrame
        ``subject``, ``site``, ``kind`` (``series``, or ``peaks`` of TractSeg), and paths, empty
        where there is none: `PATHS`. ``attrs["problems"]`` names what was left out
        (`data.problems`).

    Raises
    ------
    RequestError
        If the spec stands for nothing.
    DataError
        If no subject is found.
    """
    source = find_source(spec)
    place, problems = source.path, []
    if source.synthetic:
        table = load_cohort(source, twin=twin, columns=("dwi",))
    elif place.is_file() or (place / "cohort.csv").is_file():
        table = load_cohort(source, columns=("dwi", "bval", "bvec"))
        problems = table.attrs["problems"]
        table = table[~table["subject"].isin({one["subject"] for one in problems})]
        table = resolved(table, place if place.is_dir() else place.parent, PATHS)
    else:
        rows, problems = _in_folder(place)
        table = pd.DataFrame(rows, dtype=object)
        if table.empty:
            raise _nobody(source.name, problems)
    held = {name: table.get(name, pd.Series("", table.index)).fillna("") for name in PATHS}
    kind = np.where(held["peaks"] != "", "peaks", "series")
    table = table.assign(**held, kind=kind, site=table.get("site", "unknown"))
    rest = [name for name in table if name not in (*COLUMNS, "label")]
    table = table[[*COLUMNS, *rest]].sort_values("subject").reset_index(drop=True)
    table.attrs["problems"] = problems
    return table


def _in_folder(place: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    tractseg = [p.parent for p in files_below(place) if p.name == "peaks.nii.gz"]
    if tractseg:
        return [_tractseg(folder, place) for folder in tractseg], []
    series, problems = [], []
    for image in (p for p in files_below(place) if _is_series(p)):
        row = _series(image, place)
        absent = [end for end in ("bval", "bvec") if not row[end]]
        if absent:
            told = f"{image.name}: no .{' and no .'.join(absent)} beside it"
            problems.append({"subject": row["subject"], "problem": told})
        else:
            series.append(row)
    return _paired(series, problems), problems


def _is_series(path: Path) -> bool:
    if not path.name.endswith(_NIFTI) or path.parent.name in ("anat", "fmap"):
        return False
    inside = "derivatives" not in path.parts
    named = "dwi" in path.name.lower() or _of_hcp(path)
    return inside and (named or _beside(path, ".bval") is not None)


def _of_hcp(image: Path) -> bool:
    """Whether a series lies as the Human Connectome Project has it: T1w/Diffusion/data.nii.gz."""
    return image.parts[-3:] == ("T1w", "Diffusion", "data.nii.gz")


def _series(image: Path, place: Path) -> dict[str, str]:
    """A row of one series and what lies beside it."""
    stem, parts = _stem(image), image.relative_to(place).parts
    bids = [part for part in parts[:-1] if re.fullmatch(r"(sub|ses)-[A-Za-z0-9]+", part)]
    row = {"subject": "_".join(bids) or stem, "dwi": str(image), "name": stem}
    row |= {end: str(_beside(image, f".{end}") or "") for end in ("bval", "bvec", "json")}
    home = image.parent.parent
    t1 = sorted((home / "anat").glob("*T1w.nii*")) if bids else []
    row["t1"] = str(t1[0]) if t1 else ""
    maps = sorted((home / "fmap").glob("*epi.nii*")) if bids else []
    row["mask"] = ""
    if _of_hcp(image):
        row["subject"] = image.parents[2].name
        for column, path in (("t1", home / "T1w_acpc_dc_restore_1.25.nii.gz"),
                             ("mask", image.with_name("nodif_brain_mask.nii.gz"))):  # fmt: skip
            row[column] = str(path) if path.is_file() else ""
    row["reversed"] = str(maps[0]) if maps else ""
    known = place / "derivatives" / "truth" / row["subject"] / "truth.npz"
    row["truth"] = str(known) if known.is_file() else ""
    return row


def _paired(series: list[dict[str, str]], problems: list[dict[str, str]]) -> list[dict[str, str]]:
    """One row a subject: of series with AP and PA in their names one is the other's pair."""
    by_name, taken, rows = {row["name"]: row for row in series}, set(), []
    for row in series:
        said = _PAIR.search(row["name"])
        other = said and by_name.get(_PAIR.sub(_OPPOSITE[said[1]], row["name"]))
        if row["name"] in taken or not other or row["reversed"]:
            continue
        taken.add(other["name"])
        row |= {"reversed": other["dwi"], "reversed_bval": other["bval"],
                "reversed_bvec": other["bvec"]}  # fmt: skip
    seen: set[str] = set()
    for row in (row for row in series if row["name"] not in taken):
        if row["subject"] in seen:
            told = f"{row['name']}: a second series of one subject, left out"
            problems.append({"subject": row["subject"], "problem": told})
            continue
        seen.add(row["subject"])
        rows.append({name: text for name, text in row.items() if name != "name"})
    return rows


def _tractseg(folder: Path, place: Path) -> dict[str, str]:
    row = {"subject": folder.name if folder != place else place.resolve().name}
    for column, names in _TRACTSEG.items():
        there = [folder / name for name in names if (folder / name).exists()]
        row[column] = str(there[0]) if there else ""
    return row


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _beside(image: Path, end: str) -> Path | None:
    found = image.with_name(_stem(image) + end)
    named = [found, image.with_name(_stem(image) + end + "s")]
    named += [image.with_name(end[1:] + "s")] if _of_hcp(image) else []
    return next((path for path in named if path.is_file()), None)


def _nobody(name: str, problems: Iterable[Mapping[str, str]]) -> DataError:
    return DataError(
        f"{name} holds no diffusion series",
        expected="BIDS (sub-01/dwi/sub-01_dwi.nii.gz), NIfTI with .bval and .bvec beside it, or "
        "TractSeg's peaks.nii.gz",
        found="; ".join(one["problem"] for one in list(problems)[:3]),
        mend="convert DICOM with dcm2niix, or name the files in a cohort.csv: subject, dwi, bval, "
        "bvec, and t1, json, reversed where there are",
    )


def save_bids(table: pd.DataFrame, folder: str | Path) -> Path:
    """Write subjects as a BIDS folder, which `load_subjects` reads.

    Parameters
    ----------
    table : DataFrame
        Of `load_subjects` or the twin; rows without a series are left out.
    folder : str or Path

    Returns
    -------
    Path
        The folder. Of synthetic subjects ``derivatives/truth`` has what is known, as ``truth.npz``
        and, for other programs, as NIfTI.

    References
    ----------
    .. [1] Gorgolewski KJ, et al. Sci Data 2016;3:160044. doi:10.1038/sdata.2016.44
    """
    root, names = Path(folder), {}
    for row in table.to_dict("records"):
        if not row.get("dwi"):
            continue
        name = "sub-" + re.sub(r"[^A-Za-z0-9]", "", str(row["subject"]).removeprefix("sub-"))
        names[name] = row
        files = {"t1": f"anat/{name}_T1w", "dwi": f"dwi/{name}_dwi", "bval": f"dwi/{name}_dwi",
                 "bvec": f"dwi/{name}_dwi", "json": f"dwi/{name}_dwi",
                 "reversed": f"fmap/{name}_dir-reversed_epi"}  # fmt: skip
        for column, target in files.items():
            if row.get(column):
                _copied(Path(row[column]), root / name / target)
        if row.get("truth"):
            _save_truth(read_truth(row["truth"]), root / "derivatives" / "truth" / name)
            _copied(Path(row["truth"]), root / "derivatives" / "truth" / name / "truth")
    says = {"Name": "nextaim_kit subjects", "BIDSVersion": "1.9.0", "DatasetType": "raw"}
    write_json(root / "dataset_description.json", says)
    lines = [f"{name}\t{row.get('site', 'unknown')}" for name, row in names.items()]
    write_text(root / "participants.tsv", "\n".join(["participant_id\tsite", *lines]) + "\n")
    return root


def _copied(source: Path, target: Path) -> None:
    end = "".join(source.suffixes[-2:] if source.suffix == ".gz" else source.suffixes[-1:])
    with atomic_path(target.with_name(target.name + end)) as unfinished:
        shutil.copyfile(source, unfinished)


def _save_truth(truth: Truth, folder: Path) -> None:
    import nibabel

    maps: dict[str, Any] = {
        "brain": truth.brain, "thalamus": truth.thalamus, "tissue": truth.tissue,
        "parcels": truth.parcels, "connectivity": truth.connectivity, "fa": truth.fa,
        "tensor": truth.tensor, "field": truth.field,
        "fibers": (truth.directions * truth.fractions[..., None]).reshape(*truth.brain.shape, 9),
    }  # fmt: skip
    for name, values in maps.items():
        kind = np.float32 if values.dtype.kind == "f" else np.uint8
        with atomic_path(folder / f"{name}.nii.gz") as unfinished:
            nibabel.save(nibabel.Nifti1Image(values.astype(kind), truth.affine), unfinished)
    points = {name: [round(float(x), 3) for x in at] for name, at in truth.points.items()}
    write_json(folder / "truth.json", {
        "targets": list(TARGETS), "bundles": list(BUNDLES), "points_mm": points,
        "motion": truth.motion.tolist(), "eddy": truth.eddy.tolist(),
        "t1_to_dwi": truth.t1_to_dwi.tolist(), "synthetic": True,
    })  # fmt: skip
