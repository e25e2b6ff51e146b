"""A page of what a model may be relied on for, made from measured numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nextaim_kit.learn.intervals import Interval


@dataclass(frozen=True)
class Promise:
    """Something a user would rely on, as measured.

    Attributes
    ----------
    what : str
    found : (value, low, high)
    mark : float
        What it is held to.
    side : {1, -1}
        Whether it should be at the mark or above (1), or at it or below (-1).
    """

    what: str
    found: Interval
    mark: float
    side: int = 1

    @property
    def says(self) -> str:
        """``holds`` where the interval is on the right side, ``broken`` on the wrong, else open."""
        _, low, high = (self.side * np.asarray(self.found, float)) if self.side > 0 else (
            -self.found[0], -self.found[2], -self.found[1])  # fmt: skip
        mark = self.side * self.mark
        if np.isnan(low) or np.isnan(high):
            return "not known"
        return "holds" if low >= mark else "broken" if high < mark else "not shown"


def made(promises: Iterable[Promise]) -> pd.DataFrame:
    """``promise``, ``value``, ``low``, ``high``, ``held to``, ``says`` of each."""
    rows = [(one.what, *one.found, f"{'>=' if one.side > 0 else '<='} {one.mark:g}", one.says)
            for one in promises]  # fmt: skip
    return pd.DataFrame(rows, columns=["promise", "value", "low", "high", "held to", "says"])


def written(
    card: pd.DataFrame, *, study: str, n: int, away: Mapping[str, int],
    settings: Mapping[str, float], synthetic: bool,
) -> str:  # fmt: skip
    """The card as a page of Markdown.

    Parameters
    ----------
    card : DataFrame
        Of `made`.
    study : str
    n : int
        Patients tested at home.
    away : mapping of str to int
        Patients of each site left out.
    settings : mapping of str to float
        Numbers chosen by who measured, such as the share that sets may miss.
    synthetic : bool
    """
    whose = "synthetic patients" if synthetic else "patients"
    sites = ", ".join(f"{site} ({count})" for site, count in away.items())
    lines = [f"# Reliability of a model of {study}", "",
             f"Measured on {n} {whose} who had no part in learning; 95 % intervals over patients.",
             f"New sites, each left out of the learning of a model of its own (patients): {sites}.",
             "Chosen: " + ", ".join(f"{k} {v:g}" for k, v in settings.items()) + ".", "",
             "| promise | measured | held to | says |", "|---|---|---|---|"]  # fmt: skip
    for row in card.to_dict("records"):
        ends = f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        lines.append(f"| {row['promise']} | {ends} | {row['held to']} | {row['says']} |")
    lines += ["", "*holds*: the whole interval is on the right side. *not shown*: it crosses the "
              "mark; more patients would tell. *broken*: do not rely on it. *not known*: too few "
              "patients for an interval."]  # fmt: skip
    return "\n".join(lines) + "\n"


def three_sentences(card: pd.DataFrame, faded: pd.DataFrame, apart: pd.DataFrame) -> list[str]:
    """What a group can use on Monday.

    Parameters
    ----------
    card : DataFrame
        Of `made`.
    faded : DataFrame
        Of `shifts.faded`.
    apart : DataFrame
        Of `strangers.told_apart`.
    """
    of = {says: card.loc[card["says"] == says, "promise"].tolist() for says in _SAID}
    told = [f"{words} {'; '.join(of[says]) or 'nothing'}" for says, words in _SAID.items()]
    at = faded[faded["name"] == "at the temperature"].set_index("where")
    gap, home, there = (at.loc[where] for where in ("gap", "home", "there"))
    fades = "fades" if gap["low"] > 0 else "is not seen to fade"
    again = "fit it again on" if gap["low"] > 0 else "before you rely on it, measure it in"
    worst = apart.groupby("name")["value"].min().sort_values(ascending=False, kind="stable")
    of_best = apart[apart["name"] == worst.index[0]].set_index("strangers")["value"]
    guard = (
        "Put a guard before the model" if worst.iloc[0] > _GUARD else "No detector is a guard yet"
    )
    return [
        f"{'. '.join(told)}.",
        f"Temperature {fades} at a new site: the calibration error beyond a perfect model's is "
        f"{home['value']:.3f} at home and {there['value']:.3f} there, "
        f"{gap['value']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]; "
        f"{again} that site's own patients.",
        f"{guard}: {worst.index[0]} does best where each does worst, with an AUC of "
        f"{worst.iloc[0]:.2f} for {of_best.idxmin()}; try it on your own spoiled inputs.",
    ]


_SAID = {"holds": "Rely on:", "broken": "Do not rely on:"}
_GUARD = 0.7  # AUC below which a detector lets too many strangers in
