"""Training of prototype networks in stages, and of the ResNet18 they stand beside.

Warm, joint, push, last layer, prune: Chen et al. 2019, arXiv:1806.10574.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset, TensorDataset

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.applied import unseen
from nextaim_kit.learn.calibration import scaled, temperature
from nextaim_kit.learn.final import Seen
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.metrics import operating_point
from nextaim_kit.learn.network_file import load_networks, save_networks
from nextaim_kit.learn.recipe import Group, Recipe, Steps
from nextaim_kit.learn.splits import Rows
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import in_stages, train
from nextaim_kit.learn.weights import check_same_network
from nextaim_kit.studies.breast_masses.masses import Masses, rows_of
from nextaim_kit.studies.breast_masses.protopnet import (
    Asked,
    ProtoPNet,
    ResNet18,
    cluster,
    contributions,
    cross_entropy,
    load_backbone,
    others_l1,
    separation,
    similarity,
)

Rotation = tuple[Rows, Rows, Rows]
_NET = "ProtoPNet"
_NEIGHBORS, _OWN_CLASS = 6, 3  # of the pruning rule


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
    patience : int, optional
        Pushes in a row with a larger validation loss, after which training ends.
    prune : bool
        Leave out prototypes most of whose neighbors are of another class.
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
    patience: int | None = None
    prune: bool = True
    seed: int = 0

    @property
    def losses(self) -> dict[str, Any]:
        """Named losses with their weights."""
        return {
            "cross_entropy": (1.0, cross_entropy), "cluster": (self.cluster, cluster),
            "separation": (-self.separation, separation), "l1": (self.l1, others_l1),
        }  # fmt: skip


# One rate for all, and no warm stage apart: Carloni et al. 2022, from their code.
GROUP = Stages(
    warm=0, joint=10, pushes=4, batch_size=20, rate=1e-6, features_rate=1e-6, last_rate=1e-6,
    decay_every=10**6, cluster=0.9, separation=0.05, l1=1e-5, patience=4,
)  # fmt: skip


class Shown(Dataset):
    """Crops and outcomes; with `augment` in one of a square's 8 positions and shifted a little."""

    def __init__(self, masses: Masses, rows: Rows, *, augment: bool = False) -> None:
        self.films = masses.films[rows]
        self.y = torch.from_numpy(masses.y[rows])
        self.shift = self.films.shape[-1] // 16 if augment else 0

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        film = self.films[index]
        return (moved(film, self.shift) if self.shift else film), self.y[index]


def moved(film: Tensor, shift: int) -> Tensor:
    """A crop turned by quarters, mirrored and shifted by up to `shift` pixels, by torch's chance.

    A mass has no upper side. What leaves on one side is lost, and the border's line is repeated
    on the other.
    """
    turns, mirror = torch.randint(0, 4, ()).item(), torch.rand(()) < 0.5
    film = torch.rot90(film, int(turns), (1, 2))
    film = film.flip(2) if mirror else film
    down, right = torch.randint(0, 2 * shift + 1, (2,)).tolist()
    wide = functional.pad(film[None], [shift] * 4, mode="replicate")[0]
    return wide[:, down : down + film.shape[1], right : right + film.shape[2]]


@dataclass(frozen=True)
class Fold:
    """A network, what was set on its validation part, and the rows that it has not seen.

    Attributes
    ----------
    net : ProtoPNet or ResNet18
    temperature, threshold : float
        Fitted on the validation part.
    train, test : array of int
    history : DataFrame
        Of the training, with its ``stage``.
    prototypes : DataFrame
        What `push` gives, with ``kept``; empty for a ResNet18.
    """

    net: Any
    temperature: float
    threshold: float
    train: Rows
    test: Rows
    history: pd.DataFrame
    prototypes: pd.DataFrame

    def logits(self, films: Tensor) -> NDArray[np.float64]:
        """Log-odds of malignant before calibration."""
        return log_odds(self.net, films)

    def predict(self, films: Tensor) -> NDArray[np.float64]:
        """Calibrated probabilities of malignant."""
        return scaled(self.logits(films), self.temperature)


def log_odds(net: ProtoPNet | ResNet18, films: Tensor) -> NDArray[np.float64]:
    """What a network gives for malignant less what it gives for benign."""
    if isinstance(net, ProtoPNet):
        return contributions(net, similarities(net, films)).sum(1).double().numpy()
    both = apply(net, films, batch_size=64)
    return (both[:, 1] - both[:, 0]).double().numpy()


