"""Texture matrices, and how they are averaged and merged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nextaim_kit.studies.ct_radiomics.ibsi import configuration
from nextaim_kit.studies.ct_radiomics.ibsi.texture import texture_features, zones

ALL = configuration("digital_phantom")
IN_SPACE = replace(ALL, texture=("3D",))


@pytest.fixture(scope="session")
def levels():
    """Levels 1 to 5 in a region with a hole, 0 outside."""
    array = np.random.default_rng(4).integers(1, 6, (5, 8, 9)).astype(np.int32)
    array[:2, :3, :4] = array[2, 4, 4] = 0
    return array


def features(levels, setup=ALL, outline=None):
    levels = np.ascontiguousarray(levels)
    return texture_features(levels, levels > 0 if outline is None else outline, setup)


def test_zones_and_their_distances_by_hand():
    levels = np.array([[[1, 1, 1], [1, 2, 1], [1, 1, 1], [3, 3, 1]]], dtype=np.int32)
    by_size, by_distance = zones(levels, levels > 0)
    assert sorted(zip(*by_size[:3], strict=True)) == [(1, 9, 1), (2, 1, 1), (3, 2, 1)]
    assert sorted(zip(*by_distance[:3], strict=True)) == [(1, 1, 1), (2, 2, 1), (3, 1, 1)]


def test_distances_are_taken_from_the_outline_not_from_what_is_left_of_it():
    levels = np.ones((5, 5, 5), dtype=np.int32)
    levels[2, 2, 2], levels[2, 2, 3] = 2, 0
    _, whole = zones(levels, np.ones((5, 5, 5), dtype=bool))
    _, left = zones(levels, levels > 0)
    assert (2, 3, 1) in zip(*whole[:3], strict=True)
    assert (2, 1, 1) in zip(*left[:3], strict=True)


def test_a_voxel_alone_has_runs_in_all_directions_a_dependence_and_no_tone():
    levels = np.array([[[1, 1, 0, 0, 2]]], dtype=np.int32)
    found = features(levels)
    # Along the row runs of 2 and 1, across it three of 1.
    assert found["rlm_sre_3D_avg"] == pytest.approx(((1 / 4 + 1) / 2 + 3) / 4)
    assert found["rlm_r_perc_3D_comb"] == pytest.approx((2 + 3 * 3) / (4 * 3))
    assert found["ngl_hde_3D"] == (4 + 4 + 1) / 3
    assert found["ngt_coarseness_3D"] == 1e6


def test_where_a_region_lies_does_not_matter(levels):
    moved = np.pad(levels, ((3, 1), (0, 2), (4, 0)))
    assert features(moved) == pytest.approx(features(levels), rel=1e-12)


@pytest.mark.parametrize("axes", [(1, 2), (0, 1), (0, 2)])
def test_features_in_space_do_not_change_when_the_region_is_turned(levels, axes):
    turned = np.rot90(levels, axes=axes)
    assert features(turned, IN_SPACE) == pytest.approx(features(levels, IN_SPACE), rel=1e-9)


def test_features_within_slices_do_not_change_with_the_order_of_slices(levels):
    flat = replace(ALL, texture=("2D", "2_5D"))
    assert features(levels[::-1], flat) == pytest.approx(features(levels, flat), rel=1e-9)


def test_one_slice_is_the_same_within_slices_and_in_space(levels):
    found = features(levels[3:4])
    for name in [n for n in found if "_2D" in n]:
        for other in ("_2_5D", "_3D"):
            assert found[name.replace("_2D", other)] == pytest.approx(found[name]), name


def test_a_slice_of_one_voxel_takes_no_part_where_pairs_are_needed(levels):
    single = np.zeros((1, 8, 9), dtype=np.int32)
    single[0, 4, 4] = 3
    found, alone = features(np.concatenate([levels, single])), features(levels)
    assert found["cm_contrast_2D_avg"] == pytest.approx(alone["cm_contrast_2D_avg"])
    assert found["ngt_contrast_2D"] == pytest.approx(alone["ngt_contrast_2D"])
    assert found["szm_z_perc_2D"] != pytest.approx(alone["szm_z_perc_2D"])


def test_merging_all_directions_is_the_mean_where_each_has_as_many_pairs():
    ring = np.array([[[1, 2], [2, 1]]], dtype=np.int32)
    found = features(ring)
    assert found["cm_joint_avg_2D_avg"] == found["cm_joint_avg_2D_comb"] == 1.5
    # Of four directions two see (1, 2) twice, and one each sees (1, 1) and (2, 2) once.
    assert found["cm_contrast_2D_avg"] == 0.5
    assert found["cm_contrast_2D_comb"] == pytest.approx(4 / 6)
