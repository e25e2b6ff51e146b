"""The real pairs, as they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.data.images.films import read_film
from nextaim_kit.errors import DataError
from nextaim_kit.studies.microscopy_superres import measures, preparation
from nextaim_kit.studies.microscopy_superres.localizations import read_localizations, render
from nextaim_kit.studies.microscopy_superres.pairs import load_pairs, pixel_of


@pytest.fixture(scope="module")
def given(real):
    return load_pairs(str(real / "microscopy_superres" / "widefield_storm"), workers=1)


def test_four_pairs_of_two_fields_are_found(given):
    table = given.table.set_index("subject")
    assert table["scale"].to_dict() == {
        "ER": 4, "microtubule": 4, "microtubule_crop256": 5, "microtubule_registered": 4,
    }  # fmt: skip
    assert table["field"].nunique() == 2
    assert "not known" in given.doubts["problem"][0]


def test_the_raw_microtubules_are_found_to_be_five_times_as_fine_and_a_cut(given):
    ready = preparation.align(given.only(["microtubule", "microtubule_registered"]), workers=1)
    raw, registered = ready.table.to_dict("records")
    assert (raw["scale"], raw["rows"]) == (5, 256)
    assert raw["shift"] == pytest.approx(50.4, abs=0.3)  # as their provenance says
    assert raw["residual"] < 0.3
    assert registered["shift"] < 0.3


def test_black_beats_bicubic_on_ssim_on_the_real_microtubules(given):
    (pair,) = given.only(["microtubule_crop256"])
    mapped = preparation.IntensityMap.fit([pair])
    found = preparation.scores([pair], mapped).set_index("name")
    assert found.loc["black", "psnr"] == pytest.approx(25.9, abs=0.1)
    assert found.loc["black", "ssim"] == pytest.approx(0.69, abs=0.02)
    assert found.loc["bicubic, fitted", "psnr"] == pytest.approx(26.6, abs=0.2)
    assert found.loc["bicubic, fitted", "ssim"] < 0.6


def test_raw_frames_of_structured_illumination_and_their_reconstruction_are_a_pair(real, tmp_path):
    folder = real / "microscopy_superres" / "sim_microtubule"
    rows = [(n, folder / f"{n}_X2", folder / f"{n}R" / "Sample_1.tif") for n in ("HE", "LE")]
    table = pd.DataFrame(rows, columns=["subject", "widefield", "storm"])
    table.to_csv(tmp_path / "cohort.csv", index=False)
    seen = load_pairs(str(tmp_path), workers=1)
    assert seen.table["pixel_nm"].tolist() == pytest.approx([30, 30], rel=1e-4)
    assert "mean of 16 frames" in seen.doubts["problem"][0]
    assert seen.table["field"].nunique() == 1  # two exposures of one field
    ready = preparation.align(seen, workers=1)
    assert ready.table.set_index("subject")["agreement"]["HE"] > 0.6


def test_simulated_positions_lie_where_their_frames_are_bright(real):
    from PIL import Image, ImageSequence

    folder = real / "microscopy_superres" / "deepstorm_simulated"
    path = folder / "ArtificialDataset_demo1.tif"
    assert pixel_of(path) == pytest.approx(100)
    with pytest.raises(DataError, match="a stack of pictures"):
        read_film(path)
    table = read_localizations(folder / "positions_demo1.csv")
    with Image.open(path) as stack:
        frames = [np.asarray(f, float) for f in ImageSequence.Iterator(stack)]
    width = np.full(len(table), 130.0)
    drawn = render(table[["x", "y"]].to_numpy(), width, (64, 64), 100.0)
    assert measures.correlation(np.mean(frames, 0), drawn) > 0.88
