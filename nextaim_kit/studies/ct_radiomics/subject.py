"""One row of a cohort: read, checked and extracted."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import radiomics
import scipy
import SimpleITK as sitk

import nextaim_kit
from nextaim_kit.data.cohort.subjects import Row
from nextaim_kit.data.hashes import below, content_hashes
from nextaim_kit.data.images.reading import check_geometry, read_image, read_mask
from nextaim_kit.data.paths import files_of, split_choice
from nextaim_kit.errors import DataError, gathered_warnings
from nextaim_kit.files import sha256_of
from nextaim_kit.machine.seeds import one_thread
from nextaim_kit.studies.ct_radiomics import engine
from nextaim_kit.studies.ct_radiomics.ibsi import features as ibsi
from nextaim_kit.studies.ct_radiomics.ibsi.configurations import Configuration
from nextaim_kit.studies.ct_radiomics.region import Region
from nextaim_kit.studies.ct_radiomics.settings import Settings


def extract_subject(row: Row, settings: Settings | Configuration) -> dict[str, Any]:
    """Features and provenance of one subject.

    Parameters
    ----------
    row : mapping
        ``image``, ``mask``; ``lungs``, ``mask_label`` (label value), ``mask_roi`` (name in an
        RTSTRUCT or SEG) and ``mask_contours`` (how an RTSTRUCT is read) where there are any.
    settings : Settings or Configuration
        The latter: by IBSI's definitions.

    Raises
    ------
    DataError
        If a file cannot be used, or the region has no features.
    """
    label = _given(row, "mask_label")
    label = settings.label if label is None else int(label)
    channel = _options(settings).get("label_channel")
    provenance = _provenance(row, settings)
    with gathered_warnings() as notes, one_thread():
        image = read_image(_path(row, "image"))
        region, values = _measured(image, _mask(row, image, label, channel), settings)
    notes += [f"not a number: {name}" for name, v in values.items() if not np.isfinite(v)]
    volume = np.count_nonzero(region.mask) * float(np.prod(region.spacing)) / 1000
    involvement, problem = _involvement(row, image, volume)
    return {
        "lesion_volume_ml": volume,
        "involvement_percent": involvement,
        **provenance,
        **_facts(region, notes + problem),
        **values,
    }


def _options(settings: Settings | Configuration) -> dict[str, Any]:
    """What pyradiomics' settings say of reading; IBSI's definitions say nothing of it."""
    return {} if isinstance(settings, Configuration) else settings.pyradiomics()


def _measured(
    image: sitk.Image, mask: sitk.Image, settings: Settings | Configuration
) -> tuple[Region, dict[str, float]]:
    if isinstance(settings, Configuration):
        region = ibsi.region_of(image, mask, 1)
        return region, ibsi.features_of(region, settings)
    region = engine.region_of(image, mask, 1, settings)
    return region, engine.features_of(region, settings)


def _mask(row: Row, image: sitk.Image, label: int | None, channel: int | None = None) -> sitk.Image:
    roi, contours = (_given(row, name) for name in ("mask_roi", "mask_contours"))
    path, roi = _path(row, "mask"), str(roi or "")
    return read_mask(path, image, label, roi, contours or "holes", channel)


def read_subject(
    row: Row, settings: Settings | Configuration | None = None
) -> tuple[sitk.Image, sitk.Image]:
    """Image of a cohort's row and its mask of 0 and 1, as `settings` say they are measured.

    Raises
    ------
    DataError
        If they cannot be read.
    """
    settings = settings or Settings()
    label, options = _given(row, "mask_label"), _options(settings)
    label = settings.label if label is None else int(label)
    image = read_image(_path(row, "image"))
    mask = _mask(row, image, label, options.get("label_channel"))
    if options.get("correctMask"):
        mask, _ = engine.on_grid(image, mask, 1, options)
    return image, mask


def _facts(region: Region, notes: list[str]) -> dict[str, Any]:
    spacing = " x ".join(f"{s:.6g}" for s in region.image.GetSpacing())
    return {
        "provenance_spacing_mm": spacing,
        "provenance_roi_voxels": int(np.count_nonzero(region.mask)),
        "provenance_warnings": "; ".join(notes),
    }


def _provenance(row: Row, settings: Settings | Configuration) -> dict[str, str]:
    return {
        "provenance_definition": _definition(settings),
        "provenance_image_sha256": _content(_path(row, "image")),
        "provenance_mask_sha256": _content(_path(row, "mask")),
        "provenance_settings": settings.describe(),
        "provenance_pyradiomics": _pyradiomics_version(),
        "provenance_kit": nextaim_kit.__version__,
    }


def _definition(settings: Settings | Configuration) -> str:
    """Which definition of the features made a row."""
    if isinstance(settings, Configuration):
        return f"IBSI 1, configuration {settings.name}"
    return f"pyradiomics {_pyradiomics_version()}"


def _pyradiomics_version() -> str:
    return str(radiomics.__version__).removeprefix("v")


def _involvement(row: Row, image: sitk.Image, lesion_ml: float) -> tuple[float, list[str]]:
    """Lesion volume in percent of the lungs'; NaN, and why, where the lungs are of no use."""
    if not _given(row, "lungs"):
        return float("nan"), []
    try:
        lungs = read_image(_path(row, "lungs"))
        check_geometry(image, lungs)
    except DataError as error:
        return float("nan"), [f"no involvement: {error.what}"]
    marked = np.count_nonzero(sitk.GetArrayViewFromImage(lungs))
    lungs_ml = marked * float(np.prod(lungs.GetSpacing())) / 1000
    if not lungs_ml:
        return float("nan"), ["no involvement: the lungs' mask is empty"]
    percent = 100 * lesion_ml / lungs_ml
    return percent, ["the lesion is larger than the lungs"] if percent > 100 else []


