"""The work-arounds: what each sees, what each costs, and which leave the numbers alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.challenges import workarounds
from nextaim_kit.studies.challenges.workarounds import Patients, Way, five

SIZE = (32, 16, 16)
PLAIN = Way("plain", width=2, batch_size=4)


def volumes(n=4):
    """A bright ball in noise is the lesion; the last patient has none."""
    rng = np.random.default_rng(0)
    z = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"))
    found = []
    for k in range(n):
        ball = ((z - np.reshape([12 + k, 8, 8], (3, 1, 1, 1))) ** 2).sum(0) < (
            16 if k < n - 1 else 0
        )
        image = rng.normal(-0.6, 0.05, SIZE) + 0.8 * ball
        found.append(tuple(torch.tensor(one[None], dtype=torch.float32) for one in (image, ball)))
    return found


def test_the_five_differ_from_the_plain_way_in_one_thing_each():
    shown = {way.name: (way.seen(SIZE), way.batch_size, way.width) for way in five(PLAIN)}
    assert shown == {
        "plain": (SIZE, 4, 2),
        "smaller images": ((16, 8, 8), 4, 2),
        "smaller batches": (SIZE, 2, 2),
        "patches": ((16, 8, 8), 4, 2),
        "fewer feature maps": (SIZE, 4, 1),
    }


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(RequestError, match="an edge of 20 voxels divided by 2"):
        replace(PLAIN, shrink=2).seen((32, 20, 16))


def test_each_work_around_takes_less_memory_and_the_prediction_holds():
    table = workarounds.costs(five(PLAIN), SIZE, patients=8)
    assert (table["memory"].iloc[1:] < 0.95).all()
    assert table["measured_mb"].to_numpy() == pytest.approx(table["predicted_mb"], rel=0.3)
    assert table["updates"].tolist() == [2, 2, 4, 16, 2]


def test_patches_are_cut_out_of_image_and_mask_alike():
    image = torch.arange(np.prod(SIZE)).reshape(1, *SIZE).float()
    part = Patients([(image, image)], replace(PLAIN, patch=2))
    assert len(part) == 8
    a, b = part[3]
    assert a.shape == (1, 16, 8, 8)
    assert torch.equal(a, b)


def test_shrinking_keeps_the_mean_and_a_mask_a_mask():
    image, mask = volumes(1)[0]
    small, cut = workarounds.shrunk((image, torch.ones_like(mask)), 2)
    assert small.mean() == pytest.approx(float(image.mean()), abs=1e-5)
    assert set(cut.unique().tolist()) == {1.0}


@pytest.mark.parametrize("way", five(PLAIN), ids=lambda way: way.name)
def test_a_network_speaks_of_the_whole_volume(way):
    torch.manual_seed(0)
    net = way.build().eval()
    p = workarounds.probability(net, way, volumes(1)[0][0])
    assert p.shape == SIZE
    assert 0 <= p.min() <= p.max() <= 1


def test_computed_twice_or_in_two_stages_the_weights_are_the_same_bits():
    plain = workarounds.few_updates(PLAIN, volumes())
    for how in ("checkpointed", "two stages"):
        assert np.array_equal(workarounds.few_updates(PLAIN, volumes(), how), plain), how


def test_accumulated_gradients_give_the_same_weights_up_to_rounding():
    plain = workarounds.few_updates(PLAIN, volumes())
    added = workarounds.few_updates(PLAIN, volumes(), "accumulated")
    assert added == pytest.approx(plain, abs=1e-6)
    assert not np.array_equal(plain, workarounds.few_updates(PLAIN, volumes(), seed=1))


def test_with_a_dice_over_the_batch_accumulation_makes_another_update():
    plain, added = (workarounds.few_updates(PLAIN, volumes(), how, loss=workarounds.loss)
                    for how in ("plain", "accumulated"))  # fmt: skip
    assert 1e-5 < np.abs(added - plain).max() < 1e-2


def test_with_batch_norm_accumulation_at_batch_1_makes_another_update():
    way = replace(PLAIN, norm="batch")
    plain, added = (workarounds.few_updates(way, volumes(), how)
                    for how in ("plain", "accumulated"))  # fmt: skip
    assert 1e-5 < np.abs(added - plain).max() < 1e-2


def test_the_loss_is_least_where_all_is_right():
    target = volumes(1)[0][1][None]
    right, wrong = (workarounds.loss(sign * 20 * (2 * target - 1), target) for sign in (1, -1))
    assert float(right) == pytest.approx(0, abs=1e-3)
    assert float(wrong) > 1


def test_a_threshold_finds_bright_balls():
    patients = volumes()
    inside = [np.ones(SIZE, bool)] * len(patients)
    level = workarounds.best_threshold(patients, inside)
    dsc = workarounds.scores(workarounds.above(patients, inside, level), patients)
    assert -0.5 < level < 0.2
    assert dsc.tolist() == pytest.approx([1, 1, 1, 1])


def test_a_way_beside_itself_has_no_difference_and_seeds_are_averaged():
    patients = volumes()
    twice = np.array([[0.2, 0.4, 0.6, 1.0], [0.4, 0.6, 0.8, 1.0]])
    table = workarounds.compare(
        {"plain": twice, "same": twice.mean(0)}, patients, n_boot=200, seed=0
    )
    assert table["value"].tolist() == pytest.approx([0.625, 0.625])
    assert table[["difference", "difference_low", "difference_high"]].abs().max().max() < 1e-12
    assert (table["low"] < table["value"]).all()
    assert (table["value"] < table["high"]).all()


def test_a_short_training_lowers_the_loss(tmp_path):
    patients = volumes(6)
    fitted = workarounds.train_way(
        PLAIN, (patients, patients[:2]), tmp_path, epochs=3, learning_rate=0.02, seed=0
    )
    assert fitted.history["loss"].iloc[-1] < fitted.history["loss"].iloc[0]
