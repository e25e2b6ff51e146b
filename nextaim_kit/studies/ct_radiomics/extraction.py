"""From a cohort to its table of radiomics features, one row per subject, and what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd

from nextaim_kit.data.feature_names import named_as_features
from nextaim_kit.data.source import split_choice
from nextaim_kit.errors import RequestError
from nextaim_kit.files import cache_folder
from nextaim_kit.machine import limits
from nextaim_kit.machine.jobs import WorkerKilled
from nextaim_kit.machine.workers import parallel, scheduler
from nextaim_kit.progress import ProgressLine
from nextaim_kit.studies.ct_radiomics.engine import extract
from nextaim_kit.studies.ct_radiomics.settings import Settings
from nextaim_kit.studies.ct_radiomics.subject import Failure, extract_subject

__all__ = ["Settings", "extract", "extract_cohort", "feature_columns"]

Progress = Callable[[int, int, str], None]
Outcome = dict[str, Any] | Failure
_LEAD = ["subject", "site", "label", "lesion_volume_ml", "involvement_percent"]
_PROVENANCE = [
    "provenance_image_sha256", "provenance_mask_sha256", "provenance_settings",
    "provenance_pyradiomics", "provenance_kit", "provenance_spacing_mm",
    "provenance_roi_voxels", "provenance_warnings",
]  # fmt: skip
_BYTES_PER_VOXEL = 40  # peak measured: 13 where a third of the CT is in the box, 27 where all is
_PROCESS_BYTES = 400 << 20  # a worker with its imports


def extract_cohort(
    cohort: pd.DataFrame,
    settings: Settings | None = None,
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
    settings : Settings, optional
        The study's by default.
    workers : int, optional
        Processes; by default as many as cores and free memory allow. 1 works in this process.
        With ``NEXTAIM_DASK`` (`machine.workers`) any other number stands for all workers of that
        scheduler, who read the images: these need absolute paths in a file system that is shared.
        The tables do not depend on it.
    progress : callable, optional
        Called with the number done, the total and the subject just done; by default a line is
        printed.
    cache : bool, optional
        Reuse and keep each subject's result, so that an interrupted extraction continues.

    Returns
    -------
    features : DataFrame
        In the cohort's order: ``subject``, ``site``, ``label``, ``lesion_volume_ml``,
        ``involvement_percent``, ``provenance_*``, then the features under pyradiomics' names.
    failures : DataFrame
        ``subject``, ``stage`` (read, geometry, roi, features), ``problem``, ``mend``.

    Raises
    ------
    RequestError
        If the cohort lacks a column, names a subject twice, or `workers` is below 1.
    RunError
        If the workers of ``NEXTAIM_DASK`` cannot be used.
    """
    settings = settings or Settings()
    rows = _rows(cohort)
    workers = _workers(rows, workers)
    report = progress or ProgressLine("radiomics")
    outcomes: dict[int, Outcome] = {}
    # Named here: a worker that is used again would still have the folder of its first call.
    folder = cache_folder() / "radiomics" if cache else None
    for index, outcome in _run(rows, settings, workers, folder):
        outcomes[index] = outcome
        report(len(outcomes), len(rows), str(rows[index]["subject"]))
    ordered = [outcomes[index] for index in range(len(rows))]
    return _features(rows, ordered), _failures(ordered)


def feature_columns(table: pd.DataFrame) -> list[str]:
    """Names of the radiomics features in a feature table, in its order."""
    return named_as_features(map(str, table.columns))


def _rows(cohort: pd.DataFrame) -> list[dict[str, Any]]:
    lacking = [name for name in ("subject", "image", "mask") if name not in cohort]
    if lacking:
        raise RequestError(
            f"the cohort has no column {lacking[0]!r}",
            expected="subject, image and mask",
            found=", ".join(map(str, cohort.columns)),
        )
    twice = cohort.loc[cohort["subject"].duplicated(), "subject"]
    if len(twice):
        raise RequestError(
            f"subject {twice.iloc[0]} is in the cohort twice",
            expected="one row per subject",
            mend="give each region of a patient a subject of its own, or drop the repetition",
        )
    return [{str(k): v for k, v in row.items()} for row in cohort.to_dict("records")]


