"""What readers are asked of a pair, what they see, and what their answers say of explanations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nextaim_kit.files import data_folder
from nextaim_kit.learn import panel
from nextaim_kit.learn.agreement import rank_correlation
from nextaim_kit.learn.intervals import BOUNDS, Interval, interval
from nextaim_kit.show.rating_page import RatingPage
from nextaim_kit.show.ratings import Answers, Sheet
from nextaim_kit.show.style import described, new_figure, styled
from nextaim_kit.studies.breast_masses.reading.pairs import Pairs, blinded_order

SCALE = ("no", "partly", "yes")
QUESTIONS = {
    "similar": "Do the two marked patches look alike?",
    "specific": "Is what they share special to this mass, and not found in just any breast?",
    "meaning": "Would a radiologist name it in a report (a margin, a shape, a density)?",
}
_EDGE = 256  # px of a crop or patch on the page
_LINE = (255, 214, 0)


def sheet_of(pairs: Pairs) -> Sheet:
    """The three questions to these pairs."""
    return Sheet(pairs.key, pairs.table["pair"].tolist(), QUESTIONS, SCALE)


def picture(pairs: Pairs, name: str) -> tuple[NDArray[np.uint8], str]:
    """What a reader sees of a pair: the crops with their boxes, and the patches between them.

    Returns
    -------
    array of shape (rows, columns, 3)
        In one row, so that the questions below it stay on the screen.
    str
        The alternative text. Neither tells the class, the prototype or the wrong aid.
    """
    k = pairs.table["pair"].tolist().index(name)
    case, example = (pairs.test[k], pairs.boxes[k]), (pairs.source[k], pairs.source_boxes[k])
    parts = [_boxed(*case), _patch(*case), _patch(*example), _boxed(*example)]
    gap = np.full((_EDGE, 8, 3), 255, np.uint8)
    row = np.hstack([piece for part in parts for piece in (gap, part)][1:])
    alt = f"{name}: on the left a case, on the right an example, each with a marked patch"
    return row, f"{alt}; between them both patches, enlarged"


def page_for(pairs: Pairs, reader: str, answers: str = "", *, seed: int = 2024) -> RatingPage:
    """The page on which a reader rates pairs, in an order of their own.

    Answers are kept at `answers`, a file or an existing folder of one file for each reader; without
    it in ``NEXTAIM_DATA``, by the pairs' key.
    """
    place = Path(answers) if answers else data_folder() / "ratings/breast_masses" / pairs.key
    path = place if place.suffix == ".json" else place / f"{reader}.json"
    order = blinded_order(pairs, reader, seed)
    return RatingPage(Answers(path, sheet_of(pairs), reader), order, partial(picture, pairs))


@styled
def side_by_side(pairs: Pairs, names: Sequence[str], titles: Sequence[str]) -> Figure:
    """Pairs as readers see them, two in a row, each with a title."""
    rows = -(-len(names) // 2)
    figure, axes = new_figure(8.4, 1.3 * rows, rows, min(2, len(names)))
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, name, title in zip(axes.flat, names, titles, strict=False):
        axis.imshow(picture(pairs, name)[0], interpolation="antialiased")
        axis.set_title(title, fontsize=8)
    said = "; ".join(title.replace("\n", ", ") for title in titles)
    return described(figure, f"{len(names)} pairs of a case and an example: {said}.")


def codes(answers: pd.DataFrame, question: str, pairs: Pairs) -> pd.DataFrame:
    """Answers to a question, 0 (no) to 2 (yes) or NaN: a row per pair, a column per reader."""
    asked = answers[answers["question"] == question]
    wide = asked.pivot(index="item", columns="reader", values="answer")
    readers = sorted(answers["reader"].unique())
    return wide.reindex(index=pairs.table["pair"], columns=readers).astype(float)


def resampled(answers: pd.DataFrame) -> str:
    """What intervals resample: these readers can stand for others, or they are too few."""
    n = answers["reader"].nunique()
    few = f"patients alone, since fewer than {panel.FEWEST_READERS} readers cannot stand for others"
    return "readers and patients" if n >= panel.FEWEST_READERS else few


def agreement(
    answers: pd.DataFrame, pairs: Pairs, *, n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """How well readers agree on each question.

    Returns
    -------
    DataFrame
        ``name`` (the question), ``metric`` (kappa: Fleiss', agreement: share of pairs of readers
        with the same answer), ``value``, ``low``, ``high`` (95 %, readers and patients
        resampled), ``n`` (pairs of crops that two readers or more have rated).
    """
    rows: list[tuple[Any, ...]] = []
    for question in QUESTIONS:
        table = codes(answers, question, pairs)
        n = int((table.notna().sum(axis=1) > 1).sum())
        for name, measure in (("kappa", panel.fleiss_kappa), ("agreement", panel.raw_agreement)):
            if n:
                found = over_panel(measure(table), pairs, table, n_boot=n_boot, seed=seed)
                rows.append((question, name, *found, n))
    return pd.DataFrame(rows, columns=["name", "metric", *BOUNDS, "n"])


def against_wrong_aid(
    answers: pd.DataFrame, pairs: Pairs, *, n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Mean ratings (0 no, 0.5 partly, 1 yes) of true pairs and wrong aids, and what is between.

    Returns
    -------
    DataFrame
        ``name`` (the question), ``group`` (true pair, wrong aid, difference), ``value``, ``low``,
        ``high`` as in `agreement`, ``n`` (ratings).
    """
    rows: list[tuple[Any, ...]] = []
    wrong = pairs.table["wrong_aid"].to_numpy()
    for question in QUESTIONS:
        table = codes(answers, question, pairs) / (len(SCALE) - 1)
        rating = table.to_numpy()
        parts = {group: np.where(chosen[:, None], rating, np.nan)
                 for group, chosen in (("true pair", ~wrong), ("wrong aid", wrong))}  # fmt: skip
        measures = {group: (panel.mean_rating(part), part) for group, part in parts.items()}
        measures["difference"] = (panel.difference(rating, ~wrong), rating)
        for group, (measure, part) in measures.items():
            found = over_panel(measure, pairs, table, n_boot=n_boot, seed=seed)
            rows.append((question, group, *found, int((~np.isnan(part)).sum())))
    return pd.DataFrame(rows, columns=["name", "group", *BOUNDS, "n"])


