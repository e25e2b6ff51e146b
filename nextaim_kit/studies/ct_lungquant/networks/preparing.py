"""CTs with masks at the networks' spacing: the deterministic part of training, kept once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import NDArray

from nextaim_kit.data.cache import lazy
from nextaim_kit.data.cohort.loading import load_cohort, no_twin, problems
from nextaim_kit.data.cohort.subjects import Row, each
from nextaim_kit.data.cohort.tables import check_columns
from nextaim_kit.data.hashes import below, content_hashes
from nextaim_kit.data.paths import files_of, split_choice
from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_lungquant.masks import read_masks
from nextaim_kit.studies.ct_lungquant.resampling import coarse, coarse_labels
from nextaim_kit.studies.ct_lungquant.scans import read_ct

if TYPE_CHECKING:
    from torch import Tensor

Box = tuple[slice, slice, slice]
Size = tuple[int, int, int]
_VERSION = 2  # of the preparation below: what it keeps is made anew with another one
_SEEN = "in the first cohort too, by its name or by what its CT holds: not tested on"
_SPOTS = 500  # voxels of lesions that are kept in mind


def load_masked(spec: str, twin: Callable[[], pd.DataFrame] = no_twin) -> pd.DataFrame:
    """Load a cohort of CTs with masks of lungs and lesions.

    Parameters
    ----------
    spec : str
        As for `load_cohort`, with the columns ``image``, ``lungs`` (1: right, 2: left) and
        ``lesions``, which may be called ``mask``.
    twin : callable, optional
        Makes the synthetic twin; without it there is none.
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
        (z, y, x); ``remarks``, what was mended in the masks.

    Raises
    ------
    DataError
        If a file cannot be used, or a mask is of another grid.
    """
    scan = read_ct(image)
    sides, ill, remarks = read_masks(lungs, lesions, scan.image, subject=Path(image).name)
    if not sides.any():
        raise DataError(f"{Path(lungs).name} marks no lung", expected="1: right lung, 2: left lung")
    masks = [sitk.GetImageFromArray(one) for one in (sides, ill)]
    for mask in masks:
        mask.CopyInformation(scan.image)
    small = [
        coarse(scan.image, spacing),
        coarse_labels(masks[0], spacing, (1, 2)),
        coarse_labels(masks[1], spacing, (1,)),
    ]
    hu, side, sick = (sitk.GetArrayFromImage(one) for one in small)
    return {"hu": hu, "lungs": side, "lesions": sick * (side > 0), "remarks": remarks}


def content(path: str) -> str:
    """A CT by what its files hold, whatever they are called and wherever they lie."""
    place, _ = split_choice(path)
    files = [file for _, file in below(place)] if place.is_dir() else files_of(place)
    return hashlib.sha256(" ".join(sorted(content_hashes(files))).encode()).hexdigest()


def prepare(
    cohort: pd.DataFrame, spacing: Sequence[float]
) -> tuple[list[Prepared], pd.DataFrame, pd.DataFrame, pd.DataFrame]:
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
        The cohort's rows of these, in the same order.
    failed : DataFrame
        Those left out, as of `data.each.Done`.
    mended : DataFrame
        ``subject`` and ``problem``: what was mended in masks of others.
    """
    size = tuple(float(s) for s in spacing)
    found = each(cohort, _case, workers=1, spacing=size)
    cases = [case for case, _ in found.results]
    mended = [(case.subject, said) for case, remarks in found.results for said in remarks]
    remarks = pd.DataFrame(mended, columns=["subject", "problem"])
    return cases, found.rows.reset_index(drop=True), found.failures, remarks


def never_seen(
    others: pd.DataFrame, spacing: Sequence[float], cases: Sequence[Prepared]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of another cohort to be tested on, and the rows left out: ``subject, site, problem``.

    Left out are CTs that cannot be used, and those of `cases`, the first cohort, by the subject's
    name or by what their files hold.

    Raises
    ------
    DataError
        If none can be tested on.
    """
    found, kept, failed, _ = prepare(others, spacing)
    names, contents = {case.subject for case in cases}, {case.digest for case in cases}
    seen = np.array([one.subject in names or one.digest in contents for one in found], bool)
    repeated = kept.loc[seen, ["subject", "site"]].assign(problem=_SEEN)
    left_out = pd.concat([problems(others), failed, repeated], ignore_index=True)
    if seen.all():
        raise DataError(
            "no CT of the other cohort can be tested on",
            expected="one that is not in the first cohort",
            found="; ".join(sorted(set(left_out["problem"])))[:300] or "none",
        )
    return kept[~seen].reset_index(drop=True), left_out


def _case(row: Row, *, spacing: tuple[float, ...]) -> tuple[Prepared, list[str]]:
    files = [str(row[name]) for name in ("image", "lungs", "lesions")]
    store = lazy(prepared, *files, spacing=spacing, version=_VERSION)
    found = store.value()
    spots = np.argwhere(found["lesions"])
    spots = spots[:: max(1, len(spots) // _SPOTS)]
    box = box_of(found["lungs"] > 0)
    case = Prepared(str(row["subject"]), store, box, spots, content(files[0]))
    return case, found["remarks"]


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
        import torch

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
