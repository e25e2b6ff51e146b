"""Chest CTs as they come: read in HU with axes to the patient's left, back and head, and checked.

What makes a CT useless is a `DataError`; what makes its result doubtful is a warning that goes
with the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nextaim_kit.data.images import dicom
from nextaim_kit.data.images.headers import header_of, scan
from nextaim_kit.data.images.reading import read_image
from nextaim_kit.data.images.volumes import stored_size
from nextaim_kit.data.paths import split_choice
from nextaim_kit.errors import DataError, gathered_warnings
from nextaim_kit.machine.limits import memory_available
from nextaim_kit.memory.step_memory import GB

AIR, DENSE = -1024, 3071  # HU that 12 bits hold; below is padding, such as -3024
_FEWEST = 8  # slices: below, no height can be told
_SAMPLE = 64  # voxels along each axis that are looked at to judge a volume
_BYTES = 2  # of a voxel as it is kept; as much again while it is turned, or masks lie beside it
_BYTES_DICOM = 4  # of a voxel as a series is read, with slope and intercept applied
_RUNTIME = 1.0 * GB  # of torch, MONAI and the networks


@dataclass(frozen=True)
class Scan:
    """A chest CT that can be measured.

    Attributes
    ----------
    image : SimpleITK.Image
        HU, int16, within -1024 and 3071; axes to the patient's left, back and head (LPS).
    warnings : tuple of str
        What was found and mended, or may be wrong.
    """

    image: sitk.Image
    warnings: tuple[str, ...] = ()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel's edges in mm: x, y, z."""
        return self.image.GetSpacing()


def read_ct(path: str | Path) -> Scan:
    """Read a CT of the chest.

    Parameters
    ----------
    path : str or Path
        A NIfTI, NRRD or MetaImage file, or a folder with a DICOM series; see `data.images`.

    Returns
    -------
    Scan

    Raises
    ------
    DataError
        If the file is damaged or a series not regular (`data.images.read_image`), if the header
        says that it is no CT, if it has too few slices, if its values are no HU, or if there is
        not the memory for it.
    """
    place, series = split_choice(path)
    _check_header(place, series)
    with gathered_warnings() as warnings:
        image = read_image(path)
    name = dicom.named(place)
    _check_shape(image, name)
    image, padded = _whole_numbers(image, name)
    warnings += padded
    image = _turned(image)
    _check_hu(image, name)
    return Scan(image, tuple(warnings))


def _check_header(place: Path, series: str) -> None:
    """Refuse by the header, before voxels are read, what is no CT or too large."""
    if not place.exists():
        return  # what is missing or damaged is named where it is read
    if place.is_dir() or dicom.is_dicom(place):
        _check_dicom(place, series)
    elif place.is_file():
        voxels, kind = stored_size(place)
        _check_room(voxels, kind.itemsize, dicom.named(place), floating=kind.kind == "f")


def _check_dicom(place: Path, series: str) -> None:
    files = scan(place)[0] if place.is_dir() else [header_of(place)]
    images = [item for item in files if item.is_image and item.series.endswith(series)]
    kinds = sorted({item.modality for item in images} - {"CT", ""})
    if kinds and not any(item.modality == "CT" for item in images):
        raise DataError(
            f"{dicom.named(place)} is no CT",
            expected="modality CT",
            found=f"modality {', '.join(kinds)}",
            mend="take it out of the folder, or give the folder of the CT series",
        )
    voxels = sum(item.frames * item.grid[0] * item.grid[1] for item in images)
    _check_room(voxels, _BYTES_DICOM, dicom.named(place))


def _check_room(voxels: float, stored: int, name: str, *, floating: bool = False) -> None:
    """Refuse what needs more than there is: the file as read, and the CT while it is turned.

    Of floating numbers there are three copies while those that are none are filled in.
    """
    kept = 3 * stored if floating else stored
    need, there = (kept + 2 * _BYTES) * voxels + _RUNTIME, memory_available()
    if need > there:
        raise DataError(
            f"{name} is too large for this machine",
            expected=f"{need / GB:.1f} GB of free memory for {voxels / 1e6:.0f} million voxels",
            found=f"{there / GB:.1f} GB",
            mend="take a larger server, or resample the CT to thicker slices first",
        )


