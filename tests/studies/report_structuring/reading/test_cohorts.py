"""Reports are read right from whatever lies there, or refused one by one."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.report_structuring.reading.cohorts import load_reports
from nextaim_kit.studies.report_structuring.reading.indiana import LABELS, labels_of
from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, read_template

TEMPLATE = read_template("echo_short")
KEYS = [field.key for field in TEMPLATE.fields]
TEXTS = [
    "Ventricolo sinistro di normali dimensioni (DTD 5,2 cm). FE 55%.",
    "Lieve insufficienza mitralica; è già nota. FE 48 %.",
    "Atrio sinistro dilatato. Non versamento pericardico. FE 60%.",
    "Studio tecnicamente difficile. FE circa 35%, DTD 6,8 cm.",
]
OWN = """\
name: mio
title: {it: mio}
sections: {18782-3: {it: Referto}}
fields:
  - {key: ef, label: {it: Frazione di eiezione}, unit: "%", low: 0, high: 100}
"""


def rows(**columns):
    """Four reports with their ejection fraction, and columns of one's own."""
    table = pd.DataFrame({"subject": [f"P{k}" for k in range(1, 5)], "text": TEXTS})
    table = table.assign(**dict.fromkeys(KEYS, ""))
    return table.assign(**{"ef": ["55", "48", "60", "35"]} | columns)


def save(table, path, *, sep=",", encoding="utf-8", **names):
    path.parent.mkdir(parents=True, exist_ok=True)
    table.rename(columns=names).to_csv(path, sep=sep, encoding=encoding, index=False)
    return str(path)


def problems(reports):
    return dict(zip(reports.failures["subject"], reports.failures["problem"], strict=True))


def test_labels_finer_than_the_template_are_rounded_and_that_is_said(tmp_path, capsys):
    path = save(rows(ef=["55.4", "48", "59.9", "35"], lvedd="5.25 cm"), tmp_path / "data.csv")
    reports = load_reports(path)
    assert reports.table["ef"].tolist() == [55, 48, 60, 35]
    assert "2 reports: ef: rounded, the template has 0 decimals" in capsys.readouterr().out
    assert (reports.notes["note"].str.startswith("lvedd: rounded")).sum() == 4


def test_an_italian_export_with_semicolons_and_decimal_commas_is_read(tmp_path, capsys):
    table = rows(lvedd=["5,2", "56 mm", "", "6,8 cm"])
    path = save(table, tmp_path / "dati.csv", sep=";", encoding="utf-8-sig", subject="ID",
                text="Referto")  # fmt: skip
    reports = load_reports(path)
    assert reports.table["lvedd"].tolist()[:2] == [5.2, 5.6]
    assert np.isnan(reports.table["lvedd"][2])
    assert reports.template.name == "echo_short"
    assert "Referto read as text" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_letters_are_read_right_in_the_common_codes(tmp_path, encoding):
    reports = load_reports(save(rows(), tmp_path / "dati.csv", encoding=encoding))
    assert reports.table["text"].tolist() == TEXTS


@pytest.mark.parametrize("encoding", ["cp850", "mac_roman"])
def test_other_codes_are_refused_and_not_guessed(tmp_path, encoding):
    texts = ["Già noto. È così.", "Non c'è versamento però. FE 48", "perché. FE 60%", "x y z"]
    with pytest.raises(DataError):
        load_reports(save(rows(text=texts), tmp_path / "dati.csv", encoding=encoding))


def test_a_word_of_a_report_is_never_in_a_warning_about_its_code(tmp_path, recwarn, capsys):
    texts = ["Sig. Nicolò Verdi. FE 55%", *TEXTS[1:]]
    load_reports(save(rows(text=texts), tmp_path / "dati.csv", encoding="cp1252"))
    assert "Nicol" not in capsys.readouterr().out + "".join(str(w.message) for w in recwarn)


def test_each_bad_report_is_a_row_of_the_failures_and_the_rest_goes_on(tmp_path):
    texts = [TEXTS[0], "REFERTO: a. CONCLUSIONI: b. REFERTO: c.", "opacitÃ  FE", "<p>FE 35%</p>"]
    reports = load_reports(save(rows(text=texts), tmp_path / "dati.csv"))
    assert reports.table["subject"].tolist() == ["P1", "P4"]
    assert reports.table["text"][1] == "FE 35%"
    assert "two reports" in problems(reports)["P2"]
    assert "letters" in problems(reports)["P3"]
    assert reports.notes.to_numpy().tolist() == [["P4", "HTML"]]


