"""One loop with and without privacy: what it promises, and what it leaves to be found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nextaim_kit.errors import DataError, RequestError, RunError
from nextaim_kit.studies.challenges.privacy import membership, training
from nextaim_kit.studies.challenges.privacy.training import Training, fit

PATIENTS = np.array([f"P{k:02d}" for k in range(60)])


@pytest.fixture(scope="module")
def lots():
    """Sixty patients with an outcome by lot: nothing but memory can be learned."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 30)).astype(np.float32), rng.permutation(np.arange(60) % 2)


def wide(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 1))


def attacked(lots, how):
    x, y = lots
    inside = membership.draw_halves(PATIENTS, ["A"] * 60, models=4, seed=1)
    p = training.network_predictions(wide, x, y, PATIENTS, inside, how, seed=5)
    lines = membership.attacks(membership.confidence(p, y), inside, PATIENTS)["loss"]
    return membership.success({"loss": lines}, n_boot=200).iloc[0]


def test_an_overfitted_network_gives_its_members_away(lots):
    assert attacked(lots, Training(60, 10, 0.1))["value"] > 0.95


def test_privacy_with_an_epsilon_near_0_leaves_nothing_to_be_found(lots):
    found = attacked(lots, Training(20, 10, 0.1, epsilon=0.1))
    assert found["low"] < 0.5 < found["high"]
    assert found["value"] < membership.most_auc(0.1) + 0.15


def test_a_smaller_epsilon_takes_more_noise_and_no_more_than_it_is_spent(lots):
    strict, loose = (fit(wide, *lots, PATIENTS, Training(2, 10, epsilon=e)) for e in (1.0, 8.0))
    assert strict.noise > loose.noise > 0
    for one, epsilon in ((strict, 1.0), (loose, 8.0)):
        assert 0.9 * epsilon < one.epsilon <= epsilon + 0.01
        assert one.delta == pytest.approx(0.1 / 60)


def test_without_privacy_nothing_is_promised(lots):
    found = fit(wide, *lots, PATIENTS, Training(1, 10))
    assert (found.epsilon, found.noise) == (float("inf"), 0.0)


@pytest.mark.parametrize("epsilon", [None, 4.0])
def test_the_same_seed_trains_the_same_network(lots, epsilon):
    how = Training(2, 10, epsilon=epsilon)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    fits = [fit(wide, *lots, PATIENTS, how, seed=s) for s in (1, 1, 2)]
    first, again, other = (one.predict(lots[0]) for one in fits)
    assert (first == again).all()
    assert (first != other).any()
    assert torch.get_rng_state().equal(state)  # of the notebook's own chance nothing is taken


def test_a_patient_is_one_item_whatever_the_number_of_films():
    groups = np.array(["a", "b", "a", "a"])
    data = training.OnePerPatient(np.arange(4.0)[:, None], [1, 0, 1, 1], groups)
    assert len(data) == 2
    assert {float(data[0][0]) for _ in range(60)} == {0.0, 2.0, 3.0}
    assert float(data[1][0]) == 1.0


def test_the_promise_to_a_patient_does_not_depend_on_how_many_films_there_are(lots):
    x, y = lots
    how, groups = Training(1, 10, epsilon=2.0), np.repeat(PATIENTS, 3)
    three = fit(wide, np.repeat(x, 3, axis=0), np.repeat(y, 3), groups, how)
    assert three.noise == fit(wide, x, y, PATIENTS, how).noise


def test_a_private_film_network_has_no_batch_normalization():
    net = training.private_network(training.film_network(0, 8))
    kinds = {type(layer) for layer in net.modules()}
    assert nn.BatchNorm2d not in kinds
    assert nn.GroupNorm in kinds
    assert net(torch.zeros(2, 1, 48, 40)).shape == (2, 1)


def test_a_residual_network_that_adds_in_place_can_be_trained_privately():
    from monai.networks.nets import ResNet

    def build(seed):
        return ResNet("basic", [1] * 4, [4] * 4, spatial_dims=2, n_input_channels=1, num_classes=1)

    x = np.random.default_rng(0).normal(size=(12, 1, 32, 32))
    found = fit(build, x, np.arange(12) % 2, PATIENTS[:12], Training(1, 4, epsilon=5.0))
    assert np.isfinite(found.predict(x)).all()


def test_a_step_in_which_nobody_is_drawn_changes_nothing():
    net = nn.Linear(2, 1)
    before = net.weight.clone()
    optimizer = torch.optim.SGD(net.parameters(), 1.0)
    training.update(net, optimizer, torch.zeros(0, 2), torch.zeros(0))
    assert net.weight.equal(before)


def test_an_epsilon_of_0_is_refused(lots):
    with pytest.raises(RequestError, match="epsilon is out of bounds"):
        fit(wide, *lots, PATIENTS, Training(1, 10, epsilon=-1.0))


def test_weights_that_are_no_numbers_are_an_error(lots):
    with pytest.raises(RunError, match="without finite weights"):
        fit(wide, 1e30 * lots[0], lots[1], PATIENTS, Training(3, 10, 1e9))


def test_half_of_the_patients_with_one_outcome_is_refused():
    inside = np.array([[True, True, False, False]])
    with pytest.raises(DataError, match="one outcome only"):
        training.table_predictions(lambda _: None, np.zeros((4, 1)), np.array([1, 1, 0, 0]), inside)


def test_the_learning_rate_is_chosen_by_other_patients():
    x = np.random.default_rng(0).normal(size=(80, 1)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    names = np.arange(80)
    train, val = (x[:40], y[:40], names[:40]), (x[40:], y[40:])
    how = Training(5, 10)
    found, rate = training.best_rate(lambda _: nn.Linear(1, 1), train, val, how, (1e-6, 0.5))
    assert rate == 0.5
    assert ((found.predict(x) > 0.5) == y).mean() > 0.9
