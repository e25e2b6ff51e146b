"""Two scanners: gradient tables, where a moved and distorted head appears, noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Directions = Literal["clinical", "three_shells"]
WITHOUT = {"clinical": 3, "three_shells": 6}  # volumes without weighting, spread over the series
SHELLS: dict[str, tuple[tuple[float, int], ...]] = {
    "clinical": ((1000.0, 32),),
    "three_shells": ((1000.0, 30), (2000.0, 30), (3000.0, 30)),
}


@dataclass(frozen=True)
class Scanner:
    """What is different from one scanner to the other.

    Attributes
    ----------
    snr : float
        Of white matter without diffusion weighting.
    gain : float
        Gray levels of it.
    shading : float
        How uneven brightness is, standard deviation.
    warp : float
        Susceptibility against the first scanner's.
    axes : {"RAS", "LAS"}
        How its files are ordered.
    t1 : dict
        Brightness of tissue in T1.
    """

    snr: float
    gain: float
    shading: float
    warp: float
    axes: str
    t1: dict[str, float]


SCANNERS = {
    "north": Scanner(28, 400, 0.06, 1.0, "RAS", {"air": 0, "skull": 60, "scalp": 800, "fluid": 180,
                     "gray": 480, "white": 760, "thalamus": 610}),
    "south": Scanner(16, 250, 0.15, 1.3, "LAS", {"air": 0, "skull": 40, "scalp": 500, "fluid": 150,
                     "gray": 330, "white": 430, "thalamus": 385}),
}  # fmt: skip


def gradient_table(kind: Directions) -> tuple[Array, Array]:
    """The b in s/mm² and unit vectors in the frame of the scanner (0 without weighting).

    Directions of a shell lie evenly on half a sphere, those of the next shell between them.
    """
    golden, bvals, vectors = np.pi * (3 - np.sqrt(5)), [], []
    for place, (b, count) in enumerate(SHELLS[kind]):
        z = (np.arange(count) + 0.5) / count
        turn = golden * np.arange(count) + place
        flat = np.sqrt(1 - z**2)
        half = np.stack([flat * np.cos(turn), flat * np.sin(turn), z], 1)
        vectors.append(half * np.where(np.arange(count) % 2, -1, 1)[:, None])
        bvals.append(np.full(count, b))
    weighted, many = np.concatenate(bvals), WITHOUT[kind]
    at = np.linspace(0, len(weighted), many, endpoint=False).astype(int)
    return np.insert(weighted, at, 0.0), np.insert(np.concatenate(vectors), at, 0.0, axis=0)


def motion(volumes: int, size: float, rng: np.random.Generator) -> Array:
    """Where the head is in each volume: matrices of shape (v, 4, 4), mm to mm, the first one still.

    `size` is the standard deviation of turns in degrees and shifts in mm at the end of the scan;
    they add up from volume to volume.
    """
    from scipy.spatial.transform import Rotation

    steps = rng.normal(0, size / np.sqrt(max(volumes, 1)), (volumes, 6))
    steps[0] = 0
    path = np.cumsum(steps, 0)
    found = np.tile(np.eye(4), (volumes, 1, 1))
    found[:, :3, :3] = Rotation.from_euler("xyz", path[:, :3], degrees=True).as_matrix()
    found[:, :3, 3] = path[:, 3:]
    return found


def eddy(bvals: Array, vectors: Array, size: float, rng: np.random.Generator) -> Array:
    """Shift along y that each volume's gradient makes, shape (v, 4): mm, and mm per mm of x, y, z.

    It grows with b and turns with the gradient; `size` is in mm at 60 mm from the center, b = 1000.
    """
    mixing = rng.normal(0, 1, (3, 4)) * np.array([0.5, 1 / 60, 1 / 60, 1 / 60]) * size
    return (bvals / 1000)[:, None] * (vectors @ mixing)


def susceptibility(points: Array, size: float, rng: np.random.Generator) -> Array:
    """Shift along y in mm where bone and air lie below the brain; at most `size`."""
    field = np.zeros(points.shape[:-1])
    for x, y, z, wide, part in ((0, 52, -20, 20, 1.0), (-52, -18, -30, 17, -0.7),
                                (52, -18, -30, 17, -0.7), (0, -60, 60, 45, 0.25)):  # fmt: skip
        center = np.array([x, y, z]) + rng.normal(0, 2, 3)
        apart = ((points - center) ** 2).sum(-1)
        field += part * rng.uniform(0.8, 1.2) * np.exp(-apart / (2 * wide**2))
    return field * size / max(np.abs(field).max(), 1e-9)


def seen(
    volume: Array, affine: Array, moved: Array, shift: Array, near: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """A volume as the scanner shows it, its head moved and shifted along y.

    Parameters
    ----------
    volume : array of shape (x, y, z)
        Of the head at rest.
    affine : array of shape (4, 4)
    moved : array of shape (4, 4)
        The head's mm to the scanner's.
    shift : array of shape (x, y, z)
        mm: what is seen in a voxel lies so far behind it, towards the head's back.
    near : array of shape (x, y, z), bool
        Voxels that may show something.
    """
    from scipy.ndimage import map_coordinates

    index = np.stack(np.nonzero(near)).astype(np.float32)
    index[1] -= (shift[near] / affine[1, 1]).astype(np.float32)
    back = np.linalg.inv(affine) @ np.linalg.inv(moved) @ affine
    index = back[:3, :3].astype(np.float32) @ index + back[:3, 3:].astype(np.float32)
    found = np.zeros(volume.shape, np.float32)
    # Where the grid cuts through the head, its last voxels stand for what lies beyond.
    moved_in = map_coordinates(volume, index, np.float32, order=3, mode="nearest")
    found[near] = np.maximum(moved_in, 0)
    return found


def pulled(field: Array, edge: float) -> tuple[Array, Array]:
    """From where along y voxels are filled, as a shift in mm, and the Jacobian of that.

    Parameters
    ----------
    field : array of shape (x, y, z)
        mm: what lies at y is seen at y + field.
    edge : float
        mm between voxels along y.
    """
    from scipy.ndimage import map_coordinates

    index = np.indices(field.shape, np.float64).reshape(3, -1)
    shift = field.copy()
    for _ in range(12):
        place = index.copy()
        place[1] -= (shift / edge).ravel()
        shift = map_coordinates(field, place, order=1, mode="nearest").reshape(field.shape)
    return shift, 1 - np.gradient(shift, edge, axis=1)


def noisy(signal: Array, sd: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Magnitude of a complex signal with noise: Rician.

    References
    ----------
    .. [1] Gudbjartsson H, Patz S. The Rician distribution of noisy MRI data. Magn Reson Med
       1995;34:910. doi:10.1002/mrm.1910340618
    """
    noise = rng.standard_normal((2, *signal.shape), dtype=np.float32) * np.float32(sd)
    return np.hypot(signal + noise[0], noise[1])
