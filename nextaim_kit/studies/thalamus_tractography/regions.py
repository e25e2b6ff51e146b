"""From where to where streamlines are counted: a thalamus, and targets in the cortex."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.definitions import RIGHT, TARGETS, SideName
from nextaim_kit.studies.thalamus_tractography.series import read_on_grid
from nextaim_kit.studies.thalamus_tractography.space import grid
from nextaim_kit.studies.thalamus_tractography.tracking import Regions
from nextaim_kit.studies.thalamus_tractography.truth import read_truth

# Of TractSeg's bundles between thalamus and cortex, the target they end in.
ENDINGS = {"precentral": "T_PREC", "postcentral": "T_POSTC", "prefrontal": "T_PREF",
           "premotor": "T_PREM", "parietal": "T_PAR", "occipital": "T_OCC"}  # fmt: skip


def regions_of(
    row: Mapping[str, Any], side: SideName, affine: NDArray, shape: tuple[int, ...]
) -> tuple[Regions, list[str]]:
    """Seed and targets of one side, on the diffusion's grid, and what is to be said of them.

    Of a synthetic subject they are true: what a segmentation gets wrong is not part of the
    tracking. Others need a mask of the thalamus and a folder of targets, ``endings``: TractSeg's,
    of which that end is taken that lies farther from the thalamus, or masks by the targets' names
    (``precentral_left.nii.gz``).

    Raises
    ------
    DataError
        If they are not there, or lie elsewhere.
    """
    if row.get("truth"):
        truth = read_truth(row["truth"])
        right = side == "right"
        targets = {name: truth.parcels == k + 1 + RIGHT * right for k, name in enumerate(TARGETS)}
        return Regions(truth.thalamus == 1 + right, targets), []
    require_known(row, side)
    seed = read_on_grid(row[f"thalamus_{side}"], affine, shape, "the diffusion") > 0.5
    return _with_endings(Path(row["endings"]), seed, side, affine)


def require_known(row: Mapping[str, Any], side: SideName) -> None:
    """Refuse a subject of whom it is not known from where to where to track.

    Raises
    ------
    DataError
    """
    mask = row.get(f"thalamus_{side}")
    if not row.get("truth") and not (mask and row.get("endings")):
        absent = [f"mask of the {side} thalamus"] * (not mask)
        absent += ["folder of targets (endings_segmentations)"] * (not row.get("endings"))
        raise DataError(
            f"of {row['subject']} it is not known from where to where to track",
            expected="a mask of the thalamus, and masks of the cortical targets, on the "
            "diffusion's grid",
            found=f"no {' and no '.join(absent)}",
            mend=f"put thalamus_{side}.nii.gz and endings_segmentations/ beside peaks.nii.gz, or "
            f"name them in a cohort.csv: thalamus_{side}, endings",
        )


def _with_endings(
    folder: Path, seed: NDArray[np.bool_], side: SideName, affine: NDArray
) -> tuple[Regions, list[str]]:
    targets, said = {}, []
    for name in dict.fromkeys((*ENDINGS, *TARGETS)):
        stem = f"{ENDINGS.get(name)}_{side}"
        files = [folder / f"{end}.nii.gz" for end in (f"{stem}_b", f"{stem}_e", f"{name}_{side}")]
        masks = [read_on_grid(file, affine, seed.shape, "the diffusion") > 0.5
                 for file in files if file.is_file()]  # fmt: skip
        if not masks:
            said.append(f"no target {name}: left out")
            continue
        cortical = min(masks, key=lambda mask: int((mask & seed).sum()))
        inside = int((cortical & seed).sum())
        if inside:
            said.append(f"{name}: {inside} of {cortical.sum()} voxels of the target lie in the "
                        "thalamus, and are taken out of it")  # fmt: skip
        targets[name] = cortical & ~seed
    if not targets:
        raise DataError(
            f"{folder.name} holds no targets",
            expected=f"T_PREC_{side}_b.nii.gz and the like, or precentral_{side}.nii.gz",
            mend="give TractSeg's endings_segmentations, or masks by the targets' names",
        )
    return Regions(seed, targets), said


def require_whole(seed: NDArray[np.bool_], side: SideName) -> None:
    """Refuse a thalamus that reaches the border of the image.

    Raises
    ------
    DataError
    """
    faces = [np.take(seed, end, axis) for axis in range(3) for end in (0, -1)]
    cut = sum(int(face.sum()) for face in faces)
    if cut:
        raise DataError(
            f"the {side} thalamus is cut off by the border of the image",
            expected="the whole of it, and the hemisphere around it",
            found=f"{cut} of its {seed.sum()} voxels on the border",
            mend="give a series of the whole head, or the other side",
        )


def beyond_midline(seed: NDArray[np.bool_], affine: NDArray, margin: float = 4.0) -> NDArray:
    """What lies across the midline (x = 0 mm) from a seed, and `margin` mm beyond it."""
    x = grid(seed.shape, affine)[..., 0]
    return (x > margin) if x[seed].mean() < 0 else (x < -margin)
