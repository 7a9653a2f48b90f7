"""The website of the course, walked page by page in a browser: build/book/, as `make book` leaves it.

Needs Debian's chromium, and npm for what is fetched once; where one of them is missing the walk is skipped and says so.
XAI_SCREENSHOTS names a folder for a picture of each page.
"""

import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from playwright.sync_api import sync_playwright

from tools import book, npm

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
DRIVER = "GL Driver Message (OpenGL, Performance"  # of software WebGL, where the toolbox computes
WIDTHS = (390, 1280)  # a telephone, a laptop
KINDS = ("index", "notebooks/10_meaningful_perturbation", "api/methods", "docs/parity", "glossary")
KINDS += ("notebooks/solutions/05_cam_gradcam",)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="chromium is not installed: apt-get install chromium"),
    pytest.mark.skipif(not (shutil.which("npm") or npm.CACHE.is_dir()), reason="npm is not installed"),
]
SEEN = """() => ({
    ids: [...document.querySelectorAll('[id]')].map(one => one.id),
    links: [...document.querySelectorAll('a[href]')].map(one => one.href),
    silent: [...document.querySelectorAll('img')].filter(one => !one.alt.trim()).map(one => one.src),
    broken: [...document.querySelectorAll('img')].filter(one => !one.naturalWidth).map(one => one.src),
    mathematics: [...document.querySelectorAll('mjx-merror, [data-mjx-error]')].map(one => one.textContent),
    title: document.title,
})"""
WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
WIDEST = """() => [...document.querySelectorAll('body *')].filter(
    one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1).slice(0, 3).map(
    one => one.tagName + '.' + one.className)"""
READY = """() => Promise.all([
    window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => true) : true,
    ...[...document.images].map(one => { one.loading = 'eager'; return one.decode().catch(() => true); })])"""
AXE = """() => axe.run().then(found => found.violations.map(
    one => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map(node => node.html.slice(0, 150)).join(' | ')}`))"""


@pytest.fixture(scope="module")
def pages():
    """The pages of the website by their names."""
    book.build()
    return {path.relative_to(book.BOOK).with_suffix("").as_posix(): path for path in book.BOOK.rglob("*.html")}


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--allow-file-access-from-files"])
        yield chromium
        chromium.close()


def photograph(page, name):
    if folder := os.environ.get("XAI_SCREENSHOTS"):
        path = Path(folder) / f"{name.replace('/', '-')}-{page.viewport_size['width']}.png"
        page.screenshot(path=path, full_page=True)


@pytest.fixture(scope="module")
def walk(pages, browser):
    """{name: what was found on the page}, each page opened once and looked at in both widths."""
    found, page, noise = {}, browser.new_page(), []
    page.on("console", lambda message: noise.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on("request", lambda request: noise.append(request.url) if outside(request.url) else None)
    page.on("requestfailed", lambda request: noise.append(f"failed: {request.url}"))
    for name, path in sorted(pages.items()):
        noise.clear()
        page.set_viewport_size({"width": WIDTHS[1], "height": 900})
        page.goto(path.as_uri())
        page.evaluate(READY)
        found[name] = page.evaluate(SEEN)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            found[name][width] = page.evaluate(WIDE), page.evaluate(WIDEST)
            photograph(page, name)
        found[name]["noise"] = list(noise)
    page.close()
    return found


def outside(address):
    return urlsplit(address).scheme not in ("file", "data", "blob", "about")


def of_all(walk, what):
    return {name: found[what] for name, found in walk.items() if found[what]}


def test_no_page_says_an_error_or_asks_for_anything_outside(walk):
    noise = {name: [each for each in found if DRIVER not in each] for name, found in of_all(walk, "noise").items()}
    assert not {name: found for name, found in noise.items() if found}


def test_every_picture_is_there_and_has_a_text(walk):
    assert sum("<img" in path.read_text() for path in book.BOOK.glob("notebooks/*.html")) >= 10
    assert not of_all(walk, "broken") and not of_all(walk, "silent")


def test_every_formula_is_set(walk):
    assert not of_all(walk, "mathematics")


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_scrolls_sideways(walk, width):
    assert not {name: found[width] for name, found in walk.items() if found[width][0] > 0}


def test_every_link_leads_somewhere(walk, pages):
    ids = {path.resolve(): {"", *walk[name]["ids"]} for name, path in pages.items()}
    lost = set()
    for name, found in walk.items():
        for link in found["links"]:
            address, place = urldefrag(link)
            if urlsplit(link).scheme != "file":
                lost |= set() if urlsplit(link).scheme == "https" else {(name, link)}
                continue
            path = Path(unquote(urlsplit(address).path)).resolve()
            place = "" if path.parent.name == "toolbox" else place  # its places are made by its script
            there = unquote(place) in ids[path] if path in ids else path.is_file()
            lost |= set() if there else {(name, link)}
    assert not lost


def test_every_chapter_is_there_and_the_title_is_the_same_everywhere(walk):
    title = book.citation()["title"]
    pages = {name.removeprefix("notebooks/") for name in walk if name.startswith("notebooks/")}
    own = {
        name: found for name, found in walk.items() if not name.startswith("toolbox/")
    }  # which has titles of its own
    chapters, solved = ({path.stem for path in paths} for paths in (book.found(), book.solved()))
    assert pages == chapters | {f"solutions/{name}" for name in (*solved, "index")}
    assert {re.split(" [-\N{EM DASH}] ", found["title"])[-1] for found in own.values()} == {title}
    assert (ROOT / "README.md").read_text(encoding="utf-8").startswith(f"# {title}\n")
    assert rf"\title{{\vspace{{-14mm}}{title}" in (ROOT / "report" / "report.tex").read_text(encoding="utf-8")


def test_a_chapter_leads_to_its_solutions_and_they_lead_back(walk, pages):
    for path in book.solved():
        for name, other in ((path.stem, f"solutions/{path.stem}"), (f"solutions/{path.stem}", path.stem)):
            links = {urldefrag(link)[0] for link in walk[f"notebooks/{name}"]["links"]}
            assert pages[f"notebooks/{other}"].as_uri() in links, name


def test_the_search_finds_a_word_without_a_server(pages, browser):
    page = browser.new_page()
    page.goto(pages["search"].as_uri() + "?q=Otsu")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    assert any("glossary" in link.get_attribute("href") for link in page.query_selector_all("#search-results li a"))
    page.close()


@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_in_the_way_of_a_reader_with_a_screen_reader(name, pages, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(pages[name].as_uri())
    page.evaluate(READY)
    page.add_script_tag(path=npm.fetch("axe-core") / "axe.min.js")
    assert page.evaluate(AXE) == []
    page.close()
