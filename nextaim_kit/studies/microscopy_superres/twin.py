"""The synthetic twin: pairs of widefield and STORM, made from molecules whose places are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from nextaim_kit.errors import RequestError
from nextaim_kit.files import atomic_path
from nextaim_kit.progress import Progress
from nextaim_kit.studies.microscopy_superres import localizations
from nextaim_kit.studies.microscopy_superres.localizations import Rendering, render
from nextaim_kit.studies.microscopy_superres.pairs import Pair
from nextaim_kit.studies.microscopy_superres.phantom import microscopes, molecules
from nextaim_kit.studies.microscopy_superres.phantom.microscopes import Blinks, Optics, Storm
from nextaim_kit.studies.microscopy_superres.phantom.molecules import Filaments, Points, Structure
from nextaim_kit.twins.twin import Twin, Who

FIELDS = 200  # that each set has at most
_APART = 1600.0  # nm between two lines and the next two
PARTS = ("expected", "second", "half_a", "half_b", "again")


@dataclass(frozen=True)
class Sample:
    """How well a set of fields was labeled and acquired.

    Attributes
    ----------
    per_um : float
        Dyes per µm of a microtubule.
    linker : float
        nm between a dye and what it marks, standard deviation in each direction.
    optics : Optics
    storm : Storm or None
        None: the high resolution is structured illumination, twice as fine.
    """

    per_um: float
    linker: float
    optics: Optics
    storm: Storm | None


SETS: dict[str, Sample] = {
    "biosr_like": Sample(300, 8, Optics(photons=60, background=30), None),
    "alpha_tub_1": Sample(250, 8, Optics(), Storm()),
    "alpha_tub_2": Sample(150, 10, Optics(), Storm(0.6, 3, 1200, 25, 10, 0.02)),
    "beta_tub_1": Sample(90, 12, Optics(photons=20), Storm(0.5, 2.5, 800, 30, 15, 0.05)),
    "beta_tub_2": Sample(60, 14, Optics(photons=20), Storm(0.4, 2, 600, 40, 25, 0.1)),
}


@dataclass(frozen=True)
class Look:
    """What is pictured, and how.

    Attributes
    ----------
    pixels : int
        Edge of the widefield image.
    scale : int
        How much finer STORM is; structured illumination is always twice as fine.
    structure : {"microtubules", "mitochondria"}
    rendering : {"gaussian", "histogram"}
    density : float
        Filaments, times those of `molecules.SHAPES`.
    photons : float
        Of a dye in the widefield exposure, times those of its set; the background stays.
    """

    pixels: int = 96
    scale: int = 4
    structure: Structure = "microtubules"
    rendering: Rendering = "gaussian"
    density: float = 1.0
    photons: float = 1.0


@dataclass(frozen=True)
class Field:
    """What is known of a field before it is pictured."""

    name: str
    sample: Sample
    size: float
    filaments: Filaments
    dyes: Points
    second: Points


def make_twin(
    n: int = 40,
    *,
    sets: Sequence[str] = tuple(SETS),
    look: Look = Look(),
    seed: int = 2026,
    workers: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Make the twin's pairs, or take those that are in the cache already.

    Parameters
    ----------
    n : int
        Fields of view, as many of each set. A field is the same whatever `n`.
    sets : sequence of str
        Names of `SETS`.
    look : Look
    seed : int
    workers, progress
        As for `Twin.make`.

    Returns
    -------
    DataFrame
        ``subject`` (a field of view), ``site`` (its set), ``structure``, ``scale``, ``pixel_nm``
        (of the widefield image), and the paths ``widefield``, ``storm`` (PNG in color, three equal
        channels of 8 bits) and ``truth`` (`read_truth`).

    Raises
    ------
    RequestError
        If an option cannot be.
    """
    return twin(sets, look, seed=seed).make(n, workers=workers, progress=progress)


def twin(sets: Sequence[str] = tuple(SETS), look: Look = Look(), *, seed: int = 2026) -> Twin:
    """The fields of some sets."""
    if not sets or not set(sets) <= set(SETS):
        raise RequestError("there are no such sets", expected=", ".join(SETS), found=repr(sets))
    if look.structure not in molecules.SHAPES:
        raise RequestError(
            "no such structure", expected=" or ".join(molecules.SHAPES), found=repr(look.structure)
        )
    if not (32 <= look.pixels <= 1024 and 1 <= look.scale <= 16):
        raise RequestError(
            "such pictures cannot be made",
            expected="32 to 1024 pixels, 1 to 16 times as fine",
            found=f"{look.pixels} pixels, {look.scale} times",
        )
    return Twin(
        "microscopy_superres", {name: (FIELDS,) for name in sets},
        partial(_draw, look=look), partial(_write, look=look),
        {"widefield": "_widefield.png", "storm": "_storm.png", "truth": "_truth.npz"}, seed,
        sources=[localizations, microscopes, molecules], labels=(None,), least=1,
        what="synthetic fields of view",
    )  # fmt: skip


