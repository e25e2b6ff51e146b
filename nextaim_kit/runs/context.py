"""What a notebook sees of its own run: `start`, then metrics, tables, figures, `finish`."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from html import escape
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from nextaim_kit import catalog
from nextaim_kit.errors import DataError, RunError
from nextaim_kit.files import atomic_path, private_folder, write_json
from nextaim_kit.places import plain
from nextaim_kit.runs import record as records
from nextaim_kit.runs.documents import write_documents
from nextaim_kit.runs.injected import declared_here, taken
from nextaim_kit.runs.live_notebook import LiveNotebook
from nextaim_kit.runs.request import RESULT, Request, prepare

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_UNFOLDED = 10  # rows of words that are shown at once
_WIDEST, _WRAPPED = 100, 24  # letters: of a table on a page, and of a cell until it is wrapped


def start(notebook_id: str, *, parameters: Mapping[str, Any], seed: int) -> Run:
    """Open this notebook's run: seed everything, size the threads, give it a folder.

    Parameters
    ----------
    notebook_id : str
        Such as ``ct_radiomics/severity``.
    parameters : mapping
        The notebook's ``globals()``; the declared parameters are taken from it.
    seed : int
        Seeds Python, NumPy and torch.

    Raises
    ------
    RequestError
        If a parameter has a wrong type or is out of bounds, or a tool such as papermill gave one
        that the notebook does not have.
    """
    from nextaim_kit.machine.hub import kept_awake_by_cells
    from nextaim_kit.machine.seeds import seed_everything

    folder = os.environ.get("NEXTAIM_RUN")
    if folder:  # its request was checked before this kernel was started
        seed_everything(seed)
        return Run(Request.read(Path(folder)), headless=True)
    declared = declared_here(parameters, catalog.find(notebook_id))
    given = taken(parameters, declared, notebook_id)
    seed_everything(seed)
    request = prepare(notebook_id, "interactive", given, live=True)
    shutil.rmtree(request.folder, ignore_errors=True)
    kept_awake_by_cells()
    return Run(request, headless=False)


class Ended(Exception):
    """A run ended before the notebook's last cell, as it was meant to."""

    def _render_traceback_(self) -> list[str]:
        # What IPython shows in place of a traceback.
        return ["The cells below are not for this run."]


