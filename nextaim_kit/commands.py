"""The commands of the terminal: thin, and the only place that sets exit codes."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nextaim_kit import __version__, catalog
from nextaim_kit.errors import KitError, RequestError, RunError
from nextaim_kit.places import absolute, placed
from nextaim_kit.runs.typed import Unreadable, read_value
from nextaim_kit.terminal import archives, privacy, store
from nextaim_kit.yaml_text import parse_yaml

app = typer.Typer(
    name="nextaim",
    help="Run the notebooks of nextaim_kit as functions, and see their results side by side.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Data sets: what there is, how to get it, whether it is whole.")
app.add_typer(data_app, name="data", no_args_is_help=True)
cache_app = typer.Typer(
    help="Steps of preprocessing that are kept: what lies there, what to remove."
)
data_app.add_typer(cache_app, name="cache", no_args_is_help=True)
privacy.register(data_app)
store.register(data_app)
archives.register(data_app)

sweep_app = typer.Typer(help="Sweeps: many runs, planned in a file, on this machine or a cluster.")
app.add_typer(sweep_app, name="sweep", no_args_is_help=True)
course_app = typer.Typer(help="A course: notebooks to learn with, and what was solved.")
app.add_typer(course_app, name="course", no_args_is_help=True)
viewer_app = typer.Typer(help="Viewers of volumes that have to be fetched once.")
app.add_typer(viewer_app, name="viewer", no_args_is_help=True)

_INTERRUPTED = 130  # what Typer makes of Ctrl-C


def _number(kind: type, least: int) -> Callable[[str], Any]:
    """Reads an option's number as strictly as a parameter's."""

    def read(text: str) -> Any:
        try:
            value = read_value(text, kind)
        except Unreadable as error:
            raise typer.BadParameter(f"{text!r}, expected: {error.form}") from None
        if not least <= value < math.inf:
            raise typer.BadParameter(f"{text!r}, expected: at least {least}")
        return value

    return read


# Wherever a process stands later, a path means what it meant where it was typed.
Sweep = Annotated[
    Path,
    typer.Argument(
        parser=placed, metavar="SWEEP", help="A sweep file; once planned, its folder will do."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", parser=placed, metavar="PATH", help="Folder of the runs."),
]


def obey(arguments: list[str] | None = None) -> int:
    """Do what a command line asks; give 0 for done, 1 failed, 2 wrong request, 138 kernel killed.

    Parameters
    ----------
    arguments : list of str, optional
        This process's own, unless they are given.
    """
    # A batch system's request to end is obeyed as Ctrl-C is: nothing stays half made.
    with contextlib.suppress(ValueError):  # not the main thread: its owner decides
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(OSError):  # a caller that changed its folder may not have said so
        os.environ["PWD"] = os.getcwd()
    try:
        os.environ.update(absolute())
        code = _command(arguments, prog_name="nextaim", standalone_mode=False)
    except KitError as error:
        _errors().print(f"[bold red]error:[/] {escape(str(error))}")
        return error.exit_code
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        error.show()  # type: ignore[attr-defined]  # a usage error of the option parser
        return int(error.exit_code)
    if code == _INTERRUPTED:
        _errors().print("stopped; nothing is half written, the same command goes on from here")
    return code if isinstance(code, int) else 0


def console() -> Console:
    """Terminal of the command line; wide enough for tables where output goes to a file."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=120, height=50)


def _errors() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@app.command("list")
def list_notebooks() -> None:
    """List the studies and their notebooks."""
    table = Table("notebook", "what it does", "minutes", title_justify="left", box=None)
    for study in catalog.studies():
        table.add_row(f"[bold]{study.id}[/]", f"[bold]{escape(study.title)}[/]", "")
        for notebook in study.notebooks.values():
            takes = notebook.resources.get("tutorial")
            table.add_row(
                f"  {notebook.id}", escape(notebook.title), _minutes(takes) if takes else ""
            )
    console().print(table)


def _minutes(takes: catalog.Resources) -> str:
    """Minutes of a run; and of one with what an earlier notebook left, where they differ."""
    return f"{takes.minutes:g}" + (f", fed {takes.fed:g}" if takes.fed else "")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="A notebook, or a study.")],
) -> None:
    """Show a notebook: question, parameters, profiles, outputs, what was published."""
    for number, notebook_id in enumerate(catalog.expand(name)):
        console().print("\n" * min(number, 1), end="")
        _show(notebook_id)


