"""A head that is no one's: brain, fluid, skull, scalp and a face, of which all is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EDGE = 3.0
SHAPE = (80, 84, 66)  # z to the head, y to the back, x to the left: LPS
MATRIX = np.column_stack([np.eye(3)[:, ::-1] * EDGE, np.zeros(3)])
_MR = {"scalp": 900, "skull": 60, "fluid": 250, "brain": 600, "white": 750, "muscle": 450}
_CT = {"scalp": 20, "skull": 1100, "fluid": 8, "brain": 35, "white": 28, "muscle": 55}
Place = tuple[float, float, float]


def head(*, ct: bool = False) -> tuple[NDArray[np.int16], NDArray, NDArray]:
    """Values (z, y, x) every `EDGE` mm, and masks of the brain and of the face."""
    z, y, x = np.meshgrid(*(np.arange(n) * EDGE for n in SHAPE), indexing="ij")
    x, y, z = x - 99, y - 130, z - 150

    def ball(radii: Place, at: Place = (0, 0, 0)) -> NDArray:
        apart = [((c - m) / r) ** 2 for c, m, r in zip((x, y, z), at, radii, strict=True)]
        return np.asarray(sum(apart) <= 1)

    rise = 0.35 * np.clip(-y - 10, 0, 80)  # of the skull's base to the front
    back, behind = (46, 32, 30), (0, 42, -36)
    brain = (ball((66, 82, 66)) & (z > -45 + rise)) | ball(back, behind)
    skull = (ball((77, 93, 77)) & (z > -60 + rise)) | ball((58, 44, 44), behind)
    scalp = (ball((83, 99, 83)) & (z > -66)) | ball((64, 50, 50), behind)
    neck = (x**2 + (y - 22) ** 2 < 58**2) & (z < -40)
    eyes = ball((15, 15, 15), (32, -80, -44)) | ball((15, 15, 15), (-32, -80, -44))
    nose, jaw = ball((14, 20, 24), (0, -104, -66)), ball((58, 62, 66), (0, -42, -84))
    drawn = [
        (scalp | neck | jaw | nose, "scalp"), (neck & (x**2 + (y - 22) ** 2 < 50**2), "muscle"),
        (skull, "skull"), (ball((70, 86, 70)) & (z > -45 + rise), "fluid"),
        (brain | ball((14, 14, 60), (0, 18, -60)), "brain"), (ball((40, 55, 36)), "white"),
        (ball((16, 30, 16)), "fluid"), (eyes & ~skull, "fluid"),
    ]  # fmt: skip
    values = np.full(SHAPE, -1000.0 if ct else 0.0)
    for mask, what in drawn:
        values[mask] = (_CT if ct else _MR)[what]
    values += np.random.default_rng(0).normal(0, 8 if ct else 15, SHAPE)
    face = (nose | eyes | (jaw & (y < -60))) & ~skull
    return (values if ct else np.abs(values)).astype(np.int16), brain, face
