"""The prototype network piece by piece, against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.breast_masses.prototypes.protopnet import (
    Asked,
    Field,
    Head,
    ProtoPNet,
    ResNet18,
    backbone,
    cluster,
    contributions,
    cross_entropy,
    load_backbone,
    others_l1,
    receptive_field,
    separation,
    similarity,
    similarity_maps,
    squared_distances,
)

LOGITS = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
NEAREST = torch.tensor([[0.5, 0.1, 0.9, 0.4], [0.3, 0.2, 0.7, 0.6]])  # 2 of each class
OUTPUT = (LOGITS, NEAREST, torch.tensor([2.0, 2.0]))
Y = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("cut", "size", "step"),
    [("layer1", 43, 4), ("layer2", 99, 8), ("layer3", 211, 16), ("layer4", 435, 32)],
)
def test_the_receptive_field_of_resnet18_is_the_known_one(cut, size, step):
    assert receptive_field(backbone(0.1, cut)) == Field(size, step, 0.0)


def test_nothing_beyond_the_receptive_field_moves_a_value():
    layers = backbone(0.1, "layer1").eval()
    films = torch.rand(16, 1, 96, 96, requires_grad=True)
    layers(films)[:, :, 12, 12].sum().backward()
    rows, columns = np.nonzero(films.grad.abs().sum((0, 1)).numpy())
    top, bottom, left, right = receptive_field(layers).box(12, 12, 96)
    assert (rows.min(), rows.max() + 1) == (top, bottom)
    assert (columns.min(), columns.max() + 1) == (left, right)


def test_distances_are_those_of_all_pairs():
    latent, prototypes = torch.rand(2, 5, 3, 4), torch.rand(6, 5)
    pairs = latent.permute(0, 2, 3, 1)[:, None] - prototypes[None, :, None, None]
    found = squared_distances(latent, prototypes)
    assert torch.allclose(found, (pairs**2).sum(-1), atol=1e-5)


def test_similarity_is_largest_where_nothing_differs():
    found = similarity(torch.tensor([0.0, 1.0, 1e6]))
    assert found.tolist() == pytest.approx([np.log(1e4), np.log(2 / 1.0001), 0], abs=1e-5)


def test_losses_are_those_worked_out_by_hand():
    # Film 0 is of class 0: nearest own 0.1, nearest other 0.4. Film 1 of class 1: 0.6 and 0.2.
    assert cluster(OUTPUT, Y).item() == pytest.approx((0.1 + 0.6) / 2)
    assert separation(OUTPUT, Y).item() == pytest.approx((0.4 + 0.2) / 2)
    expected = (np.log1p(np.exp(-2)) + np.log1p(np.exp(-1))) / 2
    assert cross_entropy(OUTPUT, Y).item() == pytest.approx(expected)
    assert others_l1(OUTPUT, Y).item() == 2


def test_the_head_begins_with_one_and_minus_a_half():
    head = Head(2)
    logits, _, others = head(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert logits.tolist() == [[3 - 3.5, 7 - 1.5]]
    assert others.item() == 4 * 0.5
    assert head.weight[0].tolist() == [1, 1, -0.5, -0.5]


def test_a_pruned_prototype_adds_nothing():
    net = ProtoPNet(2, 8, width=0.1, cut="layer1")
    net.head.kept[1] = 0
    added = contributions(net, torch.ones(1, 4))
    assert added.tolist() == [[-1.5, 0, 1.5, 1.5]]
    assert net.kept.tolist() == [0, 2, 3]


def test_contributions_add_up_to_the_log_odds():
    net, films = ProtoPNet(3, 8, width=0.1, cut="layer2").eval(), torch.rand(4, 1, 64, 64)
    logits, nearest, _ = net(films)
    added = contributions(net, similarity(nearest)).sum(1)
    assert torch.allclose(added, logits[:, 1] - logits[:, 0], atol=1e-4)


def test_the_largest_of_a_map_is_the_similarity():
    net, films = ProtoPNet(3, 8, width=0.1, cut="layer2").eval(), torch.rand(2, 1, 64, 64)
    maps = similarity_maps(net, films)
    assert maps.shape == (2, 6, 8, 8)
    assert torch.allclose(maps.amax((2, 3)), similarity(net(films)[1]), atol=1e-5)


@pytest.mark.parametrize(("kind", "convolutions"), [("regular", 2), ("bottleneck", 6)])
def test_add_on_layers_end_in_the_depth_and_between_0_and_1(kind, convolutions):
    net = ProtoPNet(2, 64, cut="layer4", add_on=kind)  # 512, 256, 128, 64
    assert sum(isinstance(m, torch.nn.Conv2d) for m in net.add_on) == convolutions
    latent = net.latent(torch.rand(2, 1, 64, 64))
    assert latent.shape[1] == 64
    assert 0 <= latent.min() <= latent.max() <= 1


def test_colors_of_a_published_first_layer_are_added_up(tmp_path):
    gray = ResNet18(0.1)
    there = {k.removeprefix("features."): v for k, v in gray.state_dict().items()}
    there["conv1.weight"] = torch.rand(6, 3, 7, 7)
    torch.save({**there, "fc.weight": torch.rand(1000, 51)}, tmp_path / "resnet18.pth")
    film = torch.rand(1, 1, 32, 32)
    found = load_backbone(backbone(0.1, "layer1"), tmp_path / "resnet18.pth").conv1(film)
    colored = torch.nn.functional.conv2d(
        film.repeat(1, 3, 1, 1), there["conv1.weight"], stride=2, padding=3
    )
    assert torch.allclose(found, colored, atol=1e-5)


def test_weights_of_another_width_are_refused(tmp_path):
    torch.save(backbone(0.1).state_dict(), tmp_path / "thin.pth")
    with pytest.raises(DataError, match="is of another network"):
        load_backbone(backbone(0.2), tmp_path / "thin.pth")
    (tmp_path / "page.html").write_text("<html>")
    with pytest.raises(DataError, match="holds no weights"):
        load_backbone(backbone(0.1), tmp_path / "page.html")


def test_what_does_not_exist_is_refused():
    with pytest.raises(RequestError, match="no 'layer5'"):
        backbone(cut="layer5")
    with pytest.raises(RequestError, match="no add-on layers"):
        ProtoPNet(add_on="wide")


def test_a_network_begins_with_a_trained_backbone():
    resnet, net = ResNet18(0.1), ProtoPNet(2, 8, width=0.1, cut="layer2")
    net.take_features(resnet)
    film = torch.rand(1, 1, 32, 32)
    there = resnet.eval().features.layer2
    assert torch.equal(there[0].conv1.weight, net.features.layer2[0].conv1.weight)
    assert Asked(net.eval(), "latent")(film).shape == (1, 8, 4, 4)
