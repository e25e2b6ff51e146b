"""Methods keep their order in figures, names their ends, and marks of a hunt their counts."""

from __future__ import annotations

import pandas as pd

from nextaim_kit.show.style import alt_of
from nextaim_kit.studies.challenges.explainability import figures


def _table(metric):
    rows = [("integrated_gradients", metric, 0.4, 0.3, 0.5), ("center", metric, 0.2, 0.1, 0.3)]
    return pd.DataFrame(rows, columns=["name", "metric", "value", "low", "high"])


def test_methods_stand_in_the_order_of_the_table_each_with_all_its_measures():
    table = pd.concat([_table("pointing"), _table("margin_weights")])
    said = alt_of(figures.compared(table, xlabel="share", reference=[(0.3, "by area")]))
    methods = [
        part.split(" (")[0] for part in said.removeprefix("share with intervals: ").split("; ")
    ]
    assert methods == ["integrated gradients"] * 2 + ["center"] * 2
    assert "center (margin weights) 0.20 [0.10, 0.30]" in said
    assert said.endswith("Reference: by area.")


def test_a_group_goes_before_the_metric():
    table = _table("deletion").assign(group=["the darkest value", "without what it says"])
    said = alt_of(figures.compared(table, xlabel="area"))
    assert "deletion" not in said


def test_long_names_that_begin_alike_stay_apart():
    one, other = (
        f"Left Middle Frontal Gyrus, {k} - Right Occipital Pole" for k in ("a", "posterior")
    )
    ends = [f"Left Middle Frontal Gyrus - Right {k} Pole" for k in ("Occipital", "Temporal")]
    assert len({figures._short(name) for name in ends}) == 2
    assert all(len(figures._short(name)) <= 39 for name in (one, other, *ends))
    assert figures._short("age") == "age"


def test_the_alternative_text_of_a_hunt_counts_models_above_the_limit():
    rows = [("reference", 0.3), ("none", 0.2), ("none", 0.4), ("marker", 0.9)]
    signs = pd.DataFrame(rows, columns=["shortcut", "value"])
    signs = signs.assign(method="occlusion", sign="same place")
    said = alt_of(figures.hunt(signs, sign="same place"))
    assert "occlusion, none: 1 of 2 above" in said
    assert "occlusion, marker: 1 of 1 above" in said
    edges = alt_of(figures.hunt(signs.assign(method="edges"), sign="same place"))
    assert "edges, none: 0 of 1 above" in edges
