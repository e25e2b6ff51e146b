import pandas as pd
import pytest

from nextaim_kit.studies.report_structuring.baselines import rules
from nextaim_kit.studies.report_structuring.schema import (
    NOT_MENTIONED,
    Field,
    Template,
    read_template,
)

CT, ECHO = (read_template(name) for name in ("covid_ct", "echo"))


def said(text, template=CT, language="it"):
    values = rules.fit_rules(None, template, language=language).answer([text]).values.iloc[0]
    return {k: v for k, v in values.items() if v != NOT_MENTIONED and not pd.isna(v)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Non si apprezzano versamento pleurico né linfoadenomegalie.",
         {"pleural_effusion": "absent", "lymph_nodes": "absent"}),
        ("Consolidazione al lobo inferiore destro.",
         {"consolidation": "present", "consolidation_side": "right", "rll": "present"}),
        ("Verosimile crazy paving.", {"crazy_paving": "uncertain"}),
        ("Enfisema assente.", {"emphysema": "absent"}),
        ("CO-RADS 5.", {"corads": 5}),
        ("Nodulo di 1,2 cm.", {"nodules": "present", "nodule_mm": 12}),
    ],
)  # fmt: skip
def test_a_sentence_of_a_chest_ct_says_what_it_says(text, expected):
    assert said(text) == expected


def test_a_word_that_turns_ends_what_was_denied():
    found = said("Non versamento pleurico ma enfisema.")
    assert found == {"pleural_effusion": "absent", "emphysema": "present"}


def test_what_is_of_the_past_or_of_the_family_is_not_said():
    assert said("Nel 2019 nodulo di 5 mm. Madre con enfisema.") == {}


def test_measures_are_read_in_the_field_s_unit():
    found = said("DTD 52 mm, SIV 11 mm, FE cinquantacinque per cento.", ECHO)
    assert found == {"lvedd": 5.2, "septum": 1.1, "ef": 55}


def test_english_reports_have_the_same_rules():
    text = "No pleural effusion. Ground-glass opacity, bilateral."
    found = said(text, language="en")
    assert found["pleural_effusion"] == "absent"
    assert found["ggo_side"] == "both"


def test_a_template_without_patterns_is_looked_for_by_the_names_of_its_fields():
    field = Field(key="scar", label={"it": "cicatrice"}, choices=("present", "absent"))
    own = Template(name="own", title={}, sections={"18782-3": {}}, fields=(field,))
    assert said("Cicatrice apicale.", own) == {"scar": "present"}
    assert said("Nessuna lesione, non cicatrice.", own) == {"scar": "absent"}
    assert said("Torace nei limiti.", own) == {}


def test_where_no_training_report_leaves_a_field_out_silence_is_its_most_frequent_value():
    field = Field(key="scar", label={"en": "scar"}, choices=("present", "absent"))
    own = Template(name="own", title={}, sections={"18782-3": {}}, fields=(field,))
    coded = pd.DataFrame({"scar": ["absent", "absent", "present"]})
    for table, expected in ((coded, "absent"), (coded.replace("present", pd.NA), NOT_MENTIONED)):
        found = rules.fit_rules(table, own).answer(["Clear lungs."]).values
        assert found["scar"].item() == expected
