"""How far the extraction agrees with the Image Biomarker Standardisation Initiative (IBSI 1).

The digital phantom and its consensus values are part of the kit. For the CT phantom the user
points to its image, mask and reference table. Pre-processing follows the IBSI manual, not
pyradiomics: voxel grid aligned by centers, values rounded to whole HU, re-segmentation of the
intensity mask only, gray levels counted from the lower bound of the re-segmentation range.

References
----------
Zwanenburg et al., Radiology 2020, doi:10.1148/radiol.2020191145; manual arXiv:1612.07003
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import SimpleITK as sitk

from nextaim_kit.data.images.reading import check_geometry, read_image, read_mask
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.ct_radiomics import ibsi_reference
from nextaim_kit.studies.ct_radiomics.firstorder import first_order
from nextaim_kit.studies.ct_radiomics.ibsi_tags import NOT_IBSI, TAGS, in_ibsi_convention, tag_of
from nextaim_kit.studies.ct_radiomics.region import bounding_box
from nextaim_kit.studies.ct_radiomics.shape import shape_features
from nextaim_kit.studies.ct_radiomics.texture import Levels, discretize, texture

__all__ = ["TAGS", "Configuration", "compliance", "summary", "tag_of"]

Which = Literal["digital_phantom", "A", "C", "D"]
Values = dict[str, tuple[float, float]]
_COLUMNS = [
    "feature", "tag", "pyradiomics", "ours", "consensus", "tolerance", "within", "comparable",
    "reason",
]  # fmt: skip


@dataclass(frozen=True)
class Configuration:
    """Pre-processing of one IBSI configuration.

    Parameters
    ----------
    spacing : float, optional
        Edge (mm) of the isotropic voxels to interpolate to, trilinearly.
    keep : tuple of float, optional
        Range of HU that the intensity mask keeps.
    sigmas : float, optional
        Standard deviations around the mean that the intensity mask keeps.
    bins : dict
        pyradiomics' ``binWidth`` or ``binCount``.
    planar : bool
        Texture within slices (their matrices merged) instead of in 3-D.
    """

    spacing: float | None
    keep: tuple[float, float] | None
    sigmas: float | None
    bins: dict[str, int]
    planar: bool = False


CONFIGURATIONS = {
    "digital_phantom": Configuration(None, None, None, {"binWidth": 1}),
    "A": Configuration(None, (-500, 400), None, {"binWidth": 25}, planar=True),
    "C": Configuration(2.0, (-1000, 400), None, {"binWidth": 25}),
    "D": Configuration(2.0, None, 3.0, {"binCount": 32}),
}


def compliance(
    which: Which = "digital_phantom",
    image: str | Path | None = None,
    mask: str | Path | None = None,
    reference: str | Path | None = None,
) -> pd.DataFrame:
    """Every feature of the study beside its IBSI consensus value.

    Parameters
    ----------
    which : str
        ``digital_phantom``, or the CT phantom's configuration ``A``, ``C`` or ``D``.
    image, mask : path, optional
        The CT phantom and its GTV mask.
    reference : path, optional
        IBSI's reference values for that configuration: a CSV with the columns
        ``reference value;tolerance;tag``.

    Returns
    -------
    DataFrame
        ``feature``, ``tag``, ``pyradiomics`` (value as it is in feature tables), ``ours`` (the
        same in IBSI's convention), ``consensus``, ``tolerance``, ``within``, ``comparable``,
        ``reason`` (why not comparable, or what was converted).

    Raises
    ------
    RequestError
        If the configuration is not known or the CT phantom's files are not given.
    DataError
        If a file is missing or damaged.
    """
    if which not in CONFIGURATIONS:
        raise RequestError(
            f"unknown IBSI configuration {which!r}", expected=", ".join(CONFIGURATIONS)
        )
    setup = CONFIGURATIONS[which]
    if which == "digital_phantom":
        values, marked = ibsi_reference.phantom()
        spacing: tuple[float, float, float] = ibsi_reference.SPACING
        consensus = ibsi_reference.consensus()
    else:
        if image is None or mask is None or reference is None:
            raise RequestError(
                f"configuration {which} needs the CT phantom",
                expected="image, mask and reference: files of the IBSI 1 data sets",
                mend="nextaim data fetch ibsi_ct_phantom, or give the paths",
            )
        values, marked, spacing = _ct_phantom(image, mask, setup)
        consensus = _consensus(Path(reference))
    ours = _features(values, marked, spacing, setup)
    return _table(ours, int(np.count_nonzero(marked)), consensus, setup.planar)


def summary(table: pd.DataFrame) -> str:
    """Sentence with the number of features within tolerance, of those comparable."""
    comparable = table[table["comparable"]]
    converted = int((comparable["reason"] != "").sum())
    return (
        f"{int(comparable['within'].sum())} of {len(comparable)} comparable features are within "
        f"the consensus' tolerance, {converted} of them after converting pyradiomics' convention"
    )


def _table(ours: dict[str, float], voxels: int, consensus: Values, planar: bool) -> pd.DataFrame:
    rows = []
    for feature, raw in ours.items():
        tag = tag_of(feature, "2_5D" if planar else "3D")
        known = consensus.get(tag or "")
        if tag is None or known is None:
            reason = NOT_IBSI.get(feature, "no consensus value in this configuration")
            rows.append((feature, tag, raw, raw, math.nan, math.nan, False, False, reason))
            continue
        value, reason = in_ibsi_convention(feature, raw, voxels)
        rows.append((feature, tag, raw, value, *known, agrees(value, *known), True, reason))
    return pd.DataFrame(rows, columns=_COLUMNS)


def agrees(value: float, consensus: float, tolerance: float) -> bool:
    """Whether a value, rounded to the consensus' three digits, is within its tolerance."""
    rounded = float(f"{value:.3g}")
    return abs(rounded - consensus) <= tolerance + 1e-9 * abs(consensus)


def _features(
    values: np.ndarray,
    outline: np.ndarray,
    spacing: tuple[float, float, float],
    setup: Configuration,
) -> dict[str, float]:
    """Features of a pre-processed volume; `outline` is the mask before re-segmentation."""
    box = bounding_box(outline)
    assert box is not None
    values, outline = values[box], np.ascontiguousarray(outline[box])
    kept = _resegmented(values, outline, setup)
    options: dict[str, Any] = {**setup.bins, "force2D": setup.planar}
    levels = _renumbered(discretize(values, kept, spacing, options), setup)
    order = first_order(levels.values, levels.counts, levels.level_counts, float(np.prod(spacing)))
    return {
        **{f"shape_{k}": v for k, v in shape_features(outline, spacing).items()},
        **{f"firstorder_{k}": v for k, v in order.items()},
        **texture(levels, options, without=("glcm_SumAverage", "glcm_MCC")),
    }


def _resegmented(values: np.ndarray, outline: np.ndarray, setup: Configuration) -> np.ndarray:
    low, high = setup.keep or (-math.inf, math.inf)
    if setup.sigmas is not None:
        inside = values[outline]
        reach = setup.sigmas * inside.std()
        low, high = inside.mean() - reach, inside.mean() + reach
    return outline & (values >= low) & (values <= high)


def _renumbered(levels: Levels, setup: Configuration) -> Levels:
    """Count bins of fixed width from the range's lower bound, where pyradiomics starts at 1."""
    if setup.keep is None or "binWidth" not in setup.bins:
        return levels
    width = setup.bins["binWidth"]
    empty = int(levels.values[0] // width - setup.keep[0] // width)
    return replace(levels, array=np.where(levels.mask, levels.array + empty, 0).astype(np.int32))


def _ct_phantom(
    image: str | Path, mask: str | Path, setup: Configuration
) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    """Values (whole HU), outline and spacing (z, y, x) after interpolation."""
    volume = read_image(image)
    outline = read_mask(mask, volume)
    check_geometry(volume, outline)
    volume, outline = (sitk.Cast(x, sitk.sitkFloat64) for x in (volume, outline))
    if setup.spacing is not None:
        volume, outline = (_interpolated(x, setup.spacing) for x in (volume, outline))
    values = np.rint(sitk.GetArrayFromImage(volume))
    x, y, z = volume.GetSpacing()
    return values, sitk.GetArrayFromImage(outline) >= 0.5, (z, y, x)


def _interpolated(volume: sitk.Image, spacing: float) -> sitk.Image:
    """Trilinear interpolation onto isotropic voxels, the new grid's center on the old one's."""
    old = np.array(volume.GetSpacing())
    count = np.array(volume.GetSize())
    # 204 voxels of 0.977 mm are stored as 0.97699999...; rounding keeps the ceiling right.
    size = np.ceil(np.round(count * old / spacing, 4)).astype(int)
    first = 0.5 * ((count - 1) - (size - 1) * spacing / old)
    grid = sitk.ResampleImageFilter()
    grid.SetSize(size.tolist())
    grid.SetOutputSpacing([spacing] * 3)
    grid.SetOutputDirection(volume.GetDirection())
    grid.SetOutputOrigin(volume.TransformContinuousIndexToPhysicalPoint(first.tolist()))
    grid.SetInterpolator(sitk.sitkLinear)
    return grid.Execute(volume)


def _consensus(path: Path) -> Values:
    """Consensus value and tolerance by tag; tags without consensus are left out."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter=";"))
        return {
            row["tag"]: (float(row["reference value"]), float(row["tolerance"]))
            for row in rows
            if row["reference value"]
        }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path.name} is not a table of IBSI reference values",
            expected="columns 'reference value;tolerance;tag'",
            found=f"{type(error).__name__}: {error}",
            mend="take the CSV of the configuration from the IBSI 1 reference values",
        ) from error
