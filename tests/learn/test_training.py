"""Training learns, keeps its best weights, and survives a kill with the same numbers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import fields, replace

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from nextaim_kit.errors import DataError, RequestError, RunError
from nextaim_kit.learn.loop import Loop
from nextaim_kit.learn.recipe import Constant, Cosine, Group, Plateau, Recipe, Steps
from nextaim_kit.learn.task import Adversary, Task
from nextaim_kit.learn.training import in_stages, precision, train

SETUP = """\
import os, sys, torch
from pathlib import Path
from torch import nn
from torch.utils.data import Dataset
from nextaim_kit.learn.recipe import Plateau, Recipe
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import train

class Points(Dataset):
    def __init__(self, seed, n, fatal=0):
        draw = torch.Generator().manual_seed(seed)
        self.x, self.fatal, self.given = torch.randn(n, 6, generator=draw), fatal, 0
        self.y = (self.x[:, :1] > 0).float()
    def __len__(self):
        return len(self.x)
    def __getitem__(self, i):
        self.given += 1
        if self.fatal and self.given == self.fatal:
            os.kill(os.getpid(), 9)
        return self.x[i] + 0.1 * torch.randn(6), self.y[i]

def net():
    layers = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 1)
    return nn.Sequential(*layers)

torch.rand(os.getpid() % 7)
task = Task(net, nn.BCEWithLogitsLoss(), Points(1, 64, int(sys.argv[2])), Points(2, 32))
how = Recipe(6, learning_rate=1e-2, schedule=Plateau(1))
found = train(task, how, folder=Path(sys.argv[1]), seed=5)
found.history.to_csv(Path(sys.argv[1]) / "history.csv", index=False)
print(found.best_epoch, sum(p.double().sum().item() for p in found.net.parameters()))
"""


def accuracy(outputs, targets) -> float:
    return ((outputs > 0) == (targets > 0)).float().mean().item()


def points(n=200, seed=0, noise=0.3):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 8, generator=draw)
    y = (x[:, :1] + noise * torch.randn(n, 1, generator=draw) > 0).float()
    return TensorDataset(x, y)


def network(drop=0.2):
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(drop), nn.Linear(16, 1))


def split(build, options):
    """Task, recipe and what is left for `train`, of options for any of them."""
    given = {"epochs": 5, "learning_rate": 1e-2, "metrics": {"accuracy": accuracy},
             "loss": nn.BCEWithLogitsLoss(), "train": points(160), "val": points(80, 1),
             **options}  # fmt: skip
    own, how = ({f.name for f in fields(kind)} & set(given) for kind in (Task, Recipe))
    task = Task(build, **{name: given.pop(name) for name in sorted(own)})
    return task, Recipe(**{name: given.pop(name) for name in sorted(how)}), given


def trained(folder, build=network, **options):
    task, recipe, rest = split(build, options)
    return train(task, recipe, folder=folder, **rest)


def test_in_a_job_of_slurm_one_process_trains_and_says_nothing_of_it(
    tmp_path, monkeypatch, recwarn
):
    (tmp_path / "srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    before = trained(tmp_path / "before").history
    for name, value in {"NTASKS": "4", "JOB_ID": "7", "JOB_NAME": "row", "PROCID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert trained(tmp_path / "job").history.equals(before)
    assert [w for w in recwarn if "srun" in str(w.message)] == []


def test_a_planted_rule_is_learned_and_the_loss_falls(tmp_path):
    found = trained(tmp_path, epochs=12)
    assert found.history["val_accuracy"].iloc[-1] > 0.85
    assert found.history["loss"].iloc[-1] < 0.6 * found.history["loss"].iloc[0]
    assert list(found.history["epoch"]) == list(range(12))


def test_the_weights_given_back_are_those_of_the_best_epoch(tmp_path):
    found = trained(tmp_path, learning_rate=0.3, epochs=8)
    best = found.history["val_loss"].idxmin()
    assert found.best_epoch == best
    x, y = points(80, 1).tensors
    again = nn.BCEWithLogitsLoss()(found.net(x), y).item()
    assert again == pytest.approx(found.history["val_loss"][best], abs=1e-6)
    assert not found.net.training


def test_the_best_can_be_the_largest_of_a_metric(tmp_path):
    found = trained(tmp_path, monitor="val_accuracy", mode="max", learning_rate=0.3, epochs=8)
    assert found.best_epoch == found.history["val_accuracy"].idxmax()


def test_the_same_seed_gives_the_same_numbers_and_another_others(tmp_path):
    first = trained(tmp_path / "a", seed=1).history
    torch.rand(7)  # what was drawn before does not matter
    again = trained(tmp_path / "b", seed=1).history
    other = trained(tmp_path / "c", seed=2).history
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert not first["loss"].equals(other["loss"])


def test_training_ends_when_nothing_improves_any_more(tmp_path):
    found = trained(tmp_path, learning_rate=0.0, epochs=30, patience=3)
    assert len(found.history) == 4
    assert found.best_epoch == 0


def test_the_learning_rate_is_halved_on_a_plateau(tmp_path):
    best = {"monitor": "val_accuracy", "mode": "max"}
    found = trained(tmp_path, learning_rate=1e-6, epochs=6, schedule=Plateau(1), **best)
    assert found.history["learning_rate"].iloc[-1] <= 0.5e-6


def test_the_learning_rate_falls_in_steps(tmp_path):
    found = trained(tmp_path, learning_rate=1e-3, epochs=5, schedule=Steps(2, 0.5))
    after = [1e-3, 5e-4, 5e-4, 2.5e-4, 2.5e-4]  # of each epoch
    assert found.history["learning_rate"].tolist() == after


def test_gradients_of_small_batches_add_up_to_those_of_a_large_one(tmp_path):
    whole = trained(tmp_path / "a", lambda: network(0), batch_size=16)
    parts = trained(tmp_path / "b", lambda: network(0), batch_size=4, accumulate=4)
    for one, other in zip(whole.net.parameters(), parts.net.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_network_of_several_inputs_is_given_them_apart(tmp_path):
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(8, 1), nn.Linear(3, 1)

        def forward(self, image, table):
            return self.one(image) + self.two(table)

    class Pairs(torch.utils.data.Dataset):
        def __init__(self, n, seed):
            self.base = points(n, seed)

        def __len__(self):
            return len(self.base)

        def __getitem__(self, i):
            x, y = self.base[i]
            return (x, x[:3]), y

    found = trained(tmp_path, Sum, train=Pairs(100, 0), val=Pairs(50, 1), epochs=10)
    assert found.history["val_accuracy"].iloc[-1] > 0.8


def test_a_finished_training_is_read_back_and_not_repeated(tmp_path):
    first = trained(tmp_path)
    torch.rand(5)
    again = trained(tmp_path)
    pd.testing.assert_frame_equal(first.history, again.history)
    x = torch.ones(2, 8)
    torch.testing.assert_close(first.net(x), again.net(x))


@pytest.mark.rest
def test_a_killed_training_goes_on_to_the_numbers_of_an_undisturbed_one(
    tmp_path, monkeypatch, capsys
):
    def here(name):
        monkeypatch.setattr(sys, "argv", ["", str(tmp_path / name), "0"])
        exec(SETUP, {"__name__": "setup"})
        return capsys.readouterr().out

    whole = here("whole")
    first = 1 + 64 + 8  # items that are looked at before
    fatal = str(first + 64 * 3 + 20)  # in the fourth epoch
    command = [sys.executable, "-c", SETUP, str(tmp_path / "killed"), fatal]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -9
    resumed = here("killed")
    assert re.search(r"going on after epoch [123] of 6", resumed)
    assert resumed.splitlines()[-1] == whole.splitlines()[-1]
    histories = [(tmp_path / name / "history.csv").read_text() for name in ("whole", "killed")]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_training_does_not_go_on_with_other_data_of_the_same_length(tmp_path, part):
    trained(tmp_path, epochs=1, train=points(40), val=points(40))
    x, y = points(40).tensors
    other = TensorDataset(x, torch.cat([1 - y[:1], y[1:]]))  # one label of forty
    with pytest.raises(DataError, match=r"on other data(.|\n)*the (train|valid)\w+ items"):
        trained(tmp_path, epochs=1, **{"train": points(40), "val": points(40), part: other})


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    trained(tmp_path)
    with pytest.raises(DataError, match="of another network"):
        trained(tmp_path, lambda: nn.Linear(8, 1))


def test_an_empty_part_is_refused(tmp_path):
    empty = torch.utils.data.Subset(points(), [])
    with pytest.raises(DataError, match="validation part is empty"):
        trained(tmp_path, val=empty)


def test_a_loss_that_is_no_number_ends_training_with_its_epoch(tmp_path):
    broken = points(32)
    broken.tensors[0][5] = float("nan")
    with pytest.raises(RunError, match=r"the loss is nan in epoch 0(.|\n)*missing values"):
        trained(tmp_path, train=broken)


def test_a_metric_that_does_not_exist_in_an_epoch_is_empty_in_a_history_that_is_json(tmp_path):
    values = iter([float("nan"), 0.5, float("inf")])
    trained(tmp_path, epochs=3, metrics={"share": lambda *_: next(values)})
    text = (tmp_path / "history.json").read_text()
    rows = json.loads(text, parse_constant=pytest.fail)["history"]
    assert [row["val_share"] for row in rows] == [None, 0.5, None]
    again = trained(tmp_path, epochs=3, metrics={"share": pytest.fail}).history["val_share"]
    assert again.isna().tolist() == [True, False, True]


def test_progress_is_told_at_the_end(tmp_path, capsys):
    trained(tmp_path, epochs=2)
    assert capsys.readouterr().out.startswith("epoch 2 of 2: loss 0.")


def test_a_training_with_other_settings_is_not_taken_for_this_one(tmp_path):
    trained(tmp_path, epochs=1)
    with pytest.raises(DataError, match=r"other settings(.|\n)*epochs = 3"):
        trained(tmp_path, epochs=3)


class Block(nn.Sequential):
    """Counts how often it is computed."""

    computed = 0

    def forward(self, x):
        Block.computed += 1
        return super().forward(x)


def blocks():
    layers = [
        Block(nn.Linear(n, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.ReLU()) for n in (8, 16)
    ]
    return nn.Sequential(*layers, nn.Linear(16, 1))


def test_blocks_that_are_computed_twice_end_with_the_same_numbers(tmp_path):
    def run(name, **options):
        before = Block.computed
        return trained(tmp_path / name, blocks, epochs=2, **options), Block.computed - before

    (kept, once), (again, more) = run("kept"), run("again", recompute=(Block,))
    steps = 2 * 2 * 160 // 8  # epochs, blocks, batches
    assert more - once == steps
    pd.testing.assert_frame_equal(kept.history, again.history, rtol=1e-6)
    expected, found = kept.net.state_dict(), again.net.state_dict()
    assert list(expected) == list(found)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)


def test_the_learning_rate_is_not_halved_below_its_lowest(tmp_path):
    found = trained(
        tmp_path, epochs=6, schedule=Plateau(0, lowest=3e-3), monitor="val_same",
        metrics={"same": lambda outputs, targets: 0.0},
    )  # fmt: skip
    rates = found.history["learning_rate"].drop_duplicates()
    assert rates.tolist() == pytest.approx([1e-2, 5e-3, 3e-3])


def test_a_machine_without_a_gpu_trains_in_single_precision():
    assert (precision() == "32-true") == (not torch.cuda.is_available())


def wide():
    """A network whose activations are most of what it takes; blocks that can be computed twice."""
    layers = [Block(nn.Linear(n, 512), nn.LayerNorm(512), nn.Tanh()) for n in (8, 512, 512)]
    return nn.Sequential(*layers, nn.Linear(512, 1))


def wide_points(seed=0):
    return points(4096, seed)


def planned(folder, gb, **options):
    given = {"epochs": 2, "batch_size": 2048, "memory": gb, "train": wide_points(),
             "val": wide_points(1), "learning_rate": 1e-4}  # fmt: skip
    return trained(folder, wide, **given | options)


def test_a_training_that_fits_is_not_changed_by_the_planner(tmp_path, capsys):
    free = planned(tmp_path / "a", None)
    room = planned(tmp_path / "b", "auto")
    pd.testing.assert_frame_equal(free.history, room.history, check_exact=True)
    said = capsys.readouterr().out
    assert "fits into" in said
    assert "activation checkpointing" not in said


def test_within_little_memory_the_same_is_learned_and_what_was_chosen_is_kept(tmp_path, capsys):
    free = planned(tmp_path / "a", None)
    tight = planned(tmp_path / "b", 0.025)
    said = capsys.readouterr().out
    assert re.search(r"activation checkpointing: Block +0\.\d\d GB +1\.\d\d x +taken", said)
    chosen = json.loads((tmp_path / "b" / "asked.json").read_text())["plan"]
    assert chosen["predicted_gb"] <= 0.025
    assert chosen["batch_size"] * chosen["accumulate"] == 2048
    assert chosen["batch_size"] < 2048
    pd.testing.assert_frame_equal(free.history, tight.history, rtol=1e-3)


class Payload:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def half_done(folder):
    """A training of 2 epochs, of which the last is not known yet; and one that goes on with it."""

    def go_on():
        part = TensorDataset(torch.linspace(-1, 1, 8)[:, None], torch.zeros(8, 1))
        task = Task(lambda: nn.Linear(1, 1), nn.MSELoss(), part, part)
        return train(task, Recipe(2, learning_rate=0.1), folder=folder)

    go_on()
    (folder / "history.json").unlink()
    return go_on


def test_what_lies_in_a_state_of_training_beside_numbers_is_not_run(tmp_path):
    go_on, last = half_done(tmp_path / "a"), tmp_path / "a" / "last.ckpt"
    state = torch.load(last, weights_only=True)
    torch.save(state | {"hyper_parameters": Payload(tmp_path / "ran")}, last)
    with pytest.raises(DataError, match=r"last\.ckpt holds no weights"):
        go_on()
    assert not (tmp_path / "ran").exists()


def test_a_state_of_training_that_others_can_have_written_is_not_gone_on_from(tmp_path):
    before = os.umask(0)
    go_on, last = half_done(tmp_path / "a"), tmp_path / "a" / "last.ckpt"
    os.umask(before)
    assert last.stat().st_mode & 0o022 == 0
    last.chmod(0o666)
    with pytest.raises(DataError, match=r"not gone on from(.|\n)*others may write to it"):
        go_on()


def test_a_resumed_training_keeps_the_plan_it_began_with(tmp_path, capsys):
    planned(tmp_path, 0.025)
    before = json.loads((tmp_path / "asked.json").read_text())["plan"]
    (tmp_path / "history.json").unlink()  # as if killed before the end
    capsys.readouterr()
    planned(tmp_path, 0.025)
    assert json.loads((tmp_path / "asked.json").read_text())["plan"] == before
    assert "taken" not in capsys.readouterr().out


def test_a_training_that_fits_by_no_harmless_trick_is_refused_with_the_table(tmp_path):
    with pytest.raises(RequestError, match=r"does not fit into memory(.|\n)*patches(.|\n)*yours"):
        planned(tmp_path, 0.001)


def test_the_true_peak_of_a_planned_training_is_within_what_was_given(tmp_path):
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        planned(tmp_path, 0.025, epochs=1, val=points(16))
    now = peak = 0
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    assert 0.012e9 < peak < 0.03e9  # the data themselves are not planned for


def test_items_that_are_no_tensors_cannot_be_planned_for(tmp_path):
    class Named(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return torch.ones(8), "a name"

    with pytest.raises(DataError, match=r"cannot be planned for such items(.|\n)*Tensor, tuple"):
        trained(tmp_path, train=Named(), memory="auto")


@pytest.mark.parametrize("memory", ["lots", 0, -1.0])
def test_what_is_no_memory_is_refused(tmp_path, memory):
    with pytest.raises(RequestError, match="auto, or more than 0 GB"):
        trained(tmp_path, memory=memory)


def test_weight_decay_and_momentum_come_to_the_optimizer_that_is_named(tmp_path):
    given = {"optimizer": torch.optim.SGD, "settings": {"momentum": 0.9, "weight_decay": 0.5}}
    decayed = trained(tmp_path / "a", learning_rate=0.05, epochs=10, **given)
    free = trained(tmp_path / "b", learning_rate=0.05, epochs=10, optimizer=torch.optim.SGD)
    size = [sum(p.norm().item() for p in one.net.parameters()) for one in (decayed, free)]
    assert size[0] < 0.5 * size[1]


def test_a_setting_that_the_optimizer_does_not_take_is_refused(tmp_path):
    with pytest.raises(RequestError, match=r"SGD takes no amsgrad(.|\n)*momentum"):
        trained(tmp_path, optimizer=torch.optim.SGD, settings={"amsgrad": True})


def test_groups_have_their_own_rates_and_what_is_frozen_stays(tmp_path):
    def build():
        return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 1))

    first = torch.manual_seed(0) and build()
    groups = (Group("0.*", frozen=True), Group("1.*", frozen=True), Group("3.bias", factor=0.0))
    found = trained(tmp_path, build, groups=groups, seed=0).net
    before, after = first.state_dict(), found.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"3.weight"}  # the frozen normalization's statistics stay as well


def test_a_pattern_without_weights_is_refused_and_so_is_a_network_of_frozen_ones(tmp_path):
    with pytest.raises(RequestError, match=r"'encoder\.\*' fits no weight(.|\n)*0\.weight"):
        trained(tmp_path / "a", groups=(Group("encoder.*"),))
    with pytest.raises(RequestError, match="no weight may learn"):
        trained(tmp_path / "b", groups=(Group("*", frozen=True),))


def test_the_rate_rises_in_the_warm_up_and_falls_along_a_cosine_to_its_lowest(tmp_path):
    schedule = Cosine(lowest=1e-3, warmup=20)  # of 5 epochs of 20 updates
    found = trained(tmp_path, schedule=schedule)
    rates = found.history["learning_rate"].tolist()
    assert rates[0] == pytest.approx(1e-2, rel=0.06)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(1e-3, rel=0.05)


def test_a_warm_up_as_long_as_the_training_is_refused(tmp_path):
    with pytest.raises(RequestError, match="fewer than 100 updates"):
        trained(tmp_path, schedule=Constant(warmup=100))


def test_gradients_longer_than_the_clip_are_shortened(tmp_path):
    given = {"optimizer": torch.optim.SGD, "learning_rate": 1.0, "epochs": 1, "batch_size": 160}
    first = torch.manual_seed(0) and network(0)
    found = trained(tmp_path, lambda: network(0), clip=1e-3, seed=0, **given).net
    steps = [a - b for a, b in zip(first.parameters(), found.parameters(), strict=True)]
    assert torch.cat([s.flatten() for s in steps]).norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_the_average_of_the_weights_is_what_is_validated_and_kept(tmp_path):
    given = {"learning_rate": 0.3, "epochs": 4, "monitor": "val_loss"}
    plain = trained(tmp_path / "a", lambda: network(0), **given)
    averaged = trained(tmp_path / "b", lambda: network(0), average=0.9, **given)
    pd.testing.assert_series_equal(plain.history["loss"], averaged.history["loss"])
    assert averaged.history["val_loss"].iloc[-1] != plain.history["val_loss"].iloc[-1]
    x, y = points(80, 1).tensors
    best = averaged.history["val_loss"].min()
    assert nn.BCEWithLogitsLoss()(averaged.net(x), y).item() == pytest.approx(best, abs=1e-6)


def test_losses_with_names_stand_in_the_history_and_sum_up_by_their_weights(tmp_path):
    def size(outputs, targets):
        return outputs.square().mean()

    losses = {"truth": (1.0, nn.BCEWithLogitsLoss()), "size": (0.1, size)}
    found = trained(tmp_path, loss=losses).history
    for when in ("", "val_"):
        total = found[f"{when}loss_truth"] + 0.1 * found[f"{when}loss_size"]
        pd.testing.assert_series_equal(total, found[f"{when}loss"], check_names=False, rtol=1e-5)


def test_parts_that_one_loss_gives_by_name_stand_in_the_history_and_are_summed(tmp_path):
    def both(outputs, targets):
        return {
            "truth": nn.functional.binary_cross_entropy_with_logits(outputs, targets),
            "size": 0.1 * outputs.square().mean(),
        }

    found = trained(tmp_path, loss=both).history
    for when in ("", "val_"):
        total = found[f"{when}loss_truth"] + found[f"{when}loss_size"]
        pd.testing.assert_series_equal(total, found[f"{when}loss"], check_names=False, rtol=1e-5)


def test_a_loss_that_is_no_number_is_named(tmp_path):
    losses = {
        "truth": (1.0, nn.BCEWithLogitsLoss()),
        "odd": (0.0, lambda *_: torch.tensor(torch.nan)),
    }
    with pytest.raises(RunError, match=r"the loss is nan in epoch 0 \(odd\)"):
        trained(tmp_path, loss=losses)


class Boxes(torch.utils.data.Dataset):
    """Pictures with one to three marks, whose places are the target."""

    def __len__(self):
        return 24

    def __getitem__(self, i):
        places = torch.arange(1 + i % 3) * 2.0
        return torch.eye(8)[places.long()].sum(0), places


def test_targets_of_unequal_number_are_learned_from_and_measured(tmp_path):
    seen = []

    def collate(items):
        return torch.stack([x for x, _ in items]), [places for _, places in items]

    def loss(outputs, targets):
        truth = torch.tensor([[float(len(places))] for places in targets])
        return nn.functional.mse_loss(outputs, truth)

    def number(outputs, targets):
        seen.append((len(outputs), [len(places) for places in targets[:4]]))
        return loss(outputs, targets).item()

    parts = {"train": Boxes(), "val": Boxes(), "collate": collate}
    found = trained(tmp_path, lambda: nn.Linear(8, 1), loss=loss, metrics={"number": number},
                    epochs=40, learning_rate=0.1, **parts)  # fmt: skip
    assert seen[0] == (24, [1, 2, 3, 1])
    assert found.history["val_number"].iloc[-1] < 0.05


def test_stages_continue_one_another_and_a_finished_one_is_read_back(tmp_path):
    task, recipe, _ = split(network, {"epochs": 3})
    frozen = replace(recipe, groups=(Group("0.*", frozen=True),))
    one, two = in_stages([(task, recipe), (task, frozen)], folder=tmp_path, seed=1)
    assert torch.equal(one.net[0].weight, two.net[0].weight)
    assert not torch.equal(one.net[3].weight, two.net[3].weight)
    again = in_stages([(task, recipe), (task, frozen)], folder=tmp_path, seed=1)
    pd.testing.assert_frame_equal(again[1].history, two.history)


def test_a_stage_does_not_go_on_from_another_beginning(tmp_path):
    trained(tmp_path, start=network(), epochs=1)
    with pytest.raises(DataError, match=r"other settings(.|\n)*start ="):
        trained(tmp_path, start=network(), epochs=1)
    with pytest.raises(DataError, match="start is of another network"):
        trained(tmp_path / "other", start=nn.Linear(8, 1))


@pytest.mark.parametrize(
    "given",
    [{"epochs": -1}, {"batch_size": 0}, {"accumulate": 0}, {"patience": 0}, {"clip": 0.0},
     {"clip": -1.0}, {"average": 1.5}, {"average": 0.0}, {"learning_rate": -1e-3},
     {"learning_rate": float("nan")}],
)  # fmt: skip
def test_a_recipe_that_cannot_be_followed_is_refused_by_name(given):
    (name,) = given
    with pytest.raises(RequestError, match=f"{name} is out of bounds"):
        Recipe(**{"epochs": 2, **given})
    with pytest.raises(RequestError, match="the rate is given twice"):
        Recipe(2, settings={"lr": 0.1})


def test_in_no_epochs_a_network_is_taken_as_it_is(tmp_path):
    net = network()
    found = trained(tmp_path, start=net, epochs=0)
    assert found.history.empty
    assert not found.net.training
    assert torch.equal(found.net[0].weight, net[0].weight)
    with pytest.raises(RequestError, match="in no epochs nothing is learned"):
        trained(tmp_path, epochs=0)


class Maker(nn.Module):
    """Moves noise by a number that it learns."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return x + self.shift


