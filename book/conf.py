"""How Sphinx builds the website of the course from build/book-source/, which tools/book.py writes."""

import json
import re
from pathlib import Path

from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style
from pybtex.style.labels import BaseLabelStyle

HERE = Path(__file__).resolve().parent
SET = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))


class Keys(BaseLabelStyle):
    """An entry of the bibliography is called by its key, as in the notebooks."""

    def format_labels(self, entries):
        return [entry.key for entry in entries]


class Keyed(Style):
    default_sorting_style = "author_year_title"
    default_label_style = Keys


register_plugin("pybtex.style.formatting", "keyed", Keyed)

project, author, version = SET["title"], SET["author"], SET["version"]
project_copyright = f"{SET['date'][:4]}, {author}. Code: MIT. Text and figures: CC BY 4.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinxcontrib.bibtex"]
exclude_patterns = ["jupyter_execute"]
language = "en"

# notebooks: as they were executed
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}
nb_mime_priority_overrides = [("html", "image/jpeg", 5)]
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
math_eqref_format = "({number})"
mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}, "svg": {"fontCache": "global"}}

bibtex_bibfiles = ["report/references.bib"]
bibtex_default_style = "keyed"
bibtex_reference_style = "label"
bibtex_cite_id = "{key}"

autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

html_theme = "sphinx_book_theme"
html_title = SET["title"]
html_static_path = ["static"]
html_css_files = ["book.css"]
html_extra_path = SET["extra"]
html_copy_source = False
html_show_sphinx = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": True,
    "navbar_persistent": [],
}
if SET["address"]:
    html_theme_options |= {
        "repository_url": SET["address"],
        "repository_branch": "main",
        "use_repository_button": True,
        "use_issues_button": True,
        "launch_buttons": {"binderhub_url": "https://mybinder.org", "colab_url": "https://colab.research.google.com"},
    }

ARRAY = re.compile(r"[~\w.]*_Buffer \| .*?_NestedSequence\[complex \| bytes \| str\]")
KEYS = set(
    re.findall(r"^@\w+\{([^,]+),", (HERE / "report" / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
)
AFTER = re.compile(r"(?<=[.:;\s])\s*(?=(?:Raises|Returns) |Sources?: )")


def in_paragraphs(app, what, name, obj, options, lines):
    """What a docstring returns, raises and cites begins a line of its own; nothing in it is markup but `code`."""
    found = []
    for paragraph in "\n".join(lines).split("\n\n"):
        if paragraph.startswith((" ", "\t")) or "\n====" in f"\n{paragraph}":
            found += ["::", "", *(f"    {line}" for line in paragraph.split("\n")), ""]
            continue
        for part in AFTER.split(paragraph):
            pieces = re.split(r"``?([^`]+)``?", " ".join(part.split()))
            pieces[::2] = [re.sub(r"([\\*|_])", r"\\\1", piece) for piece in pieces[::2]]
            pieces[1::2] = [f"``{piece}``" for piece in pieces[1::2]]
            found += [source_keys("".join(pieces)), ""]
    lines[:] = found


def source_keys(text):
    """The docstring's sources with the keys of the bibliography behind them: the first author's name and the year."""

    def keyed(match):
        key = f"{match[1]}{match[2]}".lower()
        return f"{match[0]} :cite:p:`{key}`" if key in KEYS else match[0]

    return re.sub(r"\b([A-Z][a-z]+)(?:(?:,| and| et al\.)? ?(?:[A-Z][a-z]+)?)* ((?:19|20)\d\d)", keyed, text)


def short_types(app, what, name, obj, options, signature, returned):
    """What NumPy takes as an array has a long type: here it has its name."""
    return [text and ARRAY.sub("ArrayLike", text) for text in (signature, returned)]


def setup(app):
    import heatproof  # noqa: F401  # autodoc imports TensorFlow: without its lines on stderr

    app.connect("autodoc-process-docstring", in_paragraphs)
    app.connect("autodoc-process-signature", short_types)
