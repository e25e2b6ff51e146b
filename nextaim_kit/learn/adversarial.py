"""Two networks that learn against each other: one makes, the other tells made from real."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu

from nextaim_kit.learn.loop import Loop, Losses, count
from nextaim_kit.learn.recipe import Recipe, optimizer_for
from nextaim_kit.learn.task import Adversary


class AdversarialLoop(Loop):
    """A loop with two optimizers: in every batch first the network learns, then its judge."""

    def __init__(self, net: nn.Module, *rest: Any) -> None:
        super().__init__(net, *rest)
        self.automatic_optimization = False
        assert self.task.adversary is not None
        self.adversary = self.task.adversary
        self.judge = self.adversary.build()

    def configure_optimizers(self) -> Any:
        made = self.adversary
        judging = Recipe(
            self.recipe.epochs, learning_rate=made.learning_rate, optimizer=made.optimizer,
            settings=made.settings, schedule=self.recipe.schedule,
        )  # fmt: skip
        pairs = [self._optimizer(self.net, self.recipe), self._optimizer(self.judge, judging)]
        schedules = [found["lr_scheduler"] for found in pairs if "lr_scheduler" in found]
        for schedule in schedules:
            del schedule["monitor"]  # what changes by hand needs none
        return [found["optimizer"] for found in pairs], schedules

    def _optimizer(self, net: nn.Module, recipe: Recipe) -> dict[str, Any]:
        return self.scheduled(optimizer_for(net, recipe), recipe)

    def updates(self) -> int:
        batches = super().updates() // self.recipe.epochs  # Lightning accumulates none of them
        return -(-batches // self.recipe.accumulate) * self.recipe.epochs

    def training_step(self, batch: Any, index: int) -> None:  # type: ignore[override]  # learns by hand
        inputs, target = batch
        both: Any = self.optimizers()
        first, second = both
        ends = (index + 1) % self.recipe.accumulate == 0 or self.trainer.is_last_batch
        self.toggle_optimizer(first)
        with save_on_cpu(pin_memory=True) if self.offload else nullcontext():
            output = self(inputs)
            own = self.losses.parts(output, target)
            real = self._judged(inputs, target).detach()
            fools = self.adversary.fools(real, self._judged(inputs, output))
        value = self.losses.total(own) + self.adversary.weight * fools
        self.note({**own, "fools": fools}, value, count(target))
        self._learn(first, value, ends)
        self.untoggle_optimizer(first)
        self.toggle_optimizer(second)
        made = self._judged(inputs, output.detach())
        wrong = self.adversary.loss(self._judged(inputs, target), made)
        self.note({"judge": wrong}, None, count(target))
        self._learn(second, wrong, ends)
        self.untoggle_optimizer(second)
        if ends:
            self.averaged()
            self._step_schedules("step")

    def _judged(self, inputs: Any, shown: Any) -> Tensor:
        return judged(self.judge, self.adversary, inputs, shown)

    def _learn(self, optimizer: Any, value: Tensor, ends: bool) -> None:
        self.manual_backward(value / self.recipe.accumulate)
        if ends:
            if self.recipe.clip:
                self.clip_gradients(optimizer, self.recipe.clip, "norm")
            optimizer.step()
            optimizer.zero_grad()

    def on_train_epoch_end(self) -> None:
        self._step_schedules("epoch")

    def _step_schedules(self, when: str) -> None:
        for config in self.trainer.lr_scheduler_configs:
            change: Any = config.scheduler.step
            if config.interval == when and config.reduce_on_plateau:
                change(self.trainer.callback_metrics[self.task.monitor])
            elif config.interval == when:
                change()


def judged(judge: nn.Module, adversary: Adversary, inputs: Any, shown: Any) -> Tensor:
    """Logits of a judge for targets or outputs."""
    return judge(adversary.sees(inputs, shown) if adversary.sees else shown)


class Together(nn.Module):
    """A network and its judge in one step, whose memory is planned: no less than that of two."""

    def __init__(self, net: nn.Module, adversary: Adversary) -> None:
        super().__init__()
        self.net, self.judge, self.adversary = net, adversary.build(), adversary

    def forward(self, *inputs: Any) -> tuple[Any, Tensor, Tensor]:
        """The output, and what is said of it and of what could be a target."""
        output = self.net(*inputs)
        given = inputs if len(inputs) > 1 else inputs[0]
        ways = (output, output.detach())
        return output, *(judged(self.judge, self.adversary, given, way) for way in ways)


class TogetherLosses(Losses):
    """What a network minimizes that a judge looks at."""

    def __init__(self, losses: Any, adversary: Adversary) -> None:
        super().__init__(losses)
        self.adversary = adversary

    def forward(self, output: Any, target: Any) -> Tensor:
        """Of the three things that `Together` gives."""
        made, fooled, real = output
        return super().forward(made, target) + self.adversary.weight * self.adversary.fools(
            real, fooled
        )
