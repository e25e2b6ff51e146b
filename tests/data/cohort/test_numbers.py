"""Arrays of numbers as programs write them: names and counters told from data."""

import numpy as np
import pytest

from nextaim_kit.data.cohort.numbers import read_numbers
from nextaim_kit.errors import DataError

VALUES = np.array([[0.5, -1.25, 3.0], [2.0, 0.25, -0.5], [1.5, 4.0, 0.125]])


def write(path, rows, mark="\t"):
    path.write_text("\n".join(mark.join(map(str, row)) for row in rows) + "\n")
    return path


@pytest.mark.parametrize("mark", ["\t", ",", ";", " "])
def test_numbers_are_read_whatever_stands_between_them(tmp_path, mark):
    names, values = read_numbers(write(tmp_path / "a.txt", VALUES, mark))
    assert names == ()
    np.testing.assert_array_equal(values, VALUES)


@pytest.mark.parametrize("head", [["#1", "#2", "#3"], ["V1", "M1", "PCC"], ["1", "2", "3"]])
def test_a_first_row_of_names_is_no_data(tmp_path, head):
    names, values = read_numbers(write(tmp_path / "a.1D", [head, *VALUES]))
    assert names == tuple(name.strip("#") for name in head)
    np.testing.assert_array_equal(values, VALUES)


def test_a_first_row_of_numbers_that_fall_or_have_fractions_is_data(tmp_path):
    whole = [[3, 1, 2], [4, 6, 5], [9, 7, 8]]
    assert read_numbers(write(tmp_path / "a.1D", whole))[1].shape == (3, 3)
    assert read_numbers(write(tmp_path / "b.1D", [[0.5, 1.5, 2.5], *VALUES]))[1].shape == (4, 3)


@pytest.mark.parametrize("counter", [[0, 1, 2], ["t1", "t2", "t3"], [0.0, 2.5, 5.0]])
def test_a_first_column_that_counts_the_rows_is_no_data(tmp_path, counter):
    rows = [["", "V1", "M1", "PCC"], *([k, *row] for k, row in zip(counter, VALUES, strict=True))]
    names, values = read_numbers(write(tmp_path / "a.csv", rows, ","))
    assert names == ("V1", "M1", "PCC")
    np.testing.assert_array_equal(values, VALUES)


def test_a_matrix_whose_rows_are_in_another_order_than_its_columns_is_refused(tmp_path):
    rows = [["", "a", "b", "c"], *([k, *row] for k, row in zip("bac", VALUES, strict=True))]
    with pytest.raises(DataError, match="cannot be read") as error:
        read_numbers(write(tmp_path / "m.tsv", rows))
    assert "another order" in str(error.value)


@pytest.mark.parametrize("suffix", [".1D", ".npy"])
def test_what_is_not_known_is_nan(tmp_path, suffix):
    values = VALUES.copy()
    values[1, 1] = np.nan
    path = tmp_path / f"a{suffix}"
    np.save(path, values) if suffix == ".npy" else write(path, values)
    np.testing.assert_array_equal(read_numbers(path)[1], values)


def test_arrays_of_whole_numbers_are_read_and_those_of_objects_refused(tmp_path):
    np.save(tmp_path / "i.npy", np.arange(6, dtype=np.int16).reshape(2, 3))
    assert read_numbers(tmp_path / "i.npy")[1].dtype == float
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        read_numbers(tmp_path / "o.npy")


@pytest.mark.parametrize(
    "content",
    ["", "1\t2\t3\n4\t5\n6\t7\t8\t9\n", "1\t2\nfour\t5\n", "\x89PNG\r\n\x1a\n\x00\x00"],
    ids=["empty", "ragged", "a word", "a picture"],
)
def test_what_is_no_table_of_numbers_is_refused(tmp_path, content):
    (tmp_path / "a.tsv").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.tsv cannot be read"):
        read_numbers(tmp_path / "a.tsv")


def test_a_mark_of_byte_order_is_no_part_of_a_name(tmp_path):
    (tmp_path / "a.csv").write_text("V1,M1\n1.5,2\n0.5,4\n0,1\n", encoding="utf-8-sig")
    assert read_numbers(tmp_path / "a.csv")[0] == ("V1", "M1")
