"""A network of one fold: what it learns, and what it says of the crops left out."""

from __future__ import annotations

import pytest
import torch

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.studies.breast_masses.prototypes.fold import moved, train_resnet
from tests.studies.breast_masses.prototypes.conftest import ROTATION


def test_resnet_tells_disks_from_stars(crops, tmp_path):
    recipe = Recipe(15, 8, 1e-3)
    found = train_resnet(crops, ROTATION, recipe, tmp_path, width=0.125)
    right = (found.predict(crops.films[60:]) >= found.threshold) == crops.y[60:]
    assert right.mean() > 0.85


def test_a_frozen_backbone_needs_weights(crops, tmp_path):
    with pytest.raises(RequestError, match="cannot stay frozen"):
        train_resnet(crops, ROTATION, Recipe(1), tmp_path, frozen=True)


def test_a_moved_crop_has_the_same_size_and_only_its_own_values():
    film = torch.arange(256.0).reshape(1, 16, 16)
    torch.manual_seed(1)
    found = moved(film, 2)
    assert found.shape == film.shape
    assert set(found.unique().tolist()) <= set(film.unique().tolist())
