"""Synthetic chests, drawn once for all tests that look at bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from nextaim_kit.twins.chest_ct.anatomy import Chest, add_branches, draw_chest
from nextaim_kit.twins.chest_ct.lesions import Disease, plant

SMALL = (100, 75, 50)


@dataclass(frozen=True)
class Patient:
    """A chest with lesions, before the scanner."""

    chest: Chest
    lesions: np.ndarray

    @property
    def hu(self):
        return self.chest.hu

    @property
    def inside(self):
        return self.chest.lungs > 0


def _patient(seed, disease, size=SMALL) -> Patient:
    body, place = np.random.default_rng(seed).spawn(2)
    chest = draw_chest(size, body)
    lesions = plant(chest, disease, place)
    add_branches(chest)
    return Patient(chest, lesions)


@pytest.fixture(scope="session")
def patient():
    """Draw a patient by seed and disease."""
    return _patient


@pytest.fixture(scope="session")
def healthy():
    """Six patients without lesions."""
    return [_patient(seed, Disease(0.0, 0.0)) for seed in range(6)]


@pytest.fixture(scope="session")
def ill():
    """Four patients with a third of their lungs ill, a third of that consolidated."""
    return [_patient(seed, Disease(0.33, 0.33)) for seed in range(4)]
