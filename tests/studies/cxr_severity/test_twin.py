"""The synthetic films: counts, truth, anatomy, and that they can be made again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from nextaim_kit.learn.metrics import auc
from nextaim_kit.studies.cxr_severity.chest import Disease, draw_chest
from nextaim_kit.studies.cxr_severity.clinic import NAMES, SIGNS, VARIABLES
from nextaim_kit.studies.cxr_severity.film import ROOMS, expose
from nextaim_kit.studies.cxr_severity.twin import COUNTS, make_twin, patients


@pytest.fixture(scope="module")
def everyone():
    return patients()


def pixels(path):
    return np.asarray(Image.open(path))


def digests(table):
    return [hashlib.sha256(Path(f).read_bytes()).hexdigest() for f in [*table.image, *table.lungs]]


def test_the_hospitals_have_the_published_counts(everyone):
    counted = everyone.groupby("site")["label"].agg(["sum", "size"])
    assert {s: (r["sum"], r["size"] - r["sum"]) for s, r in counted.iterrows()} == COUNTS
    assert (len(everyone), int(everyone["label"].sum())) == (1103, 568)


def test_a_patient_is_the_same_however_many_there_are(everyone):
    few = patients(60).set_index("subject")
    pd.testing.assert_frame_equal(few, everyone.set_index("subject").loc[few.index])


def test_the_table_has_the_13_variables_within_what_can_be_measured(everyone):
    assert len(NAMES) == 13
    for name, variable in VARIABLES.items():
        there = everyone[name].dropna()
        assert there.between(variable.low, variable.high).all(), name
    assert all(set(everyone[name].dropna()) == {0, 1} for name in SIGNS)


def test_oxygen_tells_severity_best_and_missing_values_follow_the_site(everyone):
    y = everyone["label"].astype(int)
    scores = {}
    for name in VARIABLES:
        known = everyone[name].notna()
        scores[name] = abs(auc(y[known], everyone.loc[known, name]) - 0.5)
    assert set(sorted(scores, key=scores.get)[-2:]) == {"PaO2", "SaO2"}
    missing = everyone["PaO2"].isna().groupby(everyone["site"]).mean()
    assert missing["E"] > 2 * missing["A"]
    assert everyone["pH"].isna().mean() == pytest.approx(0.527, abs=0.05)


def test_cables_are_a_shortcut_and_opacities_the_cause(everyone):
    y = everyone["label"].astype(int)
    assert auc(y, everyone["truth_cables"]) > 0.75
    assert 0.75 < auc(y, everyone["truth_extent"]) < 0.92


def test_films_are_byte_for_byte_the_same_and_inverted_as_the_truth_says(tmp_path, monkeypatch):
    first = make_twin(24, size=96, workers=1)
    monkeypatch.setenv("NEXTAIM_CACHE", str(tmp_path))
    again = make_twin(24, size=96, workers=2)
    assert digests(first) == digests(again)
    for row in first.itertuples():
        film, lungs = pixels(row.image), pixels(row.lungs)
        assert film.shape == lungs.shape == (96, 96)
        darker = film[lungs > 0].mean() < film[40:60, 44:52].mean()
        assert darker != row.truth_inverted


def test_without_cables_the_same_patients_lose_them_and_nothing_else():
    with_them, without = (make_twin(24, size=96, cables=c, workers=1) for c in (True, False))
    wired = with_them["truth_cables"] > 0
    changed = [a != b for a, b in zip(digests(with_them)[:24], digests(without)[:24], strict=True)]
    assert changed == wired.tolist()
    assert digests(with_them)[24:] == digests(without)[24:]


def test_the_right_lung_lies_on_the_film_s_left_and_the_heart_on_its_right():
    chest = draw_chest(128, Disease(0.0, 0.0), np.random.default_rng(0))
    columns = {k: np.nonzero(chest.lungs == k)[1].mean() for k in (1, 2)}
    assert columns[1] < 64 < columns[2]
    lower = chest.lungs[64:]
    assert (lower == 1).sum() > (lower == 2).sum()


def test_an_opacity_takes_air_from_the_lungs_and_leaves_the_rest():
    clear, ill = (
        draw_chest(128, Disease(extent, 0.6), np.random.default_rng(1)) for extent in (0.0, 0.4)
    )
    gain = ill.attenuation - clear.attenuation
    assert gain[clear.lungs > 0].mean() > 0.15
    assert np.abs(gain[:10]).max() < 1e-9
    np.testing.assert_array_equal(clear.lungs, ill.lungs)


def test_fewer_photons_and_more_scatter_make_a_noisier_film():
    chest = draw_chest(128, Disease(0.0, 0.0), np.random.default_rng(2))
    noise = {}
    for name in "AD":
        one, other = (
            expose(chest, ROOMS[name], cables=0, tilt=0.0, rng=np.random.default_rng(seed))
            for seed in (3, 4)
        )
        assert not one[2].any()
        np.testing.assert_array_equal(one[1], chest.lungs)
        apart = one[0].astype(float) - other[0]
        noise[name] = (apart - gaussian_filter(apart, 3))[chest.lungs > 0].std()
    assert noise["D"] > noise["A"]
