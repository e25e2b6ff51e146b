"""A small twin, and pairs drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from nextaim_kit.studies.microscopy_superres.pairs import load_pairs
from nextaim_kit.studies.microscopy_superres.twin import Look, make_twin


@pytest.fixture(scope="session")
def small_twin(tmp_path_factory):
    """One field of each set, 64 pixels wide."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXTAIM_CACHE", str(tmp_path_factory.mktemp("twin")))
        made = make_twin(5, look=Look(pixels=64), seed=3, workers=1, progress=lambda *_: None)
        yield load_pairs("synthetic", twin=lambda: made, workers=1)


@pytest.fixture(scope="session")
def lines():
    """A function that draws bright lines, and the widefield image that shows them."""
    return _lines


def _lines(edge=96, scale=4, seed=0):
    """STORM of a few lines (0 to 1), and the widefield image of it, in counts."""
    rng = np.random.default_rng(seed)
    fine = np.zeros((edge * scale, edge * scale), np.float32)
    for _ in range(14):
        (r, c), angle = rng.uniform(0, edge * scale, 2), rng.uniform(0, np.pi)
        s = np.arange(-edge * scale, edge * scale, 0.5)
        at = np.rint([r + s * np.sin(angle), c + s * np.cos(angle)]).astype(int)
        inside = ((at >= 0) & (at < edge * scale)).all(0)
        fine[tuple(at[:, inside])] = 1.0
    blurred = ndimage.gaussian_filter(fine, 1.2 * scale)
    wide = blurred.reshape(edge, scale, edge, scale).mean((1, 3))
    wide = rng.poisson(100 + 20000 * wide)
    return fine, wide.astype(np.float32)


@pytest.fixture
def folder(tmp_path, lines):
    """A function that writes pairs into a folder, and gives its path."""

    def write(**images):
        for name, image in images.items():
            kind = np.uint16 if image.max() > 255 else np.uint8
            Image.fromarray(image.astype(kind)).save(tmp_path / f"{name}.tif")
        return tmp_path

    return write
