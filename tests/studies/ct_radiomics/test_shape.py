"""Shape features against pyradiomics' C code, which is exact and quadratic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from radiomics import cShape

from nextaim_kit.studies.ct_radiomics.diameters import diameters
from nextaim_kit.studies.ct_radiomics.shape import mesh_area_volume, shape_features

DIAMETERS = (
    "Maximum2DDiameterSlice",
    "Maximum2DDiameterColumn",
    "Maximum2DDiameterRow",
    "Maximum3DDiameter",
)
spacings = st.tuples(*[st.floats(0.3, 6.0)] * 3)
masks = hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=9)).filter(
    lambda mask: mask.sum() > 1
)


def compare(mask, spacing):
    area, volume, lengths = cShape.calculate_coefficients(np.pad(mask, 1), np.array(spacing))
    ours = shape_features(mask, spacing)
    found = [ours["SurfaceArea"], ours["MeshVolume"], *(ours[name] for name in DIAMETERS)]
    # Parts of either sign can add up to a volume of 0, but for rounding.
    rounding = 1e-9 * np.prod(spacing)
    np.testing.assert_allclose(found, [area, volume, *lengths], rtol=1e-9, atol=rounding)


CORNERS_ONLY = np.zeros((6, 2, 5), bool)
CORNERS_ONLY[0, 0, [0, 2, 4]] = CORNERS_ONLY[5, 1, 3] = CORNERS_ONLY[5, 0, 2] = True


@example(CORNERS_ONLY, (1.0, 1.0, 1.0))
@settings(max_examples=150, deadline=None)
@given(masks, spacings)
def test_any_mask_at_any_spacing_has_the_c_codes_mesh_and_diameters(mask, spacing):
    compare(mask, spacing)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_in_any_plane_is_measured(axis):
    mask = np.random.default_rng(axis).random((1, 12, 9)) < 0.6
    compare(np.moveaxis(mask, 0, axis), (2.5, 0.7, 0.7))


def test_a_slanted_line_of_voxels_has_no_hull_and_is_still_measured():
    mask = np.zeros((90, 90, 90), bool)
    mask[np.arange(90), np.arange(90), np.arange(90)] = True
    compare(mask, (1.0, 0.7, 1.3))


def test_parts_far_apart_are_measured_across_the_gap():
    mask = np.zeros((20, 30, 60), bool)
    mask[2:5, 3:9, 1:7] = mask[15:19, 20:28, 50:58] = True
    compare(mask, (3.0, 0.8, 0.8))


def test_a_rough_region_with_thousands_of_vertices_is_measured(tissue, ball):
    mask = ball((40, 60, 60), (20, 30, 30), (14, 22, 25)) & (tissue((40, 60, 60)) > -460)
    compare(mask.astype(bool), (2.0, 0.75, 0.75))


def test_the_mesh_of_a_cube_of_one_voxel_is_an_octahedron():
    area, volume = mesh_area_volume(np.pad(np.ones((1, 1, 1), bool), 1), np.ones(3))
    assert volume == pytest.approx(1 / 6)
    assert area == pytest.approx(np.sqrt(3))
    assert diameters(np.pad(np.ones((1, 1, 1), bool), 1), np.ones(3)) == dict.fromkeys(
        ("Maximum2DDiameterColumn", "Maximum2DDiameterRow", "Maximum2DDiameterSlice",
         "Maximum3DDiameter"), 1.0
    )  # fmt: skip


def test_axes_of_a_box_follow_from_its_edges():
    ours = shape_features(np.ones((4, 6, 10), bool), (1.0, 1.0, 1.0))
    lengths = [ours[f"{name}AxisLength"] for name in ("Least", "Minor", "Major")]
    expected = [4 * np.sqrt((n**2 - 1) / 12) for n in (4, 6, 10)]
    np.testing.assert_allclose(lengths, expected, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(masks, spacings, st.permutations([0, 1, 2]))
def test_turning_a_region_leaves_its_3d_diameter_and_axes(mask, spacing, order):
    # Area and volume may change: the mesh is cut differently where corners touch diagonally.
    turned = shape_features(mask.transpose(order), tuple(spacing[axis] for axis in order))
    here = shape_features(mask, spacing)
    for name in ("Maximum3DDiameter", "MajorAxisLength", "MinorAxisLength"):
        assert turned[name] == pytest.approx(here[name], rel=1e-9, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(masks, st.floats(0.5, 3.0))
def test_shape_scales_with_the_voxel(mask, factor):
    one = shape_features(mask, (1.0, 1.0, 1.0))
    scaled = shape_features(mask, (factor, factor, factor))
    assert scaled["MeshVolume"] == pytest.approx(one["MeshVolume"] * factor**3)
    assert scaled["SurfaceArea"] == pytest.approx(one["SurfaceArea"] * factor**2)
    assert scaled["Maximum3DDiameter"] == pytest.approx(one["Maximum3DDiameter"] * factor)
