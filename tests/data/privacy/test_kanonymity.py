import pandas as pd
import pytest

from nextaim_kit.data.privacy.kanonymity import quasi_identifiers, reach, smallest_group
from nextaim_kit.errors import RequestError


def table() -> pd.DataFrame:
    ages = ["31", "34", "47", "48", "62", "64", "33", "49"]
    sexes = ["F", "F", "M", "M", "F", "F", "F", "M"]
    return pd.DataFrame({"age": ages, "sex": sexes, "stage": list("ABCDABCD")})


def test_the_smallest_group_is_counted_over_the_columns_together() -> None:
    assert smallest_group(table(), ["sex"]) == 3
    assert smallest_group(table(), ["age", "sex"]) == 1
    assert smallest_group(table(), []) == 8


def test_quasi_identifiers_are_told_by_their_names() -> None:
    frame = pd.DataFrame(columns=["eta", "sesso", "stadio", "PatientAge", "spacing", "stage"])
    assert quasi_identifiers(frame) == ["eta", "sesso", "PatientAge"]


def test_each_row_has_at_least_k_like_it() -> None:
    found = reach(table(), 2)
    assert found.before == 1
    assert found.after >= 2
    assert smallest_group(found.table, ["age", "sex"]) == found.after
    assert list(found.table["stage"]) == list("ABCDABCD")


def test_ages_go_into_bins_that_hold_them() -> None:
    found = reach(table(), 2)
    for age, span in zip(table()["age"], found.table["age"], strict=True):
        low, high = span.split("-")
        assert int(low) <= int(age) <= int(high)


def test_more_alike_tells_less() -> None:
    some, all_ = reach(table(), 2), reach(table(), 8)
    assert 0 < some.lost < all_.lost == pytest.approx(1.0)
    assert set(all_.columns.values()) == {"one value"}


def test_more_than_the_rows_is_refused() -> None:
    with pytest.raises(RequestError, match="k of 9 for 8 rows"):
        reach(table(), 9)
