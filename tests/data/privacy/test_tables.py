from pathlib import Path

import pandas as pd
import pytest

from nextaim_kit.data.privacy.audit import audit
from nextaim_kit.data.privacy.deidentify import deidentify
from nextaim_kit.data.privacy.learning import kind_of
from nextaim_kit.data.privacy.lexicon import Lexicon
from nextaim_kit.data.privacy.scrubbing import Scrubber
from nextaim_kit.data.privacy.secret import Key
from nextaim_kit.data.privacy.tables import births, clean_table, learn_table, read_tables


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "ID": ["778812", "778813", "778814"],
            "Pt": ["Gambassini Oreste", "Trufellotti Ida", "Zuccaroni Pio"],
            "DOB": ["1934-02-03", "1940-05-06", "1950-01-01"],
            "AGE": ["95", "79", "69"],
            "site": ["Quargnento", "Milano", "Quargnento"],
            "histology": ["Responder", "Adenosquamous", "Responder"],
            "note": ["torna Gambassini il 3/4/2020", "Parkinson", "15.2"],
        }
    )


@pytest.fixture
def scrubber() -> Scrubber:
    lexicon = Lexicon()
    learn_table(lexicon, table())
    return Scrubber(Key(b"k" * 32), lexicon)


def test_a_column_of_names_goes_whatever_it_is_called(scrubber: Scrubber) -> None:
    clean = clean_table(table(), scrubber)
    assert list(clean.columns) == ["ID", "AGE", "site", "histology", "note"]


def test_names_of_a_column_are_found_in_other_files(scrubber: Scrubber) -> None:
    assert scrubber.text("gambassini rivisto oggi") == "[name] rivisto oggi"


def test_sites_stay_apart_without_their_names(scrubber: Scrubber) -> None:
    site = list(clean_table(table(), scrubber)["site"])
    assert site[0] == site[2] != site[1]
    assert "Quargnento" not in site


def test_categories_and_numbers_stay_and_great_ages_are_one(scrubber: Scrubber) -> None:
    clean = clean_table(table(), scrubber)
    assert list(clean["histology"]) == ["Responder", "Adenosquamous", "Responder"]
    assert list(clean["AGE"]) == ["90", "79", "69"]
    assert list(clean["note"])[1:] == ["Parkinson", "15.2"]


def test_numbers_of_patients_are_their_pseudonyms(scrubber: Scrubber) -> None:
    clean = clean_table(table(), scrubber)
    assert list(clean["ID"]) == [scrubber.key.pseudonym(one) for one in table()["ID"]]


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("cognome", "name"),
        ("PatientBirthDate", "birth"),
        ("codice_fiscale", "id"),
        ("Medico curante", "name"),
        ("e-mail", "contact"),
        ("indirizzo", "phrase"),
        ("SequenceName", ""),
        ("spacing_mm", ""),
        ("stage", ""),
    ],
)
def test_what_a_column_holds_is_told_by_its_name(label: str, kind: str) -> None:
    assert kind_of(label) == kind


