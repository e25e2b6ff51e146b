"""What is around a viewer in a notebook: choice of viewer, window and masks, legend, note."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any, Protocol

import anywidget
import ipywidgets as widgets
import traitlets

from nextaim_kit.show.style import looks
from nextaim_kit.show.viewers.available import Viewer
from nextaim_kit.show.viewers.scene import Scene, mm
from nextaim_kit.show.viewers.slices import Slices
from nextaim_kit.show.windows import WINDOWS, Window, limits

BUDGET = 64_000_000  # bytes of a volume and its masks that are sent to the browser


class Body(Protocol):
    """A viewer inside the frame."""

    widget: widgets.Widget

    def set_limits(self, low: float, high: float) -> None: ...
    def set_visible(self, name: str, on: bool) -> None: ...


class Probe(anywidget.AnyWidget):
    """Says whether the browser has WebGL, which nothing but the browser knows."""

    _esm = """
    function webgl() {
      try { return !!document.createElement("canvas").getContext("webgl2"); }
      catch { return false; }
    }
    function render({ model, el }) {
      el.style.display = "none";
      model.set("webgl", webgl() ? "yes" : "no");
      model.save_changes();
    }
    export default { render };
    """
    webgl = traitlets.Unicode("").tag(sync=True)


class Frame(widgets.VBox):
    """A viewer with its controls.

    Slices are there at once; a viewer that needs WebGL takes their place when the browser says
    that it has it.

    Parameters
    ----------
    scene : Scene
    window : str or (center, width) or None
    choices : list of str
        Viewers that can work, the wanted one first.
    """

    def __init__(self, scene: Scene, window: Window, choices: list[Viewer]) -> None:
        self._scene, self._window, self._visible = scene, window, set(scene.masks)
        self._note = widgets.HTML()
        self._legend = widgets.HTML(legend(scene))
        names = ["slices", *(name for name in choices if name not in ("slices", "static"))]
        self.viewer = widgets.Dropdown(options=names, description="Viewer")
        self.window = widgets.Dropdown(options=_windows(window), description="Window")
        self.masks = [
            widgets.Checkbox(True, description=name, indent=False) for name in scene.masks
        ]
        self._body: Body = Slices(scene, self._limits(), self._visible)
        self.probe = Probe()
        wanted = choices[0]
        self.probe.observe(lambda change: self._told(change["new"], wanted), "webgl")
        self.viewer.observe(lambda change: self._show(change["new"]), "value")
        self.window.observe(lambda _: self._body.set_limits(*self._limits()), "value")
        for box in self.masks:
            box.observe(lambda c: self._toggle(c["owner"].description, c["new"]), "value")
        super().__init__()
        self._arrange()

    def _arrange(self) -> None:
        wrap = {"flex_flow": "row wrap"}
        controls = widgets.HBox([self.viewer, self.window], layout=wrap)
        masks = widgets.HBox(self.masks, layout=wrap)
        self.children = [
            self.probe, controls, masks, self._body.widget, self._legend, self._note,
        ]  # fmt: skip

    def _told(self, webgl: str, wanted: Viewer) -> None:
        if webgl == "no" and wanted != "slices":
            self.viewer.options = ["slices"]
            self._say(f"This browser has no WebGL, which {wanted} needs: slices instead.")
        elif webgl == "yes" and wanted != "slices" and self.viewer.value == "slices":
            self.viewer.value = wanted

    def _show(self, viewer: Viewer) -> None:
        scene = self._scene if viewer == "slices" else self._scene.within(BUDGET)
        before = self._body.widget
        self._body = _BODIES[viewer](scene, self._limits(), self._visible)
        self._say("")
        if scene.note:
            self._say(f"{scene.note[0].upper()}{scene.note[1:]}.")
        self._arrange()
        _close(before)

    def _say(self, text: str) -> None:
        self._note.value = f'<p role="status">{escape(text)}</p>' if text else ""

    def _limits(self) -> tuple[float, float]:
        return limits(self._scene.pixels, self.window.value)

    def _toggle(self, name: str, on: bool) -> None:
        (self._visible.add if on else self._visible.discard)(name)
        self._body.set_visible(name, on)


def _close(widget: widgets.Widget) -> None:
    """Let go of a viewer and all it holds, here and in the browser: up to `BUDGET` each."""
    for name in ("children", "volumes"):
        for part in getattr(widget, name, ()):
            _close(part)
    widget.close()


def _windows(window: Window) -> list[tuple[str, Window]]:
    """Choices of the dropdown, the given one first."""
    named: dict[str, Window] = {f"{name} ({c}/{w})": name for name, (c, w) in WINDOWS.items()}
    percentiles: dict[str, Window] = {"1st to 99th percentile": None}
    given: dict[str, Window]
    if isinstance(window, str):
        given = {text: name for text, name in named.items() if name == window}
    else:
        given = percentiles if window is None else {f"{window[0]:g}/{window[1]:g}": window}
    return list((given | named | percentiles).items())


def legend(scene: Scene) -> str:
    """Colors, names and volumes of the masks, and the voxel, as HTML."""
    parts = []
    drawn = looks(scene.masks)
    for name, ml in scene.milliliters().items():
        full = "&#9639;" if drawn[name].striped else "&#9632;"
        sign = full if drawn[name].filled else "&#9633;"  # a striped, full or empty square
        style = f"color:{drawn[name].color};font-size:1.4em"
        swatch = f"<span aria-hidden='true' style='{style}'>{sign}</span>"
        parts.append(f"{swatch} {escape(name)} ({ml:.1f} ml)")
    title = f"<b>{escape(scene.title)}</b> " if scene.title else ""
    said = (
        f"Voxels of {mm(scene.spacing)}. Axial planes are seen from the feet, coronal ones from "
        "the front: the patient's right is on the left."
    )
    return f"<p>{title}{' &nbsp; '.join(parts)}<br>{said}</p>"


def _niivue(*args: Any) -> Body:
    from nextaim_kit.show.viewers.niivue import Niivue

    return Niivue(*args)


def _itk(*args: Any) -> Body:
    from nextaim_kit.show.viewers.itk import ItkViewer

    return ItkViewer(*args)


_BODIES: dict[str, Callable[..., Body]] = {"slices": Slices, "niivue": _niivue, "itkwidgets": _itk}
