"""Training of a network: one call, Lightning underneath, and after a kill the same numbers."""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as lightning
import pandas as pd
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor, nn

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import strangers_hand, write_json
from nextaim_kit.learn.adversarial import AdversarialLoop, Together, TogetherLosses
from nextaim_kit.learn.glance import alike, glance
from nextaim_kit.learn.loop import History, Last, Loop, Losses, length, loaders
from nextaim_kit.learn.recipe import Recipe, freeze
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.weights import check_same_network, digest, load_weights, read_tensors
from nextaim_kit.machine.limits import loader_workers
from nextaim_kit.memory.planning import Plan
from nextaim_kit.memory.recompute import recomputing
from nextaim_kit.memory.step_memory import Step
from nextaim_kit.memory.training import Budget, item_shapes, make_room

_BEST, _LAST, _HISTORY, _ASKED = "best.ckpt", "last.ckpt", "history.json", "asked.json"
_DATA = "data"


@dataclass(frozen=True)
class Fitted:
    """A trained network.

    Attributes
    ----------
    net : torch.nn.Module
        The network with its best weights, on the CPU and ready to predict.
    history : DataFrame
        ``epoch``, ``loss``, ``val_loss``, each named loss as ``loss_<name>``, each metric as
        ``val_<name>``, ``learning_rate``.
    best_epoch : int
        The epoch whose weights these are, counted from 0.
    """

    net: nn.Module
    history: pd.DataFrame
    best_epoch: int


def train(
    task: Task,
    recipe: Recipe,
    *,
    folder: Path,
    memory: Budget | None = None,
    recompute: Sequence[type[nn.Module]] = (),
    workers: int | None = None,
    seed: int = 0,
) -> Fitted:
    """Train a network, keep its best weights, and go on where a killed training ended.

    Every epoch draws its order and its chance (augmentation, dropout) from `seed` and its own
    number, so that a training that was resumed ends with the numbers of one that was not.

    Parameters
    ----------
    task : Task
        What is learned, and from what.
    recipe : Recipe
        How.
    folder : Path
        Checkpoints live here; a finished training is read back.
    memory : "auto" or float, optional
        Train within what is free now, or within so many GB (10**9 bytes): blocks computed twice,
        smaller batches accumulated to the recipe's, activations in the host's memory, in this
        order and only as far as needed (`memory.planning`). What is chosen is printed, and kept
        in the folder. What `Recipe.accumulate` says of the same update holds for accumulated
        batches here too, and an epoch's last, incomplete update weighs its items less. By default
        nothing is planned.
    recompute : sequence of module types, optional
        Blocks whose inner activations are computed again in the backward pass instead of kept:
        less memory, more time, the same numbers (`memory.recompute`).
    workers : int, optional
        Loader processes; no more than memory and ``/dev/shm`` can bear. By default none on a CPU,
        whose cores train, and as many as can be beside a GPU.
    seed : int

    Returns
    -------
    Fitted

    Raises
    ------
    DataError
        If a part is empty, or the folder holds a training of another network, with other settings
        or on other data, as far as a glance at some items tells (`learn.glance`).
    RunError
        If a loss is no longer a finite number.
    RequestError
        If the recipe cannot be followed (`optimizer_for`), or has no epochs and the task no start,
        or `memory` is given and the update fits by nothing that leaves input and network alone.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from torch.utils.data import TensorDataset
    >>> x = torch.linspace(-1, 1, 16)[:, None]
    >>> part = TensorDataset(x, 2 * x)
    >>> task = Task(lambda: nn.Linear(1, 1), nn.MSELoss(), part, part)
    >>> found = train(task, Recipe(20, learning_rate=0.2), folder=Path(mkdtemp()))
    epoch 20 of 20: loss ...
    >>> round(found.net.weight.item(), 1)
    2.0
    """
    for name, part in (("training", task.train), ("validation", task.val)):
        if not length(part):
            raise DataError(f"the {name} part is empty", mend="give more subjects or fewer folds")
    torch.manual_seed(seed)
    net = _begun(_laid_out(task.build()), task.start)
    if not recipe.epochs:
        return _untrained(net, task)
    folder.mkdir(parents=True, exist_ok=True)
    asked = _asked(task, recipe, memory, seed, net)
    before = _check_same_request(folder / _ASKED, asked)
    if (folder / _HISTORY).is_file():
        return _finished(net, folder)
    offload = False
    if memory is not None:
        room = _room(task, recipe, memory, before.get("plan"), recompute)
        chosen = room.record() if room.rows else before["plan"]
        write_json(folder / _ASKED, asked | {"plan": chosen})
        recipe = replace(recipe, batch_size=room.step.batch_size, accumulate=room.step.accumulate)
        recompute, offload = room.step.recompute, room.step.offload
    loop = (AdversarialLoop if task.adversary else Loop)(net, task, recipe, seed, offload)
    with _quiet(), recomputing(net, tuple(recompute)):
        history = _run(loop, folder, workers)
    finite = [{k: v if math.isfinite(v) else None for k, v in r.items()} for r in history.rows]
    write_json(folder / _HISTORY, {"history": finite, "best_epoch": history.best(task.mode)})
    return _finished(net, folder)


