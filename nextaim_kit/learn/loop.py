"""The loop of a training as Lightning runs it, the order of its items, and what it notes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from nextaim_kit.errors import RunError
from nextaim_kit.learn.recipe import (
    Recipe,
    freeze,
    hold_statistics,
    optimizer_for,
    schedule_for,
)
from nextaim_kit.learn.task import Loss, Task
from nextaim_kit.progress import Bar

_SHARE = 20  # times as long as the writing of a checkpoint takes passes until the next one


class Losses(nn.Module):
    """One loss, or several with names and weights, as one."""

    def __init__(self, loss: Loss | Mapping[str, tuple[float, Loss]]) -> None:
        super().__init__()
        several = loss if isinstance(loss, Mapping) else {"": (1.0, loss)}
        self.weights = {name: float(weight) for name, (weight, _) in several.items()}
        self._calls: dict[str, Any] = {name: call for name, (_, call) in several.items()}
        # Those with weights or buffers of their own go where the network goes.
        self.held = nn.ModuleList(c for c in self._calls.values() if isinstance(c, nn.Module))

    def parts(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Each loss, not weighted; one that gives several by name gives its own parts."""
        found = {name: call(output, target) for name, call in self._calls.items()}
        alone = found.get("")
        return dict(alone) if isinstance(alone, Mapping) else found

    def total(self, parts: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of parts."""
        return torch.stack([self.weights.get(name, 1.0) * v for name, v in parts.items()]).sum()

    def forward(self, output: Any, target: Any) -> Tensor:
        """What is minimized."""
        return self.total(self.parts(output, target))


class Loop(lightning.LightningModule):
    """What Lightning is told of a training."""

    def __init__(
        self, net: nn.Module, task: Task, recipe: Recipe, seed: int, offload: bool = False
    ) -> None:
        super().__init__()
        self.net, self.task, self.recipe = net, task, recipe
        self.seed, self.offload = seed, offload
        freeze(net, recipe.groups)
        self.losses = Losses(task.loss)
        follows = recipe.average
        self.average = (
            AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(follows)) if follows else None
        )
        self.strict_loading = False  # the losses' own weights are not kept
        self._seen: list[tuple[Any, Any]] = []
        self._noted: dict[str, list[tuple[Tensor, int]]] = {}

    def forward(self, inputs: Any) -> Any:
        return _called(self.net, inputs)

    def configure_optimizers(self) -> Any:
        return self.scheduled(optimizer_for(self.net, self.recipe), self.recipe)

    def scheduled(self, optimizer: torch.optim.Optimizer, recipe: Recipe) -> dict[str, Any]:
        """The optimizer with what changes its learning rate, as Lightning takes both."""
        found = schedule_for(optimizer, recipe, self.task.mode, self.updates())
        if found is None:
            return {"optimizer": optimizer}
        changing = {"scheduler": found[0], "interval": found[1], "monitor": self.task.monitor}
        return {"optimizer": optimizer, "lr_scheduler": changing}

    def updates(self) -> int:
        """Of the whole training."""
        return int(self.trainer.estimated_stepping_batches)

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(mixed(self.seed, self.current_epoch))
        hold_statistics(self.net)
        self._noted.clear()

    def training_step(self, batch: Any, _index: int) -> Tensor:
        inputs, target = batch
        with save_on_cpu(pin_memory=True) if self.offload else nullcontext():
            parts = self.losses.parts(self(inputs), target)
        value = self.losses.total(parts)
        self.note(parts, value, count(target))
        return value

    def note(self, parts: Mapping[str, Tensor], total: Tensor | None, items: int) -> None:
        """Keep losses for the history; refuse what is no number."""
        every = {f"loss_{name}": one for name, one in parts.items() if name}
        every |= {"loss": total} if total is not None else {}
        for name, value in every.items():
            if not torch.isfinite(value):
                raise RunError(
                    f"the loss is {value.item():g} in epoch {self.current_epoch}"
                    + (f" ({name.removeprefix('loss_')})" if name != "loss" else ""),
                    expected="a finite number",
                    mend="lower learning_rate, and look for missing values in the data",
                )
            self._noted.setdefault(name, []).append((value.detach(), items))

    def means(self) -> dict[str, float]:
        """Means of this epoch's losses over its training items so far."""
        return {
            name: sum(float(v) * n for v, n in seen) / sum(n for _, n in seen)
            for name, seen in self._noted.items()
        }

    def optimizer_step(self, *args: Any, **options: Any) -> None:
        super().optimizer_step(*args, **options)
        self.averaged()

    def averaged(self) -> None:
        """Let the average follow the weights, if there is one."""
        if self.average is not None:
            self.average.update_parameters(self.net)

    def validation_step(self, batch: Any, _index: int) -> None:
        inputs, target = batch
        output = _called(self.net if self.average is None else self.average.module, inputs)
        parts, items = self.losses.parts(output, target), count(target)
        self.log("val_loss", self.losses.total(parts), on_epoch=True, batch_size=items)
        for name in filter(None, parts):
            self.log(f"val_loss_{name}", parts[name], on_epoch=True, batch_size=items)
        self._seen.append(move_data_to_device((output, target), "cpu"))

    def on_validation_epoch_end(self) -> None:
        outputs, targets = (_joined(part) for part in zip(*self._seen, strict=True))
        outputs = _single(outputs)
        self._seen.clear()
        if self.task.monitor == "epoch":
            self.log("epoch", float(self.current_epoch))
        for name, metric in self.task.metrics.items():
            self.log(f"val_{name}", float(metric(outputs, targets)))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        kept = checkpoint["state_dict"].items()
        checkpoint["state_dict"] = {k: v for k, v in kept if not k.startswith("losses.")}


def _called(net: nn.Module, inputs: Any) -> Any:
    return net(*inputs) if isinstance(inputs, tuple) else net(inputs)


def _single(outputs: Any) -> Any:
    """Outputs in single precision, which mixed precision does not give."""
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.is_floating_point() else outputs
    if isinstance(outputs, Mapping):
        return {name: _single(one) for name, one in outputs.items()}
    return type(outputs)(map(_single, outputs)) if isinstance(outputs, list | tuple) else outputs


def count(target: Any) -> int:
    """How many items a batch's target is of."""
    if isinstance(target, Mapping):
        return count(next(iter(target.values())))
    return count(target[0]) if isinstance(target, tuple) else len(target)


def _joined(parts: Sequence[Any]) -> Any:
    """Batches' tensors end to end, in whatever holds them; lists of items are made one list."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(list(parts))
    if isinstance(first, Mapping):
        return {name: _joined([part[name] for part in parts]) for name in first}
    if isinstance(first, tuple):
        return tuple(_joined(part) for part in zip(*parts, strict=True))
    return [item for part in parts for item in part]


class History(lightning.Callback):
    """Keeps the numbers of each epoch, in the checkpoint too, and says how far training is."""

    def __init__(self, epochs: int, monitor: str) -> None:
        self.epochs, self.monitor = epochs, monitor
        self.rows: list[dict[str, float]] = []
        self._bar, self._here = Bar(), 0

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])
        print(f"going on after epoch {len(self.rows)} of {self.epochs}")

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        # Before the checkpoint is written, which is to hold this epoch's numbers.
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {"epoch": trainer.current_epoch, **pl_module.means(), **found}
        self.rows.append(row | {"learning_rate": trainer.optimizers[0].param_groups[0]["lr"]})
        self._here += 1
        self._say(f"epoch {len(self.rows)} of {self.epochs}", self.epochs)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if self._here and len(self.rows) < self.epochs:
            self._say(f"ended after epoch {len(self.rows)} of {self.epochs}", len(self.rows))

    def _say(self, what: str, total: int) -> None:
        done, seconds = len(self.rows), self._bar.seconds
        left = seconds / self._here * (total - done)
        shown = "val_loss" if self.monitor == "epoch" else self.monitor
        numbers = ", ".join(f"{name} {self.rows[-1][name]:.3f}" for name in ("loss", shown))
        ahead = f", about {left:.0f} s left" if left else ""
        self._bar.show(what, done, total, f"{numbers}, {seconds:.0f} s{ahead}")

    def best(self, mode: str) -> int:
        """Epoch with the best monitored value, the first of equals."""
        sign = 1 if mode == "min" else -1
        values = [sign * row[self.monitor] for row in self.rows]
        return int(self.rows[values.index(min(v for v in values if not math.isnan(v)))]["epoch"])


class Last(Checkpoint):
    """Writes what a killed training goes on from, best weights known; seldom where that is slow."""

    def __init__(self, path: Path) -> None:
        self.path, self.saved, self.took = path, -math.inf, 0.0

    def on_validation_end(self, trainer: Any, _module: Any) -> None:
        began = time.monotonic()
        over = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if over or began - self.saved >= _SHARE * self.took:
            trainer.save_checkpoint(self.path)
            self.path.chmod(self.path.stat().st_mode & 0o755)  # whoever writes to it trains on
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
        self.generator.manual_seed(mixed(self.seed, epoch))

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Any:
        order = torch.Generator().manual_seed(mixed(self.seed, self.epoch))
        return iter(torch.randperm(self.size, generator=order).tolist())


def loaders(task: Task, batch_size: int, workers: int, seed: int) -> tuple[DataLoader, DataLoader]:
    """Batches to learn from, in an order of each epoch's own, and to validate on."""
    generator = torch.Generator()
    size, collate = length(task.train), task.collate or _collated
    shared: dict[str, Any] = {
        "batch_size": batch_size, "num_workers": workers, "collate_fn": collate,
    }  # fmt: skip
    order = _Shuffled(size, seed, generator)
    # A last batch of one would have no variance for batch normalization.
    single = size > batch_size and size % batch_size == 1
    first = DataLoader(task.train, sampler=order, generator=generator, drop_last=single, **shared)
    return first, DataLoader(task.val, **shared)


def _collated(items: list[Any]) -> Any:
    return _tuples(default_collate(items))


def _tuples(batch: Any) -> Any:
    """Torch makes lists of tuples; here a tuple holds several tensors, a list single items."""
    if isinstance(batch, list | tuple):
        return tuple(_tuples(one) for one in batch)
    if isinstance(batch, Mapping):
        return {name: _tuples(one) for name, one in batch.items()}
    return batch


def length(part: Dataset) -> int:
    """How many items a data set has."""
    return len(part)  # type: ignore[arg-type]  # torch leaves streams without a length open


def mixed(seed: int, epoch: int) -> int:
    """The seed of an epoch."""
    return (seed * 1_000_003 + epoch) % 2**63
