"""For the reader: a blinded quiz of maps alone, and three sentences from a run's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.learn.intervals import BOUNDS, Interval, proportion_interval
from nextaim_kit.show.viewers.available import somebody_looks
from nextaim_kit.studies.challenges.explainability.judged import caught
from nextaim_kit.studies.challenges.explainability.maps import Name
from nextaim_kit.studies.challenges.explainability.shortcuts import Model

_SHOWN = 4  # maps of each model


class MapQuiz:
    """Models in random order, half of them clean where there are as many; answers score at once.

    Nothing is kept, and nothing follows from a score: it is for the reader alone.

    Parameters
    ----------
    models : sequence of Model
    method : str
        Whose maps are shown.
    questions, seed : int

    Examples
    --------
    >>> quiz = MapQuiz([], "gradient")
    >>> quiz.score()
    'No answer yet.'
    """

    def __init__(
        self, models: Sequence[Model], method: Name, *, questions: int = 6, seed: int = 0
    ) -> None:
        rng, self.method = np.random.default_rng(seed), method
        clean = [m for m in models if m.shortcut == "none"]
        planted = [m for m in models if m.shortcut not in ("none", "reference")]
        half = min(questions // 2, len(clean), len(planted))
        some = [m[k] for m in (clean, planted) for k in rng.permutation(len(m))[:half]]
        self.asked = [some[k] for k in rng.permutation(len(some))]
        self.right: dict[int, bool] = {}

    def answer(self, number: int, says: bool) -> str:
        """Take an answer, ``True`` where a shortcut is seen, and say what was there."""
        model = self.asked[number]
        there = model.shortcut != "none"
        self.right.setdefault(number, says == there)  # the first answer counts
        what = f"planted: {model.shortcut}" if there else "nothing was planted"
        return f"{'Right' if says == there else 'Not so'}, {what}. {self.score()}"

    def score(self) -> str:
        """How many first answers were right, with the interval that luck leaves."""
        if not self.right:
            return "No answer yet."
        hits, n = sum(self.right.values()), len(self.right)
        _, low, high = proportion_interval(hits, n)
        return f"{hits} of {n} right [{low:.0%}, {high:.0%}]; half would be luck."

    def show(self) -> None:
        """Ask with buttons; where nobody looks, say how many questions there are."""
        if not somebody_looks():
            print(f"{len(self.asked)} models, half of them clean, wait for a reader.")
            return
        import ipywidgets as widgets
        from IPython.display import display

        display(widgets.VBox([self._question(k) for k in range(len(self.asked))]))

    def _question(self, number: int) -> Any:
        import ipywidgets as widgets

        said, picture = widgets.HTML(), widgets.Image(value=self.picture(number), format="png")
        buttons = [widgets.Button(description=text) for text in ("shortcut", "none")]
        for button, says in zip(buttons, (True, False), strict=True):
            button.on_click(lambda _, says=says: _say(said, self.answer(number, says)))
        title = widgets.HTML(f"<b>Model {number + 1}</b>")
        return widgets.VBox([title, picture, widgets.HBox([*buttons, said])])

    def picture(self, number: int) -> bytes:
        """Maps of a model alone, without the items beneath, and their mean, as a PNG."""
        from io import BytesIO

        from nextaim_kit.show.picture_grid import gallery

        maps = self.asked[number].maps[self.method]
        shown = [*maps[:_SHOWN], maps.mean(0)]
        titles = [f"patient {k + 1}" for k in range(len(shown) - 1)] + ["mean of all"]
        file = BytesIO()
        gallery(shown, titles).savefig(file, format="png", dpi=80)
        return file.getvalue()


def _say(where: Any, text: str) -> None:
    where.value = f"<span role='status'>{text}</span>"


def three_sentences(
    auc: Interval,
    sane: pd.DataFrame,
    faithful: pd.DataFrame,
    used: pd.DataFrame,
    accused: pd.DataFrame,
) -> list[str]:
    """What this run says of maps, of trust in them, and of shortcuts.

    Parameters
    ----------
    auc : tuple of value, low, high
        Of the network that is explained: the maps of one that is no better than chance are of
        nothing, which is said first.
    sane, faithful : DataFrame
        Of `judged`.
    used, accused : DataFrame
        Of `shortcuts`.
    """
    lost = caught(sane)
    rest = [name for name in dict.fromkeys(sane["name"]) if name not in lost]
    value, low, high = auc
    first = "" if low > 0.5 else (
        f"This network is not shown to know the outcome (AUC {value:.2f} [{low:.2f}, {high:.2f}]), "
        "and maps of what knows nothing explain nothing: train a better one first. "
    )  # fmt: skip
    first += (
        "Before you show a map, draw it for networks that know nothing too: here "
        f"{', '.join(lost) or 'no method'} did not differ enough, {', '.join(rest) or 'none'} did."
    )
    order = faithful[faithful["metric"] == "deletion"].sort_values("value", ascending=False)
    name, value, low, high = order.iloc[0][["name", *BOUNDS]]
    second = (
        f"Of what was tried, {name} named best what the network uses: in deletion it is ahead of a "
        f"random order by an area of {value:.3f} [{low:.3f}, {high:.3f}]."
    )
    return [first, second, _third(used, accused)]


def _third(used: pd.DataFrame, accused: pd.DataFrame) -> str:
    drop = used[(used["metric"] == "drop") & (used["low"] > 0)]["name"].tolist()
    if not drop:
        return (
            "No model is shown to have used what was planted, so maps had nothing to find: test on "
            "patients without the suspected sign before you look at any map."
        )
    rate = {row["name"]: f"{row['alarms']} of {row['n']} [{row['low']:.0%}, {row['high']:.0%}]"
            for row in accused.to_dict("records")}  # fmt: skip
    hits = ", ".join(f"{kind} {rate[kind]}" for kind in drop)
    return (
        "Test on patients without the suspected sign, since a map only starts a suspicion: maps "
        f"accused, of models that used a shortcut, {hits}, and of clean ones {rate['none']}."
    )
