"""Atlases: how many regions, where, in which networks, and the order of edges."""

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.asd_fusion.regions import (
    ATLASES,
    edge_names,
    edges,
    network_pairs,
    regions_of,
)


@pytest.mark.parametrize(
    ("atlas", "count"), [("harvard_oxford", 103), ("seitzman", 300), ("dosenbach", 160)]
)
def test_an_atlas_has_its_regions_each_with_a_name_a_network_and_a_center(atlas, count):
    regions = regions_of(atlas)
    assert list(regions.columns) == ["region", "network", "x", "y", "z"]
    assert len(regions) == count
    assert regions.region.is_unique
    assert regions.notna().all().all()
    assert regions.x.abs().max() < 80
    assert regions.y.between(-115, 80).all()
    assert regions.z.between(-75, 90).all()


def test_harvard_oxford_has_48_areas_a_side_mirrored_and_seven_deep_structures():
    regions = regions_of("harvard_oxford")
    left = regions[regions.region.str.startswith("Left ")]
    right = regions[regions.region.str.startswith("Right ")]
    assert len(left) == len(right) == 48
    assert (left.x < 0).all()
    assert np.array_equal(-left.x, right.x)
    assert (left.network.to_numpy() == right.network.to_numpy()).all()
    assert (regions.network[96:] == "Subcortical").all()
    assert len(edges(103)[0]) == 5253


def test_an_unknown_atlas_is_refused_with_the_near_miss():
    with pytest.raises(RequestError, match="did you mean 'seitzman'"):
        regions_of("seitzmann")
    with pytest.raises(RequestError, match="harvard_oxford, seitzman, dosenbach"):
        regions_of("xyz")


def test_edges_go_row_by_row_through_the_upper_triangle():
    i, j = edges(4)
    ends = list(zip(i.tolist(), j.tolist(), strict=True))
    assert ends == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def test_an_edge_is_named_by_its_ends_and_its_networks_in_either_order():
    regions = pd.DataFrame({"region": ["a", "b", "c"], "network": ["Y", "X", "Y"]})
    assert edge_names(regions) == ["a - b", "a - c", "b - c"]
    assert network_pairs(regions) == ["X - Y", "Y - Y", "X - Y"]


@pytest.mark.parametrize("atlas", ATLASES)
def test_every_atlas_has_a_default_mode_network(atlas):
    assert regions_of(atlas).network.str.contains("default", case=False).sum() >= 16
