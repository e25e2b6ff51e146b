"""What a viewer shows: a volume and its masks, turned to the patient's axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes, binary_opening, label

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.show.planes import AXES, Name, Plane, cut
from nextaim_kit.show.style import MOST_LOOKS, looks

_BODY_HU, _BODY_MM = -500, 4.0  # denser is body or table; voxels in which a table is thin

Source = str | Path | sitk.Image | tuple[NDArray, Any]
Mask = str | Path | sitk.Image | NDArray


@dataclass(frozen=True)
class Scene:
    """A volume whose axes run to the patient's head, back and left, with masks on its voxels.

    Attributes
    ----------
    pixels : array of shape (z, y, x)
    masks : dict of str to array of bool
        Of the same shape.
    spacing, origin : (x, y, z)
        In mm; the origin in the patient's system (LPS).
    title, unit : str
    note : str
        What a viewer has to say of it: that it is shown coarser than it is, or oblique.
    """

    pixels: NDArray
    masks: dict[str, NDArray[np.bool_]]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    title: str = ""
    unit: str = "HU"
    note: str = ""

    def plane(self, name: Name, index: int) -> Plane:
        """The plane with this index along its axis."""
        return cut(self.pixels, self.masks, self.spacing, name, index)

    def count(self, name: Name) -> int:
        """Number of planes."""
        return self.pixels.shape[AXES[name]]

    def fullest(self, name: Name) -> int:
        """The plane where most is marked, masks weighing alike; the middle one without any."""
        others = tuple(k for k in range(3) if k != AXES[name])
        areas = np.zeros(self.count(name))
        for mask in self.masks.values():
            areas += mask.sum(axis=others) / max(1, mask.sum())
        most = np.flatnonzero(np.isclose(areas, areas.max()))  # alike without any mask
        return int(most[len(most) // 2])

    def milliliters(self) -> dict[str, float]:
        """Volume of each mask."""
        voxel = float(np.prod(self.spacing)) / 1000
        return {name: int(mask.sum()) * voxel for name, mask in self.masks.items()}

    def marks(self) -> dict[str, NDArray[np.bool_]]:
        """Masks as a viewer in 3-D paints them: what is filled whole, of the others the rim around.

        What is filled lies bare: two colors would blend to a third.
        """
        drawn = looks(self.masks)
        filled = [self.masks[name] for name, look in drawn.items() if look.filled]
        bare = ~np.any(filled, axis=0) if filled else True
        return {
            name: mask if drawn[name].filled else binary_dilation(mask) & ~mask & bare
            for name, mask in self.masks.items()
        }

    def without_air(self) -> Scene:
        """A CT's body alone, air and table as low as can be: what a view in 3-D would be hidden by.

        The body is the largest part denser than -500 HU, with the lungs; of another unit than HU,
        nothing is cut.
        """
        if self.unit != "HU":
            return self
        step = [max(1, round(_BODY_MM / edge)) for edge in self.spacing[::-1]]
        dense = self.pixels[tuple(slice(None, None, n) for n in step)] > _BODY_HU
        labels, _ = label(binary_opening(dense))
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        body = np.stack([binary_fill_holes(plane) for plane in labels == sizes.argmax()])
        if not sizes.any():
            return self
        for axis, n in enumerate(step):
            body = np.repeat(body, n, axis).take(range(self.pixels.shape[axis]), axis)
        pixels = small(self.pixels)
        return replace(self, pixels=np.where(body, pixels, pixels.dtype.type(-(2**15))))

    def within(self, budget: int) -> Scene:
        """As fine as `budget` bytes allow: blocks of voxels become one, the finest axis first."""
        size, spacing = list(self.pixels.shape[::-1]), np.array(self.spacing)
        each = _sent(self.pixels).itemsize + len(self.masks)
        factors = [1, 1, 1]
        while np.prod([-(-n // f) for n, f in zip(size, factors, strict=True)]) * each > budget:
            open_axes = [k for k in range(3) if factors[k] < size[k]]
            factors[min(open_axes, key=lambda k: spacing[k] * factors[k])] += 1
        if factors == [1, 1, 1]:
            return self
        coarse = spacing * factors
        note = f"shown in voxels of {mm(coarse.tolist())}; the scan has {mm(self.spacing)}"
        return replace(
            self,
            pixels=_blocks(self.pixels, factors),
            masks={name: _blocks(mask, factors) for name, mask in self.masks.items()},
            spacing=tuple(coarse.tolist()),
            origin=tuple((np.array(self.origin) + (coarse - spacing) / 2).tolist()),
            note="; ".join(filter(None, [self.note, note])),
        )


def small(pixels: NDArray) -> NDArray:
    """As int16 where that loses nothing, else float32: every viewer knows both."""
    return pixels.astype(_sent(pixels))


def _sent(pixels: NDArray) -> np.dtype:
    short = pixels.dtype.kind in "iu" and pixels.min() >= -(2**15) and pixels.max() < 2**15
    return np.dtype(np.int16 if short else np.float32)


def mm(spacing: Sequence[float]) -> str:
    """Edges of a voxel as a person would write them."""
    return " x ".join(f"{edge:.3g}" for edge in spacing) + " mm"


def _blocks(values: NDArray, factors: Sequence[int]) -> NDArray:
    """Means of blocks of x, y, z voxels; of a mask, where at least half a block is marked."""
    fx, fy, fz = factors
    # A slab at a time: a whole CT as float would be gigabytes.
    slabs = range(0, len(values), fz)
    means = np.stack(
        [
            _means(_means(values[z : z + fz].mean(axis=0, dtype=np.float32), fy).T, fx).T
            for z in slabs
        ]
    )
    if values.dtype == np.bool_:
        return means >= 0.5
    return (np.rint(means) if values.dtype.kind in "iu" else means).astype(values.dtype)


def _means(rows: NDArray, factor: int) -> NDArray:
    starts = np.arange(0, len(rows), factor)
    counts = np.diff([*starts, len(rows)])
    return np.add.reduceat(rows, starts, axis=0) / counts[:, None]


def read_scene(
    image: Source,
    masks: Mapping[str, Mask] | Mask | None = None,
    *,
    title: str = "",
    unit: str = "HU",
) -> Scene:
    """Read a volume and its masks, and turn them to the patient's axes.

    Parameters
    ----------
    image : path, SimpleITK.Image, (array, spacing) or (array, affine)
        A file or DICOM folder of `data.images.read_image`. An array with a spacing is (z, y, x)
        in LPS, its spacing (x, y, z) in mm; one with an affine of 4 by 4 is as nibabel gives it:
        (i, j, k), to the patient's right, front and head (RAS) in mm.
    masks : mask or mapping of str to mask, optional
        Paths, SimpleITK images or arrays in the order of the image's; all but 0 is inside.
    title, unit : str

    Raises
    ------
    RequestError
        If there are more masks than can be told apart.
    DataError
        If something cannot be read, is no volume, or image and masks do not lie on one grid.
    """
    named = _named(masks)
    volume, order = _volume(image)
    subject = title or "this volume"
    if volume.GetDimension() != 3 or volume.GetNumberOfComponentsPerPixel() != 1:
        raise DataError(
            f"{subject} is no volume",
            expected="three axes and one value per voxel",
            found=f"size {volume.GetSize()}, {volume.GetNumberOfComponentsPerPixel()} per voxel",
        )
    turned = {
        name: sitk.GetArrayFromImage(
            sitk.DICOMOrient(_region(mask, volume, order, f"{subject}, {name}"), "LPS")
        ).astype(bool)
        for name, mask in named.items()
    }
    note = _oblique(volume)
    volume = sitk.DICOMOrient(volume, "LPS")
    pixels = _finite(sitk.GetArrayFromImage(volume), subject)
    return Scene(pixels, turned, volume.GetSpacing(), volume.GetOrigin(), title, unit, note)


def _named(masks: Mapping[str, Mask] | Mask | None) -> dict[str, Mask]:
    if masks is None:
        return {}
    named = dict(masks) if isinstance(masks, Mapping) else {"mask": masks}
    if len(named) > MOST_LOOKS:
        raise RequestError(
            f"{len(named)} masks at once cannot be told apart", expected=f"up to {MOST_LOOKS}"
        )
    return named


def _volume(image: Source) -> tuple[sitk.Image, tuple[int, ...]]:
    """The image, and how the axes of arrays that belong to it are brought to (z, y, x)."""
    from nextaim_kit.data.images.reading import read_image

    if isinstance(image, sitk.Image):
        return image, (0, 1, 2)
    if not isinstance(image, tuple):
        return read_image(image), (0, 1, 2)
    array, place = np.asarray(image[0]), np.asarray(image[1], float)
    if array.ndim != 3 or place.shape not in {(3,), (4, 4)} or not np.isfinite(place).all():
        raise DataError(
            "this array is no volume with a place",
            expected="(array, spacing) or (array, affine): three axes; 3 numbers, or 4 by 4",
            found=f"an array of shape {array.shape} with {place.shape}",
        )
    if place.shape == (3,):
        if not (place > 0).all():
            raise DataError(
                "this spacing is none", expected="mm above 0", found=str(place.tolist())
            )
        volume = _as_image(array)
        volume.SetSpacing(place.tolist())
        return volume, (0, 1, 2)
    columns = np.diag([-1.0, -1, 1]) @ place[:3]  # RAS to LPS
    spacing = np.linalg.norm(columns[:, :3], axis=0)
    if not abs(np.linalg.det(columns[:, :3])) > 1e-9:
        raise DataError("this affine is no place in space", found=str(place.tolist()))
    volume = _as_image(array.transpose(2, 1, 0))
    volume.SetSpacing(spacing.tolist())
    volume.SetDirection((columns[:, :3] / spacing).ravel().tolist())
    volume.SetOrigin(columns[:, 3].tolist())
    return volume, (2, 1, 0)


def _as_image(array: NDArray) -> sitk.Image:
    kinds = {"b": np.uint8, "f": array.dtype if array.dtype != np.float16 else np.float32}
    return sitk.GetImageFromArray(array.astype(kinds.get(array.dtype.kind, array.dtype)))


def _region(mask: Mask, like: sitk.Image, order: tuple[int, ...], what: str) -> sitk.Image:
    """A mask as an image of 0 and 1 on the grid of `like`."""
    from nextaim_kit.data.images.reading import check_geometry, is_drawn, read_image, read_mask

    if isinstance(mask, str | Path):
        labels = read_mask(mask, like=like) if is_drawn(mask) else read_image(mask)
    elif isinstance(mask, sitk.Image):
        labels = mask
    else:
        array = np.asarray(mask)
        labels = _as_image(array.transpose(order) if array.ndim == 3 else array)
        if labels.GetSize() == like.GetSize():
            labels.CopyInformation(like)
    check_geometry(like, labels, subject=what, tolerance=1e-3)
    values = sitk.GetArrayViewFromImage(labels)
    if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
        raise DataError(
            f"{what} is no mask",
            expected="whole numbers, 0 outside",
            found=f"values from {values.min():g} to {values.max():g}",
            mend="threshold it, as in probability > 0.5",
        )
    return sitk.NotEqual(labels, 0)


def _oblique(image: sitk.Image) -> str:
    cosines = np.abs(np.array(image.GetDirection()).reshape(3, 3)).max(axis=0)
    angle = float(np.degrees(np.arccos(np.clip(cosines.min(), 0, 1))))
    return f"planes are the scanner's, {angle:.0f}° off the patient's" if angle >= 1 else ""


def _finite(pixels: NDArray, subject: str) -> NDArray:
    if pixels.dtype.kind != "f":
        return pixels
    known = np.isfinite(pixels)
    if not known.any():
        raise DataError(f"{subject} holds no number", expected="gray values", found="NaN only")
    return pixels if known.all() else np.where(known, pixels, pixels[known].min())
