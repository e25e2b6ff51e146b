"""Each method says what it is for, finds what decides, and asks nothing that is empty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.metrics import auc
from nextaim_kit.studies.challenges.explainability import judged, maps


def test_a_table_leaves_out_what_is_for_images_by_name():
    names, left = maps.usable(["gradient", "grad_cam", "deep_shap", "occlusion"], "table")
    assert names == ["gradient", "deep_shap"]
    assert left["what"].tolist() == ["grad_cam", "occlusion"]
    assert left["why"].tolist() == ["for images, and these are tables"] * 2
    assert maps.blind("table") == ["random", "size"]


def test_measures_that_need_a_truth_are_left_out_by_name_where_none_is_known():
    names, left = maps.usable(["gradient", "occlusion"], "image", known=False)
    assert names == ["gradient", "occlusion"]
    assert left["what"].tolist() == ["pointing", "energy", "precision", "outside truth"]
    assert set(left["why"]) == {"what decides is not known"}


def test_an_unknown_method_or_none_that_asks_is_refused():
    with pytest.raises(RequestError, match="no method 'magic'"):
        maps.usable(["magic"], "image")
    with pytest.raises(RequestError, match=r"(?s)no method can be tried.*for images"):
        maps.usable(["grad_cam", "random"], "table")


def test_gradient_and_integrated_gradients_of_a_network_that_knows_lie_inside_its_region(oracle):
    one = replace(oracle, x=oracle.x[:1], truth=oracle.truth[:1], groups=oracle.groups[:1])
    for name in ("gradient", "integrated_gradients"):
        found = maps.draw(one, name)
        assert found[~one.truth].max() < 1e-6
        assert found.sum() == pytest.approx(1, abs=1e-5)


def test_occlusion_is_largest_where_hiding_costs_most(oracle):
    one = replace(oracle, x=oracle.x[:1], truth=oracle.truth[:1], groups=oracle.groups[:1])
    found = maps.draw(one, "occlusion")[0]
    assert found[one.truth[0]].mean() > 5 * found[~one.truth[0]].mean()


def test_integrated_differences_of_a_linear_table_are_weight_times_difference():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 1, bias=False))
    net[1].weight.data = torch.tensor([[2.0, 1.0, 0.0]])
    x = torch.tensor([[[[1.0, 3.0, 9.0]]]] * 2)
    known = replace(_empty(), net=net, x=x, background=torch.zeros(4, 1, 1, 3))
    for name in ("integrated_gradients", "deep_shap"):
        assert maps.draw(known, name)[0, 0].tolist() == pytest.approx([0.4, 0.6, 0.0], abs=1e-5)


def test_a_trained_network_is_explained_by_what_decides(images, workshop):
    shop = workshop(images, 240)
    explained = shop.explained(0)
    assert auc(*shop.scores(0)) > 0.9
    drawn = {name: maps.draw(explained, name) for name in ("integrated_gradients", "occlusion")}
    table = judged.against_truth(drawn, explained).set_index(["name", "metric"])
    for name in drawn:
        assert table.loc[(name, "energy"), "low"] > 2 * table["chance"].iloc[0]


def test_a_table_s_features_that_decide_are_named(table, workshop):
    explained = workshop(table).explained(0)
    for name in ("integrated_gradients", "deep_shap"):
        share = maps.draw(explained, name)[:, 0].mean(0)
        assert set(np.argsort(-share)[:2]) == {0, 1}


def test_occlusion_says_nothing_of_how_a_library_indexes(oracle, recwarn):
    maps.draw(replace(oracle, x=oracle.x[:1], groups=oracle.groups[:1]), "occlusion")
    assert not [w for w in recwarn if "non-tuple" in str(w.message)]


def test_a_layer_whose_maps_are_too_coarse_is_not_asked(images, workshop):
    explained = workshop(images).explained(net=nn.Sequential(
        nn.Conv2d(1, 2, 5, 4), nn.ReLU(), nn.Conv2d(2, 2, 3, 3), nn.Flatten(), nn.LazyLinear(1)
    ))  # fmt: skip
    assert maps.finest_layer(explained) == "1"
    flat = explained.by(nn.Sequential(nn.Flatten(), nn.LazyLinear(1)))
    with pytest.raises(DataError, match="no layer that says where"):
        maps.finest_layer(flat)


def test_same_seed_same_maps(images, workshop):
    explained = workshop(images, 20).explained(0)
    for name in ("integrated_gradients", "random"):
        assert np.array_equal(maps.draw(explained, name), maps.draw(explained, name))


def _empty():
    from nextaim_kit.studies.challenges.explainability.explained import Explained

    nothing = torch.zeros(0)
    return Explained(nn.Identity(), nothing, nothing, np.array(["a", "b"]), None, "table")
