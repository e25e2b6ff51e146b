"""Structurers in one file of numbers and plain words, with their template: nothing in it is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.applied import unseen
from nextaim_kit.learn.array_file import load_arrays, save_arrays
from nextaim_kit.learn.final import Seen
from nextaim_kit.learn.model_file import UNREADABLE, TrainedOn, no_models
from nextaim_kit.studies.report_structuring.schema import Template

_EXPECTED = (
    "rules, a classifier or a text model of an earlier run of report_structuring/structuring"
)
_UNKNOWN = {"name": "unknown", "sha256": None, "synthetic": False}
_STUDY = __package__.rpartition(".")[0]
# Where each kind is; a network's module is read only where there is one.
_KINDS = {
    "Majority": "baselines.classical", "TfIdf": "baselines.classical", "Rules": "baselines.rules",
    "Encoder": "baselines.encoder", "TextModel": "text_model.answering",
}  # fmt: skip


def save_structurer(
    structurer: Any,
    path: Path,
    *,
    trained_on: Mapping[str, Any] = _UNKNOWN,
    patients: Iterable[Any] = (),
) -> str:
    """Write a structurer with its template, and give the file's path.

    Parameters
    ----------
    structurer : Majority, Rules, TfIdf, Encoder or TextModel
    path : Path
        A safetensors file, by its suffix.
    trained_on : mapping
        ``name``, ``sha256`` and ``synthetic`` of the cohort, as `data.fingerprint` gives them.
    patients : iterable
        Who trained it; kept as hashes.

    Raises
    ------
    RequestError
        If it is of another kind.
    """
    kind = type(structurer).__name__
    if kind not in _KINDS:
        raise RequestError(f"a {kind} cannot be saved", expected=", ".join(_KINDS))
    about, arrays = structurer.plain()
    told = {
        "kind": kind, "template": structurer.template.model_dump(mode="json"),
        "language": structurer.language, "name": structurer.name,
        "trained_on": TrainedOn.of(trained_on, Seen.of(patients)).model_dump(), **about,
    }  # fmt: skip
    return save_arrays(arrays, path, told=told)


def load_structurer(path: Path) -> Any:
    """Read a structurer; its template comes with it.

    Raises
    ------
    DataError
        If `save_structurer` did not write the file, or it was changed since.
    """
    told, arrays = load_arrays(Path(path), expected=_EXPECTED)
    kind = told.get("kind")
    if kind not in _KINDS:
        raise DataError(f"{Path(path).name} holds no structurer", expected=_EXPECTED,
                        found=str(kind or "another model"))  # fmt: skip
    try:
        template = Template.model_validate(told["template"])
        made = getattr(import_module(f"{_STUDY}.{_KINDS[kind]}"), kind)
        return made.restored(template, told, arrays)
    except (*UNREADABLE, RuntimeError) as error:
        raise no_models(Path(path), error, _EXPECTED) from error


def who_trained(path: Path) -> TrainedOn:
    """The cohort that the structurer of a file was trained on, its patients as hashes."""
    told, _ = load_arrays(Path(path), expected=_EXPECTED)
    return TrainedOn.model_validate(told["trained_on"])


def not_trained_on(path: Path, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, TrainedOn]:
    """Reports of patients that did not train a structurer, those of the others, and who did.

    Returns
    -------
    others : DataFrame
        As the table, from row 0 on.
    named : DataFrame
        ``subject``, ``problem``.
    who : TrainedOn

    Raises
    ------
    DataError
        If there is nobody else.
    """
    who = who_trained(path)
    return *unseen(table, who.seen, by="patient"), who
