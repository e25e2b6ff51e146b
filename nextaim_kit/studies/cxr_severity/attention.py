"""Where the severity networks look: at the lungs, at the lesion, or at what lies beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from nextaim_kit.data.cohort.loading import problems
from nextaim_kit.errors import DataError
from nextaim_kit.learn.intervals import BOUNDS
from nextaim_kit.learn.metrics import auc_interval, below_chance
from nextaim_kit.learn.saliency import (
    Maps,
    by_chance,
    energy_inside,
    faithfulness,
    grad_cam,
    pointing_hits,
)
from nextaim_kit.learn.splits import Rows
from nextaim_kit.studies.cxr_severity import cohorts
from nextaim_kit.studies.cxr_severity.fusion import CAM_LAYER
from nextaim_kit.studies.cxr_severity.preprocessing import (
    Films,
    at_size,
    load_even,
    load_masks,
    lungs_only,
)
from nextaim_kit.studies.cxr_severity.severity import Fold, Inputs, Rotation

Nets = Mapping[str, tuple[Inputs, Sequence[Fold]]]
_LESION = 0.005  # of the lungs: smaller ones no map of so few fields can point at
_WAYS = ("", "_by_chance", "_by_position")
_EMPTY = ["subject", "patient", *(f"{m}{way}" for m in ("energy", "pointing") for way in _WAYS)]


def maps(
    fold: Fold, inputs: Inputs, rows: Rows, films: Films | None = None, layer: str = CAM_LAYER
) -> Maps:
    """Grad-CAM of a fold's network for some rows, shape (n, size, size); `films` in their place."""
    shown = torch.from_numpy(inputs.films[rows] if films is None else films)[:, None]
    values = torch.from_numpy(fold.standard.apply(inputs.numbers.iloc[rows]))
    return grad_cam(fold.net, shown, layer=layer, clinical=values)


def maps_of_tests(folds: Sequence[Fold], inputs: Inputs, layer: str = CAM_LAYER) -> Maps:
    """Grad-CAM of each fold's test rows, one fold after the other."""
    return np.concatenate([maps(fold, inputs, fold.test, layer=layer) for fold in folds])


