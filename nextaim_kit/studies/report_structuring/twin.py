"""Synthetic reports whose values, evidence and flaws are known: the talk's three sets, and more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import pandas as pd

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.report_structuring.schema import SHORT, TEMPLATES, Template, read_template
from nextaim_kit.studies.report_structuring.writing import making
from nextaim_kit.studies.report_structuring.writing.composing import laid_out
from nextaim_kit.studies.report_structuring.writing.lexicon import LANGUAGES
from nextaim_kit.studies.report_structuring.writing.minimal_pairs import SIDED, Pair, pairs
from nextaim_kit.studies.report_structuring.writing.noise import Quality
from nextaim_kit.studies.report_structuring.writing.styles import STYLES, UNLABELED

SPLITS = ("train", "validation", "test")
CLEAN = Quality()
_PAIRS_FROM = 1_000_000  # numbers that no other report has


class Set(NamedTuple):
    """A set of the talk: kind of report, house style, reports for training, validation, test."""

    kind: str
    style: str
    sizes: tuple[int, int, int]


SETS = {
    "hospital_1": Set("covid_ct", "hospital_1", (163, 20, 20)),
    "hospital_2": Set("covid_ct", "hospital_2", (123, 16, 20)),
    "echo": Set("echo", "hospital_1", (110, 20, 20)),
}


@dataclass(frozen=True)
class Reports:
    """Synthetic reports and the truth of them.

    Attributes
    ----------
    table : DataFrame
        The cohort: ``subject``, ``patient``, ``site``, ``split``, ``language``, ``annotator``,
        ``text``, a column for each field as an annotator entered it, and a column
        ``second_<field>`` for each as a second annotator did.
    truth : DataFrame
        By subject: ``values`` (dict; as the text says them), ``spans`` and ``earlier`` (dicts of
        field to pairs of character positions: evidence of its value, and what only looks like
        it), ``identifiers`` (such pairs), ``noise`` (dict: what was done to the text).
    template : Template
    """

    table: pd.DataFrame
    truth: pd.DataFrame
    template: Template

    @property
    def values(self) -> pd.DataFrame:
        """What the texts say, by subject: a column for each field."""
        rows = [*self.truth["values"]]
        return _typed(pd.DataFrame(rows, index=self.truth.index), self.template)

    def only(self, split: str) -> Reports:
        """The reports of a split."""
        table = self.table[self.table["split"] == split].reset_index(drop=True)
        return Reports(table, self.truth.loc[table["subject"]], self.template)


def make_reports(
    n: int,
    template: str = "covid_ct_short",
    *,
    style: str = "hospital_1",
    language: str = "it",
    quality: Quality = CLEAN,
    seed: int = 2024,
    held_out: bool = False,
    first: int = 0,
) -> Reports:
    """Make synthetic reports of a template.

    A report depends on its number, the seed, the style and the language; a rate of `quality`
    changes only what it is of. Values that are said depend on the value, fields go together, and
    forms of speech that are held out (30 % of those that have alternatives) are used only where
    they are asked for.

    Parameters
    ----------
    n : int
    template : str
        One of `schema.TEMPLATES`. The short form's reports say little beside its fields.
    style : str
        One of `styles.STYLES`.
    language : {"it", "en"}
    quality : Quality
    seed : int
    held_out : bool
        Whether forms may be used that training texts never have.
    first : int
        Number of the first report.

    Raises
    ------
    RequestError
        If there is no such template, style or language.
    """
    _known("template", template, TEMPLATES)
    _known("style", style, STYLES)
    _known("language", language, LANGUAGES)
    whole = read_template(template)
    setting = making.Setting(whole, style, language, quality, seed, held_out, first)
    return _tabled([making.record(k, setting) for k in range(first, first + n)], whole)


def make_set(
    name: str,
    *,
    template: str = "",
    language: str = "it",
    quality: Quality = CLEAN,
    test_quality: Quality | None = None,
    seed: int = 2024,
) -> Reports:
    """Make one of the talk's sets, of its sizes.

    Parameters
    ----------
    name : str
        One of `SETS`.
    template : str
        By default the short form of the set's own.
    language, seed
        As for `make_reports`.
    quality : Quality
        Of texts and labels for training and validation; copies are also made for the test.
    test_quality : Quality, optional
        Of the texts of the test, by default clean. Its labels are what the texts say.

    Returns
    -------
    Reports
        The test has forms of speech that training and validation never have.
    """
    _known("set", name, SETS)
    kind, style, sizes = SETS[name]
    test = test_quality or Quality(copy_paste=quality.copy_paste)
    parts, first = [], 0
    for split, n in zip(SPLITS, sizes, strict=True):
        tested = split == "test"
        made = make_reports(
            n, template or f"{kind}{SHORT}", style=style, language=language,
            quality=test if tested else quality, seed=seed, held_out=tested, first=first,
        )  # fmt: skip
        parts.append(_as_true(made) if tested else made)
        parts[-1].table["split"] = split
        first += n
    table = pd.concat([part.table for part in parts], ignore_index=True)
    return Reports(table, pd.concat([part.truth for part in parts]), parts[0].template)


def fresh(name: str, n: int = 1000, *, template: str = "", language: str = "it",
          quality: Quality = CLEAN, seed: int = 2024) -> Reports:  # fmt: skip
    """Further reports to test by, of the style of one of `SETS`; labels are what the texts say."""
    _known("set", name, SETS)
    kind, style, sizes = SETS[name]
    made = make_reports(
        n, template or f"{kind}{SHORT}", style=style, language=language, quality=quality,
        seed=seed, held_out=True, first=10 * sum(sizes),
    )  # fmt: skip
    made.table["split"] = "test"
    return _as_true(made)


def unlabeled(n: int, template: str = "covid_ct_short", *, language: str = "it",
              seed: int = 2024) -> list[str]:  # fmt: skip
    """Texts to train on beforehand, in house styles that no labeled set has."""
    each = [n // len(UNLABELED) + (k < n % len(UNLABELED)) for k in range(len(UNLABELED))]
    made = [
        make_reports(m, template, style=style, language=language, seed=seed + 1).table["text"]
        for style, m in zip(UNLABELED, each, strict=True)
    ]
    texts = [text for texts in made for text in texts]
    Random(seed).shuffle(texts)
    return texts


def minimal_pairs(n: int, template: str = "covid_ct_short", *, style: str = "hospital_1",
                  language: str = "it", seed: int = 2024) -> Reports:  # fmt: skip
    """Pairs of reports of the same words but one thing: side, negation or time swapped.

    Returns
    -------
    Reports
        Twice `n` reports; the table has ``pair``, ``kind`` and ``field`` besides: the two of a
        pair differ in the value of that field, and where the time is swapped in those that its
        sentence says with it. Kinds take turns as far as they are to be had.
    """
    setting = making.Setting(read_template(template), style, language, CLEAN, seed)
    fields = setting.template.by_key
    found: dict[str, list[Pair]] = {"negation": [], "time": []}
    if not fields.keys().isdisjoint(SIDED):
        found["side"] = []
    for index in range(_PAIRS_FROM, _PAIRS_FROM + 100 + 20 * n):
        for pair in pairs(making.drafted(index, setting), fields):
            found[pair.kind].append(pair)
        if all(len(found) * len(of) >= n + 3 for of in found.values()):
            break
    turns = [of[k] for k in range(n) for of in found.values() if k < len(of)][:n]
    records = []
    for number, pair in enumerate(turns):
        for which, draft in (("a", pair.one), ("b", pair.other)):
            told = making.said(laid_out(draft), draft.values, setting.template)
            of = {"pair": number, "kind": pair.kind, "field": pair.field}
            records.append({"subject": f"pair-{number:04d}{which}", **of, **told})
    made = _tabled(records, setting.template)
    made.table["split"] = "test"
    return _as_true(made)


def make_twin(name: str = "hospital_1", **options: Any) -> pd.DataFrame:
    """The cohort's table of one of the talk's sets: see `make_set`, which gives the truth too."""
    return make_set(name, **options).table


def _known(what: str, name: str, names: Mapping[str, Any] | Sequence[str]) -> None:
    if name not in names:
        raise RequestError(
            f"there is no such {what}", expected=" or ".join(names), found=repr(name)
        )


def _as_true(made: Reports) -> Reports:
    """The reports with the first annotator's entries as the texts say them."""
    table, values = made.table.copy(), made.values
    for field in made.template.fields:
        table[field.key] = values[field.key].to_numpy()
    return Reports(table.assign(annotator="none"), made.truth, made.template)


def _tabled(records: Sequence[Mapping[str, Any]], template: Template) -> Reports:
    """The reports' table, and their truth by subject."""
    whole = pd.DataFrame([*records])
    truth = whole[["subject", *(key for key in making.TRUTH if key in whole)]].set_index("subject")
    table = whole.drop(columns=[*truth.columns])
    return Reports(_typed(table, template), truth, template)


def _typed(table: pd.DataFrame, template: Template) -> pd.DataFrame:
    keys = [f.key for f in template.fields if not f.choices]
    numbers = [name for key in keys for name in (key, making.SECOND + key) if name in table]
    return table.astype(dict.fromkeys(numbers, float))