def test_a_value_that_the_template_does_not_allow_is_named_with_what_it_allows(tmp_path):
    table = rows(rhythm=["sinus", "", "boh", ""], ef=["55", "130", "", "35-40"])
    found = problems(load_reports(save(table, tmp_path / "dati.csv")))
    assert "field ef expected: a number from 10 to 85 %" in found["P2"]
    assert "field rhythm expected: sinus or fibrillation" in found["P3"]
    assert "boh" in found["P3"]
    assert "one number" in found["P4"]


def test_a_language_that_the_table_has_wrong_is_said(tmp_path):
    texts = ["The heart is normal in size and the lungs are clear.", *TEXTS[1:]]
    reports = load_reports(save(rows(text=texts, lingua="it-IT"), tmp_path / "dati.csv"))
    assert reports.table["language"].tolist() == ["it"] * 4
    assert reports.notes.to_numpy().tolist() == [["P1", "in en by its words, not in it"]]
    alone = load_reports(save(rows(text=texts), tmp_path / "dati.csv"))
    assert alone.table["language"].tolist()[0] == "en"


def test_words_of_annotators_stand_for_the_choices(tmp_path):
    key = next(f.key for f in TEMPLATE.fields if f.choices[:2] == ("present", "absent"))
    table = rows(**{key: ["Sì", "0", "", "Presente"]})
    values = load_reports(save(table, tmp_path / "dati.csv")).table[key]
    assert values.tolist() == ["present", "absent", NOT_MENTIONED, "present"]


def test_two_tables_are_joined_and_rows_without_a_partner_named(tmp_path):
    table = rows()
    save(table[["subject", "text"]], tmp_path / "reports.csv")
    values = table.drop(columns="text")
    save(values.assign(subject=["P9", "P2", "P3", "P4"]), tmp_path / "labels.csv")
    reports = load_reports(str(tmp_path))
    assert reports.table["subject"].tolist() == ["P2", "P3", "P4"]
    assert problems(reports) == {
        "P9": "a row of labels.csv without a report",
        "P1": "a report without a row of labels.csv",
    }
    save(values.assign(ef="50"), tmp_path / "labels_2.csv")
    assert load_reports(str(tmp_path)).second.loc["P2", "ef"] == 50


def test_tables_whose_names_lost_their_zeros_are_refused(tmp_path):
    save(rows()[["subject", "text"]].assign(subject=["001", "002", "003", "004"]),
         tmp_path / "reports.csv")  # fmt: skip
    save(rows().drop(columns="text").assign(subject=[1, 2, 3, 4]), tmp_path / "labels.csv")
    with pytest.raises(DataError, match="share no subject") as error:
        load_reports(str(tmp_path))
    assert "zeros" in error.value.mend


def test_text_files_beside_a_table_of_values_are_read(tmp_path):
    for name, text in zip(["P1", "P2", "P3", "P4"], TEXTS, strict=True):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "P3.txt").write_bytes(b"")
    (tmp_path / "P4.txt").write_bytes(b"\x00\x01\x02\xff")
    names = [f"P{k}.txt" for k in range(1, 5)]
    save(rows(subject=names).drop(columns="text"), tmp_path / "valori.csv", sep=";", subject="file")
    reports = load_reports(str(tmp_path))
    assert reports.table["ef"].tolist() == [55, 48]
    assert {*problems(reports)} == {"P3", "P4"}
    assert "no text" in problems(reports)["P4"]
    assert len(reports.failures) == 2


def test_a_text_about_the_folder_is_no_report(tmp_path, capsys):
    for name in ("P1", "P2", "README", "leggimi"):
        (tmp_path / f"{name}.txt").write_text(f"{name}: FE 55%. Cuore normale.", encoding="utf-8")
    table = load_reports(str(tmp_path), template="echo_short").table
    assert table["subject"].tolist() == ["P1", "P2"]
    assert "2 files are not read: README.txt, leggimi.txt" in capsys.readouterr().out


def test_sections_in_two_columns_make_one_text(tmp_path):
    table = rows(conclusioni="Nella norma.")
    reports = load_reports(save(table, tmp_path / "dati.csv", text="reperti"))
    assert reports.table["text"][0] == f"REPERTI:\n{TEXTS[0]}\n\nCONCLUSIONI:\nNella norma."


