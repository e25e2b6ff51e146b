"""Crops that look like others: beside the training crops that a prototype network compares with."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from IPython.display import Image
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nextaim_kit.show.picture_grid import gallery
from nextaim_kit.show.style import alt_of
from nextaim_kit.studies.breast_masses.prototypes.crops import Crops
from nextaim_kit.studies.breast_masses.prototypes.fold import Fold
from nextaim_kit.studies.breast_masses.prototypes.measures import (
    activation_box,
    elsewhere,
    upsampled,
)
from nextaim_kit.studies.breast_masses.prototypes.protopnet import contributions, similarity_maps
from nextaim_kit.studies.breast_masses.reading.pairs import Pairs, save_pairs

CLASSES = ("benign", "malignant")
Box = tuple[int, int, int, int]


def contribution_table(fold: Fold, crops: Crops, row: int) -> pd.DataFrame:
    """What each prototype adds to a crop's log-odds of malignant, the largest share first.

    Returns
    -------
    DataFrame
        ``prototype``, ``class``, ``source`` (subject of its training crop), ``similarity``,
        ``weight``, ``adds``; the last column adds up to the log-odds.
    """
    alike = similarity_maps(fold.net, crops.films[[row]]).amax((2, 3))
    weight = contributions(fold.net, torch.ones_like(alike))[0].double().numpy()
    table = fold.prototypes[["prototype", "class"]].assign(
        source=crops.table["subject"].to_numpy()[fold.prototypes["source"]],
        similarity=alike[0].double().numpy(), weight=weight,
    )  # fmt: skip
    table["class"] = table["class"].map(dict(enumerate(CLASSES)))
    table["adds"] = table["similarity"] * table["weight"]
    table = table[fold.prototypes["kept"].to_numpy()]
    order = np.argsort(-table["adds"].abs().to_numpy(), kind="stable")
    return table.iloc[order].reset_index(drop=True)


def looks_like(fold: Fold, crops: Crops, row: int, top: int = 3) -> Figure:
    """A crop, and the prototypes that add most to its log-odds beside what they look like in it.

    Above the crop with each prototype's map, below the training crop that the prototype is a
    patch of. A solid box holds the top twentieth of a map, as published; a dashed one all that
    the strongest place of the map depends on.
    """
    strongest = contribution_table(fold, crops, row).head(top)
    names = strongest["prototype"].to_numpy(copy=True)
    sources = fold.prototypes.set_index("prototype").loc[names, "source"].to_numpy(copy=True)
    here = similarity_maps(fold.net, crops.films[[row]])[0, names]
    there = similarity_maps(fold.net, crops.films[sources])[np.arange(len(names)), names]
    adds = [f"{v:+.2f} to malignant" for v in strongest["adds"]]
    that = [f"prototype {p}, {of}" for p, of in zip(names, strongest["class"], strict=True)]
    shown = [crops.pictures[row]] * len(names) + [crops.pictures[k] for k in sources]
    marks = [*_marks(fold, here, crops), *_marks(fold, there, crops)]
    heat = [one.numpy() for one in upsampled(torch.cat([here, there])[None], _edge(crops))[0]]
    return gallery(shown, [*adds, *that], columns=len(names), outlines=marks, heat=heat)


def prototypes_shown(fold: Fold, crops: Crops, most: int = 10) -> Figure:
    """The training crop of each prototype that is kept, with its box and all that it depends on."""
    kept, own = _kept(fold, crops)
    titles = [f"{p}: {CLASSES[c]}" for p, c in zip(kept["prototype"], kept["class"], strict=True)]
    pictures = [crops.pictures[k] for k in kept["source"]]
    marks = _marks(fold, own, crops)
    return gallery(pictures[:most], titles[:most], outlines=marks[:most])


def source_boxes(fold: Fold, crops: Crops) -> list[Box]:
    """Box of each prototype that is kept in its training crop."""
    return [activation_box(one, _edge(crops)) for one in _kept(fold, crops)[1]]


def _kept(fold: Fold, crops: Crops) -> tuple[pd.DataFrame, torch.Tensor]:
    """Prototypes that are kept, and the map of each in its training crop."""
    kept = fold.prototypes[fold.prototypes["kept"]]
    maps = similarity_maps(fold.net, crops.films[kept["source"].to_numpy(copy=True)])
    return kept, maps[np.arange(len(kept)), kept["prototype"].to_numpy(copy=True)]


def as_image(figure: Figure) -> Image:
    """A figure as a notebook shows it anew at each move of a slider."""
    written = io.BytesIO()
    figure.savefig(written, format="png")
    return Image(written.getvalue(), metadata={"alt": alt_of(figure)})


def pairs_to_rate(
    folds: Sequence[Fold], crops: Crops, cases: int, path: str | Path, *, seed: int
) -> Pairs:
    """Keep cases with the prototype that speaks loudest in a file, for readers to rate.

    Each case comes twice: beside its prototype's patch, and (the wrong aid) beside a patch of that
    size at random in another training crop of the same class. Cases are drawn evenly from benign
    and malignant ones, told right and wrong.
    """
    rng = np.random.default_rng(seed)
    found = [_pair(folds[f], crops, row, rng) for f, row in _drawn(folds, crops, cases, rng)]
    table = pd.DataFrame([row for rows, _ in found for row in rows])
    stacked = (np.concatenate(one) for one in zip(*(arrays for _, arrays in found), strict=True))
    names = ("test", "source", "boxes", "source_boxes")
    return save_pairs(path, table, seed=seed, **dict(zip(names, stacked, strict=True)))


def _drawn(
    folds: Sequence[Fold], crops: Crops, cases: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Folds and rows of cases, the four kinds in turn."""
    kinds: dict[tuple[int, bool], list[tuple[int, int]]] = {}
    for number, fold in enumerate(folds):
        called = fold.predict(crops.films[fold.test]) >= fold.threshold
        for row, yes in zip(fold.test, called, strict=True):
            y = int(crops.y[row])
            kinds.setdefault((y, bool(yes == y)), []).append((number, int(row)))
    lots = [[kinds[k][i] for i in rng.permutation(len(kinds[k]))] for k in sorted(kinds)]
    turns = [lot[k] for k in range(max(map(len, lots))) for lot in lots if k < len(lot)]
    return turns[:cases]


