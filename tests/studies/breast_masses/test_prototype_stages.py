"""Stages of the training on disks and stars: what they learn, what stays, and after a kill."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.studies.breast_masses import prototype_stages
from nextaim_kit.studies.breast_masses.masses import Masses
from nextaim_kit.studies.breast_masses.protopnet import Asked, ProtoPNet
from nextaim_kit.studies.breast_masses.prototype_stages import (
    GROUP,
    Shown,
    Stages,
    load_fold,
    moved,
    predictions,
    prune,
    push,
    save_fold,
    similarities,
    train_prototypes,
    train_resnet,
)

ROTATION = (np.arange(40), np.arange(40, 60), np.arange(60, 100))
SHORT = Stages(warm=1, joint=2, pushes=2, last=2, batch_size=20, last_rate=1e-2, seed=3)


@pytest.fixture(scope="module")
def masses(disks_and_stars) -> Masses:
    return disks_and_stars(100)


@pytest.fixture
def net() -> ProtoPNet:
    torch.manual_seed(0)
    return ProtoPNet(3, 16, width=0.125, cut="layer1")


@pytest.fixture(scope="module")
def fold(masses, tmp_path_factory):
    torch.manual_seed(0)
    begun = ProtoPNet(3, 16, width=0.125, cut="layer1")
    return train_prototypes(begun, masses, ROTATION, SHORT, tmp_path_factory.mktemp("fold"))


def test_all_stages_come_in_their_order(fold):
    stages = list(dict.fromkeys(fold.history["stage"]))
    assert stages == ["warm 1", "joint 1", "last 1", "joint 2", "last 2", "pruned"]


def test_after_the_push_each_prototype_is_a_patch_of_a_training_crop_of_its_class(masses, fold):
    for row in fold.prototypes.itertuples():
        assert row.source in ROTATION[0]
        assert masses.y[row.source] == row[2]
        latent = apply(Asked(fold.net, "latent"), masses.films[[row.source]])
        there = latent[0, :, row.row, row.column]
        assert torch.allclose(there, fold.net.prototypes[row.prototype], atol=1e-5)


def test_a_killed_training_ends_with_the_same_numbers(masses, tmp_path, fold, monkeypatch):
    begun = _begun()
    last_layer = prototype_stages._last_layer

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(prototype_stages, "_last_layer", killed)
    with pytest.raises(KeyboardInterrupt):
        train_prototypes(begun, masses, ROTATION, SHORT, tmp_path)
    monkeypatch.setattr(prototype_stages, "_last_layer", last_layer)
    again = train_prototypes(_begun(), masses, ROTATION, SHORT, tmp_path)
    assert torch.equal(again.net.prototypes, fold.net.prototypes)
    assert torch.equal(again.net.head.weight, fold.net.head.weight)


def _begun() -> ProtoPNet:
    torch.manual_seed(0)
    return ProtoPNet(3, 16, width=0.125, cut="layer1")


def test_warm_leaves_the_backbone_and_every_stage_before_a_push_the_head(masses, net, tmp_path):
    shown = [Shown(masses, rows) for rows in ROTATION[:2]]
    (task, recipe), _ = prototype_stages._moving(net, shown, SHORT, 0)
    found = prototype_stages.train(task, recipe, folder=tmp_path).net
    assert torch.equal(found.features.conv1.weight, net.features.conv1.weight)
    assert torch.equal(found.head.weight, net.head.weight)
    assert not torch.equal(found.prototypes, net.prototypes)


def test_networks_learn_with_their_normalizations_at_work(masses, net):
    shown = [Shown(masses, rows) for rows in ROTATION[:2]]
    for task, _ in prototype_stages._moving(net.eval(), shown, SHORT, 0):
        assert all(module.training for module in task.build().modules())


def test_rates_of_later_joint_stages_go_on_where_the_last_ended(masses, net):
    shown = [Shown(masses, rows) for rows in ROTATION[:2]]
    ten = replace(SHORT, joint=10, decay_every=5)
    ((_, recipe),) = prototype_stages._moving(net, shown, ten, 1)
    assert recipe.learning_rate == pytest.approx(3e-5)


def test_pushing_twice_moves_nothing_the_second_time(masses, net):
    push(net, masses, ROTATION[0])
    again = push(net, masses, ROTATION[0])
    assert again["distance"].to_numpy() == pytest.approx(0, abs=1e-4)


def test_pruning_leaves_out_a_prototype_whose_neighbors_are_of_the_other_class(masses, net):
    pushed = push(net, masses, ROTATION[0])
    with torch.no_grad():  # the first prototype of class 0 now looks like one of class 1
        net.prototypes[0] = net.prototypes[3]
    rows = ROTATION[0][masses.y[ROTATION[0]] == 1]
    found = prune(net, masses, rows, pushed)
    assert found["own_class"].tolist() == [0, 0, 0, 6, 6, 6]
    assert net.kept.tolist() == [0, 3, 4, 5]  # one of each class stays


def test_predictions_are_of_masses_and_name_their_patients(masses, fold):
    found = predictions(masses, [[fold]])
    assert found["subject"].tolist() == masses.table["lesion"].iloc[60:].tolist()
    assert found["patient"].iloc[0] == "P30"
    assert found["p"].between(0, 1).all()
    total = prototype_stages.contributions(fold.net, similarities(fold.net, masses.films[60:]))
    assert fold.logits(masses.films[60:]) == pytest.approx(total.sum(1).numpy(), abs=1e-4)


def test_resnet_tells_disks_from_stars(masses, tmp_path):
    recipe = Recipe(15, 8, 1e-3)
    found = train_resnet(masses, ROTATION, recipe, tmp_path, width=0.125)
    right = (found.predict(masses.films[60:]) >= found.threshold) == masses.y[60:]
    assert right.mean() > 0.85


def test_one_class_or_too_few_patches_are_refused(masses, net, tmp_path):
    benign = np.flatnonzero(masses.y == 0)
    with pytest.raises(DataError, match="need both classes"):
        train_prototypes(net, masses, (benign, *ROTATION[1:]), SHORT, tmp_path)
    many = ProtoPNet(300, 4, width=0.125, cut="layer1")  # 256 patches a crop
    with pytest.raises(DataError, match="300 prototypes of a class cannot be 256 patches"):
        train_prototypes(many, masses, (np.arange(2), *ROTATION[1:]), SHORT, tmp_path)


def test_a_frozen_backbone_needs_weights(masses, tmp_path):
    with pytest.raises(RequestError, match="cannot stay frozen"):
        train_resnet(masses, ROTATION, Recipe(1), tmp_path, frozen=True)


def test_a_moved_crop_has_the_same_size_and_only_its_own_values():
    film = torch.arange(256.0).reshape(1, 16, 16)
    torch.manual_seed(1)
    found = moved(film, 2)
    assert found.shape == film.shape
    assert set(found.unique().tolist()) <= set(film.unique().tolist())


def test_the_groups_variant_has_one_small_rate():
    assert {GROUP.rate, GROUP.features_rate, GROUP.last_rate} == {1e-6}
    assert GROUP.losses["separation"][0] == -0.05


def test_training_ends_after_pushes_with_rising_losses():
    assert prototype_stages._rising([1, 2, 3], 2)
    assert not prototype_stages._rising([3, 2, 3], 2)
    assert not prototype_stages._rising([1, 2], 2)


@pytest.fixture
def kept(masses, fold, tmp_path):
    """The file of a network that rows 0 to 59 trained."""
    path, trained = tmp_path / "model.safetensors", masses.only(np.arange(60))
    net = {"per_class": 3, "depth": 16, "width": 0.125, "cut": "layer1"}
    save_fold(fold, trained, path, **net, field_mm=56.0)
    return path


def test_an_earlier_runs_network_gives_the_same_answers_to_those_it_has_not_seen(
    masses, fold, kept
):
    again, others, named = load_fold(kept, masses, field_mm=56.0)
    assert others.table["subject"].tolist() == masses.table["subject"][60:].tolist()
    assert len(named) == 60
    assert again.predict(others.films) == pytest.approx(fold.predict(masses.films[60:]))
    assert again.threshold == fold.threshold
    assert again.prototypes["kept"].tolist() == fold.prototypes["kept"].tolist()
    assert (others.y[again.prototypes["source"]] == again.prototypes["class"]).all()


def test_crops_of_another_field_or_nobody_new_are_refused(masses, kept):
    with pytest.raises(DataError, match="was trained on other crops"):
        load_fold(kept, masses, field_mm=40.0)
    with pytest.raises(DataError, match="trained the model"):
        load_fold(kept, masses.only(np.arange(60)), field_mm=56.0)
