"""Prototypes become patches of training crops, and those that tell nothing are left out.

Push and prune: Chen et al. 2019, arXiv:1806.10574.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from nextaim_kit.errors import DataError
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.splits import Rows
from nextaim_kit.studies.breast_masses.prototypes.crops import Crops
from nextaim_kit.studies.breast_masses.prototypes.protopnet import Asked, ProtoPNet, similarities

_NEIGHBORS, _OWN_CLASS = 6, 3  # of the pruning rule


def check_enough(net: ProtoPNet, crops: Crops, rows: Rows) -> None:
    """Refuse a training part of one class, or of fewer patches than prototypes."""
    counts = np.bincount(crops.y[rows], minlength=2)
    if not counts.all():
        raise DataError(
            "prototypes need both classes", expected="benign and malignant masses to train on",
            found=f"{counts[0]} benign, {counts[1]} malignant",
        )  # fmt: skip
    with torch.no_grad():
        places = int(net.eval().latent(crops.films[:1]).shape[2:].numel())
    patches, per_class = places * int(counts.min()), len(net.prototypes) // 2
    if per_class > patches:
        raise DataError(
            f"{per_class} prototypes of a class cannot be {patches} patches of training crops",
            expected=f"at most {patches} of each class",
            found=f"{counts[0]} benign and {counts[1]} malignant crops of {places} patches",
            mend="ask for fewer prototypes, or give more masses",
        )


def push(net: ProtoPNet, crops: Crops, rows: Rows) -> pd.DataFrame:
    """Move each prototype onto the nearest patch of a training crop of its class, as it is.

    Parameters
    ----------
    net : ProtoPNet
        Its prototypes are changed.
    crops : Crops
    rows : array of int
        Of the training part; its crops are not augmented here.

    Returns
    -------
    DataFrame
        What `nearest_patches` gives; ``distance`` is what the prototype was moved by.
    """
    found = nearest_patches(net, crops, rows)
    places = found[["source", "row", "column"]].to_numpy()
    latent = apply(Asked(net, "latent"), crops.films[places[:, 0].copy()], batch_size=64)
    with torch.no_grad():
        for number, (_, row, column) in enumerate(places):
            net.prototypes[number] = latent[number, :, row, column].to(net.prototypes.device)
    return found


def nearest_patches(net: ProtoPNet, crops: Crops, rows: Rows) -> pd.DataFrame:
    """The patch of crops of its class that is nearest to each prototype.

    Returns
    -------
    DataFrame
        ``prototype``, ``class``, ``source`` (row of the crop in `masses`), ``row``, ``column`` (of
        the patch in the map), ``distance`` (squared).
    """
    maps = apply(Asked(net, "distance_maps"), crops.films[rows], batch_size=64)
    table = []
    for number, of in enumerate(net.classes):
        mine = np.flatnonzero(crops.y[rows] == of)
        of_class = maps[mine, number]
        crop, row, column = np.unravel_index(int(of_class.argmin()), of_class.shape)
        table.append((number, of, rows[mine[crop]], row, column, float(of_class.min())))
    columns = ["prototype", "class", "source", "row", "column", "distance"]
    return pd.DataFrame(table, columns=columns)


def prune(net: ProtoPNet, crops: Crops, rows: Rows, prototypes: pd.DataFrame) -> pd.DataFrame:
    """Leave out prototypes fewer than 3 of whose 6 nearest training crops share their class.

    One of each class stays, the one with the most. Returns `prototypes` with ``own_class``, how
    many of the 6 share it.
    """
    seen = similarities(net, crops.films[rows])
    order = torch.sort(seen, dim=0, descending=True, stable=True)[1]
    near = crops.y[rows][order[:_NEIGHBORS].numpy()]
    own = (near == net.classes).sum(0)
    kept = own >= min(_OWN_CLASS, len(rows))
    for of in np.unique(net.classes):
        mine = np.flatnonzero(net.classes == of)
        kept[mine[own[mine].argmax()]] = True
    net.head.kept.copy_(torch.from_numpy(kept.astype(np.float32)))
    return prototypes.assign(own_class=own)