def test_comments_above_a_table_go_and_its_columns_stay(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("# di Malvestitelli, Ada\n# 2019\nstage,arm\nT1,A\n")
    (tmp_path / "b.tsv").write_text("#stage\tarm\nT1\tA\n")
    tables = [list(read_tables(tmp_path / name)[""].columns) for name in ("a.csv", "b.tsv")]
    assert tables == [["stage", "arm"], ["#stage", "arm"]]


NOBODY_NAMED = [
    ["778812", "Gambassini", "Oreste", "1934-02-03", "15.2", "right"],
    ["778813", "Trufellotti", "Ida", "1940-05-06", "3.1", "left"],
    ["778814", "Zuccaroni", "Pio", "1950-01-01", "4.0", "right"],
    ["778815", "Pestalozzini", "Bice", "1951-01-01", "", "left"],
]
TOLD = [cell for row in NOBODY_NAMED for cell in row[:4]]
NAMED = ["ID", "cognome", "nome", "nato", "value", "side"]


def save(folder: Path, suffix: str, rows: list[list[str]]) -> Path:
    """A table of rows as they are, the first as its columns' names where a format needs them."""
    folder.mkdir(exist_ok=True)
    path = folder / f"t{suffix}"
    if suffix == ".xlsx":
        pd.DataFrame(rows).to_excel(path, header=False, index=False)
    elif suffix == ".parquet":
        pd.DataFrame(rows[1:], columns=rows[0]).to_parquet(path)
    else:
        apart = "\t" if suffix == ".tsv" else ","
        path.write_text("".join(apart.join(row) + "\n" for row in rows))
    return path


def cleaned(tmp_path: Path) -> tuple[str, list[tuple[str, str]]]:
    """All that is written of a folder of tables, as text, and what was left out."""
    report = deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    said = [p.name for p in (tmp_path / "out").iterdir()]
    for path in sorted((tmp_path / "out").glob("*.?sv")):
        said.append(path.read_text())
    for path in sorted((tmp_path / "out").glob("*.parquet")):
        said.append(pd.read_parquet(path).to_csv(index=False))
    return "\n".join(said), report.left_out


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx", ".parquet"])
def test_a_first_row_that_is_a_patient_is_cleaned_as_one(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / "in", suffix, NOBODY_NAMED)
    text, left_out = cleaned(tmp_path)
    assert left_out == []
    assert [one for one in TOLD if one in text] == []
    lines = text.replace("\t", ",").splitlines()
    assert lines[-5] == "column_1_code,column_5,column_6"
    assert [line.split(",")[1:] for line in lines[-4:]] == [row[4:] for row in NOBODY_NAMED]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx", ".parquet"])
def test_the_audit_finds_a_first_row_that_is_a_patient(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / "no", suffix, NOBODY_NAMED)
    save(tmp_path / "yes", suffix, [["ID", "value", "side"], *(r[3:] for r in NOBODY_NAMED)])
    first = "a first row that may be a patient's"
    assert first in {one.what for one in audit(tmp_path / "no")}
    assert first not in {one.what for one in audit(tmp_path / "yes")}


def test_nothing_is_found_in_a_table_without_names_of_columns_once_cleaned(tmp_path: Path) -> None:
    save(tmp_path / "in", ".csv", NOBODY_NAMED)
    cleaned(tmp_path)
    assert audit(tmp_path / "out", TOLD) == []


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([["rossi", "12.5"], ["bianchetti", "3.5"], ["verdini", "4.5"]], "column 1"),
        ([["3.5", "93"], ["4.5", "71"]], "column 2"),
        ([["cognome", "1934-02-03"], ["Gambassini", "1940-05-06"]], "may be names of columns"),
        ([["rossetti", "mario"], ["bianchetti", "luca"]], "may be names of columns"),
        (
            [["zuccaroni", "A"], ["gambassini", "C"], ["trufellotti", "D"], ["ossola", "E"]],
            "column",
        ),
        ([["patient_id", "age"], ["1", "2", "3"]], "rows of other lengths"),
        ([["1.5", "visto oggi da Brughetti al mattino"], ["2.5", "sta meglio"]], "column 2"),
    ],
)
def test_a_table_whose_columns_are_not_told_is_left_out(
    tmp_path: Path, rows: list[list[str]], why: str
) -> None:
    save(tmp_path / "in", ".csv", rows)
    text, left_out = cleaned(tmp_path)
    assert [(name, why in said) for name, said in left_out] == [("t.csv", True)]
    assert "t.csv" not in text


@pytest.mark.parametrize(
    "names",
    [
        NAMED,
        ["patient_id", "T1", "T2", "FEV1", "2019", "Kurtosis"],
        ["0", "1", "2", "3", "4", "5"],
        ["subject", "original_glcm_Idmn", "original_glcm_Imc1", "wavelet-HHL_x", "b1000", "dose"],
        ["lh_bankssts_area", "Left-Pallidum", "ADOS_GOTHAM_TOTAL", "WBC", "PaO2", "D-dimer"],
    ],
)
def test_names_of_columns_stay_what_they_are(
    tmp_path: Path, names: list[str], scrubber: Scrubber
) -> None:
    rows = [[f"{at}.{row}" for at in range(6)] for row in range(1, 5)]
    read = read_tables(save(tmp_path, ".csv", [names, *rows]))[""]
    assert list(read.columns) == names
    assert read.to_numpy().tolist() == rows
    assert [scrubber.column(name) for name in names] == names


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("lettura_Brughetti", "lettura_[name]"),
        ("NOTE_BRUGHETTI", "NOTE_[name]"),
        ("score dr. Brughetti", "score dr. [name]"),
        ("Brughetti", "[name]"),
        ("gambassini_score", "[name]_score"),
        ("visita 3/4/2020", "visita [date]"),
        ("tel. 0382 771122", "tel. [contact]"),
    ],
)
def test_names_of_columns_are_cleaned_as_texts(scrubber: Scrubber, name: str, clean: str) -> None:
    assert scrubber.column(name) == clean


def test_columns_of_one_name_are_all_kept(tmp_path: Path, scrubber: Scrubber) -> None:
    path = save(tmp_path, ".csv", [["Brughetti", "Smargiassi", "volume", "volume"], list("1234")])
    clean = clean_table(read_tables(path)[""], scrubber)
    assert list(clean.columns) == ["[name]", "[name]_2", "volume", "volume_2"]
    assert clean.to_numpy().tolist() == [list("1234")]


@pytest.mark.parametrize(
    "dates",
    [
        ["1951-09-03", "1924-07-10", "1980-01-01"],
        ["03/09/51", "10/07/24", "01/01/80"],
        ["3 settembre 1951", "10 luglio 1924", "1 gennaio 1980"],
        ["1951-09-03T00:00:00", "1924-07-10T00:00:00", ""],
        ["19510903", "19240710", "19800101"],
    ],
)
def test_births_are_told_by_their_years_however_they_are_written(dates):
    visits = ["2016-10-14", "2003-10-15", "2009-02-01"]
    table = pd.DataFrame({"when": dates, "visit": visits, "volume": ["1951", "2016", "1924"]})
    assert births(table) == {"when"}


def test_visits_of_years_that_lie_near_one_another_are_no_births():
    table = pd.DataFrame(
        {"first": ["2003-10-15", "2010-02-01"], "last": ["2012-10-15", "2016-01-02"]}
    )
    assert births(table) == set()
