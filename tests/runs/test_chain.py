"""Of notebooks in a row each gets its own parameters, and what those before it leave."""

from __future__ import annotations

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.runs.chain import feeders, share_out

BOTH = ["ct_radiomics/extraction", "ct_radiomics/severity"]


def test_a_plain_name_goes_to_every_notebook_that_has_it():
    own = share_out(BOTH, {"seed": 3, "ks": [5]})
    assert own == {BOTH[0]: {"seed": 3}, BOTH[1]: {"seed": 3, "ks": [5]}}


def test_a_name_with_its_stage_goes_to_one_and_before_the_plain_one():
    own = share_out(BOTH, {"severity.seed": 4, "seed": 3})
    assert own == {BOTH[0]: {"seed": 3}, BOTH[1]: {"seed": 4}}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sede", r"no parameter 'sede'(.|\n)*'seed'"),
        ("severity.sede", r"severity has no parameter 'sede'"),
        ("other.seed", r"no parameter 'other\.seed'"),
        ("extraction.ks", r"extraction has no parameter 'ks'"),
    ],
)
def test_a_name_that_none_has_is_refused(name, words):
    with pytest.raises(RequestError, match=words):
        share_out(BOTH, {name: 1})


def test_a_notebook_is_fed_by_those_before_it_alone():
    assert feeders(BOTH[1], BOTH[:1]) == {"features": (BOTH[0], "features.parquet")}
    assert feeders(BOTH[1], []) == {}
    assert feeders(BOTH[0], BOTH) == {}
