"""A made-up register: patients who come several times, their films, measures and reports."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

SITES = ("A", "B", "C")
VISITS = 3
SHAPE = (48, 40)  # rows and columns of a film
TOWNS = ("Bari", "Ferrara", "Lecce", "Lucca", "Padova", "Pisa", "Prato", "Siena", "Trento", "Udine")
_BODY, _VISIT = 22, 12  # what is drawn of a body, and of each visit
_CHUNK = 500  # films drawn at a time


def people(patients: int, *, seed: int = 2024) -> pd.DataFrame:
    """Draw patients without their films: a patient is the same whatever the number of others.

    Returns
    -------
    DataFrame
        ``patient``, ``site``, ``label`` (1: severe), ``age`` (years), ``sex``, ``height_cm``,
        ``town``.
    """
    z = _bodies(patients, seed)
    share = norm.cdf(z[:, :6])
    site = np.minimum((share[:, 0] * len(SITES)).astype(int), len(SITES) - 1)
    male = share[:, 2] < 0.55
    return pd.DataFrame({
        "patient": [f"P{k + 1:04d}" for k in range(patients)],
        "site": np.array(SITES)[site],
        "label": (share[:, 1] < np.array([0.4, 0.5, 0.6])[site]).astype(int),
        "age": np.clip(np.round(62 + 15 * z[:, 3]), 18, 99).astype(int),
        "sex": np.where(male, "M", "F"),
        "height_cm": np.round(162 + 12 * male + 6 * z[:, 4]).astype(int),
        "town": np.array(TOWNS)[np.minimum((share[:, 5] * len(TOWNS)).astype(int), 9)],
    })  # fmt: skip


def draw_films(patients: int, *, seed: int = 2024) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """Three films of each patient: `people`'s columns with ``visit`` and ``subject``, and films.

    Returns
    -------
    (DataFrame, array of shape (3 patients, 48, 40))
        Gray levels from 0 to 1.
    """
    table, films, _ = _drawn(patients, VISITS, seed)
    return table, films


def make_table(patients: int, *, seed: int = 2024) -> pd.DataFrame:
    """Two segmentations of each patient, measured: one row for each, ``reading`` 1 and 2.

    The second is another film of the patient, outlined by another reader.

    Returns
    -------
    DataFrame
        `people`'s columns, ``subject``, ``reading`` and the measures, whose names begin with
        ``left_`` or ``right_``, the lung's side.
    """
    table, films, lungs = _drawn(patients, 2, seed)
    rng = np.random.default_rng([seed, 3])
    shift = rng.normal(0, 0.5, (patients, 2, 2)).reshape(-1, 2)
    measured = {
        f"{side}_{name}": values
        for k, side in enumerate(("right", "left"))
        for name, values in _measures(films, lungs[:, k], shift).items()
    }
    return table.rename(columns={"visit": "reading"}).assign(**measured)


def make_reports(patients: int, *, seed: int = 2024) -> pd.DataFrame:
    """A short report of each patient's first film: `people`'s columns, ``subject``, ``report``."""
    table, rng = people(patients, seed=seed), np.random.default_rng([seed, 4])
    drawn = [rng.random(8) for _ in range(patients)]
    rows = zip(table.to_dict("records"), drawn, strict=True)
    texts = [_report(row, chance) for row, chance in rows]
    return table.assign(subject=table["patient"], report=texts)


def _report(row: dict, chance: NDArray) -> str:
    who = "man" if row["sex"] == "M" else "woman"
    side = "right" if chance[0] < 0.5 else "left"
    zone = ("upper", "middle", "lower")[int(3 * chance[1])]
    size = int(8 + 30 * chance[2] + 25 * row["label"])
    found = ("opacity", "ground glass", "consolidation")[int(3 * chance[3])]
    heart = ("heart normal", "heart enlarged", "heart at the upper limit")[int(3 * chance[4])]
    fluid = "effusion" if chance[5] < 0.25 + 0.2 * row["label"] else "no effusion"
    tube = ", tube in place" if chance[6] < 0.3 * row["label"] else ""
    first = f"{who} of {row['age']}, {row['height_cm']} cm. "
    return f"{first}{found} of {size} mm, {side} {zone} zone. {heart}. {fluid}{tube}."


def _bodies(patients: int, seed: int) -> NDArray:
    return np.random.default_rng([seed, 1]).normal(size=(patients, _BODY))


def _drawn(patients: int, visits: int, seed: int) -> tuple[pd.DataFrame, NDArray, NDArray]:
    """Rows, films (n, h, w) from 0 to 1, and lungs (n, 2, h, w), the patient's right first."""
    table, z = people(patients, seed=seed), _bodies(patients, seed)
    each = np.random.default_rng([seed, 2]).normal(size=(patients, VISITS, _VISIT))[:, :visits]
    row = np.repeat(np.arange(patients), visits)
    table = table.iloc[row].reset_index(drop=True)
    table["visit"] = np.tile(np.arange(visits) + 1, patients)
    table["subject"] = table["patient"] + "-" + table["visit"].astype(str)
    body, visit = z[row], each.reshape(-1, _VISIT)
    draw = partial(_chunk, table, body, visit, seed)
    parts = [draw(slice(k, k + _CHUNK)) for k in range(0, len(table), _CHUNK)]
    films, lungs = (np.concatenate(one) for one in zip(*parts, strict=True))
    return table, films, lungs


