"""Values beside the truth: from the twin's table, from masks, or none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from statsmodels.stats.proportion import proportion_confint

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_lungquant import against_truth
from nextaim_kit.studies.ct_lungquant.against_truth import Truth
from nextaim_kit.studies.ct_lungquant.masks import read_masks
from nextaim_kit.studies.ct_lungquant.quantification import quantify
from nextaim_kit.studies.ct_lungquant.scans import read_ct


@pytest.fixture(scope="module")
def table(twin_of):
    return twin_of().head(4)


@pytest.fixture(scope="module")
def values(table):
    return quantify(table, also=Truth(table))[0]


def test_errors_are_measured_less_true(table, values):
    known = against_truth.compared(values)
    assert np.allclose(known["error"], known["involvement"] - table["truth_involvement"])
    true_ml = table["truth_right_ml"] + table["truth_left_ml"]
    assert np.allclose(known["volume_error"], 100 * (known["lungs_ml"] / true_ml - 1))


def test_masks_are_on_the_right_side_and_overlap(values):
    assert (values["sides_correct"] > 0.99).all()
    assert (values["dsc_lungs"] > 0.75).all()


def test_what_the_reader_of_a_mask_warns_of_is_told(table, tmp_path):
    import nibabel

    mask = nibabel.load(table["lungs"].iloc[0])
    turned = mask.affine.copy()
    turned[0, 3] += 30
    mask.set_qform(turned, 1)
    nibabel.save(mask, tmp_path / "lungs.nii.gz")
    ct = read_ct(table["image"].iloc[0]).image
    remarks = read_masks(str(tmp_path / "lungs.nii.gz"), table["lesions"].iloc[0], ct)[2]
    assert len(remarks) == 1
    assert "lungs.nii.gz" in remarks[0]
    assert "qform" in remarks[0]


def test_without_a_table_the_masks_tell_the_same_truth(table, values):
    bare = table[["subject", "site", "image", "lungs", "lesions"]]
    counted = quantify(bare, also=Truth(bare))[0]
    for name in ("right_ml", "left_ml", "involvement"):
        assert np.allclose(counted[f"truth_{name}"], values[f"truth_{name}"], rtol=1e-6)
    assert counted["truth_ct_ss"].tolist() == values["truth_ct_ss"].tolist()


def test_a_mask_of_another_grid_is_named_and_the_patient_stays_measured(table, ct, tmp_path):
    path = tmp_path / "lungs.nii.gz"
    sitk.WriteImage(sitk.Cast(ct[1:] > 0, sitk.sitkUInt8), str(path))
    bare = table[["subject", "site", "image", "lesions"]].head(1).assign(lungs=str(path))
    found, failures = quantify(bare, also=Truth(bare))
    assert failures.empty
    assert "not compared: mask and image differ in size" in found["warnings"][0]


def test_without_a_truth_nothing_is_compared(table):
    bare = table[["subject", "site", "image"]]
    found, _ = quantify(bare, also=Truth(bare))
    assert against_truth.compared(found).empty
    assert list(against_truth.without_truth(found)) == list(found)


def test_what_goes_on_to_other_notebooks_has_no_truth(values):
    left = set(values) - set(against_truth.without_truth(values))
    assert {"truth_involvement", "dsc_lungs", "sides_correct"} <= left
    assert "involvement" not in left


def known(error):
    truth = np.array([3.0, 20.0, 40.0, 60.0])
    return pd.DataFrame({
        "truth_involvement": truth, "involvement": truth + error, "error": error,
        "volume_error": 5.0, "ct_ss": [1, 2, 3, 4], "truth_ct_ss": [1, 2, 3, 5],
        "type": "mixed", "truth_type": "mixed", "sides_correct": [1.0, 1.0, 1.0, 0.2],
    })  # fmt: skip


def test_a_constant_error_is_all_bias():
    found = against_truth.summary(known(np.full(4, 2.0)), n_boot=50).set_index("metric")
    for name in ("involvement_mae", "involvement_bias", "involvement_limit_low"):
        assert found.loc[name, "value"] == pytest.approx(2)
    assert found.loc["lung_volume_error", "value"] == pytest.approx(5)
    assert found.loc[["ct_ss_accuracy", "sides_correct"], "value"].tolist() == [0.75, 0.75]
    assert found.loc["type_accuracy", "value"] == 1


def test_three_of_four_in_the_correct_class_have_the_exact_interval():
    found = against_truth.summary(known(np.full(4, 2.0)), n_boot=50).set_index("metric")
    ends = found.loc["ct_ss_accuracy", ["low", "high"]].tolist()
    assert ends == pytest.approx(proportion_confint(3, 4, method="beta"))


def test_the_trivial_baseline_knows_the_others_only():
    assert against_truth.left_out_median([1, 2, 10]).tolist() == [6, 5.5, 1.5]
    with pytest.raises(DataError, match="no median of others"):
        against_truth.left_out_median([1])


def test_two_patients_are_too_few():
    with pytest.raises(DataError, match="too few patients"):
        against_truth.summary(known(np.zeros(4)).head(2))


def test_values_that_do_not_move_have_moved_by_nothing(values):
    still = against_truth.moved(values, {"again": values}, n_boot=20)
    assert (still["value"] == 0).all()
    more = values.assign(involvement=values["involvement"] + 3, type="none")
    found = against_truth.moved(values, {"more": more}, n_boot=20).set_index("metric")["value"]
    assert found["involvement"] == pytest.approx(3)
    assert (found["volume"], found["type"]) == (0, 100)
