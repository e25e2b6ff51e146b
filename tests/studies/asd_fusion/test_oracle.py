"""The oracle: the planted truth as a score, and what share of it a model tells."""

from dataclasses import replace

import pandas as pd
import pytest

from nextaim_kit.studies.asd_fusion.oracle import shares, truth_of, twin_of


@pytest.fixture(scope="module")
def made():
    """The twin, of two people of each diagnosis at every site."""
    return twin_of(140, 1)


def test_the_truth_is_known_of_the_twin_itself_and_of_no_other_brains(made):
    assert truth_of(made.brains, 1) is made.truth
    assert truth_of(replace(made.brains, synthetic=False), 1) is None
    assert truth_of(replace(made.brains, connectivity=made.brains.connectivity + 1), 1) is None


def test_the_oracle_s_own_share_is_one_and_a_guess_s_is_none(made):
    table = made.brains.table
    tested = table[["subject", "site"]].assign(y=made.brains.y)
    names = ["joint network", "function, linear"]
    models = pd.DataFrame({"name": names, "value": 0.5, "low": 0.4, "high": 0.6})
    guess = shares(models, tested, made.truth)
    assert guess["value"].tolist() == [0, 0]
    perfect = shares(models.assign(value=guess["oracle"]), tested, made.truth)
    assert perfect["value"].tolist() == pytest.approx([1, 1])


def test_what_function_shows_is_less_than_severity_and_more_than_what_structure_shows(made):
    tested = made.brains.table[["subject", "site"]].assign(y=made.brains.y)
    names = ["function network", "structure, linear", "confounds"]
    models = pd.DataFrame({"name": names, "value": 0.6, "low": 0.5, "high": 0.7})
    function, structure, confounds = shares(models, tested, made.truth).to_dict("records")
    assert function["oracle"] > function["shown"] > structure["shown"] > 0.6
    assert function["share_of_shown"] < structure["share_of_shown"]
    assert pd.isna(confounds["shown"])
