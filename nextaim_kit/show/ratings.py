"""Readers' ratings of pictures: what is asked, and the file in which one reader's answers are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import read_text, write_json

Given = dict[str, dict[str, str]]  # answers by item and question
_KEYS = ["answers", "of", "reader"]


@dataclass(frozen=True)
class Sheet:
    """What is asked of each reader.

    Parameters
    ----------
    of : str
        What tells this set of items from any other, such as a hash of its pictures.
    items : sequence of str
    questions : mapping of str to str
        Each question's name and its words.
    scale : sequence of str
        What may be answered, from the least to the most.
    """

    of: str
    items: Sequence[str]
    questions: Mapping[str, str]
    scale: Sequence[str]


class Answers:
    """One reader's answers, in a file that is whole after each of them.

    Parameters
    ----------
    path : path
        Read where it is there already, so that a reader goes on where they left.
    sheet : Sheet
    reader : str
        Pseudonym: letters, digits, ``.``, ``_`` and ``-``.

    Raises
    ------
    RequestError
        If the pseudonym is none.
    DataError
        As for `read_answers`, or if the file is another reader's.
    """

    def __init__(self, path: str | Path, sheet: Sheet, reader: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", reader):
            raise RequestError(
                "a reader needs a pseudonym",
                expected="1 to 40 letters, digits, '.', '_' or '-'",
                found=repr(reader),
                mend="give reader=reader-1, never a name",
            )
        self.path, self.sheet, self.reader = Path(path), sheet, reader
        self.given = self._kept()

    @property
    def rated(self) -> list[str]:
        """Items of which every question is answered."""
        return [
            i for i in self.sheet.items if len(self.given.get(i, {})) == len(self.sheet.questions)
        ]

    def put(self, item: str, question: str, answer: str) -> None:
        """Keep one answer, in place of an earlier one to the same question of the same item."""
        # What the file has by now counts: the same page may be open twice.
        kept = self._kept()
        kept.setdefault(item, {})[question] = answer
        _check(kept, self.sheet, self.path.name)
        content = {"of": self.sheet.of, "reader": self.reader, "answers": kept}
        write_json(self.path, content)
        self.given = kept

    def _kept(self) -> Given:
        if not self.path.exists():
            return {}
        reader, given = _read(self.path, self.sheet)
        if reader != self.reader:
            raise DataError(
                f"{self.path.name} has the answers of another reader",
                expected=self.reader,
                found=reader,
                mend=f"give reader={reader}, or another file",
            )
        return given


def read_answers(path: str | Path, sheet: Sheet) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Answers of one reader's file, or of all ``.json`` files in a folder.

    Parameters
    ----------
    path : path
    sheet : Sheet

    Returns
    -------
    answers : DataFrame
        ``reader``, ``item``, ``question``, ``answer`` (place in the scale, from 0).
    unread : DataFrame
        ``reader``, ``problem`` of each reader who left answers out: their others count.

    Raises
    ------
    DataError
        If there are no answers; a file is damaged or of other items; has an item, a question or an
        answer that is none; or two files are one reader's.
    """
    path = Path(path)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    found: dict[str, Path] = {}
    rows, lacks = [], []
    for file in files:
        reader, given = _read(file, sheet)
        if reader in found:
            raise DataError(
                f"reader {reader} is there twice",
                expected="one file of each reader",
                found=f"{found[reader].name} and {file.name}",
                mend="remove one of them; two readers need two pseudonyms",
            )
        found[reader] = file
        rows += [
            (reader, item, question, list(sheet.scale).index(answer))
            for item, answers in sorted(given.items())
            for question, answer in sorted(answers.items())
        ]
        missing = len(sheet.items) * len(sheet.questions) - sum(map(len, given.values()))
        lacks += [(reader, f"{missing} answers not given")] if missing else []
    if not rows:
        raise DataError(
            f"{path.name} has no answers",
            expected="files of readers' answers (.json), as the rating page leaves them",
            found=f"{len(files)} such files without an answer" if files else "no such file",
            mend="rate some pairs on the page first",
        )
    table = pd.DataFrame(rows, columns=["reader", "item", "question", "answer"])
    return table, pd.DataFrame(lacks, columns=["reader", "problem"])


def _read(path: Path, sheet: Sheet) -> tuple[str, Given]:
    try:
        content = json.loads(read_text(path))
        right = sorted(content) == _KEYS and isinstance(content["reader"], str)
        right = right and all(isinstance(v, dict) for v in content["answers"].values())
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, str(error)) from error
    if not right:
        raise _damaged(path, "a file without " + ", ".join(_KEYS))
    if content["of"] != sheet.of:
        raise DataError(
            f"{path.name} answers to other pictures",
            expected=f"answers to set {sheet.of}",
            found=f"to set {content['of']}",
            mend="give the pairs that were rated, or rate these",
        )
    _check(content["answers"], sheet, path.name)
    return content["reader"], content["answers"]


def _damaged(path: Path, found: str) -> DataError:
    return DataError(
        f"{path.name} holds no answers that can be read",
        expected="a file that the rating page left",
        found=" ".join(found.replace(str(path), path.name).split())[:200],
        mend="take a copy of it that is whole, or remove it and rate again",
    )


def _check(given: Given, sheet: Sheet, name: str) -> None:
    for item, answers in given.items():
        _require(item, sheet.items, f"{name}: an unknown picture was rated")
        for question, answer in answers.items():
            _require(question, sheet.questions, f"{name}, {item}: an unknown question")
            _require(answer, sheet.scale, f"{name}, {item}, {question}: no answer of the scale")


def _require(value: Any, known: Any, what: str) -> None:
    if value not in list(known):
        raise DataError(
            what,
            expected=", ".join(list(known)[:6]) + (" ..." if len(known) > 6 else ""),
            found=repr(value)[:60],
            mend="correct this answer in the file, or remove it there and rate it again",
        )