def read_truth(path: str | Path) -> dict[str, Any]:
    """What is known of a field.

    Returns
    -------
    dict
        ``expected``: the noise-free STORM image, the mean of all that could have been acquired;
        ``second``: STORM of a second, independent labeling of the same filaments; ``half_a`` and
        ``half_b``: of two halves of the first one's acquisition; each in STORM's own gray levels
        (0 to 1), the halves times two. ``widefield`` and ``again``: two exposures, in counts of
        the camera. ``lines``: center lines within reach of STORM, arrays of (x, y) in nm from the
        outer corner of the first pixel. ``localizations``: x, y, precision in nm and time.
    """
    with np.load(path) as file:
        held = {name: file[name] for name in file.files}
    parts = np.split(held["points"], np.cumsum(held["lengths"])[:-1])
    images = {k: held[k].astype(np.float32) for k in (*PARTS, "widefield")}
    return {**images, "lines": parts, "localizations": held["localizations"]}


def acquired(row: Mapping[str, Any], share: float) -> tuple[NDArray[np.float32], int]:
    """STORM of the first part of an acquisition, and of how many localizations it is made."""
    found = read_truth(row["truth"])["localizations"]
    part, edge = found[found[:, 3] <= share], row["rows"] * row["scale"]
    return render(part[:, :2], part[:, 2], (edge, edge), row["pixel_nm"] / row["scale"]), len(part)


def two_lines(
    gap: float, *, sample: str = "alpha_tub_1", pixels: int = 64, scale: int = 4, seed: int = 0
) -> tuple[Pair, list[float]]:
    """A pair that shows upright lines in twos, in focus; and the places between them, in nm.

    Parameters
    ----------
    gap : float
        Between two center lines in nm; 0: lines that are alone.
    sample : str
        Name of one of `SETS`.
    """
    rng, chosen = np.random.default_rng(seed), SETS[sample]
    size = pixels * chosen.optics.pixel
    count = int(size / _APART)
    places = [float((k + 0.5) * size / count) for k in range(count)]
    along = np.arange(-500.0, size + 500, molecules.STEP)
    lines = np.stack([
        np.column_stack([np.full_like(along, x), along, np.zeros_like(along)])
        for place in places for x in ([place - gap / 2, place + gap / 2] if gap else [place])
    ])  # fmt: skip
    filaments = molecules.Filaments(lines, np.full(len(lines), 12.5))
    dyes = [molecules.label(filaments, chosen.per_um, chosen.linker, rng) for _ in range(2)]
    field = Field(f"{gap:g} nm", chosen, size, filaments, dyes[0], dyes[1])
    seen, level = picture(field, rng, Look(pixels, scale))
    storm = np.clip(seen["storm"] / level, 0, 1).astype(np.float32)
    wide = seen["widefield"].astype(np.float32)
    return Pair(field.name, wide, storm, scale, chosen.optics.pixel), places


def _draw(who: Who, rng: np.random.Generator, *, look: Look) -> tuple[dict[str, Any], Field]:
    sample = SETS[who.site]
    if look.structure == "mitochondria":  # seen as an outline: more light in all
        sample = replace(sample, per_um=sample.per_um / 2)
    optics = replace(
        sample.optics,
        aperture=rng.uniform(1.3, 1.45),
        photons=sample.optics.photons * look.photons * rng.lognormal(0, 0.3),
        background=sample.optics.background * rng.lognormal(0, 0.3),
    )
    varied = replace(sample, optics=optics, per_um=sample.per_um * rng.lognormal(0, 0.15))
    size = look.pixels * optics.pixel
    filaments = molecules.grow(size, look.structure, rng, look.density * rng.uniform(0.6, 1.4))
    dyes, second = (molecules.label(filaments, varied.per_um, varied.linker, rng) for _ in range(2))
    row = {
        "structure": look.structure, "pixel_nm": optics.pixel,
        "scale": look.scale if sample.storm else 2,
    }  # fmt: skip
    return row, Field(who.subject, varied, size, filaments, dyes, second)


