"""The table that the notebooks start from: what is asked of the twin's is done or refused."""

from __future__ import annotations

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.ct_radiomics.table import feature_table


@pytest.mark.parametrize(
    "asked",
    [{"label_column": "death"}, {"feature_columns": ["deep_*"]}, {"site_table": "scanners.csv"}],
)
def test_columns_by_other_names_are_not_asked_of_the_twin(asked):
    with pytest.raises(RequestError, match=f"columns of its own(.|\n)*{next(iter(asked))}"):
        feature_table("synthetic", **asked)


def test_sites_of_the_twin_that_are_too_small_are_left_out_by_name():
    defaults = {"subject_column": "subject", "site_column": "site", "label_column": "label"}
    table, _ = feature_table("synthetic", patients=24, min_site_size=5, **defaults)
    sizes = table["site"].value_counts()
    assert sizes.min() >= 5
    assert len(table) + len(table.attrs["problems"]) == 24
    with pytest.raises(RequestError, match="no site of the synthetic twin has 99 subjects"):
        feature_table("synthetic", patients=24, min_site_size=99)
