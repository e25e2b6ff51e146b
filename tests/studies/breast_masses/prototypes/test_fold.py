"""A network of one fold: what it learns, and what it says of the crops left out."""

from __future__ import annotations

import torch

from nextaim_kit.studies.breast_masses.prototypes.fold import moved


def test_a_moved_crop_has_the_same_size_and_only_its_own_values():
    film = torch.arange(256.0).reshape(1, 16, 16)
    torch.manual_seed(1)
    found = moved(film, 2)
    assert found.shape == film.shape
    assert set(found.unique().tolist()) <= set(film.unique().tolist())
