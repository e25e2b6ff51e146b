"""Made-up heads in MR: a brain within its skull, a face that is one person's, and how it looks."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

EDGE = 3.0  # mm of a voxel
SHAPE = (80, 94, 70)  # z to the head, y to the back, x to the left: LPS
_MIDDLE = (141.0, 147.0, 103.5)  # mm from the first voxel to a head's middle
MATRIX = np.column_stack([np.eye(3)[:, ::-1] * EDGE, -np.array(_MIDDLE[::-1])])
_LEVELS = {"scalp": 900, "skull": 60, "fluid": 250, "brain": 600, "white": 750, "muscle": 450}
_SPREAD = 20  # what is drawn of a person
# mm from the head's middle to the head, to the back, to the left: what is seen of it.
_BOXES = {
    "face": ((-138.0, -21.0), (-147.0, 0.0), (-66.0, 66.0)),
    "head": ((-141.0, 96.0), (-147.0, 0.0), (-102.0, 105.0)),
    "crown": ((0.0, 99.0), (-66.0, 66.0), (-66.0, 66.0)),
}
Place = tuple[float, float, float]
View = Literal["face", "head", "crown"]


class Scanned(NamedTuple):
    """One scan of a head.

    Attributes
    ----------
    values : array of int16, shape (z, y, x)
    brain, face : array of bool, shape (z, y, x)
        The brain; eyes, nose, mouth and chin.
    turn : array of shape (3, 4)
        From the person's own place in mm (LPS, about the head's middle) to the scanner's.
    """

    values: NDArray[np.int16]
    brain: NDArray[np.bool_]
    face: NDArray[np.bool_]
    turn: NDArray[np.float64]

    def seen(self, view: View) -> NDArray[np.float64]:
        """How deep the surface lies, seen from the front (brow to chin, or all), or from above.

        The head is laid straight first, as a registration of its brain would, so that nobody is
        told by the way the head lay.

        Returns
        -------
        array of shape (rows, columns)
            mm; NaN where there is nothing before the head's middle.
        """
        first = MATRIX[::-1, 3]
        box = tuple(
            slice(*np.round((np.array(ends) - start) / EDGE).astype(int))
            for ends, start in zip(_BOXES[view], first, strict=True)
        )
        straight = body_of(_straightened(self.values, self.turn))[box]
        ways = np.moveaxis(straight, 1, 0) if view != "crown" else straight[::-1]
        return np.where(ways.any(axis=0), ways.argmax(axis=0) * EDGE, np.nan)

    def portrait(self) -> NDArray[np.float64]:
        """The head from the front, lit from there: 1 where the surface faces the viewer."""
        from scipy.ndimage import gaussian_filter

        deep = self.seen("head")
        slope = np.gradient(gaussian_filter(np.nan_to_num(deep, nan=150.0), 0.8), EDGE)
        lit = 1 / np.sqrt(1 + slope[0] ** 2 + slope[1] ** 2)
        return np.where(np.isnan(deep), 0, lit)[::-1]


def body_of(values: NDArray) -> NDArray[np.bool_]:
    """What is no air, by half the usual threshold (Otsu 1979, doi:10.1109/TSMC.1979.4310076)."""
    from skimage.filters import threshold_otsu

    return np.asarray(values > 0.5 * threshold_otsu(values))


def _straightened(values: NDArray, turn: NDArray) -> NDArray[np.float32]:
    from scipy.ndimage import affine_transform

    edges, first = MATRIX[:, :3], MATRIX[:, 3]
    back = np.linalg.inv(edges)
    offset = back @ (turn[:, :3] @ first + turn[:, 3] - first)
    plain = values.astype(np.float32)
    return affine_transform(plain, back @ turn[:, :3] @ edges, offset, order=1)


def scan(person: int, visit: int, *, seed: int = 2024) -> Scanned:
    """A T1 of a made-up person, who lies a little differently at each visit.

    Parameters
    ----------
    person, visit : int
        A person has one face and one brain at every visit; noise, gain and pose are a visit's.
    seed : int
    """
    body = np.random.default_rng([seed, 6, person]).normal(size=_SPREAD).clip(-2.5, 2.5)
    rng = np.random.default_rng([seed, 7, person, visit])
    rotation = Rotation.from_euler("xyz", rng.normal(0, 3, 3).clip(-6, 6), degrees=True)
    shift = rng.normal(0, 3, 3).clip(-5, 5)
    index = np.indices(SHAPE).reshape(3, -1)
    placed = (MATRIX[:, :3] @ index).T + MATRIX[:, 3] - shift
    layers, brain, face = _anatomy(rotation.inv().apply(placed).T.reshape(3, *SHAPE), body)
    values = np.zeros(SHAPE)
    for mask, what in layers:
        values[mask] = _LEVELS[what]
    values *= rng.uniform(0.9, 1.1) * (1 + 0.1 * (index[0].reshape(SHAPE) / SHAPE[0] - 0.5))
    noise = rng.normal(0, 15, (2, *SHAPE))
    seen = np.hypot(values + noise[0], noise[1]).astype(np.int16)
    return Scanned(seen, brain, face, np.column_stack([rotation.as_matrix(), shift]))


def _anatomy(
    at: NDArray, z: NDArray
) -> tuple[list[tuple[NDArray, str]], NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks in the order in which they are drawn, and those of brain and face."""
    wide, long, high = 1 + 0.035 * z[:3]

    def ball(radii: Place, middle: Place = (0, 0, 0)) -> NDArray[np.bool_]:
        far = sum(((c - m) / r) ** 2 for c, m, r in zip(at, middle, radii, strict=True))
        return np.asarray(far <= 1)

    def skull_of(more: float) -> NDArray[np.bool_]:
        return ball((66 * wide + more, 82 * long + more, 66 * high + more))

    def both(radii: Place, aside: float, y: float, low: float) -> NDArray[np.bool_]:
        return ball(radii, (aside, y, low)) | ball(radii, (-aside, y, low))

    x, y, up = at
    rise, front, behind = 0.35 * np.clip(-y - 10, 0, 80), -82 * long, (0, 42, -36)
    scalp = 16 + z[3]
    brain = (skull_of(0) & (up > -45 + rise)) | ball((46, 32, 30), behind)
    skull = (skull_of(11) & (up > -60 + rise)) | ball((58, 44, 44), behind)
    skin = (skull_of(scalp) & (up > -66)) | ball((64, 50, 50), behind)
    radius = np.hypot(x, y - 22)
    neck = (radius < 56 + 3 * z[4]) & (up < -40)
    eyes = both((14, 14, 14), 31 + 2 * z[5], front, -44)
    nose = ball((13 + 2 * z[6], 20 + 4 * z[7], 24 + 3 * z[8]), (0, front - 22, -66 + 3 * z[9]))
    brow = both((22, 12 + 3 * z[10], 9), 26, front - 2, -26 + 2 * z[11])
    cheeks = both((22, 18 + 4 * z[12], 20), 36 + 3 * z[13], front + 14, -74)
    jaw = ball((56 + 4 * z[14], 62 + 4 * z[15], 66 + 4 * z[16]), (0, -42, -84))
    chin = ball((18, 15 + 4 * z[17], 14), (0, -90, -126 + 4 * z[18]))
    ears = both((8, 18, 28), 66 * wide + scalp + 2, 10, -40)
    shown = nose | brow | cheeks | chin | eyes | (jaw & (y < -60))
    layers = [
        (skin | neck | jaw | shown | ears, "scalp"), (neck & (radius < 48), "muscle"),
        (skull, "skull"), (skull_of(4) & (up > -45 + rise), "fluid"),
        (brain | ball((14, 14, 60), (0, 18, -60)), "brain"), (ball((40, 55, 36)), "white"),
        (ball((16 + z[19], 30, 16)), "fluid"), (eyes & ~skull, "fluid"),
    ]  # fmt: skip
    return layers, brain, shown & ~skull
