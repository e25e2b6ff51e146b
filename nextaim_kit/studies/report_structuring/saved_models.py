"""Structurers in one file of numbers and plain words, with their template: nothing in it is run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.applied import unseen
from nextaim_kit.learn.array_file import load_arrays, save_arrays
from nextaim_kit.learn.final import Seen
from nextaim_kit.learn.model_file import TrainedOn
from nextaim_kit.studies.report_structuring.baselines.classical import (
    Head,
    Majority,
    TfIdf,
    beside_numbers,
    weighed_words,
)
from nextaim_kit.studies.report_structuring.baselines.rules import Rules, fit_rules
from nextaim_kit.studies.report_structuring.measures import Answers
from nextaim_kit.studies.report_structuring.schema import Template

_EXPECTED = "a structurer that report_structuring/structuring left"
_UNKNOWN = {"name": "unknown", "sha256": None, "synthetic": False}
Arrays = dict[str, NDArray[Any]]
Told = Mapping[str, Any]


class Structurer(Protocol):
    """What reads reports into the fields of a template."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    @property
    def template(self) -> Template:
        """What it reads reports into."""
        ...

    @property
    def language(self) -> str:
        """Of texts, where none is given with them."""
        ...

    def answer(self, texts: Any, languages: Any = None) -> Answers:
        """Values of reports."""
        ...


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
    if kind == "TextModel":
        from nextaim_kit.studies.report_structuring.text_model.saved import save_text_model

        return save_text_model(structurer, path, trained_on=trained_on, patients=patients)
    if kind not in _KINDS:
        raise RequestError(f"a {kind} cannot be saved", expected=", ".join(_KINDS))
    about, arrays = _KINDS[kind][0](structurer)
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
    if "spiece" in arrays:
        from nextaim_kit.studies.report_structuring.text_model.saved import load_text_model

        return load_text_model(path)[0]
    if told.get("kind") not in _KINDS:
        raise DataError(f"{Path(path).name} holds no structurer", expected=_EXPECTED,
                        found=str(told.get("kind", "another model")))  # fmt: skip
    template = Template.model_validate(told["template"])
    return _KINDS[told["kind"]][1](told, arrays, template)


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


def _majority(one: Majority) -> tuple[dict, Arrays]:
    plain = {
        key: [None if isinstance(v, float) and math.isnan(v) else v, float(share)]
        for key, (v, share) in one.common.items()
    }
    return {"common": plain}, {}


def _as_majority(told: Told, arrays: Arrays, template: Template) -> Majority:
    common = {k: (np.nan if v is None else v, share) for k, (v, share) in told["common"].items()}
    return Majority(template, common, told["language"], told["name"])


def _as_rules(told: Told, arrays: Arrays, template: Template) -> Rules:
    return replace(fit_rules(None, template, language=told["language"]), silence=told["silence"])


def _tfidf(one: TfIdf) -> tuple[dict, Arrays]:
    arrays: Arrays = {"idf": one.words.idf_}
    for key, head in one.heads.items():
        arrays[f"{key}/coef"], arrays[f"{key}/intercept"] = head.coef, head.intercept
    words, beside = (_in_order(v) for v in (one.words, one.beside))
    classes = {key: list(head.classes) for key, head in one.heads.items()}
    return {"words": words, "beside": beside, "classes": classes}, arrays


def _as_tfidf(told: Told, arrays: Arrays, template: Template) -> TfIdf:
    heads = {
        key: Head(arrays[f"{key}/coef"], arrays[f"{key}/intercept"], tuple(classes))
        for key, classes in told["classes"].items()
    }
    words = weighed_words(vocabulary=told["words"])
    words.idf_ = arrays["idf"]
    beside = beside_numbers(vocabulary=told["beside"])
    return TfIdf(template, words, beside, heads, told["language"], told["name"])


def _in_order(words: CountVectorizer) -> list[str]:
    return sorted(words.vocabulary_, key=words.vocabulary_.__getitem__)


def _encoder(one: Any) -> tuple[dict, Arrays]:
    weights = {k: v.detach().cpu().numpy() for k, v in one.net.state_dict().items()}
    return {"vocabulary": list(one.vocabulary), "temperature": one.temperature}, weights


def _as_encoder(told: Told, arrays: Arrays, template: Template) -> Any:
    import torch

    from nextaim_kit.studies.report_structuring.baselines.encoder import Encoder, network_for

    net = network_for(template, told["vocabulary"])
    net.load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()})
    own = (told["language"], told["name"], told["temperature"])
    return Encoder(template, net.eval(), tuple(told["vocabulary"]), *own)


_KINDS: dict[str, tuple[Callable[[Any], tuple[dict, Arrays]], Callable[..., Any]]] = {
    "Majority": (_majority, _as_majority),
    "Rules": (lambda one: ({"silence": dict(one.silence)}, {}), _as_rules),
    "TfIdf": (_tfidf, _as_tfidf),
    "Encoder": (_encoder, _as_encoder),
}
