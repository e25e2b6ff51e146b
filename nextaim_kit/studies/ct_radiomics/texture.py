"""Gray levels binned once for all texture classes, and pyradiomics' classes on top of them.

Left to itself each of pyradiomics' classes crops, converts and bins the region anew. Here they
get the same binned array; the matrices of co-occurrence, run length and dependence are counted by
pyradiomics' C code, the features of all classes are its own. Only zones are found by
scikit-image, in one linear pass, and kept as a matrix of the sizes that occur.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import SimpleITK as sitk
from radiomics import glcm, gldm, glrlm, glszm, imageoperations

from nextaim_kit.studies.ct_radiomics.region import check_levels

_TABLE = 1 << 20  # whole-number values are counted by look-up when they span less than this


@dataclass(frozen=True)
class Levels:
    """A region's values and gray levels.

    Parameters
    ----------
    values, counts : ndarray
        Distinct values (float) and the number of voxels with each.
    array : ndarray of int32, shape (z, y, x)
        Gray level of each voxel, 1 for the lowest bin; 0 outside the region.
    mask : ndarray of bool, shape (z, y, x)
        The region.
    spacing : tuple of float
        Voxel size (z, y, x) in mm.
    """

    values: np.ndarray
    counts: np.ndarray
    array: np.ndarray
    mask: np.ndarray
    spacing: tuple[float, float, float]

    @cached_property
    def level_counts(self) -> np.ndarray:
        """Voxels in each gray level from 1 up, empty ones included."""
        return np.bincount(self.array[self.mask])[1:]

    @cached_property
    def present(self) -> np.ndarray:
        """Gray levels that occur, ascending."""
        return np.flatnonzero(self.level_counts) + 1

    @cached_property
    def stub(self) -> sitk.Image:
        """One voxel with the region's spacing: all that the feature classes ask of an image."""
        image = sitk.Image(1, 1, 1, sitk.sitkUInt8)
        image.SetSpacing(self.spacing[::-1])
        return image


def discretize(
    image: np.ndarray,
    mask: np.ndarray,
    spacing: tuple[float, float, float],
    settings: Mapping[str, Any],
) -> Levels:
    """Bin the values under a mask, into pyradiomics' own bins.

    Parameters
    ----------
    image : ndarray, shape (z, y, x)
        Values, cropped to the region's box.
    mask : ndarray of bool, shape (z, y, x)
    spacing : tuple of float
        Voxel size (z, y, x) in mm.
    settings : mapping
        pyradiomics settings; ``binWidth`` or ``binCount`` counts here.
    """
    inside = image[mask]
    low, high = inside.min(), inside.max()
    check_levels(low, high, settings)
    # The edges follow from the extremes alone; pyradiomics looks at every voxel for them. Whole
    # numbers are widened first: next to the end of their range its sum would wrap around.
    kind = inside.dtype if np.issubdtype(inside.dtype, np.floating) else np.float64
    edges = imageoperations.getBinEdges(np.array([low, high], dtype=kind), **settings)
    array = np.zeros(mask.shape, dtype=np.int32)
    if high - float(low) < _TABLE and _whole(inside):
        index = np.subtract(inside, low, dtype=float).astype(np.int64)
        counts = np.bincount(index)
        table = np.arange(int(low), int(high) + 1).astype(inside.dtype)
        array[mask] = np.digitize(table, edges).astype(np.int32)[index]
        values = table[counts > 0]
        counts = counts[counts > 0]
    else:
        array[mask] = np.digitize(inside, edges)
        values, counts = np.unique(inside, return_counts=True)
    return Levels(values.astype(float), counts, array, mask, spacing)


def _whole(values: np.ndarray) -> bool:
    return np.issubdtype(values.dtype, np.integer) or np.array_equal(values, np.rint(values))


class _Binned:
    """Mixin that hands a pyradiomics class the gray levels instead of letting it bin."""

    def __init__(self, levels: Levels, settings: Mapping[str, Any]) -> None:
        self.levels = levels
        super().__init__(levels.stub, levels.stub, **settings)  # type: ignore[call-arg]  # a mixin

    def _initSegmentBasedCalculation(self) -> None:  # noqa: N802 pyradiomics' name
        self.maskArray = self.levels.mask.view(np.int8)

    def _applyBinning(self, matrix: np.ndarray) -> np.ndarray:  # noqa: N802 pyradiomics' name
        levels = self.levels
        self.coefficients: dict[str, Any] = {
            "grayLevels": levels.present,
            "Ng": int(levels.present[-1]),
        }
        return levels.array


class _Glcm(_Binned, glcm.RadiomicsGLCM):
    pass


class _Gldm(_Binned, gldm.RadiomicsGLDM):
    pass


class _Glrlm(_Binned, glrlm.RadiomicsGLRLM):
    pass


class _Glszm(_Binned, glszm.RadiomicsGLSZM):
    def _initCalculation(self, voxelCoordinates: None = None) -> None:  # noqa: N802 its name
        if self.settings.get("force2D", False):
            super()._initCalculation(voxelCoordinates)
            return
        matrix, sizes = zone_sizes(self.levels)
        self.P_glszm = matrix[None].astype(float)
        by_size = self.P_glszm.sum(1)
        self.coefficients.update(
            Np=by_size @ sizes,
            Nz=self.P_glszm.sum((1, 2)),
            ps=by_size,
            pg=self.P_glszm.sum(2),
            ivector=self.levels.present.astype(float),
            jvector=sizes.astype(float),
        )


def zone_sizes(levels: Levels) -> tuple[np.ndarray, np.ndarray]:
    """Count the zones of each gray level and size.

    A zone is a set of voxels of one level connected by faces, edges or corners.

    Returns
    -------
    matrix : ndarray of int, shape (levels that occur, sizes that occur)
    sizes : ndarray of int
        In voxels, ascending.
    """
    from skimage.measure import label

    zone = label(levels.array, background=0, connectivity=levels.array.ndim)[levels.mask]
    size = np.bincount(zone)[1:]
    level = np.empty(size.size, dtype=np.int64)
    level[zone - 1] = levels.array[levels.mask]
    sizes, column = np.unique(size, return_inverse=True)
    row = np.searchsorted(levels.present, level)
    shape = (levels.present.size, sizes.size)
    flat = np.bincount(row * sizes.size + column, minlength=shape[0] * shape[1])
    return flat.reshape(shape), sizes


# The slides count 100 features: two of co-occurrence are off, neighboring tone is not computed.
_OFF = {"glcm": ("SumAverage", "MCC")}
_CLASSES: dict[str, Any] = {"glcm": _Glcm, "glrlm": _Glrlm, "glszm": _Glszm, "gldm": _Gldm}


def texture(levels: Levels, settings: Mapping[str, Any]) -> dict[str, float]:
    """Features of co-occurrence, run length, size zone and dependence: 22 + 16 + 16 + 14.

    Returns
    -------
    dict of str to float
        Named ``<class>_<Feature>`` as pyradiomics has them.
    """
    result = {}
    for name, kind in _CLASSES.items():
        features = kind(levels, settings)
        features.enableAllFeatures()
        for off in _OFF.get(name, ()):
            features.enableFeatureByName(off, False)
        for feature, value in features.execute().items():
            result[f"{name}_{feature}"] = float(value)
    return result
