"""Models of brains in a file of numbers, applied to a cohort that trained none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from nextaim_kit.data.cohort.joining import some
from nextaim_kit.errors import DataError
from nextaim_kit.learn.applied import unseen
from nextaim_kit.learn.array_file import load_arrays, save_arrays
from nextaim_kit.learn.dual import DualLogistic
from nextaim_kit.learn.final import Seen
from nextaim_kit.learn.model_file import UNREADABLE, TrainedOn, no_models
from nextaim_kit.learn.weights import filled
from nextaim_kit.studies.asd_fusion.blocks import Blocks
from nextaim_kit.studies.asd_fusion.brains import Brains
from nextaim_kit.studies.asd_fusion.fusion import FusionNet, mean_of, of_net
from nextaim_kit.studies.asd_fusion.models import Fitted, of_linear, predicted, voted

Arrays = dict[str, NDArray]
_EXPECTED = "a models.safetensors of an earlier run of asd_fusion/joint_fusion"


@dataclass(frozen=True)
class SavedModels:
    """What a file of `save` holds.

    Attributes
    ----------
    models : dict of str to Fitted
        In the order of the file: the first is the one that the others stand beside.
    regions, measures : list of str
        Of the edges, in order, and of the structure, that the models were trained on.
    edge : str
        What an edge was made as.
    trained_on : TrainedOn
    """

    models: dict[str, Fitted]
    regions: list[str]
    measures: list[str]
    edge: str
    trained_on: TrainedOn

    def __str__(self) -> str:
        return str(self.trained_on)

    def apply(self, brains: Brains) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
        """Predict all subjects who are none of the training cohort.

        Returns
        -------
        predictions : dict of str to DataFrame
            By the models' names, as `models.predicted` gives them, `fold` being ``applied``.
        left_out : DataFrame
            ``subject``, ``problem``.

        Raises
        ------
        DataError
            If regions, kind of edges or measures are not the models', or no other subject is
            there.
        """
        table, left_out = unseen(brains.table, self.trained_on.seen)
        others = self._fitting(brains).at(brains.table["subject"].isin(table["subject"]).to_numpy())
        told = {}
        for name, model in self.models.items():
            found = predicted(model, others)
            if found["logit"].notna().any():
                told[name] = found.assign(fold="applied", repeat=0)
            else:
                print(f"{name} is left out: nobody has what it looks at")
        return told, left_out

    def _fitting(self, brains: Brains) -> Brains:
        """The same brains, their measures in the models' order; refused where they are others."""
        n, measures = len(brains), list(brains.structure)
        edges = len(self.regions) * (len(self.regions) - 1) // 2
        found, there = brains.connectivity, brains.functional.any()
        if there and brains.regions["region"].tolist() != self.regions:
            theirs, own = self.regions, brains.regions["region"].tolist()
            raise _others("regions", f"{len(theirs)}: {some(theirs)}", f"{len(own)}: {some(own)}")
        if there and brains.edge != self.edge:
            raise _others("kind of edges", self.edge, brains.edge)
        absent = [name for name in self.measures if name not in measures]
        if measures and absent:
            all_of = f"all {len(self.measures)} structural features of the models"
            raise _others("structural features", all_of, f"{len(absent)} absent: {some(absent)}")
        if not there:
            found = np.full((n, edges), np.nan, np.float32)
        return replace(
            brains, connectivity=found, structure=brains.structure.reindex(columns=self.measures)
        )


def _others(what: str, expected: str, found: str) -> DataError:
    return DataError(
        f"the cohort has other {what} than the models were trained on",
        expected=expected, found=found,
        mend="make both cohorts' features alike, or train anew with external= this cohort",
    )  # fmt: skip


def save(
    models: Mapping[str, Fitted], path: Path, *, brains: Brains, trained_on: Mapping[str, Any]
) -> str:
    """Write models of one cohort as numbers, and give the file's path.

    Parameters
    ----------
    models : mapping of str to Fitted
        Of `Linear`, `Votes` or `Network`.
    path : Path
        A safetensors file, by its suffix.
    brains : Brains
        That all were trained on.
    trained_on : mapping
        ``name``, ``sha256`` and ``synthetic`` of the cohort, as `data.fingerprint` gives them.
    """
    arrays: Arrays = {}
    said = {name: _written(model, str(k), arrays) for k, (name, model) in enumerate(models.items())}
    who = TrainedOn.of(trained_on, Seen.of(brains.table["subject"]))
    told = {
        "models": said,
        "edge": brains.edge,
        "measures": list(brains.structure),
        "regions": brains.regions["region"].tolist(),
        "trained_on": who.model_dump(),
    }
    return save_arrays(arrays, path, told=told)


