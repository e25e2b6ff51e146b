"""The synthetic twin: mammograms of three hospitals, their masses known exactly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nextaim_kit.errors import RequestError
from nextaim_kit.files import atomic_path, write_json
from nextaim_kit.progress import Progress
from nextaim_kit.studies.breast_masses.mammograms.image_file import box_of, digest_of
from nextaim_kit.studies.breast_masses.mammograms.loading import (
    Mammograms,
    images_table,
    lesions_table,
)
from nextaim_kit.studies.breast_masses.phantom import breast, exposure, lesions
from nextaim_kit.studies.breast_masses.phantom.breast import Body, Projection, draw_body
from nextaim_kit.studies.breast_masses.phantom.exposure import LARGEST, ROOMS
from nextaim_kit.studies.breast_masses.phantom.lesions import Mass, apart, draw_mass
from nextaim_kit.twins.twin import Twin, Who, chance

# Patients of each hospital: with a malignant mass, with a benign one, without any.
COUNTS = {"A": (150, 150, 80), "B": (240, 240, 120), "C": (110, 110, 50)}
LABELS = ("malignant", "benign", "normal")
VIEWS, SIDES = ("CC", "MLO"), ("L", "R")
Marked = Literal["malignant", "none", "benign"]
Breasts = Literal["both", "affected"]
# How often a benign and a malignant mass has a ring of wire beside it, in hospital B: the shortcut.
MARKED: dict[str, tuple[float, float]] = {
    "malignant": (0.1, 0.8), "none": (0.0, 0.0), "benign": (0.8, 0.1),
}  # fmt: skip
_BREASTS = ("both", "affected")


@dataclass(frozen=True)
class Look:
    """What of the patients is pictured, and how.

    Attributes
    ----------
    spacing : float
        Edge of a pixel in mm; hospital B's are an eighth larger.
    views : tuple of str
        Of ``("CC", "MLO")``.
    breasts : {"both", "affected"}
        Affected: only the breast with the mass; of patients without one, the left.
    smallest : float
        Diameter in mm.
    contrast : float
        Of the masses; 0 makes the same images with masses that cannot be seen.
    """

    spacing: float = 0.4
    views: tuple[str, ...] = VIEWS
    breasts: Breasts = "both"
    smallest: float = 8.0
    contrast: float = 1.0


@dataclass(frozen=True)
class Patient:
    """What is drawn of a patient before the views are taken."""

    name: str
    site: str
    body: Body
    side: str
    masses: tuple[Mass, ...]
    marked: bool


def make_twin(
    n: int = 100,
    *,
    look: Look = Look(),
    marker: Marked = "malignant",
    seed: int = 2026,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Mammograms:
    """Make the twin's mammograms, or take those that are in the cache already.

    Parameters
    ----------
    n : int
        Patients: two in five with a malignant mass, as many with a benign one, the others without;
        one in seven has a second, benign mass in the same breast. A patient is the same whatever
        `n`, and an image whatever other views are pictured.
    look : Look
    marker : {"malignant", "none", "benign"}
        Which masses wear a ring of wire more often, in hospital B; all else is the same.
    seed : int
    workers, progress
        As for `Twin.make`.

    Returns
    -------
    Mammograms
        `lesions` have the further columns ``marker`` (a ring of 7 mm lies near), ``marker_x`` and
        ``marker_y`` (its middle in pixels of the image; NaN without).

    Raises
    ------
    RequestError
        If an option cannot be.
    """
    made = twin(look, marker=marker, seed=seed).make(n, workers=workers, progress=progress)
    images, masses = [], []
    for row in made.to_dict("records"):
        truth, folder = json.loads(Path(row["truth"]).read_text()), Path(row["truth"]).parent
        for image in truth["images"]:
            at = {"patient": row["subject"], "site": row["site"]}
            file = str(folder / f"{image['subject']}.png")
            images.append(at | image | {"density": row["density"], "image": file})
        for lesion in truth["lesions"]:
            file = str(folder / f"{lesion['subject']}_mask.png")
            known = {key: np.nan if value is None else value for key, value in lesion.items()}
            masses.append(at | known | {"mask": file, "subtlety": np.nan})
    return Mammograms(images_table(images), lesions_table(masses), synthetic=True)


def twin(look: Look = Look(), *, marker: Marked = "malignant", seed: int = 2026) -> Twin:
    """The patients of the three hospitals."""
    for name, value, choices in (("marker", marker, MARKED), ("breasts", look.breasts, _BREASTS)):
        if value not in choices:
            raise RequestError(
                f"there is no such {name}", expected=" or ".join(choices), found=repr(value)
            )
    if not (look.views and set(look.views) <= set(VIEWS)):
        raise RequestError("there are no such views", expected="CC, MLO", found=repr(look.views))
    if not (0.05 <= look.spacing <= 1.6 and 2 <= look.smallest <= 20):
        raise RequestError(
            "such pictures cannot be made",
            expected="pixels of 0.05 to 1.6 mm, the smallest mass of 2 to 20 mm",
            found=f"{look.spacing:g} mm and {look.smallest:g} mm",
        )
    return Twin(
        "breast_masses", COUNTS,
        partial(_draw, smallest=look.smallest, marker=marker, seed=seed),
        partial(_write, look=look, seed=seed), {"truth": "_truth.json"}, seed,
        sources=[breast, exposure, lesions], labels=LABELS, least=1, what="synthetic mammograms",
    )  # fmt: skip


def _draw(
    who: Who, rng: np.random.Generator, *, smallest: float, marker: str, seed: int
) -> tuple[dict[str, Any], Patient]:
    body, side = draw_body(rng), str(rng.choice(SIDES))
    masses: list[Mass] = []
    if who.label != "normal":
        masses.append(draw_mass(f"{who.subject}_1", who.label == "malignant", smallest, rng))
        if rng.random() < 0.15:  # the second lies across the breast, so that they never touch
            masses[0], other = apart(masses[0], draw_mass(f"{who.subject}_2", False, smallest, rng))
            masses.append(other)
    # The marker has a chance of its own, so that nothing else depends on who wears one.
    often = MARKED[marker][who.label == "malignant"] if who.site == "B" and masses else 0.1
    marked = bool(chance(seed, f"{who.subject} marker").random() < often)
    patient = Patient(who.subject, who.site, body, side, tuple(masses), marked)
    return {"density": body.density, "side": side, "masses": len(masses)}, patient


def _write(
    patient: Patient, rng: np.random.Generator, paths: Mapping[str, Path], *, look: Look, seed: int
) -> None:
    folder = paths["truth"].parent
    own = patient.side if patient.masses else "L"
    sides = SIDES if look.breasts == "both" else (own,)
    images, found = [], []
    for side, view in ((side, view) for side in sides for view in look.views):
        name = f"{patient.name}_{side}_{view}"
        picture, masks, masses = _pictured(patient, side, view, look, seed)
        _save(picture, folder / f"{name}.png")
        if masses:
            _save(masks, folder / f"{name}_mask.png")
        images.append(
            {
                "subject": name, "view": view, "side": side, "masses": len(masses),
                "label": int(any(one["label"] for one in masses)),
                "spacing": look.spacing * ROOMS[patient.site].coarser,
                "rows": picture.shape[0], "columns": picture.shape[1],
                "digest": digest_of(picture), "turned": False,
            }
        )  # fmt: skip
        found += [{"subject": name} | one for one in masses]
    write_json(paths["truth"], {"images": images, "lesions": found}, indent=None)


def _pictured(
    patient: Patient, side: str, view: str, look: Look, seed: int
) -> tuple[NDArray, NDArray, list[dict[str, Any]]]:
    """Pixels as stored, the mask with the masses' numbers, and what is said of each."""
    room = ROOMS[patient.site]
    rng, name = chance(seed, f"{patient.name} {side} {view}"), f"{patient.name} {side} {view} "
    seen = breast.project(patient.body, view, look.spacing * room.coarser, rng)
    amount = breast.tissue(seen, rng) + breast.look_alikes(seen, rng)
    masses = patient.masses if side == patient.side else ()
    masks, rows = np.zeros(amount.shape, np.uint8), []
    for number, mass in enumerate(masses, 1):
        center = seen.place(mass.place, mass.diameter / 2)
        dark, inside = lesions.shadow(mass, center, seen.grid, chance(seed, f"{name}{number}"))
        amount += look.contrast * dark
        masks[inside & seen.inside] = number
        at = None
        if patient.marked and number == 1:
            at = _beside(seen, center, mass.diameter / 2, chance(seed, f"{name}marker"))
            amount += exposure.metal_ring(seen, at)
        rows.append(_said(mass, at, seen.spacing, seen.grid[0].size if side == "R" else 0))
    if patient.marked and not patient.masses and side == "L":
        at = _beside(seen, seen.nipple, 25, chance(seed, f"{name}marker"))
        amount += exposure.metal_ring(seen, at)
    picture = exposure.expose(seen, amount, room, rng)
    if side == "R":
        picture, masks = picture[:, ::-1], masks[:, ::-1]
    if room.film:
        picture = exposure.film_marks(picture, side, view, rng)
    most = LARGEST[room.film]
    stored = np.rint(picture * most).astype(np.uint8 if room.film else np.uint16)
    boxes = [box_of(masks == number) for number in range(1, len(rows) + 1)]
    return stored, masks, [row | box for row, box in zip(rows, boxes, strict=True)]


