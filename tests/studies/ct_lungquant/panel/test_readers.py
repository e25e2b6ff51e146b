"""The simulated panel: it can be repeated, and its readers disagree as much as is asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.ct_lungquant.definitions import ct_ss, lesion_type
from nextaim_kit.studies.ct_lungquant.panel.kappas import agreement
from nextaim_kit.studies.ct_lungquant.panel.readers import SCALES, Panel, read_panel
from nextaim_kit.twins.chest_ct.population import patients

NOTHING = dict.fromkeys(SCALES, 0.0)
SURE = Panel(bias=NOTHING, error=NOTHING, limits=0.0, missing=0.0)


@pytest.fixture(scope="module")
def cohort():
    """Patients with all that readers look at, without images."""
    table, rng = patients(), np.random.default_rng(0)
    ill = table["truth_involvement"] > 0
    left = np.where(
        rng.random(len(table)) < 0.15, rng.integers(0, 2, len(table)), rng.beta(5, 5, len(table))
    )
    return table.assign(
        truth_left=np.where(ill, left, np.nan),
        truth_upper=np.where(ill, rng.beta(1.2, 3, len(table)), np.nan),
    )


def test_fourteen_readers_read_every_patient(cohort):
    readings = read_panel(cohort)
    assert readings["reader"].nunique() == 14
    assert len(readings) == 14 * len(cohort)
    assert not readings.duplicated(["subject", "reader"]).any()
    for label, scale in SCALES.items():
        assert set(readings[label].dropna()) == set(scale)


def test_the_same_seed_reads_the_same_and_another_one_another(cohort):
    one, same, other = (read_panel(cohort, seed=k) for k in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert (one["percent"] != other["percent"]).mean() > 0.3


def test_a_reading_is_the_same_whoever_else_reads_or_is_read(cohort):
    key = ["subject", "reader"]
    whole = read_panel(cohort).set_index(key)
    some = read_panel(cohort.iloc[20:50], Panel(readers=5)).set_index(key)
    pd.testing.assert_frame_equal(some, whole.loc[some.index])


def test_a_panel_without_bias_and_error_tells_the_truth(cohort):
    readings = read_panel(cohort, SURE).merge(cohort, on="subject")
    assert (readings["ct_ss"] == readings["truth_involvement"].map(ct_ss)).all()
    seen = readings[readings["type"].notna()]
    assert (seen["type"] == seen["truth_consolidation"].map(lesion_type)).all()
    np.testing.assert_allclose(readings["percent"], readings["truth_involvement"], atol=2.51)


def test_a_panel_without_bias_and_error_agrees_wholly(cohort):
    table = agreement(read_panel(cohort, SURE)).set_index("label").loc[list(SCALES)]
    np.testing.assert_allclose(table[["kappa", "icc"]], 1)


def test_readers_agree_as_panels_do(cohort):
    table = agreement(read_panel(cohort), n_boot=50).set_index("label").loc[list(SCALES)]
    assert table["kappa"].between(0.5, 0.8).all()
    assert table["icc"].between(0.45, 0.85).all()
    assert (table["kappa_worst"] < table["kappa"] - 0.05).all()
    assert (table["kappa_low"] < table["kappa"]).all()


def test_more_error_is_less_agreement(cohort):
    kappas = [
        agreement(read_panel(cohort, Panel(error=dict.fromkeys(SCALES, e))))["kappa"].mean()
        for e in (0.2, 0.8, 3.0)
    ]
    assert kappas[0] > kappas[1] + 0.05 > kappas[2] + 0.1


def test_a_reader_s_bias_stays(cohort):
    readings = read_panel(cohort)
    wide = readings.pivot(index="subject", columns="reader", values="percent")
    first, second = wide.iloc[::2].mean(), wide.iloc[1::2].mean()
    assert np.corrcoef(first, second)[0, 1] > 0.8


def test_the_asked_share_is_missing(cohort):
    readings = read_panel(cohort, Panel(missing=0.2))
    assert readings["ct_ss"].isna().mean() == pytest.approx(0.2, abs=0.02)
    assert readings["percent"].isna().equals(readings["ct_ss"].isna())
    assert not read_panel(cohort, Panel(missing=0.0))["ct_ss"].isna().any()


def test_where_there_is_no_lesion_no_kind_and_place_are_read(cohort):
    healthy = cohort[cohort["truth_involvement"] == 0]
    readings = read_panel(healthy, Panel(missing=0.0))
    assert readings[["type", "sides", "zones"]].isna().all(axis=None)
    assert (readings["ct_ss"] == 1).all()


def test_a_cohort_without_truth_cannot_be_read(cohort):
    with pytest.raises(DataError, match="no truth for readers"):
        read_panel(cohort.drop(columns="truth_upper"))


@pytest.mark.parametrize("wrong", [{"readers": 0}, {"missing": 1.0}, {"limits": -1}, {"bias": {}}])
def test_panels_that_cannot_be_are_refused(wrong):
    with pytest.raises(RequestError, match="no panel reads like this"):
        Panel(**wrong)
