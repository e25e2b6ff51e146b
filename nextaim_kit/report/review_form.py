"""The report as a form in the notebook: read, edit, confirm, value by value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nextaim_kit.errors import DataError, KitError
from nextaim_kit.files import read_json, write_json
from nextaim_kit.report import codes
from nextaim_kit.report.model import CHECK_FIRST, Field, Report
from nextaim_kit.report.quantity import ABSENT, Quantity, Value
from nextaim_kit.report.questionnaire import from_response, to_response

if TYPE_CHECKING:
    import ipywidgets as widgets

CHANGED = "Changed here, not in the report: press Confirm"
_QUOTED = 60  # characters of the text that stand beside a value


class ReportForm:
    """A form over a report; `report` is the report as it stands.

    Each line has its value, its state and a button. The button confirms the value as it is shown,
    which is an edit if it was changed. There is no button for all of them, on purpose. Where the
    values were read from a text, those to check first stand first, each with the words that speak
    for it; else they stand by section.

    Parameters
    ----------
    report : Report
    by : str
        Pseudonym of who reviews.
    keep : Path, optional
        File that every review is kept in at once, as a FHIR QuestionnaireResponse; what it has
        already is taken up again.

    Raises
    ------
    DataError
        If the file has the review of another report, or is damaged.
    """

    def __init__(self, report: Report, by: str, *, keep: Path | None = None) -> None:
        import ipywidgets as widgets

        kept = keep is not None and keep.exists()
        self.report, self.by, self.keep = _kept(keep, report) if keep and kept else report, by, keep
        self.banner, self.said = widgets.HTML(), widgets.HTML()
        self.inputs: dict[str, Any] = {}
        self.buttons: dict[str, widgets.Button] = {}
        self.states: dict[str, widgets.Label] = {}
        self.widget = widgets.VBox([self.banner, *self._lines(), self.said])
        self._refresh()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)

    def review(self, key: str) -> None:
        """Confirm a field as its input shows it; a refusal is said below the form."""
        what = self.report.field(key).what
        try:
            value = what.checked(_given(what, self.inputs[key].value))
            changed = value != self.report.field(key).value
            act = self.report.edit(key, value, self.by) if changed else None
            reviewed = act or self.report.confirm(key, self.by)
            if self.keep:
                write_json(self.keep, to_response(reviewed))
            self.report = reviewed
            self.inputs[key].value = _shown(what, value)  # rounded as it is reported
            self._refresh()
        except KitError as error:
            self._say([error.what, f"expected: {error.expected}", f"found: {error.found}"])

    def _lines(self) -> Iterator[Any]:
        import ipywidgets as widgets

        if self.report.text:
            yield from (self._line(self.report.field(key)) for key in self.report.order)
            return
        from markupsafe import escape

        for section in self.report.template.sections:
            inside = [f for f in self.report.fields if f.what.section == section]
            if inside:
                yield widgets.HTML(f"<b>{escape(section.display)}</b>")
            yield from (self._line(f) for f in inside)

    def _line(self, one: Field) -> widgets.HBox:
        import ipywidgets as widgets

        what = one.what
        self.inputs[what.key] = _input(what, one.value)
        self.states[what.key] = widgets.Label()
        button = widgets.Button(description="Confirm", tooltip=f"Confirm {what.label}")
        button.on_click(lambda _: self.review(what.key))
        self.inputs[what.key].observe(
            lambda _: self._show_state(self.report.field(what.key)), names="value"
        )
        self.buttons[what.key] = button
        cells = [self.inputs[what.key], button, self.states[what.key]]
        quoted = " … ".join(self.report.quoted(what.key)) if self.report.text else ""
        if quoted:
            short = quoted if len(quoted) <= _QUOTED else f"{quoted[:_QUOTED]}…"
            cells.append(widgets.Label(f"“{short}”"))
        return widgets.HBox(cells)

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
        if self.report.unsupported(one):
            text = f"{CHECK_FIRST.upper()}: {text}"
        if one.confidence is not None and one.status == "ai-derived":
            text += f", confidence {one.confidence:.2f}"
        waits = self.inputs[one.what.key].value != _shown(one.what, one.value)
        self.states[one.what.key].value = CHANGED if waits else text

    def _say(self, texts: list[str]) -> None:
        from markupsafe import escape

        self.said.value = "<br>".join(str(escape(text)) for text in texts)


def _kept(keep: Path, report: Report) -> Report:
    """The report as its file has it, if it is the same one, reviewed or not."""
    try:
        found = from_response(read_json(keep), report.template)
    except (OSError, ValueError, DataError) as error:
        raise DataError(
            f"{keep.name} holds no review that can be read",
            expected="a file that this form left",
            found=" ".join(str(error).split())[:200],
            mend="take a copy of it that is whole, or remove it and review again",
        ) from error
    if _unreviewed(found) == _unreviewed(report):
        return found
    raise DataError(
        f"{keep.name} holds the review of another report",
        expected=f"the same values of {report.subject}, read from the same text",
        found=f"those of {found.subject}",
        mend="give another file, or remove it and review again",
    )


def _unreviewed(report: Report) -> tuple[Any, ...]:
    read = [(f.what.key, f.ai_value, f.confidence, f.evidence) for f in report.fields]
    return report.subject, report.site, report.software, report.text, read


def _shown(what: Quantity, value: Value) -> Any:
    """A value as its input holds it."""
    if what.kind == "number" and what.optional:
        return "" if value is None else what.shown(value)
    return ABSENT if value is None else value


def _given(what: Quantity, shown: Any) -> Any:
    """What an input holds, as a value; a text that is no number stays one, and is refused."""
    if what.kind != "number" or not isinstance(shown, str):
        return None if shown == ABSENT else shown
    written = shown.strip().replace(",", ".")
    try:
        return float(written) if written else None
    except ValueError:
        return shown


def _input(what: Quantity, value: Value) -> Any:
    import ipywidgets as widgets

    named = f"{what.label} ({what.ucum})" if what.ucum not in ("", "1") else what.label
    look = {"layout": widgets.Layout(width="28em"), "style": {"description_width": "19em"}}
    how = {"description": named, "value": _shown(what, value)} | look
    absent = [ABSENT] if what.optional else []
    if what.kind == "flag":
        either = [("yes", True), ("no", False), *((word, word) for word in absent)]
        return widgets.Dropdown(options=either, **how)
    if what.kind == "choice":
        words = [(code.display, word) for word, code in what.choices]
        return widgets.Dropdown(options=[*words, *((word, word) for word in absent)], **how)
    if what.optional:
        return widgets.Text(placeholder=ABSENT, continuous_update=True, **how)
    return (widgets.FloatText if what.digits else widgets.IntText)(**how)
