from __future__ import annotations

import hashlib
import json
import re
from difflib import ndiff
from itertools import pairwise, product

import numpy as np
import pytest

from nextaim_kit.data import load_cohort
from nextaim_kit.errors import RequestError
from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, TEMPLATES, read_template
from nextaim_kit.studies.report_structuring.twin import (
    SETS,
    Quality,
    fresh,
    make_reports,
    make_set,
    make_twin,
    minimal_pairs,
    unlabeled,
)
from nextaim_kit.studies.report_structuring.writing.styles import STYLES

EVERY = [*product(TEMPLATES, STYLES, ("it", "en"))]
PAIRED = [*product(("covid_ct_short", "echo_short"), ("it", "en"))]


def mentioned(value) -> bool:
    return value is not None and value != NOT_MENTIONED


@pytest.mark.parametrize(("name", "style", "language"), EVERY)
def test_every_template_style_and_language_gives_values_that_the_template_allows(
    name, style, language
):
    made = make_reports(25, name, style=style, language=language, held_out=True)
    for truth in made.truth.itertuples():
        assert made.template.check(truth.values) == truth.values
    assert not made.table["text"].str.contains(r"[{}\[\]<>@#&|%]\w|\.\.|  | ,|\?\.").any()


@pytest.mark.parametrize(("name", "style", "language"), EVERY)
def test_a_value_is_mentioned_where_and_only_where_it_has_evidence(name, style, language):
    made = make_reports(20, name, style=style, language=language)
    texts = made.table.set_index("subject")["text"]
    for subject, truth in made.truth.iterrows():
        assert {k for k, v in truth["values"].items() if mentioned(v)} == set(truth["spans"])
        for spans in (*truth["spans"].values(), *truth["earlier"].values()):
            assert all(texts[subject][a:b].strip() for a, b in spans)
            assert all(b <= c for (_, b), (c, _) in pairwise(spans))


def test_a_number_stands_in_its_evidence_in_one_unit_or_the_other(many):
    texts = many.table["text"]
    for text, truth in zip(texts, many.truth.itertuples(), strict=True):
        for key, value in truth.values.items():
            if not isinstance(value, float) or key == "symptom_days":
                continue
            words = " ".join(text[a:b] for a, b in truth.spans[key])
            figures = [float(f.replace(",", ".")) for f in re.findall(r"\d+(?:,\d+)?", words)]
            wanted = {value, round(value / 10, 2)}
            assert wanted & set(figures) or not re.search(r"\d", words.replace("/25", "")), words


def test_what_is_denied_is_denied_in_its_evidence(many):
    denial = re.compile(r"\b(non|no|assen|nega|risparmi|indenn|eupnea|apiressia|senza|primo)", re.I)
    for text, truth in zip(many.table["text"], many.truth.itertuples(), strict=True):
        for key in ("pleural_effusion", "lymph_nodes", "embolism", "ggo", "nodules"):
            if truth.values[key] == "absent":
                assert denial.search(" ".join(text[a:b] for a, b in truth.spans[key]))


def test_sides_are_those_of_the_evidence(many):
    words = {
        "right": re.compile(r"\bdestr[ao]|\bdx\b"),
        "left": re.compile(r"\bsinistr[ao]|\bsx\b"),
    }
    for text, truth in zip(many.table["text"], many.truth.itertuples(), strict=True):
        for key in ("ggo_side", "consolidation_side", "pleural_effusion"):
            side = truth.values[key]
            said = " ".join(text[a:b] for a, b in truth.spans.get(key, ()))
            if side in words:
                assert words[side].search(said)
                assert not words["left" if side == "right" else "right"].search(said)


