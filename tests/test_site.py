"""The site is built from the pages of the project, and opens from the file system."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from nextaim_kit import catalog

pytestmark = pytest.mark.rest
RUN = "ct_radiomics/severity"


@pytest.fixture(scope="module")
def site(project, tmp_path_factory) -> Path:
    """Built from a gallery that holds one run."""
    folder = tmp_path_factory.mktemp("site")
    document = json.loads(catalog.find(RUN).path.read_text(encoding="utf-8"))
    code = next(cell for cell in document["cells"] if cell["cell_type"] == "code")
    view = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "a slider"}
    code["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": view}]
    run = folder / "gallery" / RUN / "notebook.ipynb"
    run.parent.mkdir(parents=True)
    run.write_text(json.dumps(document))
    (folder / "gallery/index.html").write_text("<html></html>")
    stage = [sys.executable, "docs/stage.py", str(folder / "gallery"), str(folder / "pages")]
    subprocess.run(stage, cwd=project, check=True)
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run([*build, str(folder / "pages"), str(folder / "site")],
                          cwd=project, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "site"


def links(page: Path) -> set[str]:
    return set(re.findall(r'(?:href|src)="([^"]+)"', page.read_text(encoding="utf-8")))


def test_every_notebook_study_and_guide_has_a_page_and_no_link_is_dead(site):
    pages = sorted(p for p in site.rglob("*.html") if "_static" not in p.parts)
    for study in catalog.studies():
        for notebook in study.notebooks.values():
            assert (site / "notebooks" / study.id / f"{notebook.path.stem}.html") in pages
    dead = []
    for page in pages:
        for link in links(page):
            parts = urlsplit(link)
            if not parts.scheme and parts.path:
                place = page.parent / unquote(parts.path)
                dead += [] if place.exists() else [f"{page.relative_to(site)}: {link}"]
    assert not dead


def test_nothing_is_loaded_from_elsewhere_and_formulas_are_drawn(site):
    loaded = re.compile(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//')
    assert not [page for page in site.rglob("*.html") if loaded.search(page.read_text())]
    formulas = [p for p in site.rglob("*.html") if 'class="formula"' in p.read_text()]
    assert formulas


def test_a_run_is_shown_with_its_outputs_and_its_solutions_are_folded(site):
    text = (site / "notebooks" / "ct_radiomics" / "2_severity.html").read_text()
    assert "a slider" in text
    assert "Show the solution" in text
    assert "widget-view" not in text


def test_functions_have_pages_with_what_they_take(site):
    page = (site / "api/generated/nextaim_kit.learn.nested_cv.html").read_text()
    assert "In each outer training part" in page
    assert "Raises" in page
