"""A body with marks that tell left from right, front from back, head from feet."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

AXES = ["LPS", "RAS", "LAS", "PIR", "SAL", "RIA", "ILP"]


@pytest.fixture
def phantom() -> tuple[sitk.Image, sitk.Image]:
    """Bright at the patient's right, front and head; a lesion in the left, the back and low."""
    volume = np.full((12, 20, 30), -1000, np.int16)
    volume[8:, :5, :6] = 500
    lesion = np.zeros(volume.shape, np.uint8)
    lesion[2:5, 13:17, 20:26] = 1
    images = sitk.GetImageFromArray(volume), sitk.GetImageFromArray(lesion)
    for image in images:
        image.SetSpacing((1.0, 2.0, 5.0))
        image.SetOrigin((-10.0, 20.0, 30.0))
    return images