def over_panel(
    measure: panel.PanelMeasure, pairs: Pairs, table: pd.DataFrame, **how: Any
) -> Interval:
    """`learn.panel.panel_interval` with the pairs of a patient together, both kinds in each."""
    patients, kinds = pairs.table["subject"], pairs.table["wrong_aid"]
    return panel.panel_interval(measure, *table.shape, groups=patients, classes=kinds, **how)


def by_prototype(answers: pd.DataFrame, pairs: Pairs, question: str) -> pd.DataFrame:
    """True pairs from the best rated on: `Pairs.table` and ``rating``, 0 to 1, over readers."""
    rating = codes(answers, question, pairs).mean(axis=1).to_numpy() / (len(SCALE) - 1)
    table = pairs.table.assign(rating=rating)
    table = table[~table["wrong_aid"] & table["rating"].notna()]
    return table.sort_values("rating", ascending=False, kind="stable")


def contribution_and_rating(rated: pd.DataFrame, *, n_boot: int = 1000, seed: int = 0) -> Interval:
    """Rank correlation of contributions to the verdict with ratings, over patients."""
    measure = rank_correlation(rated["contribution"], rated["rating"])
    return interval(measure, len(rated), groups=rated["subject"], n_boot=n_boot, seed=seed)


def _boxed(crop: NDArray, box: NDArray) -> NDArray:
    from PIL import ImageDraw

    image, scale = _enlarged(crop)
    top, left, bottom, right = (round(scale * float(at)) for at in box)
    ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), outline=_LINE, width=2)
    return _framed(image)


def _patch(crop: NDArray, box: NDArray) -> NDArray:
    top, left, bottom, right = box
    return _framed(_enlarged(crop[top:bottom, left:right])[0])


def _enlarged(crop: NDArray) -> tuple[Any, float]:
    """A picture whose longer edge is that of the page, and how much it was enlarged."""
    from PIL import Image

    scale = _EDGE / max(crop.shape)
    rows, columns = (max(1, round(scale * edge)) for edge in crop.shape)
    image = Image.fromarray(crop).resize((columns, rows), Image.Resampling.BICUBIC)
    return image.convert("RGB"), scale


def _framed(image: Any) -> NDArray:
    """A picture at the top left of a white square."""
    canvas = np.full((_EDGE, _EDGE, 3), 255, np.uint8)
    canvas[: image.height, : image.width] = np.asarray(image)
    return canvas
