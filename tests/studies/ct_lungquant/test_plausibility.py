"""What is strange about masks is said: lung that was left out above all."""

from __future__ import annotations

import re

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.studies.ct_lungquant.measures import Found, count
from nextaim_kit.studies.ct_lungquant.plausibility import doubts
from nextaim_kit.studies.ct_lungquant.scans import Scan

SHAPE, EDGE = (70, 60, 80), 4.0  # z, y, x; mm
Z, Y, X = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]


def lungs() -> np.ndarray:
    """Two lungs of 4 liters together in a chest 260 mm wide, with the heart at the left."""
    found = np.zeros(SHAPE, np.uint8)
    for side, middle in ((1, 20), (2, 59)):
        inside = ((Z - 35) / 28) ** 2 + ((Y - 30) / 22) ** 2 + ((X - middle) / 12.5) ** 2 < 1
        found[inside] = side
    return found


def said(masks: np.ndarray) -> str:
    hu = np.where(masks > 0, -850, 40).astype(np.int16)
    hu[:, 48:56, 36:43] = 500  # the spine
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((EDGE,) * 3)
    scan = Scan(image)
    none = np.zeros_like(masks)
    return "; ".join(doubts(Found(scan, masks, none, count(masks, none, scan.spacing))))


def test_of_whole_lungs_nothing_is_said():
    assert said(lungs()) == ""


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (lambda m: (m == 2) & (Z < 25), "the left lung ends 68 mm above the right one"),
        (lambda m: (m == 1) & (Z < 25), "the right lung ends 68 mm above the left one"),
        (lambda m: (m == 2) & (Y > 28), "times as large as the left one: lung without air"),
        (lambda m: (m > 0) & (Y > 28), "in a chest of .* ml or more: lung without air"),
        (lambda m: (m > 0) & (Z < 35), "in a chest of .* ml or more: lung without air"),
        (lambda m: (m > 0) & ((X // 4 + Y // 4 + Z // 4) % 2 > 0), "lung without air"),
    ],
    ids=["left base", "right base", "left back", "both backs", "both bases", "mottled"],
)
def test_lung_that_is_left_out_is_named(lost, words):
    masks = lungs()
    masks[lost(masks)] = 0
    assert re.search(words, said(masks))
