"""Plain pyradiomics as the reference, and small volumes to try both on."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage


def _plain(image, mask, settings) -> dict[str, float]:
    from radiomics import glcm
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    extractor = RadiomicsFeatureExtractor(**settings.pyradiomics())
    extractor.disableAllFeatures()
    for name in ("shape", "firstorder", "glrlm", "glszm", "gldm"):
        extractor.enableFeatureClassByName(name)
    off = ("SumAverage", "MCC")
    names = glcm.RadiomicsGLCM.getFeatureNames().items()
    extractor.enabledFeatures["glcm"] = [n for n, old in names if not old and n not in off]
    extractor.enabledImagetypes = settings.image_types()
    found = extractor.execute(image, mask)
    # Its general eigenvalue solver answers a symmetric matrix with complex numbers now and then.
    return {n: float(np.real(v)) for n, v in found.items() if not n.startswith("diagnostics")}


@pytest.fixture(scope="session")
def plain():
    """Features by ``RadiomicsFeatureExtractor.execute`` under the same settings."""
    return _plain


@pytest.fixture
def whole(monkeypatch):
    """pyradiomics under a parameter file, with what its 3-D patterns import and SciPy dropped."""
    import sys
    import types

    from radiomics.featureextractor import RadiomicsFeatureExtractor
    from scipy import special

    from nextaim_kit.studies.ct_radiomics import lbp3d

    def sph_harm(m, n, azimuth, polar):
        return special.sph_harm_y(n, m, np.abs(polar), azimuth)

    def icosphere(subdivisions, radius):
        return types.SimpleNamespace(vertices=lbp3d.icosphere(subdivisions, radius))

    old = types.SimpleNamespace(map_coordinates=ndimage.map_coordinates)
    monkeypatch.setitem(sys.modules, "scipy.ndimage.interpolation", old)
    monkeypatch.setitem(sys.modules, "trimesh", types.ModuleType("trimesh"))
    monkeypatch.setitem(sys.modules, "trimesh.creation", types.SimpleNamespace(icosphere=icosphere))
    monkeypatch.setattr(special, "sph_harm", sph_harm, raising=False)

    def run(image, mask, file):
        chosen = file if isinstance(file, dict) else str(file)
        found = RadiomicsFeatureExtractor(chosen).execute(image, mask)
        # Its general eigenvalue solver answers a symmetric matrix with complex numbers at times.
        return {n: float(np.real(v)) for n, v in found.items() if not n.startswith("diagnostics")}

    return run


def _volume(array, spacing=(1.0, 1.0, 1.0), origin=(-10.5, 3.25, 7.0)) -> sitk.Image:
    image = sitk.GetImageFromArray(np.asarray(array))
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


@pytest.fixture(scope="session")
def volume():
    """Image (sitk) from an array (z, y, x), spacing (x, y, z) and origin."""
    return _volume


@pytest.fixture(scope="session")
def tissue():
    """Smooth noise in HU, int16."""

    def make(shape, seed=0):
        noise = np.random.default_rng(seed).standard_normal(shape)
        return np.rint(ndimage.gaussian_filter(noise, 1) * 300 - 400).astype(np.int16)

    return make


@pytest.fixture(scope="session")
def ball():
    """Ellipsoid as uint8, by center and radii in voxels (z, y, x)."""

    def make(shape, center, radii):
        grid = np.ogrid[tuple(slice(0, n) for n in shape)]
        apart = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, center, radii, strict=True))
        return (apart <= 1).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def equal():
    """Assert that two feature dictionaries agree: relative, or absolute near zero."""

    def check(ours, reference, relative=1e-9, absolute=1e-9):
        assert set(ours) == set(reference)
        names = sorted(ours)
        np.testing.assert_allclose(
            [ours[n] for n in names], [reference[n] for n in names], relative, absolute
        )

    return check
