"""Prototypes are patches after the push; those that tell nothing are pruned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nextaim_kit.errors import DataError
from nextaim_kit.studies.breast_masses.prototypes.protopnet import ProtoPNet
from nextaim_kit.studies.breast_masses.prototypes.push import prune, push
from nextaim_kit.studies.breast_masses.prototypes.stages import train_prototypes
from tests.studies.breast_masses.prototypes.conftest import ROTATION, SHORT


def test_pushing_twice_moves_nothing_the_second_time(crops, net):
    push(net, crops, ROTATION[0])
    again = push(net, crops, ROTATION[0])
    assert again["distance"].to_numpy() == pytest.approx(0, abs=1e-4)


def test_pruning_leaves_out_a_prototype_whose_neighbors_are_of_the_other_class(crops, net):
    pushed = push(net, crops, ROTATION[0])
    with torch.no_grad():  # the first prototype of class 0 now looks like one of class 1
        net.prototypes[0] = net.prototypes[3]
    rows = ROTATION[0][crops.y[ROTATION[0]] == 1]
    found = prune(net, crops, rows, pushed)
    assert found["own_class"].tolist() == [0, 0, 0, 6, 6, 6]
    assert net.kept.tolist() == [0, 3, 4, 5]  # one of each class stays


def test_one_class_or_too_few_patches_are_refused(crops, net, tmp_path):
    benign = np.flatnonzero(crops.y == 0)
    with pytest.raises(DataError, match="need both classes"):
        train_prototypes(net, crops, (benign, *ROTATION[1:]), SHORT, tmp_path)
    many = ProtoPNet(300, 4, width=0.125, cut="layer1")  # 256 patches a crop
    with pytest.raises(DataError, match="300 prototypes of a class cannot be 256 patches"):
        train_prototypes(many, crops, (np.arange(2), *ROTATION[1:]), SHORT, tmp_path)
