import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from nextaim_kit import DataError
from nextaim_kit.studies.report_structuring import measures
from nextaim_kit.studies.report_structuring.measures import Answers, measure
from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, Field, Template

SILENT = NOT_MENTIONED
TEMPLATE = Template(
    name="small",
    title={"en": "small"},
    sections={"18782-3": {"en": "Findings"}},
    fields=(
        Field(key="ggo", label={"en": "ground glass"}, choices=("present", "absent")),
        Field(key="ef", label={"en": "EF"}, unit="%", low=10, high=85),
        Field(key="lvedd", label={"en": "LVEDD"}, unit="cm", low=3, high=9, decimals=1),
    ),
)
TRUTH = pd.DataFrame({
    "ggo": ["present", "absent", SILENT, "present"],
    "ef": [55, np.nan, 40, 60],
    "lvedd": [5.2, 4.8, np.nan, np.nan],
})  # fmt: skip


def answers(values=TRUTH, **more):
    return Answers(values, values.notna() * 1.0, **more)


def value(table, scope, metric):
    return table.set_index(["scope", "metric"])["value"].loc[scope, metric]


def test_answers_that_are_the_truth_are_right_in_every_respect_with_an_exact_interval():
    table = measure(answers(), TRUTH, TEMPLATE, n_boot=50).set_index(["scope", "metric"])
    best = table[~table.index.get_level_values("metric").isin(
        ["omitted", "wrong", "unsupported", "overstated", "wrong_unit"])]  # fmt: skip
    assert (best["value"] == 1).all()
    assert table["value"].isin([0, 1]).all()
    exact = table.loc["whole report", "exact_match"]
    assert exact["low"] == pytest.approx(0.025 ** (1 / 4))


def test_a_field_left_out_a_wrong_one_and_one_too_many_are_counted_apart():
    given = TRUTH.copy()
    given.loc[0, "ggo"], given.loc[1, "ggo"], given.loc[2, "ggo"] = SILENT, "present", "absent"
    table = measure(answers(given), TRUTH, TEMPLATE, n_boot=50)
    assert value(table, "ggo", "omitted") == pytest.approx(1 / 3)
    assert value(table, "ggo", "wrong") == pytest.approx(1 / 3)
    assert value(table, "ggo", "unsupported") == pytest.approx(1 / 3)
    assert value(table, "ggo", "overstated") == 1
    assert value(table, "whole report", "exact_match") == 0.25
    assert value(table, "numbers", "exact_match") == 1


def test_balanced_accuracy_and_f1_of_a_choice_are_scikit_learns():
    rng = np.random.default_rng(0)
    words = ["present", "absent", SILENT]
    many = pd.concat([TRUTH] * 30, ignore_index=True).assign(ggo=rng.choice(words, 120))
    given = many.assign(ggo=np.where(rng.random(120) < 0.7, many["ggo"], rng.choice(words, 120)))
    table = measure(answers(given), many, TEMPLATE, n_boot=50)
    both = many["ggo"], given["ggo"]
    assert value(table, "ggo", "balanced_accuracy") == pytest.approx(balanced_accuracy_score(*both))
    assert value(table, "ggo", "f1") == pytest.approx(f1_score(*both, average="macro"))
    one = f1_score(*both, average="macro", labels=["present"])
    assert value(table, "whole report", "f1_present") == pytest.approx(one)


def test_a_number_is_right_within_half_its_last_decimal_and_in_its_unit():
    given = TRUTH.assign(lvedd=[5.24, 48, np.nan, np.nan])
    table = measure(answers(given), TRUTH, TEMPLATE, n_boot=50)
    assert value(table, "lvedd", "accuracy_mentioned") == 0.5
    assert value(table, "lvedd", "wrong_unit") == 0.5
    wide = measure(answers(given), TRUTH, TEMPLATE, tolerance=500, n_boot=50)
    assert value(wide, "lvedd", "accuracy_mentioned") == 1


def test_a_number_of_an_earlier_examination_is_no_support():
    text = "FE 55 % (nel 2019: 48 %)"
    given = pd.DataFrame({"ggo": [SILENT], "ef": [48.0], "lvedd": [np.nan]})
    spans = [{"ef": [(0, 7)]}]
    assert measures.supported(answers(given), [text], TEMPLATE)["ef"].item()
    assert not measures.supported(answers(given), [text], TEMPLATE, spans=spans)["ef"].item()


def test_a_choice_without_evidence_has_no_support_where_spans_are_known():
    given = pd.DataFrame({"ggo": ["present"], "ef": [np.nan], "lvedd": [np.nan]})
    found = measures.supported(answers(given), ["nulla"], TEMPLATE, spans=[{}])
    assert found.iloc[0].tolist() == [False, True, True]
    table = measure(answers(given), given, TEMPLATE, supported=found, n_boot=50)
    assert value(table, "whole report", "unsupported") == 1


def test_what_could_not_be_read_is_wrong_and_is_no_statement():
    unread = pd.DataFrame(False, TRUTH.index, TRUTH.columns)
    unread.loc[2] = True
    table = measure(answers(unread=unread, valid=np.array([1, 1, 0, 1], bool)), TRUTH, TEMPLATE,
                    n_boot=50)  # fmt: skip
    assert value(table, "whole report", "format_accuracy") == 0.75
    assert value(table, "whole report", "exact_match") == 0.75
    assert value(table, "ef", "omitted") == pytest.approx(1 / 3)
    assert value(table, "ggo", "accuracy_silent") == 0


def test_reports_of_one_patient_are_resampled_together():
    many = pd.concat([TRUTH] * 10, ignore_index=True)
    given = answers(many.assign(ggo=["present"] * 20 + many["ggo"].tolist()[20:]))
    how = {"n_boot": 400, "seed": 0}
    alone = measure(given, many, TEMPLATE, **how).set_index(["scope", "metric"])
    groups = np.repeat(range(4), 10)
    together = measure(given, many, TEMPLATE, groups=groups, **how).set_index(["scope", "metric"])
    one, two = (t.loc["ggo", "accuracy"] for t in (alone, together))
    assert two["high"] - two["low"] > one["high"] - one["low"]


def test_answers_to_other_reports_are_refused():
    with pytest.raises(DataError, match="differ in number"):
        measure(answers(), TRUTH[:3], TEMPLATE)


def test_who_checks_the_least_sure_fields_first_finds_errors_that_are_unsure():
    table = pd.DataFrame({"confidence": np.arange(100) / 100, "right": np.arange(100) >= 10})
    found = measures.checked_first(table).set_index("checked")
    assert found.loc[0.1, "found"] == 1
    assert found.loc[0, "left"] == pytest.approx(0.1)
    assert found.loc[0.05, "left"] == pytest.approx(5 / 95)


def test_equal_confidences_find_errors_at_the_rate_of_chance():
    table = pd.DataFrame({"confidence": 0.5, "right": np.arange(100) >= 10})
    found = measures.checked_first(table).set_index("checked")
    assert found.loc[0.3, "found"] == pytest.approx(0.3)


def test_fields_are_parted_by_how_often_training_reports_mention_them():
    parts = measures.by_frequency(TRUTH, TEMPLATE)
    assert {name: len(keys) for name, keys in parts.items()} == {
        "mentioned least (50% to 50%)": 1,
        "mentioned in between (75% to 75%)": 1,
        "mentioned most (75% to 75%)": 1,
    }
    assert parts["mentioned least (50% to 50%)"] == ["lvedd"]
