"""What the kit writes can be read by all: axe-core finds nothing against WCAG 2 A and AA."""

from __future__ import annotations

import base64
import io

import nbformat
import pytest
from nbformat import v4
from PIL import Image

from nextaim_kit.catalog import Notebook, Published, Study
from nextaim_kit.errors import RunError
from nextaim_kit.runs.chain import Ending
from nextaim_kit.runs.gallery import write_gallery
from nextaim_kit.runs.notebook_page import render_report
from nextaim_kit.runs.record import hardware, write_record
from tests.browser import barriers
from tests.conftest import WHOLE

pytestmark = [pytest.mark.browser, pytest.mark.rest]
LONG = "for number in range(100): print('a line of code that is longer than a telephone is wide')"
PARAMETERS = 'size: int = 2  # numbers to draw [1, 9]\nkind: str = "a"  # of what'
FEW = "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"


def study(folder) -> Study:
    published = [
        Published(metric="AUC", value=0.85, tag="pub", where="A paper", doi="10.1/x",
                  notebook="fit", matches="auc", note="an anchor"),
        Published(metric="AUC", value=0.8, spread=0.1, tag="slides", where="A talk",
                  notebook="fit", matches="auc"),
    ]  # fmt: skip
    path = folder / "fit.ipynb"
    nbformat.write(document(), path)
    stages = {
        s: Notebook(id=f"s/{s}", title=f"To {s}", path=path, profiles={"smoke": {}})
        for s in ("fit", "look")
    }
    return Study(id="s", title="A study", question="?", published=published, notebooks=stages)


def document():
    """A notebook with every kind of cell and output that a report knows."""
    stream = io.BytesIO()
    Image.new("RGB", (900, 300)).save(stream, "PNG")
    picture = {"image/png": base64.b64encode(stream.getvalue()).decode()}
    outputs = [
        v4.new_output("stream", name="stdout", text=LONG * 3),
        v4.new_output("stream", name="stderr", text="UserWarning: " + LONG),
        v4.new_output("display_data", data=picture, metadata={"image/png": {"alt": "black"}}),
        v4.new_output("display_data", data={"text/html": FEW}),
        v4.new_output("execute_result", data={"text/plain": LONG * 3}),
    ]
    error = v4.new_output("error", ename="E", evalue="torn", traceback=["\x1b[31mE\x1b[0m: torn"])

    def code(source, outputs=(), *tags):
        return v4.new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})

    return v4.new_notebook(cells=[
        v4.new_markdown_cell("# Fit it\n\nWhy: $\\frac{a}{b}$ and `code`, [there](https://a.org)."),
        code(PARAMETERS, (), "parameters"),
        v4.new_markdown_cell(f"## Data\n\n> said\n\n```\n{LONG * 2}\n```\n\n|a|b|\n|-|-|\n|1|2|"),
        code(f"# why\nimport os\n{LONG}\ndef f(x: int = 3) -> str:\n    return 'text'", outputs),
        code("...", (), "exercise"),
        code("# Solution\nx = 1", (), "solution"),
        code("check()", [error]),
    ])  # fmt: skip


def record(outcome) -> dict:
    metric = {"name": "auc", "value": 0.8, "low": 0.7, "high": 0.9, "n": 9, "unit": "", "note": "x"}
    other = metric | {"name": "brier", "low": None, "high": None}
    return {
        "id": "abc", "notebook": "s/fit", "study": "s", "stage": "fit", "title": "To fit",
        "profile": "smoke", "parameters": {"size": 3, "kind": "a"}, "metrics": [metric, other],
        "data": [{"name": "synthetic", "sha256": None, "licence": "MIT", "synthetic": True}],
        "failures": 2, "outcome": outcome, "kit": "1.0", "packages": {"numpy": "2"},
        "error": {"kind": "RunError", "what": "s/fit failed"} if outcome == "failed" else None,
        "sections": [{"title": "Fit", "seconds": 2.0, "peak_mb": 90.0}], "hardware": hardware(),
    }  # fmt: skip


@pytest.fixture
def pages(tmp_path):
    """Reports of a run with gaps and of a failed one, in a gallery with its board."""
    made = study(tmp_path)
    endings = {}
    for stage, outcome in (("fit", "incomplete"), ("look", "failed")):
        folder = tmp_path / "runs" / "s" / stage / "abc"
        folder.mkdir(parents=True)
        said = record(outcome) | {"stage": stage, "notebook": f"s/{stage}"}
        render_report(document(), said, made, folder / "report.html")
        write_record(folder, WHOLE | said)
        error = RunError(f"s/{stage} failed", found="torn") if outcome == "failed" else None
        endings[f"s/{stage}"] = Ending(folder, error)
    write_gallery(endings, [made], tmp_path / "site", tmp_path / "runs", "smoke")
    return sorted((tmp_path / "site").rglob("*.html"))


def test_reports_board_and_gallery_have_no_barrier_in_light_dark_or_on_a_phone(pages):
    assert [p.name for p in pages] == ["board.html", "index.html", "report.html", "report.html"]
    assert barriers(pages) == []


def test_the_check_sees_a_planted_barrier(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<html lang=en><title>t</title><img src='data:,'><p style='color:#ccc'>pale")
    rules = {one.split(": ")[1] for one in barriers([page])}
    assert {"image-alt", "color-contrast"} <= rules


def test_the_check_sees_planted_words_that_are_cut_off(tmp_path):
    styles = {"hidden": "overflow: hidden; width: 1em", "right": "position: relative; left: 95vw",
              "left": "width: 200vw; float: right"}  # fmt: skip
    words = "".join(
        f"<p style='white-space: nowrap; {s}'>{name} words" for name, s in styles.items()
    )
    page = tmp_path / "page.html"
    page.write_text(f"<html lang=en><title>t</title>{words}<p>not this")
    found = "".join(barriers([page]))
    for name in styles:
        assert found.count(f'P "{name} words" cannot be read whole') == 3
    assert "not this" not in found


def test_the_check_sees_a_table_that_has_to_be_scrolled_on_a_wide_screen(tmp_path):
    page = tmp_path / "page.html"
    cells = "<tr><td>first<td style='min-width: 110vw'>wide<td>last"
    code = f"<pre tabindex=0 style='overflow: auto'>{LONG * 3}</pre>"
    page.write_text(f"<html lang=en><title>t</title><div tabindex=0 style='overflow: auto'>"
                    f"<table>{cells}</table></div>{code}")  # fmt: skip
    found = barriers([page])
    assert sum('TD "last" cannot be read whole' in one for one in found) == 2  # not on a telephone
    assert not [one for one in found if '"first"' in one or "PRE" in one]
