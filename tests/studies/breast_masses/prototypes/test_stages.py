"""Stages of the training on disks and stars: what they learn, what stays, and after a kill."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.studies.breast_masses.prototypes import stages
from nextaim_kit.studies.breast_masses.prototypes.fold import Shown
from nextaim_kit.studies.breast_masses.prototypes.protopnet import (
    Asked,
    ProtoPNet,
    backbone,
    contributions,
    similarities,
)
from nextaim_kit.studies.breast_masses.prototypes.stages import (
    GROUP,
    Networks,
    epochs_of,
    load_fold,
    predictions,
    save_fold,
    train_prototypes,
)
from tests.studies.breast_masses.prototypes.conftest import ROTATION, SHORT, begun


def test_all_stages_come_in_their_order(fold):
    order = list(dict.fromkeys(fold.history["stage"]))
    assert order == ["warm 1", "joint 1", "last 1", "joint 2", "last 2", "pruned"]


def test_trainings_too_short_for_processes_start_none(crops):
    few = Networks(begun, SHORT, Recipe(1, 8, 1e-3), 0.125)
    many = replace(few, recipe=Recipe(1000, 8, 1e-3))
    assert (few.workers(crops), many.workers(crops)) == (1, None)


@pytest.mark.parametrize("numbers", [[3, 5], [3, 0, 10], [-1, 5, 10]])
def test_epochs_that_are_not_of_three_stages_are_refused(numbers):
    assert epochs_of([0, 5, 10]) == {"warm": 0, "joint": 5, "last": 10}
    with pytest.raises(RequestError, match="the stages of a prototype network are three"):
        epochs_of(numbers)


def test_after_the_push_each_prototype_is_a_patch_of_a_training_crop_of_its_class(crops, fold):
    for row in fold.prototypes.itertuples():
        assert row.source in ROTATION[0]
        assert crops.y[row.source] == row[2]
        latent = apply(Asked(fold.net, "latent"), crops.films[[row.source]])
        there = latent[0, :, row.row, row.column]
        assert torch.allclose(there, fold.net.prototypes[row.prototype], atol=1e-5)


def test_a_killed_training_ends_with_the_same_numbers(crops, tmp_path, fold, monkeypatch):
    last_layer = stages._last_layer

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "_last_layer", killed)
    with pytest.raises(KeyboardInterrupt):
        train_prototypes(begun(), crops, ROTATION, SHORT, tmp_path)
    monkeypatch.setattr(stages, "_last_layer", last_layer)
    again = train_prototypes(begun(), crops, ROTATION, SHORT, tmp_path)
    assert torch.equal(again.net.prototypes, fold.net.prototypes)
    assert torch.equal(again.net.head.weight, fold.net.head.weight)


def test_warm_leaves_the_backbone_and_every_stage_before_a_push_the_head(crops, net, tmp_path):
    shown = [Shown(crops, rows) for rows in ROTATION[:2]]
    (task, recipe), _ = stages._moving(net, shown, SHORT, 0)
    found = stages.train(task, recipe, folder=tmp_path).net
    assert torch.equal(found.features.conv1.weight, net.features.conv1.weight)
    assert torch.equal(found.head.weight, net.head.weight)
    assert not torch.equal(found.prototypes, net.prototypes)


def test_networks_learn_with_their_normalizations_at_work(crops, net):
    shown = [Shown(crops, rows) for rows in ROTATION[:2]]
    for task, _ in stages._moving(net.eval(), shown, SHORT, 0):
        assert all(module.training for module in task.build().modules())


def test_rates_of_later_joint_stages_go_on_where_the_last_ended(crops, net):
    shown = [Shown(crops, rows) for rows in ROTATION[:2]]
    ten = replace(SHORT, joint=10, decay_every=5)
    ((_, recipe),) = stages._moving(net, shown, ten, 1)
    assert recipe.learning_rate == pytest.approx(3e-5)


def test_the_groups_variant_has_one_small_rate():
    assert {GROUP.rate, GROUP.features_rate, GROUP.last_rate} == {1e-6}
    assert GROUP.losses["separation"][0] == -0.05


@pytest.fixture
def kept(crops, fold, tmp_path):
    """The file of a network that rows 0 to 59 trained."""
    path, trained = tmp_path / "model.safetensors", crops.only(np.arange(60))
    save_fold(fold, trained, path, field_mm=56.0)
    return path


def test_an_earlier_runs_network_gives_the_same_answers_to_those_it_has_not_seen(crops, fold, kept):
    again, others, named = load_fold(kept, crops, field_mm=56.0)
    assert others.table["subject"].tolist() == crops.table["subject"][60:].tolist()
    assert len(named) == 60
    assert again.predict(others.films) == pytest.approx(fold.predict(crops.films[60:]))
    assert again.threshold == fold.threshold
    assert again.prototypes["kept"].tolist() == fold.prototypes["kept"].tolist()
    assert (others.y[again.prototypes["source"]] == again.prototypes["class"]).all()


def test_crops_of_another_field_or_nobody_new_are_refused(crops, kept):
    with pytest.raises(DataError, match="was trained on other crops"):
        load_fold(kept, crops, field_mm=40.0)
    with pytest.raises(DataError, match="trained the model"):
        load_fold(kept, crops.only(np.arange(60)), field_mm=56.0)


def test_predictions_are_of_masses_and_name_their_patients(crops, fold):
    found = predictions(crops, [[fold]])
    assert found["subject"].tolist() == crops.table["lesion"].iloc[60:].tolist()
    assert found["patient"].iloc[0] == "P30"
    assert found["p"].between(0, 1).all()
    total = contributions(fold.net, similarities(fold.net, crops.films[60:]))
    assert fold.logits(crops.films[60:]) == pytest.approx(total.sum(1).numpy(), abs=1e-4)


def test_resnet_tells_disks_from_stars(crops, tmp_path):
    networks = Networks(begun, SHORT, Recipe(15, 8, 1e-3), 0.125)
    found = networks.resnet(crops, ROTATION, tmp_path)
    right = (found.predict(crops.films[60:]) >= found.threshold) == crops.y[60:]
    assert right.mean() > 0.85


def test_a_frozen_backbone_needs_weights():
    with pytest.raises(RequestError, match="cannot learn from nothing"):
        Networks(begun, SHORT, Recipe(1), frozen=True)


def test_the_groups_variant_learns_little_from_weights_whose_backbone_its_resnet_keeps(
    crops, tmp_path
):
    torch.manual_seed(1)
    there = dict(backbone(0.125).state_dict())
    there["conv1.weight"] = there["conv1.weight"].expand(-1, 3, -1, -1) / 3
    torch.save(there | {"fc.weight": torch.rand(1000, 64)}, tmp_path / "resnet18.pth")
    build = partial(ProtoPNet, 2, 16, width=0.125, add_on="bottleneck", dropout=0.4)
    few = replace(GROUP, joint=2, pushes=2, last=2)
    weights = tmp_path / "resnet18.pth"
    networks = Networks(build, few, Recipe(2, 20, 1e-3), 0.125, weights, True)
    found = networks.train(crops, ROTATION, tmp_path)
    first = {name: fold.net.features.conv1.weight for name, fold in found.items()}
    kept = there["conv1.weight"].sum(1, keepdim=True)
    assert torch.allclose(first["ResNet18"], kept)
    assert torch.allclose(first["ProtoPNet"], kept, atol=1e-4)
    assert not torch.equal(first["ProtoPNet"], kept)
    assert found["ProtoPNet"].history["stage"][0] == "joint 1"


def test_a_training_within_a_slices_memory_is_planned_and_one_that_cannot_be_is_refused(
    crops, tmp_path, capsys
):
    networks = Networks(begun, replace(SHORT, pushes=1, memory=2.0), Recipe(1, 8, 1e-3), 0.125)
    networks.train(crops, ROTATION, tmp_path / "fits")
    assert capsys.readouterr().out.count("fits into 2.00 GB") == 3  # ResNet18, warm, joint
    little = replace(networks, stages=replace(SHORT, memory=0.001))
    with pytest.raises(RequestError, match="does not fit into memory"):
        little.train(crops, ROTATION, tmp_path / "not")
