"""What is kept of each CT beside its values: a picture to check by eye, and the masks."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextaim_kit.files import atomic_path
from nextaim_kit.show.filled_slices import Segmented, overlays
from nextaim_kit.studies.ct_lungquant.measures import Found


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
        FigureCanvasAgg(overlays([one])).print_png(picture, metadata={"Software": None})
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
