"""One plane at a time, with a slider; needs neither WebGL nor network."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from typing import Any

import ipywidgets as widgets
import matplotlib as mpl
from matplotlib.figure import Figure

from nextaim_kit.show.planes import LETTERS, NAMES, Plane, draw, letters
from nextaim_kit.show.style import styled
from nextaim_kit.show.viewers.scene import Scene

_INCHES, _PIXELS = 5.2, 512


class Slices:
    """A plane drawn by the kernel, as in the figure; moved by a slider."""

    def __init__(self, scene: Scene, limits: tuple[float, float], visible: set[str]) -> None:
        self.scene, self.limits, self.visible = scene, limits, visible
        self._at = {name: scene.fullest(name) for name in NAMES}
        self.plane = widgets.Dropdown(options=NAMES, description="Plane")
        self.slider = widgets.IntSlider(description="Slice", layout={"width": "26em"})
        self.picture = widgets.HTML()
        self.widget = widgets.VBox([widgets.HBox([self.plane, self.slider]), self.picture])
        self.plane.observe(lambda _: self._choose(), "value")
        self.slider.observe(lambda _: self._move(), "value")
        self._choose()

    def set_limits(self, low: float, high: float) -> None:
        """Draw with another window."""
        self.limits = low, high
        self._draw()

    def set_visible(self, name: str, on: bool) -> None:
        """Show or hide a mask."""
        (self.visible.add if on else self.visible.discard)(name)
        self._draw()

    def _choose(self) -> None:
        name = self.plane.value
        with self.slider.hold_trait_notifications():
            self.slider.max = self.scene.count(name) - 1
            self.slider.value = self._at[name]
        self._draw()

    def _move(self) -> None:
        self._at[self.plane.value] = self.slider.value
        self._draw()

    def _draw(self) -> None:
        name, index = self.plane.value, self.slider.value
        plane = self.scene.plane(name, index)
        shown = {key: mask & (key in self.visible) for key, mask in plane.masks.items()}
        plane = replace(plane, masks=shown)
        data = io.BytesIO()
        figure = picture(plane, self.limits, LETTERS[name])
        figure.savefig(data, format="png", metadata={"Software": None})
        alt = f"{name} slice {index + 1} of {self.scene.count(name)}"
        code = base64.b64encode(data.getvalue()).decode()
        self.picture.value = (
            f'<img alt="{alt}" style="max-width: 100%" src="data:image/png;base64,{code}">'
        )


@styled
def picture(plane: Plane, limits: tuple[float, float], sides: str) -> Figure:
    """A plane that fills its figure."""
    rows, columns = plane.pixels.shape
    shape = plane.aspect * rows / columns  # height over width, in mm
    width = _INCHES / max(1.0, shape)
    size: Any = (width, width * shape)
    with mpl.rc_context({"figure.constrained_layout.use": False}):
        figure = Figure(figsize=size)
        axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    draw(axis, plane.smaller(_PIXELS), limits)
    letters(axis, sides)
    return figure
