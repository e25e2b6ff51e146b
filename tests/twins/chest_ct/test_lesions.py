"""Planted lesions: their volumes, their HU, and where they prefer to be."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.ct_lungquant.definitions import ct_ss, lesion_type
from nextaim_kit.studies.ct_lungquant.truth import known
from nextaim_kit.twins.chest_ct.lesions import Disease


@pytest.mark.parametrize(("involvement", "consolidation"), [(0.01, 0.0), (0.3, 0.25), (0.9, 1.0)])
def test_masks_have_the_planted_volume_to_a_voxel(patient, involvement, consolidation):
    sick = patient(5, Disease(involvement, consolidation))
    count = round(involvement * sick.inside.sum())
    assert (sick.lesions > 0).sum() == count
    assert (sick.lesions == 2).sum() == round(consolidation * count)


def test_lesions_lie_within_the_lungs(ill):
    for patient in ill:
        assert not patient.lesions[~patient.inside].any()
        assert set(np.unique(patient.lesions)) == {0, 1, 2}


def test_no_disease_is_no_lesion(healthy):
    assert not any(patient.lesions.any() for patient in healthy)


def test_ground_glass_and_consolidation_have_their_hu(ill):
    for patient in ill:
        clear = patient.chest.vessels == 0
        glass = patient.hu[(patient.lesions == 1) & clear]
        dense = patient.hu[(patient.lesions == 2) & clear]
        assert -700 < glass.mean() < -300
        assert np.quantile(glass, 0.05) > -780
        assert -100 < dense.mean() < 60
        assert 0 < np.median(dense) < 60


def test_what_is_not_ill_stays_normal_lung(ill):
    for patient in ill:
        rest = patient.hu[patient.inside & (patient.lesions == 0)]
        assert -900 < np.median(rest) < -840


def test_half_of_the_change_is_reached_at_the_border_of_a_mask(patient, healthy):
    sick = patient(1, Disease(0.3, 0.0))
    chest = sick.chest
    plain = (chest.air == 255) & (chest.vessels == 0) & (chest.walls == 0) & (chest.lumens == 0)
    change, ill = (sick.hu - healthy[1].hu)[plain], sick.lesions[plain] > 0
    whole = np.median(change[ill])
    assert np.quantile(change[ill], 0.01) > 0.35 * whole
    assert np.quantile(change[~ill], 0.99) < 0.65 * whole


def test_airways_stay_open_in_consolidation(patient):
    sick = patient(2, Disease(0.9, 1.0))
    airways = (sick.chest.lumens > 250) & (sick.lesions == 2)
    assert airways.sum() > 5
    assert sick.hu[airways].max() < -900


def test_lesions_go_where_the_disease_prefers_to_be(patient):
    def truth(**preference):
        sick = patient(3, Disease(0.15, 0.2, **preference))
        return known(sick.chest, sick.lesions)

    assert truth(lower=2.0)["upper"] < truth(lower=0.0)["upper"] < truth(lower=-2.0)["upper"]
    assert truth(peripheral=3.0)["peripheral"] > truth(peripheral=0.0)["peripheral"] + 0.2
    assert truth(left=7.0)["left"] == pytest.approx(1, abs=0.01)
    assert truth(left=-7.0)["left"] == pytest.approx(0, abs=0.01)
    assert not truth(left=7.0)["bilateral"]


def test_crazy_paving_adds_lines_and_moves_no_mask(patient):
    plain, paved = (patient(4, Disease(0.3, 0.0, paving=p)) for p in (0.0, 1.0))
    np.testing.assert_array_equal(plain.lesions, paved.lesions)
    gain = (paved.hu - plain.hu)[plain.lesions == 1]
    assert gain.min() >= -1
    assert gain.max() > 60


def test_more_disease_contains_less_of_it(patient):
    little, much = (patient(6, Disease(share, 0.3)) for share in (0.1, 0.3))
    assert (much.lesions[little.lesions > 0] > 0).all()


def test_the_truth_is_what_can_be_counted(ill):
    patient = ill[0]
    truth, ml = known(patient.chest, patient.lesions), patient.chest.grid.voxel_ml
    assert truth["right_ml"] == pytest.approx((patient.chest.lungs == 1).sum() * ml)
    assert truth["lesions_ml"] == pytest.approx((patient.lesions > 0).sum() * ml)
    whole = truth["right_ml"] + truth["left_ml"]
    assert truth["involvement"] == pytest.approx(100 * truth["lesions_ml"] / whole)
    assert truth["ground_glass"] + truth["consolidation"] == pytest.approx(1)
    assert truth["ct_ss"] == 3
    assert truth["type"] == "mixed"


def test_a_healthy_patient_has_class_1_and_no_type(healthy):
    truth = known(healthy[0].chest, healthy[0].lesions)
    assert (truth["involvement"], truth["ct_ss"], truth["type"]) == (0, 1, "none")
    assert np.isnan([truth[k] for k in ("consolidation", "left", "upper", "peripheral")]).all()


def test_classes_begin_where_they_are_said_to():
    assert [ct_ss(x) for x in (0, 4.99, 5, 24.9, 25, 50, 74.9, 75, 100)] == [
        1,
        1,
        2,
        2,
        3,
        4,
        4,
        5,
        5,
    ]
    assert [lesion_type(x) for x in (0, 0.1, 0.49, 0.5)] == [
        "ground glass", "mixed", "mixed", "consolidation",
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [{"involvement": 1.2}, {"consolidation": -0.1}, {"paving": 2.0}])
def test_what_is_no_share_is_refused(wrong):
    with pytest.raises(RequestError, match=f"{next(iter(wrong))} is a share"):
        Disease(**({"involvement": 0.1, "consolidation": 0.1} | wrong))
