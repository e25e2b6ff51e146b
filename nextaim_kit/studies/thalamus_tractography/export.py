"""A plan in files for other programs, each read back and compared with what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from nextaim_kit.data.images.dicom import is_dicom
from nextaim_kit.data.images.reading import read_image, read_mask
from nextaim_kit.errors import DataError
from nextaim_kit.files import atomic_path, write_json
from nextaim_kit.machine.kit import kit_version
from nextaim_kit.studies.thalamus_tractography import dicom_export
from nextaim_kit.studies.thalamus_tractography.definitions import TARGETS
from nextaim_kit.studies.thalamus_tractography.planning import Plan
from nextaim_kit.studies.thalamus_tractography.series import read_channels
from nextaim_kit.studies.thalamus_tractography.space import apply

STREAMLINES = ("trk", "trx")


def export(
    plan: Plan, t1: str | Path, lines: Mapping[str, Sequence[NDArray]], folder: Path, *,
    synthetic: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Write a plan, and read it back.

    Parameters
    ----------
    plan : Plan
    t1 : str or Path
        The T1 it was made for: NIfTI, or the folder of a DICOM series, which is then written upon.
    lines : mapping of str to sequence of arrays of shape (k, 3)
        Streamlines by target, in mm of the diffusion series.
    folder : Path
        Of ``maps.nii.gz``, ``target.json``, ``maps_seg.dcm``, ``t1/`` (from NIfTI),
        ``t1_target/``, ``streamlines.trk`` and ``streamlines.trx``.
    synthetic : bool

    Returns
    -------
    DataFrame
        ``file``, ``what`` was compared, the ``largest`` difference and its ``unit``.
    """
    series = _series(plan, Path(t1), folder / "t1", synthetic)
    rows = [_nifti(plan, folder / "maps.nii.gz"), _sheet(plan, folder / "target.json", synthetic)]
    rows += [*_seg(plan, series, folder / "maps_seg.dcm")]
    rows += [_marked(plan, series, folder / "t1_target")]
    back = np.linalg.inv(plan.head.t1_to_dwi)
    moved = {n: [apply(back, one) for one in some] for n, some in lines.items()}
    if any(moved.values()):
        rows += [_streamlines(plan, moved, folder / f"streamlines.{end}") for end in STREAMLINES]
    return pd.DataFrame(rows, columns=["file", "what", "largest", "unit"])


Row = tuple[str, str, float, str]


def _series(plan: Plan, t1: Path, folder: Path, synthetic: bool) -> Path:
    """Folder of the DICOM series that is written upon."""
    if t1.is_dir() or is_dicom(t1):
        return t1 if t1.is_dir() else t1.parent
    head = plan.head
    dicom_export.write_series(head.t1, head.t1_affine, folder, head.subject, synthetic=synthetic)
    return folder


def _nifti(plan: Plan, path: Path) -> Row:
    import nibabel

    shape, affine = plan.head.t1.shape, plan.head.t1_affine
    maps = plan.on(shape, affine)
    values = np.stack([maps[name] for name in TARGETS], -1)
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = dicom_export.NOT_CLINICAL.lower()
    with atomic_path(path) as unfinished:
        nibabel.save(image, unfinished)
    back, place = read_channels(path)
    if not np.allclose(place, affine, atol=1e-3):
        raise _changed(path, "lies elsewhere")
    return path.name, "six maps on T1's grid", float(np.abs(back - values).max()), "share"


def _sheet(plan: Plan, path: Path, synthetic: bool) -> Row:
    target, frame = plan.target, plan.head.frame
    told = {
        "subject": plan.head.subject, "side": plan.side, "synthetic": synthetic,
        "not_for_clinical_use": True,
        "scanner_ras_mm": target.center.tolist(),
        "dicom_lps_mm": (target.center * [-1, -1, 1]).tolist(),
        "acpc_mm": plan.coordinates.tolist(), "ac_pc_length_mm": frame.length,
        "half_axes_95_mm": target.half_axes.tolist(),
        "covariance_mm2": (target.scale**2 * target.covariance).tolist(),
        "thalamus_ml": plan.volume, "likeness_of_t1_and_diffusion": plan.head.alike,
    }  # fmt: skip
    write_json(path, told)
    back = json.loads(path.read_text(encoding="utf-8"))
    off = np.abs(np.array(back["scanner_ras_mm"]) - target.center).max()
    return path.name, "target", float(off), "mm"


