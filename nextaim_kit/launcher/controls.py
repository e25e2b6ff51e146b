"""A parameter as a control: made from its type, filled by a profile, checked as it changes."""

from __future__ import annotations

import typing
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from nextaim_kit.errors import RequestError
from nextaim_kit.runs.parameters import Parameter

WIDE = widgets.Layout(width="26em", max_width="100%")
LABELS = {"description_width": "11em"}


class Control:
    """A parameter's label and control, its meaning, and what is wrong with its value.

    Parameters
    ----------
    parameter : Parameter
    heard : callable
        Called whenever the value has changed.
    """

    def __init__(self, parameter: Parameter, heard: Callable[[], None]) -> None:
        self.parameter, self._heard = parameter, heard
        self._profile = parameter.default
        self.input, self.typed = _input(parameter)
        self._about, self._refused = widgets.HTML(), widgets.HTML()
        self._about.add_class("nextaim-about")
        self._refused.add_class("nextaim-refused")
        self.row = widgets.VBox([widgets.HBox([self.input, self._about]), self._refused])
        self.row.add_class("nextaim-row")
        self.input.observe(self._changed, "value")
        self._show()

    def fill(self, value: Any) -> None:
        """Take a profile's value."""
        self._profile = value
        self.input.value = self.parameter.text(value) if self.typed else value
        self._show()

    @property
    def value(self) -> Any:
        """The value, checked.

        Raises
        ------
        RequestError
            As the command line refuses it.
        """
        value = self.input.value
        if self.typed:
            return self.parameter.parse(value)
        # A box for whole numbers alone would cut 2.7 to 2 and say nothing.
        whole = self.parameter.kind is int and float(value).is_integer()
        return self.parameter.check(int(value) if whole else value)

    @property
    def refused(self) -> str:
        """Why the value cannot be; empty if it can."""
        try:
            _ = self.value
        except RequestError as error:
            return str(error)
        return ""

    @property
    def changed(self) -> bool:
        """Whether the value is another than the profile's."""
        return not self.refused and self.value != self._profile

    def _changed(self, _: Any) -> None:
        self._show()
        self._heard()

    def _show(self) -> None:
        p = self.parameter
        mark = f"<b>changed</b>, was {escape(p.text(self._profile) or 'empty')} · "
        limits = "" if p.choices or p.kind is bool else f" <span>({escape(p.expected)})</span>"
        self._about.value = (mark if self.changed else "") + escape(p.help) + limits
        self._refused.value = (
            f"<pre role=alert>{escape(self.refused)}</pre>" if self.refused else ""
        )


def _input(parameter: Parameter) -> tuple[Any, bool]:
    """A control for a parameter's type, and whether its value is text as one would type it."""
    look = {
        "description": parameter.name,
        "tooltip": f"{parameter.name}: {parameter.help}",
        "layout": WIDE,
        "style": LABELS,
    }
    value, kind = parameter.default, parameter.kind
    if parameter.choices:
        return widgets.Dropdown(options=parameter.choices, value=value, **look), False
    if kind is bool:
        return widgets.Checkbox(value=value, indent=True, **look), False
    if kind in (int, float):
        step = 1 if kind is int else None
        return widgets.FloatText(value=value, step=step, **look), False
    listed = "comma-separated" if typing.get_origin(kind) is list else ""
    text = parameter.text(value)
    return widgets.Text(value=text, placeholder=listed, continuous_update=False, **look), True