def _untrained(net: nn.Module, task: Task) -> Fitted:
    """The network that was given, as it is."""
    if task.start is None:
        raise RequestError(
            "in no epochs nothing is learned", expected="1 epoch or more, or weights to begin with"
        )
    nothing = pd.DataFrame(columns=["epoch", "loss", "val_loss", "learning_rate"], dtype=float)
    return Fitted(net.cpu().eval(), nothing.astype({"epoch": int}), 0)


def in_stages(
    stages: Sequence[tuple[Task, Recipe]], *, folder: Path, seed: int = 0, **options: Any
) -> list[Fitted]:
    """Train one stage after the other, each beginning with the best weights of the one before.

    Parameters
    ----------
    stages : sequence of (Task, Recipe)
        Of one network; what is frozen, lost and shown may change from stage to stage.
    folder : Path
        Each stage has a folder in it, ``1``, ``2``, ...
    seed, **options
        As `train` takes them.

    Returns
    -------
    list of Fitted
        Of each stage; the last is the result.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from torch.utils.data import TensorDataset
    >>> x = torch.linspace(-1, 1, 16)[:, None]
    >>> part = TensorDataset(x, x)
    >>> task = Task(lambda: nn.Linear(1, 1), nn.MSELoss(), part, part)
    >>> fast, slow = Recipe(2, learning_rate=0.1), Recipe(2, learning_rate=0.01)
    >>> found = in_stages([(task, fast), (task, slow)], folder=Path(mkdtemp()))
    epoch 2 of 2: loss ...
    >>> len(found)
    2
    """
    found: list[Fitted] = []
    for number, (task, recipe) in enumerate(stages, 1):
        begun = replace(task, start=found[-1].net) if found else task
        found.append(train(begun, recipe, folder=folder / str(number), seed=seed, **options))
    return found


def _begun(net: nn.Module, start: nn.Module | Path | None) -> nn.Module:
    """The network with the weights that it begins with."""
    if start is None:
        return net
    if isinstance(start, Path):
        return load_weights(net, start)
    check_same_network(net, start.state_dict(), "start", "begin with a network of this kind")
    net.load_state_dict(start.state_dict())
    return net