class Killed(Exception):
    """The end of a process."""


def relativistic(real, made):
    """A judge's loss (Jolicoeur-Martineau 2019, arXiv:1807.00734)."""
    return (
        nn.functional.softplus(made - real.mean()).mean()
        + nn.functional.softplus(made.mean() - real).mean()
    )


def adversarial(folder, epochs=40, **options):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(256, 1, generator=draw)
    real = torch.randn(256, 1, generator=draw) + 3
    judge = Adversary(lambda: nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1)),
                      relativistic, lambda real, made: relativistic(made, real),
                      learning_rate=1e-2)  # fmt: skip
    nothing = {"pixels": (0.0, lambda made, real: (made - real).abs().mean())}
    task = Task(Maker, nothing, TensorDataset(x, real), TensorDataset(x[:32], real[:32]),
                metrics={"mean": lambda made, _: made.mean().item()}, monitor="val_loss_pixels",
                adversary=judge)  # fmt: skip
    return train(task, Recipe(epochs, 32, 1e-2, **options), folder=folder, seed=2)


def test_a_network_learns_by_deceiving_a_judge_alone(tmp_path):
    found = adversarial(tmp_path).history
    assert found["val_mean"].iloc[0] < 1
    assert found["val_mean"].iloc[-1] == pytest.approx(3, abs=0.7)
    assert {"loss", "loss_pixels", "loss_fools", "loss_judge", "val_loss"} <= set(found)


