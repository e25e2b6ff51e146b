"""What is drawn: each CT to check by eye, kept with its masks; and measured against true values."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nextaim_kit.files import atomic_path
from nextaim_kit.show.filled_slices import Segmented, overlays
from nextaim_kit.show.style import (
    BLUE,
    GRAY,
    LIGHT,
    VERMILION,
    described,
    new_figure,
    styled,
)
from nextaim_kit.studies.ct_lungquant.definitions import CT_SS_LIMITS
from nextaim_kit.studies.ct_lungquant.measures import Found

KINDS = ("lung", "ground glass", "consolidation")  # organ, and lesions by their number


@dataclass(frozen=True)
class Keeper:
    """Draws every CT, and writes its masks where asked; `quantification.quantify` calls it.

    Attributes
    ----------
    folder : Path
        ``qc/<subject>.png`` and ``masks/<subject>_lungs.nii.gz``, ``..._lesions.nii.gz`` go below
        it. The masks lie on the CT with its axes turned to LPS.
    masks : bool
    """

    folder: Path
    masks: bool = False

    def __call__(self, subject: str, found: Found) -> dict[str, Any]:
        """Keep one; gives the paths, relative to the folder, by column."""
        name = subject.replace("%", "%25").replace("/", "%2F")
        kept = {"picture": f"qc/{name}.png"}
        self._draw(self.folder / kept["picture"], segmented(subject, found))
        if self.masks:
            kept |= {kind: f"masks/{name}_{kind}.nii.gz" for kind in ("lungs", "lesions")}
            found.save(self.folder / kept["lungs"], self.folder / kept["lesions"])
        return kept

    @staticmethod
    def _draw(path: Path, one: Segmented) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        picture = io.BytesIO()  # the same bytes as by savefig, which draws twice
        FigureCanvasAgg(overlays([one], names=KINDS)).print_png(
            picture, metadata={"Software": None}
        )
        with atomic_path(path) as unfinished:
            unfinished.write_bytes(picture.getvalue())


def segmented(subject: str, found: Found) -> Segmented:
    """A CT as `show.overlays` draws it, with what matters in its title."""
    return Segmented(found.scan.image, found.lungs, found.lesions, caption(subject, found.values))


def caption(subject: str, values: Mapping[str, Any]) -> str:
    """One line on a CT: volumes in ml, involvement in %, class, type, and that there are doubts."""
    line = (
        f"{subject}: R {values['right_ml']:.0f} ml, L {values['left_ml']:.0f} ml, "
        f"{values['involvement']:.1f} % affected, CT-SS {values['ct_ss']}, {values['type']}"
    )
    return f"{line} (see warnings)" if values.get("warnings") else line


@styled
def class_borders(
    truth: ArrayLike,
    measured: ArrayLike,
    *,
    quantity: str,
    unit: str,
    borders: Sequence[float] = CT_SS_LIMITS,
    title: str = "",
) -> Figure:
    """Measured against true values, with the borders of classes; where the class differs, crosses.

    Parameters
    ----------
    truth, measured : array-like of shape (n,)
    quantity, unit : str
    borders : sequence of float, optional
        Where the next class begins; by default those of CT severity.
    title : str
    """
    x, y = np.asarray(truth, float), np.asarray(measured, float)
    same = np.searchsorted(borders, x, side="right") == np.searchsorted(borders, y, side="right")
    top = 1.05 * max(float(x.max()), float(y.max()), borders[0])
    figure, axes = new_figure(5.2, 5.0)
    axis = axes[0, 0]
    inside = [0.0, *(b for b in borders if b < top), top]
    for low, high in pairwise(inside):
        axis.fill_between([low, high], low, high, color=LIGHT, alpha=0.55, linewidth=0)
    axis.plot([0, top], [0, top], color=GRAY, linewidth=1, linestyle=":")
    axis.scatter(x[same], y[same], s=26, color=BLUE, linewidths=0, label="same class")
    axis.scatter(x[~same], y[~same], s=34, color=VERMILION, marker="x", label="another class")
    axis.set(xlabel=f"true {quantity} ({unit})", ylabel=f"measured {quantity} ({unit})")
    axis.set(title=title, xlim=(0, top), ylim=(0, top), aspect="equal")
    axis.legend(loc="upper left")
    return described(
        figure,
        f"Measured against true {quantity} of {len(x)} patients: {int(same.sum())} in the same "
        f"class, {int((~same).sum())} in another; classes begin at {', '.join(map(str, borders))}.",
    )
