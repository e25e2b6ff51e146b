"""Synthetic compressed breasts: outline, glandular tissue, strands, vessels, muscle, look-alikes.

Lengths in mm. A breast lies with the chest wall at the left and the axilla at the top; what a beam
meets is summed as attenuation, fat as zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import (
    distance_transform_edt,
    gaussian_filter,
    gaussian_filter1d,
    map_coordinates,
)

HEIGHT, WIDTH = 200.0, 150.0
FAT, _GLAND = 0.046, 0.034  # 1/mm at about 20 keV: of fat, and what glandular tissue has more
# Share of glandular tissue behind the nipple, as the middle of a logistic curve, by BI-RADS class.
_GLANDULAR = {1: -2.6, 2: -1.3, 3: 0.0, 4: 1.2}
_MLO = ((0, 0.2, 0.4, 0.58, 0.74, 0.86, 0.93, 1), (0.45, 0.72, 0.93, 1, 0.94, 0.7, 0.36, 0.24))


@dataclass(frozen=True)
class Body:
    """What the views of a breast have in common.

    Attributes
    ----------
    density : int
        BI-RADS class, 1 to 4.
    depth, half : float
        From the chest wall to the nipple, and from the nipple to the side.
    thickness : float
        Under compression.
    """

    density: int
    depth: float
    half: float
    thickness: float


def draw_body(rng: np.random.Generator) -> Body:
    """Draw a breast."""
    density = int(rng.choice([1, 2, 3, 4], p=(0.12, 0.4, 0.36, 0.12)))
    return Body(density, rng.uniform(65, 120), rng.uniform(60, 88), rng.uniform(38, 62))


@dataclass(frozen=True)
class Projection:
    """One view of a breast on a grid of pixels."""

    body: Body
    view: str
    spacing: float
    border: NDArray[np.float64]  # of each row: where the breast ends

    @cached_property
    def grid(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Place of the pixels' centers: x of shape (1, columns), y of shape (rows, 1)."""
        x = (np.arange(round(WIDTH / self.spacing), dtype=np.float32) + 0.5) * self.spacing
        y = (np.arange(round(HEIGHT / self.spacing), dtype=np.float32) + 0.5) * self.spacing
        return x[None], y[:, None]

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Pixels of the breast."""
        return self.grid[0] < self.border[:, None]

    @cached_property
    def skin_distance(self) -> NDArray[np.float32]:
        """From the skin inwards."""
        coarse = np.pad(self.inside[::3, ::3], 1, mode="edge")
        far = distance_transform_edt(coarse)[1:-1, 1:-1].astype(np.float32) * 3 * self.spacing
        rows, columns = self.inside.shape
        far = gaussian_filter(np.repeat(np.repeat(far, 3, 0), 3, 1)[:rows, :columns], 2.0)
        # Near the skin, where steps of pixels would show, from the border's own slope.
        slope = gaussian_filter1d(np.gradient(self.border, self.spacing), 1 / self.spacing)
        near = (self.border[:, None] - self.grid[0]) / np.hypot(1, slope)[:, None]
        part = np.clip((far - 2) / 4, 0, 1)
        return np.where(self.inside, np.maximum(part * far + (1 - part) * near, 0), 0)

    @cached_property
    def thickness(self) -> NDArray[np.float32]:
        """Of the breast along the beam; it bulges at its free edge."""
        part = np.clip(self.skin_distance / (0.45 * self.body.thickness), 0, 1)
        return self.body.thickness * np.sqrt(1 - (1 - part) ** 2)

    @property
    def nipple(self) -> tuple[float, float]:
        """Its place."""
        return self.body.depth, HEIGHT * (0.5 if self.view == "CC" else 0.58)

    def place(self, where: tuple[float, float, float], radius: float) -> tuple[float, float]:
        """Where in this view something of a radius lies, all of it in the breast."""
        behind, sideways, upwards = where
        across = sideways if self.view == "CC" else upwards
        y = self.nipple[1] + across * (self.body.half - radius)
        rows = np.clip(
            np.array([y - radius, y, y + radius]) / self.spacing, 0, len(self.border) - 1
        )
        free = self.border[rows.astype(int)].min() - radius - 4
        x = self.body.depth * (1 - behind)
        return float(np.clip(x, radius + 1, max(free, radius + 1))), float(y)


def project(body: Body, view: str, spacing: float, rng: np.random.Generator) -> Projection:
    """Outline a view of a breast."""
    y = (np.arange(round(HEIGHT / spacing)) + 0.5) * spacing
    if view == "CC":
        t = np.clip(np.abs(y - HEIGHT / 2) / (body.half * 1.08), 0, 1)
        border = body.depth * (1 - t ** rng.uniform(2.0, 2.5)) ** rng.uniform(0.5, 0.6)
    else:
        rows, depths = np.array(_MLO[0]) * HEIGHT, np.array(_MLO[1])
        stretch = np.interp(rows, (0, 0.58 * HEIGHT, HEIGHT), (0.85, 1, rng.uniform(0.7, 1.3)))
        border = body.depth * PchipInterpolator(rows, depths * stretch)(y)
    nipple = HEIGHT * (0.5 if view == "CC" else 0.58)
    wobble = 1.2 * np.sin(y / rng.uniform(14, 25) + rng.uniform(0, 6)) * (border > 8)
    bump = rng.uniform(1, 5) * np.exp(-(((y - nipple) / 5) ** 4))
    return Projection(body, view, spacing, border + wobble + bump)


def power_law(
    shape: tuple[int, int], exponent: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Noise whose power falls with the spatial frequency's `exponent`, of mean 0 and variance 1.

    Mammograms have about 3 [1]_.

    References
    ----------
    .. [1] Burgess, Jacobson, Judy. Human observer detection experiments with mammograms and
       power-law noise. Med Phys 2001;28(4):419-437. doi:10.1118/1.1355308
    """
    rows, columns = (fft.next_fast_len(n, real=True) for n in shape)
    f = np.hypot(fft.fftfreq(rows)[:, None], fft.rfftfreq(columns)[None])
    f[0, 0] = np.inf
    white = fft.rfft2(rng.standard_normal((rows, columns), dtype=np.float32))
    field = fft.irfft2(white * (f ** (-exponent / 2)).astype(np.float32), (rows, columns))
    field = field[: shape[0], : shape[1]]
    return (field - field.mean()) / field.std()


