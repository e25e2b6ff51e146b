"""Lungs are found on films, judged at the films' own size, and handed on as a cohort."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.splits import patient_folds, rotations
from nextaim_kit.learn.weights import load_weights, save_weights
from nextaim_kit.studies.cxr_severity import lungs
from nextaim_kit.studies.cxr_severity.cohorts import load_films
from nextaim_kit.studies.cxr_severity.preprocessing import Frame
from nextaim_kit.studies.cxr_severity.unet import lung_net


@pytest.fixture(scope="module")
def parts(chests):
    return rotations(patient_folds(chests.table, 4, seed=0, by=(), group="patient"))


@pytest.fixture(scope="module")
def fitted(chests, parts, tmp_path_factory):
    """A network that learned for a minute or so from twenty films."""
    training = lungs.LungTraining(lungs.recipe(8, 4, 2e-3))
    place = tmp_path_factory.mktemp("lungs")
    return lungs.cross_validate(training, chests.seen, chests.masks, parts[:1], place)


@pytest.mark.parametrize("architecture", ["residual_unet", "dynunet", "segresnet"])
def test_each_architecture_gives_a_logit_for_every_pixel(architecture):
    net = lung_net(architecture).eval()
    with torch.inference_mode():
        assert net(torch.randn(2, 1, 96, 64)).shape == (2, 1, 96, 64)


def test_an_architecture_that_is_not_there_is_refused():
    with pytest.raises(RequestError, match="residual_unet, dynunet or segresnet"):
        lung_net("unet++")


def test_weights_of_another_architecture_are_refused_by_name(tmp_path):
    save_weights(lung_net("segresnet"), tmp_path / "unet.pt")
    with pytest.raises(DataError, match=r"unet\.pt is of another network"):
        load_weights(lung_net("residual_unet"), tmp_path / "unet.pt")


@pytest.mark.rest
def test_a_network_finds_lungs_better_than_the_mean_shape(chests, parts, fitted):
    train, _, test = parts[0]
    truth = [chests.masks[k] for k in test]
    who = chests.table.iloc[test]
    shape = lungs.mean_shape([chests.masks[k] for k in train], chests.seen.shape[1])
    found = lungs.predict_tests(fitted, chests.seen, parts[:1])
    dsc = [
        lungs.scores(who, [lungs.lung_labels(p, m.shape) for p, m in zip(way, truth, strict=True)],
                     truth)["dsc"].mean()
        for way in (found, [shape] * len(test))
    ]  # fmt: skip
    assert dsc[0] > dsc[1] + 0.03
    assert dsc[0] > 0.85


def test_doubt_tells_where_the_network_is_wrong(chests, parts, fitted):
    found = lungs.predict_tests(fitted, chests.seen, parts[:1])
    doubt, told, near = lungs.doubt_and_error(found, [chests.masks[k] for k in parts[0][2]])
    assert np.nanmean(told) > 0.6
    assert np.nanmean(near) > 0.6
    assert doubt.min() >= 0
    assert doubt.max() <= 1


def test_dark_fields_are_lungs_on_most_films(chests):
    found = [lungs.dark_fields(film) for film in chests.seen]
    labels = [lungs.lung_labels(p, m.shape) for p, m in zip(found, chests.masks, strict=True)]
    assert lungs.scores(chests.table, labels, chests.masks)["dsc"].median() > 0.6


def test_exact_masks_score_one_and_a_shift_of_two_percent_two():
    mask = np.zeros((200, 100), bool)
    mask[50:150, 20:40] = mask[50:150, 60:80] = True
    who = pd.DataFrame({"subject": ["a", "b"], "patient": ["a", "b"], "site": ["x", "x"]})
    shifted = np.roll(mask, 4, axis=0)
    found = lungs.scores(who, [mask, shifted], [mask, mask])
    assert found.loc[0, ["dsc", "surface_dsc", "hd95"]].tolist() == [1, 1, 0]
    assert found.loc[1, "dsc"] == pytest.approx(0.96)
    assert found.loc[1, "hd95"] == pytest.approx(2, abs=0.1)


def test_the_two_largest_parts_are_kept_without_holes_the_patients_right_first():
    likely = np.zeros((64, 64), np.float32)
    likely[10:50, 38:58] = likely[10:50, 6:26] = 1
    likely[20:24, 10:14] = 0  # a hole
    likely[60:62, 30:32] = 1  # a speck
    labels = lungs.lung_labels(likely, (128, 128))
    assert labels[44, 24] == 1
    assert labels[60, 100] == 2
    assert labels[122, 62] == 0
    assert (np.unique(labels) == [0, 1, 2]).all()


def test_a_speck_beside_one_lung_is_no_second_lung():
    likely = np.zeros((64, 64), np.float32)
    likely[10:50, 38:58] = 1
    likely[60:62, 4:6] = 1
    assert np.unique(lungs.lung_labels(likely, (64, 64))).tolist() == [0, 2]


def test_training_films_are_varied_with_their_masks_and_validation_films_are_not(chests):
    data = lungs.LungFilms(chests.seen[:3], chests.masks[:3], augment=True)
    plain = lungs.LungFilms(chests.seen[:3], chests.masks[:3])
    torch.manual_seed(1)
    film, mask = data[0]
    torch.manual_seed(1)
    again, _ = data[0]
    assert torch.equal(film, again)
    assert not torch.equal(film, plain[0][0])
    inside = mask[0] > 0.5
    assert film[0][inside].mean() < film[0][~inside].mean()
    assert torch.equal(plain[0][0][0], torch.from_numpy(chests.seen[0]))


def test_only_networks_that_have_not_seen_a_patient_outline_the_lungs():
    rotation = [(np.array([0, 1]), np.array([2]), np.array([3])),
                (np.array([2, 3]), np.array([0]), np.array([1]))]  # fmt: skip
    own = np.array(["a", "b", "c", "d"])
    found = lungs.unseen_by(rotation, own, np.array(["a", "d", "stranger"]))
    assert found.tolist() == [[False, True, True], [False, False, True]]


class Everywhere(torch.nn.Module):
    """Calls a fixed share of lung everywhere, or nowhere."""

    def __init__(self, logit):
        super().__init__()
        self.logit = logit

    def forward(self, film):
        return film * 0 + self.logit


def test_outlines_are_saved_with_films_and_doubts_as_a_cohort(chests, tmp_path):
    table, seen = chests.table.head(2), chests.seen[:2]
    frames = [Frame.of(mask) for mask in chests.masks[:2]]
    unseen = np.array([[True, False]])
    found = lungs.outline([Everywhere(-9.0)], table, seen, frames, unseen=unseen)
    assert found["lungs"].isna().all()
    assert found["lungs_unseen"].tolist() == [True, False]
    assert found["doubts"].str.contains("no lungs found").all()
    drawn = [np.uint8(mask) for mask in chests.masks[:2]]
    lungs.save(found.assign(lungs=pd.Series(drawn)), tmp_path / "masks", synthetic=True)
    again, synthetic = load_films(str(tmp_path / "masks"), twin=None)
    assert synthetic
    assert (np.asarray(Image.open(again["lungs"][1])) == drawn[1]).all()
    assert again["subject"].tolist() == table["subject"].tolist()
    assert {"lesions", "doubts"} <= set(again)


WHOLE = Frame((128, 128), (slice(0, 128), slice(0, 128)))


def test_a_film_of_another_body_part_or_turned_is_doubted_by_its_lungs(chests, fitted):
    """The rules see what the network makes of such a film, not a mask drawn for them."""
    flat = np.random.default_rng(0).normal(size=chests.seen[:1].shape).astype(np.float32)
    turned = np.rot90(chests.seen[:6], axes=(1, 2)).copy()
    strange = np.concatenate([flat, turned])
    table = pd.concat([chests.table.head(7)])
    found = lungs.outline([fitted[0].net], table, strange, [WHOLE] * 7,
                          unseen=np.ones((1, 7), bool))  # fmt: skip
    assert found["doubts"].iloc[0]
    assert (found["doubts"].iloc[1:] != "").mean() > 0.5


def test_the_summary_has_an_interval_for_each_way_and_measure(chests):
    labels = [mask.astype(np.uint8) for mask in chests.masks]
    exact = lungs.scores(chests.table, labels, chests.masks)
    found = lungs.summary({"exact": exact}, n_boot=50, seed=0)
    assert found["metric"].tolist() == ["dsc", "surface_dsc", "hd95"]
    assert found["value"].tolist() == [1, 1, 0]
    assert found["n"].tolist() == [40] * 3


def test_a_way_is_a_word_in_the_name_of_a_metric():
    assert lungs.short("twin, then own films") == "twin_then_own_films"
    assert lungs.short("U-Net") == "u_net"


def test_synthetic_films_to_learn_from_are_parted_one_in_five(chests):
    train, val = lungs.twin_films(chests.table, 64)
    assert (len(train), len(val)) == (32, 8)
