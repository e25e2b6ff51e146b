"""Networks: their published sizes, how far they see, and what lies between two of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.microscopy_superres.networks import (
    Discriminator,
    Features,
    Generator,
    UNet,
    interpolated,
    receptive_radius,
)


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 16_697_987),
        ({"scale": 2}, 16_703_171),
        ({"blocks": 6}, 4_467_779),
        ({"blocks": 4}, 3_028_931),
        ({"blocks": 2, "features": 32, "growth": 16}, 398_755),
    ],
)
def test_generators_have_the_published_numbers_of_parameters(options, expected):
    with torch.device("meta"):
        assert parameters(Generator(**options)) == expected


def test_the_discriminator_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert parameters(Discriminator()) == 14_499_401
        assert Discriminator(64, 16, 1)(torch.zeros(2, 1, 64, 64)).shape == (2, 1)
    with pytest.raises(RequestError, match="no discriminator"):
        Discriminator(48)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_outputs_are_finer_by_the_scale_also_of_odd_images(scale):
    net = Generator(scale, features=4, blocks=1, growth=2, channels=1)
    assert net(torch.zeros(1, 1, 9, 11)).shape == (1, 1, 9 * scale, 11 * scale)


@pytest.mark.parametrize("scale", [2, 4])
def test_an_output_pixel_looks_as_far_as_the_radius_and_no_farther(scale):
    net = Generator(scale, features=4, blocks=1, growth=2, channels=1)
    for module in net.modules():  # positive weights: no path is cut, and none cancels another
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.1)
    x = torch.ones(1, 1, 1, 121, dtype=torch.float64, requires_grad=True)
    middle = 60
    net.double()(x)[0, 0, 0, middle * scale : (middle + 1) * scale].sum().backward()
    seen = x.grad[0, 0, 0].nonzero().ravel() - middle
    assert seen.abs().max() == receptive_radius(net)


def test_radii_of_the_published_and_the_small_network():
    with torch.device("meta"):
        assert receptive_radius(Generator()) == 349
        assert receptive_radius(Generator(blocks=2)) == 34


def test_other_scales_are_refused():
    with pytest.raises(RequestError, match="no generator of this scale"):
        Generator(5)


def test_a_u_net_draws_no_checkerboard_on_an_even_image():
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = UNet(4, 4).eval()(torch.full((1, 1, 97, 96), 0.3))
    assert drawn.shape == (1, 1, 388, 384)
    middle = drawn[0, 0, 186:202, 184:200]  # whose edges it does not see
    assert (middle - middle.mean()).abs().max() < 1e-5 < drawn.std()


def test_random_features_are_always_the_same_and_see_a_difference():
    x = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    one, other = Features(width=8), Features(width=8)
    assert torch.equal(one(x), other(x))
    assert one(x).shape == (1, 64, 4, 4)
    assert (one(x) - one(x.roll(3, -1))).abs().mean() > 1e-3


def test_trained_features_are_read_by_their_names_and_others_refused(tmp_path):
    net = Features()
    held = {f"features.{k}": v for k, v in net.features.state_dict().items()}
    held["features.0.weight"] = torch.zeros(64, 3, 3, 3)
    torch.save(held | {"classifier.0.bias": torch.zeros(3)}, tmp_path / "vgg.pth")
    assert Features(tmp_path / "vgg.pth")(torch.zeros(1, 1, 32, 32)).shape == (1, 512, 2, 2)
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"other\.pth is of another network"):
        Features(tmp_path / "other.pth")
    with pytest.raises(DataError, match="holds no weights"):
        Features(tmp_path / "none.pth")


def test_between_two_networks_lie_those_of_mixed_weights():
    one, other = (Generator(4, 4, 1, 2, 1) for _ in range(2))
    half = interpolated(one, other, 0.5)
    assert torch.equal(interpolated(one, other, 0.0).first.weight, one.first.weight)
    assert torch.allclose(half.first.weight, (one.first.weight + other.first.weight) / 2)
    with pytest.raises(DataError, match="another network"):
        interpolated(one, Generator(4, 4, 2, 2, 1), 0.5)
