"""Networks of brains: the span of the subjects is no other network, and a kill changes nothing."""

import numpy as np
import pytest
import torch

from nextaim_kit.learn.dual import Span
from nextaim_kit.learn.loop import Loop
from nextaim_kit.learn.metrics import auc
from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.studies.asd_fusion.fusion import FusionNet, Network, least, losses, total, whole
from nextaim_kit.studies.asd_fusion.models import cross_fit


def network(folder, parts=("function", "structure"), **how):
    return Network(parts, folder, **{"epochs": 12, "decays": (0.01,), **how})


def test_weights_that_are_brought_back_from_the_span_give_the_same_logits(brains):
    X = np.random.default_rng(0).normal(2, 1, (20, 300))
    span = Span().fit(X)
    small = FusionNet({"function": span.coordinates_.shape[1]}).eval()
    full = whole(small, {"function": span}, {})
    seen = torch.as_tensor(span.coordinates_, dtype=torch.float32)
    given = torch.as_tensor(X, dtype=torch.float32)
    np.testing.assert_allclose(full(given).detach(), small(seen).detach(), atol=1e-4)


def test_a_missing_modality_gives_a_vector_of_zeros():
    net = FusionNet({"function": 5, "structure": 3}).eval()
    function, zeros = torch.ones(2, 5), torch.zeros(2, 3)
    alone = net.classifier(torch.cat([net.branches["function"](function), torch.zeros(2, 32)], 1))
    torch.testing.assert_close(net(function, zeros), alone)


def test_the_joint_network_learns_and_says_the_same_for_the_same_seed(brains, tmp_path):
    parts = patient_folds(brains.table, 3, seed=0)[:1]
    one, _ = cross_fit(network(tmp_path / "a", epochs=30), brains, parts, seed=1)
    other, _ = cross_fit(network(tmp_path / "b", epochs=30), brains, parts, seed=1)
    np.testing.assert_array_equal(one["logit"], other["logit"])
    assert auc(one["y"], one["logit"]) > 0.65


def test_sixty_subjects_teach_it_something(brains, tmp_path):
    fit = network(tmp_path, epochs=60)
    rest = brains.at(np.arange(60, 240))
    assert auc(rest.y, fit(brains.at(np.arange(60)), 0).logit(rest)) > 0.6


def test_a_training_that_was_killed_goes_on_to_the_same_numbers(brains, tmp_path, monkeypatch):
    undisturbed = network(tmp_path / "whole", epochs=6)(brains, 0)
    keep = Loop.on_validation_epoch_end

    class Killed(BaseException):
        pass

    def killed(loop):
        keep(loop)
        if loop.current_epoch == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "on_validation_epoch_end", killed)
        with pytest.raises(Killed):
            network(tmp_path / "part", epochs=6)(brains, 0)
    resumed = network(tmp_path / "part", epochs=6)(brains, 0)
    np.testing.assert_array_equal(undisturbed.logit(brains), resumed.logit(brains))


def test_several_members_give_their_mean_logit(brains, tmp_path):
    found = network(tmp_path, ("structure",), epochs=3, members=2)(brains, 0)
    alone = [network(tmp_path, ("structure",), epochs=3)(brains, seed) for seed in (0, 100)]
    mean = np.mean([one.logit(brains) for one in alone], axis=0)
    np.testing.assert_allclose(found.logit(brains), mean, atol=1e-6)
    assert len(found.model) == 2


def test_other_subjects_or_labels_never_take_a_finished_training(brains, tmp_path):
    fit = network(tmp_path, ("structure",), epochs=2)
    fit(brains.at(np.arange(120)), 0)
    fit(brains.at(np.arange(120, 240)), 0)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("parts", [("function",), ("structure",)])
def test_a_network_of_one_modality_looks_at_it_alone(brains, tmp_path, parts):
    found = network(tmp_path, parts, epochs=1)(brains, 0)
    _, net = found.model[0].model
    assert list(net.branches) == list(parts)


def test_networks_side_by_side_learn_what_each_would_learn_alone(brains, tmp_path):
    found = {}
    for decays in ((0.01,), (5.0,), (0.01, 5.0)):
        fit = network(tmp_path / str(decays), epochs=5, decays=decays, net={"dropout": 0.0})
        found[decays] = fit(brains, 0).logit(brains)
    chosen = np.abs([found[0.01,] - found[0.01, 5.0], found[5.0,] - found[0.01, 5.0]]).max(axis=1)
    assert chosen.min() < 1e-4 < 1e-2 < chosen.max()


def test_structure_is_held_tighter_and_each_network_by_its_own_decay(tmp_path):
    fit = network(tmp_path, decays=(0.01, 5.0))
    groups = {group.pattern: group.weight_decay for group in fit.recipe(100).groups}
    function = {f"nets.{k}.branches.function.*": decay for k, decay in enumerate(fit.decays)}
    rest = {"*.classifier.*": 1e-3, "*.branches.structure.*": 0.05}
    assert groups == rest | function
    assert list(rest) == [g.pattern for g in fit.of(["structure"]).recipe(100).groups]


@pytest.mark.parametrize(("n", "size"), [(83, 14), (768, 128), (1037, 116)])
def test_batches_are_even_and_six_at_least_and_the_rate_is_the_same(tmp_path, n, size):
    recipe = network(tmp_path).recipe(n)
    assert (recipe.batch_size, recipe.learning_rate) == (size, 0.25)


def test_the_best_of_networks_side_by_side_is_the_one_of_least_loss():
    logits, y = torch.tensor([[3.0, 0.0], [-3.0, 0.0]]), torch.tensor([[1.0], [0.0]])
    each = losses(logits, y).tolist()
    assert each == pytest.approx([np.log(1 + np.exp(-3)), np.log(2)], abs=1e-6)
    assert least(logits, y) == pytest.approx(each[0])
    assert float(total(logits, y)) == pytest.approx(sum(each))
