"""Volumes and masks from NIfTI, NRRD, MetaImage and DICOM, refused when they are not whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nextaim_kit.data.images import dicom, regions, series
from nextaim_kit.data.images.headers import modality
from nextaim_kit.data.images.rtstruct import Reading, read_rtstruct
from nextaim_kit.data.images.seg import read_seg
from nextaim_kit.data.images.volumes import read_volume
from nextaim_kit.data.paths import split_choice
from nextaim_kit.errors import DataError

# Damage is reported as a DataError; ITK's own warnings would only clutter a notebook.
sitk.ProcessObject.SetGlobalWarningDisplay(False)


def read_image(path: str | Path) -> sitk.Image:
    """Read one volume.

    Parameters
    ----------
    path : str or Path
        A NIfTI, NRRD or MetaImage file, one DICOM file, or a folder that holds one DICOM series.
        Of a folder with several series, ``folder#1234`` takes the one whose UID ends in 1234.

    Returns
    -------
    SimpleITK.Image
        Scalar volume; spacing and origin in mm, axes x, y, z in the patient system (LPS).
        CT in HU: each DICOM slice and frame by its own slope and intercept. Warnings name what
        may be doubtful about the values, and files of a folder that were left aside.

    Raises
    ------
    DataError
        If the file is missing, truncated or corrupt, has more than three axes or is in color, if
        it does not say what its numbers mean, or if the series is incomplete, unevenly spaced or
        not alone.
    """
    place, wanted = split_choice(path)
    if place.is_dir():
        image = series.read_series(place, wanted)
    elif not place.is_file():
        raise _missing(place)
    elif dicom.is_dicom(place):
        image = series.read_single(place)
    else:
        image = read_volume(place)
    return _scalar_volume(image, place)


def read_mask(
    path: str | Path,
    like: sitk.Image | None = None,
    label: int | None = None,
    roi: str = "",
    contours: Reading = "holes",
    channel: int | None = None,
) -> sitk.Image:
    """Read one region of interest as a binary mask.

    Parameters
    ----------
    path : str or Path
        A label image in any format of `read_image`, a DICOM RTSTRUCT or a DICOM SEG.
    like : SimpleITK.Image, optional
        The image the mask belongs to. RTSTRUCT and SEG are drawn onto its grid and need it.
    label : int, optional
        Label value of a label image; ROI number of an RTSTRUCT; segment number of a SEG.
    roi : str, optional
        Name of the ROI or segment; label images have no names and do not look at it.
    contours : {"holes", "xor", "union"}, optional
        What several contours of one slice of an RTSTRUCT mean; see `rtstruct.read_rtstruct`.
    channel : int, optional
        Which of a label image's values per voxel counts, from 0, where it has several.

    Returns
    -------
    SimpleITK.Image
        uint8, 0 outside and 1 inside; at least one voxel is 1.

    Raises
    ------
    DataError
        If the mask is missing, corrupt or empty, or if it holds several regions and none, or one
        that is not there, was chosen.
    """
    place, _ = split_choice(path)
    if not place.exists():
        raise _missing(place)
    if is_drawn(place):
        if modality(place) == "SEG":
            return read_seg(place, like, label, roi)
        return read_rtstruct(place, like, label, roi, contours)
    if channel is not None and place.is_file() and not dicom.is_dicom(place):
        return _binary(of_channel(read_volume(place), channel), label, place)
    return _binary(read_image(path), label, place)


def of_channel(mask: sitk.Image, channel: int) -> sitk.Image:
    """One channel of a mask; the mask itself where it has only one.

    Raises
    ------
    DataError
        If there are fewer channels.
    """
    count = mask.GetNumberOfComponentsPerPixel()
    if count == 1:
        return mask
    if channel >= count:
        raise DataError(
            f"the mask has no channel {channel}",
            expected=f"a channel from 0 to {count - 1}",
            mend="change label_channel",
        )
    return sitk.VectorIndexSelectionCast(mask, channel)


def is_drawn(path: str | Path) -> bool:
    """Whether a file is an RTSTRUCT or SEG, which is drawn onto the grid of its image."""
    place, _ = split_choice(path)
    return place.is_file() and dicom.is_dicom(place) and modality(place) in dicom.MASKS


def check_geometry(
    image: sitk.Image, mask: sitk.Image, *, subject: str = "", tolerance: float = 1e-4
) -> None:
    """Make sure that a mask lies on the very grid of its image.

    Parameters
    ----------
    image, mask : SimpleITK.Image
        Volumes to compare.
    subject : str, optional
        Named in the error.
    tolerance : float, optional
        Largest difference of spacing and origin in mm, and of the direction cosines.

    Raises
    ------
    DataError
        Naming the first of size, spacing, direction and origin that differs, and by how much.
    """
    for name, unit, allowed in (
        ("size", " voxels", 0.0),
        ("spacing", " mm", tolerance),
        ("direction", "", tolerance),
        ("origin", " mm", tolerance),
    ):
        wanted, found = (np.array(getattr(x, f"Get{name.title()}")()) for x in (image, mask))
        if wanted.shape == found.shape and np.abs(wanted - found).max() <= allowed:
            continue
        gap = (
            f", up to {np.abs(wanted - found).max():g}{unit} apart"
            if (wanted.shape == found.shape)
            else ""
        )
        raise DataError(
            f"mask and image differ in {name}{gap}" + (f" (subject {subject})" if subject else ""),
            expected=f"the image's {name} {_numbers(wanted)}",
            found=f"the mask's {name} {_numbers(found)}",
            mend="check that the mask was drawn on this image; if it was, resample it onto it: "
            "SimpleITK.Resample(mask, image, SimpleITK.Transform(), "
            "SimpleITK.sitkNearestNeighbor)",
        )


def _numbers(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:.7g}" for value in values) + ")"


def _missing(path: Path) -> DataError:
    return DataError(
        f"{dicom.named(path)} is missing",
        expected="a file or a folder with a DICOM series",
        mend="check the path; a relative path counts from the folder of its cohort.csv",
    )


def _scalar_volume(image: sitk.Image, path: Path) -> sitk.Image:
    if image.GetDimension() > 3:
        raise DataError(
            f"{dicom.named(path)} has {image.GetDimension()} axes",
            expected="one volume with three axes",
            found=f"size {image.GetSize()}, a time series or several channels",
            mend="save the volume you mean as a file of its own",
        )
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise DataError(
            f"{dicom.named(path)} has {image.GetNumberOfComponentsPerPixel()} values per voxel",
            expected="one value per voxel",
            found="a color or vector image",
            mend="save the channel you mean as a file of its own",
        )
    return image


def _binary(labels: sitk.Image, label: int | None, path: Path) -> sitk.Image:
    array = sitk.GetArrayViewFromImage(labels)
    there = np.unique(array[array != 0])
    if not np.array_equal(there, np.round(there)):  # NaN never equals itself, so it ends here too
        raise DataError(
            f"{dicom.named(path)} is not a label image",
            expected="whole numbers, 0 for the background",
            found=f"values such as {there[there != np.round(there)][0]:g}",
            mend="threshold it into a mask, or check whether image and mask are swapped",
        )
    if there.size == 0:
        raise regions.empty(path)
    names = {int(value): "" for value in there}
    chosen = regions.choose(names, label, "", path, kind="label")
    if labels.GetPixelID() == sitk.sitkUInt8 and there.tolist() == [chosen] == [1]:
        return labels  # is one already
    return sitk.Equal(labels, float(chosen))
