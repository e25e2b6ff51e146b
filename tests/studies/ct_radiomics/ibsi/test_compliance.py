"""Agreement of both definitions with the IBSI consensus, and what is not comparable."""

from __future__ import annotations

import re

import pytest

from nextaim_kit.data.datasets.manifest import load_manifest
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.ct_radiomics.ibsi import against, agrees, compliance, summary


def ct_phantom(real, configuration):
    folder = real / "ct_radiomics"
    return {
        "image": folder / "ibsi_ct_phantom" / "image.nii.gz",
        "mask": folder / "ibsi_ct_phantom" / "mask_gtv.nii.gz",
        "reference": folder
        / "ibsi_1_reference_values"
        / f"ibsi_1_chest_config_{configuration.lower()}.csv",
    }


def outside(table):
    return list(table.loc[table["comparable"] & ~table["within"], "feature"])


def test_every_comparable_feature_of_the_digital_phantom_is_within_tolerance():
    table = compliance("digital_phantom")
    assert len(table) == 100
    assert table["comparable"].sum() == 96
    assert outside(table) == []
    assert summary(table).startswith("96 of 96 comparable features are within")


@pytest.mark.parametrize("configuration", ["A", "B", "C", "D"])
def test_every_comparable_feature_of_the_ct_phantom_is_within_tolerance(real, configuration):
    table = compliance(configuration, **ct_phantom(real, configuration))
    assert table["comparable"].sum() == 96
    assert outside(table) == []


def test_by_ibsi_all_482_values_of_the_digital_phantom_are_within_tolerance():
    table = compliance("digital_phantom", definition="ibsi")
    assert outside(table) == []
    assert summary(table) == "482 of 482 comparable features are within the consensus' tolerance"
    without = set(table.loc[~table["comparable"], "tag"])
    assert {"ivh_auc", "morph_vol_dens_mvee", "morph_area_dens_ombb"} < without


@pytest.mark.parametrize(
    ("configuration", "values"), [("A", 406), ("B", 406), ("C", 270), ("D", 270)]
)
def test_by_ibsi_all_values_of_the_ct_phantom_are_within_tolerance(real, configuration, values):
    table = compliance(configuration, **ct_phantom(real, configuration), definition="ibsi")
    assert table["comparable"].sum() == values
    assert outside(table) == []


def test_a_consensus_value_that_is_not_computed_counts_as_missed():
    table = against({"stat_mean": 2.15}, {"stat_mean": (2.15, 0.0), "new": (1.0, 0.5), "x": None})
    assert list(table["comparable"]) == [True, True, False]
    assert list(table["within"]) == [True, False, False]
    assert table["reason"][1] == "the definition does not compute it"


def test_features_that_differ_by_design_are_named_with_the_reason():
    table = compliance().set_index("feature")
    assert "does not subtract" in table.loc["firstorder_Kurtosis", "reason"]
    assert table.loc["firstorder_Kurtosis", "pyradiomics"] == pytest.approx(2.645, abs=0.001)
    assert "n - 1" in table.loc["shape_LeastAxisLength", "reason"]
    unknown = table.loc[~table["comparable"], "reason"]
    assert set(unknown.index) == {
        "shape_Maximum2DDiameterColumn",
        "shape_Maximum2DDiameterRow",
        "shape_Maximum2DDiameterSlice",
        "firstorder_TotalEnergy",
    }
    assert unknown.str.startswith(("IBSI has no", "energy times")).all()


def test_values_the_consensus_is_known_for():
    table = compliance().set_index("tag")["ours"]
    assert table["stat_mean"] == pytest.approx(2.15, abs=0.005)
    assert table["stat_kurt"] == pytest.approx(-0.355, abs=0.0005)
    assert table["ih_entropy"] == pytest.approx(1.27, abs=0.005)
    assert table["cm_contrast_3D_avg"] == pytest.approx(5.32, abs=0.005)
    assert table["szm_glnu_3D"] == pytest.approx(1.4, abs=0.005)


def test_agreement_is_judged_at_the_three_digits_of_the_consensus():
    assert agrees(2.1486, 2.15, 0.0)
    assert not agrees(2.1549999, 2.14, 0.0)
    assert agrees(554.0, 556.0, 4.0)
    assert agrees(125256.0, 125256.0, 0.0)
    assert not agrees(551.0, 556.0, 4.0)


def test_an_unknown_configuration_and_a_lacking_phantom_are_refused():
    with pytest.raises(RequestError, match="unknown IBSI configuration"):
        compliance("Z")
    with pytest.raises(RequestError, match="needs the CT phantom"):
        compliance("C")
    with pytest.raises(RequestError, match="unknown definition 'IBSI'"):
        compliance(definition="IBSI")


def test_the_way_to_mend_a_lacking_phantom_names_a_data_set_that_exists():
    with pytest.raises(RequestError) as refused:
        compliance("A")
    named = re.findall(r"data fetch (\S+)", refused.value.mend)
    assert [load_manifest(name).name for name in named] == ["ibsi_ct_phantom"]


def test_a_table_that_is_no_reference_is_refused(real, tmp_path):
    wrong = tmp_path / "values.csv"
    wrong.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"values\.csv is not a table of IBSI reference values"):
        compliance("C", **{**ct_phantom(real, "C"), "reference": wrong})
