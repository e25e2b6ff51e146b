"""The synthetic twin of the five-site cohort: same schema, same counts, known truth."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from nextaim_kit.data.files import atomic_path, cache_folder, sha256_of
from nextaim_kit.errors import RequestError
from nextaim_kit.machine.limits import process_count
from nextaim_kit.show.progress import ProgressLine
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
_FILES = ("mask", "lungs", "image")  # the image last: where it is, the others are

Progress = Callable[[int, int, str], None]


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
    for site, counts in _counts(n).items():
        for label, count in ((1, counts[0]), (0, counts[1])):
            for k in range(count):
                subject = f"{site}-{2 * k + 2 - label:03d}"
                disease, scan, _ = _draw(subject, site, label, seed)
                truth = {f"truth_{k}": v for k, v in (vars(disease) | vars(scan)).items()}
                rows.append({"subject": subject, "site": site, "label": label, **truth})
    table = pd.DataFrame(rows).sort_values("subject", ignore_index=True)
    return table.astype({"label": "Int64"})


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
    workers : int, optional
        Processes; by default this machine's cores. The files do not depend on it.
    progress : callable, optional
        Called with the number done, the total and the subject; by default a line is printed.

    Returns
    -------
    DataFrame
        The cohort: that of `patients` with the paths ``image``, ``mask`` and ``lungs``.
    """
    from joblib import Parallel, delayed

    table = patients(n, seed=seed)
    folder = cache_folder() / "twins" / "ct_radiomics" / _version(seed)
    paths = {s: {f: folder / f"{s}_{f}.nii.gz" for f in _FILES} for s in table["subject"]}
    missing = [
        (subject, site, int(label))
        for subject, site, label in table[["subject", "site", "label"]].to_numpy()
        if not paths[subject]["image"].exists()
    ]
    jobs = (delayed(_make)(*patient, seed, folder) for patient in missing)
    pool = Parallel(n_jobs=workers or process_count(), return_as="generator_unordered")
    report = progress or ProgressLine("synthetic CT")
    for done, subject in enumerate(pool(jobs) if missing else (), 1):
        report(done, len(missing), subject)
    for column in ("image", "mask", "lungs"):
        table[column] = [str(paths[s][column]) for s in table["subject"]]
    return table


def _counts(n: int) -> dict[str, tuple[int, int]]:
    if not 20 <= n <= TOTAL:
        raise RequestError("the twin cannot have so many patients", expected=f"20 to {TOTAL}",
                           found=str(n))  # fmt: skip
    wanted = {(s, k): COUNTS[s][k] * n / TOTAL for s in COUNTS for k in (0, 1)}
    given = {key: max(2, int(share)) for key, share in wanted.items()}
    while sum(given.values()) != n:
        step = 1 if sum(given.values()) < n else -1
        able = [key for key in given if step > 0 or given[key] > 2]
        key = max(able, key=lambda key: step * (wanted[key] - given[key]))
        given[key] += step
    return {site: (given[site, 0], given[site, 1]) for site in COUNTS}


def _draw(
    subject: str, site: str, label: int, seed: int
) -> tuple[Disease, Scan, np.random.Generator]:
    rng = np.random.default_rng([seed, zlib.crc32(subject.encode())])
    logit = rng.normal(CONSOLIDATION[label], _CONSOLIDATION_SPREAD)
    disease = Disease(
        volume_ml=float(np.exp(rng.normal(LOG_VOLUME[label], _LOG_SPREAD))),
        consolidation=float(1 / (1 + np.exp(-logit))),
        grain_mm=float(np.clip(rng.normal(GRAIN_MM[label], _GRAIN_SPREAD), 2.5, 10)),
    )
    return disease, SITES[site].draw(rng), rng


def _make(subject: str, site: str, label: int, seed: int, folder: Path) -> str:
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
        with atomic_path(folder / f"{subject}_{name}.nii.gz") as partial:
            sitk.WriteImage(image, str(partial), useCompression=True)
    return subject


def _version(seed: int) -> str:
    """Name of the folder: another seed or another phantom makes other files."""
    sources = [sha256_of(path) for path in (__file__, phantom.__file__, scanner.__file__)]
    return hashlib.sha256(f"{seed} {sources}".encode()).hexdigest()[:12]
