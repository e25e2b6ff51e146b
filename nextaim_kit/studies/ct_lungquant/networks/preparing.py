"""CTs with masks at the networks' spacing: the deterministic part of training, kept once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from torch import Tensor

from nextaim_kit.data.cache import cached, lazy
from nextaim_kit.data.cohort import load_cohort
from nextaim_kit.data.fingerprint import below, content_hashes
from nextaim_kit.data.images import check_geometry, read_image
from nextaim_kit.data.source import split_choice
from nextaim_kit.data.tables import check_columns
from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_lungquant.resampling import coarse, coarse_labels
from nextaim_kit.studies.ct_lungquant.scans import read_ct

Box = tuple[slice, slice, slice]
Size = tuple[int, int, int]
_VERSION = 1  # of the preparation below: what it keeps is made anew with another one
_SPOTS = 500  # voxels of lesions that are kept in mind
OUTSIDE = 0.02  # share of the lesions' mask outside the lungs from which it is said


def load_masked(spec: str, twin: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Load a cohort of CTs with masks of lungs and lesions.

    Parameters
    ----------
    spec : str
        As for `load_cohort`, with the columns ``image``, ``lungs`` (1: right, 2: left) and
        ``lesions``, which may be called ``mask``.
    twin : callable
        Makes the synthetic twin.
    """
    table = load_cohort(spec, twin=twin, columns=("image", "lungs"))
    if "lesions" not in table and "mask" in table:
        table = table.rename(columns={"mask": "lesions"})
    check_columns(list(table.columns), ("lesions",), Path(spec))
    return table


def prepared(image: str, lungs: str, lesions: str, spacing: tuple[float, ...]) -> dict[str, Any]:
    """A subject as the networks learn from it: the deterministic part, done once.

    Parameters
    ----------
    image, lungs, lesions : str
        Paths; the masks lie on the image's grid.
    spacing : (float, float, float)
        mm, along x, y, z.

    Returns
    -------
    dict
        ``hu`` (int16), ``lungs`` (1: right, 2: left), ``lesions`` (0 or 1), each of shape
        (z, y, x); ``outside``, the share of the lesions' mask that is not in the lungs;
        ``swapped``, whether the mask had 1 for the left lung.

    Raises
    ------
    DataError
        If a file cannot be used, or a mask is of another grid.
    """
    masks = [read_image(path) for path in (lungs, lesions)]
    original = read_image(image)
    for mask in masks:
        check_geometry(original, mask, subject=Path(image).name)
    lungs_there, ill = (sitk.DICOMOrient(sitk.Cast(m, sitk.sitkUInt8), "LPS") for m in masks)
    outside = _outside(lungs_there, ill)
    swapped = _swapped(lungs_there)
    if swapped:
        lungs_there = sitk.ChangeLabel(lungs_there, {1: 2, 2: 1})
    both = [coarse_labels(lungs_there, spacing, (1, 2)), coarse_labels(ill > 0, spacing, (1,))]
    side, sick = (sitk.GetArrayFromImage(one) for one in both)
    if not side.any():
        raise DataError(f"{Path(lungs).name} marks no lung", expected="1: right lung, 2: left lung")
    hu = sitk.GetArrayFromImage(coarse(read_ct(image).image, spacing))
    kept = {"hu": hu, "lungs": side, "lesions": sick * (side > 0)}
    return kept | {"outside": outside, "swapped": swapped}


def _swapped(lungs: sitk.Image) -> bool:
    """Whether 1 marks the lung on the patient's left, as some data sets have it."""
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(lungs)
    if not {1, 2} <= set(shape.GetLabels()):
        return False
    first, second = (
        lungs.TransformPhysicalPointToContinuousIndex(shape.GetCentroid(k))[0] for k in (1, 2)
    )
    return bool(first > second)


def _outside(lungs: sitk.Image, lesions: sitk.Image) -> float:
    lung, ill = (sitk.GetArrayViewFromImage(one) for one in (lungs, lesions))
    marked = int(np.count_nonzero(ill))
    return float(np.count_nonzero(ill[lung == 0]) / marked) if marked else 0.0


