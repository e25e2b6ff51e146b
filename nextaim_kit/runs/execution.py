"""How a notebook's cells are run: papermill's engine, its kernel, and who hears of it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nextaim_kit.errors import without_control
from nextaim_kit.progress import last_seen
from nextaim_kit.runs.connection import kernel_connection
from nextaim_kit.runs.context import headings

_CHATTER = 3600  # seconds in which to hear all that a cell printed, once it has ended
# For a kernel, warm or cold: its socket drops what waits behind 1000 messages, unless told not to.
# Told before every cell, since ZeroMQ applies it only to listeners that are there already.
UNHEARD_IS_KEPT = (
    "--IPKernelApp.exec_lines=get_ipython().events.register('pre_execute', lambda: "
    "(lambda thread: thread.schedule(lambda: setattr(thread.socket, 'sndhwm', 0)))"
    "(get_ipython().kernel.iopub_thread))"
)
_SAVED = 10.0  # seconds between two writings of a notebook that runs
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


class Observer:
    """Hears what a running notebook does. The faces override what they show."""

    def cell(self, number: int, total: int, heading: str) -> None:
        """Cell `number` of `total`, below `heading`, begins."""

    def printed(self, line: str) -> None:
        """The running cell printed `line`."""


def execute_cells(
    source: Path, target: Path, parameters: Mapping[str, Any], observer: Observer
) -> None:
    """Run a notebook's cells in a kernel of their own, in the notebook's folder.

    Parameters
    ----------
    source, target : Path
        The notebook, and where it is written with its outputs, now and then and at its end.
    parameters : mapping
        Values of its cell of parameters.
    observer : Observer

    Raises
    ------
    papermill.exceptions.PapermillExecutionError
        If a cell fails.
    nbclient.exceptions.DeadKernelError
        If the kernel dies.
    """
    import papermill

    # papermill warns of parameters whose types it cannot read; they were checked already.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    # Ctrl-C ends the cell's task too; the event loop would print its traceback at the end.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    papermill.execute_notebook(
        _literal(source),
        _literal(target),
        parameters,
        engine_name=_engine(),
        kernel_name=_kernel(),
        language="python",
        progress_bar=False,
        extra_arguments=["--log-level=CRITICAL", UNHEARD_IS_KEPT],
        iopub_timeout=_CHATTER,
        skip_cells_with_tag="solution",  # `check` runs them, beside the notebook's names
        cwd=str(source.parent),
        observer=observer,
        stdout_file=_LastLine(observer.printed),
    )


def without_colors(text: str) -> str:
    """A text without the marks that color it in a terminal."""
    return _COLORS.sub("", text)


def _literal(path: Path) -> str:
    """A path that papermill does not take for a template."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _kernel() -> str:
    """The warm kernel, unless NEXTAIM_WARM=0 or it is not installed here."""
    from jupyter_client.kernelspec import find_kernel_specs

    from nextaim_kit.runs.warm.place import KERNEL

    wanted = os.environ.get("NEXTAIM_WARM", "1") != "0"
    return KERNEL if wanted and KERNEL in find_kernel_specs() else "python3"


def _engine() -> str:
    from papermill.engines import Engine, papermill_engines

    client = _client()

    class KitEngine(Engine):
        """papermill's way to run a notebook, telling an observer which cell begins."""

        @classmethod
        def execute_managed_notebook(
            cls, nb_man: Any, kernel_name: str, *, observer: Observer, **kwargs: Any
        ) -> Any:
            titles = headings(nb_man.nb.cells)
            begin, complete = nb_man.cell_start, nb_man.cell_complete

            def cell_start(cell: Any, cell_index: int | None = None, **more: Any) -> None:
                heading = titles.get("".join(cell.source).strip(), "")
                if cell.cell_type == "code":
                    observer.cell((cell_index or 0) + 1, len(nb_man.nb.cells), heading)
                begin(cell, cell_index, **more)

            def cell_complete(cell: Any, *place: Any, **more: Any) -> None:
                if cell.cell_type == "code":
                    cell.outputs = _as_seen(cell.get("outputs", []))
                complete(cell, *place, **more)

            nb_man.cell_start, nb_man.cell_complete = cell_start, cell_complete
            del kwargs["input_path"]
            startup = kwargs.pop("start_timeout")
            with kernel_connection() as config, _saved_seldom(nb_man):
                return client(
                    nb_man,
                    kernel_name=kernel_name,
                    startup_timeout=startup,
                    config=config,
                    **kwargs,
                ).execute()

    papermill_engines.register("nextaim", KitEngine)
    return "nextaim"


@contextlib.contextmanager
def _saved_seldom(manager: Any) -> Iterator[None]:
    """Write the notebook now and then while it runs, not twice a cell; papermill does at its end.

    Of a run that is killed nothing stays anyway, and each writing takes longer than the last.
    """
    save, last = manager.save, time.monotonic()

    def seldom(**options: Any) -> None:
        nonlocal last
        if time.monotonic() - last > _SAVED:
            save(**options)
            last = time.monotonic()

    manager.save = seldom
    try:
        yield
    finally:
        del manager.save


def _client() -> type:
    from nbclient.output_widget import OutputWidget
    from papermill.clientwrap import PapermillNotebookClient

    class SilentOutput(OutputWidget):
        """An area of output, such as `interact` has; the notebook keeps what it shows.

        nbclient would also send that back to the kernel, on the socket on which it waits for the
        cell's reply. A reply that arrives meanwhile is never noticed, and the run waits for ever:
        ZeroMQ signals what has arrived once, and sending takes the signal.
        """

        def send(self, *_: Any, **__: Any) -> None:
            """Send nothing: no cell of a headless run reads it."""

    class Client(PapermillNotebookClient):
        """Talks with the kernel."""

        def __init__(self, nb_man: Any, **kwargs: Any) -> None:
            super().__init__(nb_man, log=logging.getLogger("papermill"), **kwargs)
            self.widget_registry = {"@jupyter-widgets/output": {"OutputModel": SilentOutput}}

    return Client


def _as_seen(outputs: Sequence[Any]) -> list[Any]:
    """Outputs whose printed pieces are one, as last seen."""
    kept: list[Any] = []
    for output in outputs:
        name = output.get("name")  # stdout or stderr; only what was printed has one
        if kept and name and kept[-1].get("name") == name:
            kept[-1]["text"] += output["text"]
        else:
            kept.append(output)
    for output in kept:
        if "text" in output:
            output["text"] = last_seen(output["text"])
    return kept


class _LastLine:
    """A file that hands each line printed to `heard`."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        self._heard = heard

    def write(self, text: str) -> None:
        shown = without_control(without_colors(text).replace("\r", "\n"))
        lines = [line for line in shown.split("\n") if line]
        if lines:
            self._heard(lines[-1])

    def flush(self) -> None:
        """Nothing is held back."""
