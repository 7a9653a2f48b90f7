"""What the website makes of a text, its examples, what it fetches and how it is published: without building it."""

import doctest
import io
import re
import tarfile
import warnings

import matplotlib.pyplot as plt
import nbformat
import pytest
import yaml

import mnist1d_utils as m1
import xai_utils as xu
from tools import __main__ as targets
from tools import book, book_api, book_html, book_text, npm
from tools.environment import ROOT
from tools.notebooks import found

BIBLIOGRAPHY = "@article{fong2017,\n  author = {Ruth Fong},\n}\n@misc{tan2019,\n  note = {arXiv:1905.11946},\n}\n"


def notebook(*texts):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in texts])


@pytest.fixture
def chapters(tmp_path):
    """Two chapters: 01 with two equations and two sections, 10 with one equation and one section."""
    first = "# 01 · A\n\n## 1. Masks\n\n$$a = 1. \\tag{1}$$\n\n## 2. Maps\n\n$$b\n= 2 \\tag{2}$$"
    nbformat.write(notebook(first), tmp_path / "01_a.ipynb")
    nbformat.write(notebook("# 10 · B\n\n## 1. More\n\n$$c \\tag{1}$$"), tmp_path / "10_b.ipynb")
    return book_text.Chapters([tmp_path / "01_a.ipynb", tmp_path / "10_b.ipynb"], BIBLIOGRAPHY)


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        ("by (1) and (3)", "by {eq}`eq-10-1` and (3)"),
        ("equation (2) of chapter 01", "equation {eq}`eq-01-2` of [chapter 01](/notebooks/01_a.ipynb)"),
        ("chapter 01, eq. (2)", "[chapter 01](/notebooks/01_a.ipynb), eq. {eq}`eq-01-2`"),
        ("see section 1, not section 7", "see {ref}`section 1 <section-10-1>`, not section 7"),
        ("section 2 of chapter 01", "{ref}`section 2 <section-01-2>` of [chapter 01](/notebooks/01_a.ipynb)"),
        ("Chapters 01, 04 and 10", "[Chapters 01](/notebooks/01_a.ipynb), 04 and [10](/notebooks/10_b.ipynb)"),
        ("Rules [fong2017], [nobody1999]", "Rules {cite:p}`fong2017`, [nobody1999]"),
        ("in 2017 (fong2017).", "in 2017 {cite:p}`fong2017`."),
        ("Fong and Vedaldi 2017 say", '<a href="../references.html#fong2017">Fong and Vedaldi 2017</a> say'),
        ("`chapter 01` and $p_{(1)}$", "`chapter 01` and $p_{(1)}$"),
        ("[chapter 01](01_a.ipynb)", "[chapter 01](01_a.ipynb)"),
        ("## 1. As in chapter 01", "## 1. As in chapter 01"),
        ("```\nchapter 01 (1)\n```", "```\nchapter 01 (1)\n```"),
    ],
)
def test_what_a_text_names_becomes_a_link_and_nothing_else_changes(chapters, text, linked):
    assert book_text.linked(text, chapters, "10") == linked


def test_an_equation_gets_a_label_a_section_a_target_and_the_contents_links(chapters):
    text = "**Contents**\n\n1. Masks\n2. Maps\n\n## 2. Maps\n\nBy (1),\n\n$$b\n= 2. \\tag{2}$$"
    assert book_text.chapter_text(text, chapters, "01") == (
        "**Contents**\n\n1. {ref}`Masks <section-01-1>`\n2. {ref}`Maps <section-01-2>`\n\n"
        "(section-01-2)=\n## 2. Maps\n\nBy {eq}`eq-01-1`,\n\n$$b\n= 2.$$ (eq-01-2)"
    )


def test_equations_that_are_not_numbered_in_order_are_refused(tmp_path):
    nbformat.write(notebook("$$a \\tag{1}$$ $$b \\tag{3}$$"), tmp_path / "04_c.ipynb")
    with pytest.raises(SystemExit, match="04_c.ipynb: the numbers of its equations are"):
        book_text.Chapters([tmp_path / "04_c.ipynb"], "")


def test_a_term_is_linked_once_where_it_first_stands():
    cells = notebook("# Logit\n\nTwo logits, one `logit`.", "A logit, by GAP.").cells
    book_text.with_terms(cells, ["logit", "GAP"])
    assert [cell.source for cell in cells] == [
        "# Logit\n\nTwo {term}`logits <logit>`, one `logit`.",
        "A logit, by {term}`GAP <GAP>`.",
    ]


def test_every_figure_has_its_own_text():
    def picture(text):
        data = {"image/png": "aGk="}
        return nbformat.v4.new_output("display_data", data=data, metadata={"image/png": {"alt": text}})

    said = nbformat.v4.new_output("stream", text="0.5\n")
    cell = nbformat.v4.new_code_cell("show()", outputs=[said, picture("first"), picture("second")])
    one, two = book_text.figures_apart(cell)
    assert (one.source, two.source) == ("show()", "")
    assert [part.metadata.mystnb["image"]["alt"] for part in (one, two)] == ["first", "second"]
    assert [len(one.outputs), len(two.outputs)] == [2, 1] and two.metadata["tags"] == ["remove-input"]


def test_a_link_out_of_the_website_goes_to_the_repository_or_stays_words():
    text = "[page](../docs/a.md#b) [code](../heatproof/c.py) [web](https://d.org) ![e](../f.png)"
    assert book_text.local_links(text, book.PurePosixPath("notebooks/x.ipynb"), {"docs/a.md"}, "") == (
        "[page](../docs/a.md#b) code [web](https://d.org) ![e](../f.png)"
    )
    there = book_text.local_links(text, book.PurePosixPath("notebooks/x.ipynb"), {"docs/a.md"}, "https://h/o/n")
    assert "[code](https://h/o/n/blob/main/heatproof/c.py)" in there


