"""Write the path of the catalog into the start page's first cell: `python .ci/path.py`."""

import json

from nextaim_kit.catalog import notebooks_folder
from nextaim_kit.launcher.path import path_markdown

START = notebooks_folder() / "start_here.ipynb"
document = json.loads(START.read_text(encoding="utf-8"))
(cell,) = (cell for cell in document["cells"] if cell["id"] == "path")
told = "".join(cell["source"])
before, after = told.partition("| | ")[0], told.rpartition("|\n")[2]
cell["source"] = f"{before}{path_markdown()}\n{after}".splitlines(keepends=True)
START.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