def _said(
    mass: Mass, ring: tuple[float, float] | None, spacing: float, mirrored: int
) -> dict[str, Any]:
    """What is said of a mass; `mirrored` is the number of the image's columns where it is."""
    x, y = (at / spacing for at in ring) if ring else (None, None)
    return {
        "lesion": mass.name, "label": int(mass.malignant), "shape": mass.shape,
        "margin": mass.margin, "density": mass.density, "diameter_mm": mass.diameter,
        "marker": ring is not None, "marker_x": x and (mirrored - x if mirrored else x),
        "marker_y": y,
    }  # fmt: skip


def _beside(
    seen: Projection, center: tuple[float, float], radius: float, rng: np.random.Generator
) -> tuple[float, float]:
    """A place on the skin a little beside a mass, toward the middle of the breast."""
    x, y = 0.4 * seen.nipple[0] - center[0], seen.nipple[1] - center[1]
    angle, off = np.arctan2(y, x) + rng.uniform(-0.8, 0.8), radius + rng.uniform(5, 9)
    return center[0] + off * float(np.cos(angle)), center[1] + off * float(np.sin(angle))


def _save(pixels: NDArray, path: Path) -> None:
    with atomic_path(path) as unfinished:
        Image.fromarray(np.ascontiguousarray(pixels)).save(unfinished, compress_level=1)
