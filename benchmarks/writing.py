"""Writing in pixels: names that are missed, and images that are covered without need.

    python benchmarks/writing.py --peer PYTHON     # writes benchmarks/results/writing.json

The kit stands beside an optical reader: PYTHON is the interpreter of an environment that has
rapidocr-onnxruntime; else only the kit is run. A name is missed where less than 0.9 of its
strokes' pixels lie in what is covered. Nothing is planted that does not differ by a quarter of the
image's range from what it stands on. Images without writing are those on which the names stand,
synthetic CTs of five sizes and two kernels, noise, public images of pydicom and, where
NEXTAIM_REAL is set, the real CT and MR in it.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from nextaim_kit.data.privacy.writing import lines_of
from nextaim_kit.files import write_json

RESULT = Path(__file__).parent / "results" / "writing.json"
SIDE = 320
SIZES = (10, 12, 14, 18, 24)
DRAWN = ("smooth", "hard", "JPEG")
INKS = ("light", "dark", "on a box")
PLACES = ("corner", "lower border", "middle", "turned")
TEXTS = ("ZANFREGAN OLDRADA", "Zanfregan Oldrada", "QV-0083471", "12/03/2019", "Dott. Brughetti")
READ, VISIBLE, SEEN = 0.9, 0.25, 0.1
PEERS = 7, 83  # each of so many names, of so many images without one, is shown to the peer
Box = tuple[int, int, int, int]
PEER = """
import sys, json, time, numpy as np
from rapidocr_onnxruntime import RapidOCR
engine = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)
out, begin = [], time.process_time()
for array in np.load(sys.argv[1]).values():
    gray = array.astype(float) - array.min()
    picture = (gray / max(1, gray.max()) * 255).astype('u1')
    found, _ = engine(np.repeat(picture[..., None], 3, 2))
    boxes = [np.array(one[0]) for one in found or ()]
    out.append([[int(b[:, 1].min()), int(b[:, 0].min()), int(b[:, 1].max()) + 1,
                 int(b[:, 0].max()) + 1] for b in boxes])