def _show(notebook_id: str) -> None:
    from nextaim_kit.runs.parameters import read_parameters

    notebook, study = catalog.find(notebook_id), catalog.study_of(notebook_id)
    out = console()
    out.print(f"[bold]{notebook.id}[/]  {escape(notebook.title)}\n{escape(study.question)}\n")
    table = Table("parameter", "type", "default", "meaning", box=None)
    for p in read_parameters(notebook.path).values():
        table.add_row(p.name, escape(p.expected), escape(repr(p.default)), escape(p.help))
    out.print(table)
    table = Table("profile", "minutes", "memory GB", "GPU GB", "sets", box=None)
    for profile in dict.fromkeys(["tutorial", *notebook.profiles]):
        takes = notebook.resources.get(profile)
        sizes = [f"{v:g}" for v in (takes.memory_gb, takes.vram_gb)] if takes else ["", ""]
        sizes.insert(0, _minutes(takes) if takes else "")
        sets = ", ".join(f"{k}={v}" for k, v in notebook.profiles.get(profile, {}).items())
        table.add_row(profile, *sizes, escape(sets or "the defaults"))
    out.print("\n", table)
    out.print(f"\nleaves: {', '.join(notebook.outputs.metrics + notebook.outputs.files)}")
    for number in (p for p in study.published if p.notebook in (None, notebook.stage)):
        spread = f" ± {number.spread:g}" if number.spread is not None else ""
        source = escape(f"[{number.tag}] {number.where}  {number.link}".rstrip())
        out.print(f"published: {number.metric} {number.value:g}{spread}  {source}")


@app.command()
def plan(
    name: Annotated[str, typer.Argument(metavar="ID", help="A notebook, or a study.")],
    on: Annotated[
        str, typer.Option(metavar="CARD,...", help="Cards, such as v100-16,mig-10; else all.")
    ] = "",
) -> None:
    """Tell on which cards a notebook's training fits, and about how long it takes there."""
    from nextaim_kit.terminal.cards import print_plan

    names = [one.strip() for one in on.split(",") if one.strip()]
    print_plan(console(), [catalog.find(one) for one in catalog.expand(name)], names)


@app.command()
def run(
    notebook_ids: Annotated[
        list[str],
        typer.Argument(metavar="ID...", help="Notebooks; a study is all of its own."),
    ],
    profile: Annotated[str, typer.Option(help="Named set of parameters.")] = "tutorial",
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="NAME=VALUE", help="One parameter; may be repeated."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("-f", parser=placed, metavar="PATH", help="YAML file of parameters."),
    ] = None,
    out: Out = None,
    force: Annotated[
        bool, typer.Option(help="Run although done, or without the GPU it is made for.")
    ] = False,
) -> None:
    """Run notebooks headless; what is done already is not run again.

    Several notebooks run in the order given, and the result of one is handed to the next
    that needs it. A parameter goes to each notebook that has one of this name.
    """
    from nextaim_kit.terminal.runs import run_all

    every = [one for name in notebook_ids for one in catalog.expand(name)]
    raise typer.Exit(run_all(every, profile, _given(parameter or [], file), out, force))


def _given(pairs: list[str], file: Path | None) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if file is not None:
        if not file.is_file():
            raise RequestError(f"no parameter file {file}", mend="give an existing YAML file")
        try:
            given = parse_yaml(file.read_text(encoding="utf-8")) or {}
        except ValueError as error:
            raise RequestError(
                f"{file} is no YAML file",
                expected="lines of name: value, in UTF-8",
                found=str(error),
            ) from error
        if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
            raise RequestError(f"{file} holds no parameters", expected="lines of name: value")
    said: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise RequestError(f"cannot read the parameter {pair!r}", expected="-p name=value")
        if name.strip() in said:
            raise RequestError(f"the parameter {name.strip()!r} is given twice", mend="keep one")
        said[name.strip()] = value
    return given | said


