"""Pictures of segmented volumes, and histograms beside them."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.show import Segmented, alt_of, histograms, overlays


def volume(shape=(20, 24, 30), spacing=(1.0, 1.0, 3.0)):
    image = sitk.GetImageFromArray(np.full(shape, -800, np.int16))
    image.SetSpacing(spacing)
    return image


def labels(shape=(20, 24, 30)):
    organs, lesions = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    organs[4:16, 4:20, 3:12], organs[4:16, 4:20, 18:27] = 1, 2
    lesions[5:9, 6:9, 4:8] = 1
    return organs, lesions


def test_a_subject_has_four_tiles_with_letters_and_its_title_in_the_text():
    figure = overlays([Segmented(volume(), *labels(), "P1: 12 %")])
    assert len(figure.axes) == 4
    for axis in figure.axes:
        assert [t.get_text() for t in axis.texts[:2]] == ["R", "L"]
    assert "P1: 12 %" in alt_of(figure)


def test_a_coronal_plane_has_the_heights_of_its_slices():
    figure = overlays([Segmented(volume(), *labels(), "P1")])
    assert figure.axes[3].get_images()[0].axes.get_aspect() == 3.0
    assert figure.axes[0].get_images()[0].axes.get_aspect() == 1.0


def test_only_tiles_with_a_lesion_are_tinted():
    figure = overlays([Segmented(volume(), *labels(), "P1")])
    assert [len(axis.get_images()) for axis in figure.axes] == [2, 1, 1, 2]


def test_kinds_of_lesions_have_a_color_and_a_pattern_each():
    organs, lesions = labels()
    lesions[5:9, 7:9, 4:8] = 2
    one = Segmented(volume(), organs, lesions, "P1")
    figure = overlays([one], names=("lung", "ground glass", "consolidation"))
    glass, solid = (image.get_array() for image in figure.axes[0].get_images()[1:])
    assert not (np.asarray(glass)[..., 3] > 0)[np.asarray(solid)[..., 3] > 0].any()
    assert (np.asarray(solid)[lesions[6] == 2][:, 3] == 0).any()  # stripes
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["right lung", "left lung", "ground glass", "consolidation"]


def test_empty_labels_can_be_shown():
    none = np.zeros((20, 24, 30), np.uint8)
    assert len(overlays([Segmented(volume(), none, none, "empty")]).axes) == 4


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(RequestError, match="no subject"):
        overlays([])
    with pytest.raises(DataError, match="P1: image and labels"):
        overlays([Segmented(volume((10, 24, 30)), *labels(), "P1")])


def test_a_histogram_says_where_most_is_and_draws_its_limits():
    figure = histograms(
        {"one": [1, 5, 2]}, [0, 10, 20, 30], limits=[(12, "cut")], xlabel="HU", ylabel="ml"
    )
    assert "one 8 in all, most at 15" in alt_of(figure)
    assert "cut 12" in alt_of(figure)
