"""The twin: the same whoever asks, and of a quality that is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.microscopy_superres import measures
from nextaim_kit.studies.microscopy_superres.resolution import ring_correlation
from nextaim_kit.studies.microscopy_superres.twin import (
    SETS,
    Look,
    acquired,
    make_twin,
    read_truth,
    twin,
)

QUIET = {"workers": 1, "progress": lambda *_: None}


def test_every_set_has_pairs_of_its_scale_in_three_equal_channels(small_twin):
    table = small_twin.table.set_index("site")
    assert set(table.index) == set(SETS)
    assert table["scale"].to_dict() == dict.fromkeys(SETS, 4) | {"biosr_like": 2}
    assert (table["pixel_nm"] == 100).all()
    for pair in small_twin:
        assert pair.storm.shape == tuple(pair.scale * n for n in pair.widefield.shape)


def test_a_field_is_the_same_whatever_others_are_made(tmp_path):
    look = Look(pixels=32)
    few = twin(["beta_tub_2"], look, seed=1).make(1, folder=tmp_path / "a", **QUIET)
    many = twin(["beta_tub_2", "beta_tub_1"], look, seed=1).make(4, folder=tmp_path / "b", **QUIET)
    one, same = (t[t["subject"] == "beta_tub_2-001"].iloc[0] for t in (few, many))
    for column in ("widefield", "storm"):
        assert Path(one[column]).read_bytes() == Path(same[column]).read_bytes()


def test_the_noise_free_mean_is_nearer_to_storm_than_a_second_labeling(small_twin):
    more = []
    for row, pair in zip(small_twin.table.itertuples(), small_twin, strict=True):
        truth = read_truth(row.truth)
        seen = {k: np.clip(truth[k], 0, 1) for k in ("expected", "second", "half_a", "half_b")}
        best = measures.psnr(pair.storm, seen["expected"])
        assert best > measures.psnr(pair.storm, seen["second"])
        if row.site != "biosr_like":  # there the halves show the same dyes with little noise
            more.append(best - measures.psnr(seen["half_a"], seen["half_b"]))
    assert np.mean(more) > 0.5


def test_two_labelings_agree_to_a_finer_scale_than_two_widefield_exposures(small_twin):
    row = small_twin.table.set_index("site").loc["alpha_tub_1"]
    truth = read_truth(row["truth"])
    wide = ring_correlation(truth["widefield"], truth["again"], 100.0).resolution()
    fine = ring_correlation(truth["half_a"], truth["second"], 25.0).resolution()
    assert 200 < wide < 400
    assert not fine > 120


def test_storm_lies_on_the_true_center_lines(small_twin):
    row = small_twin.table.set_index("site").loc["alpha_tub_1"]
    truth = read_truth(row["truth"])
    places = np.concatenate(truth["lines"])
    column, line = (places / 25.0).astype(int).T
    bright = truth["expected"][np.minimum(line, 255), np.minimum(column, 255)]
    assert bright.mean() > 10 * truth["expected"].mean()
    assert len(truth["localizations"]) > 1000


def test_mitochondria_are_the_other_structure(tmp_path):
    made = twin(["alpha_tub_1"], Look(pixels=32, structure="mitochondria"), seed=1)
    table = made.make(1, folder=tmp_path, **QUIET)
    assert table["structure"].tolist() == ["mitochondria"]
    assert read_truth(table["truth"][0])["expected"].max() > 0


@pytest.mark.parametrize(
    "how",
    [{"sets": ["gamma_tub"]}, {"look": Look(pixels=8)}, {"look": Look(structure="actin")}],
)
def test_what_cannot_be_is_refused(how):
    with pytest.raises(RequestError):
        make_twin(5, **how)


def test_a_part_of_an_acquisition_has_fewer_localizations_of_the_same_image(small_twin):
    row = small_twin.table[small_twin.table["site"] == "alpha_tub_1"].to_dict("records")[0]
    (whole, every), (part, some) = acquired(row, 1.0), acquired(row, 0.25)
    assert some < 0.5 * every
    storm = small_twin.read(row).storm
    known = [measures.correlation(storm, image) for image in (part, whole)]
    assert known[0] < known[1]
    assert known[1] > 0.95
