"""The program that itkwidgets shows, itk-vtk-viewer, from the user's own Jupyter server.

The Python side of itkwidgets loads its parts from the internet and cannot be told otherwise
(docs/viewers.md), so this talks to the program without it.
"""

from __future__ import annotations

from pathlib import Path

import anywidget
import numpy as np
import traitlets
from matplotlib.colors import to_rgb

from nextaim_kit.show.planes import NAMES
from nextaim_kit.show.style import looks
from nextaim_kit.show.viewers.scene import Scene, small


class _Program(anywidget.AnyWidget):
    _esm = Path(__file__).with_name("itk.js")
    pixels = traitlets.Bytes().tag(sync=True)  # x fastest
    kind = traitlets.Enum(["int16", "float32"]).tag(sync=True)  # of the pixels
    bits = traitlets.Bytes().tag(sync=True)  # uint8: bit k is mask k
    size = traitlets.List(traitlets.Int()).tag(sync=True)
    spacing = traitlets.List(traitlets.Float()).tag(sync=True)
    origin = traitlets.List(traitlets.Float()).tag(sync=True)
    at = traitlets.List(traitlets.Float()).tag(sync=True)  # mm, where the planes meet
    colors = traitlets.List(traitlets.List(traitlets.Float())).tag(
        sync=True
    )  # of each combination of bits
    range = traitlets.List(traitlets.Float()).tag(sync=True)
    shown = traitlets.Int().tag(sync=True)


class ItkViewer:
    """The volume as itk-vtk-viewer draws it, each mask in its color, the last one on top."""

    def __init__(self, scene: Scene, limits: tuple[float, float], visible: set[str]) -> None:
        self.names, self.visible = list(scene.masks), visible
        pixels = small(scene.pixels)
        self.widget = _Program(
            pixels=pixels.tobytes(),
            kind=pixels.dtype.name,
            bits=_bits(scene).tobytes(),
            size=list(scene.pixels.shape[::-1]),
            spacing=list(scene.spacing),
            origin=list(scene.origin),
            at=_meeting(scene),
            colors=_colors(self.names) if self.names else [],
            range=list(limits),
            shown=self._shown(),
        )

    def set_limits(self, low: float, high: float) -> None:
        """Draw with another window."""
        self.widget.range = [low, high]

    def set_visible(self, name: str, on: bool) -> None:
        """Show or hide a mask."""
        (self.visible.add if on else self.visible.discard)(name)
        self.widget.shown = self._shown()

    def _shown(self) -> int:
        return sum(1 << k for k, name in enumerate(self.names) if name in self.visible)


def _meeting(scene: Scene) -> list[float]:
    z, y, x = (scene.fullest(name) for name in NAMES)
    return (np.array(scene.origin) + np.array([x, y, z]) * scene.spacing).tolist()


def _bits(scene: Scene) -> np.ndarray:
    bits = np.zeros(scene.pixels.shape, np.uint8)
    for k, mask in enumerate(scene.marks().values()):
        bits |= mask.astype(np.uint8) << k
    return bits


def _colors(names: list[str]) -> list[list[float]]:
    """Color of each combination of masks: its last one's, never a blend that names no structure."""
    own = [list(to_rgb(look.color)) for look in looks(names).values()]
    return [own[label.bit_length() - 1] if label else [0.0] * 3 for label in range(2 ** len(own))]
