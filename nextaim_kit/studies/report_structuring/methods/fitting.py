"""What fits each method to a table of reports."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from nextaim_kit.studies.report_structuring.baselines.classical import fit_majority, fit_tfidf
from nextaim_kit.studies.report_structuring.baselines.rules import fit_rules
from nextaim_kit.studies.report_structuring.methods.noise_surface import Fit
from nextaim_kit.studies.report_structuring.schema import Template


def baselines(template: Template, *, language: str = "it") -> dict[str, Fit]:
    """By name, what fits a method without a network to a table of reports."""
    how: dict[str, Any] = {"template": template, "language": language}
    fits = {"majority": fit_majority, "rules": fit_rules, "TF-IDF": fit_tfidf}
    return {name: partial(fit, **how) for name, fit in fits.items()}


def encoder(
    template: Template,
    validation: pd.DataFrame,
    *,
    folder: Path,
    epochs: int,
    language: str = "it",
    seed: int = 0,
) -> Fit:
    """What fits the encoder to a table; each table has checkpoints of its own in the folder."""

    def fit(table: pd.DataFrame) -> Any:
        from nextaim_kit.studies.report_structuring.baselines.encoder import fit_encoder

        place = folder / f"encoder-{name_of(table, template)}"
        return fit_encoder(table, validation, template, folder=place, epochs=epochs,
                           language=language, seed=seed)  # fmt: skip

    return fit


def text_to_text(
    template: Template,
    texts: Sequence[str],
    validation: pd.DataFrame,
    folder: Path,
    *,
    language: str = "it",
    **how: Any,
) -> Fit:
    """What fine-tunes a text model to a table; each table has checkpoints of its own.

    Its tokenizer and the network that it begins with are made now, of the texts alone.

    Parameters
    ----------
    template : Template
    texts : sequence of str
        For pre-training, with labels or without: no validation or test reports among them.
    validation : DataFrame
        Reports that choose the epoch, and by which the confidence is calibrated.
    folder : Path
    language : str
    **how
        Of `text_model.fine_tuning.Training`.
    """
    from nextaim_kit.studies.report_structuring.text_model import fine_tuning

    training = fine_tuning.Training(**how)
    place = folder / "pretraining"
    begun = fine_tuning.begin(texts, template, training, place, language=language)

    def fit(table: pd.DataFrame) -> Any:
        place = folder / f"text-{name_of(table, template)}"
        parts = [table.assign(split="train"), validation.assign(split="validation")]
        both = pd.concat(parts, ignore_index=True)
        return fine_tuning.fit_text_model(both, begun, training, place)

    return fit


def memory_plans(**how: Any) -> pd.DataFrame:
    """What it takes to fine-tune mT5 of the published sizes: `text_model.memory_plans`."""
    from nextaim_kit.studies.report_structuring.text_model import memory_plans

    return memory_plans.memory_plans(**how)


def name_of(table: pd.DataFrame, template: Template) -> str:
    """A short name that other texts or values would not have."""
    told = table[["text", *template.by_key]].astype(str).to_csv(index=False)
    return hashlib.sha256(told.encode()).hexdigest()[:12]