def correct_then_wrong(y: NDArray, p: NDArray, *, each: int) -> list[int]:
    """Rows that are predicted best, half of either outcome where there are, then the worst ones."""
    miss = np.abs(y - p)
    order = np.argsort(miss, kind="stable")
    severe = [int(k) for k in order if y[k] == 1 and miss[k] < 0.5][: each - each // 2]
    mild = [int(k) for k in order if y[k] == 0 and miss[k] < 0.5][: each - len(severe)]
    wrong = [int(k) for k in order[::-1] if miss[k] >= 0.5][:each]
    return [*severe, *mild, *wrong]


def faithful(
    fold: Fold, inputs: Inputs, *, n: int, seed: int
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Insertion and deletion of the likeliest of a fold's test rows, by Grad-CAM and in any order.

    Both orders begin with the pixels that are not blank: that the network sees the lungs alone is
    no merit of a map.

    Returns
    -------
    dict of str to (curves, areas)
        ``deletion, Grad-CAM``, ``deletion, any order``, and so on; see `faithfulness`.
    """
    rows = fold.test[np.argsort(-fold.predict(inputs, fold.test), kind="stable")[:n]]
    films = inputs.films[rows]
    found, lit = maps(fold, inputs, rows), films != 0
    # Fields as large as those of Grad-CAM, in a blind order.
    edge = fold.net.field
    fields = -(-films.shape[1] // edge)
    blind = np.random.default_rng(seed).random((len(rows), fields, fields))
    any_order = np.kron(blind, np.ones((edge, edge)))[:, : films.shape[1], : films.shape[2]]

    def predict(shown: torch.Tensor) -> NDArray[np.float64]:
        return fold.predict(inputs, rows, shown[:, 0].numpy())

    shown = torch.from_numpy(films)[:, None]
    return {
        f"{kind}, {name}": faithfulness(predict, shown, (one + 1e-9) * lit, kind=kind)
        for kind in ("deletion", "insertion")
        for name, one in (("Grad-CAM", found), ("any order", any_order))
    }


def energy_in_lungs(nets: Nets, lungs: NDArray[np.bool_]) -> pd.DataFrame:
    """Share of each test film's map that lies in the lungs: ``net, patient, energy, by_chance``.

    Films for whose outcome nothing speaks have no map, others no lungs: they have no row.
    """
    parts = []
    for name, (inputs, folds) in nets.items():
        rows = np.concatenate([fold.test for fold in folds])
        where = lungs[rows]
        part = pd.DataFrame({"net": name, "patient": inputs.patients[rows]})
        inside = energy_inside(maps_of_tests(folds, inputs), where)
        part["energy"] = np.where(where.any((1, 2)), inside, np.nan)
        part["by_chance"] = by_chance(where, np.ones_like(where))
        parts.append(part.dropna())
    return pd.concat(parts, ignore_index=True)


def films_again(twin: Callable[..., pd.DataFrame], table: pd.DataFrame, size: int) -> Films:
    """Other films of the synthetic patients of a table, in its order.

    They are made at the size of the table's own, and cut like them: electrodes that cross a border
    change what looks like a bar there.

    Raises
    ------
    DataError
        If the twin does not have all of them, or others of these names.
    """
    frames = load_even(table, size)[1]
    again = twin(size=frames[0].shape[0]).set_index("subject")
    absent = [subject for subject in table["subject"] if subject not in again.index]
    if absent:
        raise DataError(
            f"{len(absent)} patients are not in the twin, such as {absent[0]}",
            expected="a twin of at least as many patients as the cohort",
            mend="raise the parameter patients",
        )
    again = again.loc[table["subject"]].reset_index()
    same = np.isclose(again["truth_extent"], table.get("truth_extent", again["truth_extent"]))
    if not same.all():
        raise DataError(
            "the twin's patients are others than those of the cohort",
            mend="give the seed of the run that made the cohort",
        )
    return load_even(again, size, inverted=again["truth_inverted"], cut=frames)[0]


def shortcut(
    nets: Nets, moved: Films, lungs: NDArray[np.bool_], *, n_boot: int, seed: int
) -> pd.DataFrame:
    """AUC of image networks on their test films and on the same patients' other films.

    Parameters
    ----------
    nets : mapping of str to (inputs, folds)
        Those whose inputs are masked are given the other films masked.
    moved : array of shape (n, size, size)
        The other films.
    lungs : array of bool, shape (n, size, size)

    Returns
    -------
    DataFrame
        ``name`` (cables as filmed, or moved), ``value, low, high``, ``n`` (films), ``group`` (the
        network), ``note`` (`below_chance`).
    """
    rows = []
    for group, (inputs, folds) in nets.items():
        masked = not inputs.films[~lungs].any()
        other = lungs_only(moved, lungs) if masked else moved
        for name, films in (("cables as filmed", inputs.films), ("cables moved", other)):
            tested = np.concatenate([fold.test for fold in folds])
            p = np.concatenate(
                [fold.predict(inputs, fold.test, films[fold.test]) for fold in folds]
            )
            who = inputs.patients[tested]
            found = auc_interval(inputs.y[tested], p, groups=who, n_boot=n_boot, seed=seed)
            rows.append((name, *found, len(tested), group, below_chance(found)))
    return pd.DataFrame(rows, columns=["name", *BOUNDS, "n", "group", "note"])


def at_lesions(
    inputs: Inputs, lungs: NDArray[np.bool_], folds: Sequence[Fold], *, bits: int = 0
) -> pd.DataFrame:
    """Whether the maps of test films fall on the lesions that the table's own masks outline.

    Returns
    -------
    DataFrame
        ``subject, patient``, and ``energy`` and ``pointing`` of the maps, ``_by_chance`` (the
        lesion's share of the lungs) and ``_by_position`` (where the lesions of the other patients
        lie, without a look at the film); films with a lesion of at least half a percent of the
        lungs, and a map.
    """
    table = inputs.table
    if not any(cohorts.given(table, "lesions")):
        return pd.DataFrame(columns=_EMPTY)
    size = lungs.shape[1]
    frames = load_even(table, size)[1]
    lesions = at_size(load_masks(table, "lesions", frames, bits=bits)[0], size)
    rows = np.concatenate([fold.test for fold in folds])
    found = maps_of_tests(folds, inputs)
    return _pointing(table.iloc[rows], found, lesions[rows], lungs[rows])


def at_lesions_of(
    spec: str,
    inputs: Inputs,
    folds: Sequence[Fold],
    rotations: Sequence[Rotation],
    *,
    bits: int,
    masked: bool,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same for another cohort of films with lungs and lesion masks.

    A film is looked at by the networks that were not trained on its patient; their maps are
    averaged.

    Returns
    -------
    pointing : DataFrame
        As of `at_lesions`.
    problems : DataFrame
        ``subject``, ``problem`` of films that cannot be used.
    """
    size = inputs.films.shape[1]
    table, _ = cohorts.load_films(spec, twin=_no_twin)
    seen, frames, unread = load_even(table, size, inverted=table.get("truth_inverted"))
    found, without = load_masks(table, "lungs", frames)
    column = "lesions" if "lesions" in table else "mask"
    marked, unmarked = load_masks(table, column, frames, bits=bits)
    keep = cohorts.usable(table, unread, without, unmarked)
    left_out = problems(table)
    lungs, lesions = at_size(found, size)[keep], at_size(marked, size)[keep]
    films = lungs_only(seen[keep], lungs) if masked else seen[keep]
    table = table[keep].reset_index(drop=True)
    blank = pd.DataFrame(np.nan, table.index, inputs.numbers.columns)
    theirs = Inputs(table.assign(label=0), films, blank)
    total = np.zeros_like(films)
    for fold, (train, val, _) in zip(folds, rotations, strict=True):
        unseen = np.flatnonzero(~table["patient"].isin(inputs.patients[np.r_[train, val]]))
        if len(unseen):
            total[unseen] += maps(fold, theirs, unseen)
    return _pointing(table, total, lesions, lungs), left_out


def _no_twin() -> pd.DataFrame:
    raise DataError("the synthetic twin's lesions are looked at anyway", mend="leave lesions empty")


def _pointing(table: pd.DataFrame, found: Maps, lesions: NDArray, lungs: NDArray) -> pd.DataFrame:
    inside = lesions & lungs
    part = pd.DataFrame({"subject": table["subject"], "patient": table["patient"]})
    part = part.reset_index(drop=True)
    part["energy"] = energy_inside(found * lungs, inside)
    part["energy_by_chance"] = by_chance(inside, lungs)
    elsewhere = _of_others(inside, part["patient"].to_numpy()) * lungs
    part["energy_by_position"] = energy_inside(elsewhere, inside)
    part["pointing"] = pointing_hits(found * lungs, inside)
    part["pointing_by_chance"] = part["energy_by_chance"]
    part["pointing_by_position"] = pointing_hits(elsewhere, inside)
    return part[(part["energy_by_chance"] >= _LESION) & part["energy"].notna()][_EMPTY]


def _of_others(lesions: NDArray, patients: NDArray) -> NDArray[np.float64]:
    """How often a lesion of another patient lies at each pixel."""
    total = lesions.sum(0)
    own = {who: lesions[patients == who].sum(0) for who in np.unique(patients)}
    return np.stack([total - own[who] for who in patients]).astype(float)
