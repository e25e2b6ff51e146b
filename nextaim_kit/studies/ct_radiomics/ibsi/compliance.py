"""How far both definitions agree with the Image Biomarker Standardisation Initiative (IBSI 1).

The digital phantom and its consensus values are part of the kit. For the CT phantom the user
points to its image, mask and reference table. Pre-processing follows the IBSI manual for both.

References
----------
Zwanenburg et al., Radiology 2020, doi:10.1148/radiol.2020191145; manual arXiv:1612.07003
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from nextaim_kit.data.images.reading import check_geometry, read_image, read_mask
from nextaim_kit.errors import RequestError
from nextaim_kit.studies.ct_radiomics.firstorder import first_order
from nextaim_kit.studies.ct_radiomics.ibsi.configurations import (
    Configuration,
    Name,
    configuration,
)
from nextaim_kit.studies.ct_radiomics.ibsi.diagnostics import diagnostics
from nextaim_kit.studies.ct_radiomics.ibsi.features import of_prepared
from nextaim_kit.studies.ct_radiomics.ibsi.preparation import Prepared, levels_of, prepare
from nextaim_kit.studies.ct_radiomics.ibsi.reference import (
    PHANTOM_VALUES,
    phantom,
    read_consensus,
)
from nextaim_kit.studies.ct_radiomics.ibsi.tags import NOT_IBSI, in_ibsi_convention, tag_of
from nextaim_kit.studies.ct_radiomics.matrices import Grid
from nextaim_kit.studies.ct_radiomics.region import find_region
from nextaim_kit.studies.ct_radiomics.shape import shape_features
from nextaim_kit.studies.ct_radiomics.texture import Levels, ranks_of, texture

Consensus = Mapping[str, tuple[float, float] | None]
_COLUMNS = [
    "feature", "tag", "pyradiomics", "ours", "consensus", "tolerance", "within", "comparable",
    "reason",
]  # fmt: skip
_NO_VALUE = "no consensus value in this configuration"


def compliance(
    which: Name = "digital_phantom",
    image: str | Path | None = None,
    mask: str | Path | None = None,
    reference: str | Path | None = None,
    definition: Literal["pyradiomics", "ibsi"] = "pyradiomics",
) -> pd.DataFrame:
    """Every feature of a definition beside its IBSI consensus value.

    Parameters
    ----------
    which : str
        ``digital_phantom``, or the CT phantom's configuration ``A`` to ``E``.
    image, mask : path, optional
        The CT phantom and its GTV mask.
    reference : path, optional
        IBSI's reference values for that configuration: a CSV with the columns
        ``reference value;tolerance;tag``.
    definition : str, optional
        ``pyradiomics``: the study's 100 features, converted where conventions differ. ``ibsi``:
        all tags of the table, what it reports of image and masks included.

    Returns
    -------
    DataFrame
        ``feature``, ``tag``, ``pyradiomics`` (value as it is in pyradiomics' feature tables),
        ``ours`` (in IBSI's convention), ``consensus``, ``tolerance``, ``within``, ``comparable``,
        ``reason`` (why not comparable, or what was converted).

    Raises
    ------
    RequestError
        If the configuration or definition is not known or the CT phantom's files are not given.
    DataError
        If a file is missing or damaged.
    """
    setup = configuration(which)
    if definition not in ("pyradiomics", "ibsi"):
        raise RequestError(f"unknown definition {definition!r}", expected="pyradiomics or ibsi")
    if which == "digital_phantom":
        region, consensus = find_region(*phantom()), read_consensus(PHANTOM_VALUES)
    elif image is None or mask is None or reference is None:
        raise RequestError(
            f"configuration {which} needs the CT phantom",
            expected="image, mask and reference: files of the IBSI 1 data sets",
            mend="nextaim data fetch ibsi_ct_phantom has image and mask; the reference values are "
            "tables of the IBSI's manual",
        )
    else:
        consensus = read_consensus(Path(reference))
        volume = read_image(image)
        outline = read_mask(mask, volume)
        check_geometry(volume, outline)
        region = find_region(volume, outline)
    prepared = prepare(region, setup)
    if definition == "pyradiomics":
        return _converted(_pyradiomics(prepared, setup), prepared, setup, consensus)
    return against(
        {**diagnostics(region, prepared, setup), **of_prepared(prepared, setup)}, consensus
    )


def against(ours: Mapping[str, float], consensus: Consensus) -> pd.DataFrame:
    """Values by IBSI tag beside a table of consensus values; columns as of `compliance`."""
    rows = []
    for tag in [*ours, *(tag for tag in consensus if tag not in ours)]:
        value, known = ours.get(tag, math.nan), consensus.get(tag)
        if known is None:
            rows.append((tag, tag, math.nan, value, math.nan, math.nan, False, False, _NO_VALUE))
            continue
        reason = "" if tag in ours else "the definition does not compute it"
        rows.append((tag, tag, math.nan, value, *known, agrees(value, *known), True, reason))
    return pd.DataFrame(rows, columns=_COLUMNS)


def summary(table: pd.DataFrame) -> str:
    """Sentence with the number of features within tolerance, of those comparable."""
    comparable = table[table["comparable"]]
    converted = int((comparable["reason"] != "").sum())
    said = (
        f"{int(comparable['within'].sum())} of {len(comparable)} comparable features are within "
        f"the consensus' tolerance"
    )
    if comparable["pyradiomics"].isna().all():
        return said
    return f"{said}, {converted} of them after converting pyradiomics' convention"


def agrees(value: float, consensus: float, tolerance: float) -> bool:
    """Whether a value, or it rounded to the consensus' three digits, is within its tolerance."""
    off = min(abs(x - consensus) for x in (value, float(f"{value:.3g}")))
    return off <= tolerance + 1e-9 * abs(consensus)


def _converted(
    ours: dict[str, float], prepared: Prepared, setup: Configuration, consensus: Consensus
) -> pd.DataFrame:
    rows = []
    voxels = int(np.count_nonzero(prepared.outline))
    for feature, raw in ours.items():
        tag = tag_of(feature, "3D" if "3D" in setup.texture else "2_5D")
        known = consensus.get(tag or "")
        if tag is None or known is None:
            reason = NOT_IBSI.get(feature, _NO_VALUE)
            rows.append((feature, tag, raw, raw, math.nan, math.nan, False, False, reason))
            continue
        value, reason = in_ibsi_convention(feature, raw, voxels)
        rows.append((feature, tag, raw, value, *known, agrees(value, *known), True, reason))
    return pd.DataFrame(rows, columns=_COLUMNS)


def _pyradiomics(region: Prepared, setup: Configuration) -> dict[str, float]:
    """Features of the study by pyradiomics' definition, of IBSI's pre-processing."""
    values, counts = np.unique(region.inside, return_counts=True)
    array = levels_of(region, setup)
    level_counts = np.bincount(array.ravel())[1:]
    ranks = Grid.of(ranks_of(level_counts)[array])
    levels = Levels(values, counts, level_counts, ranks, region.spacing)
    # The levels are binned already; a width is what the classes ask for.
    options: dict[str, Any] = {"binWidth": 1, "force2D": "3D" not in setup.texture}
    volume = float(np.prod(region.spacing))
    order = first_order(levels.values, levels.counts, levels.level_counts, volume)
    return {
        **{f"shape_{k}": v for k, v in shape_features(region.outline, region.spacing).items()},
        **{f"firstorder_{k}": v for k, v in order.items()},
        **texture(levels, options, without=("glcm_SumAverage", "glcm_MCC")),
    }
