"""The bones of a chest, painted slice by slice: vertebrae, ribs, breastbone, shoulder blades."""

from __future__ import annotations

import numpy as np

from nextaim_kit.twins.chest_ct.build import Build, middle_y, narrowing, spine_y
from nextaim_kit.twins.chest_ct.grid import Plane, cover, paint
from nextaim_kit.twins.chest_ct.patient_slice import Slice
from nextaim_kit.twins.chest_ct.tubes import Tubes

CORTEX, MARROW, CARTILAGE, DISC, CORD = 780.0, 260.0, 115.0, 85.0, 35.0


def paint_bones(s: Slice) -> None:
    """Enter all bones but the collar bones."""
    _vertebra(s)
    _ribs(s)
    _sternum(s)
    _shoulder_blades(s)


def _bone(s: Slice, where: tuple, distance: Plane, marrow: float = MARROW) -> None:
    """A bone with a dense cortex, by the distance from it at the pixels `where`."""
    share = cover(distance, s.edge)
    value = CORTEX + (marrow - CORTEX) * cover(distance + 1.6, s.edge)
    s.hu[where] += share * (value - s.hu[where])


def _window(s: Slice, x: tuple[float, float], y: tuple[float, float]) -> tuple[slice, slice]:
    """The part of a slice around a box in mm; generous, since the patient is turned."""
    rows = np.flatnonzero(((s.y > y[0]) & (s.y < y[1]) & (np.abs(s.x) < 60)).any(axis=1))
    columns = np.flatnonzero(((s.x > x[0]) & (s.x < x[1]) & (np.abs(s.y - y[0]) < 80)).any(axis=0))
    if not len(rows) or not len(columns):
        return slice(0, 0), slice(0, 0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _vertebra(s: Slice) -> None:
    middle, pitch = spine_y(s.build, s.z), s.build.vertebra
    at = _window(s, (-44, 44), (middle - 24, middle + 72))
    x, y = s.x[at], s.y[at] - middle
    wide = 15 + 3.0 * np.clip(-s.z / 120, -0.6, 1)
    body = (np.hypot(x / wide, y / (0.82 * wide)) - 1) * 0.9 * wide
    # The back of a vertebra's body is flat.
    body = np.maximum(body, y - 0.62 * wide)
    phase = s.z % pitch
    disc = float(cover(np.array(abs(phase - pitch / 2) - 2.6), s.thick))
    plate = float(cover(np.array(abs(abs(phase - pitch / 2) - 3.6) - 1.0), s.thick))
    _bone(s, at, body, 230 + 250 * plate)
    paint(s.hu[at], cover(body, s.edge) * disc, DISC)
    canal = np.hypot(x / 1.15, y - 0.62 * wide - 9) - 8.5
    if abs((phase - 2 + pitch / 2) % pitch - pitch / 2) < 8:  # the arch
        _bone(s, at, np.abs(canal - 3) - 3)
        _bone(s, at, np.maximum(np.abs(y - 0.62 * wide - 11) - 4.5, np.abs(x) - 34) + 0.5)
    paint(s.hu[at], cover(canal, s.edge), 20.0)
    paint(s.hu[at], cover(canal + 3.5, s.edge), CORD)
    tip = y - 0.62 * wide - 18
    slant = (s.z + 0.8 * tip) % pitch
    process = np.maximum(np.abs(x) - 3.6, np.maximum(-tip, tip - 28))
    _bone(s, at, np.maximum(process, np.abs(slant - pitch / 2) - 7.5))


def _ribs(s: Slice) -> None:
    if narrowing(s.build, s.z) < 0.2:
        return
    at = np.nonzero((s.out > -0.5) & (s.out < 11) & (s.from_back < 0.93 * np.pi))
    out, angle = s.out[at], s.from_back[at]
    # From the spine a rib goes down, and beyond its lowest point up again to the breastbone.
    turned = 1 / (1 + np.exp(-(angle - 2.15) / 0.12))
    fall = 50 * (angle - 0.19 * np.logaddexp(0, (angle - 2.15) / 0.12))
    slope = 50 * (1 - 1.6 * turned) / (s.build.half * narrowing(s.build, s.z))
    pitch = s.build.vertebra
    phase = (s.z + fall + pitch / 2 - 4) % pitch - pitch / 2
    high = phase / np.sqrt(1 + slope**2)
    distance = (np.hypot((out - 5) / 3.9, high / 5.6) - 1) * 3.9
    _bone(s, at, np.where(angle < 0.76 * np.pi, distance, 9))
    soft = np.where(angle >= 0.76 * np.pi, cover(distance, s.edge), 0)
    s.hu[at] += soft * (CARTILAGE - s.hu[at])


def _sternum(s: Slice) -> None:
    build = s.build
    top = build.apex - 26
    if not -52 < s.z < top:
        return
    half = 15 + 12 * float(np.clip((s.z - top + 45) / 30, 0, 1)) - 6 * float(s.z < -35)
    at = np.nonzero((s.from_back > 0.72 * np.pi) & (s.out > 0) & (s.out < 16))
    distance = np.maximum(np.abs(s.out[at] - 6.5) - 5.2, np.abs(s.x[at]) - half)
    _bone(s, at, distance, 190)


def _shoulder_blades(s: Slice) -> None:
    low, high = -30.0, s.build.apex - 4
    if not low < s.z < high:
        return
    up = (s.z - low) / (high - low)
    at = np.nonzero((s.from_back > 0.14 * np.pi) & (s.from_back < 0.55 * np.pi) & (s.deep > 0))
    inner, outer = (0.21 - 0.03 * up) * np.pi, (0.30 + 0.12 * up) * np.pi
    along = 100.0 * np.maximum(inner - s.from_back[at], s.from_back[at] - outer)
    # It lies on the ribs at its inner border and leaves them outwards.
    share = np.clip((s.from_back[at] - inner) / (outer - inner), 0, 1)
    lies = 15 + (8 + 16 * up) * share**2
    thick = 1.7 + 3.5 * share**4 * up + 2.0 * (share < 0.12)
    _bone(s, at, np.maximum(np.abs(s.out[at] - lies) - thick, along))


def collar_bones(build: Build) -> Tubes:
    """Both collar bones, to be drawn as tubes."""
    z = build.apex - 24
    front = middle_y(build, z) - build.depth * 0.9 * narrowing(build, z) - 7
    parts = []
    for side in (-1, 1):
        points = [
            (side * 20, front, z),
            (side * 55, front - 1, z + 9),
            (side * 95, front + 32, z + 20),
            (side * 140, front + 62, z + 34),
        ]
        parts.append(Tubes.along(points, [8.0, 6.0, 5.5, 6.0]))
    return Tubes.joined(parts)
