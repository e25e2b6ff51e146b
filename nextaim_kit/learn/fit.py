"""Training of a network: one call, Lightning underneath, and after a kill the same numbers."""

from __future__ import annotations

import json
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as lightning
import pandas as pd
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu
from torch.utils.data import DataLoader, Dataset, Sampler

from nextaim_kit.errors import DataError, RequestError, RunError
from nextaim_kit.files import atomic_path, write_json
from nextaim_kit.machine.limits import loader_workers
from nextaim_kit.memory.recompute import recomputing
from nextaim_kit.memory.training import Budget, make_room

Loss = Callable[[Tensor, Tensor], Tensor]
Metric = Callable[[Tensor, Tensor], float]
Schedule = Callable[[torch.optim.Optimizer], Any]
_BEST, _LAST, _HISTORY, _ASKED = "best.ckpt", "last.ckpt", "history.json", "asked.json"
_EVERY = 5.0  # seconds between lines of progress
_SHARE = 20  # times as long as the writing of a checkpoint takes passes until the next one


@dataclass(frozen=True)
class Fitted:
    """A trained network.

    Attributes
    ----------
    net : torch.nn.Module
        The network with its best weights, on the CPU and ready to predict.
    history : DataFrame
        ``epoch``, ``loss``, ``val_loss``, each metric as ``val_<name>``, ``learning_rate``.
    best_epoch : int
        The epoch whose weights these are, counted from 0.
    """

    net: nn.Module
    history: pd.DataFrame
    best_epoch: int


