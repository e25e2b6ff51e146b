"""Figures of the report notebook: where a patient stands, and what free text keeps."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from nextaim_kit.show.style import (
    BLUE,
    GRAY,
    LIGHT,
    VERMILION,
    described,
    new_figure,
    styled,
)


@styled
def sides(table: pd.DataFrame, subject: str, *, title: str = "") -> Figure:
    """Share of the right against that of the left lung, of all patients and one among them.

    Parameters
    ----------
    table : DataFrame
        Columns ``subject``, ``involvement_right`` and ``involvement_left`` in %.
    subject : str
        Who is marked.
    title : str
    """
    figure, axes = new_figure(5.2, 4.6)
    axis = axes[0, 0]
    axis.plot([0, 100], [0, 100], color=LIGHT, linewidth=1.2, label="both alike", zorder=1)
    axis.plot(
        table["involvement_right"], table["involvement_left"], "o", color=BLUE, alpha=0.7,
        markersize=5, linestyle="none", label=f"{len(table)} patients",
    )  # fmt: skip
    one = table[table["subject"].astype(str) == subject].iloc[0]
    right, left = one["involvement_right"], one["involvement_left"]
    axis.plot([right], [left], "D", color=VERMILION, markersize=10, linestyle="none",
              markerfacecolor="none", markeredgewidth=2, label=subject)  # fmt: skip
    axis.set(xlabel="right lung affected (%)", ylabel="left lung affected (%)", title=title)
    axis.set(xlim=(-3, 103), ylim=(-3, 103), aspect="equal")
    figure.legend(loc="outside lower center", ncols=3)
    return described(
        figure,
        f"Affected share of the left over that of the right lung in {len(table)} patients; "
        f"{subject} has {right:.0f} % on the right and {left:.0f} % on the left.",
    )


@styled
def kept(shares: pd.DataFrame, *, title: str = "") -> Figure:
    """Of each wording the share of values that come back right, wrong and not at all.

    Parameters
    ----------
    shares : DataFrame
        ``wording`` and the mean shares ``right``, ``wrong``, ``lost``, which add up to 1.
    title : str
    """
    figure, axes = new_figure(6.6, 1.5 + 0.38 * len(shares))
    axis, start, said = axes[0, 0], pd.Series(0.0, shares.index), []
    looks = {"right": (BLUE, ""), "wrong": (VERMILION, "///"), "lost": (LIGHT, "")}
    for name, (color, hatch) in looks.items():
        part = 100 * shares[name]
        axis.barh(shares["wording"], part, left=start, color=color, hatch=hatch,
                  edgecolor="white", height=0.66,
                  label="correct" if name == "right" else name)  # fmt: skip
        for at, (width, left) in enumerate(zip(part, start, strict=True)):
            if width >= 8:
                axis.text(left + width / 2, at, f"{width:.0f}", ha="center", va="center",
                          color="black" if name == "lost" else "white", fontweight="bold",
                          bbox={"facecolor": color, "edgecolor": "none", "pad": 1.5})  # fmt: skip
        start = start + part
    for row in shares.to_dict("records"):
        said.append(f"{row['wording']}: {100 * row['right']:.0f} % correct")
    axis.set(xlabel="values read back (%)", xlim=(0, 100), title=title)
    axis.invert_yaxis()
    axis.spines["left"].set_color(GRAY)
    figure.legend(loc="outside lower right", ncols=3)
    return described(figure, f"Values read back from five wordings. {'; '.join(said)}.")
