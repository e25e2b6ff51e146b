"""A notebook's form: its parameters, what a run takes, and whether that fits this machine."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from nextaim_kit import catalog
from nextaim_kit.errors import DataError, KitError
from nextaim_kit.launcher.controls import LABELS, WIDE, Control
from nextaim_kit.launcher.later import gpu_found, when_gpu_is_found
from nextaim_kit.launcher.look import style
from nextaim_kit.launcher.takes import profile_words, takes
from nextaim_kit.launcher.watch import Watch
from nextaim_kit.runs.background import Job, begin, jobs
from nextaim_kit.runs.chain import before, command_line, feeders
from nextaim_kit.runs.compare import Reference
from nextaim_kit.runs.parameters import read_parameters, resolve


def form(notebook: str = "ct_radiomics/severity", profile: str = "tutorial") -> None:
    """Show the form; what runs in the background is shown below it, wherever it was started."""
    display(Form(notebook, profile).page)


class Form:
    """Asks for one run.

    Parameters
    ----------
    notebook, profile : str
        What stands in the form at first.
    """

    def __init__(self, notebook: str, profile: str) -> None:
        self._filling = True
        self.notebook = widgets.Dropdown(
            options=_notebooks(), value=catalog.find(notebook).id, description="notebook",
            tooltip="notebook to run", layout=widgets.Layout(width="60em", max_width="100%"),
            style=LABELS,
        )  # fmt: skip
        self.profile = widgets.Dropdown(
            description="profile", tooltip="named set of parameters", layout=WIDE, style=LABELS
        )
        self.feeders = widgets.Checkbox(
            description="run its inputs first", layout=WIDE, style=LABELS,
            tooltip="run first the notebooks whose results this one reads",
        )  # fmt: skip
        self.force = widgets.Checkbox(
            description="run anyway", layout=WIDE, style=LABELS,
            tooltip="though it is done already, or is made for a GPU and none is found here",
        )  # fmt: skip
        self.fed = widgets.HTML()
        self.fed.add_class("nextaim-about")
        self.fed_row = widgets.HBox([self.feeders, self.fed])
        self.start = widgets.Button(
            description="Start", button_style="primary", tooltip="start this run in the background"
        )
        self.about, self.takes, self.command, self.refused = (widgets.HTML() for _ in range(4))
        self.refused.add_class("nextaim-refused")
        self.controls: dict[str, Control] = {}
        self.parameters, self.running = widgets.VBox(), widgets.VBox()
        self.page = widgets.VBox(
            [
                widgets.HTML(style()), self.notebook, self.about, self.profile, self.parameters,
                self.fed_row, self.force, self.takes, self.command,
                self.start, self.refused, self.running,
            ]
        )  # fmt: skip
        self.page.add_class("nextaim-start")
        self.watches: list[Watch] = []
        self._watch(*(job for job in jobs() if job.outcome == "running"))
        self._choose_notebook(profile)
        self.notebook.observe(lambda _: self._choose_notebook(self.profile.value), "value")
        self.profile.observe(lambda _: self._choose_profile(), "value")
        self.feeders.observe(lambda _: self._show(), "value")
        self.force.observe(lambda _: self._show(), "value")
        self.start.on_click(lambda _: self._begin())
        when_gpu_is_found(self._show)

    @property
    def notebooks(self) -> list[str]:
        """What is to be run, in its order."""
        chosen = self.notebook.value
        return [*before(chosen), chosen] if self.feeders.value else [chosen]

    @property
    def changed(self) -> dict[str, Any]:
        """The parameters that are not the profile's.

        Raises
        ------
        RequestError
            For the first that cannot be.
        """
        values = {name: control.value for name, control in self.controls.items()}
        return {name: v for name, v in values.items() if self.controls[name].changed}

    def _choose_notebook(self, profile: str) -> None:
        self._filling = True
        notebook = catalog.find(self.notebook.value)
        self.refused.value, self.about.value = "", _about(notebook)
        try:
            declared = read_parameters(notebook.path)
        except DataError as error:
            self._cannot_be_read(error)
            return
        self.controls = {name: Control(p, self._show_request) for name, p in declared.items()}
        self.parameters.children = [control.row for control in self.controls.values()]
        profiles = [p for p in catalog.PROFILES if p == "tutorial" or p in notebook.profiles]
        self.profile.options = [(profile_words(notebook, p), p) for p in profiles]
        self.profile.value = profile if profile in profiles else "tutorial"
        self.feeders.value = False
        self.fed.value = _fed(notebook)
        self.fed_row.layout.display = "flex" if notebook.needs else "none"
        self._choose_profile()

    def _cannot_be_read(self, error: DataError) -> None:
        """Show why, and nothing of the notebook that stood here before."""
        self.controls, self.parameters.children, self.profile.options = {}, (), ()
        self.takes.value = self.command.value = ""
        self.refused.value = f"<pre role=alert>{escape(str(error))}</pre>"
        self.start.disabled = True

    def _choose_profile(self) -> None:
        self._filling = True
        notebook = catalog.find(self.notebook.value)
        if self.profile.value is None:  # between two lists of profiles
            return
        for name, value in resolve(notebook, self.profile.value, {}).items():
            self.controls[name].fill(value)
        self._filling = False
        self._show()

    def _show(self) -> None:
        if not self._filling:
            self._show_request()

    def _show_request(self) -> None:
        if self._filling:
            return
        refused = any(control.refused for control in self.controls.values())
        self.start.disabled = refused
        if not refused:
            self.takes.value = "".join(self._takes(one) for one in self.notebooks)
            line = command_line(self.notebooks, self.profile.value, self.changed, self.force.value)
            self.command.value = (
                "<label class='nextaim-command'>the same on the command line: "
                f'<input readonly onfocus="this.select()" value="{escape(line)}"></label>'
            )

    def _takes(self, notebook_id: str) -> str:
        """What one of the notebooks takes with what stands in the form."""
        declared = read_parameters(catalog.find(notebook_id).path)
        own = {name: value for name, value in self.changed.items() if name in declared}
        fed = feeders(notebook_id, self.notebooks)
        return takes(notebook_id, self.profile.value, own, fed, force=self.force.value)

    def _begin(self) -> None:
        self.refused.value = ""
        self.start.disabled = True  # a second click is not a second request
        known = gpu_found()
        try:
            job = begin(
                self.notebooks, self.profile.value, self.changed,
                force=self.force.value, gpu=known.total if known else None,
            )  # fmt: skip
        except KitError as error:
            self.refused.value = f"<pre role=alert>{escape(str(error))}</pre>"
        else:
            self._watch(job)
            self.force.value = False
        finally:
            self.start.disabled = False

    def _watch(self, *jobs: Job) -> None:
        """Show runs above those that are shown already; one that is still followed stays."""
        shown = {(w.job.key, w.job.began) for w in self.watches}
        new = [Watch(job) for job in jobs if (job.key, job.began) not in shown]
        anew = {w.job.key for w in new}
        self.watches = [*new, *(w for w in self.watches if w.job.key not in anew)]
        self.running.children = [w.page for w in self.watches]


def _notebooks() -> list[tuple[str, str]]:
    every = [(s, n) for s in catalog.studies() for n in s.notebooks.values()]
    return [(f"{n.id}: {n.title}", n.id) for s, n in every]


def _about(notebook: catalog.Notebook) -> str:
    study = catalog.study_of(notebook.id)
    published = [
        f"<li>{escape(p.metric)} {escape(Reference(p, '').text)}, {_linked(p)}</li>"
        for p in study.published
        if p.notebook == notebook.stage
    ]
    numbers = f"<p>Published:</p><ul>{''.join(published)}</ul>" if published else ""
    return f"<div class='nextaim-question'><p>{escape(study.question)}</p>{numbers}</div>"


def _linked(number: catalog.Published) -> str:
    where = escape(number.where)
    return f'<a href="{number.link}" target="_blank">{where}</a>' if number.link else where


def _fed(notebook: catalog.Notebook) -> str:
    """Which notebooks feed one, and with what."""
    handed = [f"{escape(name)} is {escape(source)}" for name, source in notebook.needs.items()]
    return f"runs {escape(', then '.join(before(notebook.id)))}; then {'; '.join(handed)}"
