"""Volumes to look at: one slice of each subject with its mask's outline, or three planes of one.

Pictures are radiological whatever the file's axes: the patient's right is on the left, anterior
is up, and millimeters are square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from nextaim_kit.errors import DataError, KitError, RequestError
from nextaim_kit.show.style import ORANGE, VERMILION, described, new_figure, styled

WINDOWS = {"lung": (-600, 1500), "mediastinum": (40, 400), "bone": (400, 1800), "brain": (40, 80)}
MAX_PIXELS = 320  # along a side of one tile

Source = str | Path | sitk.Image
Window = str | tuple[float, float] | None


@dataclass(frozen=True)
class _Plane:
    """A slice as it is drawn: pixels, mask, and the height of a pixel over its width."""

    pixels: np.ndarray
    mask: np.ndarray
    aspect: float
    upward: bool = False  # rows run from feet to head

    def smaller(self) -> _Plane:
        """Every k-th pixel, so that a side has no more than can be seen."""
        down, across = (-(-n // MAX_PIXELS) for n in self.pixels.shape)
        step = (slice(None, None, down), slice(None, None, across))
        return _Plane(self.pixels[step], self.mask[step], self.aspect * down / across, self.upward)


@styled
def mosaic(
    subjects: Sequence[tuple[Source, Source, str]],
    *,
    window: Window = "lung",
    columns: int = 6,
    width: float = 1.7,
) -> Figure:
    """For each subject the axial slice where its ROI is largest, outlined.

    Parameters
    ----------
    subjects : sequence of (image, mask, title)
        Files, DICOM folders or SimpleITK images. They are read one after another.
    window : str or (center, width) or None
        A name of `WINDOWS`, or numbers in the image's unit (HU for CT); None takes the 1st to
        99th percentile of each slice.
    columns : int
        Tiles per row.
    width : float
        Of a tile, in inches.

    Notes
    -----
    A subject that cannot be read keeps its tile, with the reason on it.
    """
    if not subjects:
        raise RequestError("there is no subject to show", expected="at least one")
    columns = min(columns, len(subjects))
    rows = -(-len(subjects) // columns)
    figure, axes = new_figure(width * columns, (width + 0.22) * rows, rows, columns)
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    sick = []
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (image, mask, title) in zip(axes.flat, subjects, strict=False):
        axis.set_title(title, fontsize=8, pad=3, loc="center", fontweight="normal")
        try:
            _draw(axis, _largest_axial(*_read(image, mask, title)).smaller(), window)
        except KitError as error:
            sick.append(title)
            axis.text(0.5, 0.5, _wrapped(error.what), fontsize=7, color=VERMILION,
                      ha="center", va="center", transform=axis.transAxes)  # fmt: skip
    failed = f" Could not be shown: {', '.join(sick)}." if sick else ""
    return described(
        figure,
        f"Axial slices of {len(subjects)} subjects where the ROI is largest, its outline drawn; "
        f"patient right on the left.{failed}",
    )


@styled
def planes(
    image: Source, mask: Source, *, window: Window = "lung", title: str = "", width: float = 9.0
) -> Figure:
    """Axial, coronal and sagittal plane through the middle of the ROI, outlined.

    Parameters
    ----------
    image, mask : path or SimpleITK.Image
    window : str or (center, width) or None
        As for `mosaic`.
    title : str
    width : float
        Of the figure, in inches.

    Raises
    ------
    DataError
        If a file cannot be read or the mask is of another size than the image.
    """
    volume, roi, spacing = _read(image, mask, title or "this subject")
    z, y, x = _middle(roi)
    dx, dy, dz = spacing
    shown = {
        "axial": _Plane(volume[z], roi[z], dy / dx),
        "coronal": _Plane(volume[:, y], roi[:, y], dz / dx, upward=True),
        "sagittal": _Plane(volume[:, :, x], roi[:, :, x], dz / dy, upward=True),
    }
    figure, axes = new_figure(width, width * 0.37, 1, 3)
    for axis, (name, plane) in zip(axes.flat, shown.items(), strict=True):
        axis.set_axis_off()
        _draw(axis, plane, window)
        axis.set_title(name, fontsize=9, fontweight="normal")
        axis.set_anchor("N")
        letters(axis, "AP" if name == "sagittal" else "RL")
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    ml = roi.sum() * dx * dy * dz / 1000
    return described(
        figure, f"{title} Three planes through the middle of an ROI of {ml:.1f} ml, outlined."
    )


def _read(image: Source, mask: Source, subject: str) -> tuple[np.ndarray, np.ndarray, tuple]:
    """Volume and mask (z, y, x) with x towards the patient's left, y back, z up; spacing in mm."""
    from nextaim_kit.data.images import read_image, read_mask

    volume = image if isinstance(image, sitk.Image) else read_image(image)
    roi = mask if isinstance(mask, sitk.Image) else read_mask(mask, like=volume)
    if volume.GetDimension() != 3 or volume.GetSize() != roi.GetSize():
        raise DataError(
            f"{subject}: image and mask cannot be laid over each other",
            expected=f"a mask of the image's size {volume.GetSize()}",
            found=str(roi.GetSize()),
        )
    volume, roi = sitk.DICOMOrient(volume, "LPS"), sitk.DICOMOrient(roi, "LPS")
    pixels = sitk.GetArrayViewFromImage(volume)
    return np.asarray(pixels).copy(), sitk.GetArrayFromImage(roi) > 0, volume.GetSpacing()


def _largest_axial(volume: np.ndarray, roi: np.ndarray, spacing: tuple) -> _Plane:
    areas = roi.sum(axis=(1, 2))
    z = int(areas.argmax()) if areas.any() else len(areas) // 2
    return _Plane(volume[z], roi[z], spacing[1] / spacing[0])


def _middle(roi: np.ndarray) -> tuple[int, ...]:
    if not roi.any():
        return tuple(n // 2 for n in roi.shape)
    return tuple(round(float(i.mean())) for i in np.nonzero(roi))


def _draw(axis: Axes, plane: _Plane, window: Window) -> None:
    low, high = _limits(plane.pixels, window)
    axis.imshow(
        plane.pixels, cmap="gray", vmin=low, vmax=high, aspect=plane.aspect,
        origin="lower" if plane.upward else "upper", interpolation="bilinear",
    )  # fmt: skip
    if plane.mask.any():
        axis.contour(plane.mask.astype(float), [0.5], colors=[ORANGE], linewidths=1.0)
    else:
        axis.text(0.5, 0.03, "no ROI here", fontsize=7, color=ORANGE, ha="center",
                  transform=axis.transAxes)  # fmt: skip


def _limits(pixels: np.ndarray, window: Window) -> tuple[float, float]:
    if window is None:
        low, high = np.percentile(pixels, [1, 99])
        return float(low), float(max(high, low + 1e-6))
    if isinstance(window, str):
        if window not in WINDOWS:
            raise RequestError(f"no window {window!r}", expected=f"one of {', '.join(WINDOWS)}")
        window = WINDOWS[window]
    center, width = window
    return center - width / 2, center + width / 2


def letters(axis: Axes, pair: str) -> None:
    """Write two letters such as RL beside a picture's edges: where they are in the patient."""
    halo = [withStroke(linewidth=2, foreground="black")]
    for x, letter in zip((0.02, 0.98), pair, strict=True):
        axis.text(x, 0.5, letter, transform=axis.transAxes, color="white", fontsize=8,
                  ha="left" if x < 0.5 else "right", va="center", path_effects=halo)  # fmt: skip


def _wrapped(text: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, 24)[:6])