def _seg(plan: Plan, series: Path, path: Path) -> list[Row]:
    slices = dicom_export.read_slices(series)
    shape, affine = dicom_export.place_of(slices)
    maps = plan.on(shape, affine)
    dicom_export.write_seg(slices, maps, path, made_by=f"nextaim_kit {kit_version()}")
    found, place = dicom_export.read_fractions(path)
    if set(found) != set(maps) or not np.allclose(place, affine, atol=1e-3):
        raise _changed(path, "has other segments, or lies elsewhere")
    off = max(float(np.abs(found[name] - maps[name]).max()) for name in maps)
    mask = sitk.GetArrayFromImage(read_mask(path, like=read_image(series), roi="thalamus")).T
    sure = np.abs(maps["thalamus"] - 0.5) > 1 / 255  # what one step of a fraction does not change
    other = (mask > 0) != (maps["thalamus"] >= 0.5)
    wrong = float((other & sure).sum())
    return [
        (path.name, "seven fractional segments", off, "share"),
        (path.name, "thalamus, read as a mask", wrong, "voxels"),
    ]


def _marked(plan: Plan, series: Path, folder: Path) -> Row:
    """T1 with the region of the target drawn; read back, the outline's middle is the target."""
    slices, target = dicom_export.read_slices(series), plan.target
    x, y, z = plan.coordinates
    told = (f"Region of 95 % of a {plan.side} target by predicted connectivity, AC-PC "
            f"{x:.1f} {y:.1f} {z:.1f} mm. {dicom_export.NOT_CLINICAL}")  # fmt: skip
    dicom_export.write_marked(slices, target.distance, folder, told=told)
    back = dicom_export.read_slices(folder)
    shape, affine = dicom_export.place_of(back)
    inside = dicom_export.region_in(target.distance, shape, affine)
    drawn = np.stack([one.pixel_array for one in back], -1).swapaxes(0, 1)
    top = drawn.max()
    rim = inside & ~binary_erosion(inside, dicom_export.NEXT[..., None])
    if any(one.BurnedInAnnotation != "YES" or one.ImageType[0] != "DERIVED" for one in back):
        raise _changed(folder, "does not say that it was drawn upon")
    return folder.name, "outline of the target", float((drawn[rim] != top).sum()), "pixels"


def marked_slices(folder: Path, plan: Plan) -> dict[str, NDArray]:
    """Pictures of a written series around the target, by the slices' names."""
    slices = dicom_export.read_slices(folder)
    shape, affine = dicom_export.place_of(slices)
    at = np.linalg.solve(affine, np.append(plan.target.center, 1))[2]
    near = {int(np.clip(round(at) + k, 0, shape[2] - 1)) for k in (-1, 0, 1)}
    return {f"slice {k + 1}": slices[k].pixel_array for k in sorted(near)}


def _streamlines(plan: Plan, lines: Mapping[str, Sequence[NDArray]], path: Path) -> Row:
    """Of all targets in one file, in mm of T1; which target is a number of each streamline."""
    from dipy.io.stateful_tractogram import Space, StatefulTractogram
    from dipy.io.streamline import load_tractogram, save_tractogram
    from nibabel import Nifti1Image

    every = [np.asarray(one, np.float32) for some in lines.values() for one in some]
    which = [[k] for k, some in enumerate(lines.values()) for _ in some]
    image = Nifti1Image(np.zeros(plan.head.t1.shape, np.uint8), plan.head.t1_affine)
    told = {"target": np.array(which, np.float32)}
    held = StatefulTractogram(every, image, Space.RASMM, data_per_streamline=told)
    held.remove_invalid_streamlines()  # those that leave the T1, which viewers refuse
    with atomic_path(path) as unfinished:
        save_tractogram(held, str(unfinished))
    back = load_tractogram(str(path), image)
    if len(back.streamlines) != len(held.streamlines):
        raise _changed(path, "has another number of streamlines")
    off = max(float(np.abs(a - b).max())
              for a, b in zip(held.streamlines, back.streamlines, strict=True))  # fmt: skip
    return path.name, f"{len(held.streamlines)} streamlines", off, "mm"


def _changed(path: Path, found: str) -> DataError:
    return DataError(
        f"{path.name} is not what was written",
        expected="the same when it is read back",
        found=f"a file that {found}",
        mend="write to another disk, and tell the developers",
    )
