"""A cohort to look at: one slice of each subject with its mask's outline.

Pictures are radiological whatever the file's axes: the patient's right is on the left, anterior
is up, and millimeters are square.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nextaim_kit.errors import KitError, RequestError
from nextaim_kit.show.planes import Plane, draw
from nextaim_kit.show.style import ORANGE, VERMILION, close_rows, described, new_figure, styled
from nextaim_kit.show.viewers.scene import Mask, Scene, Source, read_scene
from nextaim_kit.show.windows import Window, limits


@styled
def mosaic(
    subjects: Sequence[tuple[Source, Mask, str]],
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
        A name of `windows.WINDOWS`, or numbers in the image's unit (HU for CT); None takes the
        1st to 99th percentile of each slice.
    columns : int
        Tiles per row.
    width : float
        Of a tile, in inches.

    Notes
    -----
    A subject that cannot be read keeps its tile, with the reason on it.

    Examples
    --------
    >>> import SimpleITK as sitk
    >>> ct = sitk.GetImageFromArray(np.full((8, 16, 16), -800, np.int16))
    >>> roi = np.pad(np.ones((2, 4, 4), np.uint8), ((3, 3), (6, 6), (6, 6)))
    >>> mask = sitk.GetImageFromArray(roi)
    >>> from nextaim_kit.show.style import alt_of
    >>> alt_of(mosaic([(ct, mask, "P1")]))[:56]
    'Axial slices of 1 subjects where the ROI is largest, its'
    """
    if not subjects:
        raise RequestError("there is no subject to show", expected="at least one")
    limits(np.zeros(1), window)  # an unknown name is no subject's fault
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
            scene = read_scene(image, {"ROI": mask}, title=title)
            _draw(axis, _largest_axial(scene).smaller(), window)
        except KitError as error:
            sick.append(title)
            axis.text(0.5, 0.5, _wrapped(error.what), fontsize=7, color=VERMILION,
                      ha="center", va="center", transform=axis.transAxes)  # fmt: skip
    close_rows(figure, axes, width, 0.22)
    failed = f" Could not be shown: {', '.join(sick)}." if sick else ""
    return described(
        figure,
        f"Axial slices of {len(subjects)} subjects where the ROI is largest, its outline drawn; "
        f"patient right on the left.{failed}",
    )


def _largest_axial(scene: Scene) -> Plane:
    roi = scene.masks["ROI"]
    areas = roi.sum(axis=(1, 2))
    z = int(areas.argmax()) if areas.any() else len(areas) // 2
    return scene.plane("axial", z)


def _draw(axis: Axes, plane: Plane, window: Window) -> None:
    draw(axis, plane, limits(plane.pixels, window))
    if not plane.masks["ROI"].any():
        axis.text(0.5, 0.03, "no ROI here", fontsize=7, color=ORANGE, ha="center",
                  transform=axis.transAxes)  # fmt: skip


def _wrapped(text: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, 24)[:6])
