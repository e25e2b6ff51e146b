"""Patterns on spheres: values that pyradiomics 3.0.1 gave with SciPy 1.15 and trimesh."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_radiomics import image_types, lbp3d
from nextaim_kit.studies.ct_radiomics.region import find_region

FINER = {"lbp3DLevels": 3, "lbp3DIcosphereRadius": 1.5, "lbp3DIcosphereSubdivision": 2}
# Mean and standard deviation over the 277 voxels of the region.
KNOWN = {
    ("int16", 2): [
        (10.481981936791833, 9.107063705919419),
        (9.35235481409328, 7.40090786252344),
        (-0.43171283038439995, 0.45318225324409284),
    ],
    ("int16", 3): [
        (78.93693939476384, 59.33568909914068),
        (69.91792198052809, 49.81392799895086),
        (63.56648941879816, 43.983623536049066),
        (-0.42418769523850586, 0.28732716802719166),
    ],
    ("float32", 2): [
        (10.439160340957693, 9.101687002554563),
        (9.315919095255925, 7.39777024867849),
        (-0.4316915815918024, 0.4531268510968965),
    ],
    ("float32", 3): [
        (78.59322657731397, 59.293851678058374),
        (69.59203948134947, 49.805517156877556),
        (63.24330064416973, 43.95529063120042),
        (-0.42414062935522745, 0.2872799882996847),
    ],
}


def arithmetic():
    z, y, x = np.indices((12, 14, 16))
    values = (z * 37 + y * 91 + x * 53 + z * x * 7 + y * y * 5) % 211 - 60
    marked = (z - 6) ** 2 + (y - 7) ** 2 / 2 + (x - 8) ** 2 / 3 <= 9
    return values, marked


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_patterns_are_those_of_pyradiomics(volume, kind, levels):
    values, marked = arithmetic()
    region = find_region(volume(values.astype(kind)), volume(marked.astype(np.uint8)))
    chosen = FINER if levels == 3 else {}
    made = {n: v for n, v, _ in image_types.images(region, {"LBP3D": chosen}, {})}
    assert list(made) == [f"lbp-3D-m{n + 1}" for n in range(levels)] + ["lbp-3D-k"]
    found = [(v.mean(), v.std()) for v in made.values()]
    # Which of two single-precision neighbors is larger can hang on the processor's last digit.
    np.testing.assert_allclose(found, KNOWN[kind, levels], 1e-9 if kind == "int16" else 1e-6)


def test_patterns_do_not_depend_on_the_blocks_they_are_computed_in(monkeypatch):
    values, marked = arithmetic()
    whole = lbp3d.lbp_3d(values, marked, (0, 0, 0), FINER)
    monkeypatch.setattr(lbp3d, "_BLOCK", 1000)
    for name, part in lbp3d.lbp_3d(values, marked, (0, 0, 0), FINER).items():
        np.testing.assert_allclose(part, whole[name], rtol=1e-12)


@pytest.mark.parametrize("subdivisions", [0, 1, 2])
def test_an_icosphere_has_its_points_on_the_sphere_as_far_apart_as_its_kind_has(subdivisions):
    points = lbp3d.icosphere(subdivisions, 1.5)
    assert points.shape == (10 * 4**subdivisions + 2, 3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.5)
    apart = np.linalg.norm(points[:, None] - points, axis=2) + 3 * np.eye(len(points))
    edge = (
        1.5 * {0: 1.0514622242382672, 1: 0.5465330578253433, 2: 0.27590448425526737}[subdivisions]
    )
    np.testing.assert_allclose(apart.min(axis=1).min(), edge, 1e-6)


def test_samples_that_are_all_alike_have_the_kurtosis_of_pyradiomics_day():
    values, marked = np.zeros((9, 9, 9)), np.zeros((9, 9, 9), bool)
    marked[4, 4, 4] = True
    kurtosis = lbp3d.lbp_3d(values, marked, (0, 0, 0), {})["lbp-3D-k"]
    assert kurtosis.tolist() == [-3]


@pytest.mark.parametrize("kind", ["LBP3D", "LBP2D", "Gradient", "LoG", "Square"])
def test_a_filter_that_meets_values_that_are_not_finite_says_so(volume, kind):
    values, marked = arithmetic()
    values = values.astype(np.float32)
    values[6, 7, 13] = np.inf
    marked &= np.indices(marked.shape)[2] < 13
    region = find_region(volume(values), volume(marked.astype(np.uint8)))
    with pytest.raises(DataError, match="meets values that are not numbers"):
        list(image_types.images(region, {kind: {"sigma": [1]}}, {}))