@app.command()
def board(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN...]", help="Runs by id, or a notebook: side by side."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(parser=placed, metavar="PATH", help="Write the board as one HTML page."),
    ] = None,
    out: Out = None,
) -> None:
    """Show each result beside the published number.

    Of one notebook's runs, such as two that differ in the seed, it shows what was set otherwise
    and each number with its interval: `nextaim board RUN RUN`, or all of a notebook's newest.
    """
    from nextaim_kit.runs.board import collect, render_board, strange_text
    from nextaim_kit.runs.record import runs_folder
    from nextaim_kit.runs.side_by_side import asked_for, newest_of
    from nextaim_kit.terminal.board import show_board, show_runs

    folder, studies = runs_folder(out), catalog.studies()
    rows = collect(folder, studies)
    several = newest_of(folder, studies)
    if runs:
        found = asked_for(folder, runs)
        several[found.notebook] = found
        show_runs(console(), found)
    else:
        show_board(console(), rows, list(several))
    if strange := strange_text(folder):
        console().print(escape(strange), style="yellow")
    if html is not None:
        render_board(rows, html, folder, several)
        print(f"the board as a page: {html}")


@viewer_app.command("install")
def viewer_install(
    archive: Annotated[
        Path | None,
        typer.Option(
            parser=placed, metavar="PATH", help="Its .tgz, fetched elsewhere; else npm fetches it."
        ),
    ] = None,
) -> None:
    """Put the viewer of itkwidgets on this machine, so that it works without internet."""
    from nextaim_kit.terminal.viewers import install

    console().print(f"installed: {escape(str(install(archive)))}\nreload JupyterLab's page")


@course_app.command("copy")
def course_copy(
    to: Annotated[
        Path, typer.Option("--to", parser=placed, metavar="FOLDER", help="Where they go.")
    ],
    instructor: Annotated[
        bool, typer.Option("--instructor", help="With the solutions' cells, for who teaches.")
    ] = False,
) -> None:
    """Copy the notebooks, to learn with.

    The copies have no hints and solutions: `check` shows a hint at the second wrong answer, and
    from the third on a solution to who asks. What is in the folder already is somebody's work and
    is not touched; remove or move a notebook to have it anew. The kit has to stay installed: it
    holds hints and solutions.
    """
    from nextaim_kit.terminal.course import copy_notebooks

    made, there = copy_notebooks(to, solutions=instructor)
    kind = "with" if instructor else "without"
    notebooks = sum(path.suffix == ".ipynb" for path in made)
    print(f"{notebooks} notebooks {kind} solutions are in {to}")
    if there:
        print(f"{len(there)} were there and are as they were")
    print(f"to open them: nextaim lab {to}")


@course_app.command("export")
def course_export(
    to: Annotated[
        Path, typer.Option("--to", parser=placed, metavar="PATH", help="The CSV file to write.")
    ] = Path("progress.csv"),
) -> None:
    """Write what you solved as a table.

    A teacher gets it if you hand it over. It says of each exercise: its notebook, its number,
    tries until it was right, whether it was solved, and whether the solution was shown before;
    and of each question of a lesson whether the first choice was right, before and after it.
    It holds no answer, no time and no name; nothing is sent anywhere.
    """
    from nextaim_kit.terminal.course import export

    exercises, questions, unread = export(to)
    print(f"solved: {sum(one.solved for one in exercises)} of {len(exercises)} exercises")
    before, after = (sum(bool(getattr(q, when)) for q in questions) for when in ("before", "after"))
    print(f"right before a lesson: {before} of {len(questions)} questions, after it: {after}")
    for name in unread:
        print(f"left out: the exercises of {name}, whose file cannot be read")
    print(f"The table is {to}. It holds no answer, time or name, and was sent nowhere.")


@app.command()
def gallery(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            parser=placed,
            metavar="PATH",
            help="Folder of the site; an earlier gallery is replaced.",
        ),
    ] = Path("gallery"),
    profile: Annotated[str, typer.Option(help="Named set of parameters.")] = "tutorial",
) -> None:
    """Run every notebook that is not done, and write all results as a static site."""
    from nextaim_kit.terminal.gallery import make

    raise typer.Exit(make(console(), out, profile))


@app.command()
def doctor() -> None:
    """Say what works on this machine, what does not, and how to mend it."""
    from nextaim_kit.doctor import examine
    from nextaim_kit.runs.record import runs_folder
    from nextaim_kit.terminal.listings import print_findings

    findings = examine(runs_folder())
    print_findings(console(), findings)
    raise typer.Exit(1 if any(f.verdict == "fail" for f in findings) else 0)