def _run(loop: Loop, folder: Path, workers: int | None) -> History:
    task, recipe, manual = loop.task, loop.recipe, not loop.automatic_optimization
    history, last = History(recipe.epochs, task.monitor), folder / _LAST
    best = ModelCheckpoint(
        folder, Path(_BEST).stem, task.monitor, mode=task.mode, save_weights_only=True,
        enable_version_counter=False,
    )  # fmt: skip
    patience = recipe.patience
    # At the end of validation, before `Last` writes: a resumed epoch has no value to look at.
    when: dict[str, Any] = {"mode": task.mode, "check_on_train_epoch_end": False}
    stop = [EarlyStopping(task.monitor, patience=patience, **when)] if patience else []
    trainer = lightning.Trainer(
        max_epochs=recipe.epochs,
        devices=1,
        # One process, also in a job of Slurm's with several tasks.
        plugins=[LightningEnvironment()],
        precision=precision(),
        accumulate_grad_batches=1 if manual else recipe.accumulate,
        gradient_clip_val=None if manual else recipe.clip,
        callbacks=[history, *stop, best, Last(last)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        deterministic="warn",
        default_root_dir=folder,
    )
    most = loader_workers()
    wanted = workers if workers is not None else most * torch.cuda.is_available()
    batches = loaders(task, recipe.batch_size, min(wanted, most), loop.seed)
    if last.is_file():
        _require_own(last)
        check_same_network(loop.net, _weights(last, "net."), f"{folder.name}/{_LAST}")
    going_on = last if last.is_file() else None
    trainer.fit(loop, *batches, ckpt_path=going_on, weights_only=True)
    return history


def _require_own(last: Path) -> None:
    if doubt := strangers_hand(last):
        raise DataError(
            f"{last.parent.name}/{last.name} is not gone on from",
            expected="the state of a training that you alone have written",
            found=doubt,
            mend="train into an empty folder; or, if it is yours: chmod go-w",
        )


def _room(task: Task, recipe: Recipe, memory: Budget, before: Any, recompute: Any) -> Plan:
    """How the training fits into memory."""

    def build() -> nn.Module:
        net = task.build()
        freeze(net, recipe.groups)
        for number, weight in enumerate(list(net.parameters()) if recipe.average else ()):
            net.register_buffer(f"average_{number}", weight.detach().clone())
        return Together(net, task.adversary) if task.adversary else net

    inputs, target = item_shapes(task.train, task.collate)
    loss = TogetherLosses(task.loss, task.adversary) if task.adversary else Losses(task.loss)
    asked = Step(
        build, inputs, target, loss, recipe.batch_size, recipe.accumulate,
        device="cuda" if torch.cuda.is_available() else "cpu", mixed=precision() != "32-true",
        recompute=tuple(recompute), optimizer=partial(recipe.optimizer, **recipe.settings),
    )  # fmt: skip
    return make_room(asked, memory, before)


def _asked(
    task: Task, recipe: Recipe, memory: Budget | None, seed: int, net: nn.Module
) -> dict[str, Any]:
    """What decides a training's numbers, as plain values."""
    losses = task.loss if isinstance(task.loss, Mapping) else {"loss": (1.0, task.loss)}
    named = {name: [float(weight), _name(call)] for name, (weight, call) in losses.items()}
    plain = {
        **recipe.record(), "losses": named, "monitor": task.monitor, "mode": task.mode,
        "items": [length(task.train), length(task.val)], "memory": memory, "seed": seed,
        _DATA: [glance(task.train), glance(task.val)],
        "start": digest(net) if task.start is not None else None,
        "adversary": task.adversary.record() if task.adversary else None,
    }  # fmt: skip
    return json.loads(json.dumps(plain))


def _name(call: Any) -> str:
    return getattr(call, "__qualname__", type(call).__qualname__)


def _check_same_request(path: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """What was asked when this training began, and chosen then; refuse anything else."""
    if not path.is_file():
        write_json(path, asked)
        return asked
    before = json.loads(path.read_text(encoding="utf-8"))
    differing = [name for name in asked if name != _DATA and before.get(name) != asked[name]]
    if differing:
        raise DataError(
            f"{path.parent.name} holds a training with other settings",
            expected=f"{differing[0]} = {asked[differing[0]]}",
            found=f"{differing[0]} = {before.get(differing[0])}",
            mend="train into an empty folder",
        )
    parts = zip(("training", "validation"), before.get(_DATA, ()), asked[_DATA], strict=False)
    other = [name for name, was, now in parts if not alike(was, now)]
    if other:
        raise DataError(
            f"{path.parent.name} holds a training on other data",
            expected=f"the {other[0]} items that it began with",
            found="as many others",
            mend="train into an empty folder",
        )
    return before


def _finished(net: nn.Module, folder: Path) -> Fitted:
    described = json.loads((folder / _HISTORY).read_text(encoding="utf-8"))
    weights = _weights(folder / _BEST, "average.module.") or _weights(folder / _BEST, "net.")
    check_same_network(net, weights, f"{folder.name}/{_BEST}")
    net.load_state_dict(weights)
    history = pd.DataFrame(described["history"], dtype=float).astype({"epoch": int})
    return Fitted(net.cpu().eval().requires_grad_(True), history, described["best_epoch"])


def _weights(path: Path, of: str) -> dict[str, Tensor]:
    kept = read_tensors(path)["state_dict"]
    return {name.removeprefix(of): v for name, v in kept.items() if name.startswith(of)}


def precision() -> Literal["bf16-mixed", "16-mixed", "32-true"]:
    """What this machine trains in: bfloat16 or, on older GPUs, half precision; single on a CPU."""
    if not torch.cuda.is_available():
        return "32-true"
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if native else "16-mixed"


def _laid_out(net: nn.Module) -> nn.Module:
    """A network whose 3-D convolutions, on a CPU, keep channels together: half the time."""
    if torch.cuda.is_available() or not any(isinstance(m, nn.Conv3d) for m in net.modules()):
        return net
    # torch's stubs leave this form out.
    return net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advice, which concerns choices that were made on purpose here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        known = "many workers", "directory .* exists", "training batches", "LeafSpec", "`srun`"
        held = "in eval mode at the start"  # a network of a loss, which does not learn
        # A resumed training ends the epoch of its checkpoint first, which has no new numbers.
        resumed = "could not find the monitored key", r"Detected call of `lr_scheduler.step"
        for about in (*known, held, *resumed):
            warnings.filterwarnings("ignore", message=f".*{about}.*")
        yield
