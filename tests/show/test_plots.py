"""Figures: each returns a figure that can be saved, with a text that says what it shows."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import roc_auc_score

from nextaim_kit import show
from nextaim_kit.errors import DataError
from nextaim_kit.learn.agreement import limits_of_agreement
from nextaim_kit.show.style import short_name

RNG = np.random.default_rng(3)
Y = np.repeat([0, 1], 60)
P = np.clip(0.35 + 0.3 * Y + RNG.normal(0, 0.15, 120), 0.01, 0.99)
FEATURES = pd.DataFrame(
    RNG.normal(size=(120, 4)), columns=[f"original_glcm_F{i}" for i in range(4)]
)
PATIENTS = FEATURES.assign(site=np.tile(["Pisa", "Milan"], 60), label=Y)
FOREST = pd.DataFrame({"name": ["a", "b"], "value": [0.8, 0.7], "low": [0.7, np.nan],
                       "high": [0.9, np.nan], "group": ["model", "baseline"]})  # fmt: skip
CURVES = pd.DataFrame({"threshold": [0.1, 0.5], "model_a": [0.3, 0.2], "treat all": [0.3, 0.0]})
ERASED = {"by attention": ([0, 50, 100], [0.9, 0.4, 0.15]), "any order": ([0, 100], [0.9, 0.7])}
FILMS = [RNG.normal(100, 20, (40, 30)), RNG.normal(900, 20, (60, 60))]
TWICE = (P * 80, P * 80 + RNG.normal(0, 5, 120))
DISC = np.hypot(*np.mgrid[-1:1:20j, -1:1:20j]) < 0.5


def differences() -> show.Differences:
    return show.Differences(*TWICE, limits_of_agreement(*TWICE), "%", "points")


def draw(name: str) -> Figure:
    made = {
        "roc": lambda: show.roc({"model": (Y, P)}, {"model": (0.9, 0.8, 0.95)}),
        "calibration": lambda: show.calibration(Y, P),
        "net_benefit": lambda: show.net_benefit(CURVES),
        "intervals": lambda: show.intervals(FOREST, xlabel="AUC", reference=[(0.85, "talk")]),
        "shap_summary": lambda: show.shap_summary(FEATURES.to_numpy() * [3, 1, 2, 1], FEATURES),
        "bland_altman": lambda: show.bland_altman({"in %": differences()}),
        "curves": lambda: show.curves(ERASED, xlabel="pixels [%]", ylabel="prediction"),
        "gallery": lambda: show.gallery(FILMS, ["P1", "P2, severe"]),
        "distribution_by_site": lambda: show.distribution_by_site(PATIENTS, "original_glcm_F0"),
    }  # fmt: skip
    return made[name]()


ALL = {
    "roc": "model AUC 0.9",
    "calibration": "observed 0.50",
    "net_benefit": "model a reaches 0.30",
    "intervals": "a 0.80 [0.70, 0.90]; b 0.70. Reference: talk",
    "shap_summary": "strongest on average: glcm F0",
    "bland_altman": "in %, limit low",
    "curves": "prediction by pixels [%]: by attention 0.90 to 0.15; any order 0.90 to 0.70",
    "gallery": "2 pictures: P1; P2, severe",
    "distribution_by_site": "glcm F0 by site, median: Milan",
}


@pytest.mark.parametrize("name", ALL)
def test_a_figure_can_be_saved_and_says_what_it_shows(name):
    figure, file = draw(name), io.BytesIO()
    figure.savefig(file)
    assert file.tell() > 1000
    assert ALL[name] in show.alt_of(figure)


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


def test_the_auc_in_the_text_is_the_data_s_own_or_the_one_measured():
    text = show.alt_of(show.roc({"m": (Y, P)}))
    assert f"{roc_auc_score(Y, P):.2f}" in text
    assert "m AUC 0.12 [0.10, 0.20]" in show.alt_of(
        show.roc({"m": (Y, P)}, {"m": (0.12, 0.1, 0.2)})
    )


def test_drawing_leaves_the_user_s_own_style_alone():
    mpl.use("agg")  # else the choice of a backend, made once a process, would be the difference
    before = mpl.rcParams.copy()
    show.roc({"m": (Y, P)})
    assert mpl.rcParams == before


def test_outcomes_of_one_class_are_refused():
    with pytest.raises(DataError, match="expected: two classes"):
        show.roc({"m": (np.ones(5), P[:5])})


def test_tied_predictions_can_be_calibrated():
    assert "in 1 bins" in show.alt_of(show.calibration(Y, np.full(120, 0.5)))


def test_shap_values_of_another_shape_are_refused():
    with pytest.raises(DataError, match="shape"):
        show.shap_summary(np.zeros((120, 3)), FEATURES)


def test_features_missing_for_some_patients_can_be_drawn():
    holed = PATIENTS.mask(PATIENTS["original_glcm_F0"] > 1)
    assert show.distribution_by_site(holed, "original_glcm_F0").axes


@pytest.mark.parametrize(
    ("feature", "short"),
    [("original_glcm_Contrast", "glcm Contrast"),
     ("wavelet-HLL_glcm_Contrast", "wavelet-HLL glcm Contrast"), ("age", "age")],
)  # fmt: skip
def test_feature_names_are_shortened_without_loss(feature, short):
    assert short_name(feature) == short


def contours(axis):
    return [artist for artist in axis.get_children() if isinstance(artist, ContourSet)]


def test_curves_have_the_points_and_names_that_were_given():
    figure = draw("curves")
    (axis,) = figure.axes
    for line, (name, (x, y)) in zip(axis.lines, ERASED.items(), strict=True):
        assert line.get_label() == name
        np.testing.assert_array_equal(line.get_xydata(), np.column_stack([x, y]))
    assert len({(line.get_color(), line.get_linestyle()) for line in axis.lines}) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(ERASED)


def test_each_picture_is_windowed_by_its_own_values():
    figure = show.gallery([*FILMS, FILMS[0] * 50], ["a", "b", "c"], columns=2)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["a", "b", "c", ""]
    for axis, pixels in zip(figure.axes, [*FILMS, FILMS[0] * 50], strict=False):
        (image,) = axis.images
        np.testing.assert_array_equal(image.get_array(), pixels)
        assert image.get_clim() == pytest.approx(tuple(np.percentile(pixels, [1, 99])))
    assert not figure.axes[3].images


def test_outlines_and_heat_of_any_size_lie_where_their_picture_is():
    names = {"reader": DISC, "network": np.roll(DISC, 3, 1), "nothing": np.zeros_like(DISC)}
    heat = [DISC * 3.0 - 1, np.full((5, 5), 0.2)]
    figure = show.gallery(FILMS, ["a", "b"], outlines=[names, names], heat=heat)
    figure.draw_without_rendering()
    for axis, pixels in zip(figure.axes, FILMS, strict=True):
        rows, columns = pixels.shape
        film, overlay = axis.images
        assert overlay.get_extent() == film.get_extent() == [-0.5, columns - 0.5, rows - 0.5, -0.5]
        first, second = contours(axis)
        corners = first.get_paths()[0].get_extents()
        # A disc of half the picture's size in its middle, to within a pixel of the mask's grid.
        assert corners.width == pytest.approx(columns / 2, abs=columns / 20)
        assert corners.height == pytest.approx(rows / 2, abs=rows / 20)
        assert (corners.x0 + corners.x1) / 2 == pytest.approx((columns - 1) / 2, abs=0.1)
        moved = second.get_paths()[0].get_extents().x0 - corners.x0
        assert moved == pytest.approx(3 * columns / 20, abs=0.1)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(names)
    hot = figure.axes[0].images[1]
    assert (float(hot.get_array().min()), float(hot.get_array().max())) == (0, 1)
    assert hot.cmap(0.0)[3] == 0 < 0.5 < hot.cmap(1.0)[3]  # bare where least, opaque where most
    assert not figure.axes[1].images[1].get_array().any()


def test_an_outline_has_the_color_of_its_name_in_the_legend():
    figure = show.gallery(FILMS, ["a", "b"], outlines=[{"one": DISC}, {"other": DISC}])
    (legend,) = figure.legends
    shown = [to_hex(contours(axis)[0].get_edgecolor()[0]) for axis in figure.axes]
    assert shown == [to_hex(line.get_color()) for line in legend.get_lines()]


def test_a_picture_that_cannot_be_read_leaves_its_place_with_the_reason(tmp_path):
    pixels = (FILMS[1] - 800).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "good.png")
    (tmp_path / "torn.png").write_bytes(b"no picture")
    files = [tmp_path / "torn.png", str(tmp_path / "good.png")]
    figure = show.gallery(files, ["a", "b"], heat=[DISC, DISC], outlines=[{"lung": DISC}] * 2)
    torn, good = figure.axes
    assert [axis.get_title(loc="left") for axis in (torn, good)] == ["a", "b"]
    assert [text.get_text() for text in torn.texts] == ["torn.png cannot be read"]
    assert not torn.images
    assert not contours(torn)
    assert not good.texts
    np.testing.assert_array_equal(good.images[0].get_array(), pixels)


def test_groups_of_a_forest_plot_differ_by_mark_as_well_as_by_color():
    rows = [
        {"name": n, "group": g, "value": 0.5, "low": 0.4, "high": 0.6} for n in "ab" for g in "xyz"
    ]
    legend = show.intervals(pd.DataFrame(rows)).legends[0]
    assert len({line.get_marker() for line in legend.get_lines()}) == 3


def test_lines_of_one_name_stand_close_and_have_it_once():
    rows = [{"name": n, "group": g, "value": 0.5} for n in "ab" for g in "xy"]
    axis = show.intervals(pd.DataFrame(rows)).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]
    assert axis.get_yticks() == pytest.approx([1.35, 3.05])


def test_bias_and_limits_are_drawn_where_they_are():
    figure = show.bland_altman({"a": differences()})
    heights = {float(line.get_ydata()[0]) for line in figure.axes[0].lines}
    limits = limits_of_agreement(*TWICE)["value"][:3]
    assert set(limits.round(9)) <= {round(height, 9) for height in heights}


def test_names_that_repeat_are_told_apart_by_their_group_in_the_text():
    lines = pd.DataFrame({"name": ["a", "a"], "value": [0.8, 0.7], "group": ["one", "two"]})
    alt = show.alt_of(show.intervals(lines))
    assert "a (one) 0.80" in alt
    assert "a (two) 0.70" in alt


def test_a_learning_curve_of_no_training_says_so():
    history = pd.DataFrame(columns=["epoch", "loss", "val_loss"], dtype=float)
    assert show.alt_of(show.learning_curve(history, best=0)) == "Nothing was trained in this run."
