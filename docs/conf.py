"""How Sphinx builds the site from the pages that stage.py lays out: `make site`."""

from html import escape

from nextaim_kit.machine.kit import kit_version
from nextaim_kit.runs.formula import formula

project, author = "nextaim_kit", "the nextAIM groups"
version = release = kit_version()
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
nitpicky = False

# Notebooks are shown as they were run: nothing runs here, and nothing is loaded from elsewhere.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True
nb_output_stderr = "remove"  # progress, line by line
nb_code_prompt_show = "Show the solution"
nb_code_prompt_hide = "Hide the solution"
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
myst_heading_slug_func = "docutils.nodes.make_id"  # as the glossary names its places
myst_url_schemes = ["http", "https", "mailto", "doi"]
suppress_warnings = [
    "mystnb.unknown_mime_type",
    "myst.header",
    "ref.ref",
    "misc.highlighting_failure",
]

autodoc_typehints = "none"  # docstrings tell types with shapes and units
autosummary_generate = True
autosummary_imported_members = True
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "pydata_sphinx_theme"
html_title = "nextaim_kit"
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # it is fetched, which files may not do
html_context = {"default_mode": "auto"}
html_extra_path = ["extra"]
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "navigation_with_keys": False,
}


def setup(app):
    """Draw formulas into the pages, as reports do: no script, no font, nothing to load."""
    app.add_html_math_renderer("drawn", inline_renderers=(_inline, None),
                               block_renderers=(_block, None))  # fmt: skip
    app.config.html_math_renderer = "drawn"


def _drawn(node) -> str:
    return formula(node.astext()) or f"<code>{escape(node.astext())}</code>"


def _inline(writer, node):
    from docutils.nodes import SkipNode

    writer.body.append(_drawn(node))
    raise SkipNode


def _block(writer, node):
    from docutils.nodes import SkipNode

    writer.body.append(f'<p class="formula">{_drawn(node)}</p>')
    raise SkipNode
