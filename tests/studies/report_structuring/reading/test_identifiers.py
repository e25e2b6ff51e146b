"""What can tell a person is flagged and covered; what is a measure stays."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest

from nextaim_kit.studies.report_structuring.reading.identifiers import find, flagged, mask


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Paziente ROSSI MARIO, nato il 1 gennaio 1950.", ["ROSSI", "MARIO", "1 gennaio 1950"]),
        ("CF rss mra 80a01 h501u e RSSMRA80A01H501U", ["rss mra", "h501u", "RSSMRA80A01H501U"]),
        ("CF con omocodia: RSSMRAULALMHRLMU", ["RSSMRAULALMHRLMU"]),
        ("Dott.ssa Anna De Luca, Dr. G. D'Angelo", ["Anna", "Luca", "D'Angelo"]),
        ("Il medico radiologo: Giulia Bianchi", ["Giulia", "Bianchi"]),
        ("valutata con Marco Verdi", ["Marco", "Verdi"]),
        ("BIANCHI LAURA", ["BIANCHI", "LAURA"]),
        ("tel. 050 123456; cell. 333 1234567; 3331234567", ["123456", "1234567", "333"]),
        ("mario.rossi@ospedale.it", ["rossi", "ospedale"]),
        ("cartella clinica n. 2020/12345, accession 778899", ["2020/12345", "778899"]),
        ("TC del 12/03/2020, del 12.03.20 e del 2020-03-12", ["12/03/2020", "12.03.20", "2020-03"]),
        ("compared to March 12, 2020", ["March", "2020"]),
        ("residente in via Roma, 12", ["Roma"]),
        ("Mr. Smith, seen by Dr Jones", ["Smith", "Jones"]),
    ],
)
def test_what_can_tell_a_person_is_covered(text, hidden):
    shown = mask(text)
    assert len(shown) == len(text)
    assert not [word for word in hidden if word in shown]


@pytest.mark.parametrize(
    "text",
    [
        "FE 55 %, VTD 120 ml, E/A 0,8, TAPSE 22 mm, PAPs 35-40 mmHg",
        "nodulo di 12 x 10 x 8 mm; TI 30/40; serie 301; CO-RADS 5; score 12/25",
        "Biplano secondo Simpson; seni di Valsalva; linee di Kerley; segno di Westermark",
        "Paziente COVID positivo. Franco versamento. Rosa bronchiale. mdc per via endovenosa",
        "LSD, LM, LID: vetro smerigliato; ARDS. Prof. 5 cm",
        "The heart size is 240 ms. No focal consolidation. There is no XXXX.",
    ],
)
def test_measures_and_eponyms_are_no_names(text):
    assert mask(text) == text


def test_names_known_from_the_table_are_covered_as_words():
    assert mask("rossi ha un nodulo rossiccio", ["Rossi"]) == "█████ ha un nodulo rossiccio"


def test_identifiers_come_in_order_and_apart():
    text = "Sig.ra Anna Verdi, RSSMRA80A01H501U, 12/03/2020, tel 050 123456"
    found = find(text)
    assert [one.kind for one in found] == ["name", "fiscal code", "date", "telephone"]
    assert all(a.end <= b.start for a, b in pairwise(found))


def test_flags_count_and_repeat_nothing():
    table = pd.DataFrame({"subject": ["A"], "text": ["Dr. Rossi e dr. Bianchi, 12/03/2020"]})
    found = flagged(table)
    assert found.to_numpy().tolist() == [["A", "date", 1], ["A", "name", 2]]
