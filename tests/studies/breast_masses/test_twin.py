"""The twin: what is drawn is what is said, and nothing else gives it away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_laplace
from sklearn.metrics import roc_auc_score

from nextaim_kit.data.images.films import read_film
from nextaim_kit.errors import RequestError
from nextaim_kit.studies.breast_masses import twin as made_by
from nextaim_kit.studies.breast_masses.mammograms.image_file import (
    box_of,
    breast_mask,
    read_mask_values,
    wall_side,
    widest_place,
)
from nextaim_kit.studies.breast_masses.phantom.breast import Body, power_law, project, tissue
from nextaim_kit.studies.breast_masses.phantom.lesions import apart, draw_mass, oracle
from nextaim_kit.studies.breast_masses.twin import Look, make_twin, twin

COARSE = Look(spacing=0.8)


def pictured(subject, look=COARSE, **options):
    """Pixels, mask and masses of an image such as ``A-001_L_CC``, made here and now."""
    name, side, view = subject.split("_")
    this = twin(look, **options)
    who = next(who for who in this.roster(100) if who.subject == name)
    return made_by._pictured(this._drawn(who)[1], side, view, look, this.seed)


@pytest.fixture(scope="module")
def drawn():
    """Many masses, without pictures."""
    rng = np.random.default_rng(1)
    rows = [draw_mass("m", k % 2 == 1, 8.0, rng) for k in range(6000)]
    return pd.DataFrame([vars(m) for m in rows]).rename(columns={"diameter": "diameter_mm"})


def test_a_box_is_the_smallest_round_its_mask(small_twin):
    for row in small_twin.lesions.itertuples():
        inside = read_mask_values(row.mask) == int(row.lesion.rpartition("_")[2])
        assert box_of(inside) == {"x0": row.x0, "y0": row.y0, "x1": row.x1, "y1": row.y1}


def test_a_mass_has_the_area_that_its_diameter_tells(small_twin):
    spacing = small_twin.images.set_index("subject")["spacing"]
    for row in small_twin.lesions.itertuples():
        area = (read_mask_values(row.mask) == int(row.lesion[-1])).sum() * spacing[row.subject] ** 2
        assert area == pytest.approx(np.pi / 4 * row.diameter_mm**2, rel=0.06)


def test_a_mass_lies_in_the_breast_and_is_seen_in_both_views(small_twin):
    for row in small_twin.lesions.itertuples():
        image = small_twin.images.set_index("subject").loc[row.subject]
        breast = breast_mask(read_film(image["image"]).shown)
        inside = read_mask_values(row.mask) > 0
        assert (breast & inside).sum() > 0.9 * inside.sum()
    views = small_twin.lesions.merge(small_twin.images[["subject", "view"]], on="subject")
    assert views.groupby("lesion")["view"].agg(set).map(lambda v: v == {"CC", "MLO"}).all()


def test_at_least_half_of_the_images_have_no_mass(small_twin):
    assert (small_twin.images["masses"] == 0).mean() >= 0.5
    assert small_twin.images["label"].isin([0, 1]).all()
    with_mass = small_twin.images.set_index("subject")["masses"]
    assert (
        with_mass[with_mass > 0].to_dict() == small_twin.lesions["subject"].value_counts().to_dict()
    )


def test_breasts_lie_as_mammograms_are_shown(small_twin):
    for row in small_twin.images.itertuples():
        breast = breast_mask(read_film(row.image).shown)
        assert wall_side(breast) == row.side
        assert row.view == "CC" or widest_place(breast) > 0.5


def test_the_same_patient_is_made_whoever_else_is_there(small_twin, tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE", str(tmp_path))
    fewer = make_twin(9, look=COARSE, workers=1, progress=lambda *_: None)
    digests = small_twin.images.set_index("subject")["digest"]
    assert len(fewer.images) == 36
    assert fewer.images["digest"].tolist() == digests[fewer.images["subject"]].tolist()


def test_an_image_is_the_same_whatever_else_is_pictured():
    both, _masks, _ = pictured("B-001_L_MLO")
    alone, _, _ = pictured("B-001_L_MLO", replace(COARSE, views=("MLO",), breasts="affected"))
    np.testing.assert_array_equal(both, alone)


def test_a_mass_without_contrast_leaves_no_trace():
    subject = next(s for s in ("A-001_L_CC", "A-001_R_CC") if pictured(s)[2])
    with_none, masks, said = pictured(subject, replace(COARSE, contrast=0.0), marker="none")
    this = twin(COARSE, marker="none")
    patient = this._drawn(this.roster(100)[0])[1]
    healthy = made_by._pictured(
        replace(patient, masses=(), marked=False), *subject.split("_")[1:], COARSE, this.seed
    )
    assert said
    assert masks.any()
    np.testing.assert_array_equal(with_none, healthy[0])


def scores(contrast, patients=24):
    """How blob-like it is at the masses, and at places drawn in the same way in other breasts."""
    there, elsewhere, this = [], [], twin(COARSE, marker="none")
    bodies = [this._drawn(who)[1] for who in this.roster(60) if who.label != "normal"][:patients]
    for patient, other in zip(bodies, bodies[1:] + bodies[:1], strict=True):
        look = replace(COARSE, contrast=contrast)
        pixels, _, boxes = made_by._pictured(patient, patient.side, "CC", look, this.seed)
        swapped = replace(patient, masses=other.masses)
        places = made_by._pictured(swapped, patient.side, "CC", look, this.seed)[2]
        size = np.mean([boxes[0]["x1"] - boxes[0]["x0"], boxes[0]["y1"] - boxes[0]["y0"]])
        blobs = -gaussian_laplace(pixels / pixels.max(), size / 2.8)
        for into, box in ((there, boxes[0]), (elsewhere, places[0])):
            into.append(blobs[int(box["y0"] + box["y1"]) // 2, int(box["x0"] + box["x1"]) // 2])
    return roc_auc_score([1] * len(there) + [0] * len(elsewhere), there + elsewhere)


def test_masses_of_zero_contrast_score_no_more_than_background():
    assert scores(0.0) == pytest.approx(0.5, abs=0.17)
    assert scores(1.0) > 0.75


@pytest.mark.parametrize(("what", "low", "high"), [("size", 0.62, 0.69), ("words", 0.85, 0.91)])
def test_words_and_size_tell_malignancy_as_far_as_intended(drawn, what, low, high):
    score = drawn["diameter_mm"] if what == "size" else oracle(drawn)
    assert low < roc_auc_score(drawn["malignant"], score) < high


def test_the_oracle_gives_true_log_odds(drawn):
    odds = oracle(drawn)
    for low, high in ((-3, -1.5), (-1, 0), (0.5, 1.5)):
        within = (odds > low) & (odds < high)
        assert drawn["malignant"][within].mean() == pytest.approx(
            (1 / (1 + np.exp(-odds[within]))).mean(), abs=0.05
        )


def test_sizes_keep_their_bounds(drawn):
    assert drawn["diameter_mm"].between(8, 40).all()
    small = [draw_mass("m", False, 4.0, np.random.default_rng(k)).diameter for k in range(300)]
    assert 4 <= min(small) < 8


def test_two_masses_of_a_breast_never_touch():
    rng = np.random.default_rng(3)
    for _ in range(200):
        one, other = apart(draw_mass("a", True, 8, rng), draw_mass("b", False, 8, rng))
        far = [0.4 * (60 - mass.diameter / 2) for mass in (one, other)]
        assert sum(far) > (one.diameter + other.diameter) / 2
        assert one.place[1] * other.place[1] < 0
        assert one.place[2] * other.place[2] < 0


def test_who_is_marked_changes_nothing_else():
    looks = {}
    for marker in ("malignant", "none", "benign"):
        this = twin(marker=marker)
        patients = [this._drawn(who)[1] for who in this.roster(400)]
        looks[marker] = [replace(p, marked=False) for p in patients]
        rate = {m: np.mean([p.marked for p in patients if p.site == "B" and p.masses
                            and p.masses[0].malignant == m]) for m in (True, False)}  # fmt: skip
        wanted = made_by.MARKED[marker]
        assert (rate[False], rate[True]) == pytest.approx(wanted, abs=0.1)
    assert looks["malignant"] == looks["none"] == looks["benign"]


def test_the_marker_is_a_bright_ring_near_the_mass():
    this = twin(COARSE)
    drawn = (this._drawn(who)[1] for who in this.roster(100))
    patient = next(p for p in drawn if p.site == "B" and p.masses and p.marked)
    shown = [made_by._pictured(replace(patient, marked=m), patient.side, "CC", COARSE, this.seed)
             for m in (False, True)]  # fmt: skip
    (plain, _, _), (ringed, _, [box, *_]) = shown
    y, x = np.nonzero(ringed.astype(int) - plain > 1000)
    assert 4 < len(x) < 150
    assert box["marker"]
    reach = max(box["x1"] - box["x0"], box["y1"] - box["y0"]) / 2 + 13 / 0.9
    assert np.abs(x - (box["x0"] + box["x1"]) / 2).max() < reach
    assert np.abs(y - (box["y0"] + box["y1"]) / 2).max() < reach


def test_the_texture_has_the_spectral_exponent_it_is_asked_for():
    field = power_law((256, 256), 3.0, np.random.default_rng(0))
    power = np.abs(np.fft.fft2(field)) ** 2
    f = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
    used = (f > 0.02) & (f < 0.3)
    slope = np.polyfit(np.log(f[used]), np.log(power[used]), 1)[0]
    assert slope == pytest.approx(-3, abs=0.1)


def test_denser_breasts_have_more_glandular_tissue():
    amounts = []
    for density in (1, 2, 3, 4):
        rng = np.random.default_rng(4)
        seen = project(Body(density, 90, 70, 50), "CC", 0.8, rng)
        amounts.append(tissue(seen, rng)[seen.skin_distance > 15].mean())
    assert np.all(np.diff(amounts) > 0.05)


@pytest.mark.parametrize(
    ("options", "found"),
    [({"marker": "all"}, "marker"), ({"look": Look(views=("LM",))}, "views"),
     ({"look": Look(breasts="right")}, "breasts"), ({"look": Look(spacing=5.0)}, "cannot be made")],
)  # fmt: skip
def test_an_option_that_cannot_be_is_refused(options, found):
    with pytest.raises(RequestError, match=found):
        twin(options.pop("look", COARSE), **options)
