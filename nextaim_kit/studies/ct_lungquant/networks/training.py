"""What the networks learn from: scans at the networks' spacing, kept once, and parts of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad
from torch.utils.data import Dataset

from nextaim_kit.data.cache import cached, lazy
from nextaim_kit.data.cohort import load_cohort
from nextaim_kit.data.fingerprint import below, content_hashes
from nextaim_kit.data.images import check_geometry, read_image
from nextaim_kit.data.source import split_choice
from nextaim_kit.data.tables import check_columns
from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_lungquant.networks.nets import BOX_GRID, MULTIPLE, normalized
from nextaim_kit.studies.ct_lungquant.resampling import coarse, coarse_labels
from nextaim_kit.studies.ct_lungquant.scans import AIR, read_ct

Box = tuple[slice, slice, slice]
Size = tuple[int, int, int]
What = Literal["lungs", "sides", "lesions"]
_VERSION = 1  # of the preparation below: what it keeps is made anew with another one
_SPOTS = 500  # voxels of lesions that are kept in mind
_AT_LESIONS = 2 / 3  # of the parts that U-net2 learns from lie around a lesion, where there is one
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


def rounded(patch: Sequence[int]) -> Size:
    """Edges in voxels as the networks can take them, x, y, z turned to z, y, x."""
    z, y, x = (-(-n // MULTIPLE) * MULTIPLE for n in reversed(patch))
    return z, y, x


class BoxItems(Dataset):
    """Whole scans on BB-net's grid, with the lungs' box as shares of the scan.

    Parameters
    ----------
    cases : sequence of Prepared
    augment : bool
        Take scans that begin and end elsewhere: more or less of neck, belly and air around.
    """

    def __init__(self, cases: Sequence[Prepared], *, augment: bool = False) -> None:
        self.cases, self.augment = cases, augment

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        case = self.cases[index]
        box = self._frame(case) if self.augment else whole(case.shape)
        hu = case.part("hu", box)
        edges = [
            ((at.start - frame.start) / (frame.stop - frame.start),
             (at.stop - frame.start) / (frame.stop - frame.start))
            for at, frame in zip(case.box, box, strict=True)
        ]  # fmt: skip
        corners = [first for first, _ in edges] + [last for _, last in edges]
        return on_box_grid(hu), torch.tensor(corners, dtype=torch.float32)

    @staticmethod
    def _frame(case: Prepared) -> Box:
        """Ends anywhere between the lungs' and the scan's."""
        shares = torch.rand(6).tolist()
        spans = [
            slice(int(at.start * a), n - int((n - at.stop) * b))
            for at, n, a, b in zip(case.box, case.shape, shares[:3], shares[3:], strict=True)
        ]
        return spans[0], spans[1], spans[2]


def on_box_grid(hu: Tensor) -> Tensor:
    """A scan, shape (1, z, y, x), as BB-net sees it, shape (1, 48, 48, 48)."""
    x = normalized(hu)[None]
    return interpolate(x, BOX_GRID, mode="trilinear", align_corners=False)[0]


class Patches(Dataset):
    """Parts of scans and their masks, shape (1, z, y, x).

    Parameters
    ----------
    cases : sequence of Prepared
    what : {"lungs", "sides", "lesions"}
        The mask: lungs as one, the right (1) and left one (2), or lesions.
    patch : (int, int, int)
        Voxels: z, y, x.
    whole : bool
        From the whole scan rather than from the lungs' box and somewhat around.
    augment : bool
        Take another part each time, mirrored, with other noise and contrast. Else its middle.
    """

    def __init__(
        self,
        cases: Sequence[Prepared],
        what: What,
        patch: Size,
        *,
        whole: bool = False,
        augment: bool = False,
    ) -> None:
        self.cases, self.what, self.patch = cases, what, patch
        self.whole, self.augment = whole, augment

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        case = self.cases[index]
        field = whole(case.shape)
        if not self.whole:
            field = widened(
                case.box, 0.12 * float(torch.rand(())) if self.augment else 0.06, case.shape
            )
        box = self._place(field, case.spots)
        hu = fill(
            normalized(case.part("hu", box)), self.patch, float(normalized(torch.tensor(AIR)))
        )
        mask = case.part("lesions" if self.what == "lesions" else "lungs", box)
        mask = fill(mask if self.what == "sides" else mask > 0, self.patch, 0).float()
        return self._varied(hu, mask) if self.augment else (hu, mask)

    def _place(self, field: Box, spots: NDArray[np.int64]) -> Box:
        """Where the part lies: anywhere, or so that it holds a voxel of a lesion."""
        seen = None
        if self.augment and self.what == "lesions" and len(spots) and torch.rand(()) < _AT_LESIONS:
            seen = spots[int(torch.randint(len(spots), ()))]
        spans = []
        for axis, (span, n) in enumerate(zip(field, self.patch, strict=True)):
            low, high = span.start, max(span.start, span.stop - n)
            if seen is not None:
                low, high = max(low, int(seen[axis]) - n + 1), min(high, int(seen[axis]))
            low = min(low, high)
            drawn = int(torch.randint(high - low + 1, ())) if self.augment else (high - low) // 2
            spans.append(slice(low + drawn, min(span.stop, low + drawn + n)))
        return spans[0], spans[1], spans[2]

    def _varied(self, hu: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        hu = hu * (0.9 + 0.2 * torch.rand(())) + 0.1 * (torch.rand(()) - 0.5)
        hu = hu + 0.06 * torch.rand(()) * torch.randn_like(hu)
        turned = [axis for axis in (1, 2, 3) if self.what == "lesions" and torch.rand(()) < 0.5]
        return hu.flip(turned), mask.flip(turned)


def fill(part: Tensor, patch: Size, value: float) -> Tensor:
    """A part, shape (1, z, y, x), in the middle of a patch at least as large."""
    edges: list[int] = []
    for n, wanted in zip(reversed(part.shape[1:]), reversed(patch), strict=True):
        lacking = max(0, wanted - n)
        edges += [lacking // 2, lacking - lacking // 2]
    return pad(part.float(), edges, value=value)
