"""A volume as a figure: three planes where most is marked."""

from __future__ import annotations

from matplotlib.figure import Figure

from nextaim_kit.show.planes import LETTERS, NAMES, draw, letters
from nextaim_kit.show.style import described, looks, new_figure, styled
from nextaim_kit.show.viewers.scene import Scene
from nextaim_kit.show.windows import Window, limits

_SIDE = 512  # pixels of a plane that can be seen


@styled
def still(scene: Scene, *, window: Window = "lung", width: float = 9.0) -> Figure:
    """Axial, coronal and sagittal plane with the masks.

    Parameters
    ----------
    scene : Scene
    window : str or (center, width) or None
        As for `windows.limits`.
    width : float
        Of the figure, in inches.
    """
    figure, axes = new_figure(width, width * 0.37 + (0.3 if scene.masks else 0), 1, 3)
    shades = limits(scene.pixels, window)
    for axis, name in zip(axes.flat, NAMES, strict=True):
        axis.set_axis_off()
        plane = scene.plane(name, scene.fullest(name))
        draw(axis, plane.smaller(_SIDE), shades)
        axis.set_title(name, fontsize=9, fontweight="normal")
        axis.set_anchor("N")
        letters(axis, LETTERS[name])
    unit = f" {scene.unit}" if scene.unit else ""
    shown = f"{shades[0]:.4g} to {shades[1]:.4g}{unit} from black to white"
    figure.suptitle(f"{scene.title or 'Volume'}, {shown}", fontsize=10, x=0.01, ha="left")
    drawn = looks(scene.masks)
    volumes = {name: f"{name} ({ml:.1f} ml)" for name, ml in scene.milliliters().items()}
    if volumes:
        handles = [look.handle(volumes[name]) for name, look in drawn.items()]
        figure.legend(handles=handles, loc="outside lower left", ncols=3)
    said = [f"{volumes[n]} {'filled' if drawn[n].filled else 'outlined'}" for n in volumes]
    masks = ", ".join(said) or "no mask"
    note = f" {scene.note[0].upper()}{scene.note[1:]}." if scene.note else ""
    return described(
        figure,
        f"{scene.title + ': ' if scene.title else ''}axial, coronal and sagittal plane, {masks}; "
        f"patient's right on the left, {shown}."
        f"{note}",
    )