def test_an_adversarial_training_that_was_killed_ends_with_the_same_numbers(tmp_path, monkeypatch):
    options = {"schedule": Cosine(warmup=4), "accumulate": 2, "clip": 1.0, "average": 0.5}
    whole = adversarial(tmp_path / "whole", 6, **options)
    epoch_ends, keep = [], Loop.on_validation_epoch_end

    def killed(loop):
        keep(loop)
        epoch_ends.append(loop.current_epoch)
        if len(epoch_ends) == 4:
            raise Killed

    monkeypatch.setattr(Loop, "on_validation_epoch_end", killed)
    with pytest.raises(Killed):
        adversarial(tmp_path / "killed", 6, **options)
    monkeypatch.setattr(Loop, "on_validation_epoch_end", keep)
    resumed = adversarial(tmp_path / "killed", 6, **options)
    pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)
    assert torch.equal(resumed.net.shift, whole.net.shift)


def large():
    return nn.Sequential(nn.Linear(8, 2000), nn.Linear(2000, 2000), nn.Linear(2000, 1))


def test_memory_is_planned_for_the_optimizer_and_for_an_average(tmp_path):
    def predicted(name, **options):
        few = {"train": points(8), "val": points(8), "epochs": 1, "batch_size": 2, "memory": 1.0}
        trained(tmp_path / name, large, **few, **options)
        return json.loads((tmp_path / name / "asked.json").read_text())["plan"]["predicted_gb"]

    plain = predicted("sgd", optimizer=torch.optim.SGD)
    averaged = predicted("averaged", optimizer=torch.optim.SGD, average=0.9)
    weights = sum(p.numel() for p in large().parameters()) * 4 / 1e9
    assert averaged - plain == pytest.approx(weights, abs=0.002)
    assert predicted("adam") - plain > 1.9 * weights


def test_the_last_weights_are_kept_where_the_epoch_is_what_counts(tmp_path):
    last = trained(tmp_path, epochs=3, monitor="epoch", mode="max")
    assert last.best_epoch == 2
    assert last.history["epoch"].tolist() == [0, 1, 2]


def test_memory_is_planned_for_both_networks(tmp_path):
    from torch.profiler import ProfilerActivity, profile

    judge = Adversary(large, relativistic, relativistic)

    def made():
        return nn.Sequential(nn.Linear(8, 2000), nn.Linear(2000, 8))

    part = TensorDataset(torch.randn(8, 8), torch.randn(8, 8))
    task = Task(made, nn.L1Loss(), part, part, adversary=judge)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        train(task, Recipe(1, 4), folder=tmp_path, memory=1.0)
    now = peak = 0
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    told = json.loads((tmp_path / "asked.json").read_text())["plan"]["predicted_gb"]
    assert told == pytest.approx(peak / 1e9, rel=0.05)
