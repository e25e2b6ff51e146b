import numpy as np
import pandas as pd
import pytest

from nextaim_kit import DataError, RequestError
from nextaim_kit.learn.array_file import save_arrays
from nextaim_kit.studies.report_structuring import measures, methods
from nextaim_kit.studies.report_structuring.baselines import classical, encoder, rules
from nextaim_kit.studies.report_structuring.methods import (
    load_structurer,
    save_structurer,
    who_trained,
)
from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, Field, Template

TEMPLATE = Template(
    name="small",
    title={"en": "small"},
    sections={"18782-3": {"en": "Findings"}},
    fields=(
        Field(key="ef", label={"it": "FE"}, unit="%", low=10, high=85),
        Field(key="effusion", label={"it": "versamento"}, choices=("present", "absent")),
        Field(key="lvedd", label={"it": "DTD"}, unit="cm", low=3, high=9, decimals=1),
    ),
)
SAYS = {"present": "Versamento pericardico.", "absent": "Non versamento.", NOT_MENTIONED: ""}


def reports(n, seed=0):
    """Reports of three fields, in an order of chance."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(n):
        ef, lvedd = rng.integers(20, 80), rng.integers(40, 70) / 10
        effusion, said = rng.choice(list(SAYS)), rng.random() < 0.7
        parts = [SAYS[effusion], f"FE {ef} %." if said else "", f"DTD {lvedd * 10:.0f} mm."]
        text = " ".join(["Ritmo sinusale.", *rng.permutation(parts), "Nel 2019 FE 33 %."])
        rows.append((f"R{k}", text, ef if said else np.nan, effusion, lvedd))
    return pd.DataFrame(rows, columns=["subject", "text", "ef", "effusion", "lvedd"])


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    train, folder = reports(120), tmp_path_factory.mktemp("encoder")
    return {
        "majority": classical.fit_majority(train, TEMPLATE),
        "tfidf": classical.fit_tfidf(train, TEMPLATE),
        "encoder": encoder.fit_encoder(train, reports(20, 1), TEMPLATE, folder=folder, epochs=15),
        "rules": rules.fit_rules(train, TEMPLATE),
    }


def exact(structurer, table):
    return measures.right(structurer.answer(table["text"]), table, TEMPLATE).all(axis=1).mean()


@pytest.mark.parametrize("name", ["tfidf", "encoder"])
def test_a_method_that_learns_reads_new_reports_and_passes_over_an_earlier_number(fitted, name):
    test = reports(100, 2)
    assert exact(fitted[name], test) > 0.9
    assert exact(fitted["majority"], test) < 0.1


@pytest.mark.parametrize("name", ["majority", "tfidf", "encoder"])
def test_an_answer_does_not_depend_on_its_neighbors_and_empty_texts_have_one(fitted, name):
    texts = [*reports(5, 3)["text"], "", "FE 55 %"]
    together = fitted[name].answer(texts)
    alone = [fitted[name].answer([text]) for text in texts]
    pd.testing.assert_frame_equal(
        together.values, pd.concat([a.values for a in alone], ignore_index=True)
    )
    known = pd.concat([a.confidence for a in alone], ignore_index=True)
    np.testing.assert_allclose(together.confidence, known, atol=1e-5)
    assert together.confidence.to_numpy().min() >= 0


@pytest.mark.parametrize("name", ["majority", "tfidf", "encoder"])
def test_no_text_has_no_answer(fitted, name):
    assert len(fitted[name].answer([])) == 0


def test_a_number_that_no_field_can_hold_is_no_answer(fitted):
    values = fitted["tfidf"].answer(["FE 5 %, DTD 520 mm"]).values
    assert values[["ef", "lvedd"]].isna().all(axis=None)


def test_the_most_frequent_value_is_said_with_its_share():
    table = reports(50)
    found = classical.fit_majority(table, TEMPLATE).answer(["x"])
    assert found.values["ef"].item() == table["ef"].median()
    assert (
        found.confidence["effusion"].item() == table["effusion"].value_counts(normalize=True).max()
    )


def test_a_field_that_never_varies_is_answered_by_its_one_value():
    same = reports(60).assign(effusion="absent", ef=np.nan)
    found = classical.fit_tfidf(same, TEMPLATE).answer(reports(10, 4)["text"]).values
    assert set(found["effusion"]) == {"absent"}
    assert found["ef"].isna().all()


def test_reports_without_the_template_s_columns_are_refused():
    with pytest.raises(DataError, match="nothing to learn from"):
        classical.fit_tfidf(reports(5).drop(columns="ef"), TEMPLATE)


@pytest.mark.parametrize("name", ["majority", "rules", "tfidf", "encoder"])
def test_a_structurer_answers_alike_after_it_was_kept_in_a_file(fitted, name, tmp_path):
    path = save_structurer(fitted[name], tmp_path / "one.safetensors", patients=["P1"])
    again, texts = load_structurer(path), reports(10, 5)["text"]
    before, after = fitted[name].answer(texts), again.answer(texts)
    pd.testing.assert_frame_equal(before.values, after.values)
    np.testing.assert_allclose(before.confidence, after.confidence, atol=1e-6)
    assert again.template == TEMPLATE
    assert (again.name, again.language) == (fitted[name].name, "it")
    assert who_trained(path).seen.among(["P1", "P2"]) == ["P1"]


def test_what_is_no_structurer_is_neither_kept_nor_read(tmp_path):
    with pytest.raises(RequestError, match="DataFrame cannot be saved"):
        save_structurer(reports(1), tmp_path / "one.safetensors")
    path = save_arrays({"x": np.ones(1)}, tmp_path / "x.safetensors", told={"kind": "mask"})
    with pytest.raises(DataError, match="holds no structurer"):
        load_structurer(path)


def test_of_pairs_that_differ_in_one_value_both_have_to_be_read_right(fitted):
    texts = ["FE 50 %. Non versamento.", "FE 50 %. Versamento pericardico.", "FE 61 %.", "FE 62 %."]
    pairs = pd.DataFrame({"text": texts, "pair": [0, 0, 1, 1], "kind": ["negation"] * 2 + ["x"] * 2,
                          "field": ["effusion"] * 2 + ["ef"] * 2,
                          "effusion": ["absent", "present"] + [NOT_MENTIONED] * 2,
                          "ef": [50.0, 50, 61, 99], "lvedd": np.nan})  # fmt: skip
    given = {"TF-IDF": fitted["tfidf"].answer(texts)}
    found = methods.pairs_told_apart(given, pairs, TEMPLATE, n_boot=50).set_index("kind")
    assert found.loc[["negation", "x"], "value"].tolist() == [1, 0]


def test_what_is_told_of_reports_has_no_text_and_no_field_that_is_not_mentioned(fitted):
    table = reports(3, 6)
    found = methods.told(fitted["tfidf"].answer(table["text"]), table, TEMPLATE)
    assert list(found) == ["subject", "field", "value", "confidence"]
    assert found["value"].notna().all()
    assert NOT_MENTIONED not in set(found["value"])


def test_copies_of_training_reports_are_left_out_of_another_cohort_and_named():
    train, there = reports(30, 7), reports(30, 8)
    there.loc[4, "text"] = train.loc[9, "text"].lower()
    others, named = methods.without_copies(there, [train])
    assert named["subject"].tolist() == ["R4"]
    assert len(others) == 29