def test_a_text_in_several_columns_is_put_together_in_the_order_of_a_report(tmp_path, capsys):
    table = rows(conclusioni="Nella norma.", Quesito="dispnea", anamnesi=["iperteso", "", "", ""])
    text = load_reports(save(table, tmp_path / "dati.csv", text="reperti")).table["text"]
    assert text[0].split("\n\n")[:3] == [
        "QUESITO:\ndispnea", "ANAMNESI:\niperteso", f"REPERTI:\n{TEXTS[0]}",
    ]  # fmt: skip
    assert "ANAMNESI" not in text[1]
    assert "text is made of Quesito, anamnesi, reperti and conclusioni" in capsys.readouterr().out
    table = rows(quesito=TEXTS[0][:40], storia_clinica="FE")  # the first is in a text already
    text = load_reports(save(table, tmp_path / "dati.csv")).table["text"]
    assert text[0] == f"STORIA CLINICA:\nFE\n\nTEXT:\n{TEXTS[0]}"
    same = load_reports(save(rows(conclusioni=TEXTS), tmp_path / "dati.csv")).table["text"]
    assert same.tolist() == [f"TEXT:\n{text}" for text in TEXTS]


@pytest.mark.parametrize("word", ["nan", "NULL", "n.d.", "Vedi referto allegato.", "-"])
def test_a_word_in_place_of_a_report_is_no_report(tmp_path, word):
    reports = load_reports(save(rows(text=[*TEXTS[:3], word]), tmp_path / "dati.csv"))
    assert [*problems(reports)] == ["P4"]


@pytest.mark.parametrize("cell", ["05-feb", "5/2", "2020-02-05 00:00:00", "05/02/2020"])
def test_a_number_that_a_spreadsheet_took_for_a_date_is_refused_and_that_is_said(tmp_path, cell):
    reports = load_reports(save(rows(lvedd=["5,2", cell, "", ""]), tmp_path / "dati.csv"))
    assert "field lvedd" in problems(reports)["P2"]
    assert "took it for a date" in problems(reports)["P2"]


def test_a_share_and_a_number_in_another_unit_are_refused_with_what_mends_them(tmp_path):
    table = rows(ef=["0,55", "48", "60", "35"], lvedd=["", "56", "", ""])
    found = problems(load_reports(save(table, tmp_path / "dati.csv", sep=";")))
    assert "give it in percent, 55" in found["P1"]
    assert "write its unit beside it" in found["P2"]


@pytest.mark.parametrize("end", ["Firmato Dr. Verdi", "Firmato digitalmente da Dott. Neri"])
def test_two_signatures_with_text_between_them_are_of_two_reports(tmp_path, end):
    one = "Eco del 12/03/2020: FE 55%. Firmato Dr. Rossi. Eco del 14/05/2021: FE 40%, DTD 6 cm. "
    both = "FE 48 %. Firmato Dr. Rossi, Dr. Verdi"
    reports = load_reports(save(rows(text=[one + end, both, *TEXTS[2:]]), tmp_path / "dati.csv"))
    assert "two signatures" in problems(reports)["P1"]
    assert len(reports.table) == 3


def test_a_line_across_a_text_is_told_since_it_may_part_two_reports(tmp_path):
    texts = ["FE 55%.\n--------\nFE 40%, atrio dilatato.", *TEXTS[1:]]
    notes = load_reports(save(rows(text=texts), tmp_path / "dati.csv")).notes
    assert notes.to_numpy().tolist() == [["P1", "a line is drawn across it: one report, or two?"]]


def test_texts_that_a_program_cut_are_left_out(tmp_path):
    long = [text.ljust(255, "x")[:255] for text in TEXTS[:2]]
    reports = load_reports(save(rows(text=[*long, *TEXTS[2:]]), tmp_path / "dati.csv"))
    assert reports.table["subject"].tolist() == ["P3", "P4"]
    assert "end at the 255th sign" in problems(reports)["P1"]
    whole = [text.ljust(254, "x") + "." for text in TEXTS[:2]]
    assert load_reports(save(rows(text=[*whole, *TEXTS[2:]]), tmp_path / "dati.csv")).failures.empty


