"""Synthetic patients: values of the templates that go together."""

from __future__ import annotations

from random import Random


def present(often: float, rng: Random) -> str:
    """Whether a sign is there, so often."""
    return "present" if rng.random() < often else "absent"


def one_of(shares: dict[str, float], rng: Random) -> str:
    """One of several words, each in its share."""
    return rng.choices([*shares], [max(0.0, share) for share in shares.values()])[0]
