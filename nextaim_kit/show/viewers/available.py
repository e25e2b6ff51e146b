"""Which viewers can work here, and if not, why not and what would help.

Light, so that ``nextaim doctor`` can ask.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

Viewer = Literal["itkwidgets", "niivue", "slices", "static"]
VIEWERS: tuple[Viewer, ...] = ("itkwidgets", "niivue", "slices", "static")
ITK_FOLDER = "itk-vtk-viewer"  # below share/jupyter/labextensions, which Jupyter's server serves
ITK_SCRIPT = "itkVtkViewer.js"

_PACKAGES: dict[str, tuple[str, ...]] = {
    "itkwidgets": ("ipywidgets", "anywidget"),
    "niivue": ("ipywidgets", "anywidget", "ipyniivue"),
    "slices": ("ipywidgets", "anywidget"),
    "static": (),
}


def why_not(viewer: Viewer) -> tuple[str, str]:
    """What keeps a viewer from working on this machine, and what would help; empty if nothing.

    Whether the browser has WebGL is known only there: see `probe`.
    """
    missing = [name for name in _PACKAGES[viewer] if find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed", f"pip install {' '.join(missing)}"
    if viewer == "itkwidgets" and itk_script() is None:
        return (
            "its viewer is not on this machine, and would be loaded from the internet",
            "`nextaim viewer install`, once, where npm is; docs/viewers.md says why",
        )
    return "", ""


def itk_script() -> Path | None:
    """The program that itkwidgets shows, where Jupyter's server finds it; None if nowhere."""
    from jupyter_core.paths import jupyter_path

    places = (Path(p) / ITK_FOLDER / ITK_SCRIPT for p in jupyter_path("labextensions"))
    return next((place for place in places if place.is_file()), None)


def somebody_looks() -> bool:
    """Whether a person's browser runs this cell: not papermill, nbconvert, or plain Python.

    Only a front end with a person before it offers to answer `input()`.
    """
    if os.environ.get("NEXTAIM_RUN"):
        return False
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return False
    return bool(kernel.get_parent().get("content", {}).get("allow_stdin"))
