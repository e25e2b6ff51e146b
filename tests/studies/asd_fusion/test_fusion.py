"""Networks of brains: the span of the subjects is no other network, and a kill changes nothing."""

import numpy as np
import pytest
import torch

from nextaim_kit.learn.dual import Span
from nextaim_kit.learn.loop import Loop
from nextaim_kit.learn.metrics import auc
from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.studies.asd_fusion.fusion import FusionNet, Network, whole
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
    one, _ = cross_fit(network(tmp_path / "a", epochs=40), brains, parts, seed=1)
    other, _ = cross_fit(network(tmp_path / "b", epochs=40), brains, parts, seed=1)
    np.testing.assert_array_equal(one["logit"], other["logit"])
    assert auc(one["y"], one["logit"]) > 0.65


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


def test_the_validation_part_chooses_among_decays_and_structure_is_held_tighter(brains, tmp_path):
    fit = network(tmp_path, epochs=2, decays=(0.01, 5.0))
    fit(brains, 0)
    ((whose,),) = ([*tmp_path.iterdir()],)
    assert sorted(path.name for path in whose.iterdir()) == ["0.01", "5"]
    groups = {group.pattern: group.weight_decay for group in fit.recipe(0.01).groups}
    assert groups == {"branches.structure.*": 0.05, "classifier.*": 1e-3}
    assert [g.pattern for g in fit.of(["function"]).recipe(0.01).groups] == ["classifier.*"]