def _write(
    field: Field, rng: np.random.Generator, paths: Mapping[str, Path], *, look: Look
) -> None:
    seen, levels = picture(field, rng, look)
    _save(
        _stretched(seen["widefield"], *rng.uniform((0.1, 99.7), (1.0, 99.95))), paths["widefield"]
    )
    _save(seen["storm"] / levels, paths["storm"])
    lines = molecules.center_lines(field.filaments, field.size, _depth(field.sample))
    kept: dict[str, Any] = {k: (seen[k] / levels).astype(np.float16) for k in PARTS[:4]}
    kept |= {k: seen[k] for k in ("widefield", "again", "localizations")}
    kept["points"] = np.concatenate([np.empty((0, 2)), *lines]).astype(np.float32)
    kept["lengths"] = np.array([len(line) for line in lines])
    with atomic_path(paths["truth"]) as unfinished, unfinished.open("wb") as stream:
        np.savez(stream, **kept)


def picture(field: Field, rng: np.random.Generator, look: Look) -> tuple[dict[str, NDArray], float]:
    """Everything that microscopes show of a field, and STORM's gray level 1."""
    sample, optics = field.sample, field.sample.optics
    photons = microscopes.expected_photons(field.dyes, look.pixels, optics)
    seen = {k: microscopes.expose(photons, optics, rng) for k in ("widefield", "again")}
    seen |= _structured(field, look, rng) if sample.storm is None else _storm(field, look, rng)
    level = float(np.percentile(seen["storm"], rng.uniform(99.5, 99.9)))
    return seen, level or 1.0


def _storm(field: Field, look: Look, rng: np.random.Generator) -> dict[str, NDArray]:
    optics, storm = field.sample.optics, field.sample.storm or Storm()
    edge, pixel = look.pixels * look.scale, optics.pixel / look.scale

    def drawn(found: Blinks) -> NDArray:
        return render(found.xy, found.precision, (edge, edge), pixel, look.rendering)

    first, other = (
        microscopes.blink(dyes, field.size, optics, storm, rng)
        for dyes in (field.dyes, field.second)
    )
    early = first.frame < 0.5
    blur = microscopes.localization_precision(storm.photons, 0.0, optics, storm.background)
    many = _many(field, storm.depth, rng)
    smooth = render(many, np.full(len(many), np.hypot(blur, storm.drift)), (edge, edge), pixel)
    halves = [drawn(first.only(early)), drawn(first.only(~early))]
    return {
        "storm": halves[0] + halves[1], "second": drawn(other),
        "half_a": 2 * halves[0], "half_b": 2 * halves[1],
        "expected": smooth * storm.seen * storm.blinks * field.sample.per_um / _MANY,
        "localizations": np.column_stack([first.xy, first.precision, first.frame]),
    }  # fmt: skip


def _structured(field: Field, look: Look, rng: np.random.Generator) -> dict[str, NDArray]:
    optics, many = field.sample.optics, _many(field, 800.0, rng)
    dim = replace(optics, photons=optics.photons / 2)
    weak = replace(optics, photons=optics.photons * field.sample.per_um / _MANY, background=0.0)
    asked = {
        "storm": (field.dyes, optics, rng), "second": (field.second, optics, rng),
        "half_a": (field.dyes, dim, rng), "half_b": (field.dyes, dim, rng),
        "expected": (many, weak, None),
    }  # fmt: skip
    seen = {k: microscopes.structured(d, look.pixels, o, r) for k, (d, o, r) in asked.items()}
    return seen | {k: 2 * seen[k] for k in ("half_a", "half_b")} | {"localizations": _NOTHING}


_MANY = 2500.0  # dyes per µm that stand for the mean of all labelings
_NOTHING = np.empty((0, 4))


def _many(field: Field, depth: float, rng: np.random.Generator) -> Points:
    near = (field.size, depth)
    dyes = molecules.label(field.filaments, _MANY, field.sample.linker, rng, near=near)
    return dyes[np.abs(dyes[:, 2]) <= depth]


def _depth(sample: Sample) -> float:
    return sample.storm.depth if sample.storm else 400.0


def _stretched(values: NDArray, low: float, high: float) -> NDArray[np.float64]:
    bottom, top = np.percentile(values, [low, high])
    return (values - bottom) / max(top - bottom, 1)


def _save(values: NDArray, path: Path) -> None:
    gray = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    with atomic_path(path) as unfinished:
        Image.fromarray(np.repeat(gray[..., None], 3, -1)).save(
            unfinished, format="PNG", compress_level=1
        )
