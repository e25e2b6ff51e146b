"""Film and clinical values are joined, tested on patients no part of it has seen, and compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.metrics import auc
from nextaim_kit.learn.predictions import by_repeat
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.learn.splits import patient_folds, rotations
from nextaim_kit.studies.cxr_severity import severity
from nextaim_kit.studies.cxr_severity.clinical_values import missingness
from nextaim_kit.studies.cxr_severity.fusion import CAM_LAYER, Patients, SeverityNet, logits

TRAINING = severity.SeverityTraining(Recipe(3, 16, 2e-3))


@pytest.fixture(scope="module")
def parts(chests):
    return patient_folds(chests.table, 4, seed=0, group="patient")


@pytest.fixture(scope="module")
def branches(chests, parts, tmp_path_factory):
    """Image and clinical networks of two rotations."""
    place, turns = tmp_path_factory.mktemp("severity"), rotations(parts)[:2]
    image = severity.cross_validate(TRAINING, chests.inputs, turns, place / "image", clinical=False)
    table = severity.cross_validate(TRAINING, chests.inputs, turns, place / "table", image=False)
    return image, table


def test_a_network_without_a_branch_does_not_see_it(chests):
    film, values = torch.randn(2, 1, 64, 64), torch.randn(2, 13)
    torch.manual_seed(0)
    image, table = (SeverityNet(image=i, clinical=c).eval() for i, c in ((True, 0), (False, 13)))
    with torch.inference_mode():
        assert torch.equal(image(film, values), image(film, values * 9))
        assert torch.equal(table(film, values), table(film * 9, values))
        assert not torch.equal(image(film, values), image(film.flip(2), values))


@pytest.mark.parametrize(
    ("backbone", "size", "fields"), [("small", 96, 12), ("small", 64, 8), ("resnet18", 224, 14)]
)
def test_a_field_of_grad_cam_is_a_value_of_its_layer(backbone, size, fields):
    net, seen = SeverityNet(image=True, clinical=0, backbone=backbone).eval(), []
    hook = net.get_submodule(CAM_LAYER).register_forward_hook(lambda *io: seen.append(io[2].shape))
    with torch.inference_mode():
        net(torch.zeros(1, 1, size, size), torch.zeros(1, 0))
    hook.remove()
    assert seen[0][2:] == (fields, fields)
    assert net.field == size / fields


def test_a_network_needs_something_to_look_at_and_a_known_backbone():
    with pytest.raises(RequestError, match="needs a film or clinical values"):
        SeverityNet(image=False, clinical=0)
    with pytest.raises(RequestError, match="small, resnet18, resnet34"):
        SeverityNet(image=True, clinical=0, backbone="resnet50")


def test_fusion_begins_as_the_sum_of_its_branches(chests, branches):
    (image, *_), (table, *_) = branches
    both = SeverityNet(image=True, clinical=table.net.clinical[0].in_features)
    both.take_branches(image.net, table.net)
    values = table.standard.apply(chests.inputs.numbers)
    parts = [logits(net, chests.seen, values) for net in (image.net, table.net)]
    assert logits(both, chests.seen, values) == pytest.approx(sum(parts), abs=1e-4)


def test_films_are_varied_while_training_only(chests):
    y = np.zeros(40)
    none = np.zeros((40, 0), np.float32)
    torch.manual_seed(0)
    plain, varied = (Patients(chests.seen, none, y, augment=augment) for augment in (False, True))
    assert torch.equal(plain[3][0][0][0], torch.from_numpy(chests.seen[3]))
    assert not torch.equal(varied[3][0][0], plain[3][0][0])


def test_the_standard_of_a_fold_comes_from_its_training_patients(chests, parts, branches):
    train, _, test = rotations(parts)[0]
    fold = branches[1][0]
    assert (fold.test == test).all()
    numbers = chests.inputs.numbers
    assert fold.standard.median == pytest.approx(np.nanmedian(numbers.iloc[train], 0))


def test_the_test_patients_change_nothing_about_a_network(chests, parts, branches, tmp_path):
    rotation = rotations(parts)[0]
    inputs, test = chests.inputs, rotation[2]
    films, numbers = inputs.films.copy(), inputs.numbers.copy()
    films[test] = 7
    numbers.iloc[test] = 1e6
    table = inputs.table.copy()
    table.loc[test, "label"] = 1 - table.loc[test, "label"]
    other = severity.Inputs(table, films, numbers)
    again = TRAINING.train(other, rotation, tmp_path / "again", clinical=False)
    before = branches[0][0]
    assert again.temperature == before.temperature
    assert again.threshold == before.threshold
    for one, two in zip(again.net.parameters(), before.net.parameters(), strict=True):
        assert torch.equal(one, two)


def test_fusion_is_trained_for_a_third_of_the_epochs(chests, parts, branches, tmp_path):
    pair = (branches[0][0].net, branches[1][0].net)
    fold = TRAINING.train(chests.inputs, rotations(parts)[0], tmp_path / "both", branches=pair)
    assert len(fold.history) == 1
    assert fold.history["learning_rate"].iloc[0] == pytest.approx(TRAINING.recipe.learning_rate / 5)


def test_saving_memory_changes_no_number(chests, parts, branches, tmp_path):
    frugal = replace(TRAINING, save_memory=True)
    fold = frugal.train(chests.inputs, rotations(parts)[0], tmp_path / "frugal", clinical=False)
    test = fold.test
    expected = branches[0][0].predict(chests.inputs, test)
    assert fold.predict(chests.inputs, test) == pytest.approx(expected, abs=1e-6)


def test_predictions_name_patient_fold_and_threshold(chests, branches):
    found = severity.predictions(chests.inputs, [branches[1], branches[1]])
    tested = np.concatenate([fold.test for fold in branches[1]])
    assert len(found) == 2 * len(tested)
    one = found[found["repeat"] == 0]
    assert one["subject"].tolist() == chests.table["subject"].iloc[tested].tolist()
    assert (one["y"].to_numpy() == chests.inputs.y[tested]).all()
    assert one["p"].between(0, 1).all()
    y, p, threshold = by_repeat(found)
    assert len(y) == len(tested)
    assert p.shape == threshold.shape == (len(tested), 2)
    assert (p[:, 0] == p[:, 1]).all()


def test_calibration_keeps_the_order_of_the_patients(chests, branches):
    found = severity.predictions(chests.inputs, [branches[1][:1]])
    assert (found["p"].rank() == found["raw"].rank()).all()


def test_tabular_models_are_tested_in_the_same_parts(chests, parts):
    numbers = chests.inputs.numbers
    results = severity.tabular(chests.table, numbers, [parts, parts], model="logistic")
    found = severity.joined(results)
    assert found["repeat"].value_counts().to_dict() == {0: 40, 1: 40}
    one = found[found["repeat"] == 0].set_index("subject")
    for number, (_, test) in enumerate(parts):
        who = chests.table["subject"].iloc[test]
        assert (one.loc[who, "fold"] == number).all()
    assert auc(one["y"], one["p"]) > 0.6


def test_which_values_are_missing_is_a_model_of_its_own(chests, parts):
    gaps = missingness(chests.inputs.numbers)
    found = severity.joined(severity.tabular(chests.table, gaps, [parts]))
    assert found["p"].between(0, 1).all()
    assert len(found) == 40


def test_the_importance_of_a_value_is_what_its_shuffling_costs(chests, parts, branches, tmp_path):
    pair = (branches[0][0].net, branches[1][0].net)
    fold = TRAINING.train(chests.inputs, rotations(parts)[0], tmp_path / "both", branches=pair)
    flat = chests.inputs.numbers.assign(pH=7.4)
    inputs = severity.Inputs(chests.table, chests.seen, flat)
    found = severity.clinical_importance(inputs, [fold], n_repeats=3).set_index("feature")
    assert found.loc["pH", "drop"] == pytest.approx(0, abs=1e-12)
    assert found["drop"].is_monotonic_decreasing
    assert (found["drop"].abs() > 1e-6).any()


def test_a_clinical_branch_without_training_patients_is_refused(chests):
    with pytest.raises(DataError, match="no training rows"):
        severity.Standard.of(chests.inputs.numbers.iloc[:0])


def test_a_category_never_seen_in_training_is_a_number_like_any_other(chests):
    numbers = pd.DataFrame({"Sex": [0.0, 0.0, 0.0], "Age": [40.0, 50.0, np.nan]})
    standard = severity.Standard.of(numbers)
    found = standard.apply(pd.DataFrame({"Sex": [1.0], "Age": [60.0]}))
    assert found[0, 0] == pytest.approx(1.0)
    assert np.isfinite(found).all()