@app.command()
def warm(
    stop: Annotated[bool, typer.Option("--stop", help="End it with its last kernel.")] = False,
) -> None:
    """Start the server of warm kernels now, or end it; runs start it by themselves."""
    from nextaim_kit.runs.warm import client

    if stop:
        there = client.stop()
        print("it ends with its last kernel" if there else "there is none")
        return
    try:
        client.hold().close()
    except OSError as error:
        raise RunError(
            "no server of warm kernels can be started",
            found=str(error),
            mend="kernels are started cold; NEXTAIM_WARM=0 asks for that",
        ) from error
    print("ready: kernels start within a second")


@app.command()
def lab(
    folder: Annotated[
        Path | None,
        typer.Argument(
            parser=placed, metavar="[FOLDER]", help="Copies that `nextaim course copy` made."
        ),
    ] = None,
    ip: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "localhost",
    port: Annotated[
        int, typer.Option(help="Port to listen on; the next free one if taken.")
    ] = 8888,
    browser: Annotated[bool, typer.Option(help="Whether to open a browser.")] = True,
) -> None:
    """Open JupyterLab on the start page, of the kit's own notebooks or of copies.

    Its address, with the token that opens it, is printed at the end of its first lines.
    """
    page = "start_here.ipynb" if folder else "notebooks/start_here.ipynb"
    root = folder or catalog.project_folder()
    if not (root / page).is_file():
        raise RequestError(
            f"no start page in {root}",
            expected=f"{page} there",
            mend=f"nextaim course copy --to {root}",
        )
    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={root}"]
    command += [f"--LabApp.default_url=/lab/tree/{page}", f"--ip={ip}", f"--port={port}"]
    command += [] if browser else ["--no-browser"]
    if os.geteuid() == 0:  # as in most containers; who is root there is asked no further
        command += ["--allow-root"]
    own = str(Path(sys.executable).parent)  # so that its terminals know `nextaim`
    os.environ["PATH"] = os.pathsep.join([own, os.environ.get("PATH", "")])
    os.execv(sys.executable, command)


@data_app.command("list")
def data_list() -> None:
    """List the public data sets that the studies use."""
    from nextaim_kit.data.datasets.manifest import load_manifest, manifest_names

    table = Table("name", "title", "access", "license", "studies", box=None)
    for name in manifest_names():
        m = load_manifest(name)
        table.add_row(name, escape(m.title), m.access, escape(m.licence), ", ".join(m.studies))
    console().print(table)


@data_app.command("show")
def data_show(name: str) -> None:
    """Show a data set: what it holds, its terms, how to get it, how to cite it."""
    from nextaim_kit.data.datasets.manifest import load_manifest
    from nextaim_kit.terminal.listings import print_manifest

    print_manifest(console(), load_manifest(name))


@data_app.command("fetch")
def data_fetch(name: str) -> None:
    """Download an open data set, or say how to get another; then verify it."""
    from nextaim_kit.data.datasets.fetch import fetch
    from nextaim_kit.terminal.listings import download_progress, print_states
    from nextaim_kit.terminal.privacy import look_at

    with download_progress() as progress:
        report = fetch(name, progress=progress)
    print_states(console(), report.states)
    look_at(console(), name)
    for note in report.notes:
        print(note)


@data_app.command("verify")
def data_verify(name: str) -> None:
    """Check the files that are here against the manifest, and for identity that is left."""
    from nextaim_kit.data.datasets.fetch import verify
    from nextaim_kit.terminal.listings import print_states
    from nextaim_kit.terminal.privacy import look_at

    states = verify(name)
    print_states(console(), states)
    look_at(console(), name)
    raise typer.Exit(1 if any(s.bad for s in states) else 0)


@data_app.command("where")
def data_where(name: str) -> None:
    """Print the folder of a data set."""
    from nextaim_kit.data.datasets.fetch import where

    print(where(name))


@cache_app.command("list")
def cache_list() -> None:
    """List the steps that are kept: entries, size, last use."""
    from nextaim_kit.terminal import cache

    cache.show_list(console())


