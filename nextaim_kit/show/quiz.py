"""Questions about ideas, asked before a lesson and again after it, without any network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from nextaim_kit import catalog
from nextaim_kit.errors import DataError
from nextaim_kit.files import read_text
from nextaim_kit.show.tries import first_choices, keep_choice
from nextaim_kit.show.viewers.available import somebody_looks
from nextaim_kit.yaml_text import parse_yaml

_FIELDS = {"question", "right", "wrong", "why"}


class Quiz:
    """The questions of a lesson. A question's first choice counts, and is kept (`show.tries`).

    Before the lesson a choice is only noted. After it, each choice is answered with the reason,
    and the two scores stand side by side. Where nobody looks, as in a headless run, the questions
    are shown as text.

    Parameters
    ----------
    path : Path
        YAML file beside the notebook, whose name it has: a list of ``question``, ``right`` (a
        choice), ``wrong`` (a list of choices) and ``why`` (the reason, shown after the lesson).

    Raises
    ------
    DataError
        If the file is not such a list.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "questions.yaml"
    >>> text = "[{question: Which unit has CT?, right: HU, wrong: [mm, ml], why: It is scaled.}]"
    >>> _ = path.write_text(text)
    >>> lesson = Quiz(path)
    >>> lesson.choose("after", 0, "HU")
    'Right. It is scaled.'
    >>> lesson.score("after")
    'After the lesson: 1 of 1 right.'
    """

    def __init__(self, path: Path) -> None:
        self.questions = _read(path)
        self._notebook = next((n.id for n in _with_questions() if _questions_of(n) == path), "")
        self._right = first_choices(self._notebook)

    def before(self) -> None:
        """Ask, and only note what is chosen."""
        self._ask("before")

    def after(self) -> None:
        """Ask again, say of each choice whether it is right and why, and show both scores."""
        self._ask("after")

    def choose(self, when: str, number: int, choice: str) -> str:
        """Take a choice, and give what is said to it; only the first one counts."""
        one = self.questions[number]
        right = choice == one["right"]
        unkept = "" if number + 1 in self._right[when] else self._keep(when, number + 1, right)
        if when == "before":
            return f"Noted.{unkept}"
        return f"{'Right.' if right else 'Not this one.'} {one['why']}{unkept}"

    def _keep(self, when: str, question: int, right: bool) -> str:
        self._right[when][question] = right
        try:
            if self._notebook:
                keep_choice(self._notebook, question, when, right=right)
        except OSError as error:  # a disk that is full or shut is no reason to stop learning
            return f" (This choice is not kept: {error.strerror}.)"
        return ""

    def score(self, when: str) -> str:
        """How many first choices were right so far, in words; empty before the first."""
        chosen = self._right[when]
        if not chosen:
            return ""
        rest = len(self.questions) - len(chosen)
        open_ = f", {rest} open" if rest else ""
        return (
            f"{when.capitalize()} the lesson: {sum(chosen.values())} of {len(chosen)} right{open_}."
        )

    def _ask(self, when: str) -> None:
        from IPython.display import HTML, display

        if somebody_looks():
            display(self._widget(when))
        else:
            display(HTML(f"<ol>{''.join(_as_text(one, when) for one in self.questions)}</ol>"))

    def _widget(self, when: str) -> Any:
        import ipywidgets as widgets

        total = widgets.HTML(self._scores(when))
        lines = [self._line(when, k, total) for k in range(len(self.questions))]
        return widgets.VBox([*lines, total])

    def _line(self, when: str, number: int, total: Any) -> Any:
        import ipywidgets as widgets

        one, said = self.questions[number], widgets.HTML()
        choices = widgets.RadioButtons(
            options=_choices(one), value=None, layout={"width": "auto", "margin": "0 0 0 1.2em"}
        )
        choices.observe(partial(self._answered, when, number, said, total), "value")
        title = widgets.HTML(f"<b>{number + 1}. {escape(one['question'])}</b>")
        return widgets.VBox([title, choices, said])

    def _answered(self, when: str, number: int, said: Any, total: Any, change: Any) -> None:
        said.value = f"<p role='status'>{escape(self.choose(when, number, change['new']))}</p>"
        total.value = self._scores(when)

    def _scores(self, when: str) -> str:
        whole = len(self._right[when]) == len(self.questions)
        scores = ["before", "after"] if when == "after" else ["before"] if whole else []
        return f"<p role='status'><b>{' '.join(map(self.score, scores))}</b></p>"


class Asked(NamedTuple):
    """Whether the first choice at a question was right; None where there was none."""

    notebook: str
    question: int
    before: bool | None
    after: bool | None


def asked() -> list[Asked]:
    """What the user chose first at each question of each lesson, before it and after it."""
    found = []
    for notebook in _with_questions():
        right = first_choices(notebook.id)
        for k in range(1, len(_read(_questions_of(notebook))) + 1):
            found.append(Asked(notebook.id, k, right["before"].get(k), right["after"].get(k)))
    return found


def _with_questions() -> list[catalog.Notebook]:
    every = (one for study in catalog.studies() for one in study.notebooks.values())
    return [one for one in every if _questions_of(one).is_file()]


def _questions_of(notebook: catalog.Notebook) -> Path:
    return notebook.path.with_suffix(".yaml")


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        found = parse_yaml(read_text(path))
    except (OSError, ValueError) as error:
        raise DataError(f"the questions {path.name} cannot be read", found=str(error)) from error
    if not isinstance(found, list) or not all(_is_question(one) for one in found):
        raise DataError(
            f"{path.name} holds no questions",
            expected="a list of question, right, wrong (a list without the right choice) and why",
        )
    return found


def _is_question(one: Any) -> bool:
    return (
        isinstance(one, dict)
        and set(one) == _FIELDS
        and isinstance(one["wrong"], list)
        and one["right"] not in one["wrong"]
        and all(isinstance(t, str) for t in (one["question"], one["why"], *_choices(one)))
    )


def _choices(one: Mapping[str, Any]) -> list[str]:
    """All choices in an order that tells nothing: by their text."""
    return sorted([one["right"], *one["wrong"]], key=str)


def _as_text(one: Mapping[str, Any], when: str) -> str:
    choices = "".join(f"<li>{escape(choice)}</li>" for choice in _choices(one))
    told = f"<p>Right: {escape(one['right'])}. {escape(one['why'])}</p>" if when == "after" else ""
    return f"<li><b>{escape(one['question'])}</b><ul>{choices}</ul>{told}</li>"
