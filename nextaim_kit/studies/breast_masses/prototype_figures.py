"""This looks like that: crops beside the training crops that a prototype network compares with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nextaim_kit.show.picture_grid import gallery
from nextaim_kit.studies.breast_masses.masses import Masses
from nextaim_kit.studies.breast_masses.prototype_measures import activation_box, upsampled
from nextaim_kit.studies.breast_masses.prototype_stages import Fold
from nextaim_kit.studies.breast_masses.protopnet import contributions, similarity_maps

CLASSES = ("benign", "malignant")
Box = tuple[int, int, int, int]


def contribution_table(fold: Fold, masses: Masses, row: int) -> pd.DataFrame:
    """What each prototype adds to a crop's log-odds of malignant, the largest share first.

    Returns
    -------
    DataFrame
        ``prototype``, ``class``, ``source`` (subject of its training crop), ``similarity``,
        ``weight``, ``adds``; the last column adds up to the log-odds.
    """
    alike = similarity_maps(fold.net, masses.films[[row]]).amax((2, 3))
    weight = contributions(fold.net, torch.ones_like(alike))[0].double().numpy()
    table = fold.prototypes[["prototype", "class"]].assign(
        source=masses.table["subject"].to_numpy()[fold.prototypes["source"]],
        similarity=alike[0].double().numpy(), weight=weight,
    )  # fmt: skip
    table["class"] = table["class"].map(dict(enumerate(CLASSES)))
    table["adds"] = table["similarity"] * table["weight"]
    table = table[fold.prototypes["kept"].to_numpy()]
    order = np.argsort(-table["adds"].abs().to_numpy(), kind="stable")
    return table.iloc[order].reset_index(drop=True)


def looks_like(fold: Fold, masses: Masses, row: int, top: int = 3) -> Figure:
    """A crop, and the prototypes that add most to its log-odds beside what they look like in it.

    Above the crop with each prototype's map, below the training crop that the prototype is a
    patch of. A solid box holds the top twentieth of a map, as published; a dashed one all that
    the strongest place of the map depends on.
    """
    strongest = contribution_table(fold, masses, row).head(top)
    names = strongest["prototype"].to_numpy()
    sources = fold.prototypes.set_index("prototype").loc[names, "source"].to_numpy()
    here = similarity_maps(fold.net, masses.films[[row]])[0, names]
    there = similarity_maps(fold.net, masses.films[sources])[np.arange(len(names)), names]
    adds = [f"{v:+.2f} to malignant" for v in strongest["adds"]]
    that = [f"prototype {p}, {of}" for p, of in zip(names, strongest["class"], strict=True)]
    shown = [masses.pictures[row]] * len(names) + [masses.pictures[k] for k in sources]
    marks = [*_marks(fold, here, masses), *_marks(fold, there, masses)]
    heat = [one.numpy() for one in upsampled(torch.cat([here, there])[None], _edge(masses))[0]]
    return gallery(shown, [*adds, *that], columns=len(names), outlines=marks, heat=heat)


def prototypes_shown(fold: Fold, masses: Masses, most: int = 10) -> Figure:
    """The training crop of each prototype that is kept, with its box and all that it depends on."""
    kept = fold.prototypes[fold.prototypes["kept"]].head(most)
    maps = similarity_maps(fold.net, masses.films[kept["source"].to_numpy()])
    own = maps[np.arange(len(kept)), kept["prototype"].to_numpy()]
    titles = [f"{p}: {CLASSES[c]}" for p, c in zip(kept["prototype"], kept["class"], strict=True)]
    pictures = [masses.pictures[k] for k in kept["source"]]
    return gallery(pictures, titles, outlines=_marks(fold, own, masses))


def source_boxes(fold: Fold, masses: Masses) -> list[Box]:
    """Box of each prototype that is kept in its training crop."""
    kept = fold.prototypes[fold.prototypes["kept"]]
    maps = similarity_maps(fold.net, masses.films[kept["source"].to_numpy()])
    own = maps[np.arange(len(kept)), kept["prototype"].to_numpy()]
    return [activation_box(one, _edge(masses)) for one in own]


def _marks(fold: Fold, maps: torch.Tensor, masses: Masses) -> list[dict[str, NDArray]]:
    size, columns = _edge(masses), maps.shape[2]
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


def _edge(masses: Masses) -> int:
    return masses.pictures.shape[1]
