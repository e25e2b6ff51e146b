"""One look for all figures: color-safe, calm, and with a text for those who cannot see them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

# Okabe and Ito's palette, distinct in the common kinds of color blindness.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GRAY, LIGHT = "#6B7280", "#D5D9DE"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)))


class Look(NamedTuple):
    """How a structure is drawn upon gray pictures: told apart by line as well as by color."""

    color: str
    dashes: Any = "-"
    filled: bool = False
    striped: bool = False

    def handle(self, label: str) -> Artist:
        """Its line in a legend."""
        if self.filled:
            hatch, edge = ("////", "white") if self.striped else (None, None)
            return Patch(facecolor=self.color, label=label, hatch=hatch, edgecolor=edge)
        return Line2D([], [], color=self.color, linestyle=self.dashes, label=label)


# One for each structure, in every picture, viewer and legend: organs are outlined, lesions filled.
STRUCTURES = {
    "lung": Look(SKY),
    "right lung": Look(SKY),
    "left lung": Look(SKY, (0, (3, 1.5))),
    "lesion": Look(ORANGE, filled=True),
    "ground glass": Look(ORANGE, filled=True),
    "consolidation": Look(BLUE, filled=True, striped=True),
    "roi": Look(ORANGE),
    "truth": Look(YELLOW),
    "network": Look(PURPLE, "--"),
}
_OTHERS = (
    Look(YELLOW),
    Look(PURPLE, "--"),
    Look(GREEN, (0, (5, 1, 1, 1, 1, 1))),
    Look(VERMILION, (0, (3, 1))),
    Look(SKY, "-."),
    Look(ORANGE, ":"),
)
MOST_LOOKS = len(_OTHERS)
FILL = 0.7  # opacity of what is filled
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
LOW_HIGH = LinearSegmentedColormap.from_list("low_high", [BLUE, "#C9CCD1", VERMILION])

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.labelcolor": "#2B3036",
    "axes.edgecolor": GRAY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=CYCLE),
    "grid.color": "#E6E9ED",
    "grid.linewidth": 0.8,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "xtick.labelcolor": "#2B3036",
    "ytick.labelcolor": "#2B3036",
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "image.interpolation": "nearest",
}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Decorate a figure function so that it draws in the kit's look, whatever is set outside."""

    @functools.wraps(draw)
    def in_style(*args: Any, **kwargs: Any) -> Figure:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return in_style


def new_figure(
    width: float = 5.2, height: float = 4.0, rows: int = 1, columns: int = 1, **subplots: Any
) -> tuple[Figure, np.ndarray]:
    """Make a figure of `width` by `height` inches and its axes as an array (rows, columns).

    The figure belongs to nobody but the caller: no window, nothing to close.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **subplots)


def close_rows(
    figure: Figure, axes: np.ndarray, tile: float, title: float, below: float = 0.0
) -> None:
    """Lower a figure of pictures, `tile` inches wide and flat, so that no gaps part their rows."""
    shapes = [a.get_data_ratio() * a.get_aspect() for a in axes.flat if a.get_aspect() != "auto"]
    high = tile * min(1, max(shapes, default=1))
    figure.set_figheight((high + title) * len(axes) + below)


def described(figure: Figure, text: str) -> Figure:
    """Attach the alternative text as ``figure.alt``; where a run keeps the figure, it is used."""
    figure.alt = " ".join(text.split())  # type: ignore[attr-defined]  # our own
    return figure


def alt_of(figure: Figure) -> str:
    """Alternative text of a figure; empty where it has none."""
    return getattr(figure, "alt", "")


def looks(names: Iterable[str]) -> dict[str, Look]:
    """The look of each structure by its name; unknown names take what is left, in their order."""
    names = list(names)
    one = {known + end: look for known, look in STRUCTURES.items() for end in ("", "s")}
    known = {name: one.get(name.lower()) for name in names}
    taken = {look.color for look in known.values() if look}
    left = iter(sorted(_OTHERS, key=lambda look: look.color in taken))
    return {name: known[name] or next(left) for name in names}


_UNITS = {"ml": "ml", "mm": "mm", "percent": "%"}


def short_name(feature: str) -> str:
    """Name of a radiomic feature as a person would write it on an axis."""
    words = feature.removeprefix("original_").split("_")
    unit = _UNITS.get(words[-1])
    return " ".join([*words[:-1], f"({unit})"] if unit else words)


def reference_lines(
    axis: Axes, lines: Sequence[tuple[float, str]], *, vertical: bool = True
) -> None:
    """Draw a thin dashed line at each published value, with its name for the legend."""
    draw = axis.axvline if vertical else axis.axhline
    for i, (value, text) in enumerate(lines):
        color, dashes = (GRAY, PURPLE, ORANGE, BLACK)[i % 4], (0, (4 - i % 3, 2 + i % 3))
        draw(value, color=color, linewidth=1.2, linestyle=dashes, zorder=1, label=text)