def content(path: str) -> str:
    """A CT by what its files hold, whatever they are called and wherever they lie."""
    place, _ = split_choice(path)
    files = [file for _, file in below(place)] if place.is_dir() else [place]
    return hashlib.sha256(" ".join(sorted(content_hashes(files))).encode()).hexdigest()


def prepare(
    cohort: pd.DataFrame, spacing: Sequence[float]
) -> tuple[list[Prepared], pd.DataFrame, pd.DataFrame]:
    """Prepare a cohort; one that cannot be used never loses the others.

    Parameters
    ----------
    cohort : DataFrame
        ``subject``, ``image``, ``lungs``, ``lesions``.
    spacing : (float, float, float)
        mm, along x, y, z.

    Returns
    -------
    cases : list of Prepared
    kept : DataFrame
        The cohort's rows of these, in the same order, with ``swapped``: whether the file of the
        lungs has 1 for the left one.
    problems : DataFrame
        ``subject`` and ``problem``: those left out, and what was mended in masks of others.
    """
    cases, kept, problems = [], [], []
    size = tuple(float(s) for s in spacing)
    for k, row in enumerate(cohort.itertuples()):
        files = [str(row.image), str(row.lungs), str(row.lesions)]
        try:
            found = cached(prepared, *files, spacing=size, version=_VERSION)
        except DataError as error:
            problems.append((row.subject, str(error)))
            continue
        if found["outside"] > OUTSIDE:
            share = f"{100 * found['outside']:.0f} % of the lesions' mask"
            problems.append((row.subject, f"{share} lies outside the lungs: left aside"))
        if found["swapped"]:
            problems.append((row.subject, "1 marks the left lung in its mask: taken as 2"))
        kept.append((k, found["swapped"]))
        store = lazy(prepared, *files, spacing=size, version=_VERSION)
        spots = np.argwhere(found["lesions"])
        spots = spots[:: max(1, len(spots) // _SPOTS)]
        box = box_of(found["lungs"] > 0)
        cases.append(Prepared(str(row.subject), store, box, spots, content(files[0])))
    table = pd.DataFrame(problems, columns=["subject", "problem"])
    rows = cohort.iloc[[k for k, _ in kept]].reset_index(drop=True)
    return cases, rows.assign(swapped=[swapped for _, swapped in kept]), table


@dataclass(frozen=True)
class Prepared:
    """One prepared subject, read by the part.

    Attributes
    ----------
    subject : str
    store : lazy
        ``hu``, ``lungs`` and ``lesions``.
    box : tuple of slice
        The lungs': z, y, x.
    spots : array of int, shape (n, 3)
        Some voxels of lesions, evenly taken.
    digest : str
        Of the CT's `content`.
    """

    subject: str
    store: Any
    box: Box
    spots: NDArray[np.int64]
    digest: str

    @property
    def shape(self) -> Size:
        """Slices, rows, columns."""
        return self.store["hu"].shape

    def part(self, name: str, box: Box) -> Tensor:
        """Values within a box, shape (1, z, y, x)."""
        return torch.from_numpy(np.asarray(self.store[name][box]).copy())[None]


def box_of(mask: NDArray[np.bool_]) -> Box:
    """Smallest box that holds a mask."""
    spans = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append(slice(int(there[0]), int(there[-1]) + 1))
    return spans[0], spans[1], spans[2]


def whole(shape: Size) -> Box:
    """The box of a whole volume."""
    z, y, x = shape
    return slice(0, z), slice(0, y), slice(0, x)


def widened(box: Box, by: float, shape: Size) -> Box:
    """A box larger by a share of its edges on every side, within a volume."""
    first, second, third = (
        slice(
            max(0, int(s.start - np.ceil(by * (s.stop - s.start)))),
            min(n, int(s.stop + np.ceil(by * (s.stop - s.start)))),
        )
        for s, n in zip(box, shape, strict=True)
    )
    return first, second, third
