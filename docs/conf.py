"""The site: `make docs` builds it into build/site, without a network, and a warning is an error.

Sphinx reads the repository from its root, so that every link of a page to another page, a figure or a source file is
the same on disk, on a code host and on the site. The tutorials are the scripts of examples/, executed by the build.
"""

import sys
from pathlib import Path

from accelerate.state import AcceleratorState
from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

import tokenfield

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

from docstrings import restructured  # noqa: E402

project = "tokenfield"
author = "The tokenfield maintainers"
copyright = f"2026, {author}; Apache-2.0"
version = release = tokenfield.__version__

extensions = [
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.apidoc",
]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "results/**/*.md",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "experiments/README.md",
    "tokenfield/models/weights/**/*.md",
]
exclude_patterns = [
    "docs/package.md",
    "docs/api/modules.rst",
    ".*",
    "build",
    "dist",
    "runs",
    "demo",
    "**/__pycache__",
    "docs/tutorials/**/*.ipynb",
    "docs/tutorials/**/*.py",
    "docs/tutorials/**/*.json",
]
suppress_warnings = [
    "myst.header",  # tables of results that begin below the first level
    "config.cache",  # a class in the gallery's configuration cannot be written to the cache
    "ref.python",  # `UserError` in a signature, which is at home in one module and exported by another
]

# Pages are Markdown. Headings of the first three levels have the anchors that code hosts give them.
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 4
math_number_all = False

# Docstrings say shapes, units, ranges, errors and sources in Google's style; a name in backticks is code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # those of torch are torch's
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
apidoc_modules = [
    {
        "path": "../tokenfield",
        "destination": "docs/api",
        "include_private": False,
        "module_first": True,
        "exclude_patterns": ["**/cli*", "**/demo*", "**/commands*", "**/plugin.py", "**/__main__.py", "**/_version.py"],
        "automodule_options": {"members", "show-inheritance"},
    }
]
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_ivar = True
python_maximum_signature_line_length = 88

TUTORIALS = (
    "your_photographs",
    "train_and_compare",
    "tokens_for_diffusion",
    "a_field_over_the_globe",
    "views_of_an_object",
    "add_a_system",
    "in_your_training_loop",
)
"""The order in which a newcomer meets them; others follow by name."""


class TutorialOrder:
    """The sorting key of scripts in examples/, as sphinx-gallery makes it for a folder."""

    def __init__(self, folder: str):
        self.folder = folder

    def __call__(self, name: str) -> tuple[int, str]:
        stem = Path(name).stem
        return (TUTORIALS.index(stem) if stem in TUTORIALS else len(TUTORIALS)), stem


def fresh_accelerator(conf: dict[str, object], name: str) -> None:
    """Scripts run one after the other in one process, and `accelerate` takes one precision per process."""
    AcceleratorState._reset_state(reset_partial_state=True)


sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "docs/tutorials",
    "filename_pattern": r"\.py$",
    "within_subsection_order": TutorialOrder,
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "min_reported_time": 1e9,  # no page of computation times
    "write_computation_times": False,
    "capture_repr": ("_repr_html_", "__repr__"),
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib", fresh_accelerator),
    "thumbnail_size": (400, 250),
    "nested_sections": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "tokenfield"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source, html_show_sourcelink = True, False
html_sidebars = {"docs/index": []}
html_theme_options = {
    "logo": {"text": "tokenfield"},
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def plain_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Before Google's sections are read: Markdown becomes reStructuredText, in place."""
    lines[:] = restructured(lines)


def leave_out(app: Sphinx, page: str, source: list[str]) -> None:
    """Results and cards of weights are reached from the pages about them, and are in no table of contents."""
    if page.startswith(("results/", "tokenfield/")):
        source[0] = f"---\norphan: true\n---\n\n{source[0]}"


def inline_math(self: HTML5Translator, node: nodes.math) -> None:
    """A formula as MathML, which browsers draw themselves: no script, no font, no network."""
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def display_math(self: HTML5Translator, node: nodes.math_block) -> None:
    """A formula on lines of its own."""
    self.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


FRONT = """<!doctype html><meta charset="utf-8"><title>tokenfield</title>
<meta http-equiv="refresh" content="0; url=docs/index.html"><a href="docs/index.html">tokenfield</a>
"""


def finish(app: Sphinx, error: Exception | None) -> None:
    """The door of the site, and llms.txt: what it is and every page as Markdown, for programs that read."""
    if error is not None or app.builder.format != "html":
        return
    site, environment = Path(app.outdir), app.env
    (site / "index.html").write_text(FRONT)
    pages = "\n".join(
        f"- [{environment.titles[page].astext()}](_sources/{page}{Path(environment.doc2path(page)).suffix}.txt)"
        for page in sorted(environment.found_docs)
        if page.startswith("docs/")
    )
    (site / "llms.txt").write_text((ROOT / "docs" / "llms.txt").read_text().replace("PAGES", pages))


def setup(app: Sphinx) -> None:
    """What Sphinx calls."""
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
    app.connect("autodoc-process-docstring", plain_docstring, priority=100)
    app.connect("source-read", leave_out)
    app.connect("build-finished", finish)


html_math_renderer = "mathml"
