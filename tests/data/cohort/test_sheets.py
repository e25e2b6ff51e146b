"""Tables as programs write them: one content, many files."""

from __future__ import annotations

import gzip
import warnings

import openpyxl
import pandas as pd
import pytest

from nextaim_kit.data.cohort.sheets import header_of
from nextaim_kit.data.cohort.tables import read_table
from nextaim_kit.errors import DataError, RequestError

TABLE = pd.DataFrame({"subject": ["007", "NA"], "site": ["Pisa", "Nîmes"], "f": [0.5, 1050.25]})
POINTS = TABLE.to_csv(index=False)
COMMAS = POINTS.replace(",", ";").replace(".", ",")
TABS = POINTS.replace(",", "\t")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", POINTS.encode()),
        ("bom.csv", POINTS.encode("utf-8-sig")),
        ("gz.csv.gz", gzip.compress(POINTS.encode(), mtime=0)),
        ("gz.TSV.GZ", gzip.compress(TABS.encode(), mtime=0)),
        ("tabs.tsv", TABS.encode()),
        ("tabs.csv", TABS.encode()),
        ("unicode_text.csv", TABS.encode("utf-16")),
        ("semicolons.csv", POINTS.replace(",", ";").encode()),
        ("commas.csv", COMMAS.encode()),
        ("commas_of_thousands.csv", COMMAS.replace("1050", "1.050").encode()),
        ("excel_says.csv", ("sep=;\r\n" + COMMAS.replace("\n", "\r\n")).encode()),
        ("pipes.csv", POINTS.replace(",", "|").encode()),
        ("blank_rows.csv", ("\n" + POINTS + ",,\n,,\n").encode()),
        ("comma_at_the_end.csv", POINTS.replace("\n", ",\n").encode()),
        ("blanks.csv", POINTS.replace(",", ", ").encode()),
    ],
)
def test_one_table_is_read_from_every_form(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    pd.testing.assert_frame_equal(read_table(tmp_path / name), TABLE)


@pytest.mark.parametrize("write", ["to_parquet", "to_excel"])
def test_binary_tables_are_read_as_text_is(tmp_path, write):
    path = tmp_path / ("t.xlsx" if write == "to_excel" else "t.parquet")
    getattr(TABLE, write)(path, index=False)
    pd.testing.assert_frame_equal(read_table(path), TABLE)


def test_windows_letters_are_read_with_a_warning(tmp_path):
    (tmp_path / "t.csv").write_bytes(POINTS.encode("latin-1"))
    with pytest.warns(UserWarning, match=r"t\.csv is not UTF-8: .*Windows-1252.*'Nîmes'"):
        pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), TABLE)


def test_other_sheets_are_named(tmp_path):
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        TABLE.to_excel(book, sheet_name="features", index=False)
        TABLE.to_excel(book, sheet_name="legend", index=False)
    with pytest.warns(UserWarning, match="'features' is read, and not 'legend'"):
        assert len(read_table(tmp_path / "t.xlsx")) == 2


def test_formulas_without_a_value_are_refused_and_errors_kept(tmp_path):
    TABLE.to_excel(tmp_path / "t.xlsx", index=False)
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    book.active["C2"] = "#DIV/0!"
    book.save(tmp_path / "t.xlsx")
    assert read_table(tmp_path / "t.xlsx")["f"].tolist() == ["#DIV/0!", "1050.25"]
    book.active["C2"] = "=1/2"
    book.save(tmp_path / "t.xlsx")
    with pytest.raises(DataError, match="1 formulas without their values, such as =1/2"):
        read_table(tmp_path / "t.xlsx")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "empty"),
        ("t.csv", b"subject,f,f\na,1,2\n", "several columns of one name: 'f'"),
        ("t.csv", b"subject,f\na,1\nb\n", "row 3 has 1 cells, the header 2"),
        ("t.csv", b"subject,f\na,b,1\n", "row 2 has 3 cells, the header 2"),
        ("t.csv", b"subject,f\na\0,1\n", "zero byte"),
        ("t.csv", b"PK\3\4\xff\0\0", "cannot be read"),
        ("t.csv.gz", gzip.compress(POINTS.encode(), mtime=0)[:30], "packed file is damaged"),
        ("t.xlsx", b"PK\3\4", "no sound spreadsheet"),
        ("t.parquet", b"PAR1", "cannot be read"),
    ],
)
def test_damaged_tables_are_refused_with_the_reason(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["t.xls", "t.ods", "t.gz", "t"])
def test_other_files_are_no_tables(tmp_path, name):
    with pytest.raises(RequestError, match="is no table"):
        read_table(tmp_path / name)


def test_a_table_that_mixes_decimal_marks_keeps_the_doubtful_cells_as_text(tmp_path):
    (tmp_path / "t.csv").write_text("subject;f;g\na;0,5;1.5\nb;1,5;2.5\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = read_table(tmp_path / "t.csv")
    assert table["f"].tolist() == ["0,5", "1,5"]
    assert table["g"].tolist() == [1.5, 2.5]


def test_a_column_without_a_name_stands_beside_one_that_is_called_unnamed(tmp_path):
    (tmp_path / "t.csv").write_text(",Unnamed: 0,subject\n0,1,a\n1,2,b\n")
    table = read_table(tmp_path / "t.csv")
    assert table.columns.tolist() == ["Unnamed: 0 here", "Unnamed: 0", "subject"]
    assert table["Unnamed: 0"].tolist() == [1, 2]
    (tmp_path / "t.csv").write_text("Unnamed: 1,\nx,y\n")
    assert read_table(tmp_path / "t.csv").columns.tolist() == ["Unnamed: 1", "Unnamed: 1 here"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", POINTS.encode()),
        ("t.tsv.gz", gzip.compress(TABS.encode(), mtime=0)),
        ("t.csv", TABS.encode("utf-16")),
        ("t.csv", b"\r\nsep=;\r\n" + COMMAS.encode()),
        ("t.txt", ("\n\n" + TABS).encode("utf-8-sig")),
    ],
)
def test_names_of_columns_are_read_without_the_rest(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert header_of(tmp_path / name) == ["subject", "site", "f"]


def test_what_is_no_table_has_no_names_of_columns(tmp_path):
    TABLE.to_excel(tmp_path / "t.xlsx", index=False)
    assert header_of(tmp_path / "t.xlsx") == ["subject", "site", "f"]
    for name, content in {"a.csv": b"", "b.csv": b"a\0b", "c.csv.gz": b"\x1f\x8b", "d.xlsx": b"PK",
                          "e.csv.gz": gzip.compress(b"a" * 99, mtime=0)[:20]}.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
        assert header_of(tmp_path / name) == []


def test_other_endings_are_tables_where_they_are_asked_for(tmp_path):
    (tmp_path / "t.txt").write_text(TABS)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.txt", kinds=(".txt",)), TABLE)
    with pytest.raises(RequestError, match=r"is no table(.|\n)*a file \.txt"):
        read_table(tmp_path / "t.csv", kinds=(".txt",))
