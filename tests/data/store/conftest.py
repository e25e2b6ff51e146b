"""A small ward's folder, plain and sealed: volumes of each kind, a series, a film, tables."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyrage
import pytest
import SimpleITK as sitk
from PIL import Image

from nextaim_kit.data.store import keys, making, view
from nextaim_kit.data.store.passphrase import FILE, VALUE
from tests.data.conftest import volume, write_series

PHRASE = "six words drawn by lot"
NAME = "Zanzottera"  # of a patient: in a file's name, a header, a cell
KINDS = ("nii.gz", "nii", "nrrd", "mha", "mhd")


@pytest.fixture(autouse=True)
def unlocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The pass-phrase is known, and no view is left of one test to the next."""
    monkeypatch.setenv(VALUE, PHRASE)
    monkeypatch.delenv(FILE, raising=False)
    yield
    view.close()


def pattern(number: int) -> np.ndarray:
    """Voxels of a subject, shape (z, y, x)."""
    rng = np.random.default_rng(number)
    return rng.integers(-900, 900, (8, 12, 10)).astype(np.int16)


def write_ward(folder: Path) -> Path:
    """Five volumes with masks and a cohort.csv, and beside them a series, a film and a note."""
    (folder / "images").mkdir(parents=True)
    rows = ["subject,site,label,image,mask"]
    for number, kind in enumerate(KINDS):
        name = f"{NAME}_{number}.{kind}"
        sitk.WriteImage(volume(pattern(number)), str(folder / "images" / name))
        mask = f"images/mask{number}.nii.gz"
        sitk.WriteImage(volume((pattern(number) > 0).astype(np.uint8)), str(folder / mask))
        rows.append(f"P{number},A,{number % 2},images/{name},{mask}")
    (folder / "cohort.csv").write_text("\n".join(rows) + "\n")
    write_series(folder / "series", pattern(9) + 1000, patient=f"{NAME}^Ada")
    Image.fromarray(np.tile(pattern(10)[0], (4, 4)).astype(np.uint8)).save(folder / "film.png")
    (folder / "empty.txt").write_text("")
    return folder


@pytest.fixture(scope="session")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ward(tmp_path_factory.mktemp("plain") / "ward")


@pytest.fixture(scope="session")
def key() -> str:
    """A key that no pass-phrase has to open, which takes a second each time."""
    return str(pyrage.x25519.Identity.generate())


@pytest.fixture(scope="session")
def sealed_once(ward: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed") / "ward"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VALUE, PHRASE)
        patch.delenv(FILE, raising=False)
        patch.setattr(keys, "_WORK", 0)  # one try is enough here
        terms = {"license": "research only", "agreement": "DTA 7", "until": "2999-12-31"}
        making.make_store(ward, folder, **terms)
    return folder


@pytest.fixture(scope="session")
def its_key(sealed_once: Path) -> str:
    return pyrage.passphrase.decrypt((sealed_once / keys.KEY).read_bytes(), PHRASE).decode()


@pytest.fixture
def store(sealed_once: Path, tmp_path: Path, its_key: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sealed ward that a test may damage; its pass-phrase is tried in no time."""
    copy = shutil.copytree(sealed_once, tmp_path / "ward")
    monkeypatch.setattr(keys, "unlock", lambda *args, **kwargs: its_key)
    return copy
