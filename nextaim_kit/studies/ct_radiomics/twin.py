"""The synthetic twin of the five-site cohort: same schema, same counts, known truth."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from nextaim_kit.files import atomic_path
from nextaim_kit.studies.ct_radiomics import phantom, scanner
from nextaim_kit.studies.ct_radiomics.phantom import Disease
from nextaim_kit.studies.ct_radiomics.scanner import SITES, Scan
from nextaim_kit.twins.twin import Progress, Twin, Who

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
    return twin(seed).patients(n)


def make_twin(
    n: int = TOTAL,
    *,
    seed: int = 2024,
    workers: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Make the twin's CT volumes and masks, or take those that are in the cache already.

    Parameters
    ----------
    n, seed : int
        As for `patients`.
    workers, progress
        As for `Twin.make`.

    Returns
    -------
    DataFrame
        The cohort: that of `patients` with the paths ``image``, ``mask`` and ``lungs``.
    """
    return twin(seed).make(n, workers=workers, progress=progress)


def twin(seed: int = 2024) -> Twin:
    """The five sites' patients."""
    return Twin(
        "ct_radiomics", COUNTS, partial(_draw), partial(_write), _FILES, seed,
        sources=[phantom, scanner], what="synthetic CT",
    )  # fmt: skip


def _draw(who: Who, rng: np.random.Generator) -> tuple[dict[str, float], tuple[Disease, Scan]]:
    logit = rng.normal(CONSOLIDATION[who.label], _CONSOLIDATION_SPREAD)
    disease = Disease(
        volume_ml=float(np.exp(rng.normal(LOG_VOLUME[who.label], _LOG_SPREAD))),
        consolidation=float(1 / (1 + np.exp(-logit))),
        grain_mm=float(np.clip(rng.normal(GRAIN_MM[who.label], _GRAIN_SPREAD), 2.5, 10)),
    )
    scan = SITES[who.site].draw(rng)
    truth = {f"truth_{k}": v for k, v in (vars(disease) | vars(scan)).items()}
    return truth, (disease, scan)


def _write(
    drawn: tuple[Disease, Scan], rng: np.random.Generator, paths: Mapping[str, Path]
) -> None:
    disease, scan = drawn
    hu, lesions, lungs = phantom.chest(scan.spacing, disease, rng)
    volumes = {
        "mask": lesions.astype(np.uint8),
        "lungs": lungs.astype(np.uint8),
        "image": scanner.acquire(hu, scan, rng),
    }
    for name, path in paths.items():
        image = sitk.GetImageFromArray(volumes[name])
        image.SetSpacing(scan.spacing)
        with atomic_path(path) as unfinished:
            sitk.WriteImage(image, str(unfinished), useCompression=True)