def tissue(view: Projection, rng: np.random.Generator) -> NDArray[np.float32]:
    """Attenuation beyond fat of all that a healthy breast has, shape (rows, columns)."""
    thin = view.thickness / view.body.thickness
    gland = _gland(view, rng)
    strands = _strands(view, rng) * (0.35 + 1.3 * gland)
    amount = gland * _GLAND * view.thickness + 0.15 * strands * thin
    amount += gaussian_filter(_vessels(view, rng), 0.5)
    amount += 0.2 * np.exp(-((view.skin_distance / 1.3) ** 2)) * view.inside
    if view.view == "MLO":
        amount += _muscle(view, rng)
    return amount.astype(np.float32)


def _gland(view: Projection, rng: np.random.Generator) -> NDArray[np.float32]:
    """Share of glandular tissue in what the beam meets."""
    (x, y), (nipple_x, nipple_y) = view.grid, view.nipple
    middle = 0.58 * nipple_x, nipple_y - rng.uniform(-2, 8)
    far = np.hypot((x - middle[0]) / (0.5 * nipple_x), (y - middle[1]) / (0.72 * view.body.half))
    coarse, fine = (power_law(view.inside.shape, exponent, rng) for exponent in (3.6, 3.0))
    offset = _GLANDULAR[view.body.density] + rng.normal(0, 0.2)
    level = offset + 1.2 - 2.0 * far**1.5 + 1.2 * coarse + 0.4 * fine
    under_skin = np.clip((view.skin_distance - 3) / 9, 0, 1)
    return under_skin * np.clip(0.34 + 0.12 * fine, 0.1, None) / (1 + np.exp(-1.2 * level))


def _strands(view: Projection, rng: np.random.Generator) -> NDArray[np.float32]:
    """Ducts that run to the nipple and Cooper's ligaments between them."""
    (x, y), (nipple_x, nipple_y) = view.grid, view.nipple
    from_x, from_y = nipple_x + 6 - x, y - nipple_y
    turned = power_law((256, 256), 3.0, rng)
    across = (np.arctan2(from_y, from_x) / np.pi + 1) * 128 * 1.5
    along = np.log1p(np.hypot(from_x, from_y) / 30) * 40
    ducts = map_coordinates(turned, np.broadcast_arrays(across, along), order=1, mode="grid-wrap")
    ligaments = power_law(view.inside.shape, 3.2, rng)
    lines = _lines(4 * ducts, 0.45 / view.spacing) + 0.8 * _lines(
        3.5 * ligaments, 0.35 / view.spacing
    )
    bright = np.clip(0.6 + 0.5 * np.roll(ligaments, 60, 0), 0, 1.5)
    return lines * bright * np.clip(view.skin_distance / 5, 0, 1)


