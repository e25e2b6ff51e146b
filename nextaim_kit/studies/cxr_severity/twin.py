"""The synthetic twin of the six-hospital cohort: films, lung masks and the clinical table."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from nextaim_kit.data import twins
from nextaim_kit.data.files import atomic_path
from nextaim_kit.studies.cxr_severity import chest, clinic, film
from nextaim_kit.studies.cxr_severity.chest import Disease, draw_chest
from nextaim_kit.studies.cxr_severity.film import ROOMS, expose

# Severe and mild patients by hospital, as released.
COUNTS = {
    "A": (85, 35),
    "B": (45, 59),
    "C": (81, 70),
    "D": (63, 76),
    "E": (46, 55),
    "F": (248, 240),
}
TOTAL = sum(map(sum, COUNTS.values()))
# Mean and spread of the logit of the opaque share of the lungs, mild and severe.
EXTENT, _EXTENT_SPREAD = (-2.2, -1.0), 0.9
# Mean number of electrodes, mild and severe: the shortcut.
CABLES = (0.5, 2.2)
_FILES = {"lungs": "_lungs.png", "image": "_film.png"}


@dataclass(frozen=True)
class Patient:
    """What is drawn of a patient before the film is taken."""

    disease: Disease
    cables: int
    tilt: float
    inverted: bool
    clinical: dict[str, float]


def patients(n: int = TOTAL, *, seed: int = 2024) -> pd.DataFrame:
    """Draw the patients without making their films.

    Parameters
    ----------
    n : int
        How many; fewer than 1103 keep the proportions, with two of each outcome per hospital.
    seed : int

    Returns
    -------
    DataFrame
        ``subject``, ``site``, ``label`` (1: severe), the 13 clinical variables of the study, and
        the truth: ``truth_extent`` and ``truth_density`` of the opacities, ``truth_cables``,
        ``truth_inverted``. A subject is the same whatever `n`.
    """
    rows = []
    for subject, site, label in twins.roster(COUNTS, n):
        patient, _ = _draw(subject, site, label, seed)
        truth = {
            "truth_extent": patient.disease.extent,
            "truth_density": patient.disease.density,
            "truth_cables": patient.cables,
            "truth_inverted": patient.inverted,
        }
        row = {"subject": subject, "site": site, "label": label}
        rows.append(row | patient.clinical | truth)
    return pd.DataFrame(rows).astype({"label": "Int64"})


def make_twin(
    n: int = TOTAL,
    *,
    size: int = 256,
    cables: bool = True,
    seed: int = 2024,
    workers: int | None = None,
    progress: twins.Progress | None = None,
) -> pd.DataFrame:
    """Make the twin's films and lung masks, or take those that are in the cache already.

    Parameters
    ----------
    n, seed : int
        As for `patients`.
    size : int
        Edge of the films in pixels.
    cables : bool
        Without them the same patients lose the shortcut.
    workers, progress
        As for `twins.make_files`.

    Returns
    -------
    DataFrame
        The cohort: that of `patients` with the paths ``image`` (8-bit PNG, inverted where
        ``truth_inverted``) and ``lungs`` (0; 1: the patient's right lung; 2: the left one).
    """
    sources = [chest, clinic, film, sys.modules[__name__]]
    folder = twins.twin_folder("cxr_severity", sources, size, cables, seed)
    return twins.make_files(
        patients(n, seed=seed), _FILES, folder, partial(_make, size=size, cables=cables, seed=seed),
        what="synthetic films", workers=workers, progress=progress,
    )  # fmt: skip


def _draw(subject: str, site: str, label: int, seed: int) -> tuple[Patient, np.random.Generator]:
    rng = twins.chance(seed, subject)
    burden = rng.normal()
    logit = EXTENT[label] + _EXTENT_SPREAD * burden
    patient = Patient(
        disease=Disease(float(1 / (1 + np.exp(-logit))), float(rng.uniform(0.3, 0.75))),
        cables=int(rng.poisson(CABLES[label])),
        tilt=float(rng.normal(0, 2.0)),
        inverted=bool(rng.random() < ROOMS[site].inverted),
        clinical=clinic.clinical(site, label, burden, rng),
    )
    return patient, rng


def _make(
    subject: str, site: str, label: int, folder: Path, *, size: int, cables: bool, seed: int
) -> str:
    patient, rng = _draw(subject, site, label, seed)
    drawn = draw_chest(size, patient.disease, rng)
    count = patient.cables if cables else 0
    taken, lungs, _ = expose(drawn, ROOMS[site], cables=count, tilt=patient.tilt, rng=rng)
    pictures = {"lungs": lungs, "image": 255 - taken if patient.inverted else taken}
    for name, end in _FILES.items():
        with atomic_path(folder / f"{subject}{end}") as unfinished:
            Image.fromarray(pictures[name]).save(unfinished, format="PNG")
    return subject
