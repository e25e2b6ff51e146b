"""Where the networks look: inside the lungs, at the lesion, or at the electrodes beside them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nextaim_kit.errors import DataError
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.learn.splits import patient_folds, rotations
from nextaim_kit.studies.cxr_severity import attention, severity
from nextaim_kit.studies.cxr_severity.preprocessing import lungs_only
from nextaim_kit.studies.cxr_severity.twin import make_twin


@pytest.fixture(scope="module")
def turns(chests):
    return rotations(patient_folds(chests.table, 4, seed=0, group="patient"))


@pytest.fixture(scope="module")
def image(chests, turns, tmp_path_factory):
    training = severity.SeverityTraining(Recipe(2, 16, 2e-3))
    place = tmp_path_factory.mktemp("attention")
    return severity.cross_validate(training, chests.inputs, turns[:2], place, clinical=False)


def rows_of(image):
    return np.concatenate([fold.test for fold in image])


def test_there_is_a_map_for_each_test_film_of_its_size(chests, image):
    found = attention.maps_of_tests(image, chests.inputs)
    assert found.shape == (len(rows_of(image)), *chests.seen.shape[1:])
    assert found.min() >= 0


def test_correct_ones_come_first_half_of_either_outcome_then_the_most_wrong():
    y = np.array([1, 1, 1, 0, 0, 0])
    p = np.array([0.9, 0.8, 0.1, 0.2, 0.1, 0.7])
    assert attention.correct_then_wrong(y, p, each=2) == [0, 4, 2, 5]
    assert attention.correct_then_wrong(y, p, each=1) == [0, 2]


def test_energy_in_the_lungs_is_a_share_beside_their_area(chests, image):
    nets = {"whole film": (chests.inputs, image)}
    found = attention.energy_in_lungs(nets, chests.lungs)
    assert found["energy"].between(0, 1).all()
    area = chests.lungs[rows_of(image)].mean((1, 2))
    by_patient = dict(zip(chests.table["patient"].iloc[rows_of(image)], area, strict=True))
    assert found["by_chance"].tolist() == pytest.approx([by_patient[p] for p in found["patient"]])


def test_a_network_that_sees_only_lungs_does_not_notice_moved_cables(chests, image):
    """Within the lungs the other films are the same, so no number may change."""
    alone = lungs_only(chests.seen, chests.lungs)
    masked = severity.Inputs(chests.table, alone, chests.inputs.numbers)
    again = partial(make_twin, 40, cables="mild")
    moved = attention.films_again(again, chests.table, chests.seen.shape[1])
    assert (moved != chests.seen).any()
    nets = {"whole film": (chests.inputs, image), "lungs only": (masked, image)}
    found = attention.shortcut(nets, moved, chests.lungs, n_boot=50, seed=0)
    assert found["name"].tolist() == ["cables as filmed", "cables moved"] * 2
    whole, lungs = (part["value"].tolist() for _, part in found.groupby("group", sort=False))
    assert lungs[0] == lungs[1]
    assert whole[0] != whole[1]


def test_patients_that_the_twin_does_not_have_are_named(chests):
    with pytest.raises(DataError, match="not in the twin, such as"):
        attention.films_again(partial(make_twin, 24), chests.table, 64)
    with pytest.raises(DataError, match="others than those of the cohort"):
        attention.films_again(partial(make_twin, 40, seed=7), chests.table, 64)


def test_a_film_without_lungs_has_no_energy_in_them(chests, image):
    nets = {"whole film": (chests.inputs, image)}
    found = attention.energy_in_lungs(nets, np.zeros_like(chests.lungs))
    assert found.empty


def test_the_place_of_other_patients_lesions_is_a_map_to_beat(chests, image):
    found = attention.at_lesions(chests.inputs, chests.lungs, image)
    assert found["energy_by_position"].mean() > found["energy_by_chance"].mean()
    assert found["pointing_by_position"].between(0, 1).all()


def test_maps_are_compared_with_the_lesions_that_the_table_outlines(chests, image):
    found = attention.at_lesions(chests.inputs, chests.lungs, image)
    assert found["energy"].between(0, 1).all()
    assert set(found["pointing"].unique()) <= {0, 1}
    assert (found["energy_by_chance"] >= 0.005).all()
    assert 0 < len(found) <= len(rows_of(image))


def test_a_table_without_lesions_gives_no_row(chests, image):
    bare = severity.Inputs(chests.table.drop(columns="lesions"), chests.seen, chests.inputs.numbers)
    found = attention.at_lesions(bare, chests.lungs, image)
    assert found.empty
    assert "pointing" in found


@pytest.fixture
def marked(chests, tmp_path):
    """Another cohort with lesions in bit 8, one of whose films has none."""
    table = chests.table.head(6)[["subject", "patient", "image", "lungs", "lesions"]].copy()
    for row, path in zip(table.index, table["lesions"], strict=True):
        bits = np.asarray(Image.open(path)) * 8 + np.asarray(Image.open(table["lungs"][row]))
        Image.fromarray(bits if row != 2 else bits & 3).save(tmp_path / f"{row}.png")
        table.loc[row, "lesions"] = str(tmp_path / f"{row}.png")
    # Not inverted, as a cohort from the notebooks before.
    (tmp_path / "films").mkdir()
    for row, inverted in zip(table.index, chests.table["truth_inverted"], strict=False):
        film = np.asarray(Image.open(table["image"][row]))
        table.loc[row, "image"] = str(tmp_path / "films" / f"{row}.png")
        Image.fromarray(255 - film if inverted else film).save(table["image"][row])
    table.assign(site="x", label=pd.NA).to_csv(tmp_path / "cohort.csv", index=False)
    return tmp_path / "cohort.csv"


def test_another_cohort_is_looked_at_by_networks_that_have_not_seen_its_patients(
    chests, turns, image, marked
):
    looked = partial(attention.at_lesions_of, str(marked), chests.inputs, image, turns[:2])
    found, problems = looked(bits=8, masked=True)
    assert problems["subject"].tolist() == [chests.table["subject"][2]]
    assert "is empty" in problems["problem"][0]
    seen_by_both = {
        who
        for who in chests.table["patient"].head(6)
        if all(who in set(chests.inputs.patients[[*train, *val]]) for train, val, _ in turns[:2])
    }
    assert set(found["patient"]).isdisjoint(seen_by_both)
    assert set(found["patient"]) <= set(chests.table["patient"].head(6))


def test_deletion_and_insertion_are_measured_beside_a_blind_order(chests, image):
    found = attention.faithful(image[0], chests.inputs, n=4, seed=0)
    assert set(found) == {
        f"{kind}, {name}"
        for kind in ("deletion", "insertion")
        for name in ("Grad-CAM", "any order")
    }
    start = {name: curves[:, 0] for name, (curves, _) in found.items()}
    # Both deletions begin with the whole film, both insertions end with it.
    assert start["deletion, Grad-CAM"] == pytest.approx(start["deletion, any order"])
    end = found["insertion, Grad-CAM"][0][:, -1]
    assert end == pytest.approx(start["deletion, Grad-CAM"], abs=1e-6)
