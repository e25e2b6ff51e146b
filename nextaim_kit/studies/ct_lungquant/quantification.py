"""A folder of CTs to a table of what a radiologist would be told, each CT by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import NDArray

from nextaim_kit import __version__
from nextaim_kit.data.cache import cached, identity
from nextaim_kit.data.cohort.subjects import Row, each
from nextaim_kit.errors import DataError, KitError
from nextaim_kit.files import sha256_of
from nextaim_kit.progress import Progress
from nextaim_kit.studies.ct_lungquant import threshold
from nextaim_kit.studies.ct_lungquant.measures import (
    CONSOLIDATED_HU,
    Found,
    Maps,
    blank_mask,
    measure,
)
from nextaim_kit.studies.ct_lungquant.networks.preparing import content
from nextaim_kit.studies.ct_lungquant.plausibility import doubts
from nextaim_kit.studies.ct_lungquant.scans import Scan, read_ct

Also = Callable[[str, Found], dict[str, Any]]


class Software:
    """What finds lungs and lesions, under the name that goes with every value.

    Parameters
    ----------
    weights : str
        A ``lungquant.pt`` of the notebook ``segmentation``; empty: thresholds, no network.
    """

    def __init__(self, weights: str = "") -> None:
        self.segment: Callable[[Scan], Maps] = threshold.segment
        self.name, self._seen = threshold.NAME, frozenset[str]()
        self._weights = ""
        if weights:
            from nextaim_kit.studies.ct_lungquant.networks.pipeline import LungQuant

            trained = LungQuant.load(Path(weights))
            self.segment, self.name, self._seen = trained.segment, trained.name, trained.seen
            self._weights = sha256_of(weights)

    def __call__(self, path: str | Path, *, consolidated_hu: float = CONSOLIDATED_HU) -> Found:
        """Read, segment and measure one CT.

        Masks and values are kept in the cache of steps, so that a CT is measured once by the
        same networks, whatever is drawn of it and however often a run is killed.

        Returns
        -------
        Found
            With ``software``, ``seen_in_training`` (whether its networks have learned from this
            very CT) and ``warnings`` among its values.

        Raises
        ------
        DataError
            If the CT cannot be used, or has no lung.
        """
        scan = read_ct(path)
        at, lungs, lesions, values, remarks = cached(
            _measured_once, scan, self.segment, consolidated_hu=consolidated_hu,
            version=_version(), key=f"{self.name} {self._weights} {identity.content(path)}",
        )  # fmt: skip
        found = Found(scan, _placed(lungs, at, scan), _placed(lesions, at, scan), values)
        said = [*scan.warnings, *remarks]
        found.values["software"] = f"{self.name}, nextaim_kit {__version__}"
        found.values["seen_in_training"] = bool(self._seen) and content(str(path)) in self._seen
        if found.values["seen_in_training"]:
            said.append("the networks have learned from this very CT: no test of them")
        found.values["warnings"] = "; ".join(said)
        return found


def _measured_once(
    scan: Scan, segment: Callable[[Scan], Maps], *, consolidated_hu: float
) -> tuple[list[int], NDArray, NDArray, dict[str, Any], list[str]]:
    """The lungs' first voxel, both masks from there on to the last one, values, remarks."""
    maps = segment(scan)
    found = measure(scan, maps, consolidated_hu=consolidated_hu)
    at = [int(s.start) for s in found.box]
    lungs, lesions = (np.ascontiguousarray(m[found.box]) for m in (found.lungs, found.lesions))
    return at, lungs, lesions, found.values, [*maps.warnings, *doubts(found)]


def _placed(part: NDArray[np.uint8], at: list[int], scan: Scan) -> NDArray[np.uint8]:
    whole = blank_mask(scan.image.GetSize()[::-1])
    whole[tuple(slice(a, a + n) for a, n in zip(at, part.shape, strict=True))] = part
    return whole


@cache
def _version() -> list[str]:
    """What reads, segments and measures a CT: with another one, masks and values are others."""
    here = Path(__file__).parent
    folders = (here.parents[1] / "data/images", here, here / "networks")
    files = [file for folder in folders for file in sorted(folder.glob("*.py"))]
    return [*map(sha256_of, files), np.__version__, sitk.__version__]


def first_readable(cohort: pd.DataFrame) -> tuple[str, Scan]:
    """Subject and scan of the first CT that can be read.

    Raises
    ------
    DataError
        If none can, with the first one's problem.
    """
    problem = None
    for subject, image in cohort[["subject", "image"]].itertuples(index=False):
        try:
            return str(subject), read_ct(image)
        except KitError as error:
            problem = problem or error
    raise problem or DataError("there is no CT", expected="one subject or more")


def require_measured(values: pd.DataFrame, failures: pd.DataFrame) -> None:
    """Raise a DataError where no CT could be measured, with the first reasons."""
    if values.empty:
        reasons = [f"{row.subject}: {row.problem}" for row in failures.head(3).itertuples()]
        raise DataError(
            "no CT could be measured",
            expected="one chest CT or more",
            found="; ".join(reasons),
            mend="see failures.csv; the reasons say what to do",
        )


def quantify(
    cohort: pd.DataFrame,
    software: Software | None = None,
    *,
    also: Also | None = None,
    consolidated_hu: float = CONSOLIDATED_HU,
    progress: str | Progress = "",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure every CT of a cohort, one after the other, in the memory of one.

    A call that was killed goes on where it was (`Software`).

    Parameters
    ----------
    cohort : DataFrame
        ``subject``, ``site``, ``image`` (a file, or the folder of a DICOM series).
    software : Software, optional
        By default thresholds, without a network.
    also : callable, optional
        Called with a subject and what was found, to draw or keep it; what it gives is added to
        the values.
    consolidated_hu : float
        HU from which a lesion's voxel is consolidation.
    progress : str or callable
        As for `data.each.each`.

    Returns
    -------
    values : DataFrame
        A row for each CT that could be measured: ``subject``, ``site``, `measures.measure`'s
        values, ``software``, ``warnings``.
    failures : DataFrame
        ``subject``, ``site`` and ``problem`` of the others, as of `data.each.Done`.
    """
    found = each(
        cohort, _measured, columns=["subject", "image"], workers=1, progress=progress,
        software=software or Software(), also=also, consolidated_hu=consolidated_hu,
    )  # fmt: skip
    return found.table("subject", "site"), found.failures


def _measured(
    row: Row, *, software: Software, also: Also | None, consolidated_hu: float
) -> dict[str, Any]:
    found = software(str(row["image"]), consolidated_hu=consolidated_hu)
    return found.values | (also(str(row["subject"]), found) if also else {})