def _pair(
    fold: Fold, crops: Crops, row: int, rng: np.random.Generator
) -> tuple[list[dict[str, object]], tuple[NDArray, ...]]:
    """The true pair and the wrong aid of a case."""
    added = contribution_table(fold, crops, row)
    sign = 1 if added["adds"].sum() >= 0 else -1
    loudest = int((sign * added["adds"]).to_numpy().argmax())
    prototype = int(added["prototype"].to_numpy()[loudest])
    own = fold.prototypes.set_index("prototype")[["source", "class"]].to_dict("index")[prototype]
    source, of = int(own["source"]), int(own["class"])
    maps = similarity_maps(fold.net, crops.films[[row, source]])[:, prototype]
    here, there = (activation_box(one, _edge(crops)) for one in maps)
    alike = fold.train[(crops.y[fold.train] == of) & (fold.train != source)]
    shown = (source, int(rng.choice(alike)) if len(alike) else source)
    anywhere = elsewhere(there, _edge(crops), rng)
    weight = float(fold.net.head.weight[of, prototype].detach())
    table = crops.table
    told = {
        "subject": str(table["patient"][row]), "image": str(table["subject"][row]),
        "prototype": prototype, "contribution": weight * float(maps[0].max()),
        "label": int(crops.y[row]), "prototype_label": of,
    }  # fmt: skip
    rows = [
        told | {"source": str(table["subject"][k]), "wrong_aid": wrong}
        for k, wrong in zip(shown, (False, True), strict=True)
    ]
    films = np.rint(crops.pictures[[row, row, *shown]] * 255).astype(np.uint8)
    boxes = [_corners(box) for box in (here, here, there, anywhere)]
    return rows, (films[:2], films[2:], np.array(boxes[:2]), np.array(boxes[2:]))


def _corners(box: Box) -> tuple[int, int, int, int]:
    top, bottom, left, right = box
    return top, left, bottom, right


def _marks(fold: Fold, maps: torch.Tensor, crops: Crops) -> list[dict[str, NDArray]]:
    size, columns = _edge(crops), maps.shape[2]
    found = []
    for one in maps:
        row, column = divmod(int(one.argmax()), columns)
        boxes = {"box": activation_box(one, size), "sees": fold.net.field.box(row, column, size)}
        found.append({name: _filled(box, size) for name, box in boxes.items()})
    return found


def _filled(box: Sequence[int], size: int) -> NDArray[np.bool_]:
    found = np.zeros((size, size), bool)
    found[box[0] : box[1], box[2] : box[3]] = True
    # A line at the crop's very border would not be drawn.
    found[[0, -1]] = found[:, [0, -1]] = False
    return found


def _edge(crops: Crops) -> int:
    return crops.pictures.shape[1]
