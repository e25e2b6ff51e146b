"""Two straight lines side by side, as the twin's microscopes show them."""

from __future__ import annotations

import numpy as np

from nextaim_kit.studies.microscopy_superres.pairs import Pair
from nextaim_kit.studies.microscopy_superres.phantom import molecules
from nextaim_kit.studies.microscopy_superres.twin import SETS, Field, Look, picture

_APART = 1600.0  # nm between one two and the next


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
