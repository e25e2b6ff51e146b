"""A volume with its masks to look at, by the best viewer that can work where this runs."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any, Literal

from matplotlib.figure import Figure

from nextaim_kit.errors import RequestError
from nextaim_kit.show.style import alt_of
from nextaim_kit.show.viewers.available import VIEWERS, Viewer, somebody_looks, why_not
from nextaim_kit.show.viewers.scene import Mask, Scene, Source, read_scene
from nextaim_kit.show.viewers.still import still
from nextaim_kit.show.windows import Window, limits


class View:
    """A volume to look at: what `volume` gives. As a cell's last value it shows itself."""

    def __init__(self, scene: Scene, window: Window, choices: list[Viewer]) -> None:
        self.scene, self.window, self.choices = scene, window, choices

    @property
    def viewer(self) -> Viewer:
        """The viewer that is shown, where the browser has what it needs."""
        return self.choices[0]

    def still(self) -> Figure:
        """Three planes as a figure with its alternative text, for ``run.figure``."""
        return still(self.scene, window=self.window)

    def live(self) -> Any:
        """The viewer as a widget; None where nobody looks, so that nothing waits for a browser."""
        if self.viewer == "static":
            return None
        from nextaim_kit.show.viewers.frame import Frame

        return Frame(self.scene, self.window, self.choices)

    def _ipython_display_(self) -> None:
        from IPython.display import Image, display

        live = self.live()
        if live is not None:
            display(live)
            return
        figure, picture = self.still(), io.BytesIO()
        figure.savefig(picture, format="png", metadata={"Software": None})
        display(Image(picture.getvalue()), metadata={"image/png": {"alt": alt_of(figure)}})


def volume(
    image: Source,
    mask: Mapping[str, Mask] | Mask | None = None,
    *,
    window: Window = "lung",
    title: str = "",
    unit: str = "HU",
    viewer: Literal["auto", "itkwidgets", "niivue", "slices", "static"] = "auto",
) -> View:
    """Look at a volume and its masks, turned to the patient and in true proportion.

    Parameters
    ----------
    image : path, SimpleITK.Image, (array, spacing) or (array, affine)
        See `viewers.scene.read_scene`.
    mask : mask or mapping of str to mask, optional
        One, or several by name, such as ``{"truth": t, "network": p}``: paths, SimpleITK images or
        arrays. All but 0 is inside.
    window : str or (center, width) or None
        A name of `windows.WINDOWS`, or numbers; None takes the 1st to 99th percentile.
    title, unit : str
    viewer : {'auto', 'itkwidgets', 'niivue', 'slices', 'static'}
        The first that can work, or one of them. ``NEXTAIM_VIEWER`` stands for 'auto'. In a browser
        without WebGL, slices stand for the first two.

    Returns
    -------
    View
        Shows itself; ``still()`` is a figure, ``live()`` a widget.

    Raises
    ------
    RequestError
        If the chosen viewer cannot work here, or there is no window or viewer of this name.
    DataError
        If something cannot be read, or image and mask do not lie on one grid.

    Examples
    --------
    >>> volume("ct.nii.gz", {"truth": "truth.nii.gz", "network": "found.nii.gz"})  # doctest: +SKIP
    """
    choices = choose(viewer)
    scene = read_scene(image, mask, title=title, unit=unit)
    limits(scene.pixels[:1], window)  # an unknown name is refused now, not when it is drawn
    return View(scene, window, choices)


def choose(viewer: str = "auto") -> list[Viewer]:
    """Viewers that can work here, the wanted one first.

    Raises
    ------
    RequestError
        If the wanted one cannot work: says why, and what would help.
    """
    wanted = os.environ.get("NEXTAIM_VIEWER", "auto") if viewer == "auto" else viewer
    if wanted not in {"auto", *VIEWERS}:
        raise RequestError(f"no viewer {wanted!r}", expected=f"auto, {', '.join(VIEWERS)}")
    looks = somebody_looks()
    able: list[Viewer] = [v for v in VIEWERS if v == "static" or (looks and not why_not(v)[0])]
    if wanted == "auto" or (viewer == "auto" and not looks):
        return able
    if wanted not in able:
        why, mend = ("nobody looks at this run: no browser is behind it", "viewer='auto'")
        if looks:
            why, mend = why_not(wanted)  # type: ignore[arg-type]  # "auto" ended above
        raise RequestError(
            f"viewer {wanted!r} cannot work here", expected=f"one of {', '.join(able)}", found=why,
            mend=mend,
        )  # fmt: skip
    return [wanted, *(v for v in able if v != wanted)]