def fit(
    build: Callable[[], nn.Module],
    loss: Loss,
    train: Dataset,
    val: Dataset,
    *,
    folder: Path,
    epochs: int,
    batch_size: int = 8,
    learning_rate: float = 1e-4,
    metrics: Mapping[str, Metric] | None = None,
    monitor: str = "val_loss",
    mode: Literal["min", "max"] = "min",
    patience: int | None = None,
    plateau: int | None = None,
    lowest_rate: float = 0.0,
    anneal: bool = False,
    accumulate: int = 1,
    amsgrad: bool = False,
    recompute: Sequence[type[nn.Module]] = (),
    memory: Budget | None = None,
    workers: int | None = None,
    seed: int = 0,
) -> Fitted:
    """Train a network with Adam, keep its best weights, and go on where a killed training ended.

    Every epoch draws its order and its chance (augmentation, dropout) from `seed` and its own
    number, so that a training that was resumed ends with the numbers of one that was not.

    Parameters
    ----------
    build : callable
        Makes the network, whose first weights `seed` then decides, whatever was drawn before. It
        takes what the data sets give as inputs: one tensor, or several of a tuple.
    loss : callable
        Of outputs and targets, shape (batch, ...); gives a scalar.
    train, val : Dataset
        Items are ``(inputs, target)``.
    folder : Path
        Checkpoints live here; a finished training is read back.
    epochs, batch_size : int
    learning_rate : float
    metrics : mapping of str to callable, optional
        Computed after each epoch from all outputs and targets of `val`.
    monitor, mode : str
        What the best weights are best in: ``val_loss`` or ``val_<metric>``; "min" or "max".
    patience : int, optional
        Epochs without improvement after which training ends.
    plateau : int, optional
        Epochs without improvement after which the learning rate is halved.
    lowest_rate : float
        The learning rate does not fall below it.
    anneal : bool
        Let the learning rate fall along half a cosine over all epochs (Loshchilov & Hutter 2017,
        arXiv:1608.03983), instead of `plateau`.
    accumulate : int
        Batches whose gradients are added up before a step, with less memory. It is the same step
        only where the loss is a mean over items and nothing else looks at a whole batch: a Dice
        over the batch (`learn.losses`) and batch normalization then see a smaller one.
    amsgrad : bool
        Adam's variant (Reddi et al. 2018, arXiv:1904.09237).
    recompute : sequence of module types, optional
        Blocks whose inner activations are computed again in the backward pass instead of kept:
        less memory, more time, the same numbers (`memory.recompute`).
    memory : "auto" or float, optional
        Train within what is free now, or within so many GB (10**9 bytes): blocks computed twice,
        smaller batches accumulated to `batch_size`, activations in the host's memory, in this
        order and only as far as needed (`memory.planning`). What is chosen is printed, and kept
        in the folder. What `accumulate` says of the same step holds for accumulated batches here
        too, and an epoch's last, incomplete update weighs its items less. By default nothing is
        planned.
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
        If a part is empty, or the folder holds a training of another network or other settings.
    RunError
        If the loss is no longer a finite number.
    RequestError
        If both `anneal` and `plateau` are given, or `memory`, and the step fits by nothing that
        leaves input and network alone.
    """
    if anneal and plateau is not None:
        raise RequestError(
            "the learning rate cannot fall in two ways", expected="anneal or plateau, not both"
        )
    for name, part in (("training", train), ("validation", val)):
        if not _length(part):
            raise DataError(f"the {name} part is empty", mend="give more subjects or fewer folds")
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    net = _laid_out(build())
    history = _History(folder, epochs, monitor)
    asked = {
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "mode": mode,
        "monitor": monitor, "patience": patience, "plateau": plateau, "lowest_rate": lowest_rate,
        "anneal": anneal, "accumulate": accumulate, "amsgrad": amsgrad, "seed": seed,
        "items": [_length(train), _length(val)], "memory": memory,
    }  # fmt: skip
    before = _check_same_request(folder / _ASKED, asked)
    if (folder / _HISTORY).is_file():
        return _finished(net, folder)
    offload = False
    if memory is not None:
        room = make_room(
            build, loss, train, memory, before.get("plan"), mixed=precision() != "32-true",
            batch_size=batch_size, accumulate=accumulate, recompute=recompute, amsgrad=amsgrad,
        )  # fmt: skip
        chosen = room.record() if room.rows else before["plan"]
        write_json(folder / _ASKED, asked | {"plan": chosen})
        batch_size, accumulate = room.step.batch_size, room.step.accumulate
        recompute, offload = room.step.recompute, room.step.offload
    adam = {"lr": learning_rate, "amsgrad": amsgrad}
    schedule = _schedule(epochs, plateau, lowest_rate, anneal, mode)
    task = _Task(net, loss, dict(metrics or {}), adam, schedule, monitor, seed, offload)
    best = ModelCheckpoint(
        folder, Path(_BEST).stem, monitor, mode=mode, save_weights_only=True,
        enable_version_counter=False,
    )  # fmt: skip
    last = folder / _LAST
    stop = [EarlyStopping(monitor, mode=mode, patience=patience)] if patience else []
    with _quiet():
        trainer = lightning.Trainer(
            max_epochs=epochs,
            devices=1,
            # One process, also in a job of Slurm's with several tasks.
            plugins=[LightningEnvironment()],
            precision=precision(),
            accumulate_grad_batches=accumulate,
            callbacks=[history, *stop, best, _Last(last)],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            deterministic="warn",
            default_root_dir=folder,
        )
        most = loader_workers()
        wanted = workers if workers is not None else most * torch.cuda.is_available()
        loaders = _loaders(train, val, batch_size, min(wanted, most), seed)
        if last.is_file():
            _check_same_network(net, _weights(last), f"{folder.name}/{_LAST}")
        going_on = last if last.is_file() else None
        with recomputing(net, tuple(recompute)):
            trainer.fit(task, *loaders, ckpt_path=going_on, weights_only=False)
    finite = [{k: v if math.isfinite(v) else None for k, v in r.items()} for r in history.rows]
    write_json(folder / _HISTORY, {"history": finite, "best_epoch": history.best(mode)})
    return _finished(net, folder)