WORDS = {
    "covid_ct": {
        "ggo": r"vetro|ggo|ground", "consolidation": r"consolid|addens", "crazy_paving": "crazy",
        "septal_thickening": r"sett[oai]|interstizio interl", "air_bronchogram": "broncogramm",
        "bronchiectasis": r"bronchiect|dilatazioni bronch", "nodules": "nodul",
        "pleural_effusion": r"versamento|vers\.", "pneumothorax": r"pneumotorace|pnx",
        "pericardial_effusion": "pericard", "lymph_nodes": r"linfo|adenopat",
        "emphysema": "enfisem", "fibrosis": "fibr", "embolism": r"embol|\bep\b|minus|difetti",
        "trunk_mm": "tronco", "corads": "co-rads", "severity": r"sever|gravità|ctss",
    },
    "echo": {
        "ef": r"eiezione|\bfe\b", "lvedd": r"dtd|telediastolico (?:del|di)", "tapse": "tapse",
        "septum": r"siv|setto interv", "thrombus": "tromb", "vegetations": "veget",
        "mitral_regurgitation": r"\bim\b|rigurgito mit", "paps": r"paps|polmonare",
        "aortic_stenosis": r"stenosi (?:valv|aort)|sao",
        "pericardial_effusion": r"pericardico|scollam", "diastole": r"disf|pattern|rilasc",
        "left_atrium": r"atrio sinistro (?:di n|lie|mod|sev|dil|nei)", "prosthesis": r"protesi|pvm",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "style"), [*product(WORDS, ("hospital_1", "hospital_2", "house_4"))]
)
def test_what_is_not_mentioned_has_no_words_but_such_as_only_seem_to_say_it(kind, style):
    made = make_reports(100, kind, style=style, held_out=True)
    for text, truth in zip(made.table["text"], made.truth.itertuples(), strict=True):
        for key, pattern in WORDS[kind].items():
            if mentioned(truth.values[key]):
                continue
            spans = [span for of in (truth.earlier, truth.spans) for s in of.values() for span in s]
            for match in re.finditer(pattern, text.lower()):
                assert any(a <= match.start() < b for a, b in spans), (key, match, text)


def test_silence_depends_on_the_value():
    made = make_reports(500, "covid_ct_short")
    values = made.values
    assert (values["pleural_effusion"] == NOT_MENTIONED).mean() < 0.2
    assert 0.4 < (values["emphysema"] == NOT_MENTIONED).mean() < 0.9
    # Emphysema is there in 18 % of the patients, and nearly always said where it is.
    said = values["emphysema"][values["emphysema"] != NOT_MENTIONED]
    assert (said == "present").mean() > 0.45


def test_fields_go_together(many, hearts):
    values = many.values
    typical = values[values["pattern"] == "typical"]
    assert (typical["ggo_side"] == "both").mean() > 0.7
    both = values[["extent", "severity"]].dropna()
    assert both["extent"].corr(both["severity"]) > 0.8
    beating = hearts.values[["ef", "lvedv"]].dropna()
    assert beating["ef"].corr(beating["lvedv"]) < -0.4


def test_the_sets_have_the_sizes_of_the_talk():
    for name, of in SETS.items():
        table = make_set(name).table
        assert tuple(table.groupby("split", sort=False).size()) == of.sizes
        assert table["subject"].is_unique
        shared = table.groupby("patient")["split"].nunique()
        assert shared.max() == 1


def test_patients_of_two_hospitals_are_not_the_same_ones():
    one, other = (make_set(name).table for name in ("hospital_1", "hospital_2"))
    assert set(one["patient"]).isdisjoint(other["patient"])
    assert one["patient"].duplicated().any()


def test_the_twin_is_a_cohort():
    table = load_cohort("synthetic", twin=make_twin, columns=("text",))
    assert len(table) == 203
    assert table["site"].unique().tolist() == ["hospital_1"]


def test_the_same_seed_gives_the_same_reports_and_another_others():
    one, same = make_set("echo").table, make_set("echo").table
    assert one.equals(same)
    other = make_set("echo", seed=1).table
    assert not one["text"].isin(other["text"]).any()


def test_a_report_does_not_depend_on_how_many_others_there_are():
    few, more = make_reports(5).table, make_reports(50).table
    assert few.equals(more.head(5))


