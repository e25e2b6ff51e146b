"""A notebook as it was executed in JupyterLab, which keeps outputs where no kernel sees them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from nextaim_kit.progress import last_seen

_KINDS = ("display_data", "execute_result")


class _Ran(NamedTuple):
    """A cell that was executed."""

    id: str  # as JupyterLab says it; empty where a program asked
    source: str
    outputs: list[dict[str, Any]]

    def is_cell(self, identity: str, source: str) -> bool:
        """Whether it is this cell: by its id, else by its source."""
        named = bool(self.id and identity)
        return self.id == identity if named else self.source.strip() == source.strip()


class LiveNotebook:
    """What each cell of a notebook was, and what it showed, from now on.

    Outputs are heard as ipykernel sends them; in another shell there are none.
    """

    def __init__(self, path: Path) -> None:
        from IPython import get_ipython

        self.path = path
        self._ran: list[_Ran] = []
        self._outputs: list[dict[str, Any]] = []
        shell: Any = get_ipython()
        if not hasattr(shell, "kernel"):
            return
        shell.events.register("pre_run_cell", self._before)
        for sender in (shell.display_pub, shell.displayhook):
            sender.register_hook(self._heard)
        # Hooks of a stream belong to the thread that sends what was printed.
        out: Any = sys.stdout
        if hasattr(out, "pub_thread"):
            out.pub_thread.schedule(lambda: out.register_hook(self._heard))

    def _before(self, info: Any) -> None:
        sys.stdout.flush()  # what the cell before has printed
        self._outputs = []
        ran = _Ran(info.cell_id or "", info.raw_cell, self._outputs)
        self._ran = [one for one in self._ran if not one.is_cell(ran.id, ran.source)] + [ran]

    def _heard(self, message: dict[str, Any]) -> dict[str, Any]:
        kind, content = message["header"]["msg_type"], message["content"]
        last = self._outputs[-1] if self._outputs else {}
        if kind == "stream" and last.get("name") == content["name"]:
            last["text"] += content["text"]
        elif kind == "stream":
            self._outputs.append({"output_type": kind} | content)
        elif kind in _KINDS:
            kept = {k: v for k, v in content.items() if k != "transient"}
            self._outputs.append({"output_type": kind} | json.loads(json.dumps(kept)))
        return message

    def text(self) -> str:
        """The notebook's file with cells as they were executed, and their outputs, as JSON.

        A cell of the reader's own, which the file does not have, stands after the one before it.
        """
        import nbformat

        sys.stdout.flush()
        document = json.loads(self.path.read_text(encoding="utf-8"))
        cells, last = document["cells"], -1
        for ran in self._ran:
            same = [k for k, cell in enumerate(cells) if cell["cell_type"] == "code"
                    and ran.is_cell(cell.get("id", ""), "".join(cell["source"]))]  # fmt: skip
            for output in (o for o in ran.outputs if o["output_type"] == "stream"):
                output["text"] = last_seen(output["text"])
            last = same[0] if same else last + 1
            if not same:
                cells.insert(last, nbformat.v4.new_code_cell())
            cells[last] |= {"source": ran.source, "outputs": ran.outputs}
        return nbformat.writes(nbformat.from_dict(document))
