"""A picture for a network: the breast cut out, and every place in it found again."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.breast_masses.mammograms.loading import Mammograms
from nextaim_kit.studies.breast_masses.mammograms.prepared import (
    BOX,
    covered,
    load_pictures,
    pictures_of,
    prepare,
)


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("size", [64, 320])
def test_boxes_come_back_from_the_picture_as_they_were(half_disc, side, size):
    made = prepare(half_disc(side=side), size=size)
    boxes = np.array([[10, 20, 30, 44], [1.5, 2.5, 3.5, 4.5]])
    np.testing.assert_allclose(made.to_image(made.to_picture(boxes)), boxes)
    widths = np.ptp(made.to_picture(boxes).reshape(-1, 2, 2), axis=1)
    np.testing.assert_allclose(widths, np.ptp(boxes.reshape(-1, 2, 2), axis=1) * made.scale)


@pytest.mark.parametrize("side", ["L", "R"])
def test_a_painted_mass_lies_in_its_box_in_the_picture(half_disc, square, side):
    box = (20, 50, 32, 70) if side == "L" else (58, 50, 70, 70)
    pixels = np.where(square(box) > 0, 250, half_disc(side=side) * 0.5)
    made = prepare(pixels, size=240)
    x0, y0, x1, y1 = made.to_picture([box])[0]
    bright = np.argwhere(made.picture > 0.95)
    np.testing.assert_allclose([bright.min(0), bright.max(0) + 1], [[y0, x0], [y1, x1]], atol=2.5)


def test_the_wall_comes_to_the_left_whatever_the_side(half_disc):
    left, right = prepare(half_disc()), prepare(half_disc(side="R"))
    assert not left.mirrored
    assert right.mirrored
    np.testing.assert_allclose(left.picture, right.picture, atol=0.05)
    assert left.picture[:, :20].mean() > 3 * left.picture[:, -100:].mean()


def test_the_picture_has_the_size_range_and_spacing_it_says(half_disc):
    made = prepare(half_disc(), 0.5, size=200)
    assert made.picture.shape == (200, 200)
    assert made.picture.dtype == np.float32
    assert made.picture.min() == 0
    assert made.picture.max() == pytest.approx(1, abs=0.02)
    assert made.spacing == pytest.approx(0.5 / made.scale)
    x0, y0, x1, y1 = made.breast
    assert made.scale == pytest.approx(200 / max(x1 - x0, y1 - y0))
    assert np.isnan(prepare(half_disc()).spacing)


def test_neither_gain_nor_offset_of_the_gray_values_matters(half_disc):
    one, other = prepare(half_disc()), prepare(half_disc().astype(float) * 37 + 1000)
    np.testing.assert_allclose(one.picture, other.picture, atol=1e-3)


def test_a_marker_of_metal_does_not_darken_the_breast(half_disc):
    pixels = half_disc().astype(float)
    marked = pixels.copy()
    marked[60:63, 30:33] = 4000
    apart = np.abs(prepare(marked).picture - prepare(pixels).picture)
    assert np.median(apart[prepare(pixels).picture > 0]) < 0.05


def test_all_images_of_the_twin_are_prepared_with_their_masses(small_twin):
    made, failures = pictures_of(small_twin, 96, workers=1)
    assert made.pictures.shape == (72, 96, 96)
    assert len(failures) == 0
    assert made.images["subject"].tolist() == small_twin.images["subject"].tolist()
    assert sorted(made.masses["lesion"]) == sorted(small_twin.lesions["lesion"])
    assert made.images["subject"][made.masses["row"]].tolist() == made.masses["subject"].tolist()
    assert made.masses[BOX].to_numpy().min() >= -1
    assert made.masses[BOX].to_numpy().max() <= 97


def test_an_image_that_cannot_be_prepared_is_named(small_twin, tmp_path):
    images = small_twin.images.head(3).copy()
    images.loc[1, "image"] = str(tmp_path / "lost.png")
    made, failures = pictures_of(Mammograms(images, small_twin.lesions), 64, workers=1)
    assert made.images["subject"].tolist() == images["subject"][[0, 2]].tolist()
    assert failures["subject"].tolist() == [images["subject"][1]]


def test_a_picture_without_a_breast_is_refused():
    with pytest.raises(DataError, match="no breast"):
        prepare(np.random.default_rng(0).random((80, 60)) * (np.arange(60) < 1))


def test_covered_pixels_are_as_many_as_the_area():
    assert covered([[1, 2, 4, 6], [0, 0, 1, 1]], (8, 8)).sum() == 13


def test_pictures_are_those_of_the_mammograms_that_are_left(small_twin):
    first = small_twin.images["subject"].head(2)
    given, pictures, left = load_pictures(
        "synthetic", 64, twin=lambda: small_twin, only=lambda all_: all_.only(first, "not asked")
    )
    assert pictures.images["subject"].tolist() == given.images["subject"].tolist() == first.tolist()
    assert (left["problem"] == "not asked").sum() == len(small_twin.images) - 2