def _chunk(
    table: pd.DataFrame, body: NDArray, visit: NDArray, seed: int, rows: slice
) -> tuple[NDArray, NDArray]:
    b, v = body[rows].T[:, :, None, None], visit[rows].T[:, :, None, None]
    ill = table["label"].to_numpy()[rows, None, None]
    site = table["site"].map(SITES.index).to_numpy()[rows, None, None]
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    y, x = y - 0.03 * v[0], x - 0.03 * v[1]
    breath = 1 + 0.03 * v[2]
    right, left = (
        _inside(x - side * (0.43 + 0.03 * b[6]), y + 0.05 + 0.03 * b[7 + k],
                0.27 + 0.025 * b[9 + k], (0.62 + 0.05 * b[11 + k]) * breath)
        for k, side in enumerate((-1, 1))
    )  # fmt: skip
    heart = _inside(x - 0.13 - 0.03 * b[13], y - 0.35, 0.26 + 0.04 * b[14], 0.3 + 0.03 * b[15])
    ribs = np.sin((15 + 1.2 * b[16]) * (y - (0.35 + 0.08 * b[17]) * x**2) + 0.6 * b[18])
    spine = np.exp(-(((x - 0.05 * b[19] * y) / (0.09 + 0.01 * b[20])) ** 2))
    gray = 0.75 - 0.5 * np.maximum(right, left) + 0.25 * heart + 0.05 * ribs + 0.15 * spine
    for k, (at, low) in enumerate(((-0.43, v[3]), (0.43, v[4]))):
        amount = np.clip(0.08 + 0.16 * ill + 0.07 * b[21] + 0.04 * v[5 + k], 0, 0.5)
        gray += amount * _blob(x - at - 0.1 * v[7 + k], y - 0.2 - 0.15 * low, 0.2)
    gray = (gray - 0.5) * (1 + 0.08 * (site - 1) + 0.05 * v[9]) + 0.45 + 0.03 * v[10]
    noise = np.random.default_rng([seed, 5, rows.start]).normal(size=gray.shape)
    film = np.clip(gray + (0.03 + 0.01 * site) * noise, 0, 1).astype(np.float32)
    return film, np.stack([right, left], 1) > 0.5


def _inside(x: NDArray, y: NDArray, half_width: NDArray, half_height: NDArray) -> NDArray:
    """An ellipse with a soft border."""
    far = np.sqrt((x / half_width) ** 2 + (y / half_height) ** 2)
    return 1 / (1 + np.exp((far - 1) * 14))


def _blob(x: NDArray, y: NDArray, width: float) -> NDArray:
    return np.exp(-(x**2 + y**2) / (2 * width**2))


def _measures(films: NDArray, masks: NDArray, shift: NDArray) -> dict[str, NDArray]:
    """Shape in pixels and gray levels within a mask that a reader outlines a little off."""
    grid = np.meshgrid(*(np.arange(n, dtype=float) for n in SHAPE), indexing="ij")
    w = masks.astype(float)
    area = w.sum(axis=(1, 2))

    def mean(values: NDArray) -> NDArray:
        return (w * values).sum(axis=(1, 2)) / area

    row, column = (mean(axis) for axis in grid)
    off = [grid[0] - row[:, None, None], grid[1] - column[:, None, None]]
    gray = mean(films)
    rest = films - gray[:, None, None]
    steep = np.hypot(*np.gradient(films, axis=(1, 2)))
    inner = np.where(masks, films, np.nan).reshape(len(films), -1)
    low, middle, high = np.nanpercentile(inner, (10, 50, 90), axis=1)
    deviation = np.sqrt(mean(rest**2))
    return {
        "area": area * (1 + 0.02 * shift[:, 0]), "row": row + 0.3 * shift[:, 0],
        "column": column + 0.3 * shift[:, 1], "height": np.sqrt(mean(off[0] ** 2)),
        "width": np.sqrt(mean(off[1] ** 2)), "tilt": mean(off[0] * off[1]), "gray": gray,
        "deviation": deviation, "skewness": mean(rest**3) / deviation**3, "p10": low,
        "p50": middle, "p90": high, "gradient": mean(steep),
        "across": mean(rest * off[1]), "along": mean(rest * off[0]),
    }  # fmt: skip
