"""Synthetic reports that several tests look at."""

from __future__ import annotations

import pytest

from nextaim_kit.studies.report_structuring.twin import Reports, make_reports, make_set


@pytest.fixture(scope="session")
def chest() -> Reports:
    """The training, validation and test reports of hospital 1, as clean as they get."""
    return make_set("hospital_1")


@pytest.fixture(scope="session")
def hearts() -> Reports:
    """The echocardiography set."""
    return make_set("echo")


@pytest.fixture(scope="session")
def many() -> Reports:
    """Six hundred whole chest reports."""
    return make_reports(600, "covid_ct")
