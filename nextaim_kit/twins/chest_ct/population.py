"""A synthetic cohort of three sites: chest CTs with masks of lungs and lesions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.errors import RequestError
from nextaim_kit.files import write_text
from nextaim_kit.twins.chest_ct import (
    acquisition,
    anatomy,
    bones,
    build,
    grid,
    lesions,
    organs,
    patient_slice,
    tree,
    tubes,
    writing,
)
from nextaim_kit.twins.chest_ct.acquisition import Kernel, Scan, acquire
from nextaim_kit.twins.chest_ct.anatomy import Chest, add_branches, draw_chest
from nextaim_kit.twins.chest_ct.grid import Labels
from nextaim_kit.twins.chest_ct.lesions import Disease, plant
from nextaim_kit.twins.chest_ct.writing import check_axes, save_volume
from nextaim_kit.twins.twin import Twin, Who

Size = tuple[int, int, int]
SIZE: Size = (200, 150, 100)
_SOURCES = [
    acquisition, anatomy, bones, build, grid, lesions, organs, patient_slice, tree, tubes, writing,
]  # fmt: skip
Known = Callable[[Chest, Labels], dict[str, Any]]
# Patients of whose lungs a quarter or more is ill, and the others, by site.
COUNTS = {"A": (24, 46), "B": (28, 42), "C": (18, 42)}
TOTAL = sum(map(sum, COUNTS.values()))
SEVERE = 0.25
_FILES = {
    "lungs": "_lungs.nii.gz",
    "lesions": "_lesions.nii.gz",
    "image": "_ct.nii.gz",
}


@dataclass(frozen=True)
class Hospital:
    """How a site scans: its slices in mm, the share of sharp kernels, and the noise in HU."""

    slices_mm: tuple[float, ...]
    sharp: float
    noise_hu: float


SITES = {
    "A": Hospital((1.0, 1.5), 0.75, 13.0),
    "B": Hospital((3.0, 5.0), 0.25, 16.0),
    "C": Hospital((5.0, 8.0), 0.4, 20.0),
}


def patients(
    n: int = TOTAL,
    *,
    slice_mm: float | None = None,
    kernel: Kernel | None = None,
    seed: int = 2024,
) -> pd.DataFrame:
    """Draw the patients without making their images.

    Parameters
    ----------
    n : int
        How many; fewer than 200 keep the proportions, with two of each label in every site.
    slice_mm : float, optional
        Thickness of all slices, 0.5 to 12; by default each site has its own.
    kernel : {"smooth", "sharp"}, optional
        Of all scans; by default each site has its own.
    seed : int

    Returns
    -------
    DataFrame
        ``subject``, ``site``, ``label`` (1: a quarter of the lungs or more is ill), ``slice_mm``,
        ``kernel``, ``noise_hu`` (before the kernel), and ``truth_involvement`` (%) and
        ``truth_consolidation`` (share of the lesions) as drawn. A subject is the same whatever
        `n`, and its body and disease whatever the scan.

    Raises
    ------
    RequestError
        If `n`, `slice_mm` or `kernel` cannot be.
    """
    return twin(seed, slice_mm=slice_mm, kernel=kernel).patients(n)


def twin(
    seed: int = 2024,
    *,
    size: Size = SIZE,
    slice_mm: float | None = None,
    kernel: Kernel | None = None,
    axes: str = "LPS",
    known: Known | None = None,
    sources: Sequence[ModuleType] = (),
    ways: Mapping[str, tuple[float, Kernel]] | None = None,
) -> Twin:
    """The three sites' patients: `Twin.make` makes their CTs and masks.

    Parameters
    ----------
    seed, slice_mm, kernel
        As for `patients`.
    size : (int, int, int)
        Voxels in x, y, z of a field of 400 mm in x and 340 mm in z: square in the slice, so that
        y must be three quarters of x at least. A patient is the same at every size.
    axes : str
        Where the axes of the stored array point to: L or R, P or A, S or I, in any order. The
        affine says it too, so that voxels keep their place in the patient.
    known : callable, optional
        A function of a module, which counts what was planted: of the chest and its lesions
        (1: ground glass, 2: consolidation) it gives a dict of what JSON can hold, for `counted`.
    sources : sequence of modules, optional
        What `known` needs beside its own module: where their code changes, all is made anew.
    ways : mapping of str to (float, {"smooth", "sharp"}), optional
        Further scans of the same patients with slices of so many mm and that kernel, whatever the
        first one was; they take far less time than another twin.

    Returns
    -------
    Twin
        Its cohort is that of `patients` with the paths ``image`` (HU, int16), ``lungs`` (1: the
        patient's right, 2: left), ``lesions`` (1: ground glass, 2: consolidation), an image for
        each of `ways` under its name and, where something is `known`, ``truth``.

    Raises
    ------
    RequestError
        If an option cannot be.
    """
    check_axes(axes)
    files = {"truth": "_truth.json"} if known else {}
    files |= {way: f"_{way.replace(' ', '_')}.nii.gz" for way in ways or ()}
    return Twin(
        "chest_ct", COUNTS, partial(_draw, slice_mm=slice_mm, kernel=kernel),
        partial(_write, size=_checked_size(size), axes=axes, known=known, ways=ways or {}),
        {**files, **_FILES}, seed, sources=[*_SOURCES, *sources], what="synthetic CT",
    )  # fmt: skip


def counted(table: pd.DataFrame) -> pd.DataFrame:
    """A twin's cohort with what was `known` in columns ``truth_...`` in place of ``truth``."""
    found = pd.DataFrame([json.loads(Path(path).read_text()) for path in table["truth"]])
    return table.drop(columns="truth").assign(**found.add_prefix("truth_"))


def _checked_size(size: Size) -> Size:
    whole = tuple(int(n) for n in size)
    if len(whole) != 3 or whole != tuple(size) or not 16 <= min(whole) <= max(whole) <= 1024:
        raise RequestError(
            "a CT cannot have this size", expected="three numbers from 16 to 1024", found=str(size)
        )
    if whole[1] < 0.75 * whole[0]:
        raise RequestError(
            "the field is too low for a chest",
            expected=f"{int(np.ceil(0.75 * whole[0]))} or more voxels in y",
            found=str(whole[1]),
        )
    return whole[0], whole[1], whole[2]


def _draw(
    who: Who, rng: np.random.Generator, *, slice_mm: float | None, kernel: Kernel | None
) -> tuple[dict[str, Any], tuple[Disease, Scan]]:
    disease, hospital = _draw_disease(who.label, rng), SITES[who.site]
    own_mm, sharp = rng.choice(hospital.slices_mm), rng.random() < hospital.sharp
    scan = Scan(
        slice_mm=float(own_mm if slice_mm is None else slice_mm),
        kernel=kernel or ("sharp" if sharp else "smooth"),
        noise_hu=float(hospital.noise_hu * np.exp(rng.normal(0, 0.2))),
    )
    dense = disease.consolidation if disease.involvement else np.nan
    known = {"truth_involvement": 100 * disease.involvement, "truth_consolidation": dense}
    return vars(scan) | known, (disease, scan)


def _draw_disease(label: int, rng: np.random.Generator) -> Disease:
    """A few mild patients are healthy, some have ground glass only, some in one lung only."""
    mild = float(np.clip(np.exp(rng.normal(np.log(0.07), 0.8)), 0.004, SEVERE - 0.005))
    severe = SEVERE + 0.005 + 0.65 * float(rng.beta(1.2, 1.9))
    healthy, pure, single = rng.random(3) < ((0.08, 0.35, 0.25), (0.0, 0.15, 0.0))[label]
    share = 1 / (1 + np.exp(-rng.normal((-1.2, -0.6)[label], 0.9)))
    side, lean = rng.choice([-7.0, 7.0]), rng.normal(0, 0.4)
    return Disease(
        involvement=0.0 if healthy else (mild, severe)[label],
        consolidation=0.0 if pure else float(share),
        peripheral=float(max(rng.normal(1.6, 0.5), 0)),
        lower=float(rng.normal(0.8, 0.7)),
        left=float(side if single else lean),
        paving=float(rng.uniform(0.3, 1.0) if rng.random() < 0.3 else 0.0),
    )


def _write(
    drawn: tuple[Disease, Scan],
    rng: np.random.Generator,
    paths: Mapping[str, Path],
    *,
    size: Size,
    axes: str,
    known: Known | None,
    ways: Mapping[str, tuple[float, Kernel]],
) -> None:
    disease, scan = drawn
    body, place, noise = rng.spawn(3)
    chest = draw_chest(size, body)
    affected = plant(chest, disease, place)
    add_branches(chest)
    save = partial(save_volume, grid=chest.grid, axes=axes)
    save(chest.lungs, paths["lungs"])
    save(affected, paths["lesions"])
    if known:
        write_text(paths["truth"], json.dumps(known(chest, affected)))
    scans = {way: replace(scan, slice_mm=mm, kernel=name) for way, (mm, name) in ways.items()}
    for way, one in (scans | {"image": scan}).items():
        save(acquire(chest.hu, chest.grid, one, deepcopy(noise)), paths[way])
