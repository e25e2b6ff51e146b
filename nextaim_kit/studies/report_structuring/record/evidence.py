"""Which words of a report an answer rests on: leave them out, or show them alone, and ask again.

Any structurer can be asked: nothing is looked at but its answers and its confidence in them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.learn.intervals import BOUNDS, mean_interval
from nextaim_kit.studies.report_structuring.measures import Answers, mentioned, right
from nextaim_kit.studies.report_structuring.schema import Template

Span = tuple[int, int]
Spans = Mapping[str, Sequence[Span]]
WAYS = ("left out", "alone", "both")
FOUND = ["row", "field", "score", "first", "end", "spans"]
_SENTENCE = re.compile(r"(?:[^.;:!?\n]|[.:](?=\S))+[.;:!?]?")
_WORD = re.compile(r"[^\W_]+(?:[.,/'][^\W_]+)*")
_STEM = 5  # letters in which two forms of an Italian or English word agree
_KEPT = 0.5  # of the largest fall: words whose absence costs so much are evidence


class Asked:
    """Reports that a structurer has answered, and that it can be asked about again.

    Parameters
    ----------
    structurer
        Of any kind: it answers texts.
    texts : sequence of str
    template : Template
    batch : int
        Texts that it is given at a time.

    Attributes
    ----------
    answers : Answers
        To the texts.
    stated : array of bool, shape (texts, fields)
        Where they state something.
    sure : array of float, shape (texts, fields)
        The probability of each value; 1 where the structurer has no confidence.
    """

    def __init__(
        self, structurer: Any, texts: Sequence[str], template: Template, batch: int = 512
    ) -> None:
        self.texts, self.keys, self.batch = list(texts), list(template.by_key), batch
        self._structurer, self._template = structurer, template
        self.answers = structurer.answer(self.texts)
        self.stated = mentioned(self.answers.values, template).to_numpy()
        self._said, self.sure = _cells(self.answers, self.keys)
        self._told: dict[str, tuple[NDArray, NDArray[np.float64]]] = {}

    def right(self, truth: pd.DataFrame) -> pd.DataFrame:
        """Where the answers are right (`measures.right`)."""
        return right(self.answers, truth, self._template)

    def again(self, variants: Sequence[str], rows: ArrayLike) -> NDArray[np.float64]:
        """The probability of the values of texts (`rows`) in variants of them.

        Where another value is answered with confidence c, that of the text's has at most 1 - c;
        without confidence a value is answered or not. In an empty variant nothing is probable.

        Returns
        -------
        array of shape (variants, fields)
        """
        rows = np.asarray(rows, int)
        new = [*dict.fromkeys(v for v in variants if _WORD.search(v) and v not in self._told)]
        for some in (new[k : k + self.batch] for k in range(0, len(new), self.batch)):
            said, sure = _cells(self._structurer.answer(some), self.keys)
            self._told |= dict(zip(some, zip(said, sure, strict=True), strict=True))
        found = np.zeros((len(variants), len(self.keys)))
        for k, (variant, row) in enumerate(zip(variants, rows, strict=True)):
            if variant in self._told:
                said, sure = self._told[variant]
                found[k] = np.where(said == self._said[row], sure, 1 - sure)
        return found


def _cells(answers: Answers, keys: list[str]) -> tuple[NDArray, NDArray[np.float64]]:
    """Values, NaN as None, and confidences, 1 where there is none; shape (texts, fields) each."""
    values = answers.values[keys].astype(object)
    sure = answers.confidence[keys].to_numpy(float)
    return values.where(values.notna(), None).to_numpy(), np.where(np.isnan(sure), 1.0, sure)


def sentences(text: str) -> list[Span]:
    """Where the sentences of a text are; a heading with its colon is one too.

    Examples
    --------
    >>> text = "Referto: DTD 5.2 cm. Non versamento."
    >>> [text[first:end] for first, end in sentences(text)]
    ['Referto:', 'DTD 5.2 cm.', 'Non versamento.']
    """
    found = (m for m in _SENTENCE.finditer(text) if _WORD.search(m[0]))
    return [(m.end() - len(m[0].lstrip()), m.end()) for m in found]


def words(text: str, within: Span) -> list[Span]:
    """Where the words and numbers of a piece of a text are."""
    return [m.span() for m in _WORD.finditer(text, *within)]


def sentence_scores(asked: Asked) -> pd.DataFrame:
    """What each sentence does for each value that is stated.

    Returns
    -------
    DataFrame
        ``row`` (of the text), ``field``, ``first``, ``end``; ``left out``, by how much the
        probability of the value falls without the sentence; ``alone``, by how much the sentence
        alone makes it higher than the middle one of the text does; ``both``, the larger of them.
    """
    pieces = [(row, *span) for row, text in enumerate(asked.texts) for span in sentences(text)]
    rows = np.array([row for row, *_ in pieces], int)
    fall = asked.sure[rows] - asked.again([_without(asked, *one) for one in pieces], rows)
    shown = asked.again([asked.texts[row][first:end] for row, first, end in pieces], rows)
    middle = pd.DataFrame(shown).groupby(rows).transform("median").to_numpy()
    table = pd.DataFrame(np.repeat(pieces, len(asked.keys), axis=0), columns=["row", *FOUND[3:5]])
    table.insert(1, "field", np.tile(asked.keys, len(rows)))
    table["left out"] = np.maximum(fall, 0).ravel()
    table["alone"] = np.maximum(shown - middle, 0).ravel()
    table["both"] = table[["left out", "alone"]].max(axis=1)
    return table[asked.stated[rows].ravel()].reset_index(drop=True)


def find_evidence(asked: Asked, scores: pd.DataFrame, way: str = "both") -> pd.DataFrame:
    """The evidence of each value that is stated: its best sentence, and the words there.

    Without these words the probability of the value falls at least half as far as without the
    most important one, in the report or in the sentence alone; it is the whole sentence where no
    word matters by itself.

    Parameters
    ----------
    asked : Asked
    scores : DataFrame
        Of `sentence_scores`.
    way : {"left out", "alone", "both"}
        The column that the best sentence is chosen by.

    Returns
    -------
    DataFrame
        ``row``, ``field``, ``score`` of the sentence, ``first``, ``end`` (of the word that
        matters most), ``spans`` (a tuple of (first, end), joined where words are neighbors).
    """
    best = scores.loc[scores.groupby(["row", "field"])[way].idxmax()]
    places = sorted(set(best[["row", "first", "end"]].itertuples(index=False, name=None)))
    cuts = [(place, span) for place in places for span in words(asked.texts[place[0]], place[1:])]
    rows = [place[0] for place, _ in cuts]
    own = asked.again([asked.texts[row][a:b] for (row, a, b), _ in cuts], rows)
    lone = asked.again([_without(asked, row, *span, a, b) for (row, a, b), span in cuts], rows)
    left = asked.again([_without(asked, place[0], *span) for place, span in cuts], rows)
    falls = pd.DataFrame(np.maximum(own - lone, asked.sure[rows] - left), columns=asked.keys)
    at = pd.Series([place for place, _ in cuts], dtype=object)
    of: dict[Any, pd.DataFrame] = dict(list(falls.groupby(at)))
    found = []
    for row, field, score, *sentence in best[["row", "field", way, "first", "end"]].itertuples(
        index=False, name=None
    ):
        fall = of[row, *sentence][field]
        spans = [cuts[k][1] for k in fall.index[fall >= max(_KEPT * fall.max(), 1e-9)]]
        most = cuts[fall.idxmax()][1] if spans else sentence
        kept = tuple(_joined(spans, asked.texts[row])) or (tuple(sentence),)
        found.append((row, field, score, *most, kept))
    return pd.DataFrame(found, columns=FOUND)


def nearest_key_word(asked: Asked, template: Template, language: str = "it") -> pd.DataFrame:
    """The trivial baseline: the words of a field's label, where most of them stand in a sentence.

    Words agree in their first five letters. Where no sentence has one it points at the first
    word of the text.

    Returns
    -------
    DataFrame
        As of `find_evidence`; ``score`` is the share of the label's words that were found.
    """
    found = []
    for row, k in zip(*np.nonzero(asked.stated), strict=True):
        text, field = asked.texts[row], template.fields[k]
        label = field.label.get(language, field.label["en"])
        named = [word for word in _WORD.findall(label) if len(word) > 3] or [label]
        stems = {word[:_STEM].lower() for word in named}
        hits = [
            [(a, b) for a, b in words(text, span) if text[a:b][:_STEM].lower() in stems]
            for span in sentences(text)
        ]
        most = max(hits, key=lambda hit: len({text[a:b][:_STEM].lower() for a, b in hit}))
        spans = most or words(text, (0, len(text)))[:1]
        share = len(most) / max(len(stems), 1)
        found.append((row, field.key, min(share, 1.0), *spans[0], tuple(_joined(spans, text))))
    return pd.DataFrame(found, columns=FOUND)


def any_sentence(asked: Asked, seed: int = 0) -> pd.DataFrame:
    """What chance does: any sentence, pointed at in its middle word.

    Returns
    -------
    DataFrame
        As of `find_evidence`; every ``score`` is 0.
    """
    rng, found = np.random.default_rng(seed), []
    for row, k in zip(*np.nonzero(asked.stated), strict=True):
        text = asked.texts[row]
        filled = [span for span in sentences(text) if words(text, span)]
        span = filled[rng.integers(len(filled))]
        inside = words(text, span)
        found.append((row, asked.keys[k], 0.0, *inside[len(inside) // 2], (span,)))
    return pd.DataFrame(found, columns=FOUND)


def against_truth(
    found: pd.DataFrame,
    texts: Sequence[str],
    spans: Sequence[Spans],
    earlier: Sequence[Spans] = (),
    right: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Hold evidence against the true places, where the text has one.

    Parameters
    ----------
    found : DataFrame
        Of `find_evidence`.
    texts : sequence of str
    spans : sequence of mapping of str to sequence of (start, end)
        Of each text: the true evidence of each field.
    earlier : sequence of the same, optional
        Where the field is spoken of, but of an earlier examination, a relative, another organ.

    right : DataFrame of bool, optional
        Of `measures.right`: evidence of what is wrong is left out.

    Returns
    -------
    DataFrame
        ``row``, ``field``; ``pointed``, whether the word that matters most is true evidence;
        ``overlap``, the F1 of the evidence's words against the true ones; ``distracted``, whether
        that word belongs to what is not to be taken. Fields without true evidence are left out.
    """
    rows, spans, earlier = [], list(spans), list(earlier)  # by place, whatever indexes them
    for row, field, _, first, end, own in found[FOUND].itertuples(index=False, name=None):
        true = [tuple(span) for span in spans[row].get(field, ())]
        if not true or (right is not None and not right[field].iat[row]):
            continue
        told, known = (_inside(texts[row], some) for some in (own, true))
        off = [tuple(span) for span in earlier[row].get(field, ())] if earlier else []
        rows.append({
            "row": row, "field": field, "pointed": _touches((first, end), true),
            "overlap": 2 * len(told & known) / max(len(told) + len(known), 1),
            "distracted": _touches((first, end), off) and not _touches((first, end), true),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=["row", "field", "pointed", "overlap", "distracted"])


def said_twice(held: pd.DataFrame, texts: Sequence[str], spans: Sequence[Spans]) -> NDArray:
    """Which values have their true places in more than one sentence, shape (rows of `held`,)."""
    places, true = [sentences(text) for text in texts], list(spans)
    return np.array([
        sum(_touches(one, true[row].get(field, ())) for one in places[row]) > 1
        for row, field in zip(held["row"], held["field"], strict=True)
    ], bool)  # fmt: skip


def pointing(held: Mapping[str, pd.DataFrame], **how: Any) -> pd.DataFrame:
    """How well each way of finding evidence points, with intervals; reports are resampled.

    Parameters
    ----------
    held : mapping of str to DataFrame
        By way: what `against_truth` gives.
    **how
        ``n_boot`` and ``seed`` of `learn.intervals.mean_interval`.

    Returns
    -------
    DataFrame
        ``name``, ``metric`` (pointed, overlap, distracted), ``value``, ``low``, ``high``, ``n``.
    """
    rows = [
        (name, metric, *mean_interval(part[metric], groups=part["row"], bounds=(0, 1), **how),
         len(part))
        for name, part in held.items() if len(part)
        for metric in ("pointed", "overlap", "distracted")
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["name", "metric", *BOUNDS, "n"])


def _without(asked: Asked, row: int, first: int, end: int, low: int = 0, high: int = -1) -> str:
    """A text, or its piece from `low` to `high`, without a span."""
    text = asked.texts[row]
    return text[low:first] + text[end : high if high >= 0 else len(text)]


def _joined(spans: Sequence[Span], text: str) -> list[Span]:
    """Spans in their order; those between which no word stands are one."""
    found: list[Span] = []
    for a, b in sorted(spans):
        end = found[-1][1] if found else 0
        if found and not _WORD.search(text, end, a) and "\n" not in text[end:a]:
            found[-1] = (found[-1][0], b)
        else:
            found.append((a, b))
    return found


def _inside(text: str, spans: Sequence[Span]) -> set[Span]:
    """The words of a text that a span touches."""
    return {word for word in words(text, (0, len(text))) if _touches(word, spans)}


def _touches(one: Span, others: Sequence[Span]) -> bool:
    return any(one[0] < end and first < one[1] for first, end in others)