def _check_shape(image: sitk.Image, name: str) -> None:
    size = image.GetSize()
    if len(size) != 3 or min(size) < _FEWEST:
        raise DataError(
            f"{name} is no volume of a chest",
            expected=f"{_FEWEST} or more voxels along each axis",
            found=" x ".join(map(str, size)),
            mend="export the whole series; a scout or a few slices cannot be measured",
        )


def _whole_numbers(image: sitk.Image, name: str) -> tuple[sitk.Image, list[str]]:
    """The image as int16 between `AIR` and `DENSE`, and what had to be mended for that."""
    warnings = []
    if image.GetPixelID() in (sitk.sitkFloat32, sitk.sitkFloat64):
        voxels = sitk.GetArrayViewFromImage(image)
        unknown = sum(int(np.isnan(plane).sum()) for plane in voxels)
        if unknown:
            share = 100 * unknown / voxels.size
            warnings.append(f"{share:.2g} % of the voxels have no value (NaN): taken as air")
            filled = sitk.GetImageFromArray(np.nan_to_num(voxels, nan=AIR))
            filled.CopyInformation(image)
            image = filled
    voxels = sitk.GetArrayViewFromImage(image)
    low, high = voxels.min(), voxels.max()
    if low >= high:
        raise DataError(f"{name} holds one value only, {low:g}", expected="a CT in HU")
    if low < AIR - 100:
        warnings.append(f"voxels of {low:g} HU, as scanners pad with: taken as air")
    if image.GetPixelID() == sitk.sitkInt16 and low >= AIR and high <= DENSE:
        return image, warnings
    return sitk.Clamp(image, sitk.sitkInt16, AIR, DENSE), warnings


def _turned(image: sitk.Image) -> sitk.Image:
    """The image with axes to the patient's left, back and head; itself if they are so."""
    now = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    return image if now == "LPS" else sitk.DICOMOrient(image, "LPS")


def _check_hu(image: sitk.Image, name: str) -> None:
    """Refuse values of which none are those of air, or none those of a body."""
    seen = sample(image)
    air, body = float((seen < -700).mean()), float(((seen > -200) & (seen < 300)).mean())
    if air < 0.01 or body < 0.05:
        lacking = "air (below -700 HU)" if air < 0.01 else "soft tissue (-200 to 300 HU)"
        low, middle, high = np.percentile(seen, [1, 50, 99])
        raise DataError(
            f"{name} is not in HU, or holds no chest",
            expected="air and soft tissue",
            found=f"hardly any {lacking}; 1st, 50th and 99th percentile are {low:.0f}, "
            f"{middle:.0f} and {high:.0f}",
            mend="export it with rescale slope and intercept; 8-bit pictures cannot be measured",
        )


def sample(image: sitk.Image) -> NDArray[np.int16]:
    """Some voxels, evenly taken, shape (z, y, x)."""
    voxels = sitk.GetArrayViewFromImage(image)
    return voxels[tuple(slice(None, None, max(1, n // _SAMPLE)) for n in voxels.shape)]


def save_mask(mask: NDArray[np.uint8], like: sitk.Image, path: Path) -> None:
    """Write labels, shape (z, y, x), as NIfTI on the grid of an image, whole or not at all.

    A slice at a time: SimpleITK would hold a copy.
    """
    import nibabel

    from nextaim_kit.files import atomic_path

    affine = np.eye(4)
    affine[:3, :3] = np.reshape(like.GetDirection(), (3, 3)) * like.GetSpacing()
    affine[:3, 3] = like.GetOrigin()
    image = nibabel.Nifti1Image(mask.T, np.diag([-1, -1, 1, 1]) @ affine)  # from LPS to RAS
    for place in (image.set_qform, image.set_sform):
        place(image.affine, "scanner")
    image.header.set_xyzt_units("mm")
    with atomic_path(path) as unfinished:
        image.to_filename(unfinished)