def _given(row: Row, name: str) -> Any:
    """Value of a cell, or None where the column or the value is missing."""
    value = row.get(name)
    return None if value is None or str(value) in ("", "nan", "<NA>") else value


def _path(row: Row, name: str) -> str:
    path = _given(row, name)
    if path is None:
        raise DataError(
            f"no {name} is given", expected="a path", mend=f"fill the column {name} of the cohort"
        )
    return str(path)


def _content(path: str) -> str:
    """SHA-256 of what is behind a path; of a folder, over all its files."""
    place, choice = split_choice(path)
    if not place.exists():
        raise DataError(
            f"{place.name} is missing",
            expected="a file or a folder with a DICOM series",
            mend="check the path; a relative path counts from the folder of its cohort.csv",
        )
    files = [file for _, file in sorted(below(place))] if place.is_dir() else files_of(place)
    if files == [place]:
        return content_hashes(files)[0]
    lines = [choice, *content_hashes(files)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


_IBSI = (
    "configurations", "features", "formulas", "grid", "intensity", "morphology", "preparation",
    "texture",
)  # fmt: skip


@cache
def version() -> list[str]:
    """What reads and measures, beside `extract_subject`: with another one, results are others."""
    here = Path(__file__).parent
    files = sorted((here.parents[1] / "data/images").glob("[!_]*.py"))
    measures = (
        "cooccurrence", "diameters", "engine", "firstorder", "image_types", "kernels",
        "laplacian", "lbp3d", "level_sizes", "matrices", "parameter_file", "passes",
        "plain_counts", "region", "selection", "settings", "shape", "shape2d", "subject",
        "texture", "wavelets",
    )  # fmt: skip
    files += [here / f"{name}.py" for name in measures]
    files += [here / "ibsi" / f"{name}.py" for name in _IBSI]
    versions = (_pyradiomics_version(), np.__version__, sitk.__version__, scipy.__version__)
    return [*map(sha256_of, files), *versions]
