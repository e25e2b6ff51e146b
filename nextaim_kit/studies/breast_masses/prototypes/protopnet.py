"""ProtoPNet: a crop is classified by how much its parts look like parts of training crops.

Chen et al. 2019, arXiv:1806.10574; on breast masses Carloni et al. 2022,
doi:10.1007/978-3-031-37660-3_38.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.inference import Items, apply
from nextaim_kit.learn.weights import check_same_network
from nextaim_kit.studies.breast_masses.layout import channels_last

Cut = Literal["layer1", "layer2", "layer3", "layer4"]
AddOn = Literal["regular", "bottleneck"]
Output = tuple[Tensor, Tensor, Tensor]
_CUTS = ("layer1", "layer2", "layer3", "layer4")
_WIDTHS = (64, 128, 256, 512)
_EPSILON = 1e-4


def backbone(width: float = 1.0, cut: Cut = "layer4") -> nn.Sequential:
    """ResNet18 up to one of its four stages, for gray pictures; MONAI's blocks.

    Parameters
    ----------
    width : float
        Share of the published numbers of features. What a value sees does not depend on it.
    cut : {"layer1", "layer2", "layer3", "layer4"}
        The last stage; `receptive_field` tells what a value of it sees.

    References
    ----------
    He et al. 2016, doi:10.1109/CVPR.2016.90.
    """
    from monai.networks.nets import ResNet

    if cut not in _CUTS:
        raise RequestError(f"the backbone has no {cut!r}", expected=", ".join(_CUTS))
    whole = ResNet(
        "basic", [2, 2, 2, 2], list(_WIDTHS), spatial_dims=2, n_input_channels=1,
        conv1_t_size=7, conv1_t_stride=2, widen_factor=width, num_classes=1,
        bias_downsample=False,
    )  # fmt: skip
    names = ("conv1", "bn1", "act", "maxpool", *_CUTS[: _CUTS.index(cut) + 1])
    return nn.Sequential(OrderedDict((name, whole.get_submodule(name)) for name in names))


def features_of(width: float, cut: Cut) -> int:
    """How many features a value of the backbone has."""
    return int(_WIDTHS[_CUTS.index(cut)] * width)


class Field(NamedTuple):
    """What one value of a layer sees of the input, in pixels.

    Attributes
    ----------
    size : int
        Edge of the square it depends on.
    step : int
        From the square of one value to that of the next.
    first : float
        Middle of the first value's square.
    """

    size: int
    step: int
    first: float

    def box(self, row: int, column: int, edge: int) -> tuple[int, int, int, int]:
        """Top, bottom, left and right of a value's square within a picture of `edge` pixels."""
        ends = []
        for place in (row, column):
            low = self.first + place * self.step - (self.size - 1) / 2
            ends += [max(0, int(low)), min(edge, int(low) + self.size)]
        return ends[0], ends[1], ends[2], ends[3]


def receptive_field(layers: nn.Module) -> Field:
    """Receptive field of a chain of convolutions and poolings; shortcuts see no more than it.

    References
    ----------
    Araujo et al. 2019, doi:10.23915/distill.00021.

    Examples
    --------
    >>> receptive_field(backbone(cut="layer2")).size
    99
    """
    size, step, first = 1, 1, 0.0
    for name, layer in layers.named_modules():
        if "downsample" in name or not isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            continue
        kernel, stride, pad = (_edge(getattr(layer, of)) for of in _SLIDING)
        size += (kernel - 1) * step
        first += ((kernel - 1) / 2 - pad) * step
        step *= stride
    return Field(size, step, first)


_SLIDING = ("kernel_size", "stride", "padding")


def _edge(value: int | tuple[int, ...]) -> int:
    return value[0] if isinstance(value, tuple) else int(value)