def load(path: Path) -> SavedModels:
    """Read the models that `save` wrote.

    Raises
    ------
    DataError
        If it is no such file, or is damaged.
    """
    said, arrays = load_arrays(path, expected=_EXPECTED)
    try:
        models = {
            name: _read(one, f"{k}", arrays) for k, (name, one) in enumerate(said["models"].items())
        }
        told = list(said["regions"]), list(said["measures"]), str(said["edge"])
        trial = _somebody(pd.DataFrame({"region": told[0]}), *told[1:])
        if not all(np.isfinite(model.logit(trial)).all() for model in models.values()):
            raise ValueError("numbers that give no answer")
        return SavedModels(models, *told, TrainedOn.model_validate(said["trained_on"]))
    except (*UNREADABLE, IndexError, RuntimeError) as error:
        raise no_models(path, error, _EXPECTED) from error


def _written(model: Fitted, place: str, arrays: Arrays) -> dict[str, Any]:
    """What a model is; its arrays are put below `place`."""
    said: dict[str, Any] = {"threshold": float(model.threshold)}
    if isinstance(model.model, list):
        members = [_written(one, f"{place}/{k}", arrays) for k, one in enumerate(model.model)]
        return said | {"kind": "mean", "of": members}
    if isinstance(model.model[0], dict):
        fitted, weights, intercept = model.model
        arrays[f"{place}/weights"] = weights
        of = {part: _written(one, f"{place}/{part}", arrays) for part, one in fitted.items()}
        return said | {"kind": "votes", "of": of, "intercept": intercept}
    blocks, inner = model.model
    known, how = blocks.numbers()
    if isinstance(inner, DualLogistic):
        kind, own = "linear", {"coef": inner.coef_, "intercept": inner.intercept_}
    else:
        kind, own = "network", {k: w.numpy() for k, w in inner.state_dict().items()}
    arrays |= {f"{place}/blocks/{name}": one for name, one in known.items()}
    arrays |= {f"{place}/{kind}/{name}": one for name, one in own.items()}
    return said | {"kind": kind, "blocks": how}


def _read(said: Mapping[str, Any], place: str, arrays: Mapping[str, NDArray]) -> Fitted:
    """The model that `_written` described."""
    threshold = float(said["threshold"])
    if said["kind"] == "mean":
        of = [_read(one, f"{place}/{k}", arrays) for k, one in enumerate(said["of"])]
        return mean_of(of, threshold)
    if said["kind"] == "votes":
        each = {part: _read(one, f"{place}/{part}", arrays) for part, one in said["of"].items()}
        return voted(each, arrays[f"{place}/weights"], float(said["intercept"]), threshold)
    blocks = Blocks.of_numbers(_below(f"{place}/blocks/", arrays), said["blocks"])
    own = _below(f"{place}/{said['kind']}/", arrays)
    return _KINDS[said["kind"]](blocks, own, threshold)


def _below(place: str, arrays: Mapping[str, NDArray]) -> Arrays:
    return {k.removeprefix(place): one for k, one in arrays.items() if k.startswith(place)}


def _linear(blocks: Blocks, own: Arrays, threshold: float) -> Fitted:
    model = DualLogistic()
    model.coef_, model.intercept_ = own["coef"], own["intercept"]
    model.classes_, model.n_features_in_ = np.array([0, 1]), own["coef"].shape[1]
    return of_linear(blocks, model, threshold)


def _network(blocks: Blocks, own: Arrays, threshold: float) -> Fitted:
    sizes = {part: own[f"branches.{part}.0.weight"].shape[1] for part in blocks.parts}
    width, hidden = len(own[f"branches.{blocks.parts[0]}.0.bias"]), len(own["classifier.0.bias"])
    net = FusionNet(sizes, width=width, hidden=hidden)
    weights = {name: torch.from_numpy(one) for name, one in own.items()}
    return of_net(blocks, filled(net, weights, "the file"))


_KINDS: dict[str, Callable[[Blocks, Arrays, float], Fitted]] = {
    "linear": _linear, "network": _network,
}  # fmt: skip


def _somebody(regions: pd.DataFrame, measures: list[str], edge: str) -> Brains:
    """Two people of zeros, whom models of such regions and measures can judge."""
    table = pd.DataFrame({"subject": ["1", "2"], "site": "", "label": pd.array([0, 1], "Int64")})
    table = table.assign(age=20.0, sex="M", fiq=100.0, eyes="open", motion=0.1)
    edges = np.zeros((2, len(regions) * (len(regions) - 1) // 2), np.float32)
    structure = pd.DataFrame(np.zeros((2, len(measures))), columns=measures)
    return Brains(table, edges, structure, regions, synthetic=True, edge=edge)