# Sources that no registered DOI is known of: books, lecture notes, journals and proceedings that give none.
NO_DOI = set(
    "ruifrok2001 ekman1978 erhan2009 mordvintsev2015 cs231n hammer1992 krizhevsky2012 vandermaaten2008 "
    "vandermaaten2014 banerjee2005 demsar2006 adebayo2022".split()
)


def test_every_source_has_its_doi_and_an_arxiv_number_stands_in_no_other():
    entries = dict(re.findall(r"^@\w+\{([^,]+),(.*?)^\}", book.bibliography(), re.DOTALL | re.MULTILINE))
    given = {key: re.findall(r"^ +doi += \{(.*)\},$", entry, re.MULTILINE) for key, entry in entries.items()}
    assert {key for key, dois in given.items() if not dois} == NO_DOI
    every = [doi.lower() for dois in given.values() for doi in dois]
    assert all(re.fullmatch(r"10\.\d{4,5}/\S+", doi) for doi in every)
    assert len(set(every)) == len(every) == len(entries) - len(NO_DOI)  # one each, and none is its neighbour's
    for key, entry in entries.items():
        for number in re.findall(r"arXiv:(\d{4}\.\d{4,5})", entry):
            assert given[key] == [f"10.48550/arXiv.{number}"]


def test_a_signature_of_several_lines_is_no_list_and_a_visible_name_stands_alone():
    page = '<dl>\n<dd><em>a</em></dd>\n<dd><em>b</em></dd>\n</dl><th class="head"><p></p></th>'
    assert book_html.mended(page) == (
        '<span class="parameters"><span class="parameter"><em>a</em></span>\n'
        '<span class="parameter"><em>b</em></span>\n</span><td></td>'
    )
    assert book_html.mended('<summary aria-label="Toggle hidden content">') == "<summary>"


# ---- examples


def test_every_public_name_has_one_example_and_stands_on_one_page():
    names = [name for _, name, _ in book_api.public()]
    assert sorted(names) == sorted([*xu.__all__, *m1.__all__])
    assert {page for _, _, page in book_api.public()} == set(book_api.PAGES)
    examples = book_api.examples()
    assert set(examples) == set(names), "book/examples: write one for each public name"
    assert all(line.startswith((">>> ", "... ")) for text in examples.values() for line in text.splitlines()[:1])


@pytest.fixture(scope="module")
def at_hand():
    """What every example may use, as the page of the library says."""
    given = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        exec(book_api.prelude(), given)
    return given


@pytest.mark.parametrize("name", sorted(book_api.examples()))
def test_an_example_gives_what_it_shows(name, at_hand, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("XAI_DATA", str(tmp_path))  # the examples say what is told where a data set is absent
    monkeypatch.setenv("XAI_REPORT_DIR", str(tmp_path))
    said = io.StringIO()
    test = doctest.DocTestParser().get_doctest(book_api.examples()[name], dict(at_hand), name, None, 0)
    assert test.examples
    with warnings.catch_warnings(), plt.rc_context():  # an example may set the style of all figures
        warnings.simplefilter("ignore")
        result = doctest.DocTestRunner(verbose=False).run(test, out=said.write)
    plt.close("all")
    assert result.failed == 0, said.getvalue()


# ---- what is fetched


def test_a_package_with_another_hash_is_thrown_away(tmp_path, monkeypatch):
    def packed(package, cache):
        with tarfile.open(cache / "m.tgz", "w:gz") as archive:
            archive.addfile(tarfile.TarInfo("package/package.json"))
        return cache / "m.tgz"

    monkeypatch.setattr(npm, "packed", packed)
    with pytest.raises(SystemExit, match=f"mathjax {npm.PINNED['mathjax'][0]}: the archive has the hash sha512-"):
        npm.fetch("mathjax", tmp_path)
    assert not list(tmp_path.iterdir())
    made = npm.integrity(packed("", tmp_path))
    monkeypatch.setitem(npm.PINNED, "mathjax", ("3.2.2", made))
    monkeypatch.setattr(npm, "packed", lambda package, cache: tmp_path / "m.tgz")
    assert npm.fetch("mathjax", tmp_path) == tmp_path / "mathjax-3.2.2"
    assert [path.name for path in tmp_path.iterdir()] == ["mathjax-3.2.2"]


# ---- the workflow


def test_the_workflow_runs_the_commands_of_the_makefile_and_publishes_the_website():
    text = (ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8")
    flow = yaml.safe_load(text)
    assert set(flow) == {"name", True, "permissions", "concurrency", "jobs"}  # "on" is read as true
    steps = flow["jobs"]["build"]["steps"]
    made = [re.fullmatch(r"make (\w+)", step["run"]) for step in steps if "run" in step]
    assert [match[1] for match in made if match] == ["latex", "report", "book"]
    assert {match[1] for match in made if match} <= set(targets.HELP)
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    (upload,) = [step for step in steps if step.get("uses", "").startswith("actions/upload-pages-artifact")]
    assert ROOT / upload["with"]["path"] == book.BOOK
    publish = flow["jobs"]["publish"]
    assert publish["needs"] == "build" and publish["permissions"] == {"pages": "write", "id-token": "write"}


def test_no_number_of_an_equation_stands_twice_in_a_chapter():
    text = (ROOT / "report" / "references.bib").read_text(encoding="utf-8")
    chapters = book_text.Chapters(found(), text)
    assert set(chapters.names) == {path.stem[:2] for path in found()}