@pytest.mark.parametrize(("sep", "encoding"), [("\t", "utf-16"), (";", "utf-8")])
def test_a_table_that_is_called_txt_is_not_taken_for_a_report(tmp_path, sep, encoding):
    save(rows(), tmp_path / "dati.txt", sep=sep, encoding=encoding)
    with pytest.raises(DataError, match="the file is a table of reports"):
        load_reports(str(tmp_path), template="echo_short")


def test_tables_and_sheets_that_are_not_used_are_named(tmp_path, capsys):
    long = rows()[["subject", "ef"]].melt("subject", var_name="campo", value_name="valore")
    save(long, tmp_path / "valori.csv")
    with pd.ExcelWriter(tmp_path / "dati.xlsx") as book:
        rows().to_excel(book, sheet_name="Referti", index=False)
        long.to_excel(book, sheet_name="Altri", index=False)
    (tmp_path / "~$dati.xlsx").write_bytes(b"who has it open")
    assert load_reports(str(tmp_path)).table["ef"].tolist() == [55, 48, 60, 35]
    said = capsys.readouterr().out
    assert "valori.csv is not used: it has neither a text nor the template's fields" in said
    assert said.count("the sheet 'Referti' is read, and not 'Altri'") == 1


def test_a_title_above_the_names_of_the_columns_is_refused(tmp_path):
    path = tmp_path / "dati.xlsx"
    pd.concat([pd.DataFrame([["Estrazione 2021"]]), rows().T.reset_index().T]).to_excel(
        path, index=False, header=False
    )
    with pytest.raises(DataError, match="the first row names few of the columns") as error:
        load_reports(str(path), template="echo_short")
    assert "above" in error.value.mend


def test_cells_that_a_spreadsheet_is_to_leave_as_they_are_lose_their_formula(tmp_path):
    table = rows(subject=[f'="000{k}"' for k in range(4)], ef=['="55"', "48", "60", "35"])
    reports = load_reports(save(table, tmp_path / "dati.csv", sep=";"))
    assert reports.table["subject"].tolist() == ["0000", "0001", "0002", "0003"]
    assert reports.table["ef"][0] == 55


def test_conclusions_alone_are_the_text(tmp_path):
    reports = load_reports(save(rows(), tmp_path / "dati.csv", text="Conclusioni"))
    assert reports.table["text"].tolist() == TEXTS


def test_two_columns_of_texts_are_not_guessed_between(tmp_path):
    table = rows(referto=TEXTS, text="Dolore toracico da tre giorni")
    with pytest.raises(DataError, match="several columns can be the report's text"):
        load_reports(save(table, tmp_path / "dati.csv", text="testo"))
    numbered = rows(referto=["2020/1", "2020/2", "2020/3", "2020/4"])
    assert len(load_reports(save(numbered, tmp_path / "dati.csv", text="testo")).table) == 4


def test_a_template_of_one_s_own_is_found_beside_the_table(tmp_path):
    (tmp_path / "template.yaml").write_text(OWN, encoding="utf-8")
    table = rows()[["subject", "text", "ef"]]
    save(table, tmp_path / "dati.csv", ef="Frazione di Eiezione")
    assert load_reports(str(tmp_path)).table["ef"].tolist() == [55, 48, 60, 35]


def test_without_values_reports_can_be_read_with_a_template_and_not_without_one(tmp_path):
    path = save(rows()[["subject", "text"]], tmp_path / "dati.csv")
    with pytest.raises(RequestError, match="no template says"):
        load_reports(path)
    reports = load_reports(path, template="echo_short")
    assert not reports.labeled
    assert reports.table["ef"].isna().all()


def test_some_of_a_template_s_fields_are_not_taken_for_all(tmp_path):
    with pytest.raises(DataError, match="has 19 of the template's 20 fields"):
        load_reports(save(rows().drop(columns="ef"), tmp_path / "dati.csv"), template="echo_short")


def test_an_unclosed_quotation_mark_does_not_swallow_the_next_reports(tmp_path):
    path = tmp_path / "dati.csv"
    lines = [f'P{k};"FE 5{k}%' + '"' * (k > 1) + ";" * len(KEYS) for k in (1, 2, 3)]
    path.write_text("\n".join([";".join(["subject", "text", *KEYS]), *lines]), encoding="utf-8")
    with pytest.raises(DataError, match="another row of the table stands in the text"):
        load_reports(str(path))


