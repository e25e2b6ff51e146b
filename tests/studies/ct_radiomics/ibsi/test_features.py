"""A region and a cohort measured by IBSI's definitions."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from nextaim_kit.data.images.reading import read_image, read_mask
from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_radiomics.extraction import extract_cohort, feature_columns
from nextaim_kit.studies.ct_radiomics.ibsi import Configuration, configuration, extract
from nextaim_kit.studies.ct_radiomics.ibsi.reference import phantom


def test_each_configuration_has_its_tags_and_all_are_numbers(volume, tissue, ball):
    image, mask = volume(tissue((24, 30, 30))), volume(ball((24, 30, 30), (12, 15, 15), (8, 9, 10)))
    counts = {}
    for name in ("digital_phantom", "A", "B", "C", "D", "E"):
        found = extract(image, mask, configuration(name))
        counts[name] = len(found)
        assert np.isfinite(list(found.values())).all(), name
    planar, space = 74 + 2 * (2 * 41 + 54), 74 + 2 * 41 + 54
    assert counts == {
        "digital_phantom": planar + 2 * 41 + 54, "A": planar, "B": planar, "C": space, "D": space,
        "E": space,
    }  # fmt: skip


def test_values_of_other_kinds_of_numbers_are_the_same(volume, tissue, ball):
    image, mask = tissue((12, 14, 14)), volume(ball((12, 14, 14), (6, 7, 7), (4, 5, 5)))
    whole = extract(volume(image), mask, configuration("C"))
    assert extract(volume(image.astype(np.float32)), mask, configuration("C")) == whole


def test_only_the_cubic_spline_and_outliers_part_e_from_c(real):
    folder = real / "ct_radiomics" / "ibsi_ct_phantom"
    image = read_image(folder / "image.nii.gz")
    mask = read_mask(folder / "mask_gtv.nii.gz", image)
    c, e = (extract(image, mask, configuration(name)) for name in "CE")
    body = [name for name in c if name.startswith(("morph_vol", "morph_area", "morph_pca"))]
    assert len(body) == 14
    assert {n: e[n] for n in body} == {n: c[n] for n in body}
    # The peak lies far from outliers and edges; a sharper interpolation hardly moves it.
    assert e["loc_peak_glob"] == pytest.approx(c["loc_peak_glob"], abs=1.5)
    assert (e["ih_max"], e["ngl_gl_var_3D"]) == (32, pytest.approx(e["ih_var"]))
    assert e["stat_var"] < c["stat_var"]


def test_levels_too_many_for_the_memory_are_refused(volume):
    values = np.zeros((4, 4, 4))
    values[0, 0, 0] = 1e9
    image, mask = volume(values), volume(np.ones((4, 4, 4), np.uint8))
    with pytest.raises(DataError, match="gray levels"):
        extract(image, mask, Configuration("x", bin_width=1))


def test_one_gray_level_is_warned_about(volume, tissue):
    image, mask = volume(tissue((6, 6, 6))), volume(np.ones((6, 6, 6), np.uint8))
    with pytest.warns(UserWarning, match="one gray level"):
        found = extract(image, mask, Configuration("x", bin_width=5000, keep=(-2000, 2000)))
    assert found["ih_entropy"] == 0
    assert np.isnan(found["cm_corr_3D_comb"])


def test_a_cohort_says_which_definition_made_its_rows_and_loses_only_the_sick(tmp_path):
    image, mask = phantom()
    for name, volume in {"image": image, "mask": mask, "empty": mask * 0}.items():
        sitk.WriteImage(volume, tmp_path / f"{name}.nii.gz")
    paths = {n: str(tmp_path / f"{n}.nii.gz") for n in ("image", "mask", "empty")}
    rows = [("well", paths["image"], paths["mask"]), ("sick", paths["image"], paths["empty"])]
    cohort = pd.DataFrame(rows, columns=["subject", "image", "mask"]).assign(site="a", label=0)
    setup = configuration("digital_phantom")
    table, failures = extract_cohort(cohort, setup, workers=1)
    assert list(failures["subject"]) == ["sick"]
    assert table.loc[0, "provenance_definition"] == "IBSI 1, configuration digital_phantom"
    assert json.loads(table.loc[0, "provenance_settings"])["definition"] == "ibsi"
    assert len(feature_columns(table)) == 482
    values = extract(image, mask, setup)
    assert table.loc[0, list(values)].to_dict() == pytest.approx(values, rel=1e-12)