def test_test_reports_have_clean_labels_and_the_training_keeps_its_errors():
    made = make_set("hospital_1", quality=Quality(template_errors=0.2, typos=0.1))
    keys = [field.key for field in made.template.fields]
    wrong = (made.table[keys].to_numpy() != made.values[keys].to_numpy()) & ~(
        made.table[keys].isna().to_numpy() & made.values[keys].isna().to_numpy()
    )
    tested = (made.table["split"] == "test").to_numpy()
    assert not wrong[tested].any()
    assert wrong[~tested].any()


def test_fresh_reports_are_none_of_the_set():
    made, tested = make_set("hospital_2"), fresh("hospital_2", 50)
    assert set(made.table["subject"]).isdisjoint(tested.table["subject"])
    assert set(tested.table["split"]) == {"test"}


def test_unlabeled_texts_are_of_other_houses():
    texts = unlabeled(31)
    assert len(texts) == len(set(texts)) == 31
    first = make_reports(1).table["text"][0].partition("\n")[0]
    assert not any(text.startswith(first[:9]) for text in texts) or STYLES["house_3"].lines


@pytest.mark.parametrize(("name", "language"), PAIRED)
def test_a_minimal_pair_differs_in_one_value_and_a_few_words(name, language):
    made = minimal_pairs(24, name, language=language)
    table, values = made.table, made.values
    assert len(table) == 48
    for number, pair in table.groupby("pair"):
        one, other = (values.loc[s].astype(object) for s in pair["subject"])
        field, kind = pair["field"].iloc[0], pair["kind"].iloc[0]
        said = one.dropna()
        differ = {
            *said.index[said != other[said.index]],
            *other.dropna().index.difference(said.index),
        }
        assert field in differ, number
        assert len(differ) == 1 or kind == "time"
        words = [text.lower().split() for text in pair["text"]]
        changed = [line for line in ndiff(*words) if line[0] in "+-"]
        assert 1 <= len(changed) <= 8, changed
        expected = {"negation": {"absent", "present"}, "side": {"right", "left"}}.get(kind)
        assert expected is None or {one[field], other[field]} == expected
        assert kind != "time" or other[field] == NOT_MENTIONED


def test_what_there_is_not_is_refused_by_name():
    with pytest.raises(RequestError, match="no such style"):
        make_reports(1, style="hospital_9")
    with pytest.raises(RequestError, match="no such set"):
        make_set("hospital_9")
    with pytest.raises(RequestError, match="no such template"):
        make_reports(1, "mri")
    with pytest.raises(RequestError, match="no such language"):
        make_reports(1, language="de")


def test_numbers_of_the_table_are_numbers(chest):
    numeric = [field.key for field in chest.template.fields if not field.choices]
    assert all(chest.table[key].dtype == np.float64 for key in numeric)
    assert chest.table["nodule_mm"].isna().any()
    assert read_template("covid_ct_short").check(chest.table.iloc[0][
        [field.key for field in chest.template.fields]].to_dict())  # fmt: skip


@pytest.mark.parametrize(
    ("style", "held_out", "digest"),
    [("hospital_1", False, "98cf1ad7a0a0dd28"), ("hospital_2", True, "c3f5604fa9abb003")],
)  # fmt: skip
def test_a_seed_gives_the_same_reports_whatever_is_tidied_in_the_code(style, held_out, digest):
    bad = dict.fromkeys(("typos", "abbreviations"), 0.05)
    rates = ("missing_sections", "contradictions", "copy_paste", "identifiers", "template_errors",
             "systematic")  # fmt: skip
    quality = Quality(**bad, **dict.fromkeys(rates, 0.3))
    found = hashlib.sha256()
    for name, language in product(TEMPLATES, ("it", "en")):
        made = make_reports(4 - held_out, name, style=style, language=language, quality=quality,
                            held_out=held_out, first=9)  # fmt: skip
        found.update(made.table.to_csv(index=False).encode())
        found.update(json.dumps(made.truth.to_dict("index"), sort_keys=True).encode())
    assert found.hexdigest()[:16] == digest
