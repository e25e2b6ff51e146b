"""The report as a form in the notebook: read, edit, confirm, value by value."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nextaim_kit.errors import DataError, KitError
from nextaim_kit.files import read_json, write_json
from nextaim_kit.report import codes
from nextaim_kit.report.model import CHECK_FIRST, Field, ReasonWanted, Refused, Report
from nextaim_kit.report.page import embedded
from nextaim_kit.report.quantity import Quantity, Value
from nextaim_kit.report.questionnaire import from_response, to_response

if TYPE_CHECKING:
    import ipywidgets as widgets

CHANGED = "Changed here, not in the report: press Confirm"
_QUOTED = 60  # characters of the text that stand beside a value


class ReportForm:
    """A form over a report; `report` is the report as it stands.

    Each line has its value, its state and a button. The button confirms the value as it is shown,
    which is an edit if it was changed; what came of it is said beside the button. A value that
    contradicts others is refused, unless these were changed in the form too: then all of them are
    reviewed at once. One that is unusual asks for a reason. There is no button for all of them, on
    purpose. Where the values were read from a text, those to check first stand first, each with
    the words that speak for it; else they stand by section, beside the image.

    Parameters
    ----------
    report : Report
    by : str
        Pseudonym of who reviews.
    keep : Path, optional
        File that every review is kept in at once, as a FHIR QuestionnaireResponse; what it has
        already is taken up again.
    beside : Widget, optional
        What shows the images, such as a viewer; by default the report's picture, above the lines.

    Raises
    ------
    DataError
        If the file has the review of another report, or is damaged.
    """

    def __init__(
        self, report: Report, by: str, *, keep: Path | None = None, beside: Any = None
    ) -> None:
        import ipywidgets as widgets

        kept = keep is not None and keep.exists()
        self.report, self.by, self.keep = _kept(keep, report) if keep and kept else report, by, keep
        self.banner = widgets.HTML()
        self.inputs: dict[str, Any] = {}
        self.buttons: dict[str, widgets.Button] = {}
        self.reasons: dict[str, widgets.Text] = {}
        self.states: dict[str, widgets.HTML] = {}
        self.said: dict[str, widgets.HTML] = {}
        self.lines = widgets.VBox(list(self._lines()))
        self.widget = widgets.VBox([self.banner, self._with_images(beside)])
        self._refresh()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)

    def review(self, key: str) -> None:
        """Review a field as its input shows it; what came of it is said beside its button.

        Changed inputs that it hangs together with are reviewed with it.
        """
        try:
            values = {key: _given(self.report.field(key).what, self.inputs[key].value)}
            report = self._reviewed(values, self.reasons[key].value)
            if self.keep:
                write_json(self.keep, to_response(report))
            self.report = report
            for one in (report.field(k) for k in values):
                self.inputs[one.what.key].value = _shown(one.what, one.value)  # as it is reported
            self._refresh()
            together = [report.field(k).what.label for k in values if k != key]
            self._say(key, "Done" + (f", with {', '.join(together)}" if together else ""))
        except KitError as error:
            self._refresh()
            why = error.found if isinstance(error, Refused) else error.what
            lines = ["not confirmed", why, f"expected: {error.expected}", error.mend]
            said = " ".join(f"{line[0].upper()}{line[1:]}." for line in lines if line)
            self._say(key, said, refused=True)
            if isinstance(error, ReasonWanted):
                self.reasons[key].layout.display = ""

    def _reviewed(self, values: dict[str, Any], reason: str) -> Report:
        """The report with values reviewed; changed inputs that contradict them join `values`."""
        while True:
            try:
                return self.report.review(values, self.by, reason=reason)
            except Refused as refused:
                others = [self.report.field(key) for key in refused.keys if key not in values]
                more = [one.what for one in others if self._waits(one)]
                if not more:
                    raise
                values |= {what.key: _given(what, self.inputs[what.key].value) for what in more}

    def _waits(self, one: Field) -> bool:
        return bool(self.inputs[one.what.key].value != _shown(one.what, one.value))

    def _with_images(self, beside: Any) -> Any:
        """The lines scroll beside a viewer or below a picture, so that both stay in sight."""
        import ipywidgets as widgets

        flow = "row wrap" if beside is not None else "column"
        if beside is None and self.report.picture:
            alt = self.report.template.caption.replace("{subject}", self.report.subject)
            beside = widgets.HTML(f'<img style="max-width: 100%" alt="{escape(alt)}" '
                                  f'src="{embedded(self.report)}">')  # fmt: skip
        if beside is None:
            return self.lines
        beside.layout.flex, beside.layout.min_width = "1 1 26em", "0"
        self.lines.layout = widgets.Layout(max_height="38em", overflow="auto", flex="1 1 46em")
        return widgets.Box([beside, self.lines], layout=widgets.Layout(flex_flow=flow))

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

    def _line(self, one: Field) -> Any:
        import ipywidgets as widgets

        what, key = one.what, one.what.key
        self.inputs[key] = _input(what, one.value)
        self.states[key], self.said[key] = widgets.HTML(), widgets.HTML()
        self.reasons[key] = widgets.Text(
            description="Reason", placeholder="why it is so; no names",
            layout={"width": "34em", "display": "none"}, style={"description_width": "21em"},
        )  # fmt: skip
        button = widgets.Button(
            description="Confirm", tooltip=f"Confirm {what.label}", layout={"width": "6em"}
        )
        button.on_click(lambda _: self.review(key))
        self.inputs[key].observe(lambda _: self._show_state(self.report.field(key)), names="value")
        self.buttons[key] = button
        cells = [self.inputs[key], button, self.said[key], self.states[key]]
        quoted = " … ".join(self.report.quoted(key)) if self.report.text else ""
        if quoted:
            short = quoted if len(quoted) <= _QUOTED else f"{quoted[:_QUOTED]}…"
            cells.append(widgets.Label(f"“{short}”"))
        wrap = widgets.Layout(flex_flow="row wrap", align_items="center")
        line = [widgets.HBox(cells, layout=wrap), self.reasons[key]]
        return widgets.VBox(line, layout=widgets.Layout(flex="0 0 auto"))

    def _refresh(self) -> None:
        checks = [f"Check ({d.name}): {d.text}" for d in self.report.doubts]
        said = "<br>".join(escape(text) for text in checks)
        self.banner.value = f"<b>{escape(self.report.state)}</b><br>{said}"
        for one in self.report.fields:
            self._show_state(one)
            self.said[one.what.key].value = ""
            if not one.reason:
                self.reasons[one.what.key].layout.display = "none"

    def _show_state(self, one: Field) -> None:
        text = codes.status_words(one.status) + (f" ({one.by})" if one.by else "")
        if one.status == "edited":
            text += f", AI: {one.what.shown(one.ai_value)}"
        if self.report.unsupported(one):
            text = f"{CHECK_FIRST.upper()}: {text}"
        if one.confidence is not None and one.status == "ai-derived":
            text += f", confidence {one.confidence:.2f}"
        self.states[one.what.key].value = escape(CHANGED if self._waits(one) else text)

    def _say(self, key: str, text: str, *, refused: bool = False) -> None:
        """Beside a button, and aloud: a screen reader speaks an alert when it appears."""
        color, role = ("#a34700", "alert") if refused else ("#00634a", "status")
        self.said[key].value = (
            f'<span role="{role}" style="border-left: 4px solid {color}; padding-left: 0.4em">'
            f"<b>{escape(text)}</b></span>"
        )


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
    return what.absent if value is None else value


def _given(what: Quantity, shown: Any) -> Any:
    """What an input holds, as a value; a text that is no number stays one, and is refused."""
    if what.kind != "number" or not isinstance(shown, str):
        return None if shown == what.absent else shown
    written = shown.strip().replace(",", ".")
    try:
        return float(written) if written else None
    except ValueError:
        return shown


def _input(what: Quantity, value: Value) -> Any:
    import ipywidgets as widgets

    named = f"{what.label} ({what.unit_text})" if what.unit_text else what.label
    wide = "28em" if what.kind == "number" else "31em"
    look = {"layout": widgets.Layout(width=wide), "style": {"description_width": "21em"}}
    how = {"description": named, "value": _shown(what, value)} | look
    absent = [what.absent] if what.optional else []
    if what.kind == "flag":
        either = [("yes", True), ("no", False), *((word, word) for word in absent)]
        return widgets.Dropdown(options=either, **how)
    if what.kind == "choice":
        words = [(code.display, word) for word, code in what.choices]
        return widgets.Dropdown(options=[*words, *((word, word) for word in absent)], **how)
    if what.optional:
        return widgets.Text(placeholder=what.absent, continuous_update=True, **how)
    return (widgets.FloatText if what.digits else widgets.IntText)(**how)
