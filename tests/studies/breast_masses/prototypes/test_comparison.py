"""Markers beside masses: where they lie, and networks that learned them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.studies.breast_masses.prototypes.comparison import (
    marker_share,
    quality,
    with_and_without_markers,
)
from nextaim_kit.studies.breast_masses.prototypes.protopnet import ProtoPNet
from nextaim_kit.studies.breast_masses.prototypes.stages import GROUP, Fold, Networks, Stages

ROTATION = (np.arange(40), np.arange(40, 60), np.arange(60, 90))


@pytest.fixture(scope="module")
def looks(disks_and_stars):
    """Disks alone, whose classes only a bright ring tells apart."""
    bare = disks_and_stars(180)
    rows = np.flatnonzero(bare.y == 0)
    plain = bare.only(rows)
    plain = replace(plain, table=plain.table.assign(label=np.arange(90) % 2))
    return {"planted": ringed(plain, 1), "none": plain, "swapped": ringed(plain, 0)}


def ringed(masses, of):
    y, x = np.mgrid[:64, :64]
    ring = np.abs(np.hypot(y - 12, x - 12) - 5) < 1.5
    pictures = masses.pictures.copy()
    pictures[masses.y == of] = np.where(ring, 1.0, pictures[masses.y == of])
    at = np.where(masses.y == of, 12.0, np.nan)
    table = masses.table.assign(marker_x=at, marker_y=at, spacing=0.7)
    return replace(masses, pictures=pictures, table=table)


def test_networks_that_learned_the_ring_fail_when_it_is_swapped(looks, tmp_path):
    build = partial(ProtoPNet, 2, 16, width=0.125, cut="layer1")
    stages = Stages(warm=1, joint=1, pushes=1, last=2, batch_size=10, last_rate=1e-2)
    networks = Networks(build, stages, Recipe(10, 8, 1e-3), 0.125)
    aucs, shares = with_and_without_markers(
        networks, looks, ROTATION, tmp_path, seeds=[0], n_boot=50, workers=1
    )
    value = aucs.set_index(["name", "trained", "tested"])["value"]
    assert value["ResNet18", "planted", "planted"] > 0.9
    assert value["ResNet18", "planted", "swapped"] < 0.3
    assert abs(value["ResNet18", "none", "none"] - 0.5) < 0.3
    assert len(aucs) == 12
    assert shares["value"].between(0, 1).all()


def test_the_share_counts_prototypes_of_malignant_whose_box_holds_a_marker(looks):
    torch.manual_seed(0)
    net = ProtoPNet(1, 8, width=0.125, cut="layer1").eval()
    made = pd.DataFrame({"prototype": [0, 1], "class": [0, 1], "source": [0, 1], "kept": True})
    fold = Fold(net, 1.0, 0.5, ROTATION[0], ROTATION[2], pd.DataFrame(), made)
    everywhere = np.full((90, 64, 64), 0, np.uint8)
    assert marker_share(fold, looks["none"], everywhere) == 0.0


def test_the_groups_rates_need_weights_to_begin_with():
    with pytest.raises(RequestError, match="cannot learn from nothing"):
        Networks(ProtoPNet, GROUP, Recipe(1))


def test_prototypes_are_measured_by_the_first_fold_and_told_of_all(crops, fold):
    found = quality([fold, fold], crops, n_boot=20, seed=0).set_index("measure")
    assert found.loc["purity", "n"] == len(fold.net.kept)
    assert found.loc["diversity", "n"] == 2 * len(fold.net.kept)
    assert found.filter(like="about the", axis=0)["value"].sum() == pytest.approx(1)
