"""Opening a notebook changes no file: what Jupyter's server writes by itself is taken out again.

Loaded by the server as its extension, as ``server.json`` beside this file says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_START = ("start_here.ipynb", "inizia_qui.ipynb")  # shown anew at each visit
_KERNEL = ("kernelspec", "language_info")


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    server.contents_manager.register_pre_save_hook(_before_saving)


def _before_saving(*, model: dict[str, Any], path: str, contents_manager: Any, **_: Any) -> None:
    if model.get("type") != "notebook" or not hasattr(contents_manager, "root_dir"):
        return
    try:
        was = json.loads(Path(contents_manager.root_dir, path).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # new, or to be mended by this very saving
        return
    settle(model["content"], was, path)


def settle(content: dict[str, Any], was: Mapping[str, Any], path: str) -> None:
    """Take out what a notebook's content has that its file had not, and no reader wrote.

    A start page has no outputs. A file that says of its language the name alone, as the kit's do,
    is not told the version of Python, nor another title of the same kernel.

    Parameters
    ----------
    content : dict
        The notebook to be saved, which is changed.
    was : mapping
        The notebook that its file holds.
    path : str
        Where it lies.
    """
    now, before = content["metadata"], was.get("metadata", {})
    kernels = [one.get("kernelspec", {}).get("name") for one in (now, before)]
    if before.get("language_info") == {"name": "python"} and kernels[0] == kernels[1]:
        now |= {key: before[key] for key in _KERNEL if key in before}
    if Path(path).name in _START:
        for cell in content["cells"]:
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