def _lines(field: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """Lines of a width in pixels along which the sine of a field is zero."""
    wave = np.sin(field)
    steep = np.hypot(*np.gradient(wave)) + 0.02
    return np.exp(-((wave / (width * steep)) ** 2))


def _vessels(view: Projection, rng: np.random.Generator) -> NDArray[np.float32]:
    """Vessels, some with calcified walls, and other benign calcifications."""
    from PIL import Image, ImageDraw

    scale = 1 / view.spacing
    canvas = Image.new("F", view.inside.shape[::-1])
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(2, 6))):
        steps = int(rng.integers(18, 40))
        heading = rng.uniform(-0.9, 0.9) + np.cumsum(rng.normal(0, 0.16, steps))
        start = rng.uniform(0, 15), view.nipple[1] + rng.uniform(-0.9, 0.9) * view.body.half
        points = np.cumsum([start, *zip(3 * np.cos(heading), 3 * np.sin(heading), strict=True)], 0)
        wide = rng.uniform(0.8, 2.0)
        line = [tuple(p) for p in points * scale]
        pen.line(line, fill=0.035 * wide, width=max(1, round(wide * scale)), joint="curve")
        if rng.random() < 0.06:  # calcium in its wall
            pen.point([tuple(p) for p in points * scale + rng.normal(0, 1, points.shape)], fill=0.4)
    for _ in range(int(rng.poisson(1.6))):
        at = view.place((rng.uniform(0.1, 0.9), *rng.uniform(-0.8, 0.8, 2)), 3)
        half = rng.uniform(0.3, 1.1)
        box = [(at[k] + s * half) * scale for s in (-1, 1) for k in (0, 1)]
        pen.ellipse(box, fill=rng.uniform(0.3, 0.9) * half)
    return np.asarray(canvas) * np.clip(view.skin_distance / 3, 0, 1)


def _muscle(view: Projection, rng: np.random.Generator) -> NDArray[np.float32]:
    """The pectoral muscle: a triangle at the top of the chest wall, striated."""
    (x, y), depth = view.grid, view.body.depth
    top, low = rng.uniform(0.35, 0.6) * depth, rng.uniform(0.5, 0.72) * HEIGHT
    t = np.clip(y / low, 0, 1)
    edge = top * (1 - t ** rng.uniform(0.9, 1.4))
    into = np.clip((edge - x) / 6, 0, 1)
    fibers = np.sin((x * low + y * top) / np.hypot(low, top) / rng.uniform(1.5, 2.5))
    return (0.55 * into**0.6 + 0.03 * into * fibers) * np.minimum(1, view.thickness / 30)


def look_alikes(view: Projection, rng: np.random.Generator) -> NDArray[np.float32]:
    """What may be taken for a mass: superposed tissue, a lymph node, a fold of the skin."""
    x, y = view.grid
    amount = np.zeros(view.inside.shape, np.float32)
    for _ in range(int(rng.poisson(0.8))):  # tissue that lies one above the other in this view
        size = rng.uniform(5, 14)
        at = view.place((rng.uniform(0.15, 0.85), *rng.uniform(-0.7, 0.7, 2)), size)
        field = power_law((96, 96), 2.8, rng)
        spot = np.hypot(x - at[0], y - at[1]) / size
        index = [
            np.clip(48 + (g - c) * 32 / (2 * size), 0, 95) for g, c in ((y, at[1]), (x, at[0]))
        ]
        rows, columns = (i.astype(int) for i in index)
        rough = np.clip(field[rows, columns] + 0.6, 0, 1.6)
        amount += rng.uniform(0.12, 0.3) * rough * np.exp(-(spot**2))
    if rng.random() < (0.4 if view.view == "MLO" else 0.12):
        amount += _node(view, rng)
    if rng.random() < 0.1:
        amount += _fold(view, rng)
    return amount * view.inside


def _node(view: Projection, rng: np.random.Generator) -> NDArray[np.float32]:
    """A lymph node: an oval with fat in its hilum."""
    (x, y), long = view.grid, rng.uniform(3.5, 7)
    at = view.place((rng.uniform(0.55, 0.9), rng.uniform(0.3, 0.8), -rng.uniform(0.6, 1.1)), long)
    turn, notch = rng.uniform(0, np.pi), rng.uniform(0.15, 0.45)
    u = ((x - at[0]) * np.cos(turn) + (y - at[1]) * np.sin(turn)) / long
    v = ((y - at[1]) * np.cos(turn) - (x - at[0]) * np.sin(turn)) / (0.62 * long)
    oval = np.sqrt(np.clip(1 - u**2 - v**2, 0, None))
    hilum = np.clip(1 - (u / 0.5) ** 2 - ((v - notch) / 0.55) ** 2, 0, None)
    return 0.24 * np.clip(oval - hilum, 0, None)


def _fold(view: Projection, rng: np.random.Generator) -> NDArray[np.float32]:
    """A fold of the skin: a bright band with a sharp border at one side."""
    (x, y), low = view.grid, rng.random() < 0.5
    at = HEIGHT * (rng.uniform(0.1, 0.22) if not low else rng.uniform(0.78, 0.88))
    off = y - at - (x - 20) * rng.uniform(-0.5, 0.5) - 4 * np.sin(x / 25)
    return 0.3 * np.exp(-np.abs(off) / np.where(off > 0, 3.5, 0.5)) * np.clip(1.2 - x / 70, 0, 1)
