"""The synthetic twin of the five-site cohort: same schema, same counts, known truth."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from nextaim_kit.data import twins
from nextaim_kit.data.files import atomic_path
from nextaim_kit.studies.ct_radiomics import phantom, scanner
from nextaim_kit.studies.ct_radiomics.phantom import Disease
from nextaim_kit.studies.ct_radiomics.scanner import SITES, Scan

# Severe and not severe patients by site, as in the project's talk.
COUNTS = {
    "Florence": (50, 50),
    "Milan": (62, 98),
    "Palermo": (30, 48),
    "Pavia": (25, 18),
    "Pisa": (24, 45),
}
TOTAL = sum(map(sum, COUNTS.values()))
_FILES = {name: f"_{name}.nii.gz" for name in ("mask", "lungs", "image")}

# Means for not severe and severe patients, and the spread within each.
LOG_VOLUME, _LOG_SPREAD = (5.15, 5.85), 0.78  # of ml
CONSOLIDATION, _CONSOLIDATION_SPREAD = (-1.8, -1.15), 0.65  # logit of the share
GRAIN_MM, _GRAIN_SPREAD = (5.1, 6.3), 1.1


def patients(n: int = TOTAL, *, seed: int = 2024) -> pd.DataFrame:
    """Draw the patients without making their images.

    Parameters
    ----------
    n : int
        How many; fewer than 450 keep the proportions, with two of each outcome in every site.
    seed : int

    Returns
    -------
    DataFrame
        ``subject``, ``site``, ``label`` and the truth: ``truth_volume_ml``,
        ``truth_consolidation``, ``truth_grain_mm``, ``truth_kernel_mm``, ``truth_noise_hu``,
        ``truth_offset_hu``, ``truth_thickness_mm``. A subject is the same whatever `n`.
    """
    rows = []
    for subject, site, label in twins.roster(COUNTS, n):
        disease, scan, _ = _draw(subject, site, label, seed)
        truth = {f"truth_{k}": v for k, v in (vars(disease) | vars(scan)).items()}
        rows.append({"subject": subject, "site": site, "label": label, **truth})
    return pd.DataFrame(rows).astype({"label": "Int64"})


def make_twin(
    n: int = TOTAL,
    *,
    seed: int = 2024,
    workers: int | None = None,
    progress: twins.Progress | None = None,
) -> pd.DataFrame:
    """Make the twin's CT volumes and masks, or take those that are in the cache already.

    Parameters
    ----------
    n, seed : int
        As for `patients`.
    workers, progress
        As for `twins.make_files`.

    Returns
    -------
    DataFrame
        The cohort: that of `patients` with the paths ``image``, ``mask`` and ``lungs``.
    """
    folder = twins.twin_folder("ct_radiomics", [phantom, scanner, sys.modules[__name__]], seed)
    return twins.make_files(
        patients(n, seed=seed), _FILES, folder, partial(_make, seed=seed),
        what="synthetic CT", workers=workers, progress=progress,
    )  # fmt: skip


def _draw(
    subject: str, site: str, label: int, seed: int
) -> tuple[Disease, Scan, np.random.Generator]:
    rng = twins.chance(seed, subject)
    logit = rng.normal(CONSOLIDATION[label], _CONSOLIDATION_SPREAD)
    disease = Disease(
        volume_ml=float(np.exp(rng.normal(LOG_VOLUME[label], _LOG_SPREAD))),
        consolidation=float(1 / (1 + np.exp(-logit))),
        grain_mm=float(np.clip(rng.normal(GRAIN_MM[label], _GRAIN_SPREAD), 2.5, 10)),
    )
    return disease, SITES[site].draw(rng), rng


def _make(subject: str, site: str, label: int, folder: Path, *, seed: int) -> str:
    disease, scan, rng = _draw(subject, site, label, seed)
    hu, lesions, lungs = phantom.chest(scan.spacing, disease, rng)
    volumes = {
        "mask": lesions.astype(np.uint8),
        "lungs": lungs.astype(np.uint8),
        "image": scanner.acquire(hu, scan, rng),
    }
    for name in _FILES:
        image = sitk.GetImageFromArray(volumes[name])
        image.SetSpacing(scan.spacing)
        with atomic_path(folder / f"{subject}_{name}.nii.gz") as unfinished:
            sitk.WriteImage(image, str(unfinished), useCompression=True)
    return subject
