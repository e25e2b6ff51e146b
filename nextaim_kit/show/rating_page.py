"""A page on which a reader rates pictures, one at a time; each answer is kept at once."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from numpy.typing import NDArray

from nextaim_kit.errors import KitError
from nextaim_kit.show.ratings import Answers

Picture = tuple[NDArray, str]  # uint8, (rows, columns, 3), and its alternative text


class RatingPage:
    """Pictures, questions below them, and where the reader stands.

    What was answered before, in whatever session, is there again. It begins with the first picture
    that is not rated yet.

    Parameters
    ----------
    answers : Answers
    order : sequence of str
        The items, as this reader sees them.
    picture : callable
        An item's picture with its alternative text. Neither may tell what the reader must not know.
    """

    def __init__(
        self, answers: Answers, order: Sequence[str], picture: Callable[[str], Picture]
    ) -> None:
        import ipywidgets as widgets

        self.answers, self.order, self._picture = answers, list(order), picture
        self.where, self.shown, self.said = (widgets.HTML() for _ in range(3))
        self.choices = {name: self._question(name) for name in answers.sheet.questions}
        self.back = _button("Back", "the picture before", lambda: self.go(self.at - 1))
        self.next = _button("Next", "the next picture", lambda: self.go(self.at + 1))
        self.open = _button("Next unrated", "the next that is not rated", self._go_on)
        lines = [
            widgets.VBox([widgets.HTML(_words(answers, n)), c]) for n, c in self.choices.items()
        ]
        below = widgets.Layout(margin="12px 0 0 0")
        buttons = widgets.HBox([self.back, self.next, self.open], layout=below)
        self.widget = widgets.VBox([self.where, self.shown, *lines, buttons, self.said])
        self.at = len(order) - 1
        self._go_on()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)

    @property
    def item(self) -> str:
        """The item that is shown."""
        return self.order[self.at]

    def go(self, at: int) -> None:
        """Show the item at a place of the order, with what was answered to it."""
        self.at = at % len(self.order)
        self.shown.value = _as_html(*self._picture(self.item))
        given = self.answers.given.get(self.item, {})
        for name, choice in self.choices.items():
            choice.value = given.get(name)
        self._stand()

    def rate(self, question: str, answer: str | None) -> None:
        """Keep an answer to the item that is shown; a refusal is said below."""
        if answer is None or self.answers.given.get(self.item, {}).get(question) == answer:
            return
        try:
            self.answers.put(self.item, question, answer)
            self._stand()
        except KitError as error:
            self.said.value = f"<b>Not kept.</b> {escape(str(error))}".replace("\n", "<br>")

    def _question(self, name: str) -> Any:
        import ipywidgets as widgets

        choice = widgets.ToggleButtons(options=list(self.answers.sheet.scale), value=None)
        choice.observe(lambda change: self.rate(name, change["new"]), names="value")
        return choice

    def _go_on(self) -> None:
        after = [(self.at + k) % len(self.order) for k in range(1, len(self.order) + 1)]
        rated = set(self.answers.rated)
        self.go(next((at for at in after if self.order[at] not in rated), after[0]))

    def _stand(self) -> None:
        done, all_ = len(self.answers.rated), len(self.order)
        self.where.value = f"<b>Picture {self.at + 1} of {all_}</b>, {done} rated"
        end = "All are rated. " if done == all_ else ""
        self.said.value = f"{end}Each answer is kept at once, in {escape(str(self.answers.path))}"


def _words(answers: Answers, name: str) -> str:
    return f"<b>{escape(name)}</b>: {escape(answers.sheet.questions[name])}"


def _button(text: str, tooltip: str, act: Callable[[], None]) -> Any:
    import ipywidgets as widgets

    button = widgets.Button(description=text, tooltip=tooltip)
    button.on_click(lambda _: act())
    return button


def _as_html(pixels: NDArray, alt: str) -> str:
    from PIL import Image

    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, format="png")
    code = base64.b64encode(packed.getvalue()).decode()
    return f'<img alt="{escape(alt)}" style="max-width: 100%" src="data:image/png;base64,{code}">'
