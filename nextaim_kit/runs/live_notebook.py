"""A notebook as it was executed in JupyterLab, which keeps outputs where no kernel sees them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_KINDS = ("display_data", "execute_result")


class LiveNotebook:
    """What each cell of a notebook was, and what it showed, from now on.

    Outputs are heard as ipykernel sends them; in another shell there are none.
    """

    def __init__(self, path: Path) -> None:
        from IPython import get_ipython

        self.path = path
        self._ran: dict[str, tuple[str, list[dict[str, Any]]]] = {}  # by id, and by source
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
        ran = info.raw_cell, self._outputs
        self._ran |= {key: ran for key in (info.cell_id, info.raw_cell.strip()) if key}

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
        """The notebook's file with cells as they were executed, and their outputs, as JSON."""
        import nbformat

        sys.stdout.flush()
        document = json.loads(self.path.read_text(encoding="utf-8"))
        for cell in document["cells"]:
            source = "".join(cell["source"]).strip()
            ran = self._ran.get(cell.get("id", "")) or self._ran.get(source)
            if cell["cell_type"] == "code" and ran:
                cell["source"], cell["outputs"] = ran
        return nbformat.writes(nbformat.from_dict(document))
