"""Lungs by thresholds: airways, gas, sides, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_lungquant.resampling import coarse, coarse_labels, planes
from nextaim_kit.studies.ct_lungquant.scans import Scan
from nextaim_kit.studies.ct_lungquant.threshold import find_lungs, segment, split_sides

SPACING = (4.0, 4.0, 4.0)
BODY = (60, 70, 100)  # z, y, x


def chest(*, left=-850, right=-850):
    """A body of 40 HU in air, with two lungs of 60 x 120 x 100 mm or so."""
    hu = np.full(BODY, -1000, np.float32)
    z, y, x = np.ogrid[: BODY[0], : BODY[1], : BODY[2]]
    hu[np.broadcast_to(((y - 35) / 28) ** 2 + ((x - 50) / 45) ** 2 < 1, BODY)] = 40
    for center, value in ((28, right), (72, left)):
        lung = ((z - 30) / 20) ** 2 + ((y - 35) / 18) ** 2 + ((x - center) / 13) ** 2 < 1
        hu[lung] = value
    return hu


def test_two_lungs_are_found_with_their_sides_and_volumes():
    lungs, warnings = find_lungs(chest(), SPACING)
    expected = 4 / 3 * np.pi * 20 * 18 * 13
    assert warnings == []
    for side, center in ((1, 28), (2, 72)):
        assert (lungs == side).sum() == pytest.approx(expected, rel=0.05)
        assert np.nonzero(lungs == side)[2].mean() == pytest.approx(center, abs=1)


@pytest.mark.parametrize(("sides", "label"), [({"left": 40}, 1), ({"right": 40}, 2)])
def test_a_single_lung_keeps_its_side_and_is_told(sides, label):
    lungs, warnings = find_lungs(chest(**sides), SPACING)
    assert warnings == ["only one lung was found: one without air is left out"]
    assert np.unique(lungs).tolist() == [0, label]


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_an_emphysematous_lung_is_a_lung_and_is_told_from_gas_by_a_warning(share):
    hu = chest()
    empty = np.random.default_rng(0).random(hu.shape) < share
    hu[(hu == -850) & empty] = -980
    lungs, warnings = find_lungs(hu, SPACING)
    assert np.count_nonzero(lungs) == pytest.approx(
        np.count_nonzero(find_lungs(chest(), SPACING)[0])
    )
    assert warnings == [f"{share:.0%} of the lungs is below -960 HU: emphysema, or gas"]


def test_gas_at_large_is_no_lung_though_noise_lifts_some_of_it():
    hu = chest()
    noise = np.random.default_rng(0).random(hu.shape) < 0.5
    hu[(hu == -1000) & noise] = -940
    lungs, _ = find_lungs(hu, SPACING)
    assert np.array_equal(lungs, find_lungs(chest(), SPACING)[0])


@pytest.mark.parametrize(("blood", "lesions"), [(300, 0), (-500, 1)])
def test_vessels_with_contrast_medium_are_taken_off_and_the_lesions_are_doubtful(blood, lesions):
    hu = chest()
    hu[22:38, 31:39, 24:32] = blood  # as thick as a vessel at the hilum
    maps = segment(Scan(picture(hu.astype(np.int16), SPACING)))
    found = sitk.GetArrayFromImage(maps.lesions) > 0.5
    assert bool(found.sum() > 500) == bool(lesions)
    assert any("contrast medium" in one for one in maps.warnings) == (not lesions)


def test_gas_in_the_bowel_and_around_the_body_is_no_lung():
    with pytest.raises(DataError, match="no lung is found by thresholds"):
        find_lungs(chest(left=-995, right=-995), SPACING)


def test_lungs_that_the_field_cuts_are_found_as_well():
    lungs, _ = find_lungs(chest()[:, :, 30:74], SPACING)
    assert (lungs == 1).any()
    assert (lungs == 2).any()


def test_an_enclosed_dense_part_belongs_to_the_lung_and_the_diaphragm_does_not():
    hu = chest()
    z, y, x = np.ogrid[: BODY[0], : BODY[1], : BODY[2]]
    hu[((z - 35) / 4) ** 2 + ((y - 35) / 4) ** 2 + ((x - 28) / 4) ** 2 < 1] = 30
    dome = ((z - 10) / 14) ** 2 + ((y - 35) / 10) ** 2 + ((x - 72) / 8) ** 2 < 1
    hu[dome] = 50
    lungs, _ = find_lungs(hu, SPACING)
    assert lungs[35, 35, 28] == 1
    assert lungs[14, 35, 72] == 0


def test_lungs_that_touch_are_divided():
    mask = np.zeros((30, 30, 60), bool)
    mask[5:25, 5:25, 5:28] = mask[5:25, 5:25, 32:55] = mask[14:16, 14:16, 28:32] = True
    sides = split_sides(mask, (1, 1, 1))
    assert (sides[mask] > 0).all()
    assert (sides[:, :, :28][mask[:, :, :28]] == 1).all()
    assert (sides[:, :, 32:][mask[:, :, 32:]] == 2).all()


def picture(values, spacing):
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin((-10.0, 5.0, 3.0))
    return image


def test_a_coarser_image_keeps_means_and_places():
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32), (24, 32, 40)).copy()
    image = picture(ramp, (1.0, 1.0, 2.0))
    small = coarse(image, (4.0, 4.0, 4.0))
    assert small.GetSize() == (10, 8, 12)
    inner = sitk.GetArrayFromImage(small)[2:-2, 2:-2, 1:-1]
    assert np.allclose(inner, 1.5 + 4 * np.arange(1, 9), atol=1e-3)
    middle = [(n - 1) / 2 for n in image.GetSize()], [(n - 1) / 2 for n in small.GetSize()]
    assert image.TransformContinuousIndexToPhysicalPoint(middle[0]) == pytest.approx(
        small.TransformContinuousIndexToPhysicalPoint(middle[1])
    )


def test_coarse_labels_are_those_that_fill_most():
    labels = np.zeros((16, 16, 16), np.uint8)
    labels[:, :, :7], labels[:, :, 7:] = 1, 2
    small = sitk.GetArrayFromImage(coarse_labels(picture(labels, (1.0,) * 3), (4.0,) * 3, (1, 2)))
    assert small[2, 2].tolist() == [1, 1, 2, 2]


def test_planes_hold_all_that_is_not_zero_and_give_the_map_back():
    values = np.zeros((40, 20, 24), np.float32)
    values[3:37, 5:15, 6:18] = 1
    image = picture(values, (1.0, 1.0, 1.5))
    part = image[5:19, 4:16, 2:38]
    back = np.zeros_like(values)
    for where, (one,) in planes([part], image):
        back[where] = one
    assert np.allclose(back, values, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "spacing", "origin"),
    [((37, 29, 21), (1.1, 0.9, 2.5), (-3.0, -2.0, 1.0)), ((12, 9, 8), (6.0, 5.0, 7.0), (0, 0, 0))],
)
def test_planes_have_the_values_that_itk_has_between_voxels(size, spacing, origin):
    values = np.random.default_rng(0).random((2, 14, 12, 11)).astype(np.float32)
    values[:, :2], values[:, :, :, 8:] = 0, 0
    maps = [picture(one, (4.0, 3.0, 4.5)) for one in values]
    like = sitk.Image(size, sitk.sitkInt16)
    like.SetSpacing(spacing)
    like.SetOrigin([a + b for a, b in zip(maps[0].GetOrigin(), origin, strict=True)])
    turn = [0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1]
    for image in (like, *maps):
        image.SetDirection(turn)
    found = np.zeros((2, *size[::-1]), np.float32)
    for part, here in planes(maps, like):
        found[:, *part] = here
    for one, ours in zip(maps, found, strict=True):
        itks = sitk.Resample(one, like, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)
        assert np.abs(sitk.GetArrayFromImage(itks) - ours).max() < 1e-6


def test_maps_without_anything_have_no_planes():
    assert not list(planes([picture(np.zeros((4, 5, 6), np.float32), (1.0, 1.0, 1.0))] * 2,
                           picture(np.zeros((8, 8, 8), np.int16), (1.0, 1.0, 1.0))))  # fmt: skip
