"""From a cohort to its table of radiomics features, one row per subject, and what failed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd

from nextaim_kit.data.cohort.feature_names import named_as_features
from nextaim_kit.data.cohort.subjects import Row, each
from nextaim_kit.data.paths import split_choice
from nextaim_kit.errors import RequestError
from nextaim_kit.progress import Progress
from nextaim_kit.studies.ct_radiomics.engine import extract
from nextaim_kit.studies.ct_radiomics.ibsi.configurations import Configuration, configuration
from nextaim_kit.studies.ct_radiomics.settings import Settings, as_settings
from nextaim_kit.studies.ct_radiomics.subject import extract_subject, version

__all__ = ["Settings", "by_definition", "extract", "extract_cohort", "feature_columns"]

_OPTIONAL = ("lungs", "mask_label", "mask_roi", "mask_contours")
_LEAD = ["subject", "site", "label", "lesion_volume_ml", "involvement_percent"]
_PROVENANCE = [
    "provenance_definition", "provenance_image_sha256", "provenance_mask_sha256",
    "provenance_settings",
    "provenance_pyradiomics", "provenance_kit", "provenance_spacing_mm",
    "provenance_roi_voxels", "provenance_warnings",
]  # fmt: skip
_BYTES_PER_VOXEL = 40  # peak measured: 13 where a third of the CT is in the box, 27 where all is
_IBSI_BYTES_PER_VOXEL = 60  # 50 where a third of the CT is in the box; what has no room is refused
_PROCESS_BYTES = 400 << 20  # a worker with its imports


def extract_cohort(
    cohort: pd.DataFrame,
    settings: Settings | Configuration | str | Path | None = None,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    cache: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Extract features of every subject of a cohort.

    Parameters
    ----------
    cohort : DataFrame
        ``subject``, ``image``, ``mask``; ``site``, ``label``, ``lungs``, ``mask_label`` and
        ``mask_roi`` where there are any.
    settings : Settings, Configuration, str or Path, optional
        Or a pyradiomics parameter file. The study's by default; an IBSI configuration has IBSI's
        definitions of features.
    workers, progress
        As for `data.each.each`, by default a line of progress and as many processes as cores and
        free memory allow. The tables do not depend on them.
    cache : bool, optional
        Reuse and keep each subject's result, so that an interrupted extraction continues.

    Returns
    -------
    features : DataFrame
        In the cohort's order: ``subject``, ``site``, ``label``, ``lesion_volume_ml``,
        ``involvement_percent``, ``provenance_*``, then the features under pyradiomics' names, or
        under IBSI's tags.
    failures : DataFrame
        ``subject``, ``site``, ``problem``: as of `data.each.Done`.

    Raises
    ------
    DataError
        If the cohort lacks a column.
    RequestError
        If it names a subject twice, `workers` is below 1, or a parameter file cannot be taken.
    RunError
        If the workers of ``NEXTAIM_DASK`` cannot be used.
    """
    there = [name for name in _OPTIONAL if name in cohort]
    by_ibsi = isinstance(settings, Configuration)
    each_voxel = _IBSI_BYTES_PER_VOXEL if by_ibsi else _BYTES_PER_VOXEL
    found = each(
        cohort, extract_subject, columns=["image", "mask", *there], keep=cache and version(),
        workers=workers, memory=partial(_bytes, per_voxel=each_voxel),
        progress=progress or "radiomics",
        settings=settings if isinstance(settings, Configuration) else as_settings(settings),
    )  # fmt: skip
    table = found.table("subject", "site", "label")
    names = [*_LEAD, *_PROVENANCE]
    table = table.reindex(columns=[*names, *(name for name in table if name not in names)])
    # One block of memory: pandas warns of a table in hundreds of pieces.
    return table.astype({"subject": "str", "label": "Int64"}).copy(), found.failures


def by_definition(
    definition: str, ibsi_configuration: str, settings: Settings
) -> Settings | Configuration:
    """Return what `extract_cohort` needs for a definition.

    Parameters
    ----------
    definition : str
        ``pyradiomics`` or ``ibsi``.
    ibsi_configuration : str
        Name of the IBSI's configuration; counts for ``ibsi``.
    settings : Settings
        Settings of pyradiomics' definition.

    Raises
    ------
    RequestError
        If the definition or configuration is not known, or settings were chosen that an IBSI
        configuration would not heed.
    """
    if definition == "pyradiomics":
        return settings
    if definition != "ibsi":
        raise RequestError(f"unknown definition {definition!r}", expected="pyradiomics or ibsi")
    settings.require_default()
    return configuration(ibsi_configuration, settings.label)


def feature_columns(table: pd.DataFrame) -> list[str]:
    """Names of the radiomics features in a feature table, in its order."""
    return named_as_features(map(str, table.columns))


def _bytes(row: Row, per_voxel: int = _BYTES_PER_VOXEL) -> int:
    """What a worker needs for a subject, by the header of its image or the bytes of its folder."""
    from nextaim_kit.data.images.volumes import stored_size
    from nextaim_kit.data.store.view import size_of

    place, _ = split_choice(str(row["image"]))
    if place.is_dir():
        voxels = sum(size_of(file) for file in place.rglob("*") if file.is_file()) // 2
    else:
        voxels, _ = stored_size(place)
    return int(_PROCESS_BYTES + per_voxel * voxels)
