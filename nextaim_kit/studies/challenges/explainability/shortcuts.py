"""Shortcuts, planted, and the hunt for them: what maps alone say of models with one and without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.data.datasets.source import SYNTHETIC
from nextaim_kit.errors import RequestError
from nextaim_kit.learn.intervals import BOUNDS, mean_interval, proportion_interval
from nextaim_kit.learn.metrics import auc
from nextaim_kit.learn.saliency import energy_inside
from nextaim_kit.learn.study_task import StudyTask, load_task
from nextaim_kit.studies.challenges.explainability.explained import Explained, Workshop
from nextaim_kit.studies.challenges.explainability.maps import WAYS, Maps, Name, draw

Kind = Literal["marker", "own", "site"]
REFERENCE = "reference"  # clean models by which the limit is set
_WEAR = (0.05, 0.95)  # share of the patients of each outcome who have the shortcut
# What a study's own twin can draw, by the keyword of its task.
OWN: dict[str, dict[str, str]] = {
    "cxr_severity": {"cables": "severe"},
    "breast_masses": {"marker": "malignant"},
}
KINDS: dict[Kind, str] = {
    "marker": "local: a bright square in a corner, or one feature of a table",
    "own": "local: what the study's own twin draws, such as electrodes on the chest",
    "site": "diffuse: another scanner, all of the image softer or all features a little higher",
}


def with_shortcut(task: StudyTask, kind: Kind, patients: int, seed: int) -> StudyTask:
    """The same cohort, most patients with the outcome and few others having a shortcut.

    Parameters
    ----------
    task : StudyTask
    kind : {"marker", "own", "site"}
    patients, seed : int
        With which the twin was drawn (`own`).

    Raises
    ------
    RequestError
        If the study's twin has none of its own, or draws it upon other patients.
    """
    if kind == "own":
        return _drawn_by_its_twin(task, patients, seed)
    plant = {"marker": _marked, "site": _elsewhere}[kind]
    x = plant(task, _wearing(task, seed))
    if task.modality == "image":
        return replace(task, x=x)
    return replace(task, x=x, features=pd.DataFrame(x, columns=task.names))


def _drawn_by_its_twin(task: StudyTask, patients: int, seed: int) -> StudyTask:
    if task.name not in OWN:
        raise RequestError(f"{task.name} has no shortcut of its own",
                           expected=f"the twin of {' or '.join(OWN)}")  # fmt: skip
    worn = load_task(task.name, SYNTHETIC, patients, seed, **OWN[task.name])
    if not np.array_equal(worn.groups, task.groups):
        raise RequestError(f"the twin of {task.name} draws its shortcut upon other patients",
                           expected="the cohort synthetic, of as many patients and the same seed",
                           found=f"{task.patients} patients, the twin has {worn.patients}",
                           mend="leave own out of what is planted")  # fmt: skip
    return worn


def kinds_of(
    task: StudyTask, wanted: Sequence[Kind], cohort: str = SYNTHETIC
) -> tuple[list[Kind], pd.DataFrame]:
    """Shortcuts that can be planted, and ``shortcut``, ``why`` of the others.

    Only the twin itself draws its own: films that were made by it and saved are another cohort.
    """
    why = "" if task.name in OWN else f"{task.name} draws none"
    if not why and cohort != SYNTHETIC:
        why = "drawn by the study's twin alone, and this is another cohort"
    kept = [kind for kind in dict.fromkeys(wanted) if kind != "own" or not why]
    left = [(kind, why) for kind in dict.fromkeys(wanted) if kind not in kept]
    return kept, pd.DataFrame(left, columns=["shortcut", "why"])


def _wearing(task: StudyTask, seed: int) -> NDArray[np.bool_]:
    """Who has it, patient by patient."""
    names, member = np.unique(task.groups, return_inverse=True)
    luck = np.random.default_rng(seed).random(len(names))[member]
    return luck < np.array(_WEAR)[task.y]


def _marked(task: StudyTask, worn: NDArray[np.bool_]) -> NDArray[np.float32]:
    x = task.x.copy()
    if task.modality == "table":
        column = _unknowing(task)
        spread = np.nanstd(x[:, column]) or 1.0
        x[worn, column] += 3 * spread
        return x
    edge = x.shape[-1]
    place = slice(edge // 16 + 1, edge // 16 + 1 + max(2, edge // 9))
    x[worn, :, place, place] = np.percentile(x, 99.8)
    return x


def _unknowing(task: StudyTask) -> int:
    """The first feature that is not of the truth, whose values vary and are there."""
    free = [k for k, name in enumerate(task.names)
            if name not in (task.truth or ()) and np.nanstd(task.x[:, k]) > 0]  # fmt: skip
    return free[0]


def _elsewhere(task: StudyTask, worn: NDArray[np.bool_]) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    x = task.x.copy()
    if task.modality == "table":
        x[worn] += (0.5 * np.nanstd(task.x, axis=0)).astype(np.float32)
        return x
    x[worn] = gaussian_filter(x[worn], (0, 0, 0.8, 0.8))
    return x


def same_place(maps: Maps) -> float:
    """How much of the mean map lies in its fullest window, an eighth of the edge wide.

    Lesions lie here and there; what all patients have in one place draws all maps there. Nothing
    but maps is needed.

    Parameters
    ----------
    maps : array of shape (n, h, w)
        Each sums to 1, or is 0 all over.
    """
    from scipy.ndimage import uniform_filter

    mean = maps.mean(0)
    size = [max(1, edge // 8) if min(mean.shape) > 1 else 1 for edge in mean.shape]
    return float(uniform_filter(mean, size, mode="constant").max() * np.prod(size))


def outside_truth(maps: Maps, explained: Explained) -> float:
    """Share of the maps that lies outside what decides; NaN where that is not known."""
    known = explained.known
    if not known.any():
        return float("nan")
    return 1 - float(np.nanmean(energy_inside(maps[known], explained.truth[known])))  # type: ignore[index]


@dataclass(frozen=True)
class Model:
    """A trained model with its maps, and whether something was planted.

    Attributes
    ----------
    shortcut : str
        Its kind; ``none``, and ``reference``: a clean one by which the limit is set.
    number : int
    explained : Explained
    maps : mapping of str to array
    auc, auc_clean : float
        On the tested patients as they are, and without the shortcut.
    """

    shortcut: str
    number: int
    explained: Explained
    maps: Mapping[Name, Maps]
    auc: float
    auc_clean: float


def trained_models(
    workshop: Workshop, kinds: Mapping[str, StudyTask], names: Sequence[Name], models: int
) -> list[Model]:
    """So many models of each kind, of other patients and first weights each, with their maps.

    Parameters
    ----------
    workshop : Workshop
        Of the clean task.
    kinds : mapping of str to StudyTask
        By shortcut (`with_shortcut`).
    names : sequence of str
        Methods.
    models : int
        Of each kind, of clean ones, and of clean ones that set the limit.
    """
    made = partial(_model, clean=workshop.task, names=names)
    found = [made(workshop, REFERENCE, k) for k in range(models)]
    found += [made(workshop, "none", models + k) for k in range(models)]
    for kind, task in kinds.items():
        shop = workshop.other(task, kind)
        found += [made(shop, kind, k) for k in range(models)]
    return found


def _model(
    shop: Workshop, shortcut: str, number: int, *, clean: StudyTask, names: Sequence[Name]
) -> Model:
    explained = shop.explained(number)
    maps = {name: draw(explained, name) for name in names}
    seen, without = (auc(*shop.scores(number, task)) for task in (shop.task, clean))
    return Model(shortcut, number, explained, maps, seen, without)


def used(models: Sequence[Model]) -> pd.DataFrame:
    """AUC with the shortcut and without, ``name``, ``metric``, and the mean over models.

    What falls without it, was of it: a model that never used its shortcut has none to be found.
    """
    table = pd.DataFrame(
        [(m.shortcut, m.auc, m.auc_clean, m.auc - m.auc_clean) for m in models],
        columns=["name", "auc_with", "auc_without", "drop"],
    )
    rows = []
    for name, part in table[table["name"] != REFERENCE].groupby("name", sort=False):
        rows += [(name, c, *mean_interval(part[c])) for c in ("auc_with", "auc_without", "drop")]
    return pd.DataFrame(rows, columns=["name", "metric", *BOUNDS])


def signs(models: Sequence[Model]) -> pd.DataFrame:
    """What maps show: ``shortcut``, ``model``, ``method``, ``sign``, ``value``."""
    rows: list[Any] = []
    for model in models:
        for name, maps in model.maps.items():
            found = {"same place": same_place(maps),
                     "outside truth": outside_truth(maps, model.explained)}  # fmt: skip
            rows += [(model.shortcut, model.number, name, s, v) for s, v in found.items()]
    table = pd.DataFrame(rows, columns=["shortcut", "model", "method", "sign", "value"])
    return table.dropna().reset_index(drop=True)


def hunted(found: pd.DataFrame) -> pd.DataFrame:
    """Alarms: a model whose sign is beyond that of every clean model of the reference.

    Parameters
    ----------
    found : DataFrame
        Of `signs`.

    Returns
    -------
    DataFrame
        ``method``, ``sign``, ``shortcut`` (``none``: false alarms), ``value``, ``low``, ``high``
        (share of models with an alarm, exact interval), ``alarms``, ``models``, and ``by_luck``:
        how many of the clean have one if they are as those of the reference. A method that asks no
        network draws the same maps for all models of a shortcut, which are one, not many.

    Notes
    -----
    The largest of m + 1 models alike is any of them as often, so `by_luck` is 1 / (m + 1).
    """
    models = found.loc[found["shortcut"] == REFERENCE, "model"].nunique()
    rows = []
    by = ["method", "sign", "shortcut"]
    for (method, sign, shortcut), part in _judged(found).groupby(by, sort=False):
        asks = bool(part["asks"].all())
        alarms = part["alarm"] if asks else part["alarm"].head(1)
        share = proportion_interval(int(alarms.sum()), len(alarms))
        luck = 1 / (models + 1) if asks else 0.0
        rows.append((method, sign, shortcut, *share, int(alarms.sum()), len(alarms), luck))
    return pd.DataFrame(rows, columns=[*by, *BOUNDS, "alarms", "models", "by_luck"])


def accused(found: pd.DataFrame) -> pd.DataFrame:
    """Models with an alarm by any method that asks a network, and any sign: none was chosen after.

    Parameters
    ----------
    found : DataFrame
        Of `signs`.

    Returns
    -------
    DataFrame
        ``name`` (the shortcut; ``none``: falsely accused), ``value``, ``low``, ``high`` (share of
        models, exact interval), ``alarms``, ``n`` (models). All were shown the same patients: the
        interval is of other models, not of other patients.
    """
    judged = _judged(found)
    rows = []
    for shortcut, part in judged[judged["asks"]].groupby("shortcut", sort=False):
        each = part.groupby("model")["alarm"].any()
        rows.append((shortcut, *proportion_interval(int(each.sum()), len(each)),
                     int(each.sum()), len(each)))  # fmt: skip
    return pd.DataFrame(rows, columns=["name", *BOUNDS, "alarms", "n"])


def _judged(found: pd.DataFrame) -> pd.DataFrame:
    """All but the reference; ``alarm``: beyond its largest sign; ``asks``: by a network's map."""
    reference = found["shortcut"] == REFERENCE
    limits = found[reference].groupby(["method", "sign"])["value"].max().rename("limit")
    judged = found[~reference].join(limits, on=["method", "sign"])
    asks = [WAYS[method].asks for method in judged["method"]]
    return judged.assign(alarm=judged["value"] > judged["limit"], asks=asks)