class Run:
    """A run in the making. Made by `start`; the notebook's last cell calls `finish`."""

    def __init__(self, request: Request, *, headless: bool) -> None:
        self.request, self.headless = request, headless
        self.notebook = catalog.find(request.notebook)
        self.files = request.folder / records.FILES
        private_folder(self.files)
        self._result: dict[str, Any] = {
            "metrics": [], "tables": [], "figures": [], "failures": 0, "sections": []
        }  # fmt: skip
        self._clock = _Clock(self.notebook.path)
        self._live = None if headless else LiveNotebook(self.notebook.path)

    @property
    def checkpoints(self) -> Path:
        """Folder that a training keeps its state in; what is there survives a kill."""
        return self.request.folder / "checkpoints"

    def file(self, name: str) -> Path:
        """Path below the run's folder to write a file of this name to.

        Raises
        ------
        RequestError
            If a control character is in the name.
        """
        path = self.files / plain(name, "the name of a run's file")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def metric(
        self,
        name: str,
        value: float,
        *,
        interval: tuple[float, float] | None = None,
        n: int | None = None,
        unit: str = "",
        note: str = "",
    ) -> None:
        """Record one number, with its interval and what it is of (`n`), and print it.

        An interval of NaN is none: it could not be computed.

        Raises
        ------
        DataError
            If the value is not a finite number: a metric that could not be computed is none.
        """
        ends = [float(b) for b in interval] if interval is not None else [None, None]
        low, high = (None if b is None or b != b else b for b in ends)
        if not all(abs(v) < float("inf") for v in (float(value), low or 0.0, high or 0.0)):
            raise DataError(f"metric {name!r} is not a finite number", found=f"{value} {interval}")
        entry = {"name": name, "value": float(value), "low": low, "high": high}
        entry["n"] = None if n is None or n != n else int(n)
        entry |= {"unit": unit, "note": note}
        self._put("metrics", entry)
        spread = f"  [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
        small = 0 < abs(value) < 5e-4  # which is not nothing
        written = (
            f"{value}" if isinstance(value, Integral) else f"{value:{'.2g' if small else '.3f'}}"
        )
        print(f"{name} = {written}{spread} {unit}".rstrip())

    def metrics(
        self, table: pd.DataFrame, *, only: Sequence[str] | None = None, **alike: Any
    ) -> None:
        """Record one number per row of a table, as `metric` does.

        Parameters
        ----------
        table : DataFrame
            ``metric``, ``value``, where it has them ``low``, ``high``, ``n``, ``unit``, ``note``,
            ``name``, as of a model, which ends the metric's name. A row without a value is
            left out.
        only : sequence of str, optional
            Metrics to record; by default all.
        **alike
            What all rows share: ``n``, ``unit``, ``note``.
        """
        rows = table if only is None else table[table["metric"].isin(only)]
        for row in rows[rows["value"].notna()].to_dict("records"):
            label = "_".join(str(row[k]) for k in ("metric", "name") if row.get(k))
            beside = alike | {k: row[k] for k in ("n", "unit", "note") if k in row}
            ends = (row["low"], row["high"]) if "low" in row else None
            self.metric(slug(label), row["value"], interval=ends, **beside)

    def table(self, table: pd.DataFrame, name: str, *, show: int = 10) -> None:
        """Keep a table as ``<name>.csv`` and show its first rows, or that it has none.

        A table that is wider than a page is shown with its columns below each other.
        """
        import pandas as pd
        from IPython.display import display

        from nextaim_kit.data.cohort.cells import write_csv

        write_csv(table, self.file(f"{name}.csv"))
        self._put("tables", {"name": name, "file": f"{name}.csv", "rows": len(table)})
        if show and table.empty:
            print(f"{name.replace('_', ' ')}: none")
        elif show:
            with pd.option_context("display.float_format", _digits):
                display(_laid(table.head(show)))

    def failures(self, table: pd.DataFrame) -> None:
        """Keep the table of subjects that failed; with any, the run is not called complete."""
        self._result["failures"] = len(table)
        self.table(table, "failures", show=0)
        _show_whole(table, f"left out, with the reason in failures.csv: {len(table)}")

    def warnings(self, table: pd.DataFrame, *, of: int, name: str = "warnings") -> None:
        """Keep the table of subjects that are not as they should be, though nobody is left out.

        The run says, wherever it is shown, how many they are.

        Parameters
        ----------
        table : DataFrame
            ``subject``, more than once where much is to be said, and in words what is odd.
        of : int
            How many subjects there are.
        name : str
            Of the table.
        """
        warned = table["subject"].nunique()
        told = {"subjects": warned, "of": of, "table": name}
        self._result["warned"] = told if warned else None
        self.table(table, name, show=0)
        _show_whole(table, f"to be looked at, {warned} of {of} subjects, in {name}.csv")

    def figure(self, figure: Figure, name: str, *, alt: str = "", caption: str = "") -> None:
        """Keep a figure as ``<name>.png`` and show it with its alternative text and caption."""
        import matplotlib.pyplot as plt
        from IPython.display import HTML, Image, display
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        alt = alt or getattr(figure, "alt", "")
        if not alt:
            raise RunError(f"figure {name!r} has no alternative text", mend="give alt='...'")
        picture = io.BytesIO()
        # The same bytes as by savefig, which draws twice.
        FigureCanvasAgg(figure).print_png(picture, metadata={"Software": None})
        plt.close(figure)
        with atomic_path(self.file(f"{name}.png")) as partial:
            partial.write_bytes(picture.getvalue())
        self._put("figures", {"name": name, "file": f"{name}.png", "alt": alt})
        display(Image(picture.getvalue()), metadata={"image/png": {"alt": alt}})
        if caption:
            display(HTML(f"<p class='caption'><em>{escape(caption)}</em></p>"))

    def source(self, thing: Any) -> None:
        """Show the true source of a function or class, folded, here and in the report.

        Raises
        ------
        RequestError
            If it is not written in Python.
        """
        from IPython.display import Markdown, display

        from nextaim_kit.runs.shown_source import source_markdown

        display(Markdown(source_markdown(thing)))

    def finish(self) -> None:
        """Check that all that was declared is there, keep the result, show it beside the published.

        Raises
        ------
        RunError
            If a declared metric or file is missing.
        """
        from IPython.display import HTML, display

        from nextaim_kit.runs.chart import comparison_html

        missing = self.missing()
        if missing:
            raise RunError(
                f"{self.request.notebook} ended without {', '.join(missing)}",
                expected="every output that study.yaml declares",
                mend="run all cells in order, or mend the cell that makes it",
            )
        self._result["sections"] = self._clock.stop()
        self._result["gpu"] = _gpu()
        write_json(self.request.folder / RESULT, self._result)
        record = compose(self.request, self._result)
        display(HTML(comparison_html(record, catalog.study_of(self.request.notebook))))
        if self._live:
            write_documents(self.request, self._live.text(), record, Ended.__name__)
            records.write_record(self.request.folder, record)
            display(HTML(self._way()))

    def end(self, why: str) -> NoReturn:
        """Finish here, without what the cells below would leave: they are not for this run.

        Raises
        ------
        Ended
            Always: it keeps the cells below from running.
        """
        self._result["ended"] = why
        print(f"the run ends here: {why}")
        self.finish()
        raise Ended(why)

    def _way(self) -> str:
        """Where the run lies, and its report as a link from the notebook."""
        folder = "/".join(self.request.folder.parts[-3:])
        report, told = self.request.folder / records.REPORT, f"<code>{folder}</code> of your runs"
        if not report.resolve().is_relative_to(catalog.project_folder().resolve()):
            return f"<p>Kept in {told}, with its report.</p>"  # no address of it leads there
        way = Path(os.path.relpath(report, self.notebook.path.parent)).as_posix()
        return f'<p>Kept in {told}: <a href="{way}">the report</a>.</p>'

    def missing(self) -> list[str]:
        """Declared metrics and files that are not there yet."""
        return missing_outputs(self.notebook, self._result, self.request.folder)

    def _put(self, kind: str, entry: dict[str, Any]) -> None:
        kept = [e for e in self._result[kind] if e["name"] != entry["name"]]
        self._result[kind] = [*kept, entry]