def _workers(rows: list[dict[str, Any]], wanted: int | None) -> int:
    if wanted is not None and wanted < 1:
        raise RequestError("workers is out of bounds", expected="1 or more", found=str(wanted))
    if wanted == 1 or len(rows) < 2:
        return 1
    if scheduler():
        return len(rows)  # their memory is not this machine's
    need = _PROCESS_BYTES + _BYTES_PER_VOXEL * max(map(_voxels, rows))
    by_memory = max(1, limits.memory_available() // need)
    return int(min(wanted or limits.process_count(), by_memory, len(rows)))


def _voxels(row: dict[str, Any]) -> int:
    """Voxels of a subject's image, from its header; of a folder, by its bytes; else none."""
    from nextaim_kit.data.volumes import stored_size

    place, _ = split_choice(str(row["image"]))
    if place.is_dir():
        return sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) // 2
    return stored_size(place)[0]


def _run(
    rows: list[dict[str, Any]], settings: Settings, workers: int, cache: Path | None
) -> Iterator[tuple[int, Outcome]]:
    """Index and outcome of each subject, as they come."""
    if workers == 1:
        for index, row in enumerate(rows):
            yield index, extract_subject(row, settings, cache)
        return
    left = dict(enumerate(rows))
    while left:
        for index, outcome in _parallel(left, settings, workers, cache):
            left.pop(index)
            yield index, outcome
        # If any are left, a worker died. Its subject is among the first ones, since they are
        # handed out in order: each of these gets a pool of its own, the others go on together.
        for index in list(left)[: 2 * workers]:
            row = left.pop(index)
            alone = dict(_parallel({index: row}, settings, 2, cache))
            yield index, alone.get(index) or _died(row)


def _parallel(
    rows: dict[int, dict[str, Any]], settings: Settings, workers: int, cache: Path | None
) -> Iterator[tuple[int, Outcome]]:
    """Outcomes from worker processes; ends early where one of them was killed."""
    from joblib import delayed

    jobs = (delayed(_indexed)(i, row, settings, cache) for i, row in list(rows.items()))
    with suppress(WorkerKilled):
        yield from parallel(jobs, n_jobs=workers, return_as="generator_unordered", batch_size=1)


def _indexed(
    index: int, row: dict[str, Any], settings: Settings, cache: Path | None
) -> tuple[int, Outcome]:
    return index, extract_subject(row, settings, cache)


def _died(row: dict[str, Any]) -> Failure:
    return Failure(
        str(row["subject"]),
        "features",
        "the worker process was killed, most often for memory",
        "run on a machine with more memory, or crop the image",
    )


def _features(rows: list[dict[str, Any]], outcomes: list[Outcome]) -> pd.DataFrame:
    whole = [
        {**{name: row.get(name) for name in ("subject", "site", "label")}, **outcome}
        for row, outcome in zip(rows, outcomes, strict=True)
        if not isinstance(outcome, Failure)
    ]
    table = pd.DataFrame(whole, columns=None if whole else [*_LEAD, *_PROVENANCE])
    names = [*_LEAD, *_PROVENANCE]
    table = table[[*names, *(name for name in table.columns if name not in names)]]
    # One block of memory: pandas warns of a table in hundreds of pieces.
    return table.astype({"subject": "str", "label": "Int64"}).copy()


def _failures(outcomes: list[Outcome]) -> pd.DataFrame:
    failed = [asdict(outcome) for outcome in outcomes if isinstance(outcome, Failure)]
    return pd.DataFrame(failed, columns=[field.name for field in fields(Failure)], dtype="str")
