"""Three planes and a turning volume by niivue, which comes with ipyniivue and works offline."""

from __future__ import annotations

import ipywidgets as widgets
import nibabel
import numpy as np
from ipyniivue import NiiVue, ShowRender, SliceType
from ipyniivue import Volume as Layer
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from nextaim_kit.show.planes import NAMES
from nextaim_kit.show.style import FILL, looks
from nextaim_kit.show.viewers.scene import Scene, small

_VIEWS = {
    "three planes": SliceType.MULTIPLANAR,
    "axial": SliceType.AXIAL,
    "coronal": SliceType.CORONAL,
    "sagittal": SliceType.SAGITTAL,
    "3-D, turn it with the mouse": SliceType.RENDER,
}


_FRONT = 180, 0  # azimuth and elevation from which the volume is seen at first
_SAID = (
    "Seen from the front at first: the patient's right is on the left. Air and table are cut away, "
    "and of organs with lesions the outlines."
)


class Niivue:
    """The volume as niivue draws it, its masks upon it."""

    def __init__(self, scene: Scene, limits: tuple[float, float], visible: set[str]) -> None:
        self.scene, self.limits, self.visible = scene, limits, visible
        self.view = widgets.Dropdown(options=list(_VIEWS), description="View")
        self.view.observe(lambda change: self._choose(change["new"], change["old"]), "value")
        self.caption = widgets.HTML()
        self.widget = widgets.VBox()
        self._open()

    def _open(self) -> None:
        """Show the volume anew: in 3-D its body alone."""
        deep = _VIEWS[self.view.value] == SliceType.RENDER
        scene, (low, high) = self.scene.without_air() if deep else self.scene, self.limits
        self.image = Layer(
            data=nifti(scene, small(scene.pixels)), name="volume.nii.gz", colormap="gray",
            cal_min=low, cal_max=high, colorbar_visible=False,
        )  # fmt: skip
        self.masks: dict[str, Layer] = {}
        drawn = looks(scene.masks)
        # In 3-D a rim is a hull, which would hide and tint what is filled in it.
        rim = 0.0 if deep and any(look.filled for look in drawn.values()) else 1.0
        self._opacity = {n: FILL if look.filled else rim for n, look in drawn.items()}
        for name, mask in scene.marks().items():
            self.masks[name] = Layer(
                data=nifti(scene, mask.astype(np.uint8)), name=f"mask{len(self.masks)}.nii.gz",
                opacity=self._opacity[name] if name in self.visible else 0.0,
                colorbar_visible=False,
            )  # fmt: skip
            self.masks[name].set_colormap_label(_label(drawn[name].color))
        self.viewer = _viewer()
        self.viewer.scene.crosshair_pos = _meeting(scene)
        self.viewer.set_render_azimuth_elevation(*_FRONT)
        self.viewer.set_slice_type(_VIEWS[self.view.value])
        self.viewer.load_volumes([self.image, *self.masks.values()])
        self.caption.value = f"<p>{_SAID}</p>" if deep else ""
        self.widget.children = [self.view, self.viewer, self.caption]

    def _choose(self, view: str, before: str) -> None:
        if SliceType.RENDER not in (_VIEWS[view], _VIEWS[before]):
            self.viewer.set_slice_type(_VIEWS[view])
            return
        old = [self.viewer, *self.viewer.volumes]
        self._open()
        for part in old:
            part.close()

    def set_limits(self, low: float, high: float) -> None:
        """Draw with another window."""
        self.limits = low, high
        self.image.cal_min, self.image.cal_max = low, high

    def set_visible(self, name: str, on: bool) -> None:
        """Show or hide a mask."""
        (self.visible.add if on else self.visible.discard)(name)
        self.masks[name].opacity = self._opacity[name] if on else 0.0


def _viewer() -> NiiVue:
    return NiiVue(
        height=420,
        is_radiological_convention=True,
        sagittal_nose_left=True,
        multiplanar_show_render=ShowRender.NEVER,
        is_colorbar=False,
        show_legend=False,
        back_color=(0, 0, 0, 1),
        crosshair_width=0.2,
        crosshair_color=(1, 1, 1, 0.5),
    )


def _meeting(scene: Scene) -> list[float]:
    """Where the figure's planes meet, as shares from the patient's left, back and feet."""
    z, y, x = ((scene.fullest(name) + 0.5) / scene.count(name) for name in NAMES)
    return [1 - x, 1 - y, z]


def nifti(scene: Scene, values: NDArray) -> bytes:
    """Bytes of a NIfTI file with these values (z, y, x) at the scene's place."""
    import gzip

    affine = np.diag([*scene.spacing, 1.0])
    affine[:3, 3] = scene.origin
    affine = np.diag([-1.0, -1, 1, 1]) @ affine  # LPS to RAS
    image = nibabel.Nifti1Image(np.ascontiguousarray(values.transpose(2, 1, 0)), affine)
    return gzip.compress(image.to_bytes(), 1)


def _label(color: str) -> dict:
    red, green, blue = (round(255 * c) for c in to_rgb(color))
    return {
        "R": [0, red], "G": [0, green], "B": [0, blue], "A": [0, 255], "I": [0, 1],
        "labels": ["", ""],
    }  # fmt: skip