def slug(words: str) -> str:
    """Words as a metric's name: small letters and underscores."""
    return re.sub(r"[\s\-]+", "_", words.lower()).replace(",", "")


def missing_outputs(notebook: catalog.Notebook, result: Mapping, folder: Path) -> list[str]:
    """Declared outputs of `notebook` that a result in `folder` does not have and should."""
    if result.get("ended"):
        return []
    measured = {m["name"] for m in result["metrics"]}
    files = folder / records.FILES
    return [f"metric {m!r}" for m in notebook.outputs.metrics if m not in measured] + [
        f"file {f!r}" for f in notebook.outputs.files if not (files / f).is_file()
    ]


def compose(request: Request, result: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a run that came to its end, without the hashes of its files."""
    outcome = "incomplete" if result["failures"] else "complete"
    record = {**request.public(), **result, "outcome": outcome, "error": None} | machine()
    record["hardware"]["gpu"] = record.pop("gpu", None)
    return record


def machine() -> dict[str, Any]:
    """What a record says of the software and the machine."""
    return {
        "packages": records.packages(),
        "hardware": records.hardware(),
        "environment": records.environment(),
    }


def _gpu() -> str | None:
    """The GPU that this process could use; None where nothing here asked for one."""
    if "torch" not in sys.modules:
        return None
    from nextaim_kit.machine.gpu import find_gpu

    gpu = find_gpu()
    return f"{gpu.name}, {gpu.total / 1e9:.1f} GB" if gpu.kind != "none" else None


def _laid(table: pd.DataFrame) -> pd.DataFrame:
    """A table, or where it is wider than a page, its columns as rows if that is less wide."""
    first = table.columns[0]
    lying = table.set_index(first).T if table[first].is_unique else table.T
    return lying if _width(table) > _WIDEST and _width(lying) < _width(table) else table


def _width(table: pd.DataFrame) -> int:
    """Letters that a table is wide: its longest cells, as far as they are not wrapped."""
    shown = table.reset_index()
    cells = [[str(name), *(_cell(value) for value in shown[name])] for name in shown]
    return sum(2 + max(min(len(cell), _WRAPPED) for cell in column) for column in cells)


def _cell(value: Any) -> str:
    return _digits(value) if isinstance(value, float) else str(value)


def _show_whole(table: pd.DataFrame, title: str) -> None:
    """A table of words, none of them cut; folded where it is long."""
    from html import escape

    import pandas as pd
    from IPython.display import HTML, display

    if table.empty:
        return
    with pd.option_context("display.max_colwidth", None):
        rows = table.to_html(index=False, border=0, na_rep="")
    fold = "<details open>" if len(table) <= _UNFOLDED else "<details>"
    display(HTML(f"{fold}<summary>{escape(title)}</summary>{rows}</details>"))


def _digits(value: float) -> str:
    """A number in a table that is looked at: three digits, more only before the point."""
    if abs(value) < 1e-15:  # what rounding leaves of a difference of equal numbers
        return "0"
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"


class _Clock:
    """Seconds and peak memory of the kernel's process, by the notebook's headings."""

    def __init__(self, path: Path) -> None:
        from IPython import get_ipython

        self._headings = headings(json.loads(path.read_text(encoding="utf-8"))["cells"])
        self._sections: dict[str, list[float]] = {}
        self._title, self._began = "start", time.perf_counter()
        self._shell: Any = get_ipython()
        self._runs = True
        if self._shell:
            self._shell.events.register("pre_run_cell", self._before)
            self._shell.events.register("post_run_cell", self._after)

    def _before(self, info: Any) -> None:
        self._title = self._headings.get(info.raw_cell.strip(), self._title)
        self._began = time.perf_counter()
        _forget_peak()

    def _after(self, _result: Any = None) -> None:
        section = self._sections.setdefault(self._title, [0.0, 0.0])
        section[0] += time.perf_counter() - self._began
        section[1] = max(section[1], _peak_mb())
        self._began = time.perf_counter()

    def stop(self) -> list[dict[str, Any]]:
        """Close the last section and give all: title, seconds, peak memory in MB.

        What is done after the first time, such as exercises, is not the run's.
        """
        if self._runs:
            self._after()
        if self._shell and self._runs:
            self._shell.events.unregister("pre_run_cell", self._before)
            self._shell.events.unregister("post_run_cell", self._after)
        self._runs = False
        return [
            {"title": title, "seconds": round(seconds, 2), "peak_mb": round(peak)}
            for title, (seconds, peak) in self._sections.items()
        ]


def headings(cells: list[dict[str, Any]]) -> dict[str, str]:
    """The heading that each code cell stands under, by the cell's source."""
    title, found = "start", {}
    for cell in cells:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            lines = [line for line in source.splitlines() if line.startswith("#")]
            title = lines[-1].lstrip("# ") if lines else title
        elif source:
            found[source] = title
    return found


def _forget_peak() -> None:
    # Linux only: 5 resets the process's peak resident set, so that it can be read per cell.
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_mb() -> float:
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