def _check_same_request(path: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """What was asked when this training began, and chosen then; refuse anything else."""
    if not path.is_file():
        write_json(path, asked)
        return asked
    before = json.loads(path.read_text(encoding="utf-8"))
    differing = [name for name in asked if before.get(name) != asked[name]]
    if differing:
        raise DataError(
            f"{path.parent.name} holds a training with other settings",
            expected=f"{differing[0]} = {asked[differing[0]]}",
            found=f"{differing[0]} = {before.get(differing[0])}",
            mend="train into an empty folder",
        )
    return before


def _finished(net: nn.Module, folder: Path) -> Fitted:
    described = json.loads((folder / _HISTORY).read_text(encoding="utf-8"))
    weights = _weights(folder / _BEST)
    _check_same_network(net, weights, f"{folder.name}/{_BEST}")
    net.load_state_dict(weights)
    history = pd.DataFrame(described["history"], dtype=float).astype({"epoch": int})
    return Fitted(net.cpu().eval(), history, described["best_epoch"])


def _weights(path: Path) -> dict[str, Tensor]:
    kept = torch.load(path, map_location="cpu", weights_only=False)["state_dict"]
    return {name.removeprefix("net."): value for name, value in kept.items()}


def _check_same_network(
    net: nn.Module, weights: Any, name: str, mend: str = "train into an empty folder"
) -> None:
    if not isinstance(weights, Mapping) or not all(isinstance(w, Tensor) for w in weights.values()):
        raise DataError(f"{name} holds no weights", expected="tensors by name")
    there = {key: tuple(value.shape) for key, value in weights.items()}
    here = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    if there != here:
        differing = sorted(n for n in {*there, *here} if there.get(n) != here.get(n))
        raise DataError(
            f"{name} is of another network",
            expected=f"{differing[0]} of shape {here.get(differing[0], 'none')}",
            found=f"shape {there.get(differing[0], 'none')}",
            mend=f"{mend}, or build the network that was saved",
        )


def _schedule(
    epochs: int, plateau: int | None, lowest: float, anneal: bool, mode: Literal["min", "max"]
) -> Schedule | None:
    """How the learning rate falls, if it does."""
    if anneal:
        return partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=epochs, eta_min=lowest)
    if plateau is None:
        return None
    return partial(
        torch.optim.lr_scheduler.ReduceLROnPlateau,
        mode=mode, factor=0.5, patience=plateau, min_lr=lowest,
    )  # fmt: skip


class _Task(lightning.LightningModule):
    """What Lightning is told of a training."""

    def __init__(
        self,
        net: nn.Module,
        loss: Loss,
        metrics: dict[str, Metric],
        adam: dict[str, Any],
        schedule: Schedule | None,
        monitor: str,
        seed: int,
        offload: bool = False,
    ) -> None:
        super().__init__()
        self.net, self.loss, self.metrics = net, loss, metrics
        self.adam, self.schedule, self.monitor = adam, schedule, monitor
        self.seed, self.offload = seed, offload
        self._seen: list[tuple[Tensor, Tensor]] = []
        self._losses: list[tuple[Tensor, int]] = []

    @property
    def mean_loss(self) -> float:
        """Of this epoch's training batches so far."""
        return sum(float(v) * n for v, n in self._losses) / sum(n for _, n in self._losses)

    def forward(self, inputs: Any) -> Tensor:
        return self.net(*inputs) if isinstance(inputs, list | tuple) else self.net(inputs)

    def configure_optimizers(self) -> Any:
        adam = torch.optim.Adam(self.net.parameters(), **self.adam)
        if self.schedule is None:
            return adam
        falling = {"scheduler": self.schedule(adam), "monitor": self.monitor}
        return {"optimizer": adam, "lr_scheduler": falling}

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(_mixed(self.seed, self.current_epoch))
        self._losses.clear()

    def training_step(self, batch: Any, _index: int) -> Tensor:
        inputs, target = batch
        with save_on_cpu(pin_memory=True) if self.offload else nullcontext():
            value = self.loss(self(inputs), target)
        if not torch.isfinite(value):
            raise RunError(
                f"the loss is {value.item():g} in epoch {self.current_epoch}",
                expected="a finite number",
                mend="lower learning_rate, and look for missing values in the data",
            )
        self._losses.append((value.detach(), len(target)))
        return value

    def validation_step(self, batch: Any, _index: int) -> None:
        inputs, target = batch
        output = self(inputs)
        value = self.loss(output, target)
        self.log("val_loss", value, on_epoch=True, batch_size=len(target))
        self._seen.append((output.float().cpu(), target.cpu()))

    def on_validation_epoch_end(self) -> None:
        outputs, targets = (torch.cat(part) for part in zip(*self._seen, strict=True))
        self._seen.clear()
        for name, metric in self.metrics.items():
            self.log(f"val_{name}", float(metric(outputs, targets)))


