"""Tiles put together are one pass, and a halo that is too small is told by its seams."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.microscopy_superres.networks import Generator, receptive_radius
from nextaim_kit.studies.microscopy_superres.tiling import as_function, tiled

REACH = 12  # pixels that the stand-in below sees on each side


def blurred_twice(part):
    wide = part.repeat(2, 0).repeat(2, 1)
    return ndimage.gaussian_filter(wide, 3.0, radius=2 * REACH, mode="constant")


def silent(*_):
    return None


@pytest.fixture
def image():
    return np.random.default_rng(0).random((90, 61)).astype(np.float32)


@pytest.mark.parametrize("tile", [16, 32, 90])
def test_with_a_halo_as_wide_as_it_sees_tiled_equals_whole(image, tile):
    found = tiled(blurred_twice, image, 2, halo=REACH, tile=tile, progress=silent)
    np.testing.assert_allclose(found.image, blurred_twice(image), atol=1e-5)
    assert found.seam < 1e-5


@pytest.mark.parametrize(("scale", "channels"), [(4, 1), (2, 3)])
def test_a_generator_sees_no_farther_than_its_receptive_radius(image, scale, channels):
    net = Generator(scale, features=8, blocks=1, growth=4, channels=channels)
    for weight in net.parameters():
        weight.data *= 3  # so that what is far away counts
    whole, halo = as_function(net)(image), receptive_radius(net)
    found = tiled(as_function(net), image, scale, halo=halo, tile=20, progress=silent)
    np.testing.assert_allclose(found.image, whole, atol=1e-5 * np.abs(whole).max())
    assert found.tiles == 20


def test_a_smaller_halo_leaves_a_seam_and_its_size_is_told(image):
    found = tiled(blurred_twice, image, 2, halo=1, tile=16, progress=silent)
    error = np.abs(found.image - blurred_twice(image)).max()
    assert error > 1e-4
    assert error <= found.seam < 10 * error


def test_what_is_asked_at_once_stays_small(image):
    sizes = []

    def noted(part):
        sizes.append(part.size)
        return blurred_twice(part)

    out = np.zeros((180, 122), np.float32)
    assert tiled(noted, image, 2, halo=4, tile=8, out=out, progress=silent).image is out
    assert max(sizes) <= (8 + 2 * 4) ** 2


def test_progress_is_told_tile_by_tile(image):
    seen = []
    found = tiled(blurred_twice, image, 2, halo=4, tile=32, progress=lambda *a: seen.append(a[:2]))
    assert seen[-1] == (6, 6) == (found.tiles, found.tiles)


def test_what_cannot_be_is_refused(image):
    with pytest.raises(RequestError, match="at least one pixel"):
        tiled(blurred_twice, image, 2, halo=0)
    with pytest.raises(RequestError, match="not 4 times as fine"):
        tiled(blurred_twice, image, 4, halo=4, progress=silent)
    with pytest.raises(RequestError, match="another size"):
        tiled(blurred_twice, image, 2, halo=4, out=np.zeros((3, 3), np.float32))
