"""A trained text model in one file of numbers: weights, tokenizer and template; nothing is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nextaim_kit.learn.array_file import load_arrays, save_arrays
from nextaim_kit.learn.final import Seen
from nextaim_kit.learn.model_file import UNREADABLE, TrainedOn, no_models
from nextaim_kit.learn.weights import check_same_network
from nextaim_kit.studies.report_structuring.schema import Template
from nextaim_kit.studies.report_structuring.text_model.answering import TextModel
from nextaim_kit.studies.report_structuring.text_model.form import Form
from nextaim_kit.studies.report_structuring.text_model.network import TextNet, of_config
from nextaim_kit.studies.report_structuring.text_model.tokenizer import Pieces

_EXPECTED = "a text model of an earlier run of report_structuring/structuring"
_SHARED = "encoder.embed_tokens", "decoder.embed_tokens"
_PLAIN = "language", "longest", "one_by_one", "temperature", "name"


def save_text_model(
    model: TextModel, path: Path, *, trained_on: Mapping[str, Any], patients: Iterable[Any]
) -> str:
    """Write a model, and give the file's path.

    Parameters
    ----------
    model : TextModel
    path : Path
        A safetensors file, by its suffix.
    trained_on : mapping
        ``name``, ``sha256`` and ``synthetic`` of the cohort, as `data.fingerprint` gives them.
    patients : iterable
        Who trained it; kept as hashes.
    """
    arrays = {k: v.detach().cpu().numpy() for k, v in model.net.state_dict().items()}
    for other in (*_SHARED, *_tied(model.net)):  # the same numbers as those of t5.shared
        arrays.pop(f"t5.{other}.weight", None)
    arrays["spiece"] = np.frombuffer(model.pieces.spiece, np.uint8)
    told = {name: getattr(model, name) for name in _PLAIN} | {
        "config": model.net.config,
        "own": list(model.pieces.own),
        "numbers": model.form.numbers,
        "template": model.template.model_dump(mode="json"),
        "trained_on": TrainedOn.of(trained_on, Seen.of(patients)).model_dump(),
    }
    return save_arrays(arrays, path, told=told)


def load_text_model(path: str | Path) -> tuple[TextModel, TrainedOn]:
    """Read a model, and who trained it.

    Raises
    ------
    DataError
        If `save_text_model` did not write the file, or it was changed since.
    """
    path = Path(path)
    told, arrays = load_arrays(path, expected=_EXPECTED)
    try:
        pieces = Pieces(arrays.pop("spiece").tobytes(), told["own"])
        net, template = of_config(told["config"]), Template.model_validate(told["template"])
        weights = {k: torch.from_numpy(v) for k, v in arrays.items()}
        for other in (*_SHARED, *_tied(net)):
            weights[f"t5.{other}.weight"] = weights["t5.shared.weight"]
        check_same_network(net, weights, path.name, "give the file that a run left")
        net.load_state_dict(weights)
        form = Form(template, told["numbers"])
        model = TextModel(net.eval(), pieces, form, **{name: told[name] for name in _PLAIN})
        return model, TrainedOn.model_validate(told["trained_on"])
    except (*UNREADABLE, RuntimeError) as error:
        raise no_models(path, error, _EXPECTED) from error


def _tied(net: TextNet) -> list[str]:
    return ["lm_head"] if net.tied else []