def similarities(net: ProtoPNet, films: Tensor) -> Tensor:
    """How much the most alike part of each film looks like each prototype, shape (n, m)."""
    return similarity(apply(Asked(_Nearest(net), "nearest"), films, batch_size=64))


class _Nearest(nn.Module):
    def __init__(self, net: ProtoPNet) -> None:
        super().__init__()
        self.net = net

    def nearest(self, films: Tensor) -> Tensor:
        return self.net(films)[1]


def train_resnet(
    masses: Masses, rotation: Rotation, recipe: Recipe, folder: Path, *,
    width: float = 1.0, weights: Path | None = None, frozen: bool = False, seed: int = 0,
) -> Fold:  # fmt: skip
    """Train the ResNet18 to compare with, from `weights` of a file or from nothing.

    `frozen` leaves the backbone as the file has it, and trains three dense layers on it.
    """
    if frozen and weights is None:
        raise RequestError(
            "a backbone that knows nothing cannot stay frozen",
            mend="give weights= of a trained ResNet18, or frozen=False",
        )
    first, val, _ = rotation
    build = partial(ResNet18, width, deep_head=frozen)
    parts = [Shown(masses, rows, augment=rows is first) for rows in (first, val)]
    task = Task(build, nn.CrossEntropyLoss(), *parts)
    if weights is not None:
        torch.manual_seed(seed)
        begun = build()
        load_backbone(begun.features, weights)
        task = replace(task, start=begun)
    if frozen:
        recipe = replace(recipe, groups=(Group("features.*", frozen=True), *recipe.groups))
    found = train(task, recipe, folder=folder, seed=seed)
    return settled(found.net, masses, rotation, found.history.assign(stage="resnet"))


def settled(
    net: Any, masses: Masses, rotation: Rotation, history: pd.DataFrame,
    prototypes: pd.DataFrame | None = None,
) -> Fold:  # fmt: skip
    """The fold with its temperature and threshold, by the masses of the validation part."""
    first, val, test = rotation
    by_mass = pd.DataFrame({"y": masses.y[val], "raw": log_odds(net, masses.films[val])})
    by_mass = by_mass.groupby(masses.table["lesion"].to_numpy()[val]).mean()
    by = temperature(by_mass["y"], by_mass["raw"])
    threshold = operating_point(by_mass["y"], scaled(by_mass["raw"], by))
    made = pd.DataFrame() if prototypes is None else prototypes
    return Fold(net, by, threshold, first, test, history, made)


