"""What the solutions of a run gave, wrong answers made of it, and what is said to these.

``python tests/notebooks/answers.py TABLE.md`` writes it as a table of all exercises.
"""

from __future__ import annotations

import pickle
import re
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.show import exercises
from nextaim_kit.show.mistakes import mistake

UNITS = (1, 10**2, 10**3, 10**6, 10**9)
RUN = 5  # tokens in a row that a hint may not share with its solution


def recording(folder: Path, patch: Any) -> Path:
    """Have all kernels that are started from now on keep what their solutions give."""
    startup = folder / "profile_default" / "startup"
    startup.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("recorder.py"), startup)
    patch.setenv("IPYTHONDIR", str(folder))
    return folder / "answers.pickle"


def recorded(path: Path) -> list[dict[str, Any]]:
    """What was kept, in the order of the notebook's exercises."""
    found = []
    with path.open("rb") as stream:
        while stream.peek(1):
            found.append(pickle.load(stream))
    return found


def numbers_said(kept: dict[str, Any]) -> list[list[float]]:
    """The numbers that a control prints at both ends, but for one that it was moved to."""
    found = []
    for end, said in zip(kept["ends"], kept["said"], strict=True):
        own = [end, 100 * end] if isinstance(end, int | float) else []
        every = [float(n) for n in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", said)]
        told = [k for k, n in enumerate(every) if np.isclose(n, own).any()][:1]
        found.append([n for k, n in enumerate(every) if k not in told])
    return found


def members(answer: Any) -> list:
    """The values that an answer is, or is made of."""
    if isinstance(answer, pd.Interval):
        return [answer.mid]
    several = isinstance(answer, set | list | tuple) or np.ndim(answer)
    return [v for one in answer for v in members(one)] if several else [answer]


def trivial(kept: dict[str, Any]) -> str:
    """Why an answer says nothing about the data that it is of; empty if it does."""
    values = members(kept["answer"])
    if not values:
        return "nothing"
    if kept["idle"]:
        return "the same without its conditions"
    number = len(values) == 1 and isinstance(values[0], int | float | np.number)
    return f"{values[0]}" if number and values[0] in (0, 1) else ""


def gives_away(hint: str, kept: dict[str, Any]) -> str:
    """What of a hint tells the answer, in any unit or rounding; empty if nothing does."""
    for value in members(kept["answer"]):
        if isinstance(value, str) and value not in ("yes", "no"):
            if re.search(rf"(?<!\w){re.escape(value)}(?!\w)", hint):
                return value
        elif isinstance(value, int | float | np.number) and value and not kept["function"]:
            for number in re.findall(r"(?<![\w.*])\d+(?:\.\d+)?", hint):
                if _is(number, float(value)):
                    return number
    return ""


def shares_code(hint: str, solution: str) -> str:
    """Some tokens in a row, and not words alone, that a hint shares with a solution."""
    words, solved = _tokens(hint), f" {' '.join(_tokens(solution))} "
    runs = [words[k : k + RUN] for k in range(len(words) - RUN + 1)]
    code = [" ".join(run) for run in runs if not all(word.isalpha() for word in run)]
    return next((run for run in code if f" {run} " in solved), "")


def _is(number: str, value: float) -> bool:
    """Whether a number in a text is a value, rounded as it may be, in a larger or smaller unit."""
    digits = len(number.partition(".")[2])
    for factor in {*UNITS, *(1 / u for u in UNITS)}:
        scaled = abs(value) * factor
        exact = np.isclose(scaled, float(number), rtol=1e-9, atol=0)
        rounded = len(number.replace(".", "").lstrip("0")) > 1 and digits
        if scaled and (exact or (rounded and round(scaled, digits) == float(number))):
            return True
    return False


def _tokens(text: str) -> list[str]:
    code = "\n".join(line.partition("#")[0] for line in text.splitlines())
    return re.findall(r"\w+|[^\w\s'\"]", code)


def wrong_answers(kept: dict[str, Any]) -> dict[str, Any]:
    """Five wrong answers of different kinds."""
    answer = kept["answer"]
    if kept["function"]:
        return {"a value": answer[0], "text": "def f(x): ...", "a list": [1, 2],
                "not returned": lambda *_: None, "fails": lambda: 1}  # fmt: skip
    first = members(answer)[0]
    if first in ("yes", "no"):
        return {"a number": 5, "a word": "maybe", "a truth": True, "a list": [first],
                "a column": pd.Series([first] * 3)}  # fmt: skip
    if isinstance(first, str | bool | np.bool_):
        return {"a number": 5, "small letters": str(first).swapcase(), "a slip": f"{first}x",
                "a list": [first, "other"], "a column": pd.Series([first] * 3)}  # fmt: skip
    if np.ndim(answer) or isinstance(answer, list | tuple):
        return {"one number": float(first), "text": "1", "nothing": None, "of another shape": [1],
                "a function": abs}  # fmt: skip
    value = float(first)
    return {"scaled": value * 1000, "percent": value * 100, "text": f"{value:.4g}",
            "a column": pd.Series([value] * 3), "rounded": _rounded(value, answer)}  # fmt: skip


def _rounded(value: float, expected: Any) -> float:
    """A number rounded so far that it is wrong; of a short one, another that is close."""
    shorter = (round(value, digits) for digits in range(9, -9, -1))
    wrong = (one for one in shorter if one and mistake(one, expected) is not None)
    return next(wrong, value * 1.005)


def told(kept: dict[str, Any], hint: str) -> dict[str, list[str]]:
    """What is said to each wrong answer when it is given once, twice, three times."""
    expected = _function(kept["answer"]) if kept["function"] else kept["answer"]
    return {
        kind: [exercises._told(mistake(wrong, expected), n, hint, 1) for n in (1, 2, 3)]
        for kind, wrong in wrong_answers(kept).items()
        if mistake(wrong, expected) is not None
    }


def _function(values: list) -> Any:
    def given(number: int) -> Any:
        return values[number]

    given.inputs = [(k,) for k in range(len(values))]  # type: ignore[attr-defined]
    return given


def stubs(cells: list[dict]) -> list[tuple[dict, dict]]:
    """The exercise cells and the cells right after them."""
    return [p for p in pairwise(cells) if "exercise" in p[0]["metadata"].get("tags", [])]


def table(notebooks: dict[str, tuple[list[str], list[dict[str, Any]]]]) -> str:
    """A row for each exercise in Markdown: five wrong answers and what is said to the first try."""
    lines = [
        "| exercise | " + " | ".join(f"wrong {k}" for k in range(1, 6)) + " |",
        "|---" * 6 + "|",
    ]
    for notebook, (hints, found) in notebooks.items():
        for number, (hint, kept) in enumerate(zip(hints, found, strict=True), 1):
            said = [f"*{kind}*: {tries[0]}" for kind, tries in told(kept, hint).items()]
            lines.append(" | ".join([f"| {notebook} {number}", *said]) + " |")
    return "\n".join(lines) + "\n"


def main(out: Path) -> None:
    """Run all notebooks at smoke and write the table; the runs that are there are made again."""
    import json
    import tempfile

    import pytest

    from nextaim_kit import catalog
    from nextaim_kit.runs.request import prepare
    from nextaim_kit.runs.runner import execute

    rows = {}
    for notebook in (n for s in catalog.studies() for n in s.notebooks.values()):
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            kept = recording(Path(folder), patch)
            execute(prepare(notebook.id, "smoke", {}), force=True)
            cells = json.loads(notebook.path.read_text(encoding="utf-8"))["cells"]
            numbers = range(1, len(stubs(cells)) + 1)
            hints = [exercises.find_exercise(notebook.path, k).hint for k in numbers]
            rows[notebook.id] = (hints, recorded(kept))
    out.write_text(table(rows), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