class _History(lightning.Callback):
    """Keeps the numbers of each epoch, in the checkpoint too, and says how far training is."""

    def __init__(self, folder: Path, epochs: int, monitor: str) -> None:
        self.folder, self.epochs, self.monitor = folder, epochs, monitor
        self.rows: list[dict[str, float]] = []
        self._began = self._said = time.monotonic()
        self._here = 0

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])
        print(f"going on after epoch {len(self.rows)} of {self.epochs}")

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        # Before the checkpoint is written, which is to hold this epoch's numbers.
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {"epoch": trainer.current_epoch, "loss": pl_module.mean_loss, **found}
        self.rows.append(row | {"learning_rate": trainer.optimizers[0].param_groups[0]["lr"]})
        self._here += 1
        now = time.monotonic()
        if now - self._said > _EVERY or len(self.rows) == self.epochs:
            self._said = now
            self._say(now - self._began)

    def _say(self, seconds: float) -> None:
        left = seconds / self._here * (self.epochs - len(self.rows))
        row = self.rows[-1]
        numbers = ", ".join(f"{name} {row[name]:.3f}" for name in ("loss", self.monitor))
        ahead = f", about {left:.0f} s left" if left else ""
        print(f"epoch {len(self.rows)} of {self.epochs}: {numbers}, {seconds:.0f} s{ahead}")

    def best(self, mode: str) -> int:
        """Epoch with the best monitored value, the first of equals."""
        sign = 1 if mode == "min" else -1
        values = [sign * row[self.monitor] for row in self.rows]
        return int(self.rows[values.index(min(v for v in values if not math.isnan(v)))]["epoch"])


class _Last(Checkpoint):
    """Writes what a killed training goes on from, best weights known; seldom where that is slow."""

    def __init__(self, path: Path) -> None:
        self.path, self.saved, self.took = path, -math.inf, 0.0

    def on_validation_end(self, trainer: Any, _module: Any) -> None:
        began = time.monotonic()
        over = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if over or began - self.saved >= _SHARE * self.took:
            trainer.save_checkpoint(self.path)
            self.saved = time.monotonic()
            self.took = self.saved - began


class _Shuffled(Sampler[int]):
    """Another order in every epoch, the same whenever that epoch comes. Lightning sets it."""

    def __init__(self, size: int, seed: int, generator: torch.Generator) -> None:
        self.size, self.seed, self.generator = size, seed, generator
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        # Loader processes take their own seeds from it.
        self.generator.manual_seed(_mixed(self.seed, epoch))

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Any:
        order = torch.Generator().manual_seed(_mixed(self.seed, self.epoch))
        return iter(torch.randperm(self.size, generator=order).tolist())


def _loaders(
    train: Dataset, val: Dataset, batch_size: int, workers: int, seed: int
) -> tuple[DataLoader, DataLoader]:
    generator = torch.Generator()
    size = _length(train)
    shared: dict[str, Any] = {"batch_size": batch_size, "num_workers": workers}
    order = _Shuffled(size, seed, generator)
    # A last batch of one would have no variance for batch normalization.
    single = size > batch_size and size % batch_size == 1
    first = DataLoader(train, sampler=order, generator=generator, drop_last=single, **shared)
    return first, DataLoader(val, **shared)


def _length(part: Dataset) -> int:
    return len(part)  # type: ignore[arg-type]  # torch leaves streams without a length open


def _mixed(seed: int, epoch: int) -> int:
    return (seed * 1_000_003 + epoch) % 2**63


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


def save_weights(net: nn.Module, path: Path) -> str:
    """Write a network's weights, whole or not at all, and give their path."""
    with atomic_path(path) as unfinished:
        torch.save(net.state_dict(), unfinished)
    return str(path)


def load_weights(net: nn.Module, path: Path) -> nn.Module:
    """Give a network the weights of a file that `save_weights` wrote.

    Raises
    ------
    DataError
        If the file cannot be read, or is of another network; names the first difference.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises whatever the bytes lead it to
        raise DataError(
            f"{path.name} holds no weights",
            expected="a file of weights that torch wrote",
            found="" if path.is_file() else "No such file",
            mend="give the weights that an earlier run left",
        ) from error
    _check_same_network(net, weights, path.name, "give the weights of a run with this network")
    net.load_state_dict(weights)
    return net


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advice, which concerns choices that were made on purpose here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        known = "many workers", "directory .* exists", "training batches", "LeafSpec", "`srun`"
        # A resumed training ends the epoch of its checkpoint first, which has no new numbers.
        for about in (*known, "could not find the monitored key"):
            warnings.filterwarnings("ignore", message=f".*{about}.*")
        yield
