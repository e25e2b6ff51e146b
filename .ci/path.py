"""Write the path of the catalog into the start pages: `python .ci/path.py`."""

import json

from nextaim_kit.catalog import notebooks_folder
from nextaim_kit.launcher.path import path_markdown

for page, language in (("start_here", "english"), ("inizia_qui", "italian")):
    path = notebooks_folder() / f"{page}.ipynb"
    document = json.loads(path.read_text(encoding="utf-8"))
    (cell,) = (cell for cell in document["cells"] if cell["id"] == "path")
    told = "".join(cell["source"])
    before, after = told.partition("| le")[0], told.rpartition("|\n")[2]
    cell["source"] = f"{before}{path_markdown(language)}\n{after}".splitlines(keepends=True)
    text = json.dumps(document, indent=1, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")
