"""Training of prototype networks in stages, and of the ResNet18 they stand beside.

Warm, joint, push, last layer, prune: Chen et al. 2019, arXiv:1806.10574.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from joblib import delayed
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.applied import unseen
from nextaim_kit.learn.final import Seen
from nextaim_kit.learn.network_file import load_networks, save_networks
from nextaim_kit.learn.recipe import Group, Recipe, Steps
from nextaim_kit.learn.splits import Rows
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import in_stages, train
from nextaim_kit.learn.weights import filled
from nextaim_kit.machine.jobs import Job
from nextaim_kit.machine.workers import parallel
from nextaim_kit.memory.training import Budget
from nextaim_kit.studies.breast_masses.prototypes.crops import Crops
from nextaim_kit.studies.breast_masses.prototypes.fold import Fold, Rotation, Shown, settled
from nextaim_kit.studies.breast_masses.prototypes.protopnet import (
    Head,
    ProtoPNet,
    ResNet18,
    cluster,
    cross_entropy,
    load_backbone,
    others_l1,
    separation,
    similarities,
)
from nextaim_kit.studies.breast_masses.prototypes.push import (
    check_enough,
    nearest_patches,
    prune,
    push,
)

_NET = "ProtoPNet"
_FEW = 1000  # crops seen, epoch by epoch: some seconds of training


@dataclass(frozen=True)
class Stages:
    """How a prototype network is trained; by default as published, but for the number of pushes.

    Attributes
    ----------
    warm : int
        Epochs in which add-on layers and prototypes learn alone.
    joint : int
        Epochs of everything but the head before each push (there the first comes after 6).
    pushes : int
        How often prototypes are moved onto training patches (there for 1000 epochs).
    last : int
        Passes of the head after each push; five times as many after pruning.
    batch_size : int
    rate, features_rate, last_rate : float
        Adam's, of add-on layers and prototypes, of the backbone, of the head.
    decay_every : int
        Epochs of the joint stage after which rates fall to a tenth.
    cluster, separation, l1 : float
        Weights of the losses.
    prune : bool
        Leave out prototypes most of whose neighbors are of another class.
    memory : "auto" or float, optional
        As of `learn.train`.
    seed : int
    """

    warm: int = 5
    joint: int = 10
    pushes: int = 3
    last: int = 20
    batch_size: int = 80
    rate: float = 3e-3
    features_rate: float = 1e-4
    last_rate: float = 1e-4
    decay_every: int = 5
    cluster: float = 0.8
    separation: float = 0.08
    l1: float = 1e-4
    prune: bool = True
    memory: Budget | None = None
    seed: int = 0

    @property
    def losses(self) -> dict[str, Any]:
        """Named losses with their weights."""
        return {
            "cross_entropy": (1.0, cross_entropy), "cluster": (self.cluster, cluster),
            "separation": (-self.separation, separation), "l1": (self.l1, others_l1),
        }  # fmt: skip


# One rate for all, and no warm stage apart: Carloni et al. 2022, from their code. They end after
# four pushes in a row with a larger loss, which takes five of them.
GROUP = Stages(
    warm=0, joint=10, pushes=4, batch_size=20, rate=1e-6, features_rate=1e-6, last_rate=1e-6,
    decay_every=10**6, cluster=0.9, separation=0.05, l1=1e-5,
)  # fmt: skip


def epochs_of(numbers: Sequence[int]) -> dict[str, int]:
    """Epochs of the stages by name, from a list of them.

    Raises
    ------
    RequestError
        If there are not three, or one is negative, or that of the joint stage is 0.
    """
    if len(numbers) != 3 or min(numbers) < 0 or not numbers[1]:
        raise RequestError(
            "the stages of a prototype network are three",
            expected="epochs of warm (0 or more), joint (1 or more) and last (0 or more)",
            found=str([*numbers]),
            mend="stage_epochs=[3,5,10], for example",
        )
    return dict(zip(("warm", "joint", "last"), numbers, strict=True))


def train_prototypes(
    net: ProtoPNet, crops: Crops, rotation: Rotation, stages: Stages, folder: Path
) -> Fold:
    """Train a prototype network through all its stages; go on where a killed training ended.

    Adam begins anew in each joint stage, where the published code keeps its moments; the rates go
    on where the stage before ended.

    Parameters
    ----------
    net : ProtoPNet
        What it begins with, its backbone being trained already.
    crops : Crops
    rotation : (train, val, test)
        Rows.
    stages : Stages
    folder : Path
        Each stage has its checkpoints below it.

    Raises
    ------
    DataError
        If the training part has one class only, or fewer patches than a class has prototypes.
    """
    first, val, _ = rotation
    check_enough(net, crops, first)
    shown = [Shown(crops, rows, augment=rows is first) for rows in (first, val)]
    histories, made = [], pd.DataFrame()
    for number in range(stages.pushes):
        place = folder / f"push_{number + 1}"
        moving = _moving(net, shown, stages, number)
        found = in_stages(moving, folder=place, memory=stages.memory, seed=stages.seed)
        names = ["warm", "joint"][-len(found) :]
        histories += [
            f.history.assign(stage=f"{s} {number + 1}") for s, f in zip(names, found, strict=True)
        ]
        net = deepcopy(cast(ProtoPNet, found[-1].net))
        made = push(net, crops, first)
        passes = _last_layer(net, crops, (first, val), stages, place / "last", stages.last)
        histories += [passes.assign(stage=f"last {number + 1}")]
    if stages.prune:
        made = prune(net, crops, first, made)
        passes = _last_layer(net, crops, (first, val), stages, folder / "pruned", 5 * stages.last)
        histories += [passes.assign(stage="pruned")]
    history = pd.concat(histories, ignore_index=True)
    made = made.assign(kept=np.isin(made["prototype"], net.kept))
    return settled(net, crops, rotation, history, made)


def _moving(
    net: ProtoPNet, shown: Sequence[Dataset], stages: Stages, number: int
) -> list[tuple[Task, Recipe]]:
    """The stages before a push: warm (before the first), joint."""
    fixed = (Group("head.*", frozen=True), Group("prototypes", weight_decay=0.0))
    task = Task(partial(ProtoPNet, **net.settings), stages.losses, *shown, start=net)
    past = stages.joint * number
    joint = Recipe(
        stages.joint, stages.batch_size, stages.rate * 0.1 ** (past // stages.decay_every),
        settings={"weight_decay": 1e-3}, schedule=Steps(stages.decay_every),
        groups=(*fixed, Group("features.*", factor=stages.features_rate / stages.rate)),
    )  # fmt: skip
    warm = replace(
        joint, epochs=stages.warm, learning_rate=stages.rate, schedule=Steps(10**6),
        groups=(*fixed, Group("features.*", frozen=True)),
    )  # fmt: skip
    first = [(task, warm)] if stages.warm and not number else []
    return [*first, (task, joint)]


def _last_layer(
    net: ProtoPNet, crops: Crops, rows: tuple[Rows, Rows], stages: Stages, folder: Path,
    passes: int,
) -> pd.DataFrame:  # fmt: skip
    """Train the head on similarities, which do not change any more; give the history."""
    parts = [
        TensorDataset(similarities(net, crops.films[k]), torch.from_numpy(crops.y[k])) for k in rows
    ]
    losses = {"cross_entropy": (1.0, cross_entropy), "l1": (stages.l1, others_l1)}
    task = Task(partial(Head, len(net.prototypes) // 2), losses, *parts, start=net.head)
    recipe = Recipe(passes, stages.batch_size, stages.last_rate)
    found = train(task, recipe, folder=folder, seed=stages.seed)
    net.head.load_state_dict(found.net.state_dict())
    return found.history


def require_weights(variant: str, weights: str | Path | None) -> None:
    """Refuse the group's variant without a trained backbone.

    Raises
    ------
    RequestError
    """
    if variant == "group" and not weights:
        raise RequestError(
            "the group's variant cannot learn from nothing: its rates are 1e-6",
            expected="weights= of a ResNet18 that was trained, as on ImageNet",
            mend="give the file, or take variant=published",
        )


@dataclass(frozen=True)
class Networks:
    """A ResNet18 and the prototype network that begins with its backbone.

    Attributes
    ----------
    build : callable
        Makes the prototype network.
    stages : Stages
        Of the prototype network.
    recipe : Recipe
        Of the ResNet18.
    width : float
        Of both backbones.
    weights : Path, optional
        File of a ResNet18 that the backbone begins with.
    frozen : bool
        The ResNet18 keeps these weights and learns dense layers alone, as the group's.
    """

    build: Callable[[], ProtoPNet]
    stages: Stages
    recipe: Recipe
    width: float = 1.0
    weights: Path | None = None
    frozen: bool = False

    def __post_init__(self) -> None:
        """Refuse rates that move nothing, where there is nothing to begin with."""
        if self.frozen or self.stages.rate <= GROUP.rate:
            require_weights("group", self.weights)

    def train(self, crops: Crops, rotation: Rotation, folder: Path) -> dict[str, Fold]:
        """Both, on the same rows; the second with the backbone of the first."""
        resnet = self.resnet(crops, rotation, folder / "resnet")
        torch.manual_seed(self.stages.seed)
        begun = self.build().take_features(resnet.net)
        found = train_prototypes(begun, crops, rotation, self.stages, folder / "prototypes")
        return {"ProtoPNet": found, "ResNet18": resnet}

    def resnet(self, crops: Crops, rotation: Rotation, folder: Path) -> Fold:
        """Train the ResNet18 alone, from the weights of the file or from nothing."""
        build = partial(ResNet18, self.width, deep_head=self.frozen)
        shown = [Shown(crops, rows, augment=k == 0) for k, rows in enumerate(rotation[:2])]
        task, recipe = Task(build, nn.CrossEntropyLoss(), *shown), self.recipe
        if self.weights is not None:
            torch.manual_seed(self.stages.seed)
            begun = build()
            load_backbone(begun.features, self.weights)
            task = replace(task, start=begun)
        if self.frozen:
            recipe = replace(recipe, groups=(Group("features.*", frozen=True), *recipe.groups))
        how: dict[str, Any] = {"memory": self.stages.memory, "seed": self.stages.seed}
        found = train(task, recipe, folder=folder, **how)
        return settled(found.net, crops, rotation, found.history.assign(stage="resnet"))

    def workers(self, crops: Crops) -> int | None:
        """1 where trainings are so short that a process takes longer to start; else None."""
        own = self.stages
        epochs = self.recipe.epochs + own.warm + own.joint * own.pushes
        return 1 if epochs * len(crops.table) < _FEW else None


def cross_validate(
    networks: Networks, crops: Crops, turns: Sequence[Sequence[Rotation]], folder: Path,
    *, workers: int | None = None,
) -> dict[str, list[list[Fold]]]:  # fmt: skip
    """Both networks in every rotation of every repeat: folds of each repeat by their names.

    `workers` as for `side_by_side`.
    """
    jobs = [
        delayed(networks.train)(crops, rotation, folder / f"repeat_{r}" / f"round_{k}")
        for r, rotations in enumerate(turns)
        for k, rotation in enumerate(rotations)
    ]
    found = iter(side_by_side(jobs, workers or networks.workers(crops)))
    repeats = [[next(found) for _ in rotations] for rotations in turns]
    names = repeats[0][0]
    return {name: [[one[name] for one in folds] for folds in repeats] for name in names}


def side_by_side(jobs: Sequence[Job], workers: int | None = None) -> list[Any]:
    """Results of trainings, of one core each on a CPU; on a GPU, or by 1 worker, one by one.

    Networks as small as these do not fill two cores, and trainings do not wait for one another.
    """
    alone = torch.cuda.is_available() or len(jobs) == 1
    return list(parallel(jobs, n_jobs=1 if alone else workers, batch_size=1))


def predictions(
    crops: Crops, repeats: Sequence[Sequence[Fold]], films: Tensor | None = None
) -> pd.DataFrame:
    """Test rows of all folds of all repeats, as `learn.predictions` has them; a mass is a subject.

    Its ``patient`` tells whose masses are resampled together, ``row`` the crop.
    """
    shown = crops.films if films is None else films
    parts = [
        crops.known_of(fold.test, number, repeat).assign(
            p=fold.predict(shown[fold.test]), threshold=fold.threshold
        )
        for repeat, folds in enumerate(repeats)
        for number, fold in enumerate(folds)
    ]
    return pd.concat(parts, ignore_index=True)


def save_fold(fold: Fold, crops: Crops, path: Path, **settings: Any) -> str:
    """Keep a prototype network with what it takes to apply it to others.

    Parameters
    ----------
    fold : Fold
    crops : Crops
        What it was trained on: the names of all their patients are kept, as hashes.
    path : Path
        Ends in ``.safetensors``.
    **settings
        Of the crops: ``field_mm``, and what else has to be the same elsewhere.
    """
    seen = Seen.of(crops.table["patient"])
    told = {
        "temperature": fold.temperature, "threshold": fold.threshold,
        "settings": fold.net.settings | settings,
        "size": crops.pictures.shape[1], "salt": seen.salt, "patients": sorted(seen.subjects),
    }  # fmt: skip
    return save_networks({_NET: fold.net}, path, told=told)


def load_fold(path: Path, crops: Crops, **settings: Any) -> tuple[Fold, Crops, pd.DataFrame]:
    """A prototype network of an earlier run, and the crops that it can be asked about.

    Its prototypes are shown by the nearest patches of these crops: the crops that it was trained
    on are not in its file.

    Parameters
    ----------
    path : Path
        What `save_fold` wrote.
    crops : Crops
        Those of patients that trained it are left out.
    **settings
        That have to be the same as when it was trained, such as ``field_mm``.

    Returns
    -------
    fold : Fold
    others : Masses
    left_out : DataFrame
        ``subject``, ``problem``.

    Raises
    ------
    DataError
        If the file is not of this notebook, the crops are of another size or field, or nobody else
        is there.
    """
    told, weights = load_networks(path, expected="model.safetensors of breast_masses/prototypes")
    if _NET not in weights or "settings" not in told:
        raise DataError(f"{path.name} holds no prototype network", found=", ".join(weights))
    here = {"size": crops.pictures.shape[1], **settings}
    for name, value in here.items():
        before = told["size"] if name == "size" else told["settings"].get(name)
        if before != value:
            raise DataError(
                f"{path.name} was trained on other crops", expected=f"{name} = {before}",
                found=f"{name} = {value}", mend="cut these crops as those were cut",
            )  # fmt: skip
    net = ProtoPNet(**{k: v for k, v in told["settings"].items() if k not in settings})
    net = filled(net, weights[_NET], path.name)
    seen = Seen(told["salt"], frozenset(told["patients"]))
    _, named = unseen(crops.table, seen, by="patient")
    others = crops.only(~crops.table["subject"].isin(named["subject"]).to_numpy())
    every = np.arange(len(others.y))
    near = nearest_patches(net, others, every)
    near["kept"] = np.isin(near["prototype"], net.kept)
    fold = Fold(net, told["temperature"], told["threshold"], every[:0], every, pd.DataFrame(), near)
    return fold, others, named
