"""The synthetic films: counts, truth, anatomy, masks, cables, and that they can be made again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.metrics import auc
from nextaim_kit.studies.cxr_severity.phantom.chest import LESION_SHARE, Disease, draw_chest
from nextaim_kit.studies.cxr_severity.phantom.exposure import ROOMS, expose
from nextaim_kit.studies.cxr_severity.twin import COUNTS, make_twin, patients
from nextaim_kit.studies.cxr_severity.variables import NAMES, SIGNS, VARIABLES


@pytest.fixture(scope="module")
def everyone():
    return patients()


def pixels(path):
    return np.asarray(Image.open(path))


def digests(table, *columns):
    files = [f for name in columns or ("image", "lungs", "lesions") for f in table[name]]
    return [hashlib.sha256(Path(f).read_bytes()).hexdigest() for f in files]


def exposed(k, size=96, cables=3, extent=0.3):
    """One of many different patients."""
    rng = np.random.default_rng(k)
    chest = draw_chest(size, Disease(extent, rng.uniform(0.3, 0.75)), rng)
    room, tilt = ROOMS["ABCDEF"[k % 6]], rng.normal(0, 2)
    return expose(chest, room, cables=cables, tilt=tilt, rng=rng)


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


@pytest.mark.parametrize("other", ["none", "mild"])
def test_who_wears_cables_changes_the_films_with_electrodes_and_nothing_else(other):
    usual, changed = (make_twin(24, size=96, cables=c, workers=1) for c in ("severe", other))
    known = [c for c in usual if c not in ("truth_cables", "image", "lungs", "lesions")]
    pd.testing.assert_frame_equal(usual[known], changed[known])
    assert digests(usual, "lungs", "lesions") == digests(changed, "lungs", "lesions")
    pairs = zip(digests(usual, "image"), digests(changed, "image"), strict=True)
    same = np.array([a == b for a, b in pairs])
    np.testing.assert_array_equal(same, usual["truth_cables"] == changed["truth_cables"])


def test_the_shortcut_can_be_turned_round_or_taken_away(everyone):
    mild, none = patients(cables="mild"), patients(cables="none")
    assert auc(mild["label"].astype(int), mild["truth_cables"]) < 0.25
    assert mild["truth_cables"].sum() == pytest.approx(everyone["truth_cables"].sum(), rel=0.15)
    assert not none["truth_cables"].any()


def test_unknown_options_are_named():
    with pytest.raises(RequestError, match="cables"):
        patients(24, cables=True)
    with pytest.raises(RequestError, match="outline"):
        make_twin(24, size=96, outline="heart")


def test_metal_and_lungs_do_not_meet_and_keep_their_distance():
    for k in range(24):
        taken = exposed(k, cables=1 + k % 6)
        assert taken.metal.sum() > 8
        away = distance_transform_edt(taken.whole == 0)[taken.metal]
        assert away.min() > 0.018 * 96, k


def test_within_the_lungs_a_film_is_the_same_with_cables_and_without():
    for k in range(6):
        wired, bare = exposed(k, cables=4), exposed(k, cables=0)
        lungs = wired.whole > 0
        np.testing.assert_array_equal(wired.film[lungs], bare.film[lungs])
        gain = wired.film.astype(float) - bare.film
        assert gain[wired.metal].mean() > 20
        assert np.abs(gain[~binary_dilation(wired.metal, iterations=4)]).max() <= 1


def test_more_electrodes_leave_the_first_ones_where_they_are():
    two, four = exposed(5, cables=2), exposed(5, cables=4)
    assert four.metal[two.metal].all()
    assert four.metal.sum() > two.metal.sum()


def test_the_right_lung_lies_on_the_film_s_left_and_the_heart_on_its_right():
    chest = draw_chest(128, Disease(0.0, 0.0), np.random.default_rng(0))
    columns = {k: np.nonzero(chest.lungs == k)[1].mean() for k in (1, 2)}
    assert columns[1] < 64 < columns[2]
    lower = chest.lungs[64:]
    assert (lower == 1).sum() > (lower == 2).sum()


def test_the_heart_points_to_the_film_s_lower_right_and_the_right_dome_is_higher():
    for k in range(4):
        chest = draw_chest(128, Disease(0.0, 0.0), np.random.default_rng(k))
        row, column = np.nonzero((chest.whole > 0) & (chest.lungs == 0))
        assert np.corrcoef(row[column > 64], column[column > 64])[0, 1] > 0.2
        low = {s: np.nonzero((chest.whole == s).any(axis=1))[0].max() for s in (1, 2)}
        assert low[2] >= low[1]


def test_the_outline_behind_the_heart_covers_more_on_the_same_film():
    beside, behind = (
        make_twin(24, size=96, outline=o, workers=1) for o in ("aerated", "behind heart")
    )
    assert digests(beside, "image") == digests(behind, "image")
    for less, more in zip(beside.lungs, behind.lungs, strict=True):
        small, large = pixels(less), pixels(more)
        np.testing.assert_array_equal(small[small > 0], large[small > 0])
        assert 1.05 < (large > 0).sum() / (small > 0).sum() < 1.8
        assert (large == 2).sum() - (small == 2).sum() > (large == 1).sum() - (small == 1).sum()


def test_lesions_cover_the_true_share_of_the_lungs():
    table = make_twin(24, size=96, workers=1)
    for row in table.itertuples():
        lungs, lesions = pixels(row.lungs) > 0, pixels(row.lesions)
        assert set(np.unique(lesions)) <= {0, 1}
        assert not lesions[~lungs].any()
        assert lesions[lungs].mean() == pytest.approx(row.truth_extent, abs=0.02)


def test_lungs_differ_in_size_and_shape_between_patients():
    shares, shapes = [], []
    for k in range(16):
        lungs = draw_chest(64, Disease(0.0, 0.0), np.random.default_rng(k)).whole > 0
        row, column = np.nonzero(lungs)
        shares.append(lungs.mean())
        shapes.append(np.ptp(row) / np.ptp(column))
    assert 0.25 < min(shares) < 0.8 * max(shares) < 0.5
    assert np.std(shapes) > 0.04


def test_a_chest_without_disease_has_no_lesions_and_one_of_faint_opacities_some():
    clear, faint = (
        draw_chest(64, Disease(0.3, density), np.random.default_rng(6))
        for density in (0.0, 2 * LESION_SHARE)
    )
    assert not clear.lesions.any()
    assert faint.lesions[faint.lungs > 0].mean() == pytest.approx(0.3, abs=0.01)


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
        assert not one.metal.any()
        for known in ("lungs", "whole", "lesions"):
            np.testing.assert_array_equal(getattr(one, known), getattr(chest, known))
        apart = one.film.astype(float) - other.film
        noise[name] = (apart - gaussian_filter(apart, 3))[chest.lungs > 0].std()
    assert noise["D"] > noise["A"]
