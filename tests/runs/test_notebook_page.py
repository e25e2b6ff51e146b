"""The report: one page that needs nothing else, hides nothing, and can be read by all."""

from __future__ import annotations

import base64
import re
from functools import partial
from html.parser import HTMLParser

import pytest
from nbformat import v4

from nextaim_kit.catalog import Published, Study
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.nested import nested_cv, outer_fold
from nextaim_kit.runs.formula import formula
from nextaim_kit.runs.markup import clean
from nextaim_kit.runs.notebook_page import render_report
from nextaim_kit.runs.shown_source import source_markdown

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
HOSTILE = "<script>alert(1)</script>"
STUDY = Study(
    id="s",
    title="A study",
    question="Does it <work>?",
    papers=["Doe et al. 2024, doi:10.1/y", "a book"],
    published=[Published(metric="AUC", value=0.85, tag="pub", where="A paper", doi="10.1/x",
                         notebook="fit", matches="auc")],
)  # fmt: skip


class Page(HTMLParser):
    """Elements of a page, to ask after."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.elements = text, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    def loads(self) -> list[str]:
        """Addresses that a browser would fetch by itself."""
        found = [a["src"] for _, a in self.elements if "src" in a]
        found += [a["href"] for a in self.all("link")]
        found += re.findall(r"url\(([^)]*)\)|@import", self.text)
        return [f for f in found if not f.startswith("data:")]


@pytest.fixture
def page(tmp_path):
    """Make a report of cells and changes to the record, and read it back."""

    def make(*cells, **changes) -> Page:
        to = tmp_path / "report.html"
        render_report(v4.new_notebook(cells=list(cells)), record(**changes), STUDY, to)
        return Page(to.read_text(encoding="utf-8"))

    return make


def record(**changes) -> dict:
    metric = {"name": "auc", "value": 0.8, "low": 0.7, "high": 0.9, "n": 9, "unit": "", "note": ""}
    data = [{"name": "synthetic", "sha256": None, "licence": "MIT", "synthetic": True}]
    return {
        "id": "abc", "notebook": "s/fit", "study": "s", "stage": "fit", "title": "Fit it",
        "profile": "smoke", "parameters": {"size": 3}, "data": data, "metrics": [metric],
        "failures": 0, "outcome": "complete", "error": None, "kit": "1.0",
        "sections": [{"title": "Fit", "seconds": 2.0, "peak_mb": 90.0}],
        "packages": {"numpy": "2"}, "hardware": {"cores": 2},
    } | changes  # fmt: skip


def code(source="x = 1", *outputs, tags=()):
    return v4.new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def shown(metadata=None, **data):
    data = {name.replace("_", "/"): value for name, value in data.items()}
    return v4.new_output("display_data", data=data, metadata=metadata or {})


def stream(text, name="stdout"):
    return v4.new_output("stream", name=name, text=text)


def error():
    return v4.new_output("error", ename="DataError", evalue="no label", traceback=[
        "\x1b[31m" + "-" * 75 + "\x1b[0m", "\x1b[31mDataError\x1b[0m: no label"])  # fmt: skip


def test_the_page_loads_nothing_from_anywhere(page):
    cells = (
        v4.new_markdown_cell("# Fit\n![x](https://example.org/a.png) [link](https://example.org)"),
        code("x", shown(text_html='<img src="http://example.org/b.png"><link href="http://c/d">'
                        '<p style="background:url(http://e/f)">p</p>')),
        code("y", shown(image_png=PNG)),
    )  # fmt: skip
    assert page(*cells).loads() == []


def test_every_picture_has_its_alternative_text(page):
    given = {"image/png": {"alt": 'ROC "curves"'}}
    made = page(code("f", shown(given, image_png=PNG), shown(image_png=PNG),
                     shown(text_html=f'<img src="data:image/png;base64,{PNG}">')))  # fmt: skip
    alts = [a["alt"] for a in made.all("img")]
    assert alts == ['ROC "curves"', *["figure without description"] * 2]


def test_there_is_one_h1_and_no_heading_level_is_left_out(page):
    prose = ["# Fit it\n\nWhy.", "## Data", "#### Deep", "# Again"]
    made = page(*map(v4.new_markdown_cell, prose), code("x", shown(text_html="<h1>no</h1>")))
    levels = [int(t[1]) for t, _ in made.elements if re.fullmatch("h[1-6]", t)]
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip([0, *levels], levels, strict=False))


def test_hostile_text_never_becomes_markup(page):
    made = page(
        v4.new_markdown_cell(f"# A {HOSTILE}\n<b onclick='x()'>b</b> [go](javascript:x())"),
        code(HOSTILE, stream(HOSTILE), shown(text_html=HOSTILE + "<i onload='x()'>i</i>")),
        code("w", shown(text_html="<svg><script>alert(2)</script></svg><script>alert(3)")),
        parameters={"size": HOSTILE, HOSTILE: 1},
        title=HOSTILE,
        profile=HOSTILE,
    )
    assert len(made.all("script")) == 1  # the page's own
    assert "alert(2)" not in made.text
    assert not [a for _, a in made.elements for name in a if name.startswith("on")]
    assert not [a for a in made.all("a") if "javascript:" in (a.get("href") or "")]


def test_code_is_folded_and_a_solution_is_called_so(page):
    made = page(code("a = 1"), code("b = ...", tags=["exercise"]), code("b=2", tags=["solution"]))
    folds = [a for a in made.all("details") if "code" in a.get("class", "").split()]
    assert len(folds) == 3
    assert not any("open" in a for a in folds)
    assert ">Solution <" in made.text
    assert ">Exercise <" in made.text


def test_parameters_stand_at_the_head_and_not_in_the_code(page):
    declared = 'size: int = 2  # numbers to draw [1, 9]\nkind: str = "a"  # of what'
    cells = [code(declared, tags=["parameters"]), code("size = 3", tags=["injected-parameters"])]
    made = page(*cells, parameters={"size": 3, "kind": "a"})
    assert "numbers to draw" in made.text
    assert made.text.count('class="mark">changed') == 1
    assert 'class="highlight' not in made.text


def test_a_long_name_in_a_table_may_be_broken_where_its_words_meet(page):
    table = "<table><tr><th>site_id</th><th>rho_before</th><td>glcm_JointEntropy</td></tr></table>"
    made = page(code("t", shown(text_html=table)))
    for name in ("site_id", "rho_<wbr>before", "glcm_<wbr>Joint<wbr>Entropy"):
        assert f">{name}<" in made.text


def test_synthetic_data_are_lettered_and_real_ones_are_not(page):
    real = [{"name": "mine", "sha256": "0" * 64, "licence": "unknown", "synthetic": False}]
    assert "SYNTHETIC DATA</p>" in page().text
    assert "SYNTHETIC" not in page(data=real).text


def test_the_published_number_stands_beside_ours_with_its_source(page):
    text = page().text
    assert "0.05 below, inside our interval" in text
    assert 'href="https://doi.org/10.1/x"' in text
    assert text.index("0.05 below") < text.index('id="parameters"')


def test_the_comparison_is_not_shown_twice(page):
    again = shown(text_html='<div class="nextaim-comparison">again</div>', text_plain="x")
    assert "again" not in page(code("run.finish()", again)).text


def test_a_failed_run_leads_to_its_error(page):
    made = page(code("check()", error()), outcome="failed", metrics=[],
                error={"kind": "RunError", "what": "s/fit failed"})  # fmt: skip
    assert 'href="#error"' in made.text
    assert made.text.count('id="error"') == 1
    assert "-" * 20 not in made.text
    assert "before it measured anything" in made.text


def test_left_out_subjects_are_announced(page):
    assert "2 subjects failed" in page(outcome="incomplete", failures=2).text


def test_a_progress_bar_shows_only_its_last_state(page):
    bar = [stream("\r 10%", "stderr"), stream("\r100%\n", "stderr")]
    made = page(code("fit()", *bar))
    assert "100%" in made.text
    assert " 10%" not in made.text


def test_a_widget_falls_back_to_its_text(page):
    widget = v4.new_output(
        "display_data",
        data={
            "application/vnd.jupyter.widget-view+json": {"model_id": "0"},
            "text/plain": "NiiVue()",
        },
    )
    assert "NiiVue()" in page(code("view()", widget)).text


def test_equal_headings_get_different_anchors(page):
    made = page(v4.new_markdown_cell("# A\n## Data\n## Data"))
    anchors = [a["id"] for _, a in made.elements if a.get("id")]
    assert len(anchors) == len(set(anchors))
    targets = [a["href"][1:] for a in made.all("a") if a.get("href", "").startswith("#")]
    assert set(targets) <= set(anchors)


def test_a_formula_is_drawn_in_the_page(page):
    made = page(v4.new_markdown_cell(r"# A\n\nIt is $\frac{a}{b}$, or $$\alpha^2$$"))
    assert [a["aria-label"] for a in made.all("svg") if a.get("class") == "formula"] == [
        r"\frac{a}{b}", r"\alpha^2"]  # fmt: skip


def test_a_formula_that_cannot_be_drawn_stays_as_it_is(page):
    assert formula(r"\nosuchcommand{x}") == ""
    assert r"$\nosuchcommand{x}$" in page(v4.new_markdown_cell(r"$\nosuchcommand{x}$")).text


def test_a_word_of_the_glossary_shows_its_meaning_and_no_link_leads_nowhere(page):
    text = "# A\n\n[AUC], [next](2_b.ipynb), [paper](https://doi.org/1)"
    made = page(v4.new_markdown_cell(f'{text}\n\n[AUC]: ../glossary.md#auc "0.5 < it"'))
    assert {"title": "0.5 < it"} in made.all("abbr")
    assert ">AUC</abbr>, next, <a" in made.text
    assert not [a for a in made.all("a") if re.search("ipynb|glossary", a.get("href", ""))]


def test_the_same_run_gives_the_same_page(page):
    cells = [v4.new_markdown_cell("# A $x$"), code("f", shown(image_png=PNG))]
    assert page(*cells).text == page(*cells).text


def test_page_style_and_frame_stay_small(page):
    assert len(page().text) < 60_000


def test_a_notebook_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "broken.ipynb").write_text("{")
    with pytest.raises(DataError, match=r"broken\.ipynb"):
        render_report(tmp_path / "broken.ipynb", record(), STUDY, tmp_path / "r.html")


def test_tables_keep_their_structure_when_cleaned():
    table = '<table class="dataframe"><tr><th scope="row">a</th><td colspan="2">1</td></tr></table>'
    assert clean(table).replace("<tbody>", "").replace("</tbody>", "") == table


def test_the_source_of_a_function_is_shown_folded_and_highlighted(page):
    text = source_markdown(partial(outer_fold, None))
    assert text.startswith(
        "<details open><summary><code>nextaim_kit.learn.nested.outer_fold</code>"
    )
    assert "fitted = _pipeline(plan, setting, seed).fit(*_rows(plan, train))" in text
    cell = v4.new_code_cell("run.source(f)")
    cell.outputs = [v4.new_output("display_data", {"text/markdown": text, "text/plain": "<M>"})]
    shown = page(cell)
    assert "details" in [tag for tag, _ in shown.elements]
    assert '<span class="k">with</span>' in shown.text
    assert "~~~" not in shown.text


def test_a_long_docstring_is_cut_to_its_first_line_and_the_code_is_whole():
    text = source_markdown(nested_cv)
    assert '    """Test a model on patients that had no part in any of its choices."""\n' in text
    assert "Parameters\n" not in text
    assert "done = parallel(" in text


def test_what_has_no_source_is_refused():
    for thing in (len, 3):
        with pytest.raises(RequestError, match="no source to show"):
            source_markdown(thing)


def test_it_says_how_to_cite_the_kit_and_the_study_s_papers(page):
    text = page().text
    said = re.sub(r"<[^>]+>", "", text[text.index("How to cite") :].partition("</p>")[0])
    assert said.endswith("; and for the method of this study: Doe et al. 2024, doi:10.1/y; a book.")
    assert '<a href="https://doi.org/10.1/y">Doe et al. 2024, doi:10.1/y</a>' in text
