"""Lungs and lesions without a network: thresholds in HU, connected parts, closing.

The fallback where no trained network is at hand, and the baseline that a network has to beat.
Consolidation at the chest wall is as dense as the wall: closing brings back what is small.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_lungquant.measures import AERATED_HU, Maps, between
from nextaim_kit.studies.ct_lungquant.morphology import Mask, around, ball, closed, opened
from nextaim_kit.studies.ct_lungquant.resampling import coarse, placed
from nextaim_kit.studies.ct_lungquant.scans import Scan

NAME = "threshold, no network"
# The CT's own within these bounds: noise is averaged, and a vessel is a voxel wide.
SPACING_MM = 3.0, 4.5
ILL_HU = -700.0  # well-aerated lung below
GAS_HU = -960.0  # air around the body and in the bowel below, lungs above, save for emphysema
GAS_SHARE, EMPHYSEMA_SHARE = 0.25, 0.6  # of a part, from which it is no lung: at large; in the body
_WITHIN = 0.98  # of a part, from which it lies in the body
_CONTRAST_HU, _CONTRAST_ML = 150.0, 3.0  # brighter, and as much of it: contrast medium in vessels
_LEAST_ML = 100.0  # a lung
_SECOND = 0.2  # of the larger lung: what is smaller is none
_TRACHEA_MM2 = 700.0, 40.0  # area in a slice, at most and at least
_MIDLINE_MM = 50.0  # from the field's middle
_AIRWAY_MM, _CLOSING_MM, _VESSEL_MM = 7.5, 12.0, 4.5  # radii
_HALO_MM = 7.5  # around a bright vessel: its blur and its wall
_CONTRAST = (
    "contrast medium in the vessels: they are taken off with what lies beside them; share, class "
    "and type of the lesions are doubtful"
)


def segment(scan: Scan) -> Maps:
    """Find lungs and lesions by thresholds.

    The lungs are the two largest parts of what is below -320 HU, without the large airways,
    closed; a part of which a quarter is below -960 HU is gas, save for emphysema, which the body
    encloses. Affected is what is above
    -700 HU in them and no thin vessel: well-aerated lung is what remains (Colombi et al. 2020,
    doi:10.1148/radiol.2020201433). Vessels with contrast medium are taken off with what is beside
    them; without it, large vessels at the hilum count as lesions.

    Parameters
    ----------
    scan : Scan

    Returns
    -------
    Maps

    Raises
    ------
    DataError
        If there is no lung.
    """
    x, y, z = np.clip(scan.spacing, *SPACING_MM).tolist()
    image, spacing = coarse(scan.image, (x, y, z)), (z, y, x)
    hu = sitk.GetArrayFromImage(image).astype(np.float32)
    lungs, warnings = find_lungs(hu, spacing)
    box = around(lungs > 0, max(spacing), spacing)
    ill, doubts = find_lesions(hu[box], lungs[box], spacing)
    start, masks = [s.start for s in box], (lungs[box] == 1, lungs[box] == 2, ill)
    right, left, lesions = (placed(mask.astype(np.float32), image, start) for mask in masks)
    return Maps(right, left, lesions, (*warnings, *doubts))


def find_lesions(
    hu: NDArray[np.float32], lungs: NDArray[np.uint8], spacing: tuple[float, ...]
) -> tuple[Mask, list[str]]:
    """Find what is dense in the lungs and no vessel.

    Parameters
    ----------
    hu : array of shape (z, y, x)
    lungs : array of uint8, shape (z, y, x)
        As of `find_lungs`.
    spacing : (float, float, float)
        mm, along z, y, x.

    Returns
    -------
    lesions : array of bool, shape (z, y, x)
    warnings : list of str
    """
    vessel, voxel = ball(_VESSEL_MM, spacing), float(np.prod(spacing)) / 1000
    ill = (ndimage.gaussian_filter(hu, 0.7) > ILL_HU) & (lungs > 0)
    ill = ndimage.binary_opening(ill, vessel)
    bright = (lungs > 0) & (hu > _CONTRAST_HU)
    if np.count_nonzero(bright & ill) * voxel <= _CONTRAST_ML:
        return ill, []
    ill &= ndimage.distance_transform_edt(~bright, spacing) > _HALO_MM
    return ndimage.binary_opening(ill, vessel), [_CONTRAST]


def find_lungs(
    hu: NDArray[np.float32], spacing: tuple[float, ...]
) -> tuple[NDArray[np.uint8], list[str]]:
    """Find the lungs by threshold and connected parts.

    Parameters
    ----------
    hu : array of shape (z, y, x)
        Axes to the patient's left, back and head.
    spacing : (float, float, float)
        mm, along z, y, x.

    Returns
    -------
    lungs : array of uint8, shape (z, y, x)
        1: the patient's right, 2: left.
    warnings : list of str

    Raises
    ------
    DataError
        If no part is as large as a lung.
    """
    voxel = float(np.prod(spacing)) / 1000
    airy = hu < AERATED_HU
    body = _body(hu)
    airy &= ~_trachea(airy & body, spacing)
    trunks = opened(airy, _AIRWAY_MM, spacing)
    parts = _large(_without_gas(trunks, hu, body, _LEAST_ML / voxel), _LEAST_ML / voxel)
    if not parts:
        raise DataError(
            "no lung is found by thresholds",
            expected=f"{_LEAST_ML:.0f} ml or more from {GAS_HU:.0f} to {AERATED_HU:.0f} HU",
            mend="check that it is a chest CT; lungs that are white need a network",
        )
    box = around(np.any(parts, axis=0), 2 * _AIRWAY_MM + _CLOSING_MM, spacing)
    middle = float(np.nonzero(hu[box] > AERATED_HU)[2].mean())  # of the tissue around
    inner = _grown(
        _sides([part[box] for part in parts], middle), airy[box], 2 * _AIRWAY_MM, spacing
    )
    lungs = np.zeros(hu.shape, np.uint8)
    lungs[box] = _closed(inner, spacing)
    warnings = []
    if min(np.count_nonzero(lungs == side) for side in (1, 2)) == 0:
        warnings.append("only one lung was found: one without air is left out")
    empty = np.count_nonzero(hu[lungs > 0] < GAS_HU) / np.count_nonzero(lungs)
    if empty > GAS_SHARE:
        warnings.append(f"{empty:.0%} of the lungs is below {GAS_HU:.0f} HU: emphysema, or gas")
    return lungs, warnings


def _without_gas(trunks: Mask, hu: NDArray[np.float32], body: Mask, least: float) -> Mask:
    """Large parts that hold little pure gas, as around the body and in the bowel."""
    labels, n = ndimage.label(trunks)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    gas, within = (
        np.bincount(labels[where], minlength=n + 1) / np.maximum(1, sizes)
        for where in (hu < GAS_HU, body)
    )
    lung = (sizes >= least) & (gas < np.where(within > _WITHIN, EMPHYSEMA_SHARE, GAS_SHARE))
    lung[0] = False
    return lung[labels]


def _closed(lungs: NDArray[np.uint8], spacing: tuple[float, ...]) -> NDArray[np.uint8]:
    """Lungs with vessels and what is dense at the chest wall, without what lies between them."""
    kept = between(lungs == 1, lungs == 2)
    whole = lungs.copy()
    for side in (1, 2):
        there = lungs == side
        if not there.any():
            continue
        box = around(there, 0, spacing)
        # By coronal planes: in axial ones the diaphragm is a hole, in sagittal ones the hilum.
        planes = np.moveaxis(closed(there[box], _CLOSING_MM, spacing), 1, 0)
        filled = np.stack([ndimage.binary_fill_holes(plane) for plane in planes], axis=1)
        whole[box][filled & (whole[box] == 0) & ~kept[box]] = side
    return whole


def _body(hu: NDArray[np.float32]) -> Mask:
    """The largest dense part of each slice, its holes filled."""
    filled = []
    for plane in hu > AERATED_HU:
        labels, _ = ndimage.label(plane)
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        filled.append(ndimage.binary_fill_holes((labels == sizes.argmax()) & plane))
    return np.stack(filled)


def _trachea(airy: Mask, spacing: tuple[float, ...]) -> Mask:
    """The windpipe, followed down from the top as long as it is a small part of each slice."""
    found = np.zeros_like(airy)
    most, least = (area / (spacing[1] * spacing[2]) for area in _TRACHEA_MM2)
    above: Mask | None = None
    for k in range(len(airy) - 1, -1, -1):
        labels, _ = ndimage.label(airy[k])
        sizes = np.bincount(labels.ravel())
        small = np.flatnonzero((sizes >= least) & (sizes <= most))
        if above is None:
            middle = airy.shape[2] / 2
            centers = [np.nonzero(labels == n)[1].mean() for n in small]
            near = [
                n
                for n, x in zip(small, centers, strict=True)
                if abs(x - middle) * spacing[2] < _MIDLINE_MM
            ]
            if not near:
                continue
            here = labels == max(near, key=lambda n: sizes[n])
        else:
            below = np.intersect1d(labels[above & airy[k]], small)
            if not below.size:
                break
            here = np.isin(labels, below)
        found[k] = above = here
    return ndimage.binary_dilation(found, iterations=1)


def _large(mask: Mask, least: float) -> list[Mask]:
    """Connected parts of at least so many voxels, at most two, the largest first."""
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = [k for k in np.argsort(-sizes, kind="stable")[:2] if sizes[k] >= least]
    return [labels == k for k in kept if sizes[k] >= _SECOND * sizes.max()]


def _sides(parts: list[Mask], middle: float) -> NDArray[np.uint8]:
    """Label parts by side; a single part that holds both lungs is worn down until it breaks.

    One that does not break is of the side of the column `middle` on which it lies.
    """
    if len(parts) == 1:
        parts = _broken(parts[0])
    seeds = np.zeros(parts[0].shape, np.uint8)
    if len(parts) == 2:
        parts = sorted(parts, key=lambda mask: float(np.nonzero(mask)[2].mean()))
        seeds[parts[0]], seeds[parts[1]] = 1, 2
        return seeds
    seeds[parts[0]] = 1 if float(np.nonzero(parts[0])[2].mean()) < middle else 2
    return seeds


def _broken(mask: Mask) -> list[Mask]:
    least = 0.05 * mask.sum()
    worn = mask
    while worn.any():
        worn = ndimage.binary_erosion(worn)
        parts = _large(worn, least)
        if len(parts) == 2:
            return parts
    return [mask]


def split_sides(mask: Mask, spacing: tuple[float, ...]) -> NDArray[np.uint8]:
    """Label a mask of both lungs: 1 the patient's right, 2 the left; all voxels get a side."""
    parts = _large(mask, 1)
    if not parts:
        return np.zeros(mask.shape, np.uint8)
    return _grown(_sides(parts, mask.shape[2] / 2), mask, np.inf, spacing)


def _grown(
    seeds: NDArray[np.uint8], airy: Mask, most: float, spacing: tuple[float, ...]
) -> NDArray[np.uint8]:
    """Seeds and what is airy within some mm and hangs together with them, to the nearest seed."""
    away, nearest = ndimage.distance_transform_edt(seeds == 0, spacing, return_indices=True)
    near = airy & (away <= most)
    if np.isfinite(most):
        labels, _ = ndimage.label(near | (seeds > 0))
        near &= np.isin(labels, np.unique(labels[seeds > 0]))
    return np.where(near, seeds[tuple(nearest)], 0).astype(np.uint8)
