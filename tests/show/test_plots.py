"""Figures: each returns a figure that can be saved, with a text that says what it shows."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from nextaim_kit.errors import DataError
from nextaim_kit.show import plots
from nextaim_kit.show.style import CYCLE, short_name

RNG = np.random.default_rng(3)
Y = np.repeat([0, 1], 60)
P = np.clip(0.35 + 0.3 * Y + RNG.normal(0, 0.15, 120), 0.01, 0.99)
FEATURES = pd.DataFrame(
    RNG.normal(size=(120, 4)), columns=[f"original_glcm_F{i}" for i in range(4)]
)
PATIENTS = FEATURES.assign(site=np.tile(["Pisa", "Milan"], 60), label=Y, lesion_volume_ml=P * 50)
FOREST = pd.DataFrame({"name": ["a", "b"], "value": [0.8, 0.7], "low": [0.7, np.nan],
                       "high": [0.9, np.nan], "group": ["model", "baseline"]})  # fmt: skip
CURVES = pd.DataFrame({"threshold": [0.1, 0.5], "model_a": [0.3, 0.2], "treat all": [0.3, 0.0]})
CHOSEN = pd.DataFrame({"feature": list(FEATURES), "frequency": [1.0, 0.2, 0.6, 0.4]})


def draw(name: str) -> Figure:
    made = {
        "roc": lambda: plots.roc({"model": (Y, P)}, {"model": (0.8, 0.95)}),
        "calibration": lambda: plots.calibration(Y, P),
        "decision_curve": lambda: plots.decision_curve(CURVES),
        "intervals": lambda: plots.intervals(FOREST, xlabel="AUC", reference=[(0.85, "talk")]),
        "confusion": lambda: plots.confusion(Y, P > 0.5),
        "selection_frequency": lambda: plots.selection_frequency(CHOSEN),
        "selection_by_selector": lambda: plots.selection_frequency(
            pd.concat([CHOSEN.assign(selector=s) for s in ("mrmr", "mutual_info")])),
        "shap_summary": lambda: plots.shap_summary(FEATURES.to_numpy() * [3, 1, 2, 1], FEATURES),
        "volume_scatter": lambda: plots.volume_scatter(PATIENTS, list(FEATURES)),
        "distribution_by_site": lambda: plots.distribution_by_site(PATIENTS, "original_glcm_F0"),
    }  # fmt: skip
    return made[name]()


ALL = {
    "roc": "model AUC 0.9",
    "calibration": "observed 0.50",
    "decision_curve": "model a reaches 0.30",
    "intervals": "a 0.80 [0.70, 0.90]; b 0.70. Reference: talk",
    "confusion": "of 60 not severe",
    "selection_frequency": "glcm F0 100%; glcm F2 60%",
    "selection_by_selector": "glcm F0 100%",
    "shap_summary": "strongest on average: glcm F0",
    "volume_scatter": "Rank correlation with lesion volume: glcm F0",
    "distribution_by_site": "glcm F0 by site, median: Milan",
}


@pytest.mark.parametrize("name", ALL)
def test_a_figure_can_be_saved_and_says_what_it_shows(name):
    figure, file = draw(name), io.BytesIO()
    figure.savefig(file)
    assert file.tell() > 1000
    assert ALL[name] in plots.alt_of(figure)


@pytest.mark.parametrize("name", ALL)
def test_every_axis_with_ticks_is_labeled(name):
    figure = draw(name)
    figure.draw_without_rendering()
    named = [t for t in (figure._supxlabel, figure._supylabel) if t]
    for axis in figure.axes:
        words = [axis.get_xlabel(), axis.get_ylabel(), axis.get_title(loc="left"), *named]
        assert any(words) or not axis.axison or not axis.get_xticks().size


@pytest.mark.parametrize("name", ALL)
def test_the_same_data_give_the_same_picture(name):
    pictures = []
    for _ in range(2):
        file = io.BytesIO()
        draw(name).savefig(file, metadata={"Software": None})
        pictures.append(file.getvalue())
    assert pictures[0] == pictures[1]


def test_the_auc_in_the_text_is_the_data_s_own():
    text = plots.alt_of(plots.roc({"m": (Y, P)}))
    assert f"{roc_auc_score(Y, P):.2f}" in text


def test_drawing_leaves_the_user_s_own_style_alone():
    mpl.use("agg")  # else the choice of a backend, made once a process, would be the difference
    before = mpl.rcParams.copy()
    plots.roc({"m": (Y, P)})
    assert mpl.rcParams == before


def test_the_style_can_be_used_for_other_figures():
    with mpl.rc_context():
        plots.use_style()
        assert mpl.rcParams["axes.prop_cycle"].by_key()["color"] == list(CYCLE)


def test_outcomes_of_one_class_are_refused():
    with pytest.raises(DataError, match="expected: two classes"):
        plots.roc({"m": (np.ones(5), P[:5])})


def test_tied_predictions_can_be_calibrated():
    assert "in 1 bins" in plots.alt_of(plots.calibration(Y, np.full(120, 0.5)))


def test_shap_values_of_another_shape_are_refused():
    with pytest.raises(DataError, match="shape"):
        plots.shap_summary(np.zeros((120, 3)), FEATURES)


def test_features_missing_for_some_patients_can_be_drawn():
    holed = PATIENTS.mask(PATIENTS["original_glcm_F0"] > 1)
    assert plots.distribution_by_site(holed, "original_glcm_F0").axes


@pytest.mark.parametrize(
    ("feature", "short"),
    [("original_glcm_Contrast", "glcm Contrast"),
     ("wavelet-HLL_glcm_Contrast", "wavelet-HLL glcm Contrast"), ("age", "age")],
)  # fmt: skip
def test_feature_names_are_shortened_without_loss(feature, short):
    assert short_name(feature) == short
