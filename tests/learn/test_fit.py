"""Training learns, keeps its best weights, and survives a kill with the same numbers."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from nextaim_kit.errors import DataError, RequestError, RunError
from nextaim_kit.learn.fit import fit, load_weights, precision, save_weights

SETUP = """\
import os, sys, torch
from pathlib import Path
from torch import nn
from torch.utils.data import Dataset
from nextaim_kit.learn.fit import fit

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
found = fit(net, nn.BCEWithLogitsLoss(), Points(1, 64, int(sys.argv[2])), Points(2, 32),
            folder=Path(sys.argv[1]), epochs=6, learning_rate=1e-2, plateau=1, seed=5)
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


def trained(folder, build=network, **options):
    given = {"epochs": 5, "learning_rate": 1e-2, "metrics": {"accuracy": accuracy}, **options}
    loss = given.pop("loss", nn.BCEWithLogitsLoss())
    parts = given.pop("train", points(160)), given.pop("val", points(80, 1))
    return fit(build, loss, *parts, folder=folder, **given)


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
    found = trained(tmp_path, learning_rate=1e-6, epochs=6, plateau=1, monitor="val_accuracy",
                    mode="max")  # fmt: skip
    assert found.history["learning_rate"].iloc[-1] <= 0.5e-6


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
def test_a_killed_training_goes_on_to_the_numbers_of_an_undisturbed_one(tmp_path):
    def run(name, fatal):
        command = [sys.executable, "-c", SETUP, str(tmp_path / name), str(fatal)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    whole = run("whole", 0)
    assert whole.returncode == 0, whole.stderr
    assert run("killed", 64 * 3 + 20).returncode == -9  # in the fourth epoch
    resumed = run("killed", 0)
    assert re.search(r"going on after epoch [123] of 6", resumed.stdout)
    assert resumed.stdout.splitlines()[-1] == whole.stdout.splitlines()[-1]
    histories = [(tmp_path / name / "history.csv").read_text() for name in ("whole", "killed")]
    assert histories[0] == histories[1]


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
        tmp_path, epochs=6, plateau=0, lowest_rate=3e-3, monitor="val_same",
        metrics={"same": lambda outputs, targets: 0.0},
    )  # fmt: skip
    rates = found.history["learning_rate"].drop_duplicates()
    assert rates.tolist() == pytest.approx([1e-2, 5e-3, 3e-3])


def test_saved_weights_are_read_into_another_network_of_the_kind(tmp_path):
    net, other = blocks().eval(), blocks().eval()
    path = tmp_path / "net.pt"
    assert save_weights(net, path) == str(path)
    x = points(20)[:][0]
    assert not torch.allclose(other(x), net(x))
    assert load_weights(other, path) is other
    assert torch.equal(other(x), net(x))


def test_weights_of_another_architecture_are_refused_with_the_first_that_differs(tmp_path):
    save_weights(network(), tmp_path / "net.pt")
    other = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 3))
    said = r"net\.pt is of another network(.|\n)*3\.bias of shape \(3,\)(.|\n)*shape \(1,\)"
    with pytest.raises(DataError, match=said):
        load_weights(other, tmp_path / "net.pt")
    with pytest.raises(DataError, match=r"0\.bias of shape none(.|\n)*shape \(16,\)"):
        load_weights(nn.ReLU(), tmp_path / "net.pt")


# torch's reader ends with an error of another kind for each of them.
@pytest.mark.parametrize("text", ["no weights", "a text", "hello", "readme"])
def test_a_text_holds_no_weights(tmp_path, text):
    (tmp_path / "net.pt").write_text(text)
    with pytest.raises(DataError, match=r"net\.pt holds no weights"):
        load_weights(network(), tmp_path / "net.pt")


def test_neither_half_a_file_nor_none_nor_other_things_hold_weights(tmp_path):
    path = tmp_path / "net.pt"
    with pytest.raises(DataError, match=r"net\.pt holds no weights(.|\n)*No such file"):
        load_weights(network(), path)
    save_weights(network(), path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"net\.pt holds no weights"):
        load_weights(network(), path)
    torch.save([1, 2], path)
    with pytest.raises(DataError, match=r"net\.pt holds no weights(.|\n)*tensors by name"):
        load_weights(network(), path)


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