class ResNet18(nn.Module):
    """The network to compare with: the same backbone, its mean features, a head.

    Parameters
    ----------
    width : float
        As for `backbone`.
    deep_head : bool
        Three dense layers, as for features that stay frozen; else one.
    """

    def __init__(self, width: float = 1.0, *, deep_head: bool = False) -> None:
        super().__init__()
        self.features = backbone(width)
        n = features_of(width, "layer4")
        sizes = [n, n // 2, n // 4] if deep_head else [n]
        dense = [
            layer for a, b in itertools.pairwise(sizes)
            for layer in (nn.Linear(a, b), nn.ReLU())
        ]  # fmt: skip
        self.head = nn.Sequential(*dense, nn.Linear(sizes[-1], 2))
        channels_last(self)

    def forward(self, films: Tensor) -> Tensor:
        """Logits, shape (n, 2), of films, shape (n, 1, h, w)."""
        return self.head(self.features(films).mean((2, 3)))


class Head(nn.Module):
    """From similarities to logits: linear, without bias, +1 to the own class, -0.5 to others."""

    own: Tensor
    kept: Tensor

    def __init__(self, per_class: int, classes: int = 2) -> None:
        super().__init__()
        own = torch.eye(classes).repeat_interleave(per_class, 1)
        self.register_buffer("own", own)
        self.register_buffer("kept", torch.ones(own.shape[1]))
        self.weight = nn.Parameter(1.5 * own - 0.5)

    def forward(self, similarities: Tensor) -> Output:
        """Logits (n, classes), the similarities, and the L1 norm of weights to other classes."""
        weight = self.weight * self.kept
        others = (weight * (1 - self.own)).abs().sum()
        return similarities @ weight.T, similarities, others.expand(len(similarities))


class ProtoPNet(nn.Module):
    """A prototype network: backbone, add-on layers, prototypes, head.

    Parameters
    ----------
    per_class : int
        Prototypes of each class.
    depth : int
        Features of a prototype.
    width, cut
        As for `backbone`.
    add_on : {"regular", "bottleneck"}
        Two 1 x 1 convolutions, or as many as halve the features down to `depth`; a sigmoid last.
    dropout : float
        Share of the channels that is dropped in the add-on layers of the group's variant, which
        normalizes before each activation; 0: neither.
    """

    def __init__(
        self, per_class: int = 10, depth: int = 128, *, width: float = 1.0, cut: Cut = "layer4",
        add_on: AddOn = "regular", dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.settings: dict[str, Any] = {
            "per_class": per_class, "depth": depth, "width": width, "cut": cut, "add_on": add_on,
            "dropout": dropout,
        }  # fmt: skip
        self.features = backbone(width, cut)
        self.add_on = _add_on(features_of(width, cut), depth, add_on, dropout)
        self.prototypes = nn.Parameter(torch.rand(2 * per_class, depth))
        self.head = Head(per_class)
        channels_last(self)

    @property
    def classes(self) -> NDArray[np.int64]:
        """Class of each prototype."""
        return self.head.own.argmax(0).cpu().numpy()

    @property
    def kept(self) -> NDArray[np.int64]:
        """Numbers of the prototypes that are not pruned."""
        return np.flatnonzero(self.head.kept.cpu().numpy())

    @property
    def field(self) -> Field:
        """What one place of the maps sees of a film."""
        return receptive_field(self.features)

    def latent(self, films: Tensor) -> Tensor:
        """What is compared with prototypes: shape (n, depth, rows, columns), values 0 to 1."""
        return self.add_on(self.features(films))

    def distance_maps(self, films: Tensor) -> Tensor:
        """Squared distances to each prototype, shape (n, prototypes, rows, columns)."""
        return squared_distances(self.latent(films), self.prototypes)

    def nearest(self, films: Tensor) -> Tensor:
        """Least distance of each film to each prototype, shape (n, prototypes)."""
        return self.distance_maps(films).amin((2, 3))

    def forward(self, films: Tensor) -> Output:
        """Logits (n, 2), least distances (n, prototypes), L1 norm of the head, of each film."""
        nearest = self.nearest(films)
        logits, _, others = self.head(similarity(nearest))
        return logits, nearest, others

    def take_features(self, trained: nn.Module) -> ProtoPNet:
        """Begin with the backbone of a trained network, up to the own cut."""
        there = trained.get_submodule("features").state_dict()
        mine = self.features.state_dict()
        self.features.load_state_dict({name: there[name] for name in mine})
        return self


def _add_on(inward: int, depth: int, kind: AddOn, dropout: float) -> nn.Sequential:
    if kind not in ("regular", "bottleneck"):
        raise RequestError(f"no add-on layers {kind!r}", expected="regular or bottleneck")
    pairs = [(inward, depth)]
    while kind == "bottleneck" and max(depth, pairs[-1][0] // 2) > depth:
        pairs[-1:] = [(pairs[-1][0], pairs[-1][0] // 2), (pairs[-1][0] // 2, depth)]
    sizes = [size for first, last in pairs for size in ((first, last), (last, last))]
    layers: list[nn.Module] = []
    for number, (first, last) in enumerate(sizes, 1):
        layers += [nn.Conv2d(first, last, 1)]
        layers += [nn.BatchNorm2d(last)] if dropout else []
        layers += [nn.Sigmoid() if number == len(sizes) else nn.ReLU()]
        layers += [nn.Dropout2d(dropout)] if dropout and number < len(sizes) else []
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # there is one
    return nn.Sequential(*layers)


def squared_distances(latent: Tensor, prototypes: Tensor) -> Tensor:
    """Squared Euclidean distance of each place to each prototype, by the binomial formula.

    Parameters
    ----------
    latent : Tensor of shape (n, depth, rows, columns)
    prototypes : Tensor of shape (m, depth)

    Returns
    -------
    Tensor of shape (n, m, rows, columns)
    """
    across = functional.conv2d(latent, prototypes[:, :, None, None])
    own = (prototypes**2).sum(1)[:, None, None]
    return functional.relu((latent**2).sum(1, keepdim=True) - 2 * across + own)


def similarity(distances: Tensor) -> Tensor:
    """log((d + 1) / (d + 1e-4)): 9.2 where nothing differs, 0 far away."""
    return torch.log((distances + 1) / (distances + _EPSILON))


def _own(output: Output, target: Tensor) -> tuple[Tensor, Tensor]:
    """Least distances, and which of them are to prototypes of the film's own class."""
    logits, nearest, _ = output
    per_class = nearest.shape[1] // logits.shape[1]
    of = torch.arange(nearest.shape[1], device=target.device) // per_class
    return nearest, of == target[:, None]


def cross_entropy(output: Output, target: Tensor) -> Tensor:
    """Of the logits."""
    return functional.cross_entropy(output[0], target)


def cluster(output: Output, target: Tensor) -> Tensor:
    """Mean distance of a film to the nearest prototype of its own class: to be small."""
    nearest, own = _own(output, target)
    return nearest.masked_fill(~own, float("inf")).amin(1).mean()


def separation(output: Output, target: Tensor) -> Tensor:
    """Mean distance of a film to the nearest prototype of another class: to be large."""
    nearest, own = _own(output, target)
    return nearest.masked_fill(own, float("inf")).amin(1).mean()


def others_l1(output: Output, _target: Tensor) -> Tensor:
    """L1 norm of the head's weights towards classes that are not the prototypes' own."""
    return output[2].mean()


class Asked(nn.Module):
    """A network of which one method is asked, so that `apply` can ask it in batches."""

    def __init__(self, net: nn.Module, method: str) -> None:
        super().__init__()
        self.net, self.method = net, method

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the method says."""
        return getattr(self.net, self.method)(*inputs)


def similarity_maps(net: ProtoPNet, films: Items) -> Tensor:
    """How much each place of each film looks like each prototype, shape (n, m, rows, columns)."""
    return similarity(apply(Asked(net, "distance_maps"), films, batch_size=64))


def similarities(net: ProtoPNet, films: Tensor) -> Tensor:
    """How much the most alike part of each film looks like each prototype, shape (n, m)."""
    return similarity(apply(Asked(net, "nearest"), films, batch_size=64))


def contributions(net: ProtoPNet, similarities: Tensor) -> Tensor:
    """What each prototype adds to the log-odds of malignant, shape (n, m); they add up to it."""
    weight = (net.head.weight * net.head.kept).detach()
    return similarities * (weight[1] - weight[0])


def load_backbone(layers: nn.Sequential, path: Path) -> nn.Sequential:
    """Give a backbone the weights of a file, such as one of ImageNet's for torchvision's ResNet18.

    A first layer for three colors is added up: a gray picture, three times the same, gives the
    same. Layers beyond the backbone's last and the classifier are left out.

    Raises
    ------
    DataError
        If the file holds no weights, or not those of a ResNet18 of this width.
    """
    try:
        there = torch.load(path, map_location="cpu", weights_only=True)
        there = {name.removeprefix("features."): v for name, v in there.items()}
    except Exception as error:  # torch's reader raises whatever the bytes lead it to
        raise DataError(
            f"{path.name} holds no weights", expected="a file of weights that torch wrote",
            found="" if path.is_file() else "No such file",
        ) from error  # fmt: skip
    first = there.get("conv1.weight")
    if isinstance(first, Tensor) and first.ndim == 4 and first.shape[1] == 3:
        there["conv1.weight"] = first.sum(1, keepdim=True)
    mine = {name: there[name] for name in layers.state_dict() if name in there}
    mend = "give the weights of a ResNet18 in torchvision's names, and width=1"
    check_same_network(layers, mine, path.name, mend)
    layers.load_state_dict(mine)
    return layers
