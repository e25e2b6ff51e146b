"""A run in the background as it goes: progress, cancel, log; then its result."""

from __future__ import annotations

import asyncio
from html import escape

import ipywidgets as widgets
from IPython.display import HTML

from nextaim_kit.errors import KitError
from nextaim_kit.launcher.later import later
from nextaim_kit.launcher.look import OUTCOMES, clock, ending
from nextaim_kit.launcher.result import links, report, result
from nextaim_kit.runs.background import Job, cancel, read
from nextaim_kit.runs.record import REPORT, read_record

_EVERY = 1.0  # seconds


class Watch:
    """Shows one run; looks at its state as long as it runs, and no longer."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.progress, self.refused, self.log = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.stop = widgets.Button(
            description="Cancel", tooltip=f"cancel the run of {job.notebooks[-1]}"
        )
        self.show_log = widgets.ToggleButton(
            description="Log", tooltip=f"show what the run of {job.notebooks[-1]} says"
        )
        self.read = widgets.ToggleButton(
            description="Read the report here",
            tooltip="show the report below",
            layout={"width": "auto"},
        )
        self.buttons = widgets.HBox([self.stop, self.show_log])
        self.result, self.report = widgets.Output(), widgets.Output()
        self.page = widgets.VBox(
            [self.progress, self.buttons, self.refused, self.log, self.report, self.result]
        )
        self.page.add_class("nextaim-job")
        self.stop.on_click(lambda _: self._cancel())
        self.show_log.observe(lambda _: self._show(), "value")
        self.read.observe(lambda _: self._read(), "value")
        self._show()
        if job.outcome == "running":
            later(self._follow())
        else:
            self._end()

    async def _follow(self) -> None:
        while self.job.outcome == "running":
            await asyncio.sleep(_EVERY)
            self.job = read(self.job.folder) or self.job
            self._show()
        self._end()

    def _show(self) -> None:
        self.progress.value = _progress(self.job)
        text = escape(self.job.log) if self.show_log.value else ""
        self.log.value = (
            f"<pre class='nextaim-log' tabindex=0 role=log aria-label='log'>{text}</pre>"
            if self.show_log.value
            else ""
        )

    def _end(self) -> None:
        """Show what came out."""
        folders = [self.job.runs / name for name in self.job.state.folders]
        there = bool(folders) and (folders[-1] / REPORT).is_file()
        self.buttons.children = [self.show_log, *([self.read] if there else [])]
        parts = [links(folder) for folder in folders]
        if self.job.outcome == "done":
            parts = [result(folders[-1]), *parts]
        self.result.outputs = ()
        if parts:
            self.result.append_display_data(HTML("".join(parts)))

    def _cancel(self) -> None:
        self.stop.disabled, self.stop.description = True, "Stopping …"
        try:
            cancel(self.job)
        except KitError as error:
            self.stop.disabled, self.stop.description = False, "Cancel"
            self.refused.value = f"<pre role=alert>{escape(str(error))}</pre>"

    def _read(self) -> None:
        self.report.outputs = ()
        if self.read.value:
            folder = self.job.runs / self.job.state.folders[-1]
            self.report.append_display_data(HTML(report(folder)))


def _ended(job: Job) -> str:
    """How a job ended, or that it runs; of a run that is done, how many were left out or warned."""
    record = read_record(job.runs / job.state.folders[-1]) if job.state.folders else None
    return escape(ending(record)) if job.outcome == "done" and record else OUTCOMES[job.outcome]


def _progress(job: Job) -> str:
    place = min(job.state.number, len(job.notebooks) - 1)
    notebook = escape(job.notebooks[place])
    changed = ", ".join(f"{n}={v}" for n, v in job.changed.items())
    title = f"<b>{notebook}</b> · {escape(job.profile)}"
    title += f" · {escape(changed)}" if changed else ""
    head = f"<p>{title}<br>{_ended(job)} · {clock(job.seconds)}"
    if job.outcome != "running":
        why = f"<pre role=alert>{escape(job.why)}</pre>" if job.why else ""
        return f"<div role=status>{head}</p></div>{why}"
    where = f"cell {job.state.cell} of {job.state.cells}" if job.state.cell else "starting"
    if len(job.notebooks) > 1:
        where = f"notebook {place + 1} of {len(job.notebooks)}, {where}"
    bar = f"<progress max=1 value={job.share:.3f} aria-label='progress of {notebook}'></progress>"
    now = f"{escape(where)} · {escape(job.state.heading)}" if job.state.heading else escape(where)
    return f"{head} · {now}</p>{bar}<p class=nextaim-line>{escape(job.line[:160])}&nbsp;</p>"