print(json.dumps([out, time.process_time() - begin]))
"""


@dataclass
class Case:
    """An image, what was planted in it, and where its strokes are; none in a clean one."""

    image: np.ndarray
    kind: tuple[str, ...]
    strokes: np.ndarray | None = None


def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    return y, x


def _texture(random: np.random.Generator, wide: float) -> np.ndarray:
    rough = ndimage.gaussian_filter(random.normal(size=(SIDE, SIDE)), wide)
    return rough / rough.std()


def _ct(random: np.random.Generator) -> np.ndarray:
    """A chest of air, fat, lungs with vessels, ribs, in Hounsfield units + 1024."""
    y, x = _grid()
    image = np.full((SIDE, SIDE), -1000.0)
    image[(x / 0.45) ** 2 + (y / 0.34) ** 2 < 1] = 40
    lungs = (((np.abs(x) - 0.19) / 0.14) ** 2 + (y / 0.24) ** 2) < 1
    image[lungs] = -850 + (700 * (_texture(random, 2.5) > 2.0))[lungs]
    for turn in np.linspace(0, 2 * np.pi, 22):
        image[(x - 0.41 * np.cos(turn)) ** 2 + (y - 0.3 * np.sin(turn)) ** 2 < 0.0003] = 700
    image[x**2 + (y - 0.22) ** 2 < 0.0025] = 500
    image = ndimage.gaussian_filter(image, 0.8) + 25 * _texture(random, 0.7)
    return np.round(image + 1024).clip(0, 4095).astype("<u2")


def _mr(random: np.random.Generator) -> np.ndarray:
    """A head of layers with folds, under Rician noise."""
    y, x = _grid()
    far = np.hypot(x / 0.36, y / 0.42)
    image = np.where(far < 1, 700.0, 0.0)
    image[(far > 0.86) & (far < 0.93)] = 60
    inside = far < 0.84
    image[inside] = (430 + 140 * np.tanh(4 * _texture(random, 5)))[inside]
    image[((np.abs(x) - 0.05) / 0.03) ** 2 + (y / 0.12) ** 2 < 1] = 120
    real, other = random.normal(0, 18, (2, SIDE, SIDE))
    return np.hypot(ndimage.gaussian_filter(image, 0.7) + real, other).astype("<u2")


def _us(random: np.random.Generator) -> np.ndarray:
    """Speckle within a sector, a vessel without echoes."""
    y, x = _grid()
    sector = (np.hypot(x, y + 0.55) < 0.95) & (np.abs(x) < 0.6 * (y + 0.56))
    speckle = ndimage.gaussian_filter(random.rayleigh(1, (SIDE, SIDE)), (0.6, 1.2))
    image = 45 * speckle * (1 + 0.5 * _texture(random, 20)) * sector
    image[(x + 0.05) ** 2 / 4 + (y - 0.1) ** 2 < 0.002] *= 0.1
    return image.clip(0, 230).astype("u1")


def _sc(random: np.random.Generator) -> np.ndarray:
    """A page of a report: one level, a curve."""
    y, x = _grid()
    image = np.full((SIDE, SIDE), float(random.choice([20, 90, 235])))
    image[np.abs(y - 0.2 * np.sin(9 * x)) < 0.004] = 255 - image[0, 0]
    return image.astype("u1")


def _xa(random: np.random.Generator) -> np.ndarray:
    """Vessels full of contrast medium before ribs and diaphragm, within a round field."""
    y, x = _grid()
    image = 170 - 30 * y + 12 * np.sin(24 * (y + 0.3 * x))
    for number in range(5):
        course = 0.25 * np.sin(5 * y + number) + 0.06 * number
        image -= (90 - 14 * number) * np.exp(-((x - course) ** 2) / (0.00012 + 0.00006 * number))
    image += random.normal(0, 5, image.shape)
    image[np.hypot(x, y) > 0.52] = 4
    return image.clip(0, 255).astype("u1")


def _mg(random: np.random.Generator) -> np.ndarray:
    """A breast at the border, with strands and grains of chalk, before air."""
    y, x = _grid()
    inside = np.clip(1 - np.hypot((x + 0.5) / 0.7, y / 0.46), 0, None)
    image = 1500 * inside**0.5 * (1 + 0.25 * _texture(random, 6) + 0.12 * _texture(random, 1.5))
    for row, column in random.integers(SIDE // 3, SIDE // 2, (12, 2)):
        image[row : row + 2, column : column + 2] += 900
    return (image + random.normal(60, 8, image.shape)).clip(0, 4000).astype("<u2")


def _cr(random: np.random.Generator) -> np.ndarray:
    """A chest film: lungs, heart, ribs, noise of a plate."""
    y, x = _grid()
    image = np.full((SIDE, SIDE), 1500.0)
    for side in (-1, 1):
        image -= 800 * np.exp(-(((x - 0.2 * side) / 0.13) ** 4) - ((y / 0.3) ** 4))
        ribs = np.abs(np.sin(16 * (y + 0.8 * (x - 0.2 * side) ** 2 * 3))) > 0.93
        image += 180 * ndimage.gaussian_filter((ribs & (np.abs(x) < 0.38)).astype(float), 1.5)
    image += 700 * np.exp(-(((x - 0.04) / 0.1) ** 2) - (((y - 0.1) / 0.16) ** 2))
    image += 20 * _texture(random, 0.8)
    return image.clip(0, 4095).astype("<u2")


BACKS = {"CT": _ct, "MR": _mr, "US": _us, "SC": _sc, "XA": _xa, "MG": _mg, "CR": _cr}


def _strokes(shape: tuple[int, int], text: str, size: int, place: str, smooth: bool) -> np.ndarray:
    """How much ink lies on each pixel, from 0 to 1."""
    page = Image.new("L", shape[::-1])
    draw = ImageDraw.Draw(page)
    draw.fontmode = "L" if smooth else "1"
    font = ImageFont.load_default(size)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    at = {
        "corner": (1 - left, 1 - top),
        "turned": (30 - left, 3 - top),
        "lower border": ((shape[1] - right) // 3, shape[0] - 1 - bottom),
        "middle": ((shape[1] - right) // 2, shape[0] // 2 - bottom),
    }
    draw.text(at[place], text, fill=255, font=font)
    return np.asarray(page) / 255


def _jpeg(image: np.ndarray) -> np.ndarray:
    """An image after lossy compression to a quality of 85, in its own range of values."""
    top = max(1, int(image.max()))
    packed = io.BytesIO()
    Image.fromarray((image.astype(float) / top * 255).astype("u1")).save(packed, "JPEG", quality=85)
    return np.round(np.asarray(Image.open(packed)) / 255 * top).astype(image.dtype)


def planted() -> Iterator[Case]:
    """The matrix: each kind of image, height, way to draw, ink and place; texts take turns."""
    for number, (name, size, drawn, ink, place) in enumerate(
        product(BACKS, SIZES, DRAWN, INKS, PLACES)
    ):
        random = np.random.default_rng(number)
        image = BACKS[name](random)
        image = np.rot90(image).copy() if place == "turned" else image
        text = TEXTS[number % len(TEXTS)]
        share = _strokes(image.shape, text, size, place, drawn != "hard")
        low, high = float(image.min()), float(image.max())
        strokes = share > 0.9
        if ink == "on a box":
            rows, columns = np.nonzero(share)
            top, left = max(0, rows.min() - 1), max(0, columns.min() - 1)
            image[top : rows.max() + 2, left : columns.max() + 2] = low
        level = low if ink == "dark" else high
        far = np.abs(image.astype(float) - level) / max(1.0, high - low)
        if far[strokes].mean() < VISIBLE:
            continue
        strokes &= far > SEEN
        image = np.round(image * (1 - share) + level * share).astype(image.dtype)
        image = _jpeg(image) if drawn == "JPEG" else image
        if place == "turned":
            image, strokes = np.rot90(image, -1).copy(), np.rot90(strokes, -1)
        yield Case(image, (name, f"{size} pixels", drawn, ink, place), strokes)


def clean() -> Iterator[Case]:
    """Images without writing."""
    for name, make in BACKS.items():
        for seed in range(40):
            image = make(np.random.default_rng(10_000 + seed))
            yield Case(image, (f"phantom of {name}",))
            yield Case(_jpeg(image), (f"phantom of {name}, JPEG",))
    yield from _twins()
    for side, seed in product((32, 64, 128, 256), range(6)):
        random = np.random.default_rng(seed)
        for noise in (
            random.normal(1000, 100, (side, side)).clip(0).astype("<u2"),
            random.integers(0, 4096, (side, side)).astype("<u2"),
            random.integers(0, 256, (side, side)).astype("u1"),
            np.hypot(*random.normal(0, 20, (2, side, side))).astype("<u2"),
        ):
            yield Case(noise, ("noise",))
    yield from _public()


def _twins() -> Iterator[Case]:
    import SimpleITK as sitk

    from nextaim_kit.studies.ct_lungquant.twin import make_twin, size_of

    for across, kernel in product((48, 64, 80, 96, 128), ("smooth", "sharp")):
        twin = make_twin(12, size=size_of(across), slice_mm=5.0, kernel=kernel, workers=1)
        for path in twin["image"]:
            for plane in sitk.GetArrayFromImage(sitk.ReadImage(str(path))):
                image = (plane.astype(np.int32) + 1024).clip(0).astype("<u2")
                yield Case(image, ("synthetic CT",))


def _public() -> Iterator[Case]:
    import pydicom
    import pydicom.data

    real = Path(os.environ.get("NEXTAIM_REAL", "/nowhere"))
    for path in sorted([*Path(pydicom.data.__file__).parent.rglob("*.dcm"), *real.rglob("*.dcm")]):
        try:
            data = pydicom.dcmread(path)
            if data.get("Modality") in ("CT", "MR") and data.get("SamplesPerPixel") == 1:
                frames = np.atleast_3d(data.pixel_array)
                stack = frames if data.get("NumberOfFrames") else data.pixel_array[None]
                yield from (Case(np.array(one), ("public CT and MR",)) for one in stack)
        except Exception as error:  # files that are damaged on purpose are among them
            print(path.name, type(error).__name__, file=sys.stderr)
    yield from _volumes(real)


def _volumes(real: Path) -> Iterator[Case]:
    import SimpleITK as sitk

    for path in sorted(p for end in ("*.nii*", "*.nrrd") for p in real.rglob(end)):
        room = next((r for r in ("ct_radiomics", "ct_lungquant", "thalamus") if r in str(path)), "")
        if not room or any(word in path.name for word in ("mask", "label", "ending", "seg")):
            continue
        volume = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        volume = volume[0] if volume.ndim == 4 else volume
        for plane in volume[:: max(1, len(volume) // 40)]:
            yield Case(plane, ("public CT and MR",))


def _left(case: Case, boxes: list[Box]) -> bool:
    """Whether a planted name may still be read."""
    seen = np.ones(case.image.shape, bool)
    for top, left, bottom, right in boxes:
        seen[max(0, top) : bottom, max(0, left) : right] = False
    return bool(case.strokes is not None and seen[case.strokes].mean() > 1 - READ)


def _kit(cases: list[Case]) -> tuple[list[list[Box]], float]:
    begin = time.process_time()
    return [lines_of(case.image) for case in cases], time.process_time() - begin


def _peer(cases: list[Case], python: str) -> tuple[list[list[Box]], float]:
    import json

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npz"
        np.savez(path, *(case.image for case in cases))
        done = subprocess.run([python, "-c", PEER, path], check=True, capture_output=True)
    boxes, seconds = json.loads(done.stdout.splitlines()[-1])
    return [[tuple(box) for box in one] for one in boxes], seconds


def judged(written: list[Case], plain: list[Case], find) -> dict[str, object]:  # type: ignore[no-untyped-def]
    """Names missed, by each of their kinds, images covered without need, and seconds of each."""
    boxes, seconds = find(written)
    missed = [case for case, found in zip(written, boxes, strict=True) if _left(case, found)]
    by_kind = Counter(one for case in missed for one in case.kind)
    of_kind = Counter(one for case in written for one in case.kind)
    falsely, more = find(plain)
    covered = Counter(c.kind[0] for c, f in zip(plain, falsely, strict=True) if f)
    return {
        "missed": len(missed),
        "of": len(written),
        "missed_by_kind": {kind: [by_kind[kind], of_kind[kind]] for kind in of_kind},
        "covered_falsely": sum(covered.values()),
        "clean": len(plain),
        "covered_by_kind": dict(sorted(covered.items())),
        "cpu_s_each": (seconds + more) / (len(written) + len(plain)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="interpreter of an environment with rapidocr-onnxruntime")
    python = parser.parse_args().peer
    written, plain = list(planted()), list(clean())
    found = {"kit": judged(written, plain, _kit)}
    if python:
        # A reader takes up to a second an image: it is shown some of them.
        some = written[:: PEERS[0]], plain[:: PEERS[1]]
        found["rapidocr"] = judged(*some, lambda cases: _peer(cases, python))
        found["kit, on those"] = judged(*some, _kit)
    write_json(RESULT, found)
    for one, what in found.items():
        print(one, what)


if __name__ == "__main__":
    main()