def train_prototypes(
    net: ProtoPNet, masses: Masses, rotation: Rotation, stages: Stages, folder: Path
) -> Fold:
    """Train a prototype network through all its stages; go on where a killed training ended.

    Adam begins anew in each joint stage, where the published code keeps its moments; the rates go
    on where the stage before ended.

    Parameters
    ----------
    net : ProtoPNet
        What it begins with, its backbone being trained already.
    masses : Masses
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
    check_enough(net, masses, first)
    shown = [Shown(masses, rows, augment=rows is first) for rows in (first, val)]
    histories, losses, made = [], [], pd.DataFrame()
    for number in range(stages.pushes):
        place = folder / f"push_{number + 1}"
        found = in_stages(_moving(net, shown, stages, number), folder=place, seed=stages.seed)
        names = ["warm", "joint"][-len(found) :]
        histories += [
            f.history.assign(stage=f"{s} {number + 1}") for s, f in zip(names, found, strict=True)
        ]
        net = deepcopy(cast(ProtoPNet, found[-1].net))
        made = push(net, masses, first)
        passes = _last_layer(net, masses, (first, val), stages, place / "last", stages.last)
        histories += [passes.assign(stage=f"last {number + 1}")]
        losses.append(float(histories[-1]["val_loss"].min()))
        if stages.patience and _rising(losses, stages.patience):
            break
    if stages.prune:
        made = prune(net, masses, first, made)
        passes = _last_layer(net, masses, (first, val), stages, folder / "pruned", 5 * stages.last)
        histories += [passes.assign(stage="pruned")]
    history = pd.concat(histories, ignore_index=True)
    made = made.assign(kept=np.isin(made["prototype"], net.kept))
    return settled(net, masses, rotation, history, made)


def _rising(losses: Sequence[float], patience: int) -> bool:
    """Whether the last so many losses were each larger than the one before."""
    last = losses[-patience - 1 :]
    return len(last) > patience and all(a < b for a, b in itertools.pairwise(last))


def _again(net: nn.Module) -> nn.Module:
    """Another of its kind, ready to learn: what `train` gave is ready to predict."""
    return deepcopy(net).train()


def _moving(
    net: ProtoPNet, shown: Sequence[Dataset], stages: Stages, number: int
) -> list[tuple[Task, Recipe]]:
    """The stages before a push: warm (before the first), joint."""
    fixed = (Group("head.*", frozen=True), Group("prototypes", weight_decay=0.0))
    task = Task(partial(_again, net), stages.losses, *shown, start=net)
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
    net: ProtoPNet, masses: Masses, rows: tuple[Rows, Rows], stages: Stages, folder: Path,
    passes: int,
) -> pd.DataFrame:  # fmt: skip
    """Train the head on similarities, which do not change any more; give the history."""
    parts = [
        TensorDataset(similarities(net, masses.films[k]), torch.from_numpy(masses.y[k]))
        for k in rows
    ]
    losses = {"cross_entropy": (1.0, cross_entropy), "l1": (stages.l1, others_l1)}
    task = Task(partial(_again, net.head), losses, *parts, start=net.head)
    recipe = Recipe(passes, stages.batch_size, stages.last_rate)
    found = train(task, recipe, folder=folder, seed=stages.seed)
    net.head.load_state_dict(found.net.state_dict())
    return found.history


def check_enough(net: ProtoPNet, masses: Masses, rows: Rows) -> None:
    """Refuse a training part of one class, or of fewer patches than prototypes."""
    counts = np.bincount(masses.y[rows], minlength=2)
    if not counts.all():
        raise DataError(
            "prototypes need both classes", expected="benign and malignant masses to train on",
            found=f"{counts[0]} benign, {counts[1]} malignant",
        )  # fmt: skip
    with torch.no_grad():
        places = int(net.eval().latent(masses.films[:1]).shape[2:].numel())
    patches, per_class = places * int(counts.min()), len(net.prototypes) // 2
    if per_class > patches:
        raise DataError(
            f"{per_class} prototypes of a class cannot be {patches} patches of training crops",
            expected=f"at most {patches} of each class",
            found=f"{counts[0]} benign and {counts[1]} malignant crops of {places} patches",
            mend="ask for fewer prototypes, or give more masses",
        )


def push(net: ProtoPNet, masses: Masses, rows: Rows) -> pd.DataFrame:
    """Move each prototype onto the nearest patch of a training crop of its class, as it is.

    Parameters
    ----------
    net : ProtoPNet
        Its prototypes are changed.
    masses : Masses
    rows : array of int
        Of the training part; its crops are not augmented here.

    Returns
    -------
    DataFrame
        What `nearest_patches` gives; ``distance`` is what the prototype was moved by.
    """
    found = nearest_patches(net, masses, rows)
    places = found[["source", "row", "column"]].to_numpy()
    latent = apply(Asked(net, "latent"), masses.films[places[:, 0].copy()], batch_size=64)
    with torch.no_grad():
        for number, (_, row, column) in enumerate(places):
            net.prototypes[number] = latent[number, :, row, column].to(net.prototypes.device)
    return found


def nearest_patches(net: ProtoPNet, masses: Masses, rows: Rows) -> pd.DataFrame:
    """The patch of crops of its class that is nearest to each prototype.

    Returns
    -------
    DataFrame
        ``prototype``, ``class``, ``source`` (row of the crop in `masses`), ``row``, ``column`` (of
        the patch in the map), ``distance`` (squared).
    """
    maps = apply(Asked(net, "distance_maps"), masses.films[rows], batch_size=64)
    table = []
    for number, of in enumerate(net.classes):
        mine = np.flatnonzero(masses.y[rows] == of)
        of_class = maps[mine, number]
        crop, row, column = np.unravel_index(int(of_class.argmin()), of_class.shape)
        table.append((number, of, rows[mine[crop]], row, column, float(of_class.min())))
    columns = ["prototype", "class", "source", "row", "column", "distance"]
    return pd.DataFrame(table, columns=columns)


def prune(net: ProtoPNet, masses: Masses, rows: Rows, prototypes: pd.DataFrame) -> pd.DataFrame:
    """Leave out prototypes fewer than 3 of whose 6 nearest training crops share their class.

    One of each class stays, the one with the most. Returns `prototypes` with ``own_class``, how
    many of the 6 share it.
    """
    seen = similarities(net, masses.films[rows])
    order = torch.sort(seen, dim=0, descending=True, stable=True)[1]
    near = masses.y[rows][order[:_NEIGHBORS].numpy()]
    own = (near == net.classes).sum(0)
    kept = own >= min(_OWN_CLASS, len(rows))
    for of in np.unique(net.classes):
        mine = np.flatnonzero(net.classes == of)
        kept[mine[own[mine].argmax()]] = True
    net.head.kept.copy_(torch.from_numpy(kept.astype(np.float32)))
    return prototypes.assign(own_class=own)


def predictions(
    masses: Masses, repeats: Sequence[Sequence[Fold]], films: Tensor | None = None
) -> pd.DataFrame:
    """Test rows of all folds of all repeats, as `learn.predictions` has them; a mass is a subject.

    Its ``patient`` tells whose masses are resampled together, ``row`` the crop.
    """
    shown = masses.films if films is None else films
    parts = [
        rows_of(masses, fold.test, number, repeat).assign(
            p=fold.predict(shown[fold.test]), threshold=fold.threshold
        )
        for repeat, folds in enumerate(repeats)
        for number, fold in enumerate(folds)
    ]
    return pd.concat(parts, ignore_index=True)


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
        if self.stages.rate <= GROUP.rate:
            require_weights("group", self.weights)

    def train(self, masses: Masses, rotation: Rotation, folder: Path) -> dict[str, Fold]:
        """Both, on the same rows; the second with the backbone of the first."""
        resnet = train_resnet(
            masses, rotation, self.recipe, folder / "resnet", width=self.width,
            weights=self.weights, frozen=self.frozen, seed=self.stages.seed,
        )  # fmt: skip
        torch.manual_seed(self.stages.seed)
        begun = self.build().take_features(resnet.net)
        found = train_prototypes(begun, masses, rotation, self.stages, folder / "prototypes")
        return {"ProtoPNet": found, "ResNet18": resnet}


def cross_validate(
    networks: Networks, masses: Masses, turns: Sequence[Sequence[Rotation]], folder: Path
) -> dict[str, list[list[Fold]]]:
    """Both networks in every rotation of every repeat: folds of each repeat by their names."""
    found = [
        [
            networks.train(masses, rotation, folder / f"repeat_{r}" / f"round_{k}")
            for k, rotation in enumerate(rotations)
        ]
        for r, rotations in enumerate(turns)
    ]
    names = found[0][0]
    return {name: [[one[name] for one in folds] for folds in found] for name in names}


def save_fold(fold: Fold, masses: Masses, path: Path, **settings: Any) -> str:
    """Keep a prototype network with what it takes to apply it to others.

    Parameters
    ----------
    fold : Fold
    masses : Masses
        What it was trained on: the names of all their patients are kept, as hashes.
    path : Path
        Ends in ``.safetensors``.
    **settings
        Of `ProtoPNet`, ``field_mm``, and what else shall be known.
    """
    seen = Seen.of(masses.table["patient"])
    told = {
        "temperature": fold.temperature, "threshold": fold.threshold, "settings": settings,
        "size": masses.pictures.shape[1], "salt": seen.salt, "patients": sorted(seen.subjects),
    }  # fmt: skip
    return save_networks({_NET: fold.net}, path, told=told)


def load_fold(path: Path, masses: Masses, **settings: Any) -> tuple[Fold, Masses, pd.DataFrame]:
    """A prototype network of an earlier run, and the masses that it can be asked about.

    Its prototypes are shown by the nearest patches of these masses: the crops that it was trained
    on are not in its file.

    Parameters
    ----------
    path : Path
        What `save_fold` wrote.
    masses : Masses
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
    here = {"size": masses.pictures.shape[1], **settings}
    for name, value in here.items():
        before = told["size"] if name == "size" else told["settings"].get(name)
        if before != value:
            raise DataError(
                f"{path.name} was trained on other crops", expected=f"{name} = {before}",
                found=f"{name} = {value}", mend="cut these crops as those were cut",
            )  # fmt: skip
    net = ProtoPNet(**{k: v for k, v in told["settings"].items() if k not in settings})
    check_same_network(net, weights[_NET], path.name, "give the file as a run left it")
    net.load_state_dict(weights[_NET])
    seen = Seen(told["salt"], frozenset(told["patients"]))
    _, named = unseen(masses.table, seen, by="patient")
    others = masses.only(~masses.table["subject"].isin(named["subject"]).to_numpy())
    every = np.arange(len(others.y))
    near = nearest_patches(net.eval(), others, every)
    near["kept"] = np.isin(near["prototype"], net.kept)
    fold = Fold(net, told["temperature"], told["threshold"], every[:0], every, pd.DataFrame(), near)
    return fold, others, named
