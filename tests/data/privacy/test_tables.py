from pathlib import Path

import pandas as pd
import pytest

from nextaim_kit.data.privacy.learning import kind_of
from nextaim_kit.data.privacy.lexicon import Lexicon
from nextaim_kit.data.privacy.scrubbing import Scrubber
from nextaim_kit.data.privacy.secret import Key
from nextaim_kit.data.privacy.tables import clean_table, learn_table, read_tables


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
