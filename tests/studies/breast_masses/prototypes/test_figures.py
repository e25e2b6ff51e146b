"""Crops that look like others: what is shown adds up, and pairs to rate are fair."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from nextaim_kit.show.style import alt_of
from nextaim_kit.studies.breast_masses.prototypes.figures import (
    as_image,
    contribution_table,
    looks_like,
    pairs_to_rate,
    prototypes_shown,
    source_boxes,
)
from nextaim_kit.studies.breast_masses.prototypes.fold import settled
from nextaim_kit.studies.breast_masses.prototypes.protopnet import ProtoPNet
from nextaim_kit.studies.breast_masses.prototypes.push import prune, push
from nextaim_kit.studies.breast_masses.reading.pairs import load_pairs

ROTATION = (np.arange(20), np.arange(20, 30), np.arange(30, 50))


@pytest.fixture(scope="module")
def crops(disks_and_stars):
    return disks_and_stars(50)


@pytest.fixture(scope="module")
def fold(crops):
    """An untrained network whose prototypes are patches all the same."""
    torch.manual_seed(0)
    net = ProtoPNet(3, 16, width=0.125, cut="layer1").eval()
    made = push(net, crops, ROTATION[0])
    made = prune(net, crops, ROTATION[0], made)
    made["kept"] = np.isin(made["prototype"], net.kept)
    return settled(net, crops, ROTATION, pd.DataFrame(), made)


def test_contributions_add_up_to_the_log_odds_that_the_network_gives(crops, fold):
    table = contribution_table(fold, crops, 40)
    assert len(table) == len(fold.net.kept)
    assert table["adds"].sum() == pytest.approx(fold.logits(crops.films[[40]])[0], abs=1e-4)
    assert table["adds"].abs().is_monotonic_decreasing
    assert set(table["source"]) <= set(crops.table["subject"][:20])


def test_a_case_is_shown_above_the_crops_of_its_prototypes(crops, fold):
    shown = alt_of(looks_like(fold, crops, 40, top=2))
    assert shown.startswith("4 pictures:")
    assert shown.count("to malignant") == 2
    assert shown.count("prototype ") == 2


def test_all_kept_prototypes_are_shown_with_boxes_inside_their_crops(crops, fold):
    kept = len(fold.net.kept)
    assert alt_of(prototypes_shown(fold, crops)).startswith(f"{kept} pictures:")
    boxes = np.array(source_boxes(fold, crops))
    assert boxes.shape == (kept, 4)
    assert (boxes[:, ::2] < boxes[:, 1::2]).all()
    assert 0 <= boxes.min() <= boxes.max() <= 64


def test_a_slider_shows_a_picture_with_its_text(crops, fold):
    image = as_image(looks_like(fold, crops, 40, top=1))
    assert image.data[1:4] == b"PNG"
    assert image.metadata["alt"].startswith("2 pictures")


def test_each_case_has_a_true_pair_and_a_wrong_aid_alike_but_for_the_crop(crops, fold, tmp_path):
    pairs = pairs_to_rate([fold], crops, 8, tmp_path / "pairs.npz", seed=1)
    table = pairs.table.assign(place=range(16)).sort_values(["image", "wrong_aid"])
    assert table["wrong_aid"].tolist() == [False, True] * 8
    true, wrong = table[::2].reset_index(), table[1::2].reset_index()
    same = ["subject", "image", "prototype", "contribution", "label", "prototype_label"]
    assert true[same].equals(wrong[same])
    assert (true["source"] != wrong["source"]).all()
    y = crops.table.set_index("subject")["label"]
    assert y[wrong["source"]].tolist() == wrong["prototype_label"].tolist()
    edges = pairs.source_boxes[:, 2:] - pairs.source_boxes[:, :2]
    assert np.array_equal(edges[true["place"]], edges[wrong["place"]])
    assert load_pairs(tmp_path / "pairs.npz").key == pairs.key


def test_pairs_are_the_same_from_the_same_seed(crops, fold, tmp_path):
    one, other = (pairs_to_rate([fold], crops, 4, tmp_path / n, seed=2) for n in ("a.npz", "b.npz"))
    assert one.key == other.key
