"""A small twin, pictures made by hand, and CBIS-DDSM's layout."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nextaim_kit.data.images.films import read_film
from nextaim_kit.studies.breast_masses.mammograms.cbis import COLUMNS, MARGINS, SHAPES
from nextaim_kit.studies.breast_masses.mammograms.image_file import read_mask_values
from nextaim_kit.studies.breast_masses.prototypes.crops import Crops
from nextaim_kit.studies.breast_masses.twin import Look, make_twin

COARSE = Look(spacing=0.8)


@pytest.fixture(scope="session")
def small_twin(tmp_path_factory):
    """Eighteen patients in pixels of 0.8 mm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXTAIM_CACHE", str(tmp_path_factory.mktemp("twin")))
        yield make_twin(18, look=COARSE, workers=1, progress=lambda *_: None)


@pytest.fixture
def half_disc():
    """A function that draws a breast."""
    return _half_disc


@pytest.fixture
def square():
    """A function that draws a mask of boxes."""
    return _square


@pytest.fixture
def write_cbis():
    """A function that writes mammograms in CBIS-DDSM's layout."""
    return _write_cbis


def _half_disc(shape=(120, 90), side="L", high=0.5):
    """A breast as a half disc at a side, gray 0 to 255, its widest place at a height."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    far = np.hypot((y - high * shape[0]) / (0.42 * shape[0]), x / (0.8 * shape[1]))
    breast = np.where(far < 1, 60 + 120 * (1 - far) + 10 * np.sin(x / 3) * np.cos(y / 4), 0)
    return (breast if side == "L" else breast[:, ::-1]).astype(np.uint8)


def _square(*boxes, shape=(120, 90)):
    """A mask with these boxes (x0, y0, x1, y1), 0 and 255."""
    mask = np.zeros(shape, np.uint8)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = 255
    return mask


@pytest.fixture
def folder(tmp_path):
    """Write pictures and tables, by their names, into a folder."""

    def write(**files):
        for name, content in files.items():
            path = tmp_path / name.replace("__", "/").replace("_csv", ".csv").replace(
                "_png", ".png"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                path.write_text(content)
            else:
                Image.fromarray(content).save(path)
        return str(tmp_path)

    return write


def _write_cbis(made, folder, mixed_up=False):
    """Write mammograms in CBIS-DDSM's layout; mixed up: the columns of crop and mask swapped."""
    of = made.lesions.merge(made.images, on=["subject", "patient", "site"], suffixes=("", "_image"))
    order = {name: f"P_{k:05d}" for k, name in enumerate(sorted(set(of["patient"])), 1)}
    words = [{v: k for k, v in reversed(known.items())} for known in (SHAPES, MARGINS)]
    cases = []
    for row in of.to_dict("records"):
        number, side = row["lesion"].rpartition("_")[2], {"L": "LEFT", "R": "RIGHT"}[row["side"]]
        case = f"Mass-Training_{order[row['patient']]}_{side}_{row['view']}"
        names = [
            f"{case}/1.3/1.3/000000.png",
            *(f"{case}_{number}/1.3/1.3/00000{k}.png" for k in (0, 1)),
        ]
        pixels, x0, y0, x1, y1 = (
            read_film(row["image"]).shown,
            *(int(row[c]) for c in ("x0", "y0", "x1", "y1")),
        )
        inside = (read_mask_values(row["mask"]) == int(number)) * 255
        last = [inside, pixels[y0:y1, x0:x1]] if mixed_up else [pixels[y0:y1, x0:x1], inside]
        for name, values in zip(names, [pixels, *last], strict=True):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            kind = np.uint8 if values.max() < 256 else np.uint16
            Image.fromarray(np.ascontiguousarray(values).astype(kind)).save(folder / name)
        outcome = "MALIGNANT" if row["label"] else "BENIGN_WITHOUT_CALLBACK"
        cases.append([
            order[row["patient"]], row["density_image"], side, row["view"], number, "mass",
            words[0][row["shape"]], words[1][row["margin"]], 4, outcome, 3, *names,
        ])  # fmt: skip
    table = pd.DataFrame(cases, columns=COLUMNS)
    table.to_csv(folder / "mass_case_description_train_set.csv", index=False)
    return table


@pytest.fixture(scope="session")
def disks_and_stars():
    """Makes n crops, every second one a star."""
    return _disks_and_stars


def _disks_and_stars(n: int, size: int = 64, seed: int = 0) -> Crops:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    down, right = np.mgrid[:size, :size] - size / 2
    pictures = [_drawn(rng, down, right, bool(star)) for star in y]
    names = [f"L{k}" for k in range(n)]
    table = pd.DataFrame({"subject": names, "lesion": names, "site": "A", "label": y})
    table["patient"] = [f"P{k // 2}" for k in range(n)]
    films = np.stack(pictures).astype(np.float32)
    return Crops(films, films > 0.5, table)


def _drawn(rng, down, right, star: bool) -> np.ndarray:
    y, x = rng.normal(0, 3, 2)
    r, angle = np.hypot(down - y, right - x), np.arctan2(down - y, right - x)
    edge = 10 + rng.uniform(-2, 4) + star * 4 * np.cos(7 * angle + rng.uniform(0, 6))
    picture = 0.3 + 0.4 / (1 + np.exp(r - edge)) + 0.05 * rng.normal(size=r.shape)
    return picture.clip(0, 1)
