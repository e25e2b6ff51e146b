"""A measurement's figure says how many patients change their class."""

from __future__ import annotations

from nextaim_kit.show.style import alt_of
from nextaim_kit.studies.ct_lungquant.figures import class_borders


def test_patients_in_another_class_are_counted():
    figure = class_borders([1, 10, 30], [6, 12, 31], (5, 25), quantity="share", unit="%")
    assert "2 in the same class, 1 in another" in alt_of(figure)
