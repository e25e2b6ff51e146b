"""Questions about ideas, asked before a lesson and again after it, without any network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from nextaim_kit.errors import DataError
from nextaim_kit.show.viewers.available import somebody_looks
from nextaim_kit.yaml_text import parse_yaml

_FIELDS = {"question", "right", "wrong", "why"}


class Quiz:
    """The questions of a lesson. A question's first choice counts.

    Before the lesson a choice is only noted. After it, each choice is answered with the reason,
    and the two scores stand side by side. Where nobody looks, as in a headless run, the questions
    are shown as text.

    Parameters
    ----------
    path : Path
        YAML file: a list of ``question``, ``right`` (a choice), ``wrong`` (a list of choices) and
        ``why`` (the reason, shown after the lesson).

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
        self._chosen: dict[str, dict[int, str]] = {"before": {}, "after": {}}

    def before(self) -> None:
        """Ask, and only note what is chosen."""
        self._ask("before")

    def after(self) -> None:
        """Ask again, say of each choice whether it is right and why, and show both scores."""
        self._ask("after")

    def choose(self, when: str, number: int, choice: str) -> str:
        """Take a choice, and give what is said to it; only the first one counts."""
        self._chosen[when].setdefault(number, choice)
        one = self.questions[number]
        if when == "before":
            return "Noted."
        return f"{'Right.' if choice == one['right'] else 'Not this one.'} {one['why']}"

    def score(self, when: str) -> str:
        """How many first choices were right so far, in words; empty before the first."""
        chosen = self._chosen[when]
        if not chosen:
            return ""
        right = sum(self.questions[k]["right"] == choice for k, choice in chosen.items())
        rest = len(self.questions) - len(chosen)
        open_ = f", {rest} open" if rest else ""
        return f"{when.capitalize()} the lesson: {right} of {len(chosen)} right{open_}."

    def _ask(self, when: str) -> None:
        from IPython.display import HTML, display

        if somebody_looks():
            self._chosen[when].clear()
            display(self._widget(when))
        else:
            display(HTML(f"<ol>{''.join(_as_text(one, when) for one in self.questions)}</ol>"))

    def _widget(self, when: str) -> Any:
        import ipywidgets as widgets

        total = widgets.HTML()
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
        whole = len(self._chosen[when]) == len(self.questions)
        scores = ["before", "after"] if when == "after" else ["before"] if whole else []
        total.value = f"<p role='status'><b>{' '.join(map(self.score, scores))}</b></p>"


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        found = parse_yaml(path.read_text(encoding="utf-8"))
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