def test_splits_are_kept_but_for_copies_which_are_tested(tmp_path):
    table = rows(
        text=[TEXTS[0], TEXTS[0].upper(), *TEXTS[2:]], split=["train", "prova", "VAL", "train"]
    )
    reports = load_reports(save(table, tmp_path / "dati.csv"))
    assert reports.table["split"].tolist() == ["test", "test", "validation", "train"]
    assert reports.notes["subject"].tolist() == ["P1"]
    assert reports.table["group"].nunique() == 3


def test_what_tells_a_person_is_neither_kept_nor_shown(tmp_path, capsys):
    table = rows(
        subject=[f"Rossi_Mario_{k}" for k in range(4)],
        text=["Il rossi ha FE 55%, tel. 050 123456", *TEXTS[1:]],
        nascita="1/1/1980", codice_fiscale="RSSMRA80A01H501U", rhythm=["Mario Rossi", "", "", ""],
    )  # fmt: skip
    reports = load_reports(save(table, tmp_path / "dati.csv"))
    assert "Rossi" not in reports.table.to_csv() + reports.failures.to_csv()
    assert "RSSMRA80A01H501U" not in reports.table.to_csv() + capsys.readouterr().out
    assert reports.table["subject"].str.startswith("sub-").all()
    good = load_reports(save(table.assign(rhythm=""), tmp_path / "dati.csv"))
    assert good.shown(good.table["subject"][0]) == "Il █████ ha FE 55%, ████ ███ ██████"


def test_one_name_in_several_rows_is_kept_only_if_they_are_the_same(tmp_path):
    table = pd.concat([rows(), rows().head(2).assign(ef=["55", "30"])])
    reports = load_reports(save(table, tmp_path / "dati.csv"))
    assert reports.table["subject"].tolist() == ["P1", "P3", "P4"]
    assert "several rows" in problems(reports)["P2"]


def test_a_report_that_may_go_on_in_the_next_row_is_not_read_as_whole(tmp_path):
    table = rows(subject=["P1", "", "P3", "P4"])
    reports = load_reports(save(table, tmp_path / "dati.csv"))
    assert reports.table["subject"].tolist() == ["P3", "P4"]
    assert "may go on" in problems(reports)["P1"]


def test_values_in_two_tables_are_not_chosen_between(tmp_path):
    save(rows(), tmp_path / "cohort.csv")
    save(rows().drop(columns="text"), tmp_path / "labels.csv")
    with pytest.raises(RequestError, match="2 tables of values"):
        load_reports(str(tmp_path))
    (tmp_path / "labels.csv").rename(tmp_path / "second.csv")
    assert len(load_reports(str(tmp_path)).second) == 4


def test_splits_may_be_files(tmp_path):
    save(rows().head(3), tmp_path / "train.csv")
    save(rows().tail(1), tmp_path / "test.csv")
    table = load_reports(str(tmp_path)).table.set_index("subject")
    assert table["split"].to_dict() == {"P1": "train", "P2": "train", "P3": "train", "P4": "test"}


def test_codes_of_the_indiana_reports_become_labels():
    found = labels_of("Cardiac Shadow/enlarged/mild;Lung/hypoinflation;Technical Quality ")
    assert [key for key, value in found.items() if value == "present"] == [
        "cardiomegaly", "low_volumes",
    ]  # fmt: skip
    assert set(labels_of("normal").values()) == {"absent"}
    with pytest.raises(DataError, match="not coded"):
        labels_of("No Indexing")


def test_the_real_indiana_reports_are_read_without_copies(real):
    path = real / "report_structuring" / "indiana_reports.csv"
    with path.open(encoding="utf-8") as stream:
        coded = {row["uid"]: row["MeSH"] for row in csv.DictReader(stream)}
    reports = load_reports(str(path))
    assert len(reports.table) + len(reports.copies) + len(reports.failures) == len(coded)
    assert [*reports.values] == [*LABELS]
    assert reports.table["text"].is_unique
    assert not reports.table["text"].str.contains("INDICATION:").any()
    present = reports.values["atelectasis"] == "present"
    assert all("Pulmonary Atelectasis" in coded[s] for s in present.index[present])
    assert reports.table.groupby("group")["split"].nunique().max() == 1
    assert (reports.table["language"] == "en").mean() > 0.99
