"""A table makes reports; what is missing is named, what is impossible is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.ct_lungquant.findings import quantities
from nextaim_kit.studies.ct_lungquant.findings.template import QUANTITIES


@pytest.fixture
def saved(tmp_path):
    """Writes rows as a table."""

    def save(*rows):
        path = tmp_path / "values.csv"
        pd.DataFrame(rows).to_csv(path, index=False)
        return str(path)

    return save


def test_a_saved_table_makes_the_report_that_its_row_makes(row, healthy_row, saved):
    table = quantities.load_values(saved(row, healthy_row | {"subject": "A-002"}))
    reports, failed = quantities.make_reports(table)
    assert reports["A-001"] == quantities.make_report(row)
    assert sum(one.value is None for one in reports["A-002"].fields) == 5
    assert failed.empty


def test_shares_become_percent_and_volumes_keep_a_decimal(report):
    assert report.values["left"] == 72.7
    assert report.values["right_ml"] == 2400.0


def test_numpys_own_numbers_are_numbers(row, report):
    own = {k: np.array(v)[()] if isinstance(v, float | int) else v for k, v in row.items()}
    assert quantities.make_report(own).fields == report.fields


def test_a_table_without_a_column_is_refused_by_its_name(row, saved):
    del row["involvement"]
    with pytest.raises(DataError, match="no column 'involvement'"):
        quantities.load_values(saved(row))


def test_a_subject_that_is_there_twice_is_refused(row, saved):
    with pytest.raises(DataError, match="each subject once"):
        quantities.load_values(saved(row, row))


@pytest.mark.parametrize(
    ("key", "cell"),
    [("involvement", float("nan")), ("lungs_ml", float("inf")), ("type", "fog"), ("ct_ss", "two")],
)
def test_a_subject_without_a_value_is_named_and_the_rest_goes_on(row, key, cell):
    table = pd.DataFrame([row, row | {"subject": "A-002", key: cell}], dtype=object)
    reports, failed = quantities.make_reports(table)
    assert list(reports) == ["A-001"]
    assert f"A-002: {key} is no value" in failed["problem"][0]


def test_a_subject_that_is_not_in_the_table_is_refused(report):
    with pytest.raises(RequestError, match="no report of subject 'B-9'"):
        quantities.choose({"A-001": report}, "B-9")


def test_the_first_subject_is_taken_where_none_is_named(report):
    assert quantities.choose({"A-001": report}, "") is report


def test_the_example_has_every_column_and_says_it_is_synthetic():
    table = quantities.load_values("synthetic", patients=12, seed=1)
    assert set(quantities.COLUMNS) <= set(table)
    reports, failed = quantities.make_reports(table)
    assert failed.empty
    assert len(reports) == 12
    assert all(report.synthetic for report in reports.values())


def test_codes_are_unique_and_short_enough_for_dicom():
    found = [what.code.value for what in QUANTITIES]
    assert len(set(found)) == len(found)
    assert all(len(code) <= 16 for code in found)
    assert all(len(what.label) <= 64 for what in QUANTITIES)