@cache_app.command("size")
def cache_size() -> None:
    """Say how much of the cache is used, by what, and how much it may use."""
    from nextaim_kit.terminal import cache

    cache.show_size(console())


@cache_app.command("prune")
def cache_prune(
    step: Annotated[
        str | None, typer.Option(help="Entries of this step; the end of its name will do.")
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(parser=_number(float, 0), metavar="DAYS", help="Not used for so many days."),
    ] = None,
    to: Annotated[
        float | None,
        typer.Option(
            parser=_number(float, 0), metavar="GB", help="Least used first, down to this size."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All entries.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove kept steps, after a look at what would go; they are made again when needed."""
    from nextaim_kit.terminal import cache

    if not everything and step is None and older_than is None and to is None:
        raise RequestError(
            "prune does not know what to remove",
            expected="--step NAME, --older-than DAYS, --to GB, or --all",
            mend="nextaim data cache list shows what there is",
        )
    cache.prune(console(), step, older_than, to, yes)


@sweep_app.command("plan")
def sweep_plan(file: Sweep, out: Out = None) -> None:
    """Say what a sweep will run and take, and freeze its plan."""
    from nextaim_kit.terminal import sweeps

    sweeps.plan(console(), file, out)


@sweep_app.command("run")
def sweep_run(
    file: Sweep,
    on: Annotated[
        str, typer.Option(help="local, slurm, htcondor, ai-infn, or a Snakemake profile's folder.")
    ] = "local",
    jobs: Annotated[
        int | None,
        typer.Option(parser=_number(int, 1), metavar="N", help="At most so many at once."),
    ] = None,
    resource: Annotated[
        list[str] | None,
        typer.Option("-r", metavar="NAME=VALUE", help="What the site wants of each job."),
    ] = None,
    out: Out = None,
) -> None:
    """Run what is left of a sweep; what was done, here or elsewhere, is not run again."""
    from nextaim_kit.terminal import sweeps

    raise typer.Exit(sweeps.run(console(), file, out, on, jobs, tuple(resource or [])))


@sweep_app.command("status")
def sweep_status(file: Sweep, out: Out = None) -> None:
    """Say how far a sweep is, and what failed."""
    from nextaim_kit.terminal import sweeps

    sweeps.status(console(), file, out)


@sweep_app.command("retry")
def sweep_retry(file: Sweep, out: Out = None) -> None:
    """Let rows that failed run again with the next `nextaim sweep run`."""
    from nextaim_kit.terminal import sweeps

    sweeps.retry(file, out)


@sweep_app.command("cancel")
def sweep_cancel(file: Sweep, out: Out = None) -> None:
    """End a sweep that runs; `nextaim sweep run` goes on from there."""
    from nextaim_kit.terminal import sweeps

    sweeps.cancel(file, out)


@sweep_app.command("report")
def sweep_report(file: Sweep, out: Out = None) -> None:
    """Write what came out as a table and as one HTML page."""
    from nextaim_kit.terminal import sweeps

    sweeps.report(console(), file, out)


@sweep_app.command("row")
def sweep_row(
    file: Sweep,
    index: Annotated[
        int | None,
        typer.Option(parser=_number(int, 0), metavar="N", help="Its number, as in a job array."),
    ] = None,
    row_id: Annotated[str | None, typer.Option("--id", help="Its id, instead.")] = None,
    attempt: Annotated[int | None, typer.Option(hidden=True)] = None,
    local: Annotated[bool, typer.Option("--local", hidden=True)] = False,
    out: Out = None,
) -> None:
    """Run one row of a sweep, and first what feeds it; for job arrays submitted by hand."""
    from nextaim_kit.terminal import sweeps

    raise typer.Exit(sweeps.row(file, out, index, row_id, attempt, local))


@sweep_app.command("script")
def sweep_script(
    file: Sweep,
    on: Annotated[str, typer.Option(help="slurm, htcondor, or kubernetes.")] = "slurm",
    jobs: Annotated[
        int | None,
        typer.Option(parser=_number(int, 1), metavar="N", help="At most so many at once."),
    ] = None,
    out: Out = None,
) -> None:
    """Print a submit file that runs the sweep's rows as a job array."""
    from nextaim_kit.terminal import sweeps

    sweeps.script(file, out, on, jobs)


_command = typer.main.get_command(app)  # made once, in a warm server before it is forked
