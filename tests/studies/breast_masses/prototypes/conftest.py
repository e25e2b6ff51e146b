"""Disks and stars, a short training, and a network that nothing has trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nextaim_kit.studies.breast_masses.prototypes.crops import Crops
from nextaim_kit.studies.breast_masses.prototypes.protopnet import ProtoPNet
from nextaim_kit.studies.breast_masses.prototypes.stages import Stages, train_prototypes

ROTATION = (np.arange(40), np.arange(40, 60), np.arange(60, 100))
SHORT = Stages(warm=1, joint=2, pushes=2, last=2, batch_size=20, last_rate=1e-2, seed=3)


@pytest.fixture(scope="module")
def crops(disks_and_stars) -> Crops:
    return disks_and_stars(100)


def begun() -> ProtoPNet:
    """A small network, always the same."""
    torch.manual_seed(0)
    return ProtoPNet(3, 16, width=0.125, cut="layer1")


@pytest.fixture
def net() -> ProtoPNet:
    return begun()


@pytest.fixture(scope="module")
def fold(crops, tmp_path_factory):
    return train_prototypes(begun(), crops, ROTATION, SHORT, tmp_path_factory.mktemp("fold"))
