"""The synthetic twin of the six-hospital cohort: films, lung masks and the clinical table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from PIL import Image

from nextaim_kit.errors import RequestError
from nextaim_kit.files import atomic_path
from nextaim_kit.studies.cxr_severity import variables
from nextaim_kit.studies.cxr_severity.phantom import (
    chest,
    exposure,
    laboratory,
    shapes,
    skeleton,
    soft_tissue,
    wires,
)
from nextaim_kit.studies.cxr_severity.phantom.chest import Disease, draw_chest
from nextaim_kit.studies.cxr_severity.phantom.exposure import ROOMS, expose
from nextaim_kit.twins.twin import Progress, Twin, Who, chance

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
Cables = Literal["severe", "none", "mild"]
Outline = Literal["aerated", "behind heart"]
# Mean number of electrodes, mild and severe: the shortcut.
CABLES: dict[str, tuple[float, float]] = {
    "severe": (0.4, 3.0),
    "none": (0.0, 0.0),
    "mild": (3.0, 0.4),
}
OUTLINES = ("aerated", "behind heart")
_FILES = {"lungs": "_lungs.png", "lesions": "_lesions.png", "image": "_film.png"}


@dataclass(frozen=True)
class Patient:
    """What is drawn of a patient before the film is taken."""

    site: str
    disease: Disease
    cables: int
    tilt: float
    inverted: bool


def patients(n: int = TOTAL, *, seed: int = 2024, cables: Cables = "severe") -> pd.DataFrame:
    """Draw the patients without making their films.

    Parameters
    ----------
    n : int
        How many; fewer than 1103 keep the proportions, with two of each outcome per hospital.
    seed : int
    cables : {"severe", "none", "mild"}
        Who wears electrodes more often; all else of a patient is the same.

    Returns
    -------
    DataFrame
        ``subject``, ``site``, ``label`` (1: severe), the 13 clinical variables of the study, and
        the truth: ``truth_extent`` and ``truth_density`` of the opacities, ``truth_cables``,
        ``truth_inverted``. A subject is the same whatever `n`.

    Raises
    ------
    RequestError
        If `n` or `cables` cannot be.
    """
    return twin(seed, cables=cables).patients(n)


def make_twin(
    n: int = TOTAL,
    *,
    size: int = 256,
    cables: Cables = "severe",
    outline: Outline = "aerated",
    seed: int = 2024,
    workers: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Make the twin's films and lung masks, or take those that are in the cache already.

    Parameters
    ----------
    n, seed, cables
        As for `patients`.
    size : int
        Edge of the films in pixels.
    outline : {"aerated", "behind heart"}
        What the lungs' masks cover: lung beside the shadow of the heart and its vessels, or also
        what that hides, as many readers draw it. The films are the same.
    workers, progress
        As for `Twin.make`.

    Returns
    -------
    DataFrame
        The cohort: that of `patients` with the paths ``image`` (8-bit PNG, inverted where
        ``truth_inverted``), ``lungs`` (0; 1: the patient's right lung; 2: the left one) and
        ``lesions`` (1 within the lungs where opacities take at least `chest.LESION_SHARE` of
        the air).

    Raises
    ------
    RequestError
        If an option cannot be.
    """
    _known("outline", outline, OUTLINES)
    made = twin(seed, cables=cables, size=size, outline=outline)
    return made.make(n, workers=workers, progress=progress)


def twin(seed: int, *, cables: Cables, size: int = 256, outline: Outline = "aerated") -> Twin:
    """The six hospitals' patients."""
    _known("cables", cables, CABLES)
    return Twin(
        "cxr_severity", COUNTS, partial(_draw, cables=cables, seed=seed),
        partial(_write, size=size, outline=outline), _FILES, seed,
        sources=[chest, exposure, laboratory, shapes, skeleton, soft_tissue, variables, wires],
        what="synthetic films",
    )  # fmt: skip


def _known(name: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise RequestError(
            f"there are no such {name}", expected=" or ".join(choices), found=repr(value)
        )


def _draw(
    who: Who, rng: np.random.Generator, *, cables: str, seed: int
) -> tuple[dict[str, Any], Patient]:
    burden = rng.normal()
    logit = EXTENT[who.label] + _EXTENT_SPREAD * burden
    # The count has a chance of its own, so that nothing else depends on who wears electrodes.
    count = chance(seed, f"{who.subject} cables").poisson(CABLES[cables][who.label])
    patient = Patient(
        site=who.site,
        disease=Disease(float(1 / (1 + np.exp(-logit))), float(rng.uniform(0.3, 0.75))),
        cables=int(count),
        tilt=float(rng.normal(0, 2.0)),
        inverted=bool(rng.random() < ROOMS[who.site].inverted),
    )
    row = laboratory.clinical(who.site, who.label, burden, rng) | {
        "truth_extent": patient.disease.extent,
        "truth_density": patient.disease.density,
        "truth_cables": patient.cables,
        "truth_inverted": patient.inverted,
    }
    return row, patient


def _write(
    patient: Patient,
    rng: np.random.Generator,
    paths: Mapping[str, Path],
    *,
    size: int,
    outline: str,
) -> None:
    drawn, room = draw_chest(size, patient.disease, rng), ROOMS[patient.site]
    taken = expose(drawn, room, cables=patient.cables, tilt=patient.tilt, rng=rng)
    lungs = taken.lungs if outline == "aerated" else taken.whole
    pictures = {
        "lungs": lungs,
        "lesions": (taken.lesions & (lungs > 0)).astype(np.uint8),
        "image": 255 - taken.film if patient.inverted else taken.film,
    }
    for name, path in paths.items():
        with atomic_path(path) as unfinished:
            Image.fromarray(pictures[name]).save(unfinished, format="PNG", compress_level=1)
