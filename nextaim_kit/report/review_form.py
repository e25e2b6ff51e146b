"""The report as a form in the notebook: read, edit, confirm, value by value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nextaim_kit.errors import KitError
from nextaim_kit.report import codes
from nextaim_kit.report.model import Field, Report
from nextaim_kit.report.quantity import Quantity, Value

if TYPE_CHECKING:
    import ipywidgets as widgets

CHANGED = "Changed here, not in the report: press Confirm"


class ReportForm:
    """A form over a report; `report` is the report as it stands.

    Each line has its value, its state and a button. The button confirms the value as it is shown,
    which is an edit if it was changed. There is no button for all of them, on purpose.

    Parameters
    ----------
    report : Report
    by : str
        Pseudonym of who reviews.
    """

    def __init__(self, report: Report, by: str) -> None:
        import ipywidgets as widgets

        self.report, self.by = report, by
        self.banner, self.said = widgets.HTML(), widgets.HTML()
        self.inputs: dict[str, Any] = {}
        self.buttons: dict[str, widgets.Button] = {}
        self.states: dict[str, widgets.Label] = {}
        lines: list[Any] = []
        for section in codes.SECTIONS:
            inside = [f for f in report.fields if f.what.section == section]
            lines += [widgets.HTML(f"<b>{section.display}</b>")] if inside else []
            lines += [self._line(f.what, f.value) for f in inside]
        self.widget = widgets.VBox([self.banner, *lines, self.said])
        self._refresh()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)

    def review(self, key: str) -> None:
        """Confirm a field as its input shows it; a refusal is said below the form."""
        try:
            value = self.report.field(key).what.checked(self.inputs[key].value)
            changed = value != self.report.field(key).value
            act = self.report.edit(key, value, self.by) if changed else None
            self.report = act or self.report.confirm(key, self.by)
            self.inputs[key].value = value  # rounded as it is reported
            self._refresh()
        except KitError as error:
            self._say([error.what, f"expected: {error.expected}", f"found: {error.found}"])

    def _line(self, what: Quantity, value: Value) -> widgets.HBox:
        import ipywidgets as widgets

        self.inputs[what.key] = _input(what, value)
        self.states[what.key] = widgets.Label()
        button = widgets.Button(description="Confirm", tooltip=f"Confirm {what.label}")
        button.on_click(lambda _: self.review(what.key))
        self.inputs[what.key].observe(
            lambda _: self._show_state(self.report.field(what.key)), names="value"
        )
        self.buttons[what.key] = button
        wide = widgets.Layout(width="18em")
        cells = [widgets.Label(what.label, layout=wide), self.inputs[what.key]]
        cells += [widgets.Label(what.ucum, layout=widgets.Layout(width="4em")), button]
        return widgets.HBox([*cells, self.states[what.key]])

    def _refresh(self) -> None:
        from markupsafe import escape

        self.banner.value = f"<b>{escape(self.report.state)}</b>"
        for one in self.report.fields:
            self._show_state(one)
        self._say([f"Check ({d.name}): {d.text}" for d in self.report.doubts])

    def _show_state(self, one: Field) -> None:
        text = codes.status_words(one.status) + (f" ({one.by})" if one.by else "")
        if one.status == "edited":
            text += f", AI: {one.what.shown(one.ai_value)}"
        waits = self.inputs[one.what.key].value != one.value
        self.states[one.what.key].value = CHANGED if waits else text

    def _say(self, texts: list[str]) -> None:
        from markupsafe import escape

        self.said.value = "<br>".join(str(escape(text)) for text in texts)


def _input(what: Quantity, value: Value) -> Any:
    import ipywidgets as widgets

    narrow = widgets.Layout(width="9em")
    if what.kind == "flag":
        return widgets.Dropdown(options=[("yes", True), ("no", False)], value=value, layout=narrow)
    if what.kind == "choice":
        words = [word for word, _ in what.choices]
        return widgets.Dropdown(options=words, value=value, layout=narrow)
    kind = widgets.FloatText if what.digits else widgets.IntText
    return kind(value=value, layout=narrow)
