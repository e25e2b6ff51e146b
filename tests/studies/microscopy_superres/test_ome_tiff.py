"""Predicted images: they keep the size of their pixels, and are never taken for measured ones."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from nextaim_kit.data.images.films import read_film
from nextaim_kit.errors import DataError
from nextaim_kit.studies.microscopy_superres.ome_tiff import is_predicted, save_predicted
from nextaim_kit.studies.microscopy_superres.pairs import pixel_of, read_pair

IMAGE = np.random.default_rng(0).random((40, 64)).astype(np.float32)


def test_values_and_pixel_size_come_back(tmp_path):
    path = save_predicted(IMAGE, tmp_path / "a.ome.tif", 26.75)
    np.testing.assert_array_equal(read_film(path).shown, IMAGE)
    assert pixel_of(path) == pytest.approx(26.75)
    assert np.isnan(pixel_of(save_predicted(IMAGE, tmp_path / "b.ome.tif", np.nan)))


def test_another_program_reads_it_as_ome_and_finds_the_flag(tmp_path):
    told = {"model": "GAN <1> \u00b5", "of": 'a "wf".tif'}
    path = save_predicted(IMAGE, tmp_path / "a.ome.tif", 25.0, told=told)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert file.series[0].axes == "YX"
        np.testing.assert_array_equal(file.series[0].asarray(), IMAGE)
        known = tifffile.xml2dict(file.ome_metadata)["OME"]
    rows = known["StructuredAnnotations"]["MapAnnotation"]["Value"]["M"]
    assert {r["K"]: r["value"] for r in rows} == {"predicted": True} | told
    assert known["Image"]["Name"] == "a (predicted, not measured)"


def test_the_same_image_gives_the_same_file(tmp_path):
    first, second = (save_predicted(IMAGE, tmp_path / n / "a.ome.tif", 25.0) for n in "xy")
    assert first.read_bytes() == second.read_bytes()


def test_a_prediction_is_no_truth(tmp_path, folder, lines):
    fine, wide = lines(48)
    path = folder(a_wf=wide)
    truth = save_predicted(fine, path / "a_storm.ome.tif", 25.0)
    assert is_predicted(truth)
    assert not is_predicted(path / "a_wf.tif")
    with pytest.raises(DataError, match="a network's prediction, not a measurement"):
        read_pair({"subject": "a", "widefield": str(path / "a_wf.tif"), "storm": str(truth)})


def test_a_stack_nan_and_another_ending_are_refused(tmp_path):
    with pytest.raises(DataError, match="only a plane of numbers"):
        save_predicted(IMAGE[None], tmp_path / "a.ome.tif", 25.0)
    with pytest.raises(DataError, match="only a plane of numbers"):
        save_predicted(IMAGE * np.nan, tmp_path / "a.ome.tif", 25.0)
    with pytest.raises(DataError, match="its own ending"):
        save_predicted(IMAGE, tmp_path / "a.png", 25.0)
