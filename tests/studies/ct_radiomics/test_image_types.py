"""Filters see the part of the image that counts, and give the whole image's values."""

from __future__ import annotations

import numpy as np
import pytest
from radiomics import imageoperations

from nextaim_kit.studies.ct_radiomics import image_types
from nextaim_kit.studies.ct_radiomics.engine import extract
from nextaim_kit.studies.ct_radiomics.image_types import images
from nextaim_kit.studies.ct_radiomics.region import find_region
from nextaim_kit.studies.ct_radiomics.settings import Settings

SHAPE, CENTER, RADII = (64, 71, 90), (32, 35, 60), (3, 4, 4)
CLASSES = {"firstorder": ["Mean", "Variance", "Entropy"], "glcm": ["Contrast", "JointEntropy"]}
TYPES = {
    "wavelet of several levels": {
        "Wavelet": {"wavelet": "db3", "level": 2, "start_level": 1},
    },
    "long wavelet": {"Wavelet": {"wavelet": "bior6.8"}},
    "patterns": {
        "LBP2D": {"lbp2DRadius": 1.5, "binWidth": 1},
        "LBP3D": {"binWidth": 0.5},
    },
    "others": {"Gradient": {}, "Logarithm": {}, "Square": {}, "LoG": {"sigma": [1.0]}},
}


@pytest.fixture(scope="module")
def small_in_large(volume, tissue, ball):
    spacing = (0.8, 0.9, 1.1)
    return volume(tissue(SHAPE, 5), spacing), volume(ball(SHAPE, CENTER, RADII), spacing)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("machine_code", [True, False])
@pytest.mark.parametrize("kind", TYPES)
def test_a_small_region_in_a_large_image_has_the_whole_images_values(
    small_in_large, whole, equal, monkeypatch, kind, machine_code
):
    if not machine_code:
        monkeypatch.setattr(image_types, "kernel", lambda *_: None)
    chosen = {"imageType": TYPES[kind], "featureClass": CLASSES}
    equal(extract(*small_in_large, Settings(file=chosen)), whole(*small_in_large, chosen))


@pytest.mark.parametrize(
    ("kind", "share"),
    [("Wavelet", 0.06), ("Gradient", 0.01), ("LoG", 0.5), ("LBP2D", 0.06), ("Exponential", 0.01)],
)
def test_pyradiomics_filters_are_handed_a_part_of_a_large_image(
    small_in_large, monkeypatch, kind, share
):
    monkeypatch.setattr(image_types, "kernel", lambda *_: None)
    make, seen = getattr(imageoperations, f"get{kind}Image"), []

    def watched(image, *rest, **options):
        seen.append(np.prod(image.GetSize()))
        return make(image, *rest, **options)

    monkeypatch.setattr(imageoperations, f"get{kind}Image", watched)
    region = find_region(*small_in_large)
    assert list(images(region, {kind: {"sigma": [0.7]}}, {}))
    assert max(seen) <= share * np.prod(SHAPE)


def test_settings_below_an_image_type_hold_for_it_alone(small_in_large):
    types = {"Square": {"binWidth": 2}, "Original": {}}
    found = {n: o["binWidth"] for n, _, o in images(find_region(*small_in_large), types,
                                                   {"binWidth": 9})}  # fmt: skip
    assert found == {"square": 2, "original": 9}
